//! Ends that nobody asked for: resets, failures, panics, a peer that takes nothing.

use super::kit::{FACES, Face, MUCH, Notes, Peer, Role, census, hear_reports, serve, turn, until};
use futures_util::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use ropewalk::{Address, Failure, Protocol, Reactor, Result, Stream, Transport};
use std::cell::{Cell, RefCell};
use std::io::Read;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

#[test]
fn a_reset_by_the_peer_ends_its_connection_and_no_other() {
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Echo);
        let (peer, mut other) = (Peer::call(&server.port), Peer::call(&server.port));
        until(&reactor, "accepted", || server.transports.borrow().len() == 2);
        peer.reset();
        until(&reactor, "the end is told", || server.ends.len() == 1);
        if face == Face::Protocol {
            assert!(server.ends.all()[0].contains("was lost: Connection reset"));
        }
        other.send(b"still there?");
        other.until_heard(&reactor, b"still there?");
        turn(&reactor);
        reports.expect(&[]);
        assert_eq!((server.ends.len(), census(&reactor).0), (1, 2));
    }
}

#[test]
fn bytes_sent_before_a_reset_that_follows_at_once_cost_nothing_but_the_connection() {
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Echo);
        for _ in 0..20 {
            let mut peer = Peer::call(&server.port);
            peer.send(b"bye");
            peer.reset();
        }
        until(&reactor, "the ends are told", || server.ends.len() == 20);
        turn(&reactor);
        assert_eq!(census(&reactor), (1, 0));
        reports.expect(&[]);
    }
}

#[test]
fn a_failure_resets_its_connection_after_what_was_written_and_is_said_once() {
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Fail);
        let (mut peer, other) = (Peer::call(&server.port), Peer::call(&server.port));
        until(&reactor, "accepted", || server.transports.borrow().len() == 2);
        peer.send(b"x");
        let end = peer.until_end(&reactor).to_owned();
        until(&reactor, "the end is told", || server.ends.len() == 1);
        turn(&reactor);
        assert_eq!((end.as_str(), &peer.got[..]), ("ConnectionReset", &b"last words"[..]));
        match face {
            Face::Protocol => {
                server.ends.expect(&["lost: on purpose"]);
                assert!(reports.has("unhandled failure in data_received: on purpose"));
            }
            Face::Stream => {
                assert!(reports.has("unhandled failure in a handler: on purpose"));
            }
        }
        assert_eq!((reports.len(), server.ends.len(), census(&reactor).0), (1, 1, 2));
        drop(other);
    }
}

#[test]
fn a_panic_resets_its_connection_after_what_was_written_and_is_said_once() {
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Panic);
        let (mut peer, other) = (Peer::call(&server.port), Peer::call(&server.port));
        until(&reactor, "accepted", || server.transports.borrow().len() == 2);
        peer.send(b"x");
        let end = peer.until_end(&reactor).to_owned();
        assert_eq!((end.as_str(), &peer.got[..]), ("ConnectionReset", &b"last words"[..]));
        until(&reactor, "the end is told", || server.ends.len() == 1);
        turn(&reactor);
        assert_eq!((reports.len(), server.ends.len(), census(&reactor).0), (1, 1, 2));
        assert!(
            reports.has("panic in a protocol") || reports.has("unhandled failure in a handler")
        );
        drop(other);
    }
}

/// Panics in the method of that name.
struct Fragile {
    method: &'static str,
    lost: Notes,
    dropped: Rc<Cell<usize>>,
}

impl Fragile {
    fn enter(&self, method: &str) {
        assert!(self.method != method, "in {method}");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
        if !std::thread::panicking() {
            self.enter("drop");
        }
    }
}

impl Protocol for Fragile {
    fn connection_made(&mut self, _: &Transport) {
        self.enter("connection_made");
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.enter("data_received");
        if data == b"write" {
            transport.write(vec![0; MUCH]);
        }
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        self.enter("read_closed");
        transport.lose_write_connection();
    }

    fn write_closed(&mut self, _: &Transport) {
        self.enter("write_closed");
    }

    fn pause_writing(&mut self, _: &Transport) {
        self.enter("pause_writing");
    }

