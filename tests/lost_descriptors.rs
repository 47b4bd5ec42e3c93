//! Descriptors that come with bytes when the process can have no more of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(target_os = "linux")]

#[path = "kit/mod.rs"]
mod kit;

use futures_util::AsyncReadExt;
use kit::{FACES, Face, Notes, alone_and_well, hear_reports, until};
use ropewalk::{
    Address, Failure, Protocol, Reactor, Result, ServerEndpoint, Stream, Transport, on_peer_fault,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

struct Taker(Notes);

impl Protocol for Taker {
    fn file_descriptor_received(&mut self, _: &Transport, _: OwnedFd) {
        self.0.add("descriptor");
    }
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.add(data.escape_ascii());
        transport.write(data);
        Ok(())
    }
    fn connection_lost(&mut self, reason: &Failure) {
        self.0.add(reason);
    }
}

async fn take(notes: &Notes, mut stream: Stream) -> Result {
    let mut buffer = [0; 100];
    loop {
        let outcome = stream.read(&mut buffer).await;
        while stream.take_file_descriptor().is_some() {
            notes.add("descriptor");
        }
        match outcome {
            Ok(0) => return Ok(()),
            Ok(count) => notes.add(buffer[..count].escape_ascii()),
            Err(error) => {
                notes.add(&error);
                return Err(error.into());
            }
        }
    }
}

/// Sends three descriptors with a few bytes.
fn give(client: &UnixStream, file: &File) {
    let three = [file.as_fd(); 3];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&three)));
    let data = [IoSlice::new(b"bytes")];
    sendmsg(client, &data, &mut control, SendFlags::empty()).unwrap();
}

/// What is heard when there is room for so many descriptors.
fn heard(face: Face, room: usize) -> Vec<String> {
    let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
    let name = format!("@rw-lost-{face:?}-{room}-{}", std::process::id());
    let desk = notes.clone();
    match face {
        Face::Protocol => reactor
            .listen(ServerEndpoint::unix(name.as_str()), move |_: &Address| Taker(desk.clone()))
            .unwrap(),
        Face::Stream => reactor
            .serve(ServerEndpoint::unix(name.as_str()), async move |stream| {
                take(&desk, stream).await
            })
            .unwrap(),
    };
    let at = {
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(&name[1..]).unwrap()
    };
    let client = UnixStream::connect_addr(&at).unwrap();
    let file = File::open("/dev/zero").unwrap();
    let sources = |reactor: &Reactor| kit::census(reactor).0;
    until(&reactor, "it is accepted", || sources(&reactor) == 2);
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    taken.truncate(taken.len() - room);
    give(&client, &file);
    until(&reactor, "it is heard", || notes.len() > 0 || reports.len() > 0);
    kit::turn(&reactor);
    drop(taken);
    notes.all()
}

#[test]
fn descriptors_that_do_not_fit_fail_their_connection_and_no_byte_is_heard_without_them() {
    let name =
        "descriptors_that_do_not_fit_fail_their_connection_and_no_byte_is_heard_without_them";
    alone_and_well(name, || {
        setrlimit(Resource::Nofile, Rlimit { current: Some(80), maximum: Some(80) }).unwrap();
        for face in FACES {
            assert_eq!(heard(face, 3)[..4], ["descriptor", "descriptor", "descriptor", "bytes"]);
            for room in 0..3 {
                let heard = heard(face, room);
                assert!(!heard.iter().any(|note| note == "bytes"), "{face:?} {room}: {heard:?}");
                let why = "descriptors that came with its bytes were lost";
                assert!(heard.iter().any(|note| note.contains(why)), "{face:?} {room}: {heard:?}");
            }
        }
    });
}

#[test]
fn descriptors_that_come_with_a_datagram_are_closed_and_told_and_the_datagram_arrives() {
    let (reactor, faults) = (Reactor::new().unwrap(), Notes::default());
    let desk = faults.clone();
    on_peer_fault(move |report| desk.add(format!("{} {}", report.what(), report.failure())));
    let (socket, peer) = UnixDatagram::pair().unwrap();
    let (far, near) = std::io::pipe().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sent = [near.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&sent)));
    sendmsg(&peer, &[IoSlice::new(b"bytes")], &mut control, SendFlags::empty()).unwrap();
    drop(near);
    peer.send(b"more").unwrap();
    let socket = reactor.open_datagrams(socket).unwrap();
    let mut buffer = [0; 10];
    for count in [5, 4] {
        let came = reactor.run_until(async { socket.recv_from(&mut buffer).await });
        assert_eq!(came.unwrap().0, count);
    }
    let why = "descriptors came with a datagram, where nobody takes them: they are closed";
    faults.expect(&[&format!("datagram {why}")]);
    // Nobody has its other end any more.
    assert_eq!(std::io::Read::read(&mut { far }, &mut [0]).unwrap(), 0);
}
