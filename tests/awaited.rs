//! Handlers that are awaited: one after the other, held back, lost, failing, in every wrapper.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

mod kit;

use kit::{MUCH, Notes, Peer, hear_reports, turn, until};
use ropewalk::awaited::{AsyncDatagramProtocol, AsyncProtocol, Awaited, AwaitedDatagrams};
use ropewalk::deferred::DeferredQueue;
use ropewalk::framing::{
    AsyncLineProtocol, AsyncStringProtocol, LineReceiver, NetstringReceiver, send_line,
    send_netstring,
};
use ropewalk::net::DatagramTransport;
use ropewalk::transport::ConnectionDone;
use ropewalk::{Address, Failure, Port, Reactor, Result, Transport};
use std::cell::RefCell;
use std::rc::Rc;

/// Notes what it is told; what it is sent says what it does.
struct Actor {
    notes: Notes,
    gate: Gate,
    transports: Rc<RefCell<Vec<Transport>>>,
}

/// Each opening lets one handler through.
type Gate = Rc<DeferredQueue<()>>;

/// Told when what a handler holds is dropped before it is done.
struct Held(Notes);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.add("handler dropped");
    }
}

impl AsyncProtocol for Actor {
    async fn connection_made(&mut self, transport: &Transport) -> Result {
        self.transports.borrow_mut().push(transport.clone());
        self.notes.add("made");
        Ok(())
    }

    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.notes.add(format!("begins {}", data.escape_ascii()));
        transport.write("last words ");
        let held = Held(self.notes.clone());
        match data[0] {
            b'w' => self.gate.get().await?,
            b'l' => {
                transport.lose_connection();
                self.gate.get().await?;
            }
            b'e' => return Err(Failure::msg("on purpose")),
            b'E' => {
                self.gate.get().await?;
                return Err(Failure::msg("on purpose"));
            }
            b'p' => panic!("on purpose"),
            b'P' => {
                self.gate.get().await?;
                panic!("on purpose");
            }
            b'm' => {
                transport.write(vec![b'm'; MUCH]);
                transport.drained().await?;
            }
            _ => {}
        }
        std::mem::forget(held);
        self.notes.add(format!("ends {}", data.escape_ascii()));
        Ok(())
    }

    async fn read_closed(&mut self, transport: &Transport) -> Result {
        self.notes.add("read closed");
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let in_order = reason.is::<ConnectionDone>();
        self.notes.add(if in_order { "lost: done".into() } else { format!("lost: {reason}") });
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.notes.add("dropped");
    }
}

struct Stage {
    reactor: Reactor,
    notes: Notes,
    reports: Notes,
    gate: Gate,
    transports: Rc<RefCell<Vec<Transport>>>,
    port: Port,
}

impl Stage {
    fn new() -> Stage {
        let (reports, reactor) = (hear_reports(), Reactor::new().unwrap());
        let (notes, gate) = (Notes::default(), Rc::new(DeferredQueue::new()));
        let transports = Rc::<RefCell<Vec<Transport>>>::default();
        let (log, pass, all) = (notes.clone(), gate.clone(), transports.clone());
        let build = move |_: &Address| {
            let (notes, gate, transports) = (log.clone(), pass.clone(), all.clone());
            Awaited::new(Actor { notes, gate, transports })
        };
        let port = reactor.listen("127.0.0.1:0", build).unwrap();
        Stage { reactor, notes, reports, gate, transports, port }
    }

    /// A peer whose first word's handler has begun.
    fn begin(&self, word: &str) -> Peer {
        let mut peer = Peer::call(&self.port);
        peer.send(word.as_bytes());
        self.until(&format!("begins {word}"));
        peer
    }

    fn until(&self, note: &str) {
        until(&self.reactor, note, || self.notes.has(note));
    }

    fn open_gate(&self) {
        self.gate.put(()).unwrap();
    }
}

