//! A peer that does not read: water marks, `drained`, and writers that wait.

use super::kit::{Face, Notes, Peer, Role, hear_reports, pattern, serve, turn, until};
use futures_util::future::join;
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::{Address, Protocol, Reactor, Result, Transport};
use std::cell::Cell;
use std::rc::Rc;

const MUCH: usize = 8 << 20;

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
    let port = reactor.listen_tcp("127.0.0.1:0", move |_: &Address| Marked(log.clone())).unwrap();
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
    let port = reactor.listen_tcp("127.0.0.1:0", move |_: &Address| Modest(log.clone())).unwrap();
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
    let port = reactor.serve_tcp("127.0.0.1:0", handler).unwrap();
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
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    let handler = async move |mut stream: ropewalk::Stream| {
        stream.write_all(&pattern(MUCH)).await?;
        log.add("written");
        stream.flush().await?;
        log.add("flushed");
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    };
    let port = reactor.serve_tcp("127.0.0.1:0", handler).unwrap();
    let mut peer = Peer::call(&port);
    until(&reactor, "it is written", || notes.len() == 1);
    turn(&reactor);
    notes.expect(&["written"]);
    peer.until_heard(&reactor, &pattern(MUCH));
    until(&reactor, "it is flushed", || notes.len() == 2);
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
    let port = reactor.serve_tcp("127.0.0.1:0", handler).unwrap();
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
    let port = reactor.listen_tcp("127.0.0.1:0", move |_: &Address| Asks(log.clone())).unwrap();
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
    assert!(failure.is::<ropewalk::ConnectionAborted>(), "{failure}");
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
    let port = reactor.listen_tcp("127.0.0.1:0", move |_: &Address| Upgrades(log.clone())).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(b"STARTTLS");
    peer.until_heard(&reactor, b"go ahead");
    notes.expect(&["wrapped"]);
    reports.expect(&[]);
}
