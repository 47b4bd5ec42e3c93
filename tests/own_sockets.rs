//! Endpoints made in code: sockets of one's own, shared ports, and rustls' own configurations.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/mod.rs"]
mod kit;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use kit::{FACES, Face, Notes, Peer, census, path, until};
use ropewalk::driver::{ByteStream, Driver, Key, Listener, Readiness, SystemDriver};
use ropewalk::net::{DatagramProtocol, DatagramTransport, ListenError};
use ropewalk::simulation::Simulation;
use ropewalk::{Address, Port, Protocol, Reactor, Result, Stream, Transport, UnixName};
use ropewalk::{ClientEndpoint, ServerEndpoint};
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;

struct Echo(Notes);

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.add("data");
        transport.write(data);
        Ok(())
    }
    fn read_closed(&mut self, transport: &Transport) {
        transport.lose_connection();
    }
}

fn listen(face: Face, reactor: &Reactor, at: &ServerEndpoint) -> Result<Port> {
    match face {
        Face::Protocol => reactor.listen(at, |_: &Address| Echo(Notes::default())),
        Face::Stream => reactor.serve(at, async |stream: Stream| {
            let (mut reader, mut writer) = stream.split();
            futures_util::io::copy(&mut reader, &mut writer).await?;
            Ok(())
        }),
    }
}

#[test]
fn a_tcp_listener_of_ones_own_is_served_once_and_closed_with_its_port() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = ServerEndpoint::listener(listener);
        let port = listen(face, &reactor, &endpoint).unwrap();
        assert_eq!(port.host(), address.into());
        let mut peer = Peer::call(&port);
        peer.send(b"hello");
        peer.until_heard(&reactor, b"hello");
        let again = listen(face, &reactor, &endpoint.clone()).unwrap_err();
        assert!(again.is::<ListenError>());
        let said = "cannot listen at a listener of one's own: it is in use already";
        assert_eq!(again.to_string(), said);
        reactor.run_until(port.stop_listening()).unwrap();
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn a_unix_listener_of_ones_own_is_served_and_keeps_its_path() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let path = path("own");
        let endpoint = ServerEndpoint::listener(UnixListener::bind(&path).unwrap());
        let port = listen(face, &reactor, &endpoint).unwrap();
        assert_eq!(port.host(), Address::Unix(UnixName::from(&path)));
        let opening = reactor.open(ClientEndpoint::unix(&path));
        let answer = reactor.run_until(async move {
            let mut stream = opening.await?;
            stream.write_all(b"hello").await?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await?;
            Ok(answer)
        });
        assert_eq!(answer.unwrap(), *b"hello");
        reactor.run_until(port.stop_listening()).unwrap();
        std::fs::remove_file(path).expect("whoever made it removes it");
    }
}

