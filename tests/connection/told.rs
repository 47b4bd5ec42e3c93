//! Who is told of a failure: which are reported, which are a peer's fault, and what a report says.

use super::kit::{FACES, Face, Notes, Peer, hear_reports, nowhere, turn, until};
use futures_util::AsyncReadExt;
use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::transport::ConnectionLost;
use ropewalk::{
    Address, Factory, Failure, Panicked, Protocol, Reactor, Result, Stream, Transport,
    on_peer_fault, peer_faults,
};
use std::fmt;
use std::time::Duration;

/// What peers are blamed for, from now on.
fn hear_blame() -> Notes {
    let notes = Notes::default();
    let desk = notes.clone();
    on_peer_fault(move |report| desk.add(report));
    notes
}

type Fail = fn() -> Failure;

struct Failing(Fail);

impl Protocol for Failing {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Err((self.0)())
    }
}

/// What is reported and what the peer is blamed for when both faces fail so.
fn told_of(fail: Fail) -> Vec<(Vec<String>, Vec<String>, u64)> {
    let outcome = |face| {
        let (reactor, reports, blame) = (Reactor::new().unwrap(), hear_reports(), hear_blame());
        let before = peer_faults();
        let handler = async move |mut stream: Stream| -> Result {
            stream.read_exact(&mut [0; 2]).await?;
            Err(fail())
        };
        let port = match face {
            Face::Protocol => reactor.listen("127.0.0.1:0", move |_: &Address| Failing(fail)),
            Face::Stream => reactor.serve("127.0.0.1:0", handler),
        };
        let port = port.unwrap();
        let mut peer = Peer::call(&port);
        peer.send(b"go");
        assert_eq!(peer.until_end(&reactor), "ConnectionReset");
        let (name, host) = (peer.socket.local_addr().unwrap(), port.host());
        let unnamed = |notes: Notes| {
            let all = notes.all();
            let named = format!(", peer {name}, host {host}");
            assert!(all.iter().all(|line| line.contains(&named)), "{all:?} without {named}");
            all
        };
        (unnamed(reports), unnamed(blame), peer_faults() - before)
    };
    FACES.map(outcome).to_vec()
}

#[derive(Debug)]
struct Wrapped(std::io::Error);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot serve")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_failure_of_the_applications_own_is_reported_with_the_line_and_the_connection() {
    const LINE: u32 = line!() + 1;
    let fail: Fail = || Failure::msg("no disk");
    for (reports, blame, count) in told_of(fail) {
        assert_eq!((reports.len(), blame.len(), count), (1, 0, 0), "{reports:?}");
        assert!(reports[0].contains("no disk, peer 127.0.0.1:"), "{reports:?}");
        assert!(reports[0].ends_with(&format!("arose at {}:{LINE}", file!())), "{reports:?}");
    }
}

#[test]
fn what_the_peer_did_is_no_report_is_counted_and_told_to_who_asks() {
    let faults: [Fail; 5] = [
        || Failure::msg("no greeting").of_peer(),
        || std::io::Error::from(std::io::ErrorKind::ConnectionReset).into(),
        || Wrapped(std::io::ErrorKind::BrokenPipe.into()).into(),
        || Wrapped(std::io::Error::other(Failure::msg("deep").of_peer().into_error())).into(),
        || Failure::from_boxed(Failure::msg("there and back").of_peer().into_error()),
    ];
    for fail in faults {
        for (reports, blame, count) in told_of(fail) {
            assert_eq!((reports.len(), blame.len(), count), (0, 1, 1), "{reports:?} {blame:?}");
        }
    }
}

#[test]
fn what_only_looks_like_a_peers_fault_is_reported() {
    let own: [Fail; 3] = [
        || std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into(),
        || Wrapped(std::io::Error::other("a disk")).into(),
        || std::io::Error::from(std::io::ErrorKind::InvalidData).into(),
    ];
    for fail in own {
        for (reports, blame, count) in told_of(fail) {
            assert_eq!((reports.len(), blame.len(), count), (1, 0, 0), "{reports:?} {blame:?}");
        }
    }
}

#[test]
fn a_peer_that_hangs_up_within_a_message_is_at_fault() {
    let (reactor, reports, blame) = (Reactor::new().unwrap(), hear_reports(), hear_blame());
    let handler = async |mut stream: Stream| Ok(stream.read_exact(&mut [0; 100]).await?);
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"half of it");
    peer.half_close();
    peer.until_end(&reactor);
    assert_eq!((reports.len(), blame.len()), (0, 1), "{:?}", reports.all());
}

#[test]
fn a_handler_that_reads_on_when_this_end_was_ended_is_nobodys_fault() {
    let (reactor, reports, blame) = (Reactor::new().unwrap(), hear_reports(), hear_blame());
    let handler = async |mut stream: Stream| {
        let transport = stream.transport();
        stream.reactor().call_later(Duration::ZERO, move || transport.lose_connection());
        Ok(stream.read_exact(&mut [0; 100]).await?)
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    assert_eq!(Peer::call(&port).until_end(&reactor), "end of stream");
    turn(&reactor);
    assert_eq!((reports.all(), blame.len()), (vec![], 0));
}

#[test]
fn a_broken_framing_is_the_peers_fault() {
    use ropewalk::framing::{LineProtocol, LineReceiver};
    struct Lines;
    impl LineProtocol for Lines {
        fn line_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let (reactor, reports, blame) = (Reactor::new().unwrap(), hear_reports(), hear_blame());
    let build = |_: &Address| LineReceiver::new(Lines).max_length(10);
    let port = reactor.listen("127.0.0.1:0", build).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"a line that is much too long\r\n");
    assert_eq!(peer.until_end(&reactor), "ConnectionReset");
    assert_eq!((reports.len(), blame.len()), (0, 1), "{:?}", reports.all());
    assert!(blame.has("unhandled failure in data_received: "), "{:?}", blame.all());
}

#[test]
fn a_panic_in_the_hook_for_peers_ends_there() {
    on_peer_fault(|_| panic!("in the hook"));
    let reactor = Reactor::new().unwrap();
    let fail: Fail = || Failure::msg("no greeting").of_peer();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Failing(fail)).unwrap();
    for _ in 0..2 {
        let mut peer = Peer::call(&port);
        peer.send(b"x");
        assert_eq!(peer.until_end(&reactor), "ConnectionReset");
    }
}

