//! Memory and descriptors that messages, connections and a peer that does not read cost, as the system
//! counts them. Alone in its program, and one test after the other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(target_os = "linux")]

mod kit;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use kit::{FACES, Face, Peer, census, hear_reports, turn, until};
use ropewalk::{Address, Port, Protocol, Reactor, Result, Stream, Transport};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the test that counts.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process' memory that is in use, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn grown_since(before: usize) -> usize {
    resident().saturating_sub(before)
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn echo(face: Face, reactor: &Reactor) -> Port {
    let handler = async |mut stream: Stream| {
        let mut buffer = [0; 1000];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                count => stream.write_all(&buffer[..count]).await?,
            }
        }
    };
    let port = match face {
        Face::Protocol => reactor.listen("127.0.0.1:0", |_: &Address| Echo),
        Face::Stream => reactor.serve("127.0.0.1:0", handler),
    };
    port.unwrap()
}

#[test]
fn a_write_of_much_to_a_peer_that_reads_nothing_costs_next_to_no_memory() {
    const MUCH: usize = 300 << 20;
    let _guard = alone();
    let reactor = Reactor::new().unwrap();
    let is_written = Rc::new(Cell::new(false));
    let told = is_written.clone();
    let handler = async move |mut stream: Stream| {
        // Memory that nobody has written to is none.
        let zeros = vec![0; MUCH];
        stream.write_all(&zeros).await?;
        told.set(true);
        Ok(())
    };
    let port = reactor.serve("127.0.0.1:0", handler).unwrap();
    let before = resident();
    let _deaf = Peer::call(&port);
    (0..50).for_each(|_| turn(&reactor));
    assert!(!is_written.get(), "nobody has read it");
    let grown = grown_since(before);
    assert!(grown < 16 << 10, "{grown} KiB");
}

#[test]
fn what_a_callback_writes_to_a_peer_that_reads_nothing_is_kept_once() {
    const MUCH: usize = 65 << 20;
    struct Gusher(Rc<Cell<bool>>);
    impl Protocol for Gusher {
        fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
            let zeros = vec![0; MUCH];
            transport.write(&zeros[..MUCH / 2]);
            transport.write(&zeros[MUCH / 2..]);
            self.0.set(true);
            Ok(())
        }
    }
    let _guard = alone();
    let (reactor, is_written) = (Reactor::new().unwrap(), Rc::new(Cell::new(false)));
    let told = is_written.clone();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Gusher(told.clone())).unwrap();
    let mut deaf = Peer::call(&port);
    turn(&reactor);
    let before = resident();
    deaf.send(b"go");
    until(&reactor, "it is written", || is_written.get());
    let (grown, written) = (grown_since(before), MUCH >> 10);
    assert!(grown > written / 2, "{grown} KiB: it is kept, or this test counts nothing");
    assert!(grown < written + written / 8, "{grown} KiB for {written}");
}

#[test]
fn messages_leave_no_memory_behind() {
    let _guard = alone();
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let port = echo(face, &reactor);
        let mut peer = Peer::call(&port);
        let message = [7; 64];
        let mut exchange = |count: usize| {
            for _ in 0..count {
                peer.got.clear();
                peer.send(&message);
                until(&reactor, "the echo", || peer.hear().len() == message.len());
            }
        };
        exchange(1_000);
        let before = resident();
        exchange(20_000);
        // One pointer left behind by each would be 160 KiB, and an allocation of any size twice that.
        let grown = grown_since(before);
        assert!(grown < 128, "{grown} KiB after 20 000 messages");
        reports.expect(&[]);
    }
}

#[test]
fn connections_leave_no_memory_and_no_source_behind() {
    let _guard = alone();
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let port = echo(face, &reactor);
        let ask = |count: usize| {
            for _ in 0..count {
                let mut peer = Peer::call(&port);
                peer.send(b"go");
                until(&reactor, "the echo", || peer.hear().len() == 2);
                peer.half_close();
                peer.until_end(&reactor);
            }
        };
        ask(500);
        let before = resident();
        ask(4_000);
        let grown = grown_since(before);
        assert!(grown < 128, "{grown} KiB after 4 000 connections");
        turn(&reactor);
        assert_eq!(census(&reactor), (1, 0), "the port, and nothing else");
        reports.expect(&[]);
    }
}

#[test]
fn streams_that_connect_leave_no_memory_behind() {
    let _guard = alone();
    let reactor = Reactor::new().unwrap();
    let at = echo(Face::Protocol, &reactor).host();
    let ask = |count: usize| {
        for _ in 0..count {
            let opening = reactor.open(&at);
            let asked = reactor.run_until(async move {
                let mut stream = opening.await?;
                stream.write_all(b"go").await?;
                stream.read_exact(&mut [0; 2]).await?;
                Ok(())
            });
            asked.unwrap();
        }
    };
    ask(500);
    let before = resident();
    ask(4_000);
    let grown = grown_since(before);
    assert!(grown < 128, "{grown} KiB after 4 000 connections");
}
