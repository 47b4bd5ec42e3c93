//! What the simulation found wrong in the connection, each as the shortest way to see it.
//!
//! Five defects of our own code, found by walking every single fault through the scenarios of
//! `simulated_connections.rs`; each needs one call of the system to fail, or to find no room, at one
//! moment of a connection's life:
//!
//! 1. a shutdown of the writing half that fails left the connection without an end,
//! 2. an end asked for in `write_closed` was forgotten,
//! 3. a write that fails beside a silent peer was told to nobody,
//! 4. bytes that a callback wrote into a full socket waited for ever,
//! 5. a read that fails in a poll that wrote ended nothing.
//!
//! What the same walk found in TLS lies in `tls_walk.rs`.

#![cfg(feature = "simulation")]
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::simulation::{Call, Fault, Host, Simulation};
use ropewalk::{Address, Deferred, Failure, Protocol, Result, Transport, Trigger};
use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

/// Does one thing when the connection is made, another when its half has ended, and tells the end.
struct Probe {
    begin: fn(&Transport),
    half: fn(&Transport),
    lost: Option<Trigger<String>>,
}

impl Protocol for Probe {
    fn connection_made(&mut self, transport: &Transport) {
        (self.begin)(transport);
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn write_closed(&mut self, transport: &Transport) {
        (self.half)(transport);
    }

    fn connection_lost(&mut self, reason: &Failure) {
        if let Some(lost) = self.lost.take() {
            let _ = lost.callback(reason.to_string());
        }
    }
}

/// A server that says nothing and never ends, and the end of a client's connection with it.
fn end_beside_silence(
    begin: fn(&Transport),
    half: fn(&Transport),
    prepare: fn(&Host),
) -> Result<String> {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let quiet = |_: &Address| Patient;
    server.reactor().listen("0.0.0.0:7", quiet)?;
    prepare(&client);
    let (lost, end) = Deferred::new();
    let mut probe = Some(Probe { begin, half, lost: Some(lost) });
    let build = move |_: &Address| probe.take().expect("one connection");
    let connecting = client.reactor().connect("server:7", build);
    simulation.run_until(async move {
        connecting.await?;
        end.await
    })
}

/// Keeps its half open whatever the peer does.
struct Patient;
impl Protocol for Patient {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
    fn read_closed(&mut self, _: &Transport) {}
}

fn no_word(_: &Transport) {}

#[test]
fn a_shutdown_that_fails_ends_the_connection() {
    let end = end_beside_silence(Transport::lose_write_connection, no_word, |client| {
        client.fail_next(Call::Shutdown, Fault::Error(ErrorKind::OutOfMemory));
    });
    assert!(end.unwrap().contains("out of memory"));
}

#[test]
fn losing_the_connection_in_write_closed_ends_it() {
    let (begin, half) = (Transport::lose_write_connection, Transport::lose_connection);
    let end = end_beside_silence(begin, half, |_| {});
    assert_eq!(end.unwrap(), "the connection was closed in order");
}

#[test]
fn a_write_that_fails_beside_a_silent_peer_ends_the_connection() {
    let write = |transport: &Transport| transport.write(b"hello");
    let end = end_beside_silence(write, no_word, |client| {
        client.fail_next(Call::Write, Fault::Error(ErrorKind::TimedOut));
    });
    assert!(end.unwrap().contains("timed out"));
}

/// Answers with a lot, at once.
struct Generous;
impl Protocol for Generous {
    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        transport.write([7; 50_000]);
        Ok(())
    }
}

#[test]
fn a_large_write_in_a_callback_that_finds_no_room_goes_out_when_there_is_some() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    server.reactor().listen("0.0.0.0:7", |_: &Address| Generous).unwrap();
    let reactor = client.reactor();
    let asking = client.reactor().spawn(async move {
        let mut stream = reactor.open("server:7").await?;
        let mut answer = vec![0; 50_000];
        for _ in 0..2 {
            stream.write_all(b"?").await?;
            stream.read_exact(&mut answer).await?;
            server.fail_next(Call::Write, Fault::WouldBlock);
        }
        Ok(answer)
    });
    assert_eq!(simulation.run_until(asking).unwrap(), [7; 50_000]);
}

#[test]
fn a_read_that_fails_in_a_poll_that_wrote_ends_the_connection() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let is_over = Rc::new(Cell::new(false));
    let (over, host) = (is_over.clone(), server.clone());
    server
        .reactor()
        .serve("0.0.0.0:7", async move |mut stream| {
            let mut byte = [0];
            stream.read_exact(&mut byte).await?;
            stream.write_all(b"first").await?;
            host.fail_next(Call::Read, Fault::Error(ErrorKind::TimedOut));
            let outcome = stream.read_exact(&mut byte).await;
            over.set(true);
            Ok(outcome?)
        })
        .unwrap();
    let reactor = client.reactor();
    let asking = client.reactor().spawn(async move {
        let mut stream = reactor.open("server:7").await?;
        // Nothing else shall happen that would wake the connection.
        reactor.sleep(Duration::from_secs(1)).await;
        stream.write_all(b"ab").await?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Ok(answer)
    });
    simulation.run_until(asking).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(is_over.get());
    assert_eq!((simulation.sockets(), server.descriptors()), (0, 1));
}