    fn resume_writing(&mut self, _: &Transport) {
        self.enter("resume_writing");
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.lost.add(reason);
        self.enter("connection_lost");
    }
}

#[test]
fn a_panic_in_any_method_costs_one_connection_and_one_report() {
    let methods = [
        "connection_made",
        "data_received",
        "read_closed",
        "write_closed",
        "pause_writing",
        "resume_writing",
        "connection_lost",
        "drop",
    ];
    for method in methods {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let (lost, dropped, first) = (Notes::default(), Rc::new(Cell::new(0)), Cell::new(true));
        let (ends, drops) = (lost.clone(), dropped.clone());
        let factory = move |_: &Address| {
            let method = if first.replace(false) { method } else { "none" };
            Fragile { method, lost: ends.clone(), dropped: drops.clone() }
        };
        let port = reactor.listen("127.0.0.1:0", factory).unwrap();
        let mut peer = Peer::call(&port);
        until(&reactor, "accepted", || census(&reactor).0 == 2 || lost.len() == 1);
        if lost.len() == 0 {
            peer.send(b"write");
            turn(&reactor);
            turn(&reactor);
            until(&reactor, "the peer takes much", || peer.hear().len() == MUCH || lost.len() == 1);
            let _ = peer.socket.shutdown(std::net::Shutdown::Write);
        }
        peer.until_end(&reactor);
        until(&reactor, "the end is told", || lost.len() == 1);
        let mut other = Peer::call(&port);
        other.send(b"fine");
        other.half_close();
        assert_eq!(other.until_end(&reactor), "end of stream", "after a panic in {method}");
        until(&reactor, "the other's end", || dropped.get() == 2);
        assert_eq!((lost.len(), reports.len()), (2, 1), "{method}: {:?}", reports.all());
        assert!(reports.all()[0].contains(&format!("in {method}")), "{:?}", reports.all());
        assert_eq!(census(&reactor), (1, 0));
    }
}

#[test]
fn a_peer_that_takes_nothing_is_cut_off_after_the_close_timeout() {
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Echo);
        let mut peer = Peer::call(&server.port);
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);
        let transport = server.transports.borrow()[0].clone();
        transport.set_close_timeout(Duration::from_millis(20));
        transport.write(vec![1; MUCH]);
        transport.lose_connection();
        until(&reactor, "it is cut off", || server.ends.len() == 1 && census(&reactor) == (1, 0));
        if face == Face::Protocol {
            let end = &server.ends.all()[0];
            assert!(end.starts_with("lost: the connection was aborted here: the peer 127.0.0.1:"));
            assert!(end.ends_with("took no byte for 20ms"), "{end}");
        }
        assert_eq!(peer.until_end(&reactor), "ConnectionReset");
        assert!(peer.got.len() < MUCH);
        reports.expect(&[]);
    }
}

#[test]
fn a_peer_that_takes_something_in_time_is_waited_for() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let mut peer = Peer::call(&server.port);
    until(&reactor, "accepted", || server.transports.borrow().len() == 1);
    let transport = server.transports.borrow()[0].clone();
    transport.set_close_timeout(Duration::from_millis(300));
    transport.write(vec![1; MUCH]);
    transport.lose_connection();
    turn(&reactor);
    let deadline = || reactor.delayed_calls().first().map(ropewalk::clock::DelayedCall::deadline);
    let (first, mut taken, mut piece) = (deadline().expect("it is watched"), 0, vec![0; 65_536]);
    until(&reactor, "the time is over once, and it is watched anew", || {
        let pause = std::time::Instant::now() + Duration::from_millis(5);
        while std::time::Instant::now() < pause {
            reactor.turn(Some(Duration::from_millis(5))).unwrap();
        }
        taken += std::io::Read::read(&mut peer.socket, &mut piece).unwrap_or(0);
        deadline().is_none_or(|deadline| deadline > first)
    });
    assert_eq!(server.ends.len(), 0, "after {taken} bytes");
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert_eq!(taken + peer.got.len(), MUCH);
    until(&reactor, "the end", || server.ends.has("lost: the connection was closed in order"));
    assert!(reactor.delayed_calls().is_empty(), "the timer ends with the connection");
}

