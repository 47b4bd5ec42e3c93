//! What descriptors of all kinds say of their readiness, and how much of that may be believed: a reader
//! that goes away, input that never ends, reads that give less than is there.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test that finds no value shall fail.

#[path = "../kit/mod.rs"]
mod kit;
mod waiting;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use kit::{FACES, Face, Notes, Peer, Role, serve, until};
use ropewalk::driver::{ByteStream, Key};
use ropewalk::{
    Address, Deferred, Failure, Producer, Producing, Protocol, Reactor, Result, Stream, Transport,
};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, IoSlice, PipeReader, PipeWriter, Write, pipe};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

/// More than any pipe or socket takes at once.
const MUCH: usize = 8 * 1024 * 1024;

/// Notes what it is told, and keeps the bytes.
#[derive(Clone, Default)]
struct Listener {
    notes: Notes,
    bytes: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for Listener {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.bytes.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        self.notes.add("read closed");
        transport.lose_connection();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.notes.add(format!("lost: {reason}"));
    }
}

/// A connection over pipes, and their other ends.
fn over_pipes(reactor: &Reactor) -> (Transport, Listener, PipeWriter, PipeReader) {
    let ((input, to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
    let listener = Listener::default();
    let transport = reactor.connect_pipes(input, output, listener.clone()).unwrap();
    (transport, listener, to, from)
}

/// Makes turns until the pipe is full and the reactor at rest.
fn fill(reactor: &Reactor, transport: &Transport) {
    transport.write(vec![7; MUCH]);
    kit::turn(reactor);
}

/// How a Deferred ended, once it has.
fn outcome<T: 'static>(deferred: Deferred<T>) -> Notes {
    let notes = Notes::default();
    let told = notes.clone();
    drop(deferred.add_both(move |outcome| {
        told.add(match outcome {
            Ok(_) => "well".into(),
            Err(failure) => failure.to_string(),
        });
        Ok(())
    }));
    notes
}

#[test]
fn the_reader_of_a_full_pipe_that_goes_away_is_told_to_a_protocol_at_once() {
    let reactor = Reactor::new().unwrap();
    let (transport, listener, _to, from) = over_pipes(&reactor);
    fill(&reactor, &transport);
    assert_eq!(listener.notes.len(), 0);
    drop(from);
    until(&reactor, "it is lost", || listener.notes.has("lost: "));
    assert!(listener.notes.all()[0].contains("roken pipe"), "{:?}", listener.notes.all());
}

#[test]
fn the_reader_of_a_full_pipe_that_goes_away_fails_the_write_of_a_stream_and_its_input_stays() {
    let ((input, mut to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
    let reactor = Reactor::new().unwrap();
    let (mut reader, mut writer) = reactor.open_pipes(input, output).unwrap().split();
    let writing = outcome(reactor.spawn(async move {
        writer.write_all(&vec![7; MUCH]).await?;
        writer.flush().await?;
        Ok(())
    }));
    kit::turn(&reactor);
    assert_eq!(writing.len(), 0);
    to.write_all(b"still here").unwrap();
    drop(from);
    until(&reactor, "the write fails", || writing.len() > 0);
    assert!(writing.all()[0].contains("roken pipe"), "{:?}", writing.all());
    let heard = reactor.run_until(reactor.spawn(async move {
        let mut heard = [0; 10];
        reader.read_exact(&mut heard).await?;
        Ok(heard)
    }));
    assert_eq!(&heard.unwrap(), b"still here");
}

#[test]
fn a_stream_whose_writer_was_told_of_the_failed_write_is_read_to_its_end() {
    let ((input, mut to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
    let reactor = Reactor::new().unwrap();
    let mut stream = reactor.open_pipes(input, output).unwrap();
    drop(from);
    let written = reactor.spawn(async move {
        stream.write_all(b"to nobody").await?;
        assert_eq!(stream.flush().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        Ok(stream)
    });
    let mut stream = reactor.run_until(written).unwrap();
    let heard = Rc::new(RefCell::new(String::new()));
    let all = heard.clone();
    let reading = outcome(reactor.spawn(async move {
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        all.replace(text);
        Ok(())
    }));
    kit::turn(&reactor);
    assert_eq!(reading.len(), 0);
    to.write_all(b"later").unwrap();
    kit::turn(&reactor);
    drop(to);
    until(&reactor, "the end", || reading.len() > 0);
    reading.expect(&["well"]);
    assert_eq!(*heard.borrow(), "later");
}

#[test]
fn the_reader_of_a_full_pipe_that_goes_away_fails_the_close_of_a_stream() {
    let ((input, _to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
    let reactor = Reactor::new().unwrap();
    let stream = reactor.open_pipes(input, output).unwrap();
    stream.transport().write(vec![7; MUCH]);
    let mut stream = stream;
    let closing = outcome(reactor.spawn(async move { Ok(stream.close().await?) }));
    kit::turn(&reactor);
    drop(from);
    until(&reactor, "the close fails", || closing.len() > 0);
    assert!(closing.all()[0].contains("roken pipe"), "{:?}", closing.all());
}

#[test]
fn an_end_in_order_does_not_wait_for_a_reader_that_went_away() {
    let reactor = Reactor::new().unwrap();
    let (transport, listener, _to, from) = over_pipes(&reactor);
    fill(&reactor, &transport);
    transport.lose_connection();
    kit::turn(&reactor);
    assert_eq!(listener.notes.len(), 0);
    drop(from);
    until(&reactor, "it is lost", || listener.notes.has("lost: "));
}

#[test]
fn the_end_of_the_writing_half_does_not_wait_for_a_reader_that_went_away() {
    let reactor = Reactor::new().unwrap();
    let (transport, listener, _to, from) = over_pipes(&reactor);
    fill(&reactor, &transport);
    transport.lose_write_connection();
    kit::turn(&reactor);
    drop(from);
    until(&reactor, "it is lost", || listener.notes.has("lost: "));
}

#[test]
fn a_reader_that_goes_away_is_noticed_while_reading_is_paused() {
    let reactor = Reactor::new().unwrap();
    let (transport, listener, mut to, from) = over_pipes(&reactor);
    transport.pause_reading();
    to.write_all(b"unread").unwrap();
    fill(&reactor, &transport);
    drop(from);
    until(&reactor, "it is lost", || listener.notes.has("lost: "));
    assert!(listener.bytes.borrow().is_empty());
}

/// Notes what a producer is told.
struct Source(Notes);

impl Producer for Source {
    fn resume_producing(&mut self, transport: &Transport) {
        self.0.add("resume");
        transport.write(vec![7; MUCH]);
    }

    fn pause_producing(&mut self) {
        self.0.add("pause");
    }

    fn stop_producing(&mut self) {
        self.0.add("stop");
    }
}

#[test]
fn a_failed_write_stops_the_producer_and_fails_who_waits_to_drain_while_a_stream_still_reads() {
    for producing in [Producing::Pull, Producing::Push] {
        let ((input, _to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
        let reactor = Reactor::new().unwrap();
        let stream = reactor.open_pipes(input, output).unwrap();
        let (transport, told) = (stream.transport(), Notes::default());
        transport.write(vec![7; MUCH]);
        transport.register_producer(Source(told.clone()), producing).unwrap();
        let drained = outcome(transport.drained());
        kit::turn(&reactor);
        drop(from);
        until(&reactor, "the producer is stopped", || told.has("stop"));
        assert!(drained.all()[0].contains("roken pipe"), "{:?}", drained.all());
        assert_eq!(told.count("stop"), 1);
        // With a producer that nobody stops this would wait for ever.
        drop(stream);
        until(&reactor, "it is gone", || kit::census(&reactor).0 == 0);
        assert_eq!(told.count("stop"), 1, "of {producing:?}");
    }
}

#[test]
fn endless_input_is_heard_out_within_bounds_after_a_failed_write() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let (from, output) = pipe().unwrap();
        let input = File::open("/dev/zero").unwrap();
        let (listener, count) = (Listener::default(), Rc::new(Cell::new(0)));
        let transport = match face {
            Face::Protocol => reactor.connect_pipes(input, output, listener.clone()).unwrap(),
            Face::Stream => {
                let stream = reactor.open_pipes(input, output).unwrap();
                let transport = stream.transport();
                drop(reactor.spawn(read_on(stream, count.clone(), listener.notes.clone())));
                transport
            }
        };
        kit::turn(&reactor);
        assert_eq!(listener.notes.len(), 0);
        let before = listener.bytes.borrow().len() + count.get();
        drop(from);
        transport.write(b"is anybody there?");
        until(&reactor, "it ends", || listener.notes.has("lost: "));
        assert!(listener.notes.all()[0].contains("roken pipe"), "{:?}", listener.notes.all());
        let heard = listener.bytes.borrow().len() + count.get() - before;
        assert!(heard <= 5 * 1024 * 1024, "{heard}");
    }
}

/// Reads until an end, and notes it.
async fn read_on(mut stream: Stream, count: Rc<Cell<usize>>, notes: Notes) -> Result {
    let mut buffer = [0; 4096];
    let end = loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break "the end".into(),
            Ok(more) => count.set(count.get() + more),
            Err(error) => break error.to_string(),
        }
    };
    Ok(notes.add(format!("lost: {end}")))
}

#[test]
fn a_peer_that_shut_its_reading_is_heard_though_a_write_to_it_failed() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let (mut peer, ours) = UnixStream::pair().unwrap();
        peer.shutdown(Shutdown::Read).unwrap();
        peer.write_all(&[1; 20_000]).unwrap();
        let (input, output) = (OwnedFd::from(ours.try_clone().unwrap()), OwnedFd::from(ours));
        let (listener, count) = (Listener::default(), Rc::new(Cell::new(0)));
        match face {
            Face::Protocol => {
                let transport = reactor.connect_pipes(input, output, listener.clone()).unwrap();
                transport.write(b"is anybody there?");
            }
            Face::Stream => {
                let stream = reactor.open_pipes(input, output).unwrap();
                stream.transport().write(b"is anybody there?");
                drop(reactor.spawn(read_on(stream, count.clone(), listener.notes.clone())));
            }
        }
        until(&reactor, "it ends", || listener.notes.has("lost: "));
        assert!(listener.notes.all()[0].contains("roken pipe"), "{:?}", listener.notes.all());
        assert_eq!(listener.bytes.borrow().len() + count.get(), 20_000, "{face:?}");
    }
}

// ---- reads that give less than is there ----

/// Serves a connection with an echo of what a peer says in several pieces before the reactor looks.
fn hears_all(face: Face, kind: &str, input: OwnedFd, pieces: usize) {
    let reactor = Reactor::new().unwrap();
    let (_from, output) = pipe().unwrap();
    let bytes: Rc<RefCell<Vec<u8>>> = Rc::default();
    match face {
        Face::Protocol => {
            let listener = Listener { bytes: bytes.clone(), ..Listener::default() };
            reactor.connect_pipes(input, output, listener).unwrap();
        }
        Face::Stream => {
            let (mut stream, bytes) = (reactor.open_pipes(input, output).unwrap(), bytes.clone());
            drop(reactor.spawn(async move {
                let mut buffer = [0; 1000];
                while let count @ 1.. = stream.read(&mut buffer).await? {
                    bytes.borrow_mut().extend_from_slice(&buffer[..count]);
                }
                Ok(())
            }));
        }
    }
    until(&reactor, kind, || bytes.borrow().len() >= pieces * 3);
    assert_eq!(bytes.borrow().len(), pieces * 3, "{kind}");
}

const PIECES: usize = 9;

#[test]
fn messages_of_a_socket_that_wait_together_are_all_read() {
    for face in FACES {
        for kind in [SocketType::SEQPACKET, SocketType::DGRAM] {
            let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
            let (there, here) = pair.unwrap();
            for _ in 0..PIECES {
                rustix::net::send(&there, b"one", SendFlags::empty()).unwrap();
            }
            hears_all(face, &format!("{kind:?}"), here, PIECES);
        }
    }
}

#[test]
fn packets_of_a_pipe_that_wait_together_are_all_read() {
    for face in FACES {
        let (input, to) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC).unwrap();
        for _ in 0..PIECES {
            rustix::io::write(&to, b"one").unwrap();
        }
        hears_all(face, "packets", input, PIECES);
    }
}

#[test]
fn a_layer_that_gives_one_byte_at_a_time_is_asked_until_it_has_none() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let serving = serve(face, &reactor, Role::Echo);
        let mut peer = Peer::call(&serving.port);
        until(&reactor, "it is there", || serving.transports.borrow().len() == 1);
        let transport = serving.transports.borrow()[0].clone();
        transport.replace_stream(|below| Box::new(Drops { below })).unwrap();
        kit::turn(&reactor);
        peer.send(b"all of this");
        peer.until_heard(&reactor, b"all of this");
    }
}

/// A user's layer: gives and takes one byte a call.
struct Drops {
    below: Box<dyn ByteStream>,
}

impl ByteStream for Drops {
    fn register(&mut self, key: Key) -> io::Result<()> {
        self.below.register(key)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.below.read(&mut buffer[..1])
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.below.write(&data[..1])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&slices[0])
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.below.shutdown_write()
    }

    fn set_abort(&mut self) {
        self.below.set_abort();
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        self.below.is_at_end()
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        self.below.finish_connecting()
    }

    fn peer(&self) -> io::Result<Address> {
        self.below.peer()
    }

    fn host(&self) -> io::Result<Address> {
        self.below.host()
    }

    fn set_nodelay(&mut self, on: bool) -> io::Result<()> {
        self.below.set_nodelay(on)
    }

    fn set_keepalive(&mut self, idle: Option<Duration>) -> io::Result<()> {
        self.below.set_keepalive(idle)
    }
}

