//! An echo server that speaks TLS with a certificate made on the spot, and a client that trusts it.
//!
//! ```text
//! cargo run --example tls_echo --features tls          echoes one line to itself, and ends
//! cargo run --example tls_echo --features tls 8443     serves; the certificate is in tls_echo.pem
//! openssl s_client -connect localhost:8443 -CAfile tls_echo.pem -quiet
//! ```

use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use ropewalk::tls::{ClientConfig, Identity, ServerConfig, session};
use ropewalk::{ClientEndpoint, Reactor, Result, ServerEndpoint, Stream};
use std::io::{Write, stdout};

async fn echo(stream: Stream) -> Result {
    let peer = stream.peer();
    let Some(session) = session(&stream.transport()) else { return Ok(()) }; // gone already
    writeln!(stdout(), "{peer}: {} with {}", session.version(), session.cipher())?;
    let (mut reader, mut writer) = stream.split();
    let count = futures_util::io::copy_buf(&mut reader, &mut writer).await?;
    Ok(writeln!(stdout(), "{peer}: echoed {count} bytes")?)
}

async fn say(mut stream: Stream, line: &str) -> Result<String> {
    stream.write_all(line.as_bytes()).await?;
    stream.close().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    // close_notify came before the end: nothing was cut off.
    assert!(stream.fill_buf().await?.is_empty());
    Ok(answer)
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    let identity = Identity::self_signed(&["localhost"])?;
    let certificate = identity.certificate_pem();
    let server = ServerConfig::new(identity);
    if let Some(port) = std::env::args().nth(1) {
        let port =
            reactor.serve(ServerEndpoint::from(format!("localhost:{port}")).tls(&server), echo)?;
        std::fs::write("tls_echo.pem", certificate)?;
        writeln!(stdout(), "echoing at {}", port.host())?;
        return reactor.run();
    }
    let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), echo)?;
    let client = ClientConfig::trusting(certificate).server_name("localhost");
    let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
    let answer = reactor.run_until(async move { say(opening.await?, "hello, TLS\n").await })?;
    Ok(write!(stdout(), "the echo: {answer}")?)
}
