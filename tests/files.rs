//! Files that are sent: moved by the system, or read and written, and nobody can tell which.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

mod kit;

use kit::{Face, Notes, Peer, Role, path, pattern, serve, turn, until};
use ropewalk::{Reactor, Transport};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// More than the kernel's two buffers hold, whatever they have grown to.
const MUCH: usize = 24 << 20;

/// A file of this test's own, gone when it is dropped.
struct Place(PathBuf);

impl Place {
    fn of(bytes: &[u8]) -> Place {
        let place = Place(path("file"));
        std::fs::write(&place.0, bytes).unwrap();
        place
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

struct Stage {
    reactor: Reactor,
    serving: kit::Serving,
    notes: Notes,
}

impl Stage {
    fn new() -> Stage {
        let reactor = Reactor::new().unwrap();
        let serving = serve(Face::Protocol, &reactor, Role::Count);
        Stage { reactor, serving, notes: Notes::default() }
    }

    fn call(&self) -> (Peer, Transport) {
        let peer = Peer::call(&self.serving.port);
        until(&self.reactor, "accepted", || !self.serving.transports.borrow().is_empty());
        let transport = self.serving.transports.borrow_mut().remove(0);
        (peer, transport)
    }

    fn send(&self, transport: &Transport, file: &Arc<File>, part: Range<u64>) {
        let notes = self.notes.clone();
        transport.send_file_part(file.clone(), part).add_both(move |outcome| match outcome {
            Ok(count) => notes.add(format!("sent {count}")),
            Err(failure) => notes.add(format!("failed: {failure}")),
        });
    }
}

#[test]
fn a_part_of_a_file_arrives_between_what_was_written_before_and_after() {
    let (stage, bytes) = (Stage::new(), pattern(MUCH));
    let (place, all) = (Place::of(&bytes), MUCH as u64);
    let file = Arc::new(place.open());
    for part in [0..all, 1..all - 1, 5..5, 7..8, 0..600_000, all - 3..all, all..all] {
        let (mut peer, transport) = stage.call();
        transport.write("before");
        stage.send(&transport, &file, part.clone());
        let name = format!("sent {}", part.end - part.start);
        let inner = &bytes[part.start as usize..part.end as usize];
        peer.until_heard(&stage.reactor, &[b"before", inner].concat());
        until(&stage.reactor, &name, || stage.notes.has(&name));
        transport.write("after");
        peer.until_heard(&stage.reactor, &[b"before", inner, b"after"].concat());
    }
    assert_eq!(stage.notes.len(), 7);
}

#[test]
fn an_end_in_order_waits_for_the_file() {
    let (stage, bytes) = (Stage::new(), pattern(MUCH));
    let place = Place::of(&bytes);
    let (mut peer, transport) = stage.call();
    stage.send(&transport, &Arc::new(place.open()), 0..u64::MAX);
    transport.lose_connection();
    assert_eq!(peer.until_end(&stage.reactor), "end of stream");
    assert!(peer.got == bytes);
    stage.notes.expect(&[&format!("sent {MUCH}")]);
}

#[test]
fn a_file_is_sent_from_its_position_and_a_pipe_from_where_it_is() {
    let (stage, place) = (Stage::new(), Place::of(b"0123456789"));
    let (mut peer, transport) = stage.call();
    let mut file = place.open();
    file.seek(SeekFrom::Start(4)).unwrap();
    let sending = transport.send_file(file);
    assert_eq!(stage.reactor.run_until(sending).unwrap(), 6);
    peer.until_heard(&stage.reactor, b"456789");

    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b" and a pipe").unwrap();
    drop(writer);
    let pipe = File::from(std::os::fd::OwnedFd::from(reader));
    assert_eq!(stage.reactor.run_until(transport.send_file(pipe)).unwrap(), 11);
    peer.until_heard(&stage.reactor, b"456789 and a pipe");
}

#[test]
fn a_file_that_ends_early_tells_how_much_there_was() {
    let (stage, place) = (Stage::new(), Place::of(b"0123456789"));
    let (mut peer, transport) = stage.call();
    let file = Arc::new(place.open());
    stage.send(&transport, &file, 0..1000);
    until(&stage.reactor, "sent", || stage.notes.len() == 1);
    stage.send(&transport, &file, 1000..2000);
    until(&stage.reactor, "sent", || stage.notes.len() == 2);
    stage.notes.expect(&["sent 10", "sent 0"]);
    peer.until_heard(&stage.reactor, b"0123456789");
}

#[test]
fn what_the_system_cannot_move_is_read_and_its_error_is_told() {
    let stage = Stage::new();
    let (mut peer, transport) = stage.call();
    // A folder can be opened, and neither moved nor read.
    let folder = File::open(std::env::temp_dir()).unwrap();
    stage.send(&transport, &Arc::new(folder), 0..10);
    until(&stage.reactor, "told", || stage.notes.len() == 1);
    assert!(stage.notes.all()[0].starts_with("failed: Is a directory"), "{:?}", stage.notes.all());
    // Of a file without a length the system says that it ends at once.
    if let Ok(version) = std::fs::read("/proc/version") {
        let file = Arc::new(File::open("/proc/version").unwrap());
        stage.send(&transport, &file, 0..u64::MAX);
        peer.until_heard(&stage.reactor, &version);
    }
}

#[test]
fn two_files_are_not_sent_at_once_and_one_after_the_other_they_are() {
    let (stage, place) = (Stage::new(), Place::of(b"0123456789"));
    let (mut peer, transport) = stage.call();
    let file = Arc::new(place.open());
    stage.send(&transport, &file, 0..5);
    stage.send(&transport, &file, 5..10);
    until(&stage.reactor, "told", || stage.notes.len() == 2);
    stage.notes.expect(&["failed: a producer is registered already", "sent 5"]);
    stage.send(&transport, &file, 5..10);
    peer.until_heard(&stage.reactor, b"0123456789");
}

#[test]
fn a_peer_that_is_lost_or_cut_off_ends_the_sending_once() {
    let (stage, place) = (Stage::new(), Place::of(&pattern(MUCH)));
    let file = Arc::new(place.open());
    let (peer, transport) = stage.call();
    stage.send(&transport, &file, 0..u64::MAX);
    turn(&stage.reactor);
    peer.reset();
    until(&stage.reactor, "told", || stage.notes.len() == 1);

    let (_peer, transport) = stage.call();
    stage.send(&transport, &file, 0..u64::MAX);
    turn(&stage.reactor);
    transport.abort_connection();
    until(&stage.reactor, "told", || stage.notes.len() == 2);

    // One that takes nothing is waited for no longer than an end in order allows.
    let (_peer, transport) = stage.call();
    stage.send(&transport, &file, 0..u64::MAX);
    transport.set_close_timeout(Duration::from_millis(20));
    transport.lose_connection();
    until(&stage.reactor, "told", || stage.notes.len() == 3);
    let stopped = "failed: the connection was lost before its producer was done";
    stage.notes.expect(&[stopped; 3]);
    until(&stage.reactor, "lost", || stage.serving.ends.len() == 3);
    assert_eq!(Arc::strong_count(&file), 1, "no sender is left");
}

#[test]
fn a_peer_that_ended_its_half_still_gets_the_file() {
    let (stage, bytes) = (Stage::new(), pattern(MUCH));
    let place = Place::of(&bytes);
    let (mut peer, transport) = stage.call();
    stage.send(&transport, &Arc::new(place.open()), 0..u64::MAX);
    peer.socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.until_end(&stage.reactor), "end of stream");
    // `Count` writes what it got to the end of the peer's half: one digit, somewhere between slices.
    assert_eq!(peer.got.len(), MUCH + 1);
}

#[test]
fn a_unix_socket_gets_a_file_as_well() {
    let (stage, bytes) = (Stage::new(), pattern(MUCH));
    let place = Place::of(&bytes);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let file = Arc::new(place.open());
    let endpoint = ropewalk::ClientEndpoint::connected(ours);
    let stream = stage.reactor.run_until(stage.reactor.open(endpoint)).unwrap();
    stage.send(&stream.transport(), &file, 0..u64::MAX);
    theirs.set_nonblocking(true).unwrap();
    let (mut theirs, mut got) = (theirs, Vec::new());
    let mut piece = vec![0; 64 << 10];
    until(&stage.reactor, "all came", || {
        while let Ok(count) = std::io::Read::read(&mut theirs, &mut piece) {
            got.extend_from_slice(&piece[..count]);
        }
        got.len() == bytes.len()
    });
    assert!(got == bytes);
}
