//! Programs that others wrote as the other end, where they are the server or hold the descriptor:
//! `socat` with Unix sockets, abstract names and terminals, `openssl` with an upgrade, an end of a half,
//! and a death.
//!
//! A program that is not installed is said so, and nothing is tested with it.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

#[path = "kit/paths.rs"]
mod paths;
#[path = "kit/peers.rs"]
mod peers;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use paths::path;
use ropewalk::transport::ConnectionDone;
use ropewalk::{ClientEndpoint, Failure, Protocol, Reactor, Result, Stream, Transport};
use std::cell::RefCell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

/// Keeps what comes, and how it ended.
#[derive(Clone, Default)]
struct Ear {
    bytes: Rc<RefCell<Vec<u8>>>,
    reason: Rc<RefCell<Option<Failure>>>,
}

impl Ear {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.borrow()).into_owned()
    }

    #[track_caller]
    fn until_has(&self, reactor: &Reactor, text: &str) {
        peers::until_found(reactor, || self.text().contains(text).then_some(()));
    }

    #[track_caller]
    fn until_lost(&self, reactor: &Reactor) -> Failure {
        peers::until_found(reactor, || self.reason.borrow().clone())
    }
}

impl Protocol for Ear {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.bytes.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.reason.replace(Some(reason.clone()));
    }
}

/// A program that runs until its value is dropped; what it says, to both, is kept.
struct Program {
    process: Child,
    said: Ear,
}

impl Program {
    fn start(reactor: &Reactor, name: &str, arguments: &[&str]) -> Option<Program> {
        Program::fed(reactor, name, arguments, Stdio::null())
    }