#[test]
fn what_follows_an_urgent_byte_is_read_without_more_coming() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let serving = serve(face, &reactor, Role::Count);
        let mut peer = Peer::call(&serving.port);
        until(&reactor, "it is there", || serving.transports.borrow().len() == 1);
        kit::turn(&reactor);
        for round in 1..=3 {
            peer.send(b"before");
            rustix::net::send(&peer.socket, b"!", SendFlags::OOB).unwrap();
            peer.send(b"behind");
            let all = b"beforebehind".repeat(round);
            until(&reactor, "all is read", || serving.seen.borrow().len() >= all.len());
            assert_eq!(*serving.seen.borrow(), all, "{face:?}");
        }
        peer.half_close();
        peer.until_heard(&reactor, b"36");
    }
}

#[test]
fn an_urgent_byte_that_comes_alone_hides_nothing_that_follows_it() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let serving = serve(face, &reactor, Role::Count);
        let mut peer = Peer::call(&serving.port);
        peer.send(b"before");
        until(&reactor, "the first is read", || serving.seen.borrow().len() == 6);
        rustix::net::send(&peer.socket, b"!", SendFlags::OOB).unwrap();
        kit::turn(&reactor);
        peer.send(b"behind");
        rustix::net::send(&peer.socket, b"?", SendFlags::OOB).unwrap();
        peer.send(b"that");
        until(&reactor, "all is read", || serving.seen.borrow().len() >= 16);
        assert_eq!(*serving.seen.borrow(), b"beforebehindthat", "{face:?}");
    }
}

