//! Sends back what it reads from standard input in capitals, as callbacks or (with `--async`) as an
//! `async fn`.
//!
//! Type `echo rope | cargo run --example stdio`, or `cargo run --example stdio < README.md`, or start
//! it alone and type lines; the end of the input ends it.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::{ConnectionDone, Failure, Protocol, Reactor, Result, Transport};

struct Capitals(Reactor);

impl Protocol for Capitals {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(&data.to_ascii_uppercase());
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        if !reason.is::<ConnectionDone>() {
            eprintln!("{reason}");
        }
        if let Err(failure) = self.0.stop() {
            eprintln!("{failure}");
        }
    }
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    if std::env::args().nth(1).as_deref() != Some("--async") {
        reactor.connect_stdio(Capitals(reactor.clone()))?;
        return reactor.run();
    }
    let mut stream = reactor.open_stdio()?;
    reactor.run_until(async move {
        let mut buffer = [0; 4096];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Ok(stream.close().await?);
            }
            stream.write_all(&buffer[..length].to_ascii_uppercase()).await?;
        }
    })
}
