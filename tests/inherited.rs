//! Listening sockets that the process was started with, by their numbers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(target_os = "linux")]

#[path = "kit/mod.rs"]
mod kit;

use kit::{FACES, Face, alone_and_well, path, until};
use ropewalk::ServerEndpoint;
use ropewalk::net::ListenError;
use ropewalk::{Address, Port, Protocol, Reactor, Result, Transport, UnixName};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Leaves a descriptor to whoever takes its number over.
fn left(descriptor: impl Into<OwnedFd>) -> i32 {
    descriptor.into().into_raw_fd()
}

fn listen(face: Face, reactor: &Reactor, number: i32) -> Result<Port> {
    let endpoint: ServerEndpoint = format!("fd:{number}").parse().unwrap();
    match face {
        Face::Protocol => reactor.listen(&endpoint, |_: &Address| Echo),
        Face::Stream => reactor.serve(&endpoint, async |stream| {
            let (mut reader, mut writer) = stream.split();
            futures_util::io::copy(&mut reader, &mut writer).await?;
            Ok(())
        }),
    }
}

#[track_caller]
fn echoes(reactor: &Reactor, mut client: impl Read + Write) {
    client.write_all(b"hello").unwrap();
    let mut got = Vec::new();
    until(reactor, "an answer", || {
        let mut piece = [0; 10];
        match client.read(&mut piece) {
            Ok(count) => got.extend_from_slice(&piece[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        got == b"hello"
    });
}

/// What is open under a number, and whether a child would have it.
fn found(number: i32) -> (String, bool) {
    let target = fs::read_link(format!("/proc/self/fd/{number}")).unwrap();
    let state = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
    let flags = state.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    let closes = u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0;
    (target.into_os_string().into_string().unwrap(), !closes)
}

#[test]
fn a_socket_passed_by_number_is_served_and_is_its_ports_alone() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let number = left(listener);
        let port = listen(face, &reactor, number).unwrap();
        assert_eq!(port.host(), at.into());
        let client = TcpStream::connect(at).unwrap();
        client.set_nonblocking(true).unwrap();
        echoes(&reactor, client);

        assert_eq!(found(number), ("/dev/null".into(), false));
        let again = listen(face, &reactor, number).unwrap_err().to_string();
        assert!(again.ends_with(&format!("descriptor {number} is no socket")), "{again}");
        reactor.run_until(port.stop_listening()).unwrap();
        let refused = TcpStream::connect(at).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "no backlog is left to fill");
    }
}

#[test]
fn a_unix_socket_passed_by_number_is_served_and_leaves_its_path() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let path = path("passed");
        let number = left(UnixListener::bind(&path).unwrap());
        let port = listen(face, &reactor, number).unwrap();
        assert_eq!(port.host(), Address::Unix(UnixName::from(&path)));
        let client = UnixStream::connect(&path).unwrap();
        client.set_nonblocking(true).unwrap();
        echoes(&reactor, client);
        reactor.run_until(port.stop_listening()).unwrap();
        let refused = UnixStream::connect(&path).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        fs::remove_file(path).expect("whoever made it removes it");
    }
}

#[test]
fn a_connection_of_a_passed_socket_sends_without_delay() {
    let reactor = Reactor::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let witness = listener.try_clone().unwrap();
    let _port = listen(Face::Protocol, &reactor, left(listener)).unwrap();
    assert!(socket2::SockRef::from(&witness).tcp_nodelay().unwrap(), "those accepted inherit it");
}

#[test]
fn what_is_no_listening_socket_is_told_by_number_and_stays_open() {
    let reactor = Reactor::new().unwrap();
    let file = fs::File::open("/dev/zero").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (pair, _other) = UnixStream::pair().unwrap();
    for (number, why) in [
        (file.as_raw_fd(), "is no socket"),
        (udp.as_raw_fd(), "is no stream socket"),
        (pair.as_raw_fd(), "is a socket that does not listen"),
    ] {
        let before = found(number);
        for face in FACES {
            let failure = listen(face, &reactor, number).unwrap_err();
            assert!(failure.is::<ListenError>());
            let want = format!("cannot listen at fd:{number}: descriptor {number} {why}");
            assert_eq!(failure.to_string(), want);
        }
        assert_eq!(found(number), before);
    }
}

#[test]
fn a_number_under_which_nothing_is_open_is_an_error_that_names_the_call() {
    let reactor = Reactor::new().unwrap();
    let text = listen(Face::Protocol, &reactor, 999_999).unwrap_err().to_string();
    let want = "cannot listen at fd:999999: cannot copy descriptor 999999: sendmsg: ";
    assert!(text.starts_with(want), "{text}");
    let text = listen(Face::Protocol, &reactor, i32::MAX).unwrap_err().to_string();
    assert!(text.contains(": sendmsg: "), "{text}");
}

#[test]
fn without_descriptors_nothing_is_taken_over_and_the_call_is_named() {
    alone_and_well("without_descriptors_nothing_is_taken_over_and_the_call_is_named", || {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let number = left(listener);
        setrlimit(Resource::Nofile, Rlimit { current: Some(60), maximum: Some(60) }).unwrap();
        let mut taken = Vec::new();
        while let Ok(file) = fs::File::open("/dev/zero") {
            taken.push(file);
        }
        // None, one, and the two that the way takes but none for the copy.
        for call in ["socketpair", "socketpair", "recvmsg"] {
            let text = listen(Face::Protocol, &reactor, number).unwrap_err().to_string();
            let want = format!("cannot copy descriptor {number}: {call}: ");
            assert!(text.contains(&want), "{text}");
            taken.pop();
        }
        drop(taken);
        let _port = listen(Face::Protocol, &reactor, number).unwrap();
        let client = TcpStream::connect(at).unwrap();
        client.set_nonblocking(true).unwrap();
        echoes(&reactor, client);
    });
}
