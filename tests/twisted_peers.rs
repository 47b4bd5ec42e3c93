//! Twisted's own endpoints as the other end: client and server, over TCP, Unix sockets and TLS, against
//! both faces.
//!
//! One process of `twisted_peer.py` plays all its acts one after the other; what it saw it prints, and
//! what it prints is waited for.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

#[path = "kit/paths.rs"]
mod paths;
#[path = "kit/peers.rs"]
mod peers;

use futures_util::{AsyncReadExt, AsyncWriteExt};
#[cfg(feature = "tls")]
use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
use ropewalk::transport::{ConnectionAborted, ConnectionDone};
use ropewalk::{
    Address, ClientEndpoint, Factory, Failure, Port, Protocol, Reactor, Result, ServerEndpoint,
    Stream, Transport,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/twisted_peer.py");
// ---- what is played ----

#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    /// Both send much at once; the peer ends.
    Swap,
    /// The peer ends its half after a question, and is answered.
    Ask,
    /// We end our half after a question, and are answered.
    Answer,
    /// The peer writes much and ends at once.
    TheyLose,
    /// So do we.
    WeLose,
    /// The peer aborts when it hears from us.
    TheyAbort,
    /// We do when we hear from the peer.
    WeAbort,
}

use Act::{Answer, Ask, Swap, TheyAbort, TheyLose, WeAbort, WeLose};

const ALL: &[Act] = &[Swap, Ask, Answer, TheyLose, WeLose, TheyAbort, WeAbort];

/// For TLS: a protocol of Twisted's ends its half below the layer, which is no end in order.
#[cfg(feature = "tls")]
const WITHOUT_ASKING: &[Act] = &[Swap, Answer, TheyLose, WeLose, TheyAbort, WeAbort];

impl Act {
    /// What the peer calls it.
    fn name(self) -> &'static str {
        match self {
            Swap => "swap",
            Ask => "ask",
            Answer => "answer",
            TheyLose => "lose",
            WeLose | WeAbort => "listen",
            TheyAbort => "abort",
        }
    }
}

fn much() -> Vec<u8> {
    (0..3_000_000u32).map(|number| (number % 251) as u8).collect()
}

/// What our end saw.
#[derive(Debug, PartialEq)]
struct Outcome {
    act: Act,
    got: Vec<u8>,
    end: &'static str,
}

#[derive(Clone, Default)]
struct Outcomes(Rc<RefCell<Vec<Outcome>>>);

impl Outcomes {
    fn push(&self, act: Act, got: Vec<u8>, reason: &Failure) {
        let kind = reason.check::<io::Error>().map(io::Error::kind);
        let end = match kind {
            Some(ErrorKind::ConnectionAborted) => "aborted",
            _ if reason.is::<ConnectionAborted>() => "aborted",
            _ if reason.is::<ConnectionDone>() => "done",
            _ => "lost",
        };
        self.0.borrow_mut().push(Outcome { act, got, end });
    }

    /// Of this act: the peer may begin the next one before we are at the end of this.
    fn of(&self, reactor: &Reactor, act: Act) -> Outcome {
        peers::until_found(reactor, || {
            let mut all = self.0.borrow_mut();
            let at = all.iter().position(|outcome| outcome.act == act)?;
            Some(all.swap_remove(at))
        })
    }
}

// ---- our end, in both faces ----

#[derive(Clone, Copy, Debug)]
enum Face {
    Pushed,
    Pulled,
}

struct Pushed {
    act: Act,
    got: Vec<u8>,
    outcomes: Outcomes,
}

impl Pushed {
    fn new(act: Act, outcomes: &Outcomes) -> Pushed {
        Pushed { act, got: Vec::new(), outcomes: outcomes.clone() }
    }
}

