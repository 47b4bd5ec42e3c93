//! Echoes datagrams, as callbacks or (with `--async`) as an `async fn`, and tries itself once.
//!
//! Type `cargo run --example udp_echo`, then in another terminal `socat - UDP:127.0.0.1:8007`: each
//! line comes back. With `--once` it stops after its own datagram has come back.

use ropewalk::{Address, DatagramProtocol, DatagramTransport, Reactor, Result};

struct Echo;

impl DatagramProtocol for Echo {
    fn datagram_received(
        &mut self,
        transport: &DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        transport.write_to(data, from)
    }
}

fn serve(reactor: &Reactor, at: &str) -> Result<Address> {
    Ok(reactor.listen_udp(at, Echo)?.host())
}

fn serve_async(reactor: &Reactor, at: &str) -> Result<Address> {
    let socket = reactor.open_udp(at)?;
    let host = socket.host();
    reactor.spawn(async move {
        let mut buffer = vec![0; 65536];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..length], &from).await?;
        }
        #[expect(unreachable_code, reason = "says what the task would return")]
        Ok(())
    });
    Ok(host)
}

fn main() -> Result {
    let has = |option: &str| std::env::args().any(|argument| argument == option);
    let reactor = Reactor::new()?;
    let at = if has("--once") { "127.0.0.1:0" } else { "127.0.0.1:8007" };
    let make = if has("--async") { serve_async } else { serve };
    let server = make(&reactor, at)?;
    println!("echoing at {server}");

    let client = reactor.open_udp("127.0.0.1:0")?;
    client.connect(server)?;
    reactor.run_until(async move {
        client.send(b"hello, datagram").await?;
        let mut buffer = [0; 100];
        let (length, from) = client.recv_from(&mut buffer).await?;
        println!("{from} says: {}", String::from_utf8_lossy(&buffer[..length]));
        Ok(())
    })?;
    if has("--once") { Ok(()) } else { reactor.run() }
}
