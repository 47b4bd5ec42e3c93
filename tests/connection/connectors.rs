//! Connectors: their hooks in order, and what may be done from inside them.

use super::calling::overrun;
use super::kit::{FACES, Face, Notes, Role, census, hear_reports, serve, turn, until};
use futures_util::AsyncReadExt;
use ropewalk::deferred::Cancelled;
use ropewalk::ported::{ClientFactory, Connector, NotConnectingError, NotDisconnectedError};
use ropewalk::transport::ConnectionDone;
use ropewalk::{Address, Failure, Protocol, Reactor, Result, Transport};
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

type Hook = Box<dyn FnMut(&str, &Connector)>;

/// Notes every hook, then does what the test wants in it.
struct Told {
    notes: Notes,
    hook: Hook,
    refuses: bool,
}

impl Told {
    fn tell(&mut self, what: &str, connector: &Connector) {
        self.notes.add(what);
        (self.hook)(what.split(':').next().unwrap_or(what), connector);
    }
}

struct Quiet(Notes);

impl Protocol for Quiet {
    fn connection_made(&mut self, _: &Transport) {
        self.0.add("made");
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.0.add("protocol lost");
    }
}

impl ClientFactory for Told {
    type Protocol = Quiet;

    fn started(&mut self) {
        self.notes.add("started");
    }

    fn started_connecting(&mut self, connector: &Connector) {
        self.tell("connecting", connector);
    }

    fn build_protocol(&mut self, _: &Address) -> Option<Quiet> {
        self.notes.add("build");
        (!self.refuses).then(|| Quiet(self.notes.clone()))
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
        let why = if reason.is::<Cancelled>() { "failed: cancelled" } else { "failed: otherwise" };
        self.tell(why, connector);
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Failure) {
        self.tell(&format!("lost: {reason}"), connector);
    }

    fn stopped(&mut self) {
        self.notes.add("stopped");
    }
}

const DONE: &str = "lost: the connection was closed in order";

fn told(notes: &Notes, hook: impl FnMut(&str, &Connector) + 'static) -> Told {
    Told { notes: notes.clone(), hook: Box::new(hook), refuses: false }
}

#[test]
fn a_connector_tells_its_factory_everything_in_order() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let connector = reactor.connect_tcp(server.port.host(), told(&notes, |_, _| {}));
    notes.expect(&["started", "connecting"]);
    assert!(connector.connect().unwrap_err().is::<NotDisconnectedError>());
    until(&reactor, "connected", || notes.has("made"));
    assert!(connector.connect().unwrap_err().is::<NotDisconnectedError>());
    assert!(connector.stop_connecting().unwrap_err().is::<NotConnectingError>());
    connector.disconnect();
    until(&reactor, "stopped", || notes.has("stopped"));
    notes.expect(&["started", "connecting", "build", "made", "protocol lost", DONE, "stopped"]);
    assert!(connector.stop_connecting().unwrap_err().is::<NotConnectingError>());
    connector.disconnect();
}

#[test]
fn a_connector_connects_again_from_inside_the_loss() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let mut left = 2;
    let factory = told(&notes, move |what, connector| {
        if what == "lost" && left > 0 {
            left -= 1;
            connector.connect().unwrap();
            assert!(connector.connect().unwrap_err().is::<NotDisconnectedError>());
        }
    });
    reactor.connect_tcp(server.port.host(), factory);
    let mut closed = 0;
    until(&reactor, "three connections", || {
        if server.transports.borrow().len() > closed {
            server.transports.borrow()[closed].lose_connection();
            closed += 1;
        }
        notes.has("stopped")
    });
    turn(&reactor);
    assert_eq!((notes.count("connecting"), notes.count("lost"), notes.count("started")), (3, 3, 1));
    assert_eq!((notes.count("stopped"), census(&reactor)), (1, (1, 0)));
}

#[test]
fn a_connector_can_be_stopped_and_started_while_it_is_connecting() {
    let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
    let (_listener, _callers, address) = overrun();
    let connector = reactor.connect_tcp(address, told(&notes, |_, _| {}));
    turn(&reactor);
    connector.stop_connecting().unwrap();
    notes.expect(&["started", "connecting", "failed: cancelled", "stopped"]);
    connector.connect().unwrap();
    connector.disconnect();
    assert_eq!(notes.all()[4..], ["started", "connecting", "failed: cancelled", "stopped"]);
    turn(&reactor);
    assert_eq!(census(&reactor), (0, 0));
    reports.expect(&[]);
}