#[test]
fn what_does_not_listen_or_is_not_connected_is_told_as_that() {
    let reactor = Reactor::new().unwrap();
    let (one, _other) = UnixStream::pair().unwrap();
    for (endpoint, why) in [
        (ServerEndpoint::listener(one), "what was given is a socket that does not listen"),
        (
            ServerEndpoint::listener(UdpSocket::bind("127.0.0.1:0").unwrap()),
            "what was given is no stream socket",
        ),
        (
            ServerEndpoint::listener(std::fs::File::open("/dev/null").unwrap()),
            "what was given is no socket",
        ),
    ] {
        let failure = listen(Face::Protocol, &reactor, &endpoint).unwrap_err().to_string();
        assert!(failure.ends_with(why), "{failure}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let opening = reactor.open(ClientEndpoint::connected(listener));
    let failure = reactor.run_until(opening).unwrap_err().to_string();
    assert!(failure.ends_with("what was given is a socket that is not connected"), "{failure}");
    assert_eq!(census(&reactor), (0, 0));
}

/// Connections of which one end is a socket of one's own, and the other the standard library's.
fn pairs() -> Vec<(ClientEndpoint, Box<dyn ReadWrite>)> {
    let (one, other) = UnixStream::pair().unwrap();
    other.set_nonblocking(true).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nonblocking(true).unwrap();
    vec![
        (ClientEndpoint::connected(one), Box::new(other)),
        (ClientEndpoint::connected(client), Box::new(server)),
    ]
}

trait ReadWrite: Read + Write {}
impl<S: Read + Write> ReadWrite for S {}

#[test]
fn a_connected_socket_of_ones_own_speaks_in_both_faces_and_once() {
    for face in FACES {
        for (endpoint, mut other) in pairs() {
            let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
            match face {
                Face::Protocol => {
                    let desk = notes.clone();
                    let factory = move |_: &Address| Echo(desk.clone());
                    let connecting = reactor.connect(&endpoint, factory);
                    reactor.run_until(connecting).unwrap();
                }
                Face::Stream => {
                    let opening = reactor.open(&endpoint);
                    reactor.spawn(async move {
                        let (mut reader, mut writer) = opening.await?.split();
                        futures_util::io::copy(&mut reader, &mut writer).await?;
                        Ok(())
                    });
                }
            }
            other.write_all(b"hello").unwrap();
            let mut got = Vec::new();
            until(&reactor, "an answer", || {
                let mut piece = [0; 10];
                match other.read(&mut piece) {
                    Ok(count) => got.extend_from_slice(&piece[..count]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                got == b"hello"
            });
            drop(other);
            until(&reactor, "the end", || census(&reactor) == (0, 0));
            let again = reactor.run_until(reactor.open(&endpoint)).unwrap_err().to_string();
            assert_eq!(again, "it is in use already");
        }
    }
}

#[test]
fn ports_that_share_an_address_share_its_connections() {
    let reactor = Reactor::new().unwrap();
    let counts = [Notes::default(), Notes::default()];
    let serve = |at: ServerEndpoint, count: &Notes| {
        let count = count.clone();
        reactor.serve(&at, async move |_: Stream| {
            count.add("served");
            Ok(())
        })
    };
    let one = serve(ServerEndpoint::tcp("127.0.0.1:0").backlog(300).reuse_port(), &counts[0]);
    let address = one.unwrap().host();
    serve(ServerEndpoint::tcp(&address).reuse_port(), &counts[1]).unwrap();
    let alone = serve(ServerEndpoint::tcp(&address), &counts[0]).unwrap_err();
    assert_eq!(alone.check::<ListenError>().unwrap().kind(), ErrorKind::AddrInUse);
    let at = address.socket_addr().unwrap();
    let _peers: Vec<_> = (0..200).map(|_| TcpStream::connect(at).unwrap()).collect();
    until(&reactor, "all are served", || counts[0].len() + counts[1].len() == 200);
    assert!(counts.iter().all(|count| count.len() > 0), "one of them got all");
}

#[test]
fn an_endpoint_made_in_code_tells_what_is_wrong_when_it_is_used() {
    let reactor = Reactor::new().unwrap();
    let number = "bad endpoint: the port is a number from 0 to 65535\n";
    for (endpoint, why) in [
        (ServerEndpoint::tcp("8000"), "bad endpoint: a port needs its type, as in tcp:8000\n"),
        (ServerEndpoint::tcp(":8000"), "bad endpoint: the host is missing; for all interfaces"),
        (ServerEndpoint::tcp("localhost:http"), number),
        (ServerEndpoint::tcp("localhost:70000").backlog(1), number),
        (ServerEndpoint::tcp("localhost:0").mode(0o600), "it has no mode"),
        (ServerEndpoint::tcp("localhost:0").behind_proxy().behind_proxy(), "one PROXY header"),
        (ServerEndpoint::unix("/run/s").reuse_port(), "it has no port to share"),
        ("fd:3".parse::<ServerEndpoint>().unwrap().backlog(1), "it has no backlog"),
        ("stdio".parse::<ServerEndpoint>().unwrap().reuse_port(), "it has no port to share"),
    ] {
        let failure = listen(Face::Stream, &reactor, &endpoint).unwrap_err();
        let want = format!("cannot listen at {endpoint}: {why}");
        assert!(failure.to_string().starts_with(&want), "{failure}");
    }
    let behind = "haproxy:tcp:0:interface=127.0.0.1".parse::<ServerEndpoint>().unwrap();
    listen(Face::Stream, &reactor, &behind.backlog(1).reuse_port()).unwrap();
    let scoped = ServerEndpoint::tcp("[::1]:0");
    if TcpListener::bind("[::1]:0").is_ok() {
        listen(Face::Stream, &reactor, &scoped).unwrap();
    }
}

#[test]
fn a_simulated_host_says_what_it_has_not() {
    let simulation = Simulation::new(1);
    let reactor = simulation.host("server").reactor();
    let shared = ServerEndpoint::tcp("0.0.0.0:80").reuse_port();
    let failure = listen(Face::Stream, &reactor, &shared).unwrap_err().to_string();
    assert!(failure.ends_with("this driver does not share the address 0.0.0.0:80"), "{failure}");
    let own = ServerEndpoint::listener(TcpListener::bind("127.0.0.1:0").unwrap());
    let failure = listen(Face::Stream, &reactor, &own).unwrap_err().to_string();
    assert!(failure.ends_with("this driver takes no sockets of the system's"), "{failure}");
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use ropewalk::tls::rustls::pki_types::pem::PemObject;
    use ropewalk::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig, rustls, session};
    use std::sync::Arc;

    fn both(identity: &Identity) -> (ServerConfig, ClientConfig) {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(identity.certificate_pem().as_bytes())
            .map(|it| it.unwrap())
            .collect();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let server =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let mut server = server.unwrap();
        server.alpn_protocols = vec![b"theirs".to_vec(), b"ours".to_vec()];
        let mut client =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"theirs".to_vec()];
        (Arc::new(server).into(), Arc::new(client).into())
    }

    #[test]
    fn configurations_made_with_rustls_itself_serve_both_roles() {
        let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
        let (server, client) = both(&identity);
        let reactor = Reactor::new().unwrap();
        let port = reactor
            .serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |_: Stream| Ok(()))
            .unwrap();
        for (client, want) in
            [(client.clone(), &b"theirs"[..]), (client.clone().alpn(["ours"]), b"ours")]
        {
            let stream = reactor
                .run_until(reactor.open(ClientEndpoint::from(&port.host()).tls(&client)))
                .unwrap();
            let session = session(&stream.transport()).unwrap();
            assert_eq!(session.alpn(), Some(want));
        }
    }

    #[test]
    fn what_is_set_beside_a_configuration_of_rustls_is_refused_when_it_is_used() {
        let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
        let (server, client) = both(&identity);
        let reactor = Reactor::new().unwrap();
        let named = server.clone().name("a.example", identity.clone());
        let asking = server.require_client_certificate(identity.certificate_pem());
        for server in [named, asking] {
            let failure = reactor
                .serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |_: Stream| Ok(()));
            let failure = failure.unwrap_err().to_string();
            assert!(failure.contains("are set in rustls' own configuration"), "{failure}");
        }
        let port = reactor.serve("127.0.0.1:0", async |_: Stream| Ok(())).unwrap();
        let opening =
            reactor.open(ClientEndpoint::from(&port.host()).tls(&client.identity(identity)));
        let failure = reactor.run_until(opening).unwrap_err().to_string();
        assert!(failure.contains("is set in rustls' own configuration"), "{failure}");
    }
}

