//! Connections behind a balancer: limits of a header, and what comes in one piece with it.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/mod.rs"]
mod kit;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use kit::{FACES, Face, Notes, Peer, hear_reports, pattern, turn, until};
use ropewalk::ServerEndpoint;
use ropewalk::simulation::Simulation;
use ropewalk::{Address, Failure, Port, Protocol, Reactor, Result, Stream, Transport};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 4096 80\r\n";

/// A header of version 2 with so many bytes behind its addresses.
fn block(family: u8, additions: u16) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    header.push(family);
    header.extend((12 + additions).to_be_bytes());
    header.extend(b"\xc0\0\x02\x01\xc0\0\x02\x02\x10\0\0\x50");
    header.resize(28 + usize::from(additions), 4);
    header
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn listen(face: Face, reactor: &Reactor, text: &str) -> Port {
    let endpoint: ServerEndpoint = text.parse().unwrap();
    let port = match face {
        Face::Protocol => reactor.listen(&endpoint, |_: &Address| Echo),
        Face::Stream => reactor.serve(&endpoint, async |stream: Stream| {
            let (mut reader, mut writer) = stream.split();
            futures_util::io::copy(&mut reader, &mut writer).await?;
            Ok(())
        }),
    };
    port.unwrap()
}

const HERE: &str = "haproxy:tcp:0:interface=127.0.0.1";

#[test]
fn what_comes_in_one_piece_with_the_header_arrives_in_whole_whatever_its_length() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let port = listen(face, &reactor, HERE);
        for header in [LINE.to_vec(), block(0x11, 0), block(0x11, 600), block(0x12, 40_000)] {
            for length in [1, 471, 472, 473, 512, 1024, 5000] {
                let mut peer = Peer::call(&port);
                let data = pattern(length);
                peer.send(&[&header[..], &data].concat());
                peer.until_heard(&reactor, &data);
            }
        }
    }
}

#[test]
fn a_header_that_is_not_there_in_time_ends_the_connection_and_not_before() {
    for face in FACES {
        for sent in [&b""[..], &LINE[..LINE.len() - 1]] {
            let reports = hear_reports();
            let simulation = Simulation::new(1);
            let (server, client) = (simulation.host("server"), simulation.host("client"));
            let _port = listen(face, &server.reactor(), "haproxy:tcp:80");
            let ended = Notes::default();
            let note = ended.clone();
            let opening = client.reactor().open("server:80");
            let talk = client.reactor().spawn(async move {
                let mut stream = opening.await?;
                stream.write_all(sent).await?;
                stream.flush().await?;
                // An end or a reset: nothing is heard.
                note.add(format_args!("{}", stream.read(&mut [0]).await.unwrap_or(0)));
                Ok(())
            });
            simulation.run_for(Duration::from_millis(9_900)).unwrap();
            assert_eq!(ended.len(), 0, "it has ten seconds");
            simulation.run_for(Duration::from_millis(200)).unwrap();
            ended.expect(&["0"]);
            simulation.run_until(talk).unwrap();
            drop(reports);
        }
    }
}

/// Reads nothing until it is told to.
struct Patient {
    notes: Notes,
    transport: Rc<RefCell<Option<Transport>>>,
}

impl Protocol for Patient {
    fn connection_made(&mut self, transport: &Transport) {
        transport.pause_reading();
        self.transport.replace(Some(transport.clone()));
    }
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.notes.add(data.escape_ascii());
        transport.pause_reading();
        Ok(())
    }
    fn read_closed(&mut self, transport: &Transport) {
        self.notes.add("end");
        transport.lose_connection();
    }
    fn connection_lost(&mut self, reason: &Failure) {
        self.notes.add(reason);
    }
}

#[test]
fn an_end_behind_bytes_that_came_with_the_header_is_told_after_them() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let transport = Rc::<RefCell<Option<Transport>>>::default();
    let (kept, desk) = (transport.clone(), notes.clone());
    let factory = move |_: &Address| Patient { notes: desk.clone(), transport: kept.clone() };
    let port = reactor.listen(HERE, factory).unwrap();
    let mut peer = Peer::call(&port);
    peer.send(&[LINE, b"hello"].concat());
    peer.half_close();
    until(&reactor, "it is accepted", || transport.borrow().is_some());
    turn(&reactor);
    notes.expect(&[]);
    transport.borrow().as_ref().unwrap().resume_reading();
    until(&reactor, "the end", || notes.len() == 3);
    assert_eq!(notes.all()[..2], ["hello", "end"]);
}
