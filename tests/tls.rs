//! TLS in both faces and roles, over TCP, Unix sockets and itself, against this crate, `openssl` and
//! `curl`.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.
#![cfg(feature = "tls")]

#[path = "kit/paths.rs"]
mod paths;
#[path = "kit/peers.rs"]
mod peers;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::net::ConnectError;
use ropewalk::tls::{ClientConfig, Identity, ServerConfig, TlsError, session, start_tls};
use ropewalk::transport::{ConnectionDone, ConnectionLost};
use ropewalk::{
    Address, ClientEndpoint, Deferred, Failure, Port, Protocol, Reactor, Result, ServerEndpoint,
    Stream, Transport, Trigger,
};
use std::cell::{Cell, RefCell};
use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

async fn echo(stream: Stream) -> Result {
    let (mut reader, mut writer) = stream.split();
    futures_util::io::copy(&mut reader, &mut writer).await?;
    Ok(())
}

/// A server's configuration, and that of a client who trusts it.
fn ends() -> (ServerConfig, ClientConfig) {
    let identity = Identity::self_signed(&["localhost", "127.0.0.1"]).unwrap();
    let client = ClientConfig::trusting(identity.certificate_pem()).server_name("localhost");
    (ServerConfig::new(identity), client)
}

/// Sends while it reads, ends its half, and gives what came back.
async fn exchange(stream: Stream, sent: Vec<u8>) -> Result<Vec<u8>> {
    let (mut reader, mut writer) = stream.split();
    let mut got = Vec::new();
    let send = async {
        writer.write_all(&sent).await?;
        writer.close().await
    };
    futures_util::future::try_join(send, reader.read_to_end(&mut got)).await?;
    Ok(got)
}

fn open_and_exchange(reactor: &Reactor, opening: Deferred<Stream>, sent: &[u8]) -> Result<Vec<u8>> {
    let sent = sent.to_vec();
    reactor.run_until(async move { exchange(opening.await?, sent).await })
}

fn bulk() -> Vec<u8> {
    (0..500_000u32).map(|n| (n ^ (n >> 8)) as u8).collect()
}

#[test]
fn both_faces_echo_much_and_little() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let callbacks = reactor
        .listen(ServerEndpoint::from("127.0.0.1:0").tls(&server), |_: &Address| Echo)
        .unwrap();
    let task = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), echo).unwrap();
    for port in [callbacks, task] {
        for sent in [&b"x"[..], &bulk()] {
            let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
            assert!(open_and_exchange(&reactor, opening, sent).unwrap() == sent);
        }
    }
}

/// Tells how its connection went.
struct Listens {
    made: Rc<Cell<u32>>,
    lost: Option<Trigger<Failure>>,
}

impl Protocol for Listens {
    fn connection_made(&mut self, transport: &Transport) {
        assert!(session(transport).is_some_and(|session| session.version().starts_with("TLSv1")));
        self.made.set(self.made.get() + 1);
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        if let Some(trigger) = self.lost.take() {
            trigger.callback(reason.clone()).unwrap();
        }
    }
}

/// A port whose one protocol tells the reason of its end.
fn listen_for_end(reactor: &Reactor, server: &ServerConfig) -> (Port, Deferred<Failure>) {
    let (trigger, reason) = Deferred::new();
    let made = Rc::new(Cell::new(0));
    let factory = move |_: &Address| Listens { made: made.clone(), lost: Some(trigger.clone()) };
    (reactor.listen(ServerEndpoint::from("127.0.0.1:0").tls(server), factory).unwrap(), reason)
}

#[test]
fn an_address_that_tls_cannot_have_is_said_to_be_wrong_where_it_was_asked_for() {
    let (reactor, (server, _)) = (Reactor::new().unwrap(), ends());
    for failure in [
        reactor
            .listen(ServerEndpoint::from("nonsense").tls(&server), |_: &Address| Echo)
            .unwrap_err(),
        reactor.serve(ServerEndpoint::from("nonsense").tls(&server), echo).unwrap_err(),
    ] {
        assert_eq!(failure.location().unwrap().file(), file!(), "{failure:?}");
    }
}