/// Answers each datagram with what it said, through either face.
fn echo_datagrams(face: Face, reactor: &Reactor, socket: impl Into<OwnedFd>) -> Result<Address> {
    struct Echo;
    impl DatagramProtocol for Echo {
        fn datagram_received(
            &mut self,
            transport: &DatagramTransport,
            data: &[u8],
            from: &Address,
        ) -> Result {
            transport.write_to(data, from)
        }
    }
    if face == Face::Protocol {
        return Ok(reactor.listen_datagrams(socket, Echo)?.host());
    }
    let socket = reactor.open_datagrams(socket)?;
    let host = socket.host();
    drop(reactor.spawn(async move {
        let mut buffer = [0; 100];
        loop {
            let (count, from) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..count], &from).await?;
        }
        #[allow(unreachable_code)]
        Result::Ok(())
    }));
    Ok(host)
}

#[test]
fn a_udp_socket_of_ones_own_is_served_in_both_faces_and_left_as_it_was_for_others() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (address, other) = (socket.local_addr().unwrap(), socket.try_clone().unwrap());
        assert_eq!(echo_datagrams(face, &reactor, socket).unwrap(), address.into());
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_nonblocking(true).unwrap();
        peer.send_to(b"hello", address).unwrap();
        let mut answer = [0; 10];
        until(&reactor, "the answer", || peer.recv(&mut answer).is_ok_and(|count| count == 5));
        assert_eq!(&answer[..5], b"hello");
        let flags = rustix::fs::fcntl_getfl(&other).unwrap();
        assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
    }
}