    fn fed(
        reactor: &Reactor,
        name: &str,
        arguments: &[&str],
        input: impl Into<Stdio>,
    ) -> Option<Program> {
        let (from, to) = std::io::pipe().unwrap();
        let mut command = Command::new(name);
        command.args(arguments).stdin(input).stdout(to.try_clone().unwrap()).stderr(to);
        let process = command.spawn();
        peers::noted(name, process.is_ok());
        let process = process.ok()?;
        let said = Ear::default();
        let nowhere = File::create("/dev/null").unwrap();
        reactor.connect_pipes(from, nowhere, said.clone()).unwrap();
        Some(Program { process, said })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A path of this test's own, gone when it is dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        Place(path(name))
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

// ---- the same question in both faces ----

/// Asks, ends its half, and gives the whole answer and whether it ended in order.
fn ask_as_a_protocol(reactor: &Reactor, to: ClientEndpoint, question: &[u8]) -> (String, Failure) {
    let ear = Ear::default();
    let answer = ear.clone();
    let connecting = reactor.connect(to, move |_: &ropewalk::Address| ear.clone());
    let connected = reactor.run_until(connecting).unwrap();
    connected.transport().write(question);
    connected.transport().lose_write_connection();
    let reason = answer.until_lost(reactor);
    (answer.text(), reason)
}

fn ask_as_a_stream(
    reactor: &Reactor,
    to: ClientEndpoint,
    question: &'static [u8],
) -> Result<String> {
    let opening = reactor.open(to);
    reactor.run_until(async move { exchange(opening.await?, question).await })
}

async fn exchange(mut stream: Stream, question: &[u8]) -> Result<String> {
    stream.write_all(question).await?;
    stream.close().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The answer comes only after the end of the question: `tac` knows its last line first.
fn is_answered_backwards(reactor: &Reactor, to: &ClientEndpoint) {
    let (answer, reason) = ask_as_a_protocol(reactor, to.clone(), b"one\ntwo\n");
    assert_eq!(answer, "two\none\n");
    assert!(reason.is::<ConnectionDone>(), "{reason}");
    assert_eq!(ask_as_a_stream(reactor, to.clone(), b"one\ntwo\n").unwrap(), "two\none\n");
}

#[test]
fn socat_listens_at_a_path_and_executes_a_program_for_each_of_us() {
    let (reactor, place) = (Reactor::new().unwrap(), Place::new("listen"));
    let listen = format!("UNIX-LISTEN:{},fork", place.text());
    let arguments = ["-d", "-d", "-t60", &listen, "EXEC:tac"];
    let Some(socat) = Program::start(&reactor, "socat", &arguments) else { return };
    socat.said.until_has(&reactor, "listening on");
    is_answered_backwards(&reactor, &ClientEndpoint::unix(&*place.0));
}

#[cfg(target_os = "linux")]
#[test]
fn socat_listens_at_an_abstract_name() {
    let reactor = Reactor::new().unwrap();
    let name = format!("rw-foreign-{}", std::process::id());
    let listen = format!("ABSTRACT-LISTEN:{name},fork");
    let arguments = ["-d", "-d", "-t60", &listen, "EXEC:tac"];
    let Some(socat) = Program::start(&reactor, "socat", &arguments) else { return };
    socat.said.until_has(&reactor, "listening on");
    is_answered_backwards(&reactor, &ClientEndpoint::unix(format!("@{name}")));
}

#[test]
fn a_terminal_that_socat_made_is_a_connection_until_socat_is_gone() {
    for face in ["protocol", "stream"] {
        let (reactor, place) = (Reactor::new().unwrap(), Place::new(face));
        let terminal = format!("PTY,link={},raw,echo=0", place.text());
        let arguments = ["-d", "-d", &terminal, "EXEC:cat"];
        let Some(socat) = Program::start(&reactor, "socat", &arguments) else { return };
        socat.said.until_has(&reactor, "starting data transfer loop");
        let file = File::options().read(true).write(true).open(&place.0).unwrap();
        let both = (OwnedFd::from(file.try_clone().unwrap()), OwnedFd::from(file));
        if face == "protocol" {
            let ear = Ear::default();
            let transport = reactor.connect_pipes(both.0, both.1, ear.clone()).unwrap();
            transport.write(b"over and back");
            ear.until_has(&reactor, "over and back");
            drop(socat);
            ear.until_lost(&reactor);
            continue;
        }
        let mut stream = reactor.open_pipes(both.0, both.1).unwrap();
        let rest = reactor.run_until(async move {
            stream.write_all(b"over and back").await?;
            let mut answer = [0; 13];
            stream.read_exact(&mut answer).await?;
            assert_eq!(&answer, b"over and back");
            drop(socat);
            Ok(stream.read_to_end(&mut Vec::new()).await?)
        });
        assert_eq!(rest.unwrap(), 0);
    }
}

#[cfg(feature = "tls")]
mod openssl {
    use super::*;
    use ropewalk::Address;
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig, start_tls};
    use ropewalk::transport::ConnectionLost;
    use std::io::ErrorKind;
    use std::net::TcpListener;

    /// Speaks as much of SMTP as a client needs that wants TLS, and then shouts back, once.
    struct Mail(ServerConfig);

    impl Protocol for Mail {
        fn connection_made(&mut self, transport: &Transport) {
            transport.write(b"220 ready\r\n");
        }

        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            if data.starts_with(b"EHLO") {
                transport.write(b"250-hello\r\n250 STARTTLS\r\n");
                return Ok(());
            }
            if data == b"STARTTLS\r\n" {
                transport.write(b"220 go ahead\r\n");
                start_tls(transport, &self.0);
                return Ok(());
            }
            transport.write(data.to_ascii_uppercase());
            transport.lose_connection();
            Ok(())
        }
    }

    async fn mail(mut stream: Stream, config: ServerConfig) -> Result {
        let mut buffer = [0; 1000];
        stream.write_all(b"220 ready\r\n").await?;
        let length = stream.read(&mut buffer).await?;
        assert!(buffer[..length].starts_with(b"EHLO"));
        stream.write_all(b"250-hello\r\n250 STARTTLS\r\n").await?;
        let length = stream.read(&mut buffer).await?;
        assert_eq!(&buffer[..length], b"STARTTLS\r\n");
        stream.write_all(b"220 go ahead\r\n").await?;
        start_tls(&stream.transport(), &config).await?;
        let length = stream.read(&mut buffer).await?;
        stream.write_all(&buffer[..length].to_ascii_uppercase()).await?;
        Ok(())
    }

    #[test]
    fn a_plain_connection_is_upgraded_as_mail_clients_do() {
        let (reactor, place) = (Reactor::new().unwrap(), Place::new("starttls"));
        let identity = Identity::self_signed(&["localhost"]).unwrap();
        std::fs::write(&place.0, identity.certificate_pem()).unwrap();
        let (pushed, pulled) = (ServerConfig::new(identity), RefCell::default());
        pulled.replace(Some(pushed.clone()));
        let any = "127.0.0.1:0";
        let ports = [
            reactor.listen(any, move |_: &Address| Mail(pushed.clone())).unwrap(),
            reactor
                .serve(any, async move |stream| {
                    let config = pulled.borrow().clone().unwrap();
                    mail(stream, config).await
                })
                .unwrap(),
        ];
        for port in ports {
            let address = port.host().to_string();
            let arguments = ["s_client", "-connect", &address, "-starttls", "smtp", "-quiet"];
            let verified = ["-CAfile", place.text(), "-verify_return_error"];
            let named = ["-verify_hostname", "localhost"];
            let arguments = [&arguments[..], &verified, &named].concat();
            let (input, to) = std::io::pipe().unwrap();
            let Some(openssl) = Program::fed(&reactor, "openssl", &arguments, input) else {
                return;
            };
            std::io::Write::write_all(&mut &to, b"in secret\n").unwrap();
            openssl.said.until_has(&reactor, "IN SECRET");
            openssl.said.until_lost(&reactor);
            assert!(!openssl.said.text().contains("error"), "{}", openssl.said.text());
        }
    }

    /// A server that sends each line back in reverse; where it listens, and what its clients trust.
    fn reversing(reactor: &Reactor) -> Option<(Program, ClientEndpoint)> {
        let (certificate, key) = (Place::new("certificate"), Place::new("key"));
        let identity = Identity::self_signed(&["localhost"]).unwrap();
        std::fs::write(&certificate.0, identity.certificate_pem()).unwrap();
        std::fs::write(&key.0, identity.key_pem()).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = free.to_string();
        let arguments = ["s_server", "-accept", &address, "-rev", "-cert", certificate.text()];
        let arguments = [&arguments[..], &["-key", key.text()]].concat();
        let openssl = Program::start(reactor, "openssl", &arguments)?;
        openssl.said.until_has(reactor, "ACCEPT");
        let trusting = ClientConfig::trusting(identity.certificate_pem());
        Some((openssl, ClientEndpoint::from(free).tls(&trusting.server_name("localhost"))))
    }

    #[test]
    fn the_end_of_our_half_is_answered_with_all_that_is_due_and_an_end_in_order() {
        let reactor = Reactor::new().unwrap();
        let Some((_openssl, to)) = reversing(&reactor) else { return };
        let (answer, reason) = ask_as_a_protocol(&reactor, to.clone(), b"star\n");
        assert_eq!(answer, "rats\n");
        assert!(reason.is::<ConnectionDone>(), "{reason}");
        assert_eq!(ask_as_a_stream(&reactor, to, b"star\n").unwrap(), "rats\n");
    }

    #[test]
    fn a_server_that_dies_has_not_ended_in_order() {
        for face in ["protocol", "stream"] {
            let reactor = Reactor::new().unwrap();
            let Some((openssl, to)) = reversing(&reactor) else { return };
            let kind = if face == "protocol" {
                let ear = Ear::default();
                let protocol = ear.clone();
                let connecting = reactor.connect(to, move |_: &Address| protocol.clone());
                let connected = reactor.run_until(connecting).unwrap();
                connected.transport().write(b"star\n");
                // It has read all that we sent: what follows is no reset.
                ear.until_has(&reactor, "rats");
                drop(openssl);
                let reason = ear.until_lost(&reactor);
                reason.check::<ConnectionLost>().expect("not done").kind()
            } else {
                let mut stream = reactor.run_until(reactor.open(to)).unwrap();
                let read = reactor.run_until(async move {
                    stream.write_all(b"star\n").await?;
                    stream.read_exact(&mut [0; 5]).await?;
                    drop(openssl);
                    Ok(stream.read_to_end(&mut Vec::new()).await.unwrap_err())
                });
                read.unwrap().kind()
            };
            assert_eq!(kind, ErrorKind::UnexpectedEof, "{face}");
        }
    }
}
