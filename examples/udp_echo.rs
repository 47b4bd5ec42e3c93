//! Echoes datagrams, as callbacks or (with `--async`) as an `async fn`, and tries itself once.
//!
//! Type `cargo run --example udp_echo`, then in another terminal `socat - UDP:127.0.0.1:8007`: each
//! line comes back. With `--once` it stops after its own datagram has come back.

use ropewalk::net::{DatagramProtocol, DatagramTransport};
use ropewalk::{Address, Failure, Reactor, Result, UdpSocket};
use std::io::{Write, stdout};

struct Echo;

impl DatagramProtocol for Echo {
    fn datagram_received(&mut self, to: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        to.write_to(data, from)
    }
}

fn serve(reactor: &Reactor, at: &str) -> Result<Address> {
    Ok(reactor.listen_udp(at, Echo)?.host())
}

fn serve_async(reactor: &Reactor, at: &str) -> Result<Address> {
    let socket = reactor.bind_udp(at)?;
    let host = socket.host();
    reactor.spawn(echo(socket));
    Ok(host)
}

async fn echo(socket: UdpSocket) -> Result {
    let mut buffer = vec![0; 65536];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        // Whom nothing can be sent to, be it port 0, is no reason to stop.
        let _ = socket.send_to(&buffer[..length], &from).await;
    }
}

fn main() -> Result {
    let (mut once, mut make): (_, fn(&_, &_) -> _) = (false, serve);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--once" => once = true,
            "--async" => make = serve_async,
            _ => return Err(Failure::msg(format!("no option {argument}, only --async, --once"))),
        }
    }
    let reactor = Reactor::new()?;
    let server = make(&reactor, if once { "127.0.0.1:0" } else { "127.0.0.1:8007" })?;
    writeln!(stdout(), "echoing at {server}")?;

    let client = reactor.bind_udp("127.0.0.1:0")?;
    client.connect(server)?;
    reactor.run_until(async move {
        client.send(b"hello, datagram").await?;
        let mut buffer = [0; 100];
        let (length, from) = client.recv_from(&mut buffer).await?;
        Ok(writeln!(stdout(), "{from} says: {}", String::from_utf8_lossy(&buffer[..length]))?)
    })?;
    if once { Ok(()) } else { reactor.run() }
}
