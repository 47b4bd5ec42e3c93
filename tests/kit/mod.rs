//! What the suites on real sockets share: a peer that does as it is told, and two faces that answer.
//!
//! Everything happens in one thread: a test turns the reactor until what it waits for has happened,
//! and looks at the peer's socket, which never blocks, between turns. Loopback sockets hand on at
//! once, so the order of events is the test's own.
#![allow(dead_code, unused_imports, reason = "each suite uses its part")]

mod paths;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::{Address, Failure, Port, Protocol, Reactor, Result, Stream, Transport, on_report};
use std::cell::RefCell;
use std::fmt::Display;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) use paths::path;

/// What does not happen within this time will not happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than the kernel's two buffers hold at once, whatever they have grown to.
pub(crate) const MUCH: usize = 24 << 20;

/// What happened, in order; clones write into the same list.
#[derive(Clone, Default)]
pub(crate) struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, what: impl Display) {
        self.0.borrow_mut().push(what.to_string());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|note| note.starts_with(what)).count()
    }

    pub(crate) fn has(&self, what: &str) -> bool {
        self.count(what) > 0
    }

    #[track_caller]
    pub(crate) fn expect(&self, expected: &[&str]) {
        assert_eq!(self.all(), expected);
    }
}

/// The failures that nobody handled on this thread, from now on.
pub(crate) fn hear_reports() -> Notes {
    let notes = Notes::default();
    let desk = notes.clone();
    on_report(move |report| desk.add(report));
    notes
}

/// Turns the reactor until something has happened.
#[track_caller]
pub(crate) fn until(reactor: &Reactor, what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        reactor.turn(Some(Duration::from_millis(5))).expect("a turn");
    }
}

/// Makes the turns that whatever is under way can take.
pub(crate) fn turn(reactor: &Reactor) {
    (0..4).for_each(|_| reactor.turn(Some(Duration::ZERO)).expect("a turn"));
}

/// How many sources and tasks the reactor has, as it says itself.
pub(crate) fn census(reactor: &Reactor) -> (usize, usize) {
    let text = format!("{reactor:?}");
    let number = |name: &str| {
        let (_, rest) = text.split_once(name).expect("the reactor tells how many");
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
    };
    (number("sources: "), number("tasks: "))
}

/// Bytes that tell where they belong.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    (0..count as u32).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}

/// The other end: a plain socket of the standard library, told what to do step by step.
pub(crate) struct Peer {
    pub(crate) socket: TcpStream,
    pub(crate) got: Vec<u8>,
    /// `end of stream`, or the kind of error, once reading came to it.
    pub(crate) end: Option<String>,
}

impl Peer {
    pub(crate) fn call(port: &Port) -> Peer {
        let at = port.host().socket_addr().expect("an IP address");
        Peer::over(TcpStream::connect(at).expect("somebody listens"))
    }

    pub(crate) fn over(socket: TcpStream) -> Peer {
        socket.set_nonblocking(true).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        Peer { socket, got: Vec::new(), end: None }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, data: &[u8]) {
        self.socket.write_all(data).expect("room for a few bytes");
    }

    /// Reads what is there.
    pub(crate) fn hear(&mut self) -> &[u8] {
        let mut piece = vec![0; 64 * 1024];
        while self.end.is_none() {
            match self.socket.read(&mut piece) {
                Ok(0) => self.end = Some("end of stream".into()),
                Ok(count) => self.got.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => self.end = Some(format!("{:?}", error.kind())),
            }
        }
        &self.got
    }

    pub(crate) fn half_close(&self) {
        self.socket.shutdown(Shutdown::Write).expect("an open socket");
    }

    /// Closes so that the other end sees a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).expect("a socket");
    }

    #[track_caller]
    pub(crate) fn until_heard(&mut self, reactor: &Reactor, expected: &[u8]) {
        until(reactor, "the peer hears all", || self.hear().len() >= expected.len());
        assert!(self.got == expected, "heard {} other bytes", self.got.len());
    }

    #[track_caller]
    pub(crate) fn until_end(&mut self, reactor: &Reactor) -> &str {
        until(reactor, "the peer sees the end", || {
            self.hear();
            self.end.is_some()
        });
        self.end.as_deref().expect("it ended")
    }
}

/// An address that refuses: its port is taken, by a socket that does not listen.
pub(crate) fn nowhere() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("loopback has a port");
    let address = socket.local_addr().expect("it is bound");
    (socket, address.as_socket().expect("an IP address"))
}

/// A connection's face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    Protocol,
    Stream,
}

pub(crate) const FACES: [Face; 2] = [Face::Protocol, Face::Stream];

/// What the server's side of a connection does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// Sends back what it gets.
    Echo,
    /// Sends so many bytes of the pattern and closes.
    Flood(usize),
    /// Counts what it gets, and tells the number once the peer has ended its half.
    Count,
    /// Says `bye`, ends its half and listens on.
    Bye,
    /// Says `last words` to the first bytes, and fails.
    Fail,
    /// Says `last words` to the first bytes, and panics.
    Panic,
}

