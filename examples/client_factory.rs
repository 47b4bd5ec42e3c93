//! A client factory and its connector: every step of an outgoing connection, told as it happens.
//! ```text
//! cargo run --example client_factory                   nobody listens there: fails twice, and ends
//! nc -l 127.0.0.1 8000                                 first, elsewhere: a connection, then one more
//! ```

use ropewalk::{Address, ClientFactory, Connector, Failure, Protocol, Reactor, Result, Transport};

struct Greeter;

impl Protocol for Greeter {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(b"hello\n");
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        println!("{} says {}", transport.peer(), data.escape_ascii());
        Ok(())
    }
}

struct Greetings {
    reactor: Reactor,
    tries_left: u32,
}

impl Greetings {
    fn again(&mut self, connector: &Connector) -> Result {
        self.tries_left -= 1;
        if self.tries_left > 0 { connector.connect() } else { self.reactor.stop() }
    }
}

impl ClientFactory for Greetings {
    type Protocol = Greeter;

    fn started_connecting(&mut self, connector: &Connector) {
        println!("connecting to {}", connector.destination());
    }

    fn build_protocol(&mut self, _: &Address) -> Option<Greeter> {
        Some(Greeter)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
        println!("failed: {reason}");
        self.again(connector).expect("it is disconnected, and running");
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Failure) {
        println!("lost: {reason}");
        self.again(connector).expect("it is disconnected, and running");
    }
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    reactor.connect_tcp("127.0.0.1:8000", Greetings { reactor: reactor.clone(), tries_left: 2 });
    reactor.run()
}
