//! The moment between a connection's last byte and its close: what the peer says meanwhile costs
//! neither end anything, and nobody waits for ever.

#![cfg(feature = "simulation")]
use futures_util::AsyncWriteExt;
use ropewalk::simulation::{Latency, Link, Simulation};
use ropewalk::{
    Address, ClientEndpoint, Deferred, Failure, Protocol, Reactor, Result, ServerEndpoint, Stream,
    Transport,
};
use std::time::Duration;

const DONE: &str = "the connection was closed in order";

/// What an end does at three moments; what it was told is `got` bytes and an end.
struct End {
    begin: Box<dyn Fn(&Transport)>,
    room: fn(&Transport),
    closed: Box<dyn Fn(&Transport)>,
    got: usize,
    told: Option<ropewalk::Trigger<(usize, String)>>,
}

type Told = Deferred<(usize, String)>;

/// An end that begins so, and ends when its peer does.
fn end(begin: impl Fn(&Transport) + 'static) -> (End, Told) {
    let (told, telling) = Deferred::new();
    let closed = Box::new(Transport::lose_connection);
    let end = End { begin: Box::new(begin), room: |_| (), closed, got: 0, told: Some(told) };
    (end, telling)
}

impl Protocol for End {
    fn connection_made(&mut self, transport: &Transport) {
        (self.begin)(transport);
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.got += data.len();
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        (self.closed)(transport);
    }

    fn resume_writing(&mut self, transport: &Transport) {
        (self.room)(transport);
    }

    fn connection_lost(&mut self, reason: &Failure) {
        if let Some(told) = self.told.take() {
            let _ = told.callback((self.got, reason.to_string()));
        }
    }
}

/// A way to connect two ends in a simulation, or on real sockets.
struct Wire {
    #[cfg(feature = "tls")]
    tls: Option<(ropewalk::tls::ServerConfig, ropewalk::tls::ClientConfig)>,
}

impl Wire {
    const TCP: Wire = Wire {
        #[cfg(feature = "tls")]
        tls: None,
    };

    #[cfg(feature = "tls")]
    fn tls() -> Wire {
        use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
        let identity = Identity::self_signed(&["server"]).expect("it is a name");
        let client = ClientConfig::trusting(identity.certificate_pem()).server_name("server");
        Wire { tls: Some((ServerConfig::new(identity), client)) }
    }

    fn listen(&self, reactor: &Reactor, at: &str, server: End) -> Address {
        let mut server = Some(server);
        let build = move |_: &Address| server.take().expect("one connection");
        #[cfg(feature = "tls")]
        if let Some((config, _)) = &self.tls {
            return reactor
                .listen(ServerEndpoint::from(at).tls(config), build)
                .expect("a port")
                .host();
        }
        reactor.listen(at, build).expect("a port").host()
    }

    fn to(&self, to: impl Into<ClientEndpoint>) -> ClientEndpoint {
        #[cfg(feature = "tls")]
        if let Some((_, config)) = &self.tls {
            return to.into().tls(config);
        }
        to.into()
    }
}

fn wires() -> Vec<Wire> {
    vec![
        Wire::TCP,
        #[cfg(feature = "tls")]
        Wire::tls(),
    ]
}

/// Two hosts that are close to each other.
fn near() -> Simulation {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let link = Link::new().latency(Latency::Fixed(Duration::from_micros(1)));
    simulation.set_link(&server, &client, link);
    simulation
}

/// Connects a client to a server, there.
fn connect(simulation: &Simulation, wire: &Wire, server: End, client: End) {
    wire.listen(&simulation.host("server").reactor(), "0.0.0.0:7", server);
    let mut client = Some(client);
    let build = move |_: &Address| client.take().expect("one connection");
    let connecting = simulation.host("client").reactor().connect(wire.to("server:7"), build);
    simulation.run_until(connecting).expect("it connects");
}

/// Does something a little later, when what is under way has arrived.
fn soon(transport: &Transport, call: impl FnOnce(&Transport) + 'static) {
    let later = transport.clone();
    transport.reactor().call_later(Duration::from_millis(100), move || call(&later));
}

fn write_and_leave(transport: &Transport) {
    transport.write([7; 50_000]);
    transport.lose_connection();
}

/// Leaves, with a greeting unread.
fn leave_unread(transport: &Transport) {
    transport.pause_reading();
    soon(transport, write_and_leave);
}

fn greet(transport: &Transport) {
    transport.write(b"welcome");
}

fn stay(_: &Transport) {}

#[test]
fn who_leaves_with_a_greeting_unread_ends_in_order_at_both_ends() {
    for wire in wires() {
        let simulation = near();
        let ((server, heard), (client, left)) = (end(greet), end(leave_unread));
        connect(&simulation, &wire, server, client);
        assert_eq!(simulation.run_until(heard).unwrap(), (50_000, DONE.into()));
        assert_eq!(simulation.run_until(left).unwrap(), (0, DONE.into()));
        assert!(simulation.time() < Duration::from_secs(1), "at {:?}", simulation.time());
    }
}

#[test]
fn a_peer_that_does_not_answer_is_heard_out_for_ten_seconds() {
    for wire in wires() {
        let simulation = near();
        let ((mut server, heard), (client, left)) = (end(greet), end(leave_unread));
        server.closed = Box::new(stay);
        connect(&simulation, &wire, server, client);
        assert_eq!(simulation.run_until(left).unwrap(), (0, DONE.into()));
        assert_eq!(simulation.time().as_secs(), 10);
        drop(heard);
    }
}