#[test]
fn a_handler_begins_when_the_one_before_it_is_done_and_nothing_is_read_meanwhile() {
    let stage = Stage::new();
    let mut peer = stage.begin("wait");
    peer.send(b"next");
    turn(&stage.reactor);
    stage.transports.borrow()[0].resume_reading();
    turn(&stage.reactor);
    stage.notes.expect(&["made", "begins wait"]);
    stage.open_gate();
    stage.until("ends next");
    stage.notes.expect(&["made", "begins wait", "ends wait", "begins next", "ends next"]);
}

#[test]
fn a_peer_that_is_lost_while_a_handler_waits_drops_it_and_then_the_protocol_is_told_once() {
    let stage = Stage::new();
    stage.begin("wait").reset();
    stage.until("dropped");
    let notes = stage.notes.all();
    assert_eq!(notes[..3], ["made", "begins wait", "handler dropped"]);
    assert!(notes[3].contains("Connection reset"), "{notes:?}");
    assert_eq!(notes[4..], ["dropped"]);
    assert_eq!(stage.reports.len(), 0);
}

#[test]
fn an_abort_while_a_handler_waits_drops_it_before_what_it_waits_for_fails() {
    let stage = Stage::new();
    let _peer = stage.begin("much");
    turn(&stage.reactor);
    stage.transports.borrow()[0].abort_connection();
    stage.until("dropped");
    stage.notes.expect(&[
        "made",
        "begins much",
        "handler dropped",
        "lost: the connection was aborted here: abort_connection was called",
        "dropped",
    ]);
    assert_eq!(stage.reports.len(), 0, "{:?}", stage.reports.all());
}

#[test]
fn a_peer_that_ends_its_half_while_a_handler_waits_is_answered_and_then_told() {
    let stage = Stage::new();
    let mut peer = stage.begin("wait");
    peer.half_close();
    turn(&stage.reactor);
    stage.notes.expect(&["made", "begins wait"]);
    stage.open_gate();
    stage.until("dropped");
    assert_eq!(peer.until_end(&stage.reactor), "end of stream");
    assert_eq!(peer.got, b"last words ");
    let expected = ["made", "begins wait", "ends wait", "read closed", "lost: done", "dropped"];
    stage.notes.expect(&expected);
}

#[test]
fn a_handler_that_fails_before_or_after_its_wait_resets_and_is_reported_once() {
    for word in ["error", "Error", "panic", "Panic"] {
        let stage = Stage::new();
        let mut peer = stage.begin(word);
        stage.open_gate();
        stage.until("dropped");
        assert_eq!(peer.until_end(&stage.reactor), "ConnectionReset", "{word}");
        assert_eq!(stage.reports.len(), 1, "{word}: {:?}", stage.reports.all());
        let report = stage.reports.all().remove(0);
        assert!(report.contains("on purpose"), "{report}");
        assert!(report.contains("panic") || report.contains("tests/awaited.rs"), "{report}");
        let notes = stage.notes.all();
        assert_eq!(notes[2], "handler dropped", "{word}");
        assert!(notes[3].starts_with("lost: ") && notes[3].contains("on purpose"), "{notes:?}");
        assert_eq!(notes[4..], ["dropped"], "{word}");
    }
}

#[test]
fn what_a_handler_wrote_before_it_failed_is_sent() {
    for word in ["error", "Error", "panic", "Panic"] {
        let stage = Stage::new();
        let mut peer = Peer::call(&stage.port);
        peer.send(word.as_bytes());
        until(&stage.reactor, "the peer hears it", || {
            if stage.notes.has("begins") && stage.gate.is_empty() && !stage.notes.has("dropped") {
                stage.open_gate();
            }
            peer.hear() == b"last words " || peer.end.is_some()
        });
        assert_eq!(peer.got, b"last words ", "{word}");
    }
}