/// A pipe that carries the ciphertext, and is cut where the client is: without a word in TLS.
fn relay(reactor: &Reactor, to: Address) -> Port {
    let carry = async move |stream: Stream| {
        let reactor = stream.reactor();
        let (mut reader, mut writer) = reactor.open(&to).await?.split();
        let (mut near, mut back) = stream.split();
        reactor.spawn(async move {
            let _ = futures_util::io::copy(&mut reader, &mut back).await;
        });
        let mut buffer = [0; 4096];
        loop {
            let count = near.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            writer.write_all(&buffer[..count]).await?;
        }
    };
    reactor.serve("127.0.0.1:0", carry).unwrap()
}

#[test]
fn a_peer_that_ends_without_a_word_is_no_failure_of_the_handler() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let said = Rc::new(RefCell::new(Vec::new()));
    let heard = said.clone();
    ropewalk::on_report(move |report| heard.borrow_mut().push(report.to_string()));
    let (told, ending) = Deferred::new();
    let told = Rc::new(Cell::new(Some(told)));
    let handler = async move |stream| {
        let outcome = echo(stream).await;
        let failure = outcome.as_ref().expect_err("it was cut off").clone();
        told.take().expect("there is one client").callback(failure)?;
        outcome
    };
    let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), handler).unwrap();
    let opening =
        reactor.open(ClientEndpoint::from(&relay(&reactor, port.host()).host()).tls(&client));

    let stream = reactor.run_until(opening).unwrap();
    stream.transport().abort_connection();
    let failure = reactor.run_until(ending).unwrap();
    reactor.run_until(reactor.sleep(Duration::ZERO)).unwrap();

    let error = failure.check::<std::io::Error>().expect("it came by the stream");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(*said.borrow(), Vec::<String>::new());
}

#[test]
fn an_end_in_order_is_done_and_a_cut_is_lost() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let (port, reason) = listen_for_end(&reactor, &server);
    let stream =
        reactor.run_until(reactor.open(ClientEndpoint::from(&port.host()).tls(&client))).unwrap();
    drop(stream);
    assert!(reactor.run_until(reason).unwrap().is::<ConnectionDone>());

    let (port, reason) = listen_for_end(&reactor, &server);
    let relay = relay(&reactor, port.host());
    let opening = reactor.open(ClientEndpoint::from(&relay.host()).tls(&client));
    let stream = reactor.run_until(opening).unwrap();
    stream.transport().abort_connection();
    let reason = reactor.run_until(reason).unwrap();
    let lost = reason.check::<ConnectionLost>().expect("not done");
    assert_eq!(lost.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn what_is_wrong_with_a_server_is_said_with_its_address() {
    let reactor = Reactor::new().unwrap();
    // Not named after the host: some systems trust a certificate of their own of that name.
    let good = Identity::self_signed(&["good.test", "localhost"]).unwrap();
    let old = Identity::expired(&["old.test", "localhost"]).unwrap();
    let trust = |identity: &Identity| {
        ClientConfig::trusting(identity.certificate_pem()).server_name("localhost")
    };
    let stranger = trust(&Identity::self_signed(&["stranger"]).unwrap());
    let cases = [
        (&good, stranger, "unknown issuer"),
        (&good, trust(&good).server_name("example.org"), "not valid for name \"example.org\""),
        (&old, trust(&old), "expired"),
        (&good, ClientConfig::new().server_name("localhost"), "unknown issuer"),
    ];
    for (identity, client, expected) in cases {
        let server = ServerConfig::new(identity.clone());
        let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), echo).unwrap();
        let failure = reactor
            .run_until(reactor.open(ClientEndpoint::from(&port.host()).tls(&client)))
            .unwrap_err();
        let text = failure.to_string();
        assert!(failure.is::<ConnectError>() && text.contains(expected), "{text}");
        assert!(text.contains(&port.host().to_string()), "{text}");
    }
    let anybody = ClientConfig::dangerously_trusting_anybody();
    let port = reactor
        .serve(ServerEndpoint::from("127.0.0.1:0").tls(&ServerConfig::new(old)), echo)
        .unwrap();
    let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&anybody));
    assert_eq!(open_and_exchange(&reactor, opening, b"so be it").unwrap(), b"so be it");
}