#[test]
fn an_abort_ends_the_wait_for_the_peer() {
    for wire in wires() {
        let simulation = near();
        let (client, left) = end(|transport| {
            leave_unread(transport);
            soon(transport, |transport| soon(transport, Transport::abort_connection));
        });
        let (mut server, heard) = end(greet);
        server.closed = Box::new(stay);
        connect(&simulation, &wire, server, client);
        let (_, reason) = simulation.run_until(left).unwrap();
        assert!(reason.contains("abort_connection was called"), "{reason}");
        assert!(simulation.time() < Duration::from_secs(1), "at {:?}", simulation.time());
        drop(heard);
    }
}

#[test]
fn a_reset_by_the_peer_that_is_heard_out_is_a_loss() {
    for wire in wires() {
        let simulation = near();
        let ((mut server, heard), (client, left)) = (end(greet), end(leave_unread));
        server.closed = Box::new(Transport::abort_connection);
        connect(&simulation, &wire, server, client);
        let (_, reason) = simulation.run_until(left).unwrap();
        assert!(reason.ends_with("was lost: connection reset"), "{reason}");
        drop(heard);
    }
}

#[test]
fn who_leaves_a_peer_that_never_stops_sending_cuts_it_off() {
    for wire in wires() {
        let simulation = near();
        let (mut server, heard) = end(|transport| transport.write([7; 200_000]));
        server.room = |transport| transport.write([7; 200_000]);
        server.closed = Box::new(stay);
        let (client, left) = end(leave_unread);
        connect(&simulation, &wire, server, client);
        assert_eq!(simulation.run_until(left).unwrap(), (0, DONE.into()));
        let (got, reason) = simulation.run_until(heard).unwrap();
        assert!(got == 50_000 && reason.contains("reset"), "{got} bytes, {reason}");
        assert!(simulation.time() < Duration::from_secs(1), "at {:?}", simulation.time());
    }
}

#[test]
fn a_peer_that_sends_two_megabytes_meanwhile_is_heard_out() {
    for wire in wires() {
        let simulation = near();
        let (server, heard) = end(|transport| transport.write(vec![7; 2_000_000]));
        let (client, left) = end(leave_unread);
        connect(&simulation, &wire, server, client);
        assert_eq!(simulation.run_until(left).unwrap(), (0, DONE.into()));
        assert_eq!(simulation.run_until(heard).unwrap(), (50_000, DONE.into()));
    }
}

#[test]
fn who_has_read_all_over_a_plain_socket_waits_for_nobody() {
    let simulation = near();
    let (mut server, heard) = end(greet);
    server.closed = Box::new(stay);
    let (client, left) = end(|transport| soon(transport, write_and_leave));
    connect(&simulation, &Wire::TCP, server, client);
    assert_eq!(simulation.run_until(left).unwrap(), (7, DONE.into()));
    assert!(simulation.time() < Duration::from_secs(1), "at {:?}", simulation.time());
    drop(heard);
}

/// Real sockets: the system's own buffers are the point.
#[test]
fn all_that_a_client_wrote_arrives_though_it_read_nothing() {
    const MUCH: usize = 2_000_000;
    for wire in wires() {
        for _ in 0..5 {
            let reactor = Reactor::new().unwrap();
            let (server, heard) = end(greet);
            let host = wire.listen(&reactor, "127.0.0.1:0", server);
            let opening = reactor.open(wire.to(&host));
            let outcome = reactor.run_until(async move {
                let mut stream: Stream = opening.await?;
                stream.write_all(&vec![7; MUCH]).await?;
                drop(stream);
                heard.await
            });
            assert_eq!(outcome.unwrap(), (MUCH, DONE.into()));
        }
    }
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use ropewalk::simulation::{Call, Fault};

    #[test]
    fn a_client_that_leaves_before_the_tickets_came_ends_in_order_at_both_ends() {
        let wire = Wire::tls();
        for seed in 0..20 {
            let simulation = Simulation::new(seed);
            let ((server, heard), (client, left)) = (end(stay), end(write_and_leave));
            connect(&simulation, &wire, server, client);
            assert_eq!(simulation.run_until(heard).unwrap(), (50_000, DONE.into()));
            assert_eq!(simulation.run_until(left).unwrap(), (0, DONE.into()));
        }
    }

    /// Its close_notify leaves in pieces, the second after the first was answered with a reset.
    #[test]
    fn a_server_whose_close_notify_nobody_waited_for_ends_in_order() {
        let simulation = near();
        let (mut server, heard) = end(stay);
        let host = simulation.host("server");
        server.closed = Box::new(move |transport| {
            host.fail_next(Call::Write, Fault::Short);
            host.fail_next(Call::Write, Fault::WouldBlock);
            transport.lose_connection();
        });
        let (client, left) = end(|transport| {
            transport.set_close_timeout(Duration::ZERO);
            soon(transport, write_and_leave);
        });
        connect(&simulation, &Wire::tls(), server, client);
        assert_eq!(simulation.run_until(heard).unwrap(), (50_000, DONE.into()));
        drop(left);
    }

    #[test]
    fn who_heard_the_close_notify_while_reading_was_paused_waits_for_nobody() {
        let simulation = near();
        let (server, heard) = end(Transport::pause_reading);
        let (client, left) = end(|transport| soon(transport, Transport::lose_connection));
        connect(&simulation, &Wire::tls(), server, client);
        assert_eq!(simulation.run_until(heard).unwrap(), (0, DONE.into()));
        assert_eq!(simulation.run_until(left).unwrap(), (0, DONE.into()));
        assert!(simulation.time() < Duration::from_secs(1), "at {:?}", simulation.time());
    }
}