impl Protocol for Pushed {
    fn connection_made(&mut self, transport: &Transport) {
        match self.act {
            Swap => transport.write(much()),
            Answer => {
                transport.write(b"question");
                transport.lose_write_connection();
            }
            TheyAbort => transport.write(b"go"),
            Ask | TheyLose | WeLose | WeAbort => {}
        }
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.got.extend_from_slice(data);
        match self.act {
            WeLose if self.got == b"here" => {
                transport.write(much());
                transport.lose_connection();
            }
            WeAbort if self.got == b"here" => transport.abort_connection(),
            _ => {}
        }
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        if self.act == Ask {
            transport.write(b"answer");
        }
        transport.lose_connection();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.outcomes.push(self.act, std::mem::take(&mut self.got), reason);
    }
}

/// Plays an act as a task.
async fn pull(stream: Stream, act: Act, outcomes: Outcomes) {
    let mut got = Vec::new();
    let ended = match pull_into(&mut got, stream, act).await {
        Ok(()) => Failure::from(ConnectionDone),
        Err(failure) => failure,
    };
    outcomes.push(act, got, &ended);
}

async fn pull_into(got: &mut Vec<u8>, mut stream: Stream, act: Act) -> Result {
    match act {
        Swap => {
            let (mut reader, mut writer) = stream.split();
            let sent = much();
            let sending = async { Ok(writer.write_all(&sent).await?) };
            let reading = async { Ok(reader.read_to_end(got).await.map(drop)?) };
            return futures_util::future::try_join(sending, reading).await.map(drop);
        }
        Ask => {
            stream.read_to_end(got).await?;
            stream.write_all(b"answer").await?;
            return Ok(());
        }
        Answer => {
            stream.write_all(b"question").await?;
            stream.close().await?;
        }
        WeLose => {
            stream.read_exact(here(got)).await?;
            stream.write_all(&much()).await?;
            return Ok(());
        }
        TheyAbort => stream.write_all(b"go").await?,
        WeAbort => {
            stream.read_exact(here(got)).await?;
            stream.transport().abort_connection();
        }
        TheyLose => {}
    }
    stream.read_to_end(got).await?;
    Ok(())
}

/// Room for the peer's first word.
fn here(got: &mut Vec<u8>) -> &mut [u8] {
    got.resize("here".len(), 0);
    got
}

// ---- the peer ----

/// A running script, and what it prints.
struct Peer {
    process: Child,
    said: Rc<RefCell<Vec<u8>>>,
}

struct Ear(Rc<RefCell<Vec<u8>>>);

impl Protocol for Ear {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }
}

impl Peer {
    fn start(reactor: &Reactor, role: &str, endpoint: &str, acts: &[Act]) -> Peer {
        let mut command = Command::new("python3");
        command.args([PEER, role, endpoint]).args(acts.iter().map(|act| act.name()));
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (output, said) = (process.stdout.take().unwrap(), Rc::<RefCell<Vec<u8>>>::default());
        let nowhere = File::create("/dev/null").unwrap();
        reactor.connect_pipes(output, nowhere, Ear(said.clone())).unwrap();
        Peer { process, said }
    }

    /// The next line that it prints.
    fn line(&self, reactor: &Reactor) -> String {
        peers::until_found(reactor, || {
            let mut said = self.said.borrow_mut();
            let length = said.iter().position(|byte| *byte == b'\n')?;
            let line = said.drain(..=length).collect();
            Some(String::from_utf8(line).unwrap().trim_end().to_owned())
        })
    }

    /// Waits until it has printed `lost …`, and gives that and the lines before.
    fn tells(&self, reactor: &Reactor) -> Vec<String> {
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.starts_with("lost")) {
            lines.push(self.line(reactor));
        }
        lines
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// ---- the ways to connect ----

/// A folder of this test's own, gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = paths::path(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn with(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Tcp,
    Unix,
    #[cfg(feature = "tls")]
    Tls,
}

/// One way to connect: how each of the two makes it.
struct Way {
    kind: Kind,
    folder: Folder,
    #[cfg(feature = "tls")]
    identity: Identity,
}

impl Way {
    fn new(kind: Kind, name: &str) -> Way {
        let folder = Folder::new(name);
        #[cfg(feature = "tls")]
        let identity = Identity::self_signed(&["localhost"]).unwrap();
        #[cfg(feature = "tls")]
        {
            // Not `.pem`: all that is called so in the folder is taken for a certificate.
            fs::write(folder.with("private.key"), identity.key_pem()).unwrap();
            fs::write(folder.with("certificate.pem"), identity.certificate_pem()).unwrap();
        }
        Way {
            kind,
            folder,
            #[cfg(feature = "tls")]
            identity,
        }
    }