/// Stops reading when the first byte comes, or at once.
struct Deaf {
    at_once: bool,
    ends: Notes,
    transports: Rc<Cell<Option<Transport>>>,
}

impl Protocol for Deaf {
    fn connection_made(&mut self, transport: &Transport) {
        if self.at_once {
            transport.pause_reading();
        }
        self.transports.set(Some(transport.clone()));
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.ends.add(format!("got {}", data.len()));
        transport.pause_reading();
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.ends.add(format!("lost: {reason}"));
    }
}

fn deaf(reactor: &Reactor, at_once: bool) -> (ropewalk::Port, Notes, Rc<Cell<Option<Transport>>>) {
    let (ends, transports) = (Notes::default(), Rc::new(Cell::new(None)));
    let (notes, shelf) = (ends.clone(), transports.clone());
    let factory =
        move |_: &Address| Deaf { at_once, ends: notes.clone(), transports: shelf.clone() };
    (reactor.listen("127.0.0.1:0", factory).unwrap(), ends, transports)
}

#[test]
fn the_peers_end_is_noticed_while_reading_is_paused() {
    let reactor = Reactor::new().unwrap();
    let (port, ends, _) = deaf(&reactor, true);
    let peer = Peer::call(&port);
    until(&reactor, "accepted", || census(&reactor).0 == 2);
    turn(&reactor);
    drop(peer);
    until(&reactor, "the end is told", || ends.len() == 1);
    ends.expect(&["lost: the connection was closed in order"]);
}

#[test]
fn an_end_that_came_with_the_bytes_is_noticed_though_they_paused_reading() {
    let reactor = Reactor::new().unwrap();
    let (port, ends, _) = deaf(&reactor, false);
    let mut peer = Peer::call(&port);
    until(&reactor, "accepted", || census(&reactor).0 == 2);
    turn(&reactor);
    peer.send(b"all");
    drop(peer);
    until(&reactor, "the end is told", || ends.len() == 2);
    ends.expect(&["got 3", "lost: the connection was closed in order"]);
}

#[test]
fn bytes_before_the_peers_end_wait_while_reading_is_paused() {
    let reactor = Reactor::new().unwrap();
    let (port, ends, transport) = deaf(&reactor, true);
    let mut peer = Peer::call(&port);
    peer.send(b"patience");
    drop(peer);
    until(&reactor, "accepted", || census(&reactor).0 == 2);
    turn(&reactor);
    ends.expect(&[]);
    transport.take().unwrap().resume_reading();
    until(&reactor, "the end is told", || ends.len() == 2);
    ends.expect(&["got 8", "lost: the connection was closed in order"]);
}

#[test]
fn a_reset_is_noticed_while_reading_is_paused() {
    let reactor = Reactor::new().unwrap();
    let (port, ends, _) = deaf(&reactor, true);
    let peer = Peer::call(&port);
    until(&reactor, "accepted", || census(&reactor).0 == 2);
    turn(&reactor);
    peer.reset();
    until(&reactor, "the end is told", || ends.len() == 1);
    assert!(ends.all()[0].contains("was lost: Connection reset"), "{:?}", ends.all());
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 0));
}

#[test]
fn a_reset_behind_unread_bytes_is_noticed_when_reading_resumes() {
    let reactor = Reactor::new().unwrap();
    let (port, ends, transport) = deaf(&reactor, true);
    let mut peer = Peer::call(&port);
    peer.send(b"unread");
    until(&reactor, "accepted", || census(&reactor).0 == 2);
    peer.reset();
    turn(&reactor);
    transport.take().unwrap().resume_reading();
    until(&reactor, "the end is told", || ends.has("lost: "));
    turn(&reactor);
    assert_eq!((ends.count("lost: "), census(&reactor)), (1, (1, 0)));
}

