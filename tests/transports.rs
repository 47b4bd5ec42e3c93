//! Connections over real Unix sockets, and producers, against this crate and against `socat`.

#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used)] // In a test a panic is the report.

#[path = "kit/paths.rs"]
mod paths;
#[path = "kit/peers.rs"]
mod peers;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use paths::path;
use ropewalk::net::{ConnectError, ListenError};
use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::simulation::Simulation;
use ropewalk::transport::{Producer, ProducerStopped, Producing};
use ropewalk::{
    Address, ClientEndpoint, Failure, Protocol, Reactor, Result, ServerEndpoint, Transport,
    UnixName,
};
use std::cell::RefCell;
use std::io::{PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A path of this test's own, gone when it is dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        Place(path("socket"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Sends, ends its half, and gives what came back.
fn exchange(reactor: &Reactor, to: impl Into<UnixName>, sent: &'static [u8]) -> Result<Vec<u8>> {
    let opening = reactor.open(ClientEndpoint::unix(to));
    reactor.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(sent).await?;
        stream.close().await?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await?;
        Ok(got)
    })
}

#[test]
fn both_faces_echo_over_a_path_which_is_gone_when_the_port_is() {
    let (reactor, callbacks, tasks) = (Reactor::new().unwrap(), Place::new(), Place::new());
    let one = reactor.listen(ServerEndpoint::unix(&callbacks.0), |_: &Address| Echo).unwrap();
    let other = reactor
        .serve(ServerEndpoint::unix(&tasks.0), async |stream| {
            let (mut reader, mut writer) = stream.split();
            futures_util::io::copy(&mut reader, &mut writer).await?;
            Ok(())
        })
        .unwrap();
    assert_eq!(one.host(), Address::from(callbacks.0.clone()));
    assert_eq!(exchange(&reactor, &callbacks.0, b"to callbacks").unwrap(), b"to callbacks");
    assert_eq!(exchange(&reactor, &tasks.0, b"to a task").unwrap(), b"to a task");
    reactor.run_until(one.stop_listening()).unwrap();
    reactor.run_until(other.stop_listening()).unwrap();
    assert!(!callbacks.0.exists() && !tasks.0.exists());
    assert!(!callbacks.0.with_extension("lock").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_needs_no_file() {
    let reactor = Reactor::new().unwrap();
    let name = format!("@ropewalk-{}", std::process::id());
    let port = reactor.listen(ServerEndpoint::unix(name.as_str()), |_: &Address| Echo).unwrap();
    assert_eq!(port.host().to_string(), format!("unix:{name}"));
    assert_eq!(exchange(&reactor, name.as_str(), b"x").unwrap(), b"x");
    let again =
        reactor.listen(ServerEndpoint::unix(name.as_str()), |_: &Address| Echo).unwrap_err();
    let taken = again.check::<ListenError>().unwrap();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn a_mode_is_the_sockets_whatever_the_umask_says() {
    let (reactor, place) = (Reactor::new().unwrap(), Place::new());
    for mode in [0o600, 0o666] {
        let at = ServerEndpoint::unix(&place.0).mode(mode);
        let port = reactor.listen(at, |_: &Address| Echo).unwrap();
        let found = std::fs::symlink_metadata(&place.0).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode);
        reactor.run_until(port.stop_listening()).unwrap();
    }
}

#[test]
fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    for lock in [true, false] {
        let (reactor, place) = (Reactor::new().unwrap(), Place::new());
        let at = || {
            let at = ServerEndpoint::unix(&place.0);
            if lock { at } else { at.without_lock() }
        };
        drop(std::os::unix::net::UnixListener::bind(&place.0).unwrap());
        assert!(place.0.exists(), "the standard library leaves it behind");
        let port = reactor.listen(at(), |_: &Address| Echo).unwrap();
        let second = reactor.listen(at(), |_: &Address| Echo).unwrap_err();
        let taken = second.check::<ListenError>().unwrap();
        assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
        assert!(second.to_string().contains(place.0.to_str().unwrap()), "{second}");
        assert_eq!(second.to_string().contains(".lock"), lock, "{second}");
        assert_eq!(exchange(&reactor, &place.0, b"still there").unwrap(), b"still there");
        reactor.run_until(port.stop_listening()).unwrap();
    }
}

#[test]
fn a_lock_that_twisted_made_holds_as_long_as_its_process_lives() {
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let owners = [(std::process::id(), false), (gone.id(), true)];
    let owners = owners.map(|(number, free)| (number.to_string(), free));
    for (owner, is_free) in owners.into_iter().chain([("rw-not-a-number".into(), false)]) {
        let (reactor, place) = (Reactor::new().unwrap(), Place::new());
        let lock = place.0.with_file_name({
            let name = place.0.file_name().unwrap();
            format!("{}.lock", name.to_str().unwrap())
        });
        std::os::unix::fs::symlink(&owner, &lock).unwrap();
        let port = reactor.listen(ServerEndpoint::unix(&place.0), |_: &Address| Echo);
        assert_eq!(port.is_ok(), is_free, "{owner}: {port:?}");
        if let Err(failure) = port {
            let taken = failure.check::<ListenError>().unwrap();
            assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
            std::fs::remove_file(lock).unwrap();
        }
        assert!(!place.0.with_file_name(owner).exists(), "the link was followed");
    }
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let (reactor, place) = (Reactor::new().unwrap(), Place::new());
    std::fs::write(&place.0, "precious").unwrap();
    let failure = reactor.listen(ServerEndpoint::unix(&place.0), |_: &Address| Echo).unwrap_err();
    assert!(failure.is::<ListenError>());
    assert_eq!(std::fs::read(&place.0).unwrap(), b"precious");
}

#[test]
fn a_name_that_nobody_listens_at_is_named_in_the_error() {
    let (reactor, place) = (Reactor::new().unwrap(), Place::new());
    let failure = exchange(&reactor, &place.0, b"").unwrap_err();
    let error = failure.check::<ConnectError>().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(failure.to_string().contains(place.0.to_str().unwrap()), "{failure}");
    let too_long = reactor.open(ClientEndpoint::unix("/x".repeat(100)));
    assert!(reactor.run_until(too_long).unwrap_err().is::<ConnectError>());
}

/// Sends a pipe's reading end with each of its first bytes, and then more bytes.
struct Giver;

impl Protocol for Giver {
    fn connection_made(&mut self, transport: &Transport) {
        for text in ["one", "two"] {
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            transport.send_file_descriptor(reader.into()).unwrap();
            transport.write(text);
        }
        transport.write(b", and no more");
        transport.lose_connection();
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Taker {
    pipes: Rc<RefCell<Vec<String>>>,
    bytes: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for Taker {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        assert!(!self.pipes.borrow().is_empty(), "descriptors come before their bytes");
        self.bytes.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn file_descriptor_received(&mut self, _: &Transport, descriptor: OwnedFd) {
        let mut text = String::new();
        PipeReader::from(descriptor).read_to_string(&mut text).unwrap();
        self.pipes.borrow_mut().push(text);
    }

    fn connection_lost(&mut self, reason: &Failure) {
        assert!(reason.is::<ropewalk::transport::ConnectionDone>(), "{reason}");
        let _ = Reactor::current().unwrap().stop();
    }
}

#[test]
fn descriptors_arrive_in_order_and_before_their_bytes() {
    let (reactor, place, taker) = (Reactor::new().unwrap(), Place::new(), Taker::default());
    reactor.listen(ServerEndpoint::unix(&place.0), |_: &Address| Giver).unwrap();
    let protocol = taker.clone();
    let connecting =
        reactor.connect(ClientEndpoint::unix(&place.0), move |_: &Address| protocol.clone());
    reactor.run().unwrap();
    drop(connecting);
    assert_eq!(*taker.pipes.borrow(), ["one", "two"]);
    assert_eq!(*taker.bytes.borrow(), b"onetwo, and no more");
}

#[test]
fn many_descriptors_wait_for_the_bytes_that_carry_them() {
    let (reactor, place) = (Reactor::new().unwrap(), Place::new());
    reactor
        .serve(ServerEndpoint::unix(&place.0), async |mut stream| {
            for _ in 0..150 {
                let (reader, _) = std::io::pipe()?;
                stream.transport().send_file_descriptor(reader.into())?;
            }
            stream.write_all(b"abc").await?;
            Ok(())
        })
        .unwrap();
    let opening = reactor.open(ClientEndpoint::unix(&place.0));
    let (count, bytes) = reactor
        .run_until(async move {
            let mut stream = opening.await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            Ok((std::iter::from_fn(|| stream.take_file_descriptor()).count(), bytes))
        })
        .unwrap();
    assert_eq!((count, bytes.as_slice()), (150, &b"abc"[..]));
}

#[test]
fn tcp_says_that_it_carries_no_descriptors() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen("127.0.0.1:0", |_: &Address| Echo).unwrap();
    let stream = reactor.run_until(reactor.open(port.host())).unwrap();
    let (reader, _writer) = std::io::pipe().unwrap();
    let refused = stream.transport().send_file_descriptor(reader.into()).unwrap_err();
    assert!(refused.to_string().contains("Unix sockets only"), "{refused}");
}

/// Connects, is hung up on, and connects once more.
struct Caller {
    connections: u32,
    heard: Rc<RefCell<Vec<&'static str>>>,
}

impl ClientFactory for Caller {
    type Protocol = Echo;

    fn started_connecting(&mut self, connector: &Connector) {
        assert!(connector.destination().to_string().starts_with("unix:"));
        self.heard.borrow_mut().push("started");
    }

    fn build_protocol(&mut self, peer: &Address) -> Option<Echo> {
        assert!(matches!(peer, Address::Unix(UnixName::Path(_))));
        self.heard.borrow_mut().push("made");
        Some(Echo)
    }

    fn client_connection_lost(&mut self, connector: &Connector, _: &Failure) {
        self.heard.borrow_mut().push("lost");
        self.connections += 1;
        match self.connections {
            1 => connector.connect().unwrap(),
            _ => Reactor::current().unwrap().stop().unwrap(),
        }
    }
}

#[test]
fn a_client_factory_connects_again_over_a_unix_socket() {
    let (reactor, place) = (Reactor::new().unwrap(), Place::new());
    reactor.serve(ServerEndpoint::unix(&place.0), async |_| Ok(())).unwrap();
    let heard = Rc::<RefCell<Vec<&str>>>::default();
    let factory = Caller { connections: 0, heard: Rc::clone(&heard) };
    reactor.connect_unix(&place.0, factory);
    reactor.run().unwrap();
    assert_eq!(*heard.borrow(), ["started", "made", "lost", "started", "made", "lost"]);
}

/// Runs `socat` with `input`; `None`, said aloud, where it is not installed.
fn socat(reactor: &Reactor, address: String, input: &'static str) -> Option<String> {
    let started = Command::new("socat")
        .args(["-t5", "-", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    peers::noted("socat", started.is_ok());
    let mut socat = started.ok()?;
    let remote = reactor.remote();
    let talk = std::thread::spawn(move || {
        socat.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = socat.wait_with_output().unwrap();
        let _ = remote.call_from_thread(|reactor| reactor.stop());
        String::from_utf8(output.stdout).unwrap()
    });
    reactor.run().unwrap();
    Some(talk.join().unwrap())
}

#[test]
fn socat_ends_its_half_and_still_gets_its_echo() {
    let (reactor, place) = (Reactor::new().unwrap(), Place::new());
    reactor.listen(ServerEndpoint::unix(&place.0), |_: &Address| Echo).unwrap();
    let address = format!("UNIX-CONNECT:{}", place.0.display());
    if let Some(echo) = socat(&reactor, address, "from socat\n") {
        assert_eq!(echo, "from socat\n");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn socat_finds_an_abstract_name() {
    let reactor = Reactor::new().unwrap();
    let name = format!("socat-{}", std::process::id());
    reactor.listen(ServerEndpoint::unix(format!("@{name}")), |_: &Address| Echo).unwrap();
    if let Some(echo) = socat(&reactor, format!("ABSTRACT-CONNECT:{name}"), "hello\n") {
        assert_eq!(echo, "hello\n");
    }
}

/// Writes so many pieces of a mebibyte, whether it is pulled or pushes; keeps what it was told.
struct Pieces {
    left: u32,
    heard: Rc<RefCell<Vec<&'static str>>>,
}

impl Producer for Pieces {
    fn resume_producing(&mut self, transport: &Transport) {
        self.heard.borrow_mut().push("resume");
        if self.left == 0 {
            return transport.unregister_producer();
        }
        self.left -= 1;
        transport.write(vec![7; 1024 * 1024]);
    }

    fn pause_producing(&mut self) {
        self.heard.borrow_mut().push("pause");
    }

    fn stop_producing(&mut self) {
        self.heard.borrow_mut().push("stop");
    }
}

/// Connects to a server that gives its stream to `serve`, and gives what arrives.
fn receive(serve: impl Fn(&Transport) + 'static) -> usize {
    let reactor = Reactor::new().unwrap();
    let port = reactor
        .serve("127.0.0.1:0", async move |stream| {
            serve(&stream.transport());
            Ok(())
        })
        .unwrap();
    let opening = reactor.open(port.host());
    let reading = async move {
        let mut got = Vec::new();
        opening.await?.read_to_end(&mut got).await?;
        Ok(got.len())
    };
    reactor.run_until(reading).unwrap()
}

#[test]
fn an_end_in_order_waits_for_a_pulled_producer() {
    let heard = Rc::<RefCell<Vec<&str>>>::default();
    let producer = Rc::clone(&heard);
    let got = receive(move |transport| {
        let pieces = Pieces { left: 5, heard: producer.clone() };
        transport.register_producer(pieces, Producing::Pull).unwrap();
        let second = Pieces { left: 1, heard: Rc::default() };
        transport.register_producer(second, Producing::Pull).unwrap_err();
        transport.lose_connection();
    });
    assert_eq!(got, 5 * 1024 * 1024);
    assert_eq!(*heard.borrow(), ["resume"; 6]);
}

#[test]
fn a_pushing_producer_is_paused_once_and_resumed_once() {
    let heard = Rc::<RefCell<Vec<&str>>>::default();
    let producer = Rc::clone(&heard);
    let got = receive(move |transport| {
        let pieces = Pieces { left: 0, heard: producer.clone() };
        transport.register_producer(pieces, Producing::Push).unwrap();
        // More than the kernel holds at once.
        for _ in 0..24 {
            transport.write(vec![7; 1024 * 1024]);
        }
        transport.lose_connection();
    });
    assert_eq!(got, 24 * 1024 * 1024);
    assert_eq!(*heard.borrow(), ["pause", "resume"]);
}

#[test]
fn a_producer_is_stopped_once_when_the_connection_is_lost() {
    let heard = Rc::<RefCell<Vec<&str>>>::default();
    let producer = Rc::clone(&heard);
    let reactor = Reactor::new().unwrap();
    let port = reactor.serve("127.0.0.1:0", async |_| Ok(())).unwrap();
    let stream = reactor.run_until(reactor.open(port.host())).unwrap();
    let transport = stream.transport();
    let pieces = Pieces { left: 1, heard: producer };
    transport.register_producer(pieces, Producing::Push).unwrap();
    transport.abort_connection();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(*heard.borrow(), ["stop"]);
    let late = Pieces { left: 1, heard: Rc::clone(&heard) };
    transport.register_producer(late, Producing::Push).unwrap_err();
    assert_eq!(*heard.borrow(), ["stop", "stop"]);
    let sending = transport.send_file(&b"too late"[..]);
    assert!(reactor.run_until(sending).unwrap_err().is::<ProducerStopped>());
}

#[test]
fn a_file_is_sent_whole_before_the_end() {
    let place = Place::new();
    let bytes: Vec<u8> = (0..5_000_000u32).map(|n| n as u8).collect();
    std::fs::write(&place.0, &bytes).unwrap();
    let path = place.0.clone();
    let got = receive(move |transport| {
        let sending = transport.send_file(std::fs::File::open(&path).unwrap());
        sending.map(|sent| assert_eq!(sent, 5_000_000));
        transport.lose_connection();
    });
    assert_eq!(got, bytes.len());
}

/// Has what goes wrong in a handler, which nobody waits for, fail the test when this is dropped.
struct AllWell(Rc<RefCell<Vec<String>>>);

impl AllWell {
    fn new() -> AllWell {
        let reports = Rc::<RefCell<Vec<String>>>::default();
        let sink = reports.clone();
        ropewalk::on_report(move |report| sink.borrow_mut().push(report.to_string()));
        AllWell(reports)
    }
}

impl Drop for AllWell {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.borrow().is_empty(), "{:?}", self.0);
        }
    }
}

/// A file on a disk that is slow: each read waits until the loop has done something else.
struct SlowFile(Receiver<&'static [u8]>);

impl Read for SlowFile {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let waited = self.0.recv_timeout(Duration::from_secs(60));
        let piece = waited.map_err(|_| std::io::Error::other("the loop stands still"))?;
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

#[test]
fn a_file_that_is_slow_to_read_does_not_stop_the_loop() {
    let _all_well = AllWell::new();
    let reactor = Reactor::new().unwrap();
    let (disk, file) = channel();
    let file = RefCell::new(Some(SlowFile(file)));
    let port = reactor
        .serve("127.0.0.1:0", async move |stream| {
            let file = file.take().unwrap();
            assert_eq!(stream.transport().send_file(file).await?, 9);
            Ok(())
        })
        .unwrap();
    let opening = reactor.open(port.host());
    let got = reactor.run_until(async move {
        let mut stream = opening.await?;
        let mut got = [0; 9];
        disk.send(b"one")?;
        stream.read_exact(&mut got[..3]).await?;
        disk.send(b"two")?;
        disk.send(b"six")?;
        disk.send(b"")?;
        stream.read_exact(&mut got[3..]).await?;
        assert_eq!(stream.read(&mut [0]).await?, 0);
        Ok(got)
    });
    assert_eq!(&got.unwrap(), b"onetwosix");
}

#[test]
fn a_file_that_cannot_be_read_fails_with_the_error_after_what_it_gave() {
    let _all_well = AllWell::new();
    let reactor = Reactor::new().unwrap();
    let (disk, file) = channel();
    disk.send(&b"all there is"[..]).unwrap();
    // Without a sender the second read fails.
    drop(disk);
    let file = RefCell::new(Some(SlowFile(file)));
    let port = reactor
        .serve("127.0.0.1:0", async move |stream| {
            let file = file.take().unwrap();
            let failure = stream.transport().send_file(file).await.unwrap_err();
            assert_eq!(failure.to_string(), "the loop stands still");
            Ok(())
        })
        .unwrap();
    let opening = reactor.open(port.host());
    let got = reactor.run_until(async move {
        let mut got = String::new();
        opening.await?.read_to_string(&mut got).await?;
        Ok(got)
    });
    assert_eq!(got.unwrap(), "all there is");
}

#[test]
fn a_file_is_sent_in_a_simulation_as_well() {
    let _all_well = AllWell::new();
    let simulation = Simulation::new(1);
    let (one, two) = (simulation.host("one"), simulation.host("two"));
    let bytes: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    let file = bytes.clone();
    let serving = one.reactor().serve("0.0.0.0:80", async move |stream| {
        let file = std::io::Cursor::new(file.clone());
        assert_eq!(stream.transport().send_file(file).await?, 300_000);
        Ok(())
    });
    serving.unwrap();
    let opening = two.reactor().open("one:80");
    let got = simulation.run_until(two.reactor().spawn(async move {
        let mut got = Vec::new();
        opening.await?.read_to_end(&mut got).await?;
        Ok(got)
    }));
    assert!(got.unwrap() == bytes);
}