/// What a test sees of the server's side.
pub(crate) struct Serving {
    pub(crate) port: Port,
    /// `lost: <reason>` of each connection whose protocol was told, `over` of each handler that ended.
    pub(crate) ends: Notes,
    /// What came in, of all connections together.
    pub(crate) seen: Rc<RefCell<Vec<u8>>>,
    pub(crate) transports: Rc<RefCell<Vec<Transport>>>,
}

#[derive(Clone)]
struct Actor {
    role: Role,
    ends: Notes,
    seen: Rc<RefCell<Vec<u8>>>,
    transports: Rc<RefCell<Vec<Transport>>>,
}

pub(crate) fn serve(face: Face, reactor: &Reactor, role: Role) -> Serving {
    let (ends, seen, transports) = (Notes::default(), Rc::default(), Rc::default());
    let actor = Actor { role, ends, seen, transports };
    let (ends, seen, transports) =
        (actor.ends.clone(), actor.seen.clone(), actor.transports.clone());
    let any = "127.0.0.1:0";
    let port = match face {
        Face::Protocol => reactor.listen(any, move |_: &Address| actor.clone()),
        Face::Stream => reactor.serve(any, async move |stream| actor.clone().act(stream).await),
    };
    Serving { port: port.expect("loopback has a port"), ends, seen, transports }
}

impl Protocol for Actor {
    fn connection_made(&mut self, transport: &Transport) {
        self.transports.borrow_mut().push(transport.clone());
        match self.role {
            Role::Flood(count) => {
                transport.write(pattern(count));
                transport.lose_connection();
            }
            Role::Bye => {
                transport.write(b"bye");
                transport.lose_write_connection();
            }
            _ => {}
        }
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.seen.borrow_mut().extend_from_slice(data);
        match self.role {
            Role::Echo => transport.write(data),
            Role::Flood(_) | Role::Count | Role::Bye => {}
            Role::Fail => {
                transport.write(b"last words");
                return Err(Failure::msg("on purpose"));
            }
            Role::Panic => {
                transport.write(b"last words");
                panic!("on purpose");
            }
        }
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        if let Role::Count = self.role {
            transport.write(self.seen.borrow().len().to_string());
        }
        transport.lose_connection();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.ends.add(format!("lost: {reason}"));
    }
}

impl Actor {
    async fn act(self, stream: Stream) -> Result {
        struct Over(Notes);
        impl Drop for Over {
            fn drop(&mut self) {
                self.0.add("over");
            }
        }
        let _over = Over(self.ends.clone());
        self.transports.borrow_mut().push(stream.transport());
        self.play(stream).await
    }

    async fn play(&self, mut stream: Stream) -> Result {
        match self.role {
            Role::Flood(count) => {
                stream.write_all(&pattern(count)).await?;
                return Ok(());
            }
            Role::Bye => {
                stream.write_all(b"bye").await?;
                stream.close().await?;
            }
            _ => {}
        }
        let mut buffer = [0; 1000];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                break;
            }
            self.seen.borrow_mut().extend_from_slice(&buffer[..count]);
            match self.role {
                Role::Echo => stream.write_all(&buffer[..count]).await?,
                Role::Flood(_) | Role::Count | Role::Bye => {}
                Role::Fail | Role::Panic => {
                    stream.write_all(b"last words").await?;
                    assert!(matches!(self.role, Role::Fail), "on purpose");
                    return Err(Failure::msg("on purpose"));
                }
            }
        }
        if let Role::Count = self.role {
            let count = self.seen.borrow().len().to_string();
            stream.write_all(count.as_bytes()).await?;
        }
        Ok(())
    }
}

/// Whether this is the process of its own that [`alone`] makes for the test of this name.
const ALONE: &str = "ROPEWALK_TEST_ALONE";

/// Runs a test's body in a process of its own: for what all threads of a process share.
///
/// `None` in the child, where the body has run; what became of the child otherwise.
pub(crate) fn alone(name: &str, body: impl FnOnce()) -> Option<Output> {
    if std::env::var_os(ALONE).is_some_and(|wanted| wanted == name) {
        body();
        return None;
    }
    let this = std::env::current_exe().expect("this process has a file");
    let child = Command::new(this)
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, name)
        .output()
        .expect("it runs once more");
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(text.contains("running 1 test"), "no test is called {name}");
    Some(child)
}

/// As [`alone`]; the child's body must succeed.
#[track_caller]
pub(crate) fn alone_and_well(name: &str, body: impl FnOnce()) {
    if let Some(child) = alone(name, body) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(child.status.success(), "{}{}", text(&child.stdout), text(&child.stderr));
    }
}

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a process").count()
}