#[test]
fn a_stream_that_waits_while_paused_wakes_when_it_may_read_again() {
    let reactor = Reactor::new().unwrap();
    let (port, heard, shelf) =
        (Rc::new(Cell::new(None)), Notes::default(), Rc::new(Cell::new(None::<Transport>)));
    let (notes, transports) = (heard.clone(), shelf.clone());
    let handler = async move |mut stream: ropewalk::Stream| {
        stream.transport().pause_reading();
        transports.set(Some(stream.transport()));
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        notes.add(text);
        Ok(())
    };
    port.set(Some(reactor.serve("127.0.0.1:0", handler).unwrap()));
    let mut peer = Peer::call(&port.take().unwrap());
    peer.send(b"later");
    peer.half_close();
    let begun = || {
        let transport = shelf.take();
        shelf.set(transport.clone());
        transport.is_some()
    };
    until(&reactor, "the handler begins", begun);
    turn(&reactor);
    heard.expect(&[]);
    shelf.take().expect("the handler began").resume_reading();
    until(&reactor, "it is read", || heard.len() == 1);
    heard.expect(&["later"]);
}

#[test]
fn drained_fails_if_the_peer_went_away_before_it_took_all() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let peer = Peer::call(&server.port);
    until(&reactor, "accepted", || server.transports.borrow().len() == 1);
    let transport = server.transports.borrow()[0].clone();
    let outcome = Notes::default();
    let note = outcome.clone();
    reactor.call_later(Duration::ZERO, move || {
        // The reset is here before the write, and the loop has not been told of it.
        peer.reset();
        transport.write(b"into the void");
        transport.drained().add_both(move |drained| note.add(drained.is_ok()));
    });
    until(&reactor, "drained is decided", || outcome.len() == 1);
    outcome.expect(&["false"]);
}

#[test]
fn a_flush_fails_if_the_peer_went_away_before_it_took_all() {
    use futures_util::AsyncWriteExt;
    let reactor = Reactor::new().unwrap();
    let (gate, open) = ropewalk::Deferred::<()>::new();
    let (open, outcome) = (Cell::new(Some(open)), Notes::default());
    let note = outcome.clone();
    let handler = async move |mut stream: ropewalk::Stream| {
        open.take().expect("one connection").await?;
        stream.write_all(b"into the void").await?;
        note.add(stream.flush().await.is_ok());
        note.add(stream.close().await.is_ok());
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let peer = Peer::call(&port);
    until(&reactor, "accepted", || census(&reactor) == (2, 1));
    turn(&reactor);
    // The reset is here before the write, and the loop has not been told of it.
    peer.reset();
    gate.callback(()).unwrap();
    until(&reactor, "the handler is done", || outcome.len() == 2);
    outcome.expect(&["false", "false"]);
}

thread_local! {
    /// What a [`Scribe`] writes to.
    static PAPER: RefCell<Option<Stream>> = const { RefCell::new(None) };
}

/// Who is woken writes at once, instead of telling somebody to.
struct Scribe;

impl Wake for Scribe {
    fn wake(self: Arc<Self>) {
        let mut paper = PAPER.take().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut paper).poll_write(&mut context, b"it broke");
        assert!(matches!(written, Poll::Ready(Ok(8))));
        PAPER.set(Some(paper));
    }
}

#[test]
fn a_waker_that_hears_of_a_failed_write_may_write_elsewhere() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let ((input, _peer), (gone, output)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let ((other_input, _other_peer), (mut kept, other_output)) =
        (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let mut stream = reactor.open_pipes(input, output).unwrap();
    PAPER.set(Some(reactor.open_pipes(other_input, other_output).unwrap()));
    turn(&reactor);

    let breaking = reactor.spawn(async move {
        stream.write_all(b"to nobody").await?;
        let scribe = Waker::from(Arc::new(Scribe));
        let flushed = Pin::new(&mut stream).poll_flush(&mut Context::from_waker(&scribe));
        assert!(flushed.is_pending(), "it waits for the end of this poll");
        drop(gone);
        // Whoever waits for bytes has what it wrote sent, here in vain.
        let mut context = Context::from_waker(Waker::noop());
        Ok(Pin::new(&mut stream).poll_read(&mut context, &mut [0]).is_pending())
    });

    assert!(reactor.run_until(breaking).unwrap());
    turn(&reactor);
    let mut heard = [0; 8];
    kept.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"it broke");
    reports.expect(&[]);
    PAPER.take();
}