#[test]
fn a_server_outlives_garbage_cuts_and_silence() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let server = server.handshake_timeout(Duration::from_millis(50));
    let port = reactor
        .listen(ServerEndpoint::from("127.0.0.1:0").tls(&server), |_: &Address| Echo)
        .unwrap();
    let address = port.host().socket_addr().unwrap();
    let said = Rc::new(RefCell::new(Vec::new()));
    let heard = said.clone();
    ropewalk::on_peer_fault(move |report| heard.borrow_mut().push(report.to_string()));

    let remote = reactor.remote();
    let attacker = std::thread::spawn(move || {
        let attack = |bytes: &[u8], ends: bool| {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(bytes).unwrap();
            if ends {
                socket.shutdown(std::net::Shutdown::Write).unwrap();
            }
            // Until the server hangs up, which may be a reset.
            let _ = socket.read_to_end(&mut Vec::new());
        };
        attack(b"", true);
        attack(b"", false);
        attack(b"GET / HTTP/1.1\r\n\r\n", false);
        attack(b"\x16\x03\x01\xff\xff\x01\xff\xff\xff", false);
        attack(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", true);
        remote.call_from_thread(|reactor| reactor.stop()).unwrap();
    });
    reactor.run().unwrap();
    attacker.join().unwrap();
    let opened = said.borrow().iter().filter(|line| line.contains("is not TLS")).count();
    assert!(opened >= 1, "{said:?}");
    assert!(said.borrow().iter().all(|line| line.contains("127.0.0.1:")), "{said:?}");

    // The port was closed by the stop: a new one shows that the reactor and the configuration are well.
    let port = reactor
        .listen(ServerEndpoint::from("127.0.0.1:0").tls(&server), |_: &Address| Echo)
        .unwrap();
    let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
    assert_eq!(open_and_exchange(&reactor, opening, b"alive").unwrap(), b"alive");
}

#[test]
fn a_server_that_is_silent_or_no_tls_at_all_fails_the_connection() {
    let (reactor, (_, client)) = (Reactor::new().unwrap(), ends());
    let client = client.handshake_timeout(Duration::from_millis(50));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let opening = reactor.open(ClientEndpoint::from(silent.local_addr().unwrap()).tls(&client));
    let failure = reactor.run_until(opening).unwrap_err();
    assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::TimedOut);

    let plain = reactor
        .serve("127.0.0.1:0", async |mut stream| {
            stream.write_all(b"220 mail.example.org\r\n").await?;
            stream.read_to_end(&mut Vec::new()).await?;
            Ok(())
        })
        .unwrap();
    let failure = reactor
        .run_until(reactor.open(ClientEndpoint::from(&plain.host()).tls(&client)))
        .unwrap_err();
    assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::InvalidData);
    assert!(failure.to_string().contains("is not TLS"), "{failure}");

    let hangs_up = reactor.serve("127.0.0.1:0", async |_| Ok(())).unwrap();
    reactor
        .run_until(reactor.open(ClientEndpoint::from(&hangs_up.host()).tls(&client)))
        .unwrap_err();
}

#[test]
fn giving_up_a_handshake_closes_its_connection() {
    let (reactor, (_, client)) = (Reactor::new().unwrap(), ends());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let opening = reactor.open(ClientEndpoint::from(silent.local_addr().unwrap()).tls(&client));
    let (mut accepted, _) = reactor
        .run_until(async move {
            let accepting = async move { Ok(silent.accept()?) };
            accepting.await
        })
        .unwrap();
    accepted.set_nonblocking(true).unwrap();
    // The client's first words show that the handshake is under way.
    let mut heard = [0; 1000];
    let mut turn_until = |mut happened: Box<dyn FnMut(std::io::Result<usize>) -> bool>| {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while !happened(accepted.read(&mut heard)) {
            assert!(std::time::Instant::now() < deadline, "in vain");
            reactor.turn(Some(Duration::from_millis(5))).unwrap();
        }
    };
    turn_until(Box::new(|read| read.is_ok_and(|count| count > 0)));
    opening.cancel();
    turn_until(Box::new(|read| match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }));
}