#[test]
fn a_unix_datagram_socket_of_ones_own_is_served_and_keeps_its_path() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let (at, from) = (path("served"), path("peer"));
        let host = echo_datagrams(face, &reactor, UnixDatagram::bind(&at).unwrap()).unwrap();
        assert_eq!(host, Address::Unix(UnixName::from(&at)));
        let peer = UnixDatagram::bind(&from).unwrap();
        peer.set_nonblocking(true).unwrap();
        peer.send_to(b"hello", &at).unwrap();
        until(&reactor, "the answer", || peer.recv(&mut [0; 10]).is_ok_and(|count| count == 5));
        drop(reactor);
        std::fs::remove_file(at).expect("whoever made it removes it");
        std::fs::remove_file(from).unwrap();
    }
}

#[test]
fn a_datagram_socket_that_was_connected_sends_to_its_peer_and_cannot_be_connected_again() {
    let reactor = Reactor::new().unwrap();
    let (socket, peer) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let to = peer.local_addr().unwrap();
    socket.connect(to).unwrap();
    let socket = reactor.open_datagrams(socket).unwrap();
    reactor.run_until(async { socket.send(b"hello").await }).unwrap();
    assert_eq!(peer.recv(&mut [0; 10]).unwrap(), 5);
    let again = socket.connect(to).unwrap_err();
    assert!(again.to_string().ends_with(&format!("is connected to {to} already")), "{again}");
}

#[test]
fn what_is_no_socket_for_datagrams_is_told_as_that_where_it_was_given() {
    let reactor = Reactor::new().unwrap();
    let stream = UnixStream::pair().unwrap().0;
    let file = std::fs::File::open("/dev/null").unwrap();
    for (given, why) in [
        (OwnedFd::from(stream), "what was given is no socket for datagrams"),
        (file.into(), "what was given is no socket"),
    ] {
        let failure = reactor.open_datagrams(given).unwrap_err();
        assert_eq!(failure.to_string(), why);
        assert_eq!(failure.location().unwrap().file(), file!());
    }
    let simulation = Simulation::new(1);
    let host = simulation.host("host").reactor();
    let failure = host.open_datagrams(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap_err();
    assert_eq!(failure.to_string(), "this driver takes no sockets of the system's");
}

/// Has one stream to give, once; the other end is the test's.
struct Single(Option<Box<dyn ByteStream>>, Rc<Cell<Option<Key>>>);

impl Listener for Single {
    fn register(&mut self, key: Key) -> std::io::Result<()> {
        self.1.set(Some(key));
        Ok(())
    }
    fn accept(&mut self) -> std::io::Result<(Box<dyn ByteStream>, Address)> {
        let stream = self.0.take().ok_or(ErrorKind::WouldBlock)?;
        Ok((stream, Address::Pipe("single".into())))
    }
    fn host(&self) -> std::io::Result<Address> {
        Ok(Address::Pipe("single".into()))
    }
}

#[test]
fn a_listener_of_no_socket_is_served_when_it_says_so_and_once() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let driver = SystemDriver::new().unwrap();
        let (here, there) = UnixStream::pair().unwrap();
        let stream = driver.adopt_stream(there.into()).unwrap();
        let key = Rc::new(Cell::new(None));
        let endpoint = ServerEndpoint::custom(Single(Some(stream), key.clone()));
        let port = listen(face, &reactor, &endpoint).unwrap();
        let again = listen(face, &reactor, &endpoint.clone()).unwrap_err().to_string();
        assert_eq!(again, "cannot listen at a listener of one's own: it is in use already");

        let accepts = |reactor: &Reactor| {
            reactor.turn(Some(Duration::ZERO)).unwrap();
            census(reactor)
        };
        let before = accepts(&reactor);
        assert_eq!(accepts(&reactor), before, "nobody said that there is a stream");
        let key = key.get().unwrap();
        reactor.notify_ready(key, Readiness::READABLE);
        assert_ne!(accepts(&reactor), before, "it was accepted");
        reactor.run_until(port.stop_listening()).unwrap();
        reactor.notify_ready(key, Readiness::READABLE); // nobody's any more
        reactor.turn(Some(Duration::ZERO)).unwrap();
        drop(here);
    }
}