#[test]
fn lose_connection_inside_a_handler_lets_it_run_until_the_connection_is_lost() {
    let stage = Stage::new();
    let mut peer = stage.begin("lose");
    assert_eq!(peer.until_end(&stage.reactor), "end of stream");
    drop(peer);
    stage.until("dropped");
    let expected = ["made", "begins lose", "handler dropped", "lost: done", "dropped"];
    stage.notes.expect(&expected);
}

#[test]
fn a_pause_that_was_asked_for_while_a_handler_waits_begins_when_it_is_done() {
    let stage = Stage::new();
    let mut peer = stage.begin("wait");
    stage.transports.borrow()[0].pause_reading();
    peer.send(b"next");
    stage.open_gate();
    stage.until("ends wait");
    turn(&stage.reactor);
    assert!(!stage.notes.has("begins next"));
    stage.transports.borrow()[0].resume_reading();
    stage.until("ends next");
}

#[test]
fn nothing_is_read_from_a_peer_that_does_not_take_what_is_written() {
    let (reactor, seen) = (Reactor::new().unwrap(), Rc::<RefCell<usize>>::default());
    struct Echo(Rc<RefCell<usize>>);
    impl AsyncProtocol for Echo {
        async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            *self.0.borrow_mut() += data.len();
            transport.write(vec![0; MUCH]);
            Ok(())
        }
    }
    let count = seen.clone();
    let build = move |_: &Address| Awaited::new(Echo(count.clone()));
    let port = reactor.listen("127.0.0.1:0", build).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(&[1; 60_000]);
    until(&reactor, "some is read", || *seen.borrow() > 0);
    let before = *seen.borrow();
    peer.send(b"and one more");
    turn(&reactor);
    assert_eq!(*seen.borrow(), before);
    until(&reactor, "all is read", || peer.hear().len() >= MUCH && *seen.borrow() == 60_012);
}

#[test]
fn a_handler_that_awaits_a_drained_transport_goes_on_when_the_peer_has_read() {
    let stage = Stage::new();
    let mut peer = stage.begin("much");
    let expected = [b"last words ".to_vec(), vec![b'm'; MUCH]].concat();
    peer.until_heard(&stage.reactor, &expected);
    stage.until("ends much");
}

#[test]
fn the_end_of_the_reactor_drops_a_handler_that_waits_and_tells_its_protocol() {
    let stage = Stage::new();
    let _peer = stage.begin("wait");
    let notes = stage.notes.clone();
    stage.transports.borrow_mut().clear();
    drop(stage);
    let notes = notes.all();
    assert_eq!(notes[2], "handler dropped");
    assert!(notes[3].starts_with("lost: ") && notes[4..] == ["dropped"], "{notes:?}");
}

#[test]
fn a_client_awaits_its_handlers_too() {
    let stage = Stage::new();
    struct Client(Notes);
    impl AsyncProtocol for Client {
        async fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.reactor().yield_now().await;
            transport.write("hello");
            Ok(())
        }
        async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            transport.reactor().yield_now().await;
            self.0.add(data.escape_ascii());
            transport.lose_connection();
            Ok(())
        }
    }
    let heard = Notes::default();
    let log = heard.clone();
    let client = move |_: &Address| Awaited::new(Client(log.clone()));
    let connecting = stage.reactor.connect(stage.port.host(), client);
    let connected = stage.reactor.run_until(connecting).unwrap();
    stage.until("dropped");
    heard.expect(&["last words "]);
    drop(connected);
}

struct Lines(Notes, Gate);

impl AsyncLineProtocol for Lines {
    async fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        self.0.add(format!("begins {}", line.escape_ascii()));
        self.1.get().await?;
        Ok(send_line(transport, line)?)
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.0.add(reason);
    }
}

