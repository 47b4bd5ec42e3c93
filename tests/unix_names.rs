//! Names of Unix sockets, as long and as odd as they may be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(target_os = "linux")]

#[path = "kit/mod.rs"]
mod kit;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use kit::{Notes, until};
use ropewalk::net::{ConnectError, DatagramProtocol, DatagramTransport, ListenError};
use ropewalk::{
    Address, ClientEndpoint, Protocol, Reactor, Result, ServerEndpoint, Stream, Transport, UnixName,
};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, sendto, socket};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A name in the abstract namespace that no other process takes; `rest` stands behind it.
fn with_end(rest: &[u8]) -> UnixName {
    let start = format!("ropewalk-{}-", std::process::id());
    UnixName::Abstract([start.as_bytes(), rest].concat().into())
}

/// As [`with_end`], but `first` stands before it.
fn with_start(first: &[u8]) -> UnixName {
    let end = format!("ropewalk-{}", std::process::id());
    UnixName::Abstract([first, end.as_bytes()].concat().into())
}

fn long(length: usize) -> UnixName {
    let mut name = format!("ropewalk-{}", std::process::id()).into_bytes();
    name.resize(length, b'x');
    UnixName::Abstract(name.into())
}

/// Names of which one is easily taken for another.
fn odd_names() -> Vec<UnixName> {
    let mut names = vec![long(106), long(107)];
    for part in [&b""[..], b"\0", b"\0\0", b"@", b"\0a", b"a\0", b"/", b"\xff"] {
        names.extend([with_start(part), with_end(part)]);
    }
    // The same, but for its last byte.
    let UnixName::Abstract(whole) = with_start(b"\0") else { unreachable!() };
    names.push(UnixName::Abstract(whole[..whole.len() - 1].into()));
    names.sort();
    names.dedup();
    names
}

/// A path of exactly so many bytes, in a directory that is there.
fn path(length: usize) -> PathBuf {
    let start = kit::path("long-");
    let mut text = start.into_os_string().into_string().unwrap();
    assert!(text.len() < length);
    text.extend(std::iter::repeat_n('x', length - text.len()));
    PathBuf::from(text)
}

/// Tells each who calls at which name, and whom it sees.
struct Greeter;

impl Protocol for Greeter {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(format!("{:?} sees {:?}", transport.host(), transport.peer()));
        transport.lose_connection();
    }
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

fn greeting(reactor: &Reactor, to: ClientEndpoint) -> Result<String> {
    let opening = reactor.open(to);
    reactor.run_until(async move {
        let mut stream: Stream = opening.await?;
        let mut got = String::new();
        stream.read_to_string(&mut got).await?;
        Ok(got)
    })
}

#[test]
fn each_abstract_name_leads_to_its_own_server_in_both_faces() {
    for face in 0..2 {
        let reactor = Reactor::new().unwrap();
        for name in odd_names() {
            let port = match face {
                0 => reactor.listen(ServerEndpoint::unix(name.clone()), |_: &Address| Greeter),
                _ => reactor.serve(ServerEndpoint::unix(name.clone()), async |mut stream| {
                    let greeting = format!("{:?} sees {:?}", stream.host(), stream.peer());
                    stream.write_all(greeting.as_bytes()).await?;
                    Ok(())
                }),
            };
            assert_eq!(port.unwrap().host(), Address::Unix(name));
        }
        for name in odd_names() {
            let address = Address::Unix(name.clone());
            let want = format!("{address:?} sees {:?}", Address::Unix(UnixName::Unnamed));
            assert_eq!(greeting(&reactor, ClientEndpoint::unix(name)).unwrap(), want);
            assert_eq!(greeting(&reactor, ClientEndpoint::from(&address)).unwrap(), want);
        }
    }
}

#[test]
fn a_name_that_nobody_has_is_refused_though_a_shorter_one_is_there() {
    let reactor = Reactor::new().unwrap();
    let UnixName::Abstract(whole) = with_start(b"\0refused-") else { unreachable!() };
    let shorter = UnixName::Abstract(whole[..whole.len() - 1].into());
    reactor.listen(ServerEndpoint::unix(shorter), |_: &Address| Greeter).unwrap();
    let failure = greeting(&reactor, ClientEndpoint::unix(UnixName::Abstract(whole))).unwrap_err();
    let error = failure.check::<ConnectError>().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_path_of_all_its_bytes_is_listened_at_connected_to_and_removed() {
    for length in [107, 108] {
        let (reactor, path) = (Reactor::new().unwrap(), path(length));
        let port = reactor.listen(ServerEndpoint::unix(&path), |_: &Address| Greeter).unwrap();
        assert_eq!(port.host(), Address::from(path.clone()));
        let greeting = greeting(&reactor, ClientEndpoint::unix(&path)).unwrap();
        assert!(greeting.starts_with(&format!("{:?} sees", port.host())), "{greeting}");
        let again = reactor.listen(ServerEndpoint::unix(&path), |_: &Address| Greeter).unwrap_err();
        assert_eq!(again.check::<ListenError>().unwrap().kind(), ErrorKind::AddrInUse);
        reactor.run_until(port.stop_listening()).unwrap();
        assert!(!path.exists());
    }
}

#[test]
fn what_is_no_name_is_an_error_that_says_why() {
    let reactor = Reactor::new().unwrap();
    let long_path = UnixName::from(path(109));
    for (name, why) in [
        (long(108), "it is over 107 bytes"),
        (long_path, "it is over 108 bytes"),
        (UnixName::from(Path::new("")), "it is empty"),
        (UnixName::from(Path::new("/tmp/ropewalk\0name")), "it has a zero in it"),
        (UnixName::from(Path::new("\0ropewalk")), "it has a zero in it"),
        (UnixName::Unnamed, "nobody can be there"),
    ] {
        let why = format!("is no name of a Unix socket: {why}");
        let failure =
            reactor.listen(ServerEndpoint::unix(name.clone()), |_: &Address| Greeter).unwrap_err();
        assert_eq!(failure.check::<ListenError>().unwrap().kind(), ErrorKind::InvalidInput);
        assert!(failure.to_string().ends_with(&why), "{failure}");
        let failure = greeting(&reactor, ClientEndpoint::unix(name.clone())).unwrap_err();
        assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::InvalidInput);
        assert!(failure.to_string().ends_with(&why), "{failure}");
        if name != UnixName::Unnamed {
            let at = Address::Unix(name);
            let failure = reactor.listen_unix_datagram(at, Ear(Notes::default())).unwrap_err();
            assert!(failure.to_string().ends_with(&why), "{failure}");
        }
    }
}