    /// Twisted's TLS answers the end of one half with the end of both, and calls its own abort a loss.
    fn is_layered(&self) -> bool {
        !matches!(self.kind, Kind::Tcp | Kind::Unix)
    }

    /// A Unix socket knows no reset: an abort looks like an end.
    fn has_resets(&self) -> bool {
        self.kind != Kind::Unix
    }

    /// Twisted's description of its server.
    fn their_server(&self) -> String {
        match self.kind {
            Kind::Tcp => "tcp:0:interface=127.0.0.1".into(),
            Kind::Unix => format!("unix:{}", self.folder.with("socket")),
            #[cfg(feature = "tls")]
            Kind::Tls => format!(
                "ssl:0:interface=127.0.0.1:privateKey={}:certKey={}",
                self.folder.with("private.key"),
                self.folder.with("certificate.pem")
            ),
        }
    }

    /// Twisted's description of a client of ours, who verifies where there is something to verify.
    fn their_client(&self, port: &Port) -> String {
        let number = port.host().port();
        match self.kind {
            Kind::Tcp => format!("tcp:127.0.0.1:{}", number.unwrap()),
            Kind::Unix => format!("unix:{}", self.folder.with("socket")),
            #[cfg(feature = "tls")]
            Kind::Tls => {
                let (number, roots) = (number.unwrap(), self.folder.0.display());
                format!("tls:localhost:{number}:trustRoots={roots}")
            }
        }
    }

    /// Where our client goes, once theirs listens at this port.
    fn our_client(&self, port: &str) -> ClientEndpoint {
        let here = format!("127.0.0.1:{port}");
        match self.kind {
            Kind::Tcp => ClientEndpoint::from(here),
            Kind::Unix => ClientEndpoint::unix(self.folder.with("socket")),
            #[cfg(feature = "tls")]
            Kind::Tls => {
                let trusting = ClientConfig::trusting(self.identity.certificate_pem());
                ClientEndpoint::from(here).tls(&trusting.server_name("localhost"))
            }
        }
    }

    fn our_server(&self, reactor: &Reactor, face: Face, acts: &[Act], outcomes: &Outcomes) -> Port {
        let (acts, outcomes) = (RefCell::new(VecDeque::from(acts.to_vec())), outcomes.clone());
        let next = move || (acts.borrow_mut().pop_front().unwrap(), outcomes.clone());
        match face {
            Face::Pushed => self.listen(reactor, move |_: &Address| {
                let (act, outcomes) = next();
                Pushed::new(act, &outcomes)
            }),
            Face::Pulled => self.serve(reactor, async move |stream| {
                let (act, outcomes) = next();
                pull(stream, act, outcomes).await;
                Ok(())
            }),
        }
    }

    fn listen(&self, reactor: &Reactor, factory: impl Factory + 'static) -> Port {
        let port = match self.kind {
            Kind::Tcp => reactor.listen("127.0.0.1:0", factory),
            Kind::Unix => reactor.listen(ServerEndpoint::unix(self.folder.with("socket")), factory),
            #[cfg(feature = "tls")]
            Kind::Tls => {
                reactor.listen(ServerEndpoint::from("127.0.0.1:0").tls(&self.config()), factory)
            }
        };
        port.unwrap()
    }

    fn serve(&self, reactor: &Reactor, handler: impl AsyncFn(Stream) -> Result + 'static) -> Port {
        let port = match self.kind {
            Kind::Tcp => reactor.serve("127.0.0.1:0", handler),
            Kind::Unix => reactor.serve(ServerEndpoint::unix(self.folder.with("socket")), handler),
            #[cfg(feature = "tls")]
            Kind::Tls => {
                reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&self.config()), handler)
            }
        };
        port.unwrap()
    }

    #[cfg(feature = "tls")]
    fn config(&self) -> ServerConfig {
        ServerConfig::new(self.identity.clone())
    }
}