#[test]
fn an_attempt_can_be_stopped_from_inside_started_connecting() {
    let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let factory = told(&notes, |what, connector| {
        if what == "connecting" {
            assert!(connector.connect().unwrap_err().is::<NotDisconnectedError>());
            connector.stop_connecting().unwrap();
            assert!(connector.stop_connecting().unwrap_err().is::<NotConnectingError>());
        }
    });
    reactor.connect_tcp(server.port.host(), factory);
    turn(&reactor);
    notes.expect(&["started", "connecting", "failed: cancelled", "stopped"]);
    assert_eq!(census(&reactor), (1, 0));
    reports.expect(&[]);
}

#[test]
fn a_connector_that_is_stopped_and_started_inside_one_hook_makes_one_connection() {
    let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let mut first = true;
    let factory = told(&notes, move |what, connector| {
        if what == "lost" && std::mem::take(&mut first) {
            connector.connect().unwrap();
            connector.stop_connecting().unwrap();
            connector.connect().unwrap();
        }
    });
    let connector = reactor.connect_tcp(server.port.host(), factory);
    until(&reactor, "connected", || notes.has("made"));
    connector.disconnect();
    until(&reactor, "connected again", || notes.count("made") == 2);
    assert!(connector.connect().unwrap_err().is::<NotDisconnectedError>());
    assert_eq!((notes.count("failed"), notes.count("stopped")), (1, 0), "{:?}", notes.all());
    connector.disconnect();
    until(&reactor, "stopped", || notes.has("stopped"));
    assert_eq!((notes.count("build"), notes.count("lost")), (2, 2));
    until(&reactor, "all is closed", || census(&reactor) == (1, 0));
    reports.expect(&[]);
}

#[test]
fn a_failed_attempt_is_told_in_a_later_turn() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    reactor.connect_tcp("no port", told(&notes, |_, _| {}));
    notes.expect(&["started", "connecting"]);
    until(&reactor, "it failed", || notes.has("stopped"));
    notes.expect(&["started", "connecting", "failed: otherwise", "stopped"]);
}

#[test]
fn a_client_factory_without_a_protocol_closes_the_connection() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let factory = Told { refuses: true, ..told(&notes, |_, _| {}) };
    reactor.connect_tcp(server.port.host(), factory);
    until(&reactor, "both know", || notes.has("stopped") && server.ends.len() == 1);
    notes.expect(&["started", "connecting", "build", DONE, "stopped"]);
}

#[test]
fn a_panic_in_a_hook_is_said_once_and_the_connector_lives() {
    for hook in ["connecting", "lost"] {
        let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
        let server = serve(Face::Protocol, &reactor, Role::Echo);
        let mut first = true;
        let factory = told(&notes, move |what, _| {
            assert!(what != hook || !std::mem::take(&mut first), "in {hook}");
        });
        let connector = reactor.connect_tcp(server.port.host(), factory);
        until(&reactor, "connected", || notes.has("made"));
        connector.disconnect();
        until(&reactor, "lost", || notes.has("lost"));
        connector.connect().unwrap();
        until(&reactor, "connected again", || notes.count("made") == 2);
        assert_eq!(reports.len(), 1, "{:?}", reports.all());
        assert!(
            reports.has(&format!("panic in a client factory: panicked: in {hook}"))
                || reports.all()[0].contains("in "),
            "{:?}",
            reports.all()
        );
    }
}

/// Notes what it gets and how it ends.
struct Listening(Notes);

impl Protocol for Listening {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.0.add(String::from_utf8_lossy(data));
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.0.add(if reason.is::<ConnectionDone>() { "done" } else { "lost" });
    }
}

#[test]
fn an_end_that_came_together_with_the_connection_is_heard() {
    for face in FACES {
        let (notes, reactor) = (Notes::default(), Reactor::new().expect("a reactor"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let to = listener.local_addr().expect("it is bound");
        let told = notes.clone();
        match face {
            Face::Protocol => {
                drop(reactor.connect(to, move |_: &Address| Listening(told.clone())));
            }
            Face::Stream => {
                let opening = reactor.open(to);
                reactor.spawn(async move {
                    let mut all = String::new();
                    opening.await?.read_to_string(&mut all).await?;
                    told.add(all);
                    told.add("done");
                    Ok(())
                });
            }
        }
        // It is connecting now, and looks again only after the peer has done all it does.
        reactor.turn(Some(Duration::ZERO)).expect("a turn");
        let (mut socket, _) = listener.accept().expect("somebody calls");
        socket.write_all(b"question").expect("room for a few bytes");
        socket.shutdown(Shutdown::Write).expect("an open socket");
        until(&reactor, "the end is heard", || notes.has("done"));
        notes.expect(&["question", "done"]);
    }
}