#[test]
fn lines_that_came_together_are_handled_one_by_one_and_no_line_is_endless() {
    let (reports, reactor) = (hear_reports(), Reactor::new().unwrap());
    let (notes, gate) = (Notes::default(), Gate::new(DeferredQueue::new()));
    let (log, pass) = (notes.clone(), gate.clone());
    let build = move |_: &Address| {
        LineReceiver::new(Awaited::new(Lines(log.clone(), pass.clone()))).max_length(10)
    };
    let port = reactor.listen("127.0.0.1:0", build).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"one\r\ntwo\r\nthree is longer than ten");
    until(&reactor, "the first line", || notes.has("begins one"));
    turn(&reactor);
    notes.expect(&["begins one"]);
    gate.put(()).unwrap();
    until(&reactor, "the second line", || notes.has("begins two"));
    turn(&reactor);
    notes.expect(&["begins one", "begins two"]);
    peer.until_heard(&reactor, b"one\r\n");
    gate.put(()).unwrap();
    until(&reactor, "the end", || notes.len() == 3);
    assert!(notes.all()[2].contains("it sent a line over 10 bytes"), "{:?}", notes.all());
    assert_eq!(reports.len(), 0, "{:?}", reports.all());
}

#[test]
fn the_end_of_a_peer_comes_after_its_last_line_was_handled() {
    let reactor = Reactor::new().unwrap();
    let (notes, gate) = (Notes::default(), Gate::new(DeferredQueue::new()));
    let (log, pass) = (notes.clone(), gate.clone());
    let build =
        move |_: &Address| LineReceiver::new(Awaited::new(Lines(log.clone(), pass.clone())));
    let port = reactor.listen("127.0.0.1:0", build).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"one\r\ntwo\r\n");
    peer.half_close();
    until(&reactor, "the first line", || notes.has("begins one"));
    turn(&reactor);
    gate.put(()).unwrap();
    gate.put(()).unwrap();
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert_eq!(peer.got, b"one\r\ntwo\r\n");
}

#[test]
fn strings_are_handled_one_by_one_with_the_limits_of_their_framing() {
    struct Strings;
    impl AsyncStringProtocol for Strings {
        async fn string_received(&mut self, transport: &Transport, string: &[u8]) -> Result {
            transport.reactor().yield_now().await;
            Ok(send_netstring(transport, string, 10)?)
        }
    }
    let reactor = Reactor::new().unwrap();
    let build = |_: &Address| NetstringReceiver::new(Awaited::new(Strings)).max_length(10);
    let port = reactor.listen("127.0.0.1:0", build).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"3:one,3:two,11:");
    peer.until_heard(&reactor, b"3:one,3:two,");
    peer.until_end(&reactor);
}

#[test]
fn datagrams_are_handled_one_by_one_and_one_that_fails_ends_no_other() {
    struct Answers(Notes);
    impl AsyncDatagramProtocol for Answers {
        async fn started(&mut self, transport: &DatagramTransport) -> Result {
            transport.reactor().yield_now().await;
            self.0.add("started");
            Ok(())
        }
        async fn datagram_received(
            &mut self,
            transport: &DatagramTransport,
            data: &[u8],
            _: &Address,
        ) -> Result {
            self.0.add(format!("begins {}", data.escape_ascii()));
            transport.reactor().yield_now().await;
            self.0.add(format!("ends {}", data.escape_ascii()));
            match data {
                b"error" => Err(Failure::msg("on purpose")),
                b"panic" => panic!("on purpose"),
                _ => Ok(()),
            }
        }
        fn stopped(&mut self) {
            self.0.add("stopped");
        }
    }
    let (reports, reactor, notes) = (hear_reports(), Reactor::new().unwrap(), Notes::default());
    let protocol = AwaitedDatagrams::new(Answers(notes.clone()));
    let transport = reactor.listen_udp("127.0.0.1:0", protocol).unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = transport.host().socket_addr().unwrap();
    for word in ["error", "panic", "well"] {
        socket.send_to(word.as_bytes(), to).unwrap();
    }
    until(&reactor, "all are handled", || notes.has("ends well"));
    reactor.run_until(transport.stop_listening()).unwrap();
    let words = ["error", "panic", "well"];
    let pairs = words.iter().flat_map(|word| [format!("begins {word}"), format!("ends {word}")]);
    let expected: Vec<_> =
        ["started".into()].into_iter().chain(pairs).chain(["stopped".into()]).collect();
    assert_eq!(notes.all(), expected);
    assert_eq!(reports.count("unhandled failure in a handler"), 2, "{:?}", reports.all());
}