#[test]
fn names_protocols_and_certificates_are_agreed_upon() {
    let reactor = Reactor::new().unwrap();
    let (main, other) = (
        Identity::self_signed(&["localhost"]).unwrap(),
        Identity::self_signed(&["a.test"]).unwrap(),
    );
    let visitor = Identity::self_signed(&["visitor"]).unwrap();
    let server = ServerConfig::new(main.clone())
        .name("*.test", other.clone())
        .alpn(["h2", "chat"])
        .require_client_certificate(visitor.certificate_pem());
    let port = reactor
        .serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |mut stream| {
            let session = session(&stream.transport()).unwrap();
            let (name, alpn) = (session.server_name().unwrap(), session.alpn().unwrap());
            let text =
                format!("{name} {} {}", alpn.escape_ascii(), session.peer_certificates().len());
            stream.write_all(text.as_bytes()).await?;
            Ok(())
        })
        .unwrap();
    for (identity, name) in [(&main, "localhost"), (&other, "a.test")] {
        let client = ClientConfig::trusting(identity.certificate_pem())
            .server_name(name)
            .identity(visitor.clone())
            .alpn(["chat"]);
        let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
        let got = open_and_exchange(&reactor, opening, b"").unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), format!("{name} chat 1"));
    }
    // Without a certificate: the client learns of it when it reads.
    ropewalk::on_report(|report| {
        assert!(report.to_string().contains("no certificate"), "{report}")
    });
    let client = ClientConfig::trusting(main.certificate_pem()).server_name("localhost");
    let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client.alpn(["chat"])));
    let refused = open_and_exchange(&reactor, opening, b"").unwrap_err();
    assert!(refused.chain().any(|it| it.to_string().contains("lost")), "{refused:?}");
}

#[test]
fn those_who_met_before_shake_hands_shortly() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), echo).unwrap();
    let mut resumed = Vec::new();
    for _ in 0..2 {
        let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
        let is_resumed = reactor
            .run_until(async move {
                let stream = opening.await?;
                let is_resumed = session(&stream.transport()).unwrap().is_resumed();
                exchange(stream, b"x".to_vec()).await?;
                Ok(is_resumed)
            })
            .unwrap();
        resumed.push(is_resumed);
    }
    assert_eq!(resumed, [false, true]);
}

#[test]
fn half_a_connection_ends_and_the_other_half_goes_on() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let port = reactor
        .serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            // Only now, when the peer's half is over.
            stream.write_all(&all).await?;
            Ok(())
        })
        .unwrap();
    let sent = bulk();
    let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
    assert!(open_and_exchange(&reactor, opening, &sent).unwrap() == sent);
}

#[test]
fn what_a_slow_reader_has_not_taken_counts_as_not_sent() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let sent = Rc::new(bulk().repeat(24));
    let to_send = sent.clone();
    let is_drained = Rc::new(Cell::new(false));
    let flag = is_drained.clone();
    let port = reactor
        .serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async move |mut stream| {
            let flag = flag.clone();
            stream.transport().write(&*to_send);
            stream.transport().drained().await?;
            flag.set(true);
            stream.close().await?;
            Ok(())
        })
        .unwrap();
    let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
    let got = reactor
        .run_until(async move {
            let mut stream = opening.await?;
            let mut got = vec![0; 1000];
            stream.read_exact(&mut got).await?;
            assert!(!is_drained.get(), "twelve megabytes do not fit into a socket");
            stream.read_to_end(&mut got).await?;
            assert!(is_drained.get());
            Ok(got)
        })
        .unwrap();
    assert!(got == **sent);
}