#[test]
fn a_connection_that_the_network_ended_says_no_line_of_ours() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    struct Told(Notes);
    impl Protocol for Told {
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
        fn connection_lost(&mut self, reason: &Failure) {
            self.0.add(format!("{} {:?}", reason.is::<ConnectionLost>(), reason.location()));
        }
    }
    let log = notes.clone();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Told(log.clone())).unwrap();
    let peer = Peer::call(&port);
    turn(&reactor);
    peer.reset();
    until(&reactor, "it is told", || notes.len() == 1);
    notes.expect(&["true None"]);
}

#[test]
fn what_a_transport_refuses_arose_in_the_line_that_asked() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    let handler = async move |stream: Stream| {
        let (descriptor, _) = std::io::pipe()?;
        let refused = stream.transport().send_file_descriptor(descriptor.into());
        let place = refused.unwrap_err().location().unwrap().line();
        log.add(line!() - place);
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    Peer::call(&port).until_end(&reactor);
    notes.expect(&["2"]);
}

/// A factory that panics in one of its methods.
struct Panics(&'static str, Notes);

impl Panics {
    fn enter(&self, method: &str) {
        self.1.add(method);
        assert!(self.0 != method, "on purpose");
    }
}

struct Silent;

impl Protocol for Silent {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl Factory for Panics {
    type Protocol = Silent;
    fn build_protocol(&mut self, _: &Address) -> Option<Silent> {
        self.enter("build_protocol");
        Some(Silent)
    }
    fn started(&mut self) {
        self.enter("started");
    }
    fn stopped(&mut self) {
        self.enter("stopped");
    }
}

struct ClientPanics(Panics);

impl ClientFactory for ClientPanics {
    type Protocol = Silent;
    fn started(&mut self) {
        self.0.enter("started");
    }
    fn started_connecting(&mut self, _: &Connector) {
        self.0.enter("started_connecting");
    }
    fn build_protocol(&mut self, _: &Address) -> Option<Silent> {
        self.0.enter("build_protocol");
        Some(Silent)
    }
    fn client_connection_failed(&mut self, _: &Connector, _: &Failure) {
        self.0.enter("failed");
    }
    fn client_connection_lost(&mut self, _: &Connector, reason: &Failure) {
        self.0.1.add(format!("panicked: {}", reason.is::<Panicked>()));
        self.0.enter("lost");
    }
    fn stopped(&mut self) {
        self.0.enter("stopped");
    }
}

#[test]
fn a_panic_in_any_method_of_a_client_factory_is_reported_once_and_the_rest_is_told() {
    let (held, nowhere) = nowhere();
    for (method, fails) in [
        ("started", false),
        ("started_connecting", false),
        ("build_protocol", false),
        ("lost", false),
        ("stopped", false),
        ("failed", true),
        ("started", true),
        ("stopped", true),
    ] {
        let (reactor, reports, notes) = (Reactor::new().unwrap(), hear_reports(), Notes::default());
        let port = reactor.serve("127.0.0.1:0", async |_: Stream| Ok(())).unwrap();
        let factory = ClientPanics(Panics(method, notes.clone()));
        match fails {
            true => reactor.connect_tcp(nowhere, factory),
            false => reactor.connect_tcp(port.host(), factory),
        };
        until(&reactor, "it is told to stop", || notes.has("stopped"));
        assert_eq!(reports.len(), 1, "{method}: {:?}", reports.all());
        assert!(reports.has("panic in a client factory: panicked: on purpose"), "{method}");
        let is_told = format!("panicked: {}", method == "build_protocol");
        let expected: &[&str] = match fails {
            true => &["started", "started_connecting", "failed", "stopped"],
            false => {
                &["started", "started_connecting", "build_protocol", &is_told, "lost", "stopped"]
            }
        };
        notes.expect(expected);
    }
    drop(held);
}

#[test]
fn a_panic_in_the_factory_of_a_connect_comes_by_its_deferred() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let port = reactor.serve("127.0.0.1:0", async |_: Stream| Ok(())).unwrap();
    let build = |_: &Address| -> Silent { panic!("on purpose") };
    let failure = reactor.run_until(reactor.connect(port.host(), build)).unwrap_err();
    assert!(failure.is::<Panicked>());
    reports.expect(&[]);
    drop(reactor.connect(port.host(), build));
    until(&reactor, "nobody looks at it", || reports.len() == 1);
    assert!(reports.has("unhandled failure in Deferred: panicked: on purpose"));
}

#[test]
fn a_panic_in_a_servers_factory_is_reported_once_and_its_peer_sees_a_reset() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let factory = Panics("build_protocol", Notes::default());
    let port = reactor.listen("127.0.0.1:0", factory).unwrap();
    let mut peer = Peer::call(&port);
    assert_eq!(peer.until_end(&reactor), "ConnectionReset");
    let name = peer.socket.local_addr().unwrap();
    let line =
        format!("panic in a factory: panicked: on purpose, peer {name}, host {}", port.host());
    reports.expect(&[&line]);
}
