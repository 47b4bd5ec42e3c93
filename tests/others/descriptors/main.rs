//! What descriptors of all kinds say of their readiness, and how much of that may be believed: a reader
//! that goes away, input that never ends, reads that give less than is there.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test that finds no value shall fail.

#[path = "../../kit/mod.rs"]
mod kit;
mod short_reads;
mod waiting;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use kit::{FACES, Face, MUCH, Notes, Peer, Role, path, serve, until};
use ropewalk::driver::{ByteStream, Layer};
use ropewalk::forward_byte_stream;
use ropewalk::transport::{Producer, Producing};
use ropewalk::{Address, Deferred, Failure, Protocol, Reactor, Result, Stream, Transport};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, IoSlice, PipeReader, PipeWriter, Write, pipe};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

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
    notes.add(format!("lost: {end}"));
    Ok(())
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
