//! A peer that does not read: water marks, `drained`, and writers that wait.

use super::kit::{Face, MUCH, Notes, Peer, Role, hear_reports, pattern, serve, turn, until};
use super::layers::Chatty;
use futures_util::future::join;
use futures_util::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use ropewalk::simulation::Simulation;
use ropewalk::{Address, Protocol, Reactor, Result, Stream, Transport};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

struct Marked(Notes);

impl Protocol for Marked {
    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        transport.write(pattern(MUCH));
        self.0.add("wrote");
        Ok(())
    }

    fn pause_writing(&mut self, _: &Transport) {
        self.0.add("pause");
    }

    fn resume_writing(&mut self, transport: &Transport) {
        self.0.add("resume");
        transport.write(b"more");
    }
}

#[test]
fn a_peer_that_never_reads_pauses_the_writer_once_and_resumes_it_once() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Marked(log.clone())).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"go");
    until(&reactor, "the mark is told", || notes.len() == 2);
    turn(&reactor);
    notes.expect(&["wrote", "pause"]);
    let expected = [pattern(MUCH), b"more".to_vec()].concat();
    peer.until_heard(&reactor, &expected);
    notes.expect(&["wrote", "pause", "resume"]);
}

#[test]
fn what_fits_below_the_mark_pauses_nobody() {
    struct Modest(Notes);
    impl Protocol for Modest {
        fn connection_made(&mut self, transport: &Transport) {
            transport.write([0; 64 * 1024]);
        }
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
        fn pause_writing(&mut self, _: &Transport) {
            self.0.add("pause");
        }
        fn resume_writing(&mut self, _: &Transport) {
            self.0.add("resume");
        }
    }
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Modest(log.clone())).unwrap();
    Peer::call(&port).until_heard(&reactor, &[0; 64 * 1024]);
    notes.expect(&[]);
}

