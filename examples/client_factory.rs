//! A client factory and its connector: each step of an outgoing connection, told as it happens.
//! ```text
//! cargo run --example client_factory                   nobody listens there: fails twice, and ends
//! nc -l 127.0.0.1 8000                                 first, elsewhere: a connection, then one more
//! ```

use ropewalk::{Address, ClientFactory, Connector, Failure, Protocol, Reactor, Result, Transport};
use std::io::{Write, stdout};

struct Greeter;

impl Protocol for Greeter {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(b"hello\n");
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        Ok(writeln!(stdout(), "{} says {}", transport.peer(), data.escape_ascii())?)
    }
}

struct Greetings {
    reactor: Reactor,
    tries_left: u32,
}

impl Greetings {
    fn again(&mut self, connector: &Connector, why: String) {
        let _ = writeln!(stdout(), "{why}"); // a closed output is nobody's loss
        self.tries_left -= 1;
        let next = if self.tries_left > 0 { connector.connect() } else { self.reactor.stop() };
        next.expect("it is disconnected, and running");
    }
}

impl ClientFactory for Greetings {
    type Protocol = Greeter;

    fn started_connecting(&mut self, connector: &Connector) {
        let _ = writeln!(stdout(), "connecting to {}", connector.destination());
    }

    fn build_protocol(&mut self, _: &Address) -> Option<Greeter> {
        Some(Greeter)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
        self.again(connector, format!("failed: {reason}"));
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Failure) {
        self.again(connector, format!("lost: {reason}"));
    }
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    reactor.connect_tcp("127.0.0.1:8000", Greetings { reactor: reactor.clone(), tries_left: 2 });
    reactor.run()
}
