//! What stands where a Unix socket shall listen, and what is left there: nothing blocks, and nothing of
//! somebody else's is touched.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(target_os = "linux")]

#[path = "kit/mod.rs"]
mod kit;

use kit::{alone_and_well, path, until};
use ropewalk::net::{DatagramProtocol, DatagramTransport, ListenError};
use ropewalk::{Address, Protocol, Reactor, Result, ServerEndpoint, Transport};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A directory of this test's own, gone when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let path = path("folder");
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Fails instead of hanging.
#[track_caller]
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(Duration::from_secs(20)).expect("the thread blocks, or failed")
}

/// Why a path cannot be listened at.
#[track_caller]
fn refusal(at: &Path, is_locked: bool) -> (ErrorKind, String) {
    let at = at.to_owned();
    in_time(move || {
        let at = ServerEndpoint::unix(at);
        let at = if is_locked { at } else { at.without_lock() };
        let reactor = Reactor::new().unwrap();
        let failure = reactor.listen(at, |_: &Address| Echo).unwrap_err();
        (failure.check::<ListenError>().unwrap().kind(), failure.to_string())
    })
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_bits_retain(0o600), 0).unwrap();
}

#[test]
fn a_living_server_with_a_full_backlog_is_alive() {
    let directory = Directory::new();
    let path = directory.0.join("full");
    let server = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    server.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    server.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        if client.connect(&SockAddr::unix(&path).unwrap()).is_err() {
            break;
        }
        waiting.push(client);
    }
    for is_locked in [true, false] {
        let (kind, text) = refusal(&path, is_locked);
        assert_eq!(kind, ErrorKind::AddrInUse);
        assert!(text.ends_with("full is in use by another socket"), "{text}");
    }
    assert_eq!(directory.entries(), ["full"]);
}

#[test]
fn a_socket_of_another_type_is_in_use() {
    let directory = Directory::new();
    let path = directory.0.join("datagrams");
    let other = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let (kind, text) = refusal(&path, true);
    assert_eq!((kind, text.contains("in use by another socket")), (ErrorKind::AddrInUse, true));
    drop(other);
    let reactor = Reactor::new().unwrap();
    reactor
        .listen(ServerEndpoint::unix(&path), |_: &Address| Echo)
        .expect("nobody is there any more");
}

#[test]
fn what_is_no_socket_is_said_to_be_none_and_left_alone() {
    let directory = Directory::new();
    let path = |name: &str| directory.0.join(name);
    fs::write(path("file"), "precious").unwrap();
    fs::create_dir(path("directory")).unwrap();
    fifo(&path("fifo"));
    symlink("nowhere", path("link")).unwrap();
    let before = directory.entries();
    for name in &before {
        let (kind, text) = refusal(&path(name), true);
        assert_eq!(kind, ErrorKind::AddrInUse, "{text}");
        assert!(text.ends_with(&format!("{name} is there already, and is no socket")), "{text}");
    }
    assert_eq!(directory.entries(), before);
    assert_eq!(fs::read(path("file")).unwrap(), b"precious");
}

#[test]
fn what_is_no_lock_is_said_to_be_none_and_left_alone() {
    let directory = Directory::new();
    let path = |name: &str| directory.0.join(name);
    fifo(&path("fifo.lock"));
    fs::write(path("file.lock"), "precious").unwrap();
    fs::create_dir(path("directory.lock")).unwrap();
    drop(UnixListener::bind(path("socket.lock")).unwrap());
    let before = directory.entries();
    for name in ["fifo", "file", "directory", "socket"] {
        let (kind, text) = refusal(&path(name), true);
        assert_eq!(kind, ErrorKind::AddrInUse, "{text}");
        let said = format!("{name}.lock is no lock, which is an empty file");
        assert!(text.ends_with(&said), "{text}");
    }
    assert_eq!(directory.entries(), before);
}

#[test]
fn a_fifo_with_a_reader_is_no_lock_either() {
    let directory = Directory::new();
    let path = directory.0.join("s.lock");
    fifo(&path);
    let reader = fs::File::options().read(true).write(true).open(&path).unwrap();
    let (_, text) = refusal(&directory.0.join("s"), true);
    assert!(text.ends_with("s.lock is no lock, which is an empty file"), "{text}");
    drop(reader);
}