#[test]
fn a_stream_waits_with_its_write_until_the_peer_reads() {
    let (reactor, written) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    let count = written.clone();
    let handler = async move |mut stream: ropewalk::Stream| {
        for piece in pattern(MUCH).chunks(10_000) {
            stream.write_all(piece).await?;
            count.set(count.get() + piece.len());
        }
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    let mut before = usize::MAX;
    until(&reactor, "it waits", || {
        turn(&reactor);
        written.get() > 0 && std::mem::replace(&mut before, written.get()) == written.get()
    });
    assert!(written.get() < MUCH, "all of it cannot be under way");
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert!(peer.got == pattern(MUCH));
}

#[test]
fn a_flush_waits_for_the_last_byte() {
    const ROOM: usize = 64 * 1024;
    let (reactor, notes, is_open) =
        (Reactor::new().unwrap(), Notes::default(), Rc::new(Cell::new(false)));
    let (log, lid) = (notes.clone(), is_open.clone());
    let handler = async move |mut stream: Stream| {
        let lid = lid.clone();
        let on_write = move |layer: &mut Chatty, data: &[u8]| match lid.get() {
            true => layer.below.write(data),
            false => Err(std::io::ErrorKind::WouldBlock.into()),
        };
        Chatty::put_on(&stream.transport(), Rc::new(RefCell::new(on_write)));
        stream.write_all(&pattern(ROOM)).await?;
        log.add("written");
        stream.flush().await?;
        log.add("flushed");
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    until(&reactor, "it is written", || notes.len() > 0);
    turn(&reactor);
    notes.expect(&["written"]);
    is_open.set(true);
    // An edge.
    peer.send(b".");
    peer.until_heard(&reactor, &pattern(ROOM));
    until(&reactor, "it is flushed", || notes.len() == 2);
}

#[test]
fn a_write_of_much_is_done_when_the_peer_has_taken_most_of_it_and_not_before() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    let handler = async move |mut stream: ropewalk::Stream| {
        stream.write_all(&pattern(MUCH)).await?;
        log.add("written");
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    (0..20).for_each(|_| turn(&reactor));
    notes.expect(&[]);
    peer.until_heard(&reactor, &pattern(MUCH));
    until(&reactor, "it is written", || notes.len() == 1);
}

/// How much streams take whose layer takes nothing, written to as `poll` does.
fn taken_by_a_stuck_stream(
    poll: impl Fn(Pin<&mut Stream>, &mut Context<'_>) -> Poll<std::io::Result<usize>> + 'static,
) -> usize {
    let (reactor, reports, taken) =
        (Reactor::new().unwrap(), hear_reports(), Rc::new(Cell::new(0)));
    let (poll, count) = (Rc::new(poll), taken.clone());
    let handler = async move |mut stream: Stream| {
        let stuck = Rc::new(RefCell::new(|_: &mut Chatty, _: &[u8]| {
            Err(std::io::ErrorKind::WouldBlock.into())
        }));
        Chatty::put_on(&stream.transport(), stuck);
        while let Ok(written) = poll_fn(|context| poll(Pin::new(&mut stream), context)).await {
            count.set(count.get() + written);
        }
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let _peer = Peer::call(&port);
    let mut before = usize::MAX;
    until(&reactor, "it waits", || {
        turn(&reactor);
        taken.get() > 0 && std::mem::replace(&mut before, taken.get()) == taken.get()
    });
    reports.expect(&[]);
    taken.get()
}

#[test]
fn so_much_waits_for_a_peer_that_takes_nothing_and_no_more_however_it_is_written() {
    let much = pattern(1 << 20);
    for size in [1, 100, 4096, 16 * 1024, 64 * 1024, 64 * 1024 + 1, 1 << 20] {
        let piece = much[..size].to_vec();
        let taken =
            taken_by_a_stuck_stream(move |stream, context| stream.poll_write(context, &piece));
        assert_eq!(taken, 64 * 1024, "in pieces of {size}");
    }
    let taken = taken_by_a_stuck_stream(move |stream, context| {
        stream.poll_write_vectored(context, &[IoSlice::new(b"x"), IoSlice::new(&much)])
    });
    assert_eq!(taken, 64 * 1024, "in slices");
    let twice = taken_by_a_stuck_stream(|stream, context| {
        // What a callback would write is taken whole; a stream then waits for that as well.
        stream.transport().write([0; 40_000]);
        stream.poll_write(context, &[0; 40_000])
    });
    assert_eq!(twice, 64 * 1024 - 40_000);
}

#[test]
fn a_time_limit_around_a_write_to_a_peer_that_does_not_read_is_kept() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let outcome = Notes::default();
    let (log, reactor) = (outcome.clone(), server.reactor());
    let handler = async move |stream: Stream| {
        let (_reader, mut writer) = stream.split();
        let writing = async move { Ok(writer.write_all(&pattern(MUCH)).await?) };
        let limited = reactor.spawn(writing).add_timeout(Duration::from_secs(3), &reactor);
        log.add(limited.await.unwrap_err());
        Ok(())
    };
    server.reactor().serve("0.0.0.0:80", handler).unwrap();
    let deaf = client.reactor().open("server:80");
    let waiting = client.reactor().sleep(Duration::from_secs(10));
    simulation
        .run_until(async move {
            let _deaf = deaf.await?;
            waiting.await;
            Ok(())
        })
        .unwrap();
    assert_eq!(outcome.len(), 1, "{:?}", outcome.all());
    assert!(outcome.has("timed out") || outcome.has("3s"), "{:?}", outcome.all());
}

#[test]
fn a_writer_and_a_reader_of_one_stream_wait_side_by_side() {
    let reactor = Reactor::new().unwrap();
    let handler = async |stream: ropewalk::Stream| {
        let (mut read, mut write) = stream.split();
        let much = pattern(MUCH);
        let mut all = Vec::new();
        let (wrote, got) = join(write.write_all(&much), read.read_to_end(&mut all)).await;
        wrote?;
        got?;
        write.write_all(&all).await?;
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    turn(&reactor);
    peer.send(b"to the reader");
    turn(&reactor);
    peer.send(b", and on");
    peer.half_close();
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert!(peer.got.ends_with(b"to the reader, and on") && peer.got.len() == MUCH + 21);
}

#[test]
fn drained_fires_when_the_peer_has_taken_enough_and_not_before() {
    for face in [Face::Protocol, Face::Stream] {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(face, &reactor, Role::Echo);
        let mut peer = Peer::call(&server.port);
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);
        let (transport, notes) = (server.transports.borrow()[0].clone(), Notes::default());
        transport.write(pattern(MUCH));
        for name in ["first", "second"] {
            let log = notes.clone();
            transport.drained().map(move |()| log.add(name));
        }
        turn(&reactor);
        notes.expect(&[]);
        peer.until_heard(&reactor, &pattern(MUCH));
        until(&reactor, "it is drained", || notes.len() == 2);
        notes.expect(&["first", "second"]);
        let log = notes.clone();
        transport.drained().map(move |()| log.add("at once"));
        assert_eq!(notes.len(), 3);
        reports.expect(&[]);
    }
}

#[test]
fn drained_in_a_callback_counts_what_the_callback_wrote() {
    struct Asks(Notes);
    impl Protocol for Asks {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            transport.write(data);
            let notes = self.0.clone();
            transport.drained().map(move |()| notes.add("drained"));
            self.0.add("asked");
            Ok(())
        }
    }
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Asks(log.clone())).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"x");
    peer.until_heard(&reactor, b"x");
    notes.expect(&["asked", "drained"]);
}