#[test]
fn layers_lie_over_unix_sockets_and_over_each_other() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    for layers in 1..=3 {
        let path = Path::new();
        let mut at = ServerEndpoint::unix(&path.0);
        let mut to = ClientEndpoint::unix(&path.0);
        for _ in 0..layers {
            (at, to) = (at.tls(&server), to.tls(&client));
        }
        let port = reactor.listen(at, |_: &Address| Echo).unwrap();
        let sent = bulk();
        assert!(open_and_exchange(&reactor, reactor.open(to), &sent).unwrap() == sent);
        reactor.run_until(port.stop_listening()).unwrap();
    }
}

/// Says `go`, and speaks TLS from then on.
struct Upgrades(ServerConfig);

impl Protocol for Upgrades {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if data == b"STARTTLS" {
            transport.write(b"go");
            start_tls(transport, &self.0).add_errback(|failure| {
                assert!(failure.is::<ConnectionLost>(), "{failure}");
                Ok(())
            });
            transport.write(b"welcome, ");
            return Ok(());
        }
        assert!(session(transport).is_some());
        transport.write(data);
        Ok(())
    }
}

#[test]
fn a_live_connection_starts_tls_in_both_faces() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Upgrades(server.clone())).unwrap();
    let opening = reactor.open(port.host());
    let got = reactor
        .run_until(async move {
            let mut stream = opening.await?;
            stream.write_all(b"STARTTLS").await?;
            let mut go = [0; 2];
            stream.read_exact(&mut go).await?;
            assert_eq!(&go, b"go");
            start_tls(&stream.transport(), &client).await?;
            exchange(stream, b"friend".to_vec()).await
        })
        .unwrap();
    assert_eq!(got, b"welcome, friend");
}

#[test]
fn tls_starts_after_what_was_written_before_it_even_if_that_is_much() {
    let (reactor, (server, client)) = (Reactor::new().unwrap(), ends());
    let plain = Rc::new(bulk().repeat(12));
    let to_send = plain.clone();
    let port = reactor
        .serve("127.0.0.1:0", async move |mut stream| {
            let to_send = to_send.clone();
            stream.transport().write(&*to_send);
            let starting = start_tls(&stream.transport(), &server);
            stream.transport().write(b"now in ");
            starting.await?;
            stream.write_all(b"secret").await?;
            stream.read_to_end(&mut Vec::new()).await?;
            Ok(())
        })
        .unwrap();
    let opening = reactor.open(port.host());
    let got = reactor
        .run_until(async move {
            let mut stream = opening.await?;
            let mut got = vec![0; plain.len()];
            stream.read_exact(&mut got).await?;
            assert!(got == **plain);
            start_tls(&stream.transport(), &client).await?;
            let mut secret = [0; 13];
            stream.read_exact(&mut secret).await?;
            Ok(secret)
        })
        .unwrap();
    assert_eq!(&got, b"now in secret");
}

#[test]
fn a_start_of_tls_with_somebody_who_speaks_none_says_so() {
    let (reactor, (_, client)) = (Reactor::new().unwrap(), ends());
    let port = reactor.listen("127.0.0.1:0", |_: &Address| Echo).unwrap();
    let opening = reactor.open(port.host());
    let failure = reactor
        .run_until(async move {
            let stream = opening.await?;
            Ok(start_tls(&stream.transport(), &client).await.unwrap_err())
        })
        .unwrap();
    assert!(failure.is::<ConnectionLost>());
    assert!(TlsError::of(&failure).is_some_and(|fault| !fault.is_of_certificate()), "{failure:?}");
}

/// A path of this test's own, gone when it is dropped.
struct Path(PathBuf);

impl Path {
    fn new() -> Path {
        Path(paths::path("file"))
    }