#[test]
fn a_handler_calls_every_method_of_its_transport() {
    struct All(Notes);
    impl AsyncProtocol for All {
        async fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
            for waits in [false, true] {
                if waits {
                    transport.reactor().yield_now().await;
                }
                transport.pause_reading();
                transport.resume_reading();
                transport.write("one");
                transport.write_vectored(&[std::io::IoSlice::new(b"two")]);
                transport.set_nodelay(true)?;
                let _ = (transport.peer(), transport.host(), transport.is_reading());
                transport.drained().await?;
                self.0.add(transport.is_connected());
            }
            transport.lose_write_connection();
            transport.lose_connection();
            transport.abort_connection();
            transport.write("nobody");
            Ok(())
        }
        fn connection_lost(&mut self, reason: &Failure) {
            self.0.add(reason);
        }
    }
    let (reports, reactor, notes) = (hear_reports(), Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    let build = move |_: &Address| Awaited::new(All(log.clone()));
    let port = reactor.listen("127.0.0.1:0", build).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"go");
    peer.until_heard(&reactor, b"onetwoonetwo");
    until(&reactor, "the end", || notes.len() == 3);
    notes.expect(&["true", "true", "the connection was aborted here: abort_connection was called"]);
    assert_eq!(reports.len(), 0);
}

#[test]
fn panics_in_the_drop_of_a_handler_and_in_connection_lost_are_said_and_end_nothing_else() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }
    struct Bad(Notes);
    impl AsyncProtocol for Bad {
        async fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            let _bomb = Bomb;
            self.0.add("begins");
            std::future::pending().await
        }
        fn connection_lost(&mut self, _: &Failure) {
            self.0.add("lost");
            panic!("in connection_lost");
        }
    }
    let (reports, reactor, notes) = (hear_reports(), Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    let build = move |_: &Address| Awaited::new(Bad(log.clone()));
    let port = reactor.listen("127.0.0.1:0", build).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"go");
    until(&reactor, "it begins", || notes.has("begins"));
    peer.reset();
    until(&reactor, "it is lost", || notes.has("lost") && reports.len() == 2);
    notes.expect(&["begins", "lost"]);
    assert_eq!(reports.count("panic in the drop of a handler"), 1, "{:?}", reports.all());
    assert_eq!(reports.count("panic in connection_lost"), 1, "{:?}", reports.all());
}

#[test]
fn a_policy_around_a_factory_of_awaited_protocols_admits_and_refuses() {
    let (reactor, notes, gate) = (Reactor::new().unwrap(), Notes::default(), Gate::default());
    let log = notes.clone();
    let build = move |_: &Address| {
        let (notes, gate) = (log.clone(), gate.clone());
        Awaited::new(Actor { notes, gate, transports: Rc::default() })
    };
    let limit = ropewalk::policies::ConnectionLimit::new().total(1);
    let port = reactor.listen("127.0.0.1:0", ropewalk::policies::factory(limit, build)).unwrap();
    let mut first = Peer::call(&port);
    first.send(b"x");
    first.until_heard(&reactor, b"last words ");
    let mut second = Peer::call(&port);
    second.until_end(&reactor);
    assert_eq!(second.got, b"");
    drop(first);
    until(&reactor, "the first is lost", || notes.has("dropped"));
    notes.expect(&["made", "begins x", "ends x", "read closed", "lost: done", "dropped"]);
}