#[test]
fn what_follows_an_urgent_byte_of_a_unix_socket_is_read_without_more_coming() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let path = std::env::temp_dir().join(format!("ropewalk-urgent-{}", std::process::id()));
        let listener = Listener::default();
        let (build, bytes) = (listener.clone(), listener.bytes.clone());
        let _port = match face {
            Face::Protocol => reactor.listen_unix(&path, move |_: &Address| build.clone()),
            Face::Stream => reactor.serve_unix(&path, async move |mut stream| {
                let mut buffer = [0; 1000];
                while let count @ 1.. = stream.read(&mut buffer).await? {
                    bytes.borrow_mut().extend_from_slice(&buffer[..count]);
                }
                Ok(())
            }),
        };
        let mut peer = UnixStream::connect(&path).unwrap();
        peer.write_all(b"hello").unwrap();
        until(&reactor, "it is there", || listener.bytes.borrow().len() == 5);
        peer.write_all(b"before").unwrap();
        if rustix::net::send(&peer, b"!", SendFlags::OOB).is_err() {
            return println!("not tested: Unix sockets have no urgent bytes here");
        }
        peer.write_all(b"behind").unwrap();
        until(&reactor, "all is read", || listener.bytes.borrow().ends_with(b"behind"));
        assert_eq!(*listener.bytes.borrow(), b"hellobeforebehind", "{face:?}");
    }
}