    fn with(text: &str) -> Path {
        let path = Path::new();
        std::fs::write(&path.0, text).unwrap();
        path
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs a program while the reactor runs; `None`, said aloud, where it is not installed. Its output
/// is that of both kinds.
fn run(
    reactor: &Reactor,
    program: &str,
    arguments: &[&str],
    input: &'static str,
) -> Option<String> {
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    peers::noted(program, started.is_ok());
    let mut child = started.ok()?;
    let remote = reactor.remote();
    let talk = std::thread::spawn(move || {
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let _ = remote.call_from_thread(|reactor| reactor.stop());
        [output.stdout, output.stderr].concat()
    });
    reactor.run().unwrap();
    Some(String::from_utf8_lossy(&talk.join().unwrap()).into_owned())
}

#[test]
fn openssl_as_a_client_verifies_names_and_hears_the_close_notify() {
    let identity = Identity::self_signed(&["localhost"]).unwrap();
    let trusted = Path::with(&identity.certificate_pem());
    let server = ServerConfig::new(identity).alpn(["chat"]);
    for version in ["-tls1_3", "-tls1_2"] {
        let reactor = Reactor::new().unwrap();
        let port = reactor
            .serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |mut stream| {
                let session = session(&stream.transport()).unwrap();
                let mut line = [0; 6];
                stream.read_exact(&mut line).await?;
                let text = format!("{} said hello", session.server_name().unwrap_or("nobody"));
                stream.write_all(text.as_bytes()).await?;
                Ok(())
            })
            .unwrap();
        let address = port.host().to_string();
        let arguments = [
            "s_client",
            "-connect",
            &address,
            "-servername",
            "localhost",
            "-CAfile",
            trusted.text(),
            "-verify_return_error",
            "-verify_hostname",
            "localhost",
            "-alpn",
            "chat",
            "-quiet",
            version,
        ];
        let Some(output) = run(&reactor, "openssl", &arguments, "hello\n") else { return };
        assert!(output.contains("localhost said hello"), "{output}");
        assert!(!output.contains("error"), "{output}");
    }
}

#[test]
fn openssl_as_a_server_is_trusted_and_echoes_in_reverse() {
    let identity = Identity::self_signed(&["localhost"]).unwrap();
    let certificate = Path::with(&identity.certificate_pem());
    let key = Path::with(&identity.key_pem());
    let client = ClientConfig::trusting(identity.certificate_pem()).server_name("localhost");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Command::new("openssl")
        .args(["s_server", "-accept", &free.to_string(), "-rev", "-naccept", "1"])
        .args(["-cert", certificate.text(), "-key", key.text(), "-alpn", "chat"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    peers::noted("openssl", started.is_ok());
    let Ok(mut openssl) = started else { return };
    // It says ACCEPT when it listens.
    let output = std::io::BufReader::new(openssl.stdout.take().unwrap());
    let mut lines = output.lines().map(|line| line.unwrap());
    assert!(lines.any(|line| line.contains("ACCEPT")));
    let reactor = Reactor::new().unwrap();
    let opening = reactor.open(ClientEndpoint::from(free).tls(&client.alpn(["chat"])));
    let got = reactor.run_until(async move {
        let mut stream = opening.await?;
        assert_eq!(session(&stream.transport()).unwrap().alpn(), Some(&b"chat"[..]));
        stream.write_all(b"star\n").await?;
        let mut got = [0; 5];
        stream.read_exact(&mut got).await?;
        Ok(got)
    });
    let _ = openssl.kill();
    let _ = openssl.wait();
    assert_eq!(&got.unwrap(), b"rats\n");
}

#[test]
fn curl_gets_a_page_and_no_complaint_about_its_end() {
    let reactor = Reactor::new().unwrap();
    let identity = Identity::self_signed(&["localhost"]).unwrap();
    let trusted = Path::with(&identity.certificate_pem());
    let server = ServerConfig::new(identity).alpn(["http/1.1"]);
    let port = reactor
        .serve(ServerEndpoint::from("127.0.0.1:0").tls(&server), async |mut stream| {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).await?;
                request.push(byte[0]);
            }
            // Without a length: only an end in order says that this is all.
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsafe and whole").await?;
            Ok(())
        })
        .unwrap();
    let url = format!("https://localhost:{}/", port.host().port().unwrap());
    let arguments = ["-sS", "--cacert", trusted.text(), "--max-time", "20", &url];
    if let Some(output) = run(&reactor, "curl", &arguments, "") {
        assert_eq!(output, "safe and whole");
    }
}
