//! Outgoing connections: connectors and their hooks, and what is said when there is no connection.

use super::kit::{Face, Notes, Peer, Role, census, hear_reports, serve, turn, until};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::{
    Address, Cancelled, ClientFactory, ConnectError, ConnectTo, Connector, Failure, NoProtocol,
    NotConnecting, NotDisconnected, Protocol, Reactor, Result, Transport,
};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

/// An address that nobody listens at.
fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A listener whose backlog is full: further connections are neither made nor refused.
fn overrun() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let call = |_| {
        let caller = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        caller.set_nonblocking(true).unwrap();
        let _ = caller.connect(&address);
        caller
    };
    let callers = (0..4).map(call).collect();
    (listener, callers, address.as_socket().unwrap())
}

#[track_caller]
fn error_of(reactor: &Reactor, to: ConnectTo) -> Failure {
    let failure = reactor.run_until(reactor.open_tcp(to)).expect_err("no connection");
    assert_eq!(census(reactor), (0, 0), "nothing is left of the attempt");
    failure
}

#[test]
fn a_refused_connection_is_one_error_that_names_the_address() {
    let reactor = Reactor::new().unwrap();
    let address = nowhere();
    let failure = error_of(&reactor, address.into());
    assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::ConnectionRefused);
    let text = failure.to_string();
    assert!(
        text.starts_with(&format!("cannot connect to {address}: Connection refused")),
        "{text}"
    );
    assert_eq!(text.matches(&address.to_string()).count(), 1, "{text}");
}

#[test]
fn a_connection_that_takes_too_long_is_one_error_that_names_the_address() {
    let reactor = Reactor::new().unwrap();
    let (_listener, _callers, address) = overrun();
    let to = ConnectTo::from(address).timeout(Duration::from_millis(20));
    let failure = error_of(&reactor, to);
    assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::TimedOut);
    let expected = format!("cannot connect to {address}: no connection within 20ms");
    assert_eq!(failure.to_string(), expected);
    assert!(reactor.delayed_calls().is_empty());
}

#[test]
fn a_name_without_an_address_is_one_error_that_names_it() {
    let reactor = Reactor::new().unwrap();
    let failure = error_of(&reactor, "something.invalid:80".into());
    assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::NotFound);
    let text = failure.to_string();
    let expected =
        "cannot connect to something.invalid:80: the name something.invalid has no address";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_bad_address_is_one_error_that_names_it_and_what_is_wrong() {
    let reactor = Reactor::new().unwrap();
    let wrong = [
        ("localhost", "it has no port"),
        ("", "it has no port"),
        ("localhost:", "its port is no number below 65536"),
        ("localhost:http", "its port is no number below 65536"),
        ("localhost:65536", "its port is no number below 65536"),
        ("localhost:-1", "its port is no number below 65536"),
        (":80", "it has no host"),
        ("[]:80", "it has no host"),
    ];
    for (target, why) in wrong {
        let failure = error_of(&reactor, target.into());
        assert_eq!(failure.to_string(), format!("cannot connect to {target}: {why}"));
        assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_local_address_that_cannot_be_had_is_one_error() {
    let reactor = Reactor::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = ConnectTo::from(nowhere()).bind(taken.local_addr().unwrap());
    let target = to.to_string();
    let text = error_of(&reactor, to).to_string();
    assert!(
        text.starts_with(&format!("cannot connect to {target}: Address already in use")),
        "{text}"
    );
}

#[test]
fn the_local_address_that_was_asked_for_is_used() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let here = nowhere();
    let to = ConnectTo::from(&server.port.host()).bind(here);
    let stream = reactor.run_until(reactor.open_tcp(to)).unwrap();
    assert_eq!((stream.host(), stream.peer()), (here.into(), server.port.host()));
}

#[test]
fn a_name_is_looked_up_and_its_addresses_tried_in_turn() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let port = server.port.host().port().unwrap();
    let opening = reactor.open_tcp(("localhost", port));
    let stream = reactor.run_until(opening).unwrap();
    assert_eq!(stream.peer(), server.port.host());
}

