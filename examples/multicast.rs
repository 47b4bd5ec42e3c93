//! Members of a multicast group who greet each other.
//!
//! Type `cargo run --example multicast`: two members in this process answer a call to the group.
//! With `--stay` it goes on answering: start it in a second terminal too, and both groups answer.

use ropewalk::net::{DatagramProtocol, DatagramTransport};
use ropewalk::{Address, Failure, Reactor, Result};
use std::io::{Write, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 0, 5);
const PORT: u16 = 8005;

struct Member(&'static str);

impl DatagramProtocol for Member {
    fn started(&mut self, transport: &DatagramTransport) {
        if let Err(failure) = transport.join_group(GROUP.into(), Ipv4Addr::LOCALHOST) {
            eprintln!("{} cannot join: {failure}", self.0);
        }
    }

    fn datagram_received(&mut self, to: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        writeln!(stdout(), "{} heard {:?} from {from}", self.0, String::from_utf8_lossy(data))?;
        // To the caller alone, not to the group: else the answers would be answered.
        to.write_to(format!("{} is here", self.0), from)
    }
}

fn main() -> Result {
    let option = std::env::args().nth(1);
    if let Some(other) = option.as_ref().filter(|option| *option != "--stay") {
        return Err(Failure::msg(format!("no option {other}; usage: multicast [--stay]")));
    }
    let reactor = Reactor::new()?;
    for name in ["Ann", "Bob"] {
        reactor.listen_multicast((GROUP, PORT), Member(name))?;
    }
    let caller = reactor.bind_udp("127.0.0.1:0")?;
    caller.transport().set_multicast_interface(Ipv4Addr::LOCALHOST)?;
    caller.transport().set_multicast_ttl(1)?;

    let clock = reactor.clone();
    reactor.run_until(async move {
        caller.send_to(b"who is here?", &SocketAddr::from((GROUP, PORT)).into()).await?;
        let mut buffer = [0; 100];
        for _ in 0..2 {
            let hearing = caller.recv_from(&mut buffer);
            let (length, from) = clock.timeout(Duration::from_secs(5), hearing).await??;
            writeln!(stdout(), "{from} answers: {}", String::from_utf8_lossy(&buffer[..length]))?;
        }
        Ok(())
    })?;
    if option.is_some() { reactor.run() } else { Ok(()) }
}