/// A client's socket, bound as `name` says.
fn bound(kind: SocketType, name: &SocketAddrUnix) -> OwnedFd {
    let socket = socket(AddressFamily::UNIX, kind, None).unwrap();
    bind(&socket, name).unwrap();
    socket
}

/// Clients with a name, and how it is seen.
fn named_clients(kind: SocketType) -> Vec<(OwnedFd, Option<UnixName>)> {
    let zero = with_start(b"\0client-");
    let UnixName::Abstract(name) = &zero else { unreachable!() };
    let by_name = bound(kind, &SocketAddrUnix::new_abstract_name(name).unwrap());
    let path = kit::path("client");
    let by_path = bound(kind, &SocketAddrUnix::new(&path).unwrap());
    fs::remove_file(&path).unwrap();
    let by_itself = bound(kind, &SocketAddrUnix::new_unnamed());
    vec![(by_name, Some(zero)), (by_path, Some(path.into())), (by_itself, None)]
}

#[test]
fn a_peers_name_is_seen_whatever_it_is() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let seen = notes.clone();
    let factory = move |peer: &Address| {
        seen.add(format_args!("{peer:?}"));
        Greeter
    };
    let server = with_end(b"seen");
    reactor.listen(ServerEndpoint::unix(server.clone()), factory).unwrap();
    let UnixName::Abstract(server) = server else { unreachable!() };
    let server = SocketAddrUnix::new_abstract_name(&server).unwrap();
    let long_path = path(108);
    let long = bound(SocketType::STREAM, &SocketAddrUnix::new(&long_path).unwrap());
    fs::remove_file(&long_path).unwrap();
    let mut clients = named_clients(SocketType::STREAM);
    clients.push((long, Some(long_path.into())));
    for (number, (client, name)) in clients.iter().enumerate() {
        connect(client, &server).unwrap();
        until(&reactor, "it is accepted", || notes.len() > number);
        match name {
            Some(name) => {
                assert_eq!(notes.all()[number], format!("{:?}", Address::Unix(name.clone())))
            }
            None => assert!(notes.all()[number].contains("Abstract"), "{:?}", notes.all()),
        }
    }
}

struct Ear(Notes);

impl DatagramProtocol for Ear {
    fn datagram_received(&mut self, _: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        self.0.add(format_args!("{} from {from:?}", data.escape_ascii()));
        Ok(())
    }
}

#[test]
fn each_abstract_name_gets_its_own_datagrams() {
    let reactor = Reactor::new().unwrap();
    let unnamed = Address::Unix(UnixName::Unnamed);
    let client = reactor.listen_unix_datagram(unnamed, Ear(Notes::default())).unwrap();
    for name in odd_names() {
        let (at, notes) = (Address::Unix(name), Notes::default());
        let server = reactor.listen_unix_datagram(at.clone(), Ear(notes.clone())).unwrap();
        assert_eq!(server.host(), at);
        client.write_to(b"x", &at).unwrap();
        until(&reactor, "it arrives", || notes.len() == 1);
        notes.expect(&[&format!("x from {:?}", Address::Unix(UnixName::Unnamed))]);
        reactor.run_until(server.stop_listening()).unwrap();
    }
}

#[test]
fn a_datagrams_sender_is_seen_whatever_its_name_is() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let at = path(108);
    let server = reactor.listen_unix_datagram(at.clone(), Ear(notes.clone())).unwrap();
    assert_eq!(server.host(), Address::from(at.clone()));
    let to = SocketAddrUnix::new(&at).unwrap();
    let longest = path(108).to_string_lossy().replace("xx", "yy");
    let long = bound(SocketType::DGRAM, &SocketAddrUnix::new(&*longest).unwrap());
    fs::remove_file(&longest).unwrap();
    let mut clients = named_clients(SocketType::DGRAM);
    // A name that long does not come with its datagrams: it is as if there was none.
    clients.push((long, Some(UnixName::Unnamed)));
    for (number, (client, name)) in clients.iter().enumerate() {
        sendto(client, b"x", rustix::net::SendFlags::empty(), &to).unwrap();
        until(&reactor, "it arrives", || notes.len() > number);
        match name {
            Some(name) => {
                let want = format!("x from {:?}", Address::Unix(name.clone()));
                assert_eq!(notes.all()[number], want);
            }
            None => assert!(notes.all()[number].contains("Abstract"), "{:?}", notes.all()),
        }
    }
    reactor.run_until(server.stop_listening()).unwrap();
    assert!(!at.exists());
}