#[test]
fn drained_fails_when_the_connection_is_aborted_first() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let _peer = Peer::call(&server.port);
    until(&reactor, "accepted", || server.transports.borrow().len() == 1);
    let transport = server.transports.borrow()[0].clone();
    transport.write(pattern(MUCH));
    let drained = transport.drained();
    transport.abort_connection();
    let failure = reactor.run_until(drained).unwrap_err();
    assert!(failure.is::<ropewalk::transport::ConnectionAborted>(), "{failure}");
}

#[test]
fn what_a_callback_wrote_goes_out_before_a_layer_is_put_in() {
    struct Upgrades(Notes);
    impl Protocol for Upgrades {
        fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
            transport.write(b"go ahead");
            let notes = self.0.clone();
            transport.replace_stream(move |stream| {
                notes.add("wrapped");
                stream
            })
        }
    }
    let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
    let log = notes.clone();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Upgrades(log.clone())).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"STARTTLS");
    peer.until_heard(&reactor, b"go ahead");
    notes.expect(&["wrapped"]);
    reports.expect(&[]);
}

/// Lets so many bytes through, and no more.
struct Sluice(Rc<Cell<usize>>);

impl Sluice {
    fn put_on(transport: &Transport) -> Sluice {
        let open = Rc::new(Cell::new(0));
        let left = open.clone();
        let on_write = move |layer: &mut Chatty, data: &[u8]| match left.get().min(data.len()) {
            0 => Err(std::io::ErrorKind::WouldBlock.into()),
            most => {
                let count = layer.below.write(&data[..most])?;
                left.set(left.get() - count);
                Ok(count)
            }
        };
        Chatty::put_on(transport, Rc::new(RefCell::new(on_write)));
        Sluice(open)
    }

    fn let_through(&self, count: usize, reactor: &Reactor, peer: &mut Peer) {
        self.0.set(count);
        until(reactor, "they went through", || {
            // An edge: the layer itself tells nobody.
            peer.send(b".");
            self.0.get() == 0
        });
        turn(reactor);
    }
}

const HIGH: usize = 64 * 1024;
const LOW: usize = 16 * 1024;

/// A protocol that notes its marks, or registers a producer that does.
struct OnMarks(Notes, bool, Rc<RefCell<Option<(Transport, Sluice)>>>);

struct PushProducer(Notes);