#[test]
fn a_cancelled_attempt_leaves_nothing() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let (_listener, _callers, address) = overrun();
    let opening = reactor.open_tcp(address);
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 1));
    opening.cancel();
    assert_eq!(census(&reactor), (0, 0));
    assert!(reactor.run_until(opening).unwrap_err().is::<Cancelled>());
    assert!(reactor.delayed_calls().is_empty());
    reports.expect(&[]);
}

#[test]
fn a_stream_that_nobody_waits_for_is_closed() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    drop(reactor.open_tcp(&server.port.host()));
    until(&reactor, "it comes and goes", || server.ends.len() == 1);
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 0));
}

#[test]
fn two_reactors_of_one_thread_talk_when_turned_in_turn() {
    let (here, there) = (Reactor::new().unwrap(), Reactor::new().unwrap());
    let server = serve(Face::Stream, &there, Role::Echo);
    let answer = here.open_tcp(&server.port.host()).add_callback(|mut stream| {
        stream.reactor().spawn(async move {
            stream.write_all(b"hello there").await?;
            let mut answer = [0; 11];
            stream.read_exact(&mut answer).await?;
            Ok(answer)
        })
    });
    let heard = Notes::default();
    let notes = heard.clone();
    answer.map(move |answer| notes.add(String::from_utf8_lossy(&answer)));
    until(&here, "the answer", || {
        turn(&there);
        heard.len() == 1
    });
    heard.expect(&["hello there"]);
}

// ---- connectors ----

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
    let connector = reactor.connect_tcp(&server.port.host(), told(&notes, |_, _| {}));
    notes.expect(&["started", "connecting"]);
    assert!(connector.connect().unwrap_err().is::<NotDisconnected>());
    until(&reactor, "connected", || notes.has("made"));
    assert!(connector.connect().unwrap_err().is::<NotDisconnected>());
    assert!(connector.stop_connecting().unwrap_err().is::<NotConnecting>());
    connector.disconnect();
    until(&reactor, "stopped", || notes.has("stopped"));
    notes.expect(&["started", "connecting", "build", "made", "protocol lost", DONE, "stopped"]);
    assert!(connector.stop_connecting().unwrap_err().is::<NotConnecting>());
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
            assert!(connector.connect().unwrap_err().is::<NotDisconnected>());
        }
    });
    reactor.connect_tcp(&server.port.host(), factory);
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
            assert!(connector.connect().unwrap_err().is::<NotDisconnected>());
            connector.stop_connecting().unwrap();
            assert!(connector.stop_connecting().unwrap_err().is::<NotConnecting>());
        }
    });
    reactor.connect_tcp(&server.port.host(), factory);
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
    let connector = reactor.connect_tcp(&server.port.host(), factory);
    until(&reactor, "connected", || notes.has("made"));
    connector.disconnect();
    until(&reactor, "connected again", || notes.count("made") == 2);
    assert!(connector.connect().unwrap_err().is::<NotDisconnected>());
    assert_eq!((notes.count("failed"), notes.count("stopped")), (1, 0), "{:?}", notes.all());
    connector.disconnect();
    until(&reactor, "stopped", || notes.has("stopped"));
    assert_eq!((notes.count("build"), notes.count("lost")), (2, 2));
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 0));
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
    reactor.connect_tcp(&server.port.host(), factory);
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
        let connector = reactor.connect_tcp(&server.port.host(), factory);
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

// ---- connect and Connected ----

#[test]
fn a_factory_that_builds_nothing_fails_the_connect_and_closes() {
    struct Refuses;
    impl ropewalk::Factory for Refuses {
        type Protocol = Quiet;
        fn build_protocol(&mut self, _: &Address) -> Option<Quiet> {
            None
        }
    }
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let failure = reactor.run_until(reactor.connect(&server.port.host(), Refuses)).unwrap_err();
    assert!(failure.is::<NoProtocol>());
    until(&reactor, "the server knows", || server.ends.len() == 1);
}