#[test]
fn a_lock_that_links_to_nonsense_is_told_as_that() {
    for target in ["nonsense", "0", "-1", "-5", "+1", "1 ", "1.5", "99999999999", "../s"] {
        let directory = Directory::new();
        symlink(target, directory.0.join("s.lock")).unwrap();
        let (kind, text) = refusal(&directory.0.join("s"), true);
        assert_eq!(kind, ErrorKind::AddrInUse, "{text}");
        let said = format!("s.lock links to {target:?}, which is no number of a process");
        assert!(text.ends_with(&said), "{text}");
        assert_eq!(directory.entries(), ["s.lock"]);
    }
}

/// Listens at a relative path, and has the process go elsewhere before the end of it.
fn after_a_change_of_directory(listen: impl Fn(&Reactor) -> Box<dyn Fn(&Reactor)>) {
    for stopped in [true, false] {
        let (directory, elsewhere) = (Directory::new(), Directory::new());
        std::env::set_current_dir(&directory.0).unwrap();
        let reactor = Reactor::new().unwrap();
        let stop = listen(&reactor);
        assert!(!directory.entries().is_empty());
        std::env::set_current_dir(&elsewhere.0).unwrap();
        fs::write("s", "another's").unwrap();
        fs::write("s.lock", "").unwrap();
        if stopped {
            stop(&reactor);
        }
        drop((stop, reactor));
        assert_eq!(directory.entries(), [""; 0], "stopped: {stopped}");
        assert_eq!(elsewhere.entries(), ["s", "s.lock"], "stopped: {stopped}");
    }
}

#[test]
fn a_relative_path_and_its_lock_are_removed_after_a_change_of_directory() {
    alone_and_well("a_relative_path_and_its_lock_are_removed_after_a_change_of_directory", || {
        after_a_change_of_directory(|reactor| {
            let port = reactor.listen(ServerEndpoint::unix("s"), |_: &Address| Echo).unwrap();
            Box::new(move |reactor| reactor.run_until(port.stop_listening()).unwrap())
        });
    });
}

struct Deaf;

impl DatagramProtocol for Deaf {
    fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

#[test]
fn a_relative_path_for_datagrams_is_removed_after_a_change_of_directory() {
    alone_and_well("a_relative_path_for_datagrams_is_removed_after_a_change_of_directory", || {
        after_a_change_of_directory(|reactor| {
            let port = reactor.listen_unix_datagram(PathBuf::from("s"), Deaf).unwrap();
            Box::new(move |reactor| reactor.run_until(port.stop_listening()).unwrap())
        });
    });
}

/// Serves at an inherited socket that blocks again each time that the reactor does not look.
fn serve_though_it_blocks<L, C>(listener: L, copy: L, unblock: fn(&L, bool), call: fn(&L) -> C)
where
    L: Into<OwnedFd>,
    C: Read + Write,
{
    let reactor = Reactor::new().unwrap();
    let endpoint: ServerEndpoint = format!("fd:{}", copy.into().into_raw_fd()).parse().unwrap();
    let _port = reactor.listen(&endpoint, |_: &Address| Echo).unwrap();
    for _ in 0..3 {
        unblock(&listener, false);
        let mut client = call(&listener);
        client.write_all(b"hello").unwrap();
        let mut got = Vec::new();
        until(&reactor, "an answer", || {
            unblock(&listener, false);
            let mut piece = [0; 10];
            match client.read(&mut piece) {
                Ok(count) => got.extend_from_slice(&piece[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            got == b"hello"
        });
    }
}

#[test]
fn a_port_whose_socket_another_holder_has_block_never_blocks_the_loop() {
    in_time(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let copy = listener.try_clone().unwrap();
        let unblock = |it: &TcpListener, on| it.set_nonblocking(on).unwrap();
        serve_though_it_blocks(listener, copy, unblock, |listener| {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_nonblocking(true).unwrap();
            client
        });
    });
    in_time(|| {
        let directory = Directory::new();
        let listener = UnixListener::bind(directory.0.join("s")).unwrap();
        let copy = listener.try_clone().unwrap();
        let unblock = |it: &UnixListener, on| it.set_nonblocking(on).unwrap();
        serve_though_it_blocks(listener, copy, unblock, |listener| {
            let at = listener.local_addr().unwrap();
            let client = UnixStream::connect(at.as_pathname().unwrap()).unwrap();
            client.set_nonblocking(true).unwrap();
            client
        });
    });
}