impl ropewalk::transport::Producer for PushProducer {
    fn resume_producing(&mut self, _: &Transport) {
        self.0.add("resume");
    }
    fn pause_producing(&mut self) {
        self.0.add("pause");
    }
}

impl Protocol for OnMarks {
    fn connection_made(&mut self, transport: &Transport) {
        let sluice = Sluice::put_on(transport);
        self.2.replace(Some((transport.clone(), sluice)));
        if self.1 {
            let producer = PushProducer(self.0.clone());
            transport.register_producer(producer, ropewalk::transport::Producing::Push).unwrap();
        }
    }
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
    fn pause_writing(&mut self, _: &Transport) {
        if !self.1 {
            self.0.add("pause");
        }
    }
    fn resume_writing(&mut self, _: &Transport) {
        if !self.1 {
            self.0.add("resume");
        }
    }
}

#[test]
fn the_marks_are_passed_by_the_very_byte_for_protocols_and_for_producers() {
    for is_producer in [false, true] {
        let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
        let (log, made) = (notes.clone(), Rc::new(RefCell::new(None)));
        let place = made.clone();
        let build = move |_: &Address| OnMarks(log.clone(), is_producer, place.clone());
        let port = reactor.listen("127.0.0.1:0", build).unwrap();
        let mut peer = Peer::call(&port);
        until(&reactor, "it is made", || made.borrow().is_some());
        let (transport, sluice) = made.take().unwrap();
        transport.write([0; HIGH]);
        turn(&reactor);
        notes.expect(&[]);
        transport.write(b"x");
        turn(&reactor);
        notes.expect(&["pause"]);
        sluice.let_through(HIGH - LOW, &reactor, &mut peer);
        notes.expect(&["pause"]);
        sluice.let_through(1, &reactor, &mut peer);
        notes.expect(&["pause", "resume"]);
        sluice.let_through(LOW, &reactor, &mut peer);
        peer.until_heard(&reactor, &[vec![0; HIGH], b"x".to_vec()].concat());
        notes.expect(&["pause", "resume"]);
    }
}

#[test]
fn a_writer_without_room_goes_on_when_no_more_than_the_low_mark_waits() {
    let (reactor, written) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    let (count, made) = (written.clone(), Rc::new(RefCell::new(None)));
    let place = made.clone();
    let handler = async move |mut stream: Stream| {
        place.replace(Some(Sluice::put_on(&stream.transport())));
        loop {
            match stream.write(&[0; HIGH]).await? {
                0 => return Ok(()),
                more => count.set(count.get() + more),
            }
        }
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    until(&reactor, "it waits", || written.get() == HIGH);
    let sluice = made.take().unwrap();
    sluice.let_through(HIGH - LOW - 1, &reactor, &mut peer);
    assert_eq!(written.get(), HIGH, "a byte too early");
    sluice.let_through(1, &reactor, &mut peer);
    assert_eq!(written.get(), 2 * HIGH - LOW);
}

#[test]
fn a_task_that_writes_without_end_leaves_others_their_turn() {
    let (reactor, written) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    let count = written.clone();
    let handler = async move |mut stream: Stream| {
        let swallow = |_: &mut Chatty, data: &[u8]| Ok(data.len());
        Chatty::put_on(&stream.transport(), Rc::new(RefCell::new(swallow)));
        while count.get() < 10_000 {
            stream.write_all(&[0; 20_000]).await?;
            count.set(count.get() + 1);
        }
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let _peer = Peer::call(&port);
    let (seen, other) = (written.clone(), Notes::default());
    until(&reactor, "it writes", || seen.get() > 0);
    let (log, at) = (other.clone(), written.get());
    drop(reactor.spawn(async move { log.add("had its turn") }));
    reactor.turn(Some(Duration::ZERO)).unwrap();
    other.expect(&["had its turn"]);
    assert!(at < 1_000 && written.get() < 2_000, "{at} and {} writes", written.get());
}