// ---- the plays ----

fn they_connect(way: &Way, face: Face, acts: &[Act]) {
    let (reactor, outcomes) = (Reactor::new().unwrap(), Outcomes::default());
    let port = way.our_server(&reactor, face, acts, &outcomes);
    let peer = Peer::start(&reactor, "connect", &way.their_client(&port), acts);
    for act in acts.iter().copied() {
        let (theirs, ours) = (peer.tells(&reactor), outcomes.of(&reactor, act));
        check(way, act, &theirs, &ours);
    }
}

fn they_serve(way: &Way, face: Face, acts: &[Act]) {
    let (reactor, outcomes) = (Reactor::new().unwrap(), Outcomes::default());
    let peer = Peer::start(&reactor, "serve", &way.their_server(), acts);
    let line = peer.line(&reactor);
    let port = line.strip_prefix("listening ").unwrap_or_else(|| panic!("{line}"));
    for act in acts.iter().copied() {
        let (to, outcomes) = (way.our_client(port), outcomes.clone());
        match face {
            Face::Pushed => {
                let protocol = outcomes.clone();
                let factory = move |_: &Address| Pushed::new(act, &protocol);
                drop(reactor.connect(to, factory));
            }
            Face::Pulled => {
                let (opening, outcomes) = (reactor.open(to), outcomes.clone());
                reactor.spawn(async move {
                    pull(opening.await?, act, outcomes).await;
                    Ok(())
                });
            }
        }
        let (theirs, ours) = (peer.tells(&reactor), outcomes.of(&reactor, act));
        check(way, act, &theirs, &ours);
    }
}

/// What each saw of the other.
#[track_caller]
fn check(way: &Way, act: Act, theirs: &[String], ours: &Outcome) {
    let expected: &[&str] = match act {
        Swap | WeLose => &["got much", "lost ConnectionDone"],
        Ask => &["write closed", "got b'answer'", "lost ConnectionDone"],
        Answer if !way.is_layered() => &["read closed", "got b'question'", "lost ConnectionDone"],
        Answer => &["got b'question'", "lost ConnectionDone"],
        TheyLose => &["got b''", "lost ConnectionDone"],
        TheyAbort if way.is_layered() => &["got b'go'", "lost ConnectionLost"],
        TheyAbort => &["got b'go'", "lost ConnectionAborted"],
        WeAbort if way.has_resets() => &["got b''", "lost ConnectionLost"],
        WeAbort => &["got b''", "lost ConnectionDone"],
    };
    assert_eq!(theirs, expected, "{act:?}");
    let (got, end): (&[u8], _) = match act {
        Swap | TheyLose => (&much(), "done"),
        Ask => (b"question", "done"),
        Answer if !way.is_layered() => (b"noitseuq", "done"),
        Answer => (b"", "done"),
        WeLose => (b"here", "done"),
        TheyAbort if way.has_resets() => (b"", "lost"),
        TheyAbort => (b"", "done"),
        WeAbort => (b"here", "aborted"),
    };
    assert!(ours.got == got, "{act:?}: we got {} bytes", ours.got.len());
    assert_eq!(ours.end, end, "{act:?}");
}

fn play(kind: Kind, name: &str, acts: &[Act]) {
    if !peers::python_has("twisted") {
        return;
    }
    let way = Way::new(kind, name);
    for face in [Face::Pushed, Face::Pulled] {
        they_connect(&way, face, acts);
        they_serve(&way, face, acts);
    }
}

#[test]
fn twisted_over_tcp_sees_what_we_do_and_we_what_it_does() {
    play(Kind::Tcp, "twisted-tcp", ALL);
}

#[test]
fn twisted_over_unix_sockets_sees_what_we_do_and_we_what_it_does() {
    play(Kind::Unix, "twisted-unix", ALL);
}

#[cfg(feature = "tls")]
#[test]
fn twisted_over_tls_sees_what_we_do_and_we_what_it_does() {
    if peers::python_has("OpenSSL, service_identity") {
        play(Kind::Tls, "twisted-tls", WITHOUT_ASKING);
    }
}