#[test]
fn a_factory_that_panics_fails_the_connect_and_leaves_no_connection() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let factory = |_: &Address| -> Quiet { panic!("on purpose") };
    let failure = reactor.run_until(reactor.connect(&server.port.host(), factory)).unwrap_err();
    assert!(failure.is::<ropewalk::Panicked>());
    until(&reactor, "the server knows", || server.ends.len() == 1);
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 0));
}

/// Calls itself from inside its callbacks.
#[derive(Default)]
struct Own {
    notes: Notes,
    me: Rc<RefCell<Option<ropewalk::Connected<Own>>>>,
    panics_in: &'static str,
}

impl Own {
    fn enter(&mut self, name: &'static str) {
        self.notes.add(name);
        if let Some(me) = &*self.me.borrow() {
            me.call(move |own, _| own.notes.add(format!("called in {name}")));
        }
        assert!(self.panics_in != name, "in {name}");
    }
}

impl Protocol for Own {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        self.enter("data_received");
        Ok(())
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.enter("connection_lost");
    }
}

fn own(panics_in: &'static str) -> (Reactor, Notes, ropewalk::Connected<Own>, super::kit::Serving) {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let me = Rc::new(RefCell::new(None));
    let (log, shelf) = (notes.clone(), me.clone());
    let factory = move |_: &Address| Own { notes: log.clone(), me: shelf.clone(), panics_in };
    let connected = reactor.run_until(reactor.connect(&server.port.host(), factory)).unwrap();
    me.replace(Some(connected.clone()));
    (reactor, notes, connected, server)
}

#[test]
fn a_protocol_that_is_called_from_inside_its_callback_is_called_right_after_it() {
    let (reactor, notes, connected, _server) = own("");
    connected.call(|own, transport| {
        own.notes.add("now");
        transport.write(b"x");
    });
    notes.expect(&["now"]);
    until(&reactor, "it is echoed", || notes.has("called"));
    notes.expect(&["now", "data_received", "called in data_received"]);
    connected.transport().lose_connection();
    until(&reactor, "lost", || notes.has("connection_lost"));
    connected.call(|own, _| own.notes.add("too late"));
    assert_eq!(notes.len(), 4, "{:?}", notes.all());
}

#[test]
fn a_call_that_waits_behind_a_panic_is_never_made_after_the_loss() {
    let (reactor, notes, connected, _server) = own("data_received");
    let reports = hear_reports();
    connected.transport().write(b"x");
    until(&reactor, "lost", || notes.has("connection_lost"));
    turn(&reactor);
    notes.expect(&["data_received", "connection_lost"]);
    assert_eq!(reports.len(), 1);
}

#[test]
fn a_panic_in_connection_lost_still_drops_the_protocol_for_good() {
    let (reactor, notes, connected, server) = own("connection_lost");
    let reports = hear_reports();
    server.transports.borrow()[0].lose_connection();
    until(&reactor, "lost", || notes.has("connection_lost"));
    connected.call(|own, _| own.notes.add("too late"));
    notes.expect(&["connection_lost"]);
    assert_eq!(reports.len(), 1);
}

#[test]
fn a_panic_in_a_call_is_said_and_the_protocol_goes_on() {
    let (reactor, notes, connected, server) = own("");
    let reports = hear_reports();
    connected.call(|_, _| {
        if true {
            panic!("in a call")
        }
    });
    assert_eq!(reports.len(), 1);
    connected.call(|own, _| own.notes.add("again"));
    notes.expect(&["again"]);
    drop(server);
    let _ = reactor;
}

#[test]
fn half_closed_connections_of_a_raw_socket_are_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let reactor = Reactor::new().unwrap();
    let opening = reactor.open_tcp(listener.local_addr().unwrap());
    let mut stream = reactor.run_until(opening).unwrap();
    let (socket, _): (TcpStream, _) = listener.accept().unwrap();
    let mut peer = Peer::over(socket);
    peer.send(b"first");
    peer.half_close();
    let all = reactor.run_until(async move {
        let mut all = String::new();
        stream.read_to_string(&mut all).await?;
        stream.write_all(b"second").await?;
        Ok(all)
    });
    assert_eq!(all.unwrap(), "first");
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert_eq!(peer.got, b"second");
}
