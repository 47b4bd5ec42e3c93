//! Reads that give less than is there: all of it is read, and without more coming.

use super::*;
use ropewalk::ServerEndpoint;

/// Serves a connection with an echo of what a peer says in several pieces before the reactor looks.
fn hears_all(face: Face, kind: &str, input: OwnedFd, pieces: usize) {
    let reactor = Reactor::new().unwrap();
    let (_from, output) = pipe().unwrap();
    let bytes: Rc<RefCell<Vec<u8>>> = Rc::default();
    match face {
        Face::Protocol => {
            let listener = Listener { bytes: bytes.clone(), ..Listener::default() };
            reactor.connect_pipes(input, output, listener).unwrap();
        }
        Face::Stream => {
            let (mut stream, bytes) = (reactor.open_pipes(input, output).unwrap(), bytes.clone());
            drop(reactor.spawn(async move {
                let mut buffer = [0; 1000];
                while let count @ 1.. = stream.read(&mut buffer).await? {
                    bytes.borrow_mut().extend_from_slice(&buffer[..count]);
                }
                Ok(())
            }));
        }
    }
    until(&reactor, kind, || bytes.borrow().len() >= pieces * 3);
    assert_eq!(bytes.borrow().len(), pieces * 3, "{kind}");
}

const PIECES: usize = 9;

#[test]
fn messages_of_a_socket_that_wait_together_are_all_read() {
    for face in FACES {
        for kind in [SocketType::SEQPACKET, SocketType::DGRAM] {
            let pair = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None);
            let (there, here) = pair.unwrap();
            for _ in 0..PIECES {
                rustix::net::send(&there, b"one", SendFlags::empty()).unwrap();
            }
            hears_all(face, &format!("{kind:?}"), here, PIECES);
        }
    }
}

#[test]
fn packets_of_a_pipe_that_wait_together_are_all_read() {
    for face in FACES {
        let (input, to) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC).unwrap();
        for _ in 0..PIECES {
            rustix::io::write(&to, b"one").unwrap();
        }
        hears_all(face, "packets", input, PIECES);
    }
}

#[test]
fn a_layer_that_gives_one_byte_at_a_time_is_asked_until_it_has_none() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let serving = serve(face, &reactor, Role::Echo);
        let mut peer = Peer::call(&serving.port);
        until(&reactor, "it is there", || serving.transports.borrow().len() == 1);
        let transport = serving.transports.borrow()[0].clone();
        transport.replace_stream(|below| Box::new(Drops { below })).unwrap();
        kit::turn(&reactor);
        peer.send(b"all of this");
        peer.until_heard(&reactor, b"all of this");
    }
}

/// A user's layer: gives and takes one byte a call.
struct Drops {
    below: Box<dyn ByteStream>,
}

impl ByteStream for Drops {
    forward_byte_stream!(self.below: all except read, write, write_vectored, as_layer);

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.below.read(&mut buffer[..1])
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.below.write(&data[..1])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&slices[0])
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

/// Says nothing of what is pending: then it may be more.
impl Layer for Drops {}

#[test]
fn what_follows_an_urgent_byte_is_read_without_more_coming() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let serving = serve(face, &reactor, Role::Count);
        let mut peer = Peer::call(&serving.port);
        until(&reactor, "it is there", || serving.transports.borrow().len() == 1);
        kit::turn(&reactor);
        for round in 1..=3 {
            peer.send(b"before");
            rustix::net::send(&peer.socket, b"!", SendFlags::OOB).unwrap();
            peer.send(b"behind");
            let all = b"beforebehind".repeat(round);
            until(&reactor, "all is read", || serving.seen.borrow().len() >= all.len());
            assert_eq!(*serving.seen.borrow(), all, "{face:?}");
        }
        peer.half_close();
        peer.until_heard(&reactor, b"36");
    }
}

#[test]
fn an_urgent_byte_that_comes_alone_hides_nothing_that_follows_it() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let serving = serve(face, &reactor, Role::Count);
        let mut peer = Peer::call(&serving.port);
        peer.send(b"before");
        until(&reactor, "the first is read", || serving.seen.borrow().len() == 6);
        rustix::net::send(&peer.socket, b"!", SendFlags::OOB).unwrap();
        kit::turn(&reactor);
        peer.send(b"behind");
        rustix::net::send(&peer.socket, b"?", SendFlags::OOB).unwrap();
        peer.send(b"that");
        until(&reactor, "all is read", || serving.seen.borrow().len() >= 16);
        assert_eq!(*serving.seen.borrow(), b"beforebehindthat", "{face:?}");
    }
}

#[test]
fn what_follows_an_urgent_byte_of_a_unix_socket_is_read_without_more_coming() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let path = path("urgent");
        let listener = Listener::default();
        let (build, bytes) = (listener.clone(), listener.bytes.clone());
        let _port = match face {
            Face::Protocol => {
                reactor.listen(ServerEndpoint::unix(&path), move |_: &Address| build.clone())
            }
            Face::Stream => reactor.serve(ServerEndpoint::unix(&path), async move |mut stream| {
                let mut buffer = [0; 1000];
                while let count @ 1.. = stream.read(&mut buffer).await? {
                    bytes.borrow_mut().extend_from_slice(&buffer[..count]);
                }
                Ok(())
            }),
        };
        let mut peer = UnixStream::connect(&path).unwrap();
        peer.write_all(b"hello").unwrap();
        until(&reactor, "it is there", || listener.bytes.borrow().len() == 5);
        peer.write_all(b"before").unwrap();
        if rustix::net::send(&peer, b"!", SendFlags::OOB).is_err() {
            return println!("not tested: Unix sockets have no urgent bytes here");
        }
        peer.write_all(b"behind").unwrap();
        until(&reactor, "all is read", || listener.bytes.borrow().ends_with(b"behind"));
        assert_eq!(*listener.bytes.borrow(), b"hellobeforebehind", "{face:?}");
    }
}
