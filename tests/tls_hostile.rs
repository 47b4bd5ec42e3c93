//! TLS and those who mean it ill, in simulation: connections cut at every byte, and words smuggled in
//! before TLS begins.

#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used)] // In a test a panic is the report.
#![cfg(feature = "tls")]

use futures_util::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use ropewalk::framing::{LineProtocol, LineReceiver};
use ropewalk::net::ConnectError;
use ropewalk::simulation::{Host, Link, Simulation};
use ropewalk::tls::{ClientConfig, Identity, ServerConfig, session, start_tls};
use ropewalk::transport::ConnectionLost;
use ropewalk::{
    Address, ClientEndpoint, Deferred, Failure, Protocol, Result, ServerEndpoint, Stream, Transport,
};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

/// A server's configuration, and that of a client who trusts it.
fn ends() -> (ServerConfig, ClientConfig) {
    let identity = Identity::self_signed(&["server"]).unwrap();
    let client = ClientConfig::trusting(identity.certificate_pem()).server_name("server");
    (ServerConfig::new(identity), client)
}

fn hosts(simulation: &Simulation) -> (Host, Host) {
    (simulation.host("server"), simulation.host("client"))
}

/// Notes what it is told.
#[derive(Clone, Default)]
struct Told {
    data: Rc<RefCell<Vec<u8>>>,
    lost: Rc<RefCell<Vec<Failure>>>,
}

impl Told {
    /// The reason of the one end.
    fn reason(&self) -> Failure {
        let lost = self.lost.borrow();
        assert_eq!(lost.len(), 1, "lost {} times", lost.len());
        lost[0].clone()
    }

    fn kind(&self) -> ErrorKind {
        let reason = self.reason();
        reason.check::<ConnectionLost>().unwrap_or_else(|| panic!("{reason}")).kind()
    }
}

impl Protocol for Told {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.data.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.lost.borrow_mut().push(reason.clone());
    }
}

// ---- ends in odd places ----

/// A host between the two, which passes on what the server says up to a byte, and then hangs up.
fn serve_cut(simulation: &Simulation, at: usize, all: Rc<Cell<usize>>) {
    let relay = simulation.host("relay").reactor();
    let serve = async move |stream: Stream| {
        let (reactor, transport) = (stream.reactor(), stream.transport());
        let (mut from_server, mut to_server) = reactor.open("server:7").await?.split();
        let (mut from_client, mut to_client) = stream.split();
        reactor.spawn(async move {
            let _ = futures_util::io::copy(&mut from_client, &mut to_server).await;
        });
        let mut byte = [0];
        while all.get() < at && from_server.read(&mut byte).await? > 0 {
            all.set(all.get() + 1);
            to_client.write_all(&byte).await?;
        }
        transport.lose_connection();
        Ok(())
    };
    relay.serve("0.0.0.0:7", serve).unwrap();
}

#[test]
fn an_answer_cut_at_any_byte_fails_the_handshake_once_and_says_whose() {
    let (server_config, client_config) = ends();
    let mut cuts = 0;
    loop {
        let simulation = Simulation::new(1);
        let (server, client) = hosts(&simulation);
        server
            .reactor()
            .serve(ServerEndpoint::from("0.0.0.0:7").tls(&server_config), async |_| Ok(()))
            .unwrap();
        let passed = Rc::new(Cell::new(0));
        serve_cut(&simulation, cuts, passed.clone());
        let opening = client.reactor().open(ClientEndpoint::from("relay:7").tls(&client_config));
        match simulation.run_until(opening) {
            // The cut was behind what a handshake needs.
            Ok(_) => break,
            Err(failure) => {
                assert_eq!(passed.get(), cuts);
                assert!(failure.is::<ConnectError>(), "{failure}");
                assert!(failure.to_string().contains("relay:7"), "{failure}");
            }
        }
        simulation.run_until_idle().unwrap();
        assert_eq!((client.descriptors(), server.descriptors()), (0, 1));
        cuts += 1;
    }
    println!("{cuts} cuts of an answer");
    assert!(cuts > 500, "{cuts}");
}

/// The first bytes of a hello of 512, and no more.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

#[test]
fn an_end_behind_half_a_hello_is_noticed_at_once() {
    let simulation = Simulation::new(1);
    let (server, client) = hosts(&simulation);
    let (server_config, _) = ends();
    let config = server_config.handshake_timeout(Duration::from_secs(3600));
    server
        .reactor()
        .serve(ServerEndpoint::from("0.0.0.0:7").tls(&config), async |_| Ok(()))
        .unwrap();
    let opening = client.reactor().open("server:7");
    let stream = simulation.run_until(opening).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    // One edge will tell of both.
    server.pause();
    stream.transport().write(HALF_A_HELLO);
    drop(stream);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    server.resume();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(server.descriptors(), 1);
}

#[test]
fn a_reset_behind_half_a_record_is_noticed_at_once() {
    let simulation = Simulation::new(1);
    let (server, client) = hosts(&simulation);
    simulation.set_link(&server, &client, Link::new().window(3000));
    let (server_config, client_config) = ends();
    let told = Told::default();
    let protocol = told.clone();
    let build = move |_: &Address| protocol.clone();
    server.reactor().listen(ServerEndpoint::from("0.0.0.0:7").tls(&server_config), build).unwrap();
    let opening = client.reactor().open(ClientEndpoint::from("server:7").tls(&client_config));
    let stream = simulation.run_until(opening).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    // Of the record no more than fits on the way arrives. One edge will tell of it and of the reset.
    server.pause();
    stream.transport().write([7; 16_000]);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    stream.transport().abort_connection();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    server.resume();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(told.kind(), ErrorKind::ConnectionReset);
    assert!(told.data.borrow().is_empty());
}

// ---- the start of TLS ----

/// Sends `text` at once, and speaks TLS from then on, if the server does.
async fn upgrade(
    opening: Deferred<Stream>,
    text: &'static [u8],
    config: ClientConfig,
) -> Result<Stream> {
    let mut stream = opening.await?;
    stream.write_all(text).await?;
    stream.read_exact(&mut [0; 2]).await?;
    start_tls(&stream.transport(), &config).await?;
    Ok(stream)
}

/// Notes lines, and starts TLS when told to.
#[derive(Clone)]
struct Lines {
    config: ServerConfig,
    heard: Rc<RefCell<Vec<String>>>,
    told: Told,
}

impl LineProtocol for Lines {
    fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        let is_secret = session(transport).is_some();
        self.heard.borrow_mut().push(format!("{} {is_secret}", line.escape_ascii()));
        if line == b"STARTTLS" {
            transport.write(b"go");
            start_tls(transport, &self.config).add_errback(|_| Ok(()));
        }
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.told.connection_lost(reason);
    }
}

#[test]
fn lines_smuggled_in_before_tls_are_not_taken_for_lines_of_it() {
    ropewalk::on_report(|report| assert!(report.to_string().contains("in the clear"), "{report}"));
    for (text, clear) in [
        (&b"STARTTLS\r\nRCPT TO: mallory\r\n"[..], 18),
        // The rest of the line would come through TLS.
        (b"STARTTLS\r\nRCPT TO: mallory ", 17),
    ] {
        let simulation = Simulation::new(1);
        let (server, client) = hosts(&simulation);
        let (config, client_config) = ends();
        let lines = Lines { config, heard: Rc::default(), told: Told::default() };
        let each = lines.clone();
        let build = move |_: &Address| LineReceiver::new(each.clone());
        server.reactor().listen("0.0.0.0:7", build).unwrap();
        let upgrading = upgrade(client.reactor().open("server:7"), text, client_config);
        simulation.run_until(client.reactor().spawn(upgrading)).unwrap_err();
        simulation.run_until_idle().unwrap();
        assert_eq!(*lines.heard.borrow(), ["STARTTLS false"]);
        assert_eq!(lines.told.kind(), ErrorKind::InvalidData);
        let reason = lines.told.reason().to_string();
        assert!(reason.contains(&format!("{clear} bytes came in the clear")), "{reason}");
    }
}

/// Starts TLS a second after the first line, when half of another has come.
struct Late(Lines);

impl LineProtocol for Late {
    fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        self.0.heard.borrow_mut().push(line.escape_ascii().to_string());
        let (later, config) = (transport.clone(), self.0.config.clone());
        transport.reactor().call_later(Duration::from_secs(1), move || {
            later.write(b"go");
            start_tls(&later, &config).add_errback(|_| Ok(()));
        });
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.0.told.connection_lost(reason);
    }
}

#[test]
fn half_a_line_smuggled_in_before_tls_does_not_become_a_line_of_it() {
    let simulation = Simulation::new(1);
    let (server, client) = hosts(&simulation);
    let (config, client_config) = ends();
    let lines = Lines { config, heard: Rc::default(), told: Told::default() };
    let each = lines.clone();
    let build = move |_: &Address| LineReceiver::new(Late(each.clone()));
    server.reactor().listen("0.0.0.0:7", build).unwrap();
    let opening = client.reactor().open("server:7");
    let asking = client.reactor().spawn(async move {
        let mut stream = upgrade(opening, b"STARTTLS\r\nRCPT TO: mallory ", client_config).await?;
        stream.write_all(b", said alice\r\n").await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    simulation.run_until(asking).unwrap_err();
    simulation.run_until_idle().unwrap();
    assert_eq!(*lines.heard.borrow(), ["STARTTLS"]);
    assert!(lines.told.reason().to_string().contains("17 bytes came in the clear"));
}

#[test]
fn what_a_stream_read_ahead_of_tls_is_not_taken_for_a_part_of_it() {
    let simulation = Simulation::new(1);
    let (server, client) = hosts(&simulation);
    let (server_config, client_config) = ends();
    let heard: Rc<RefCell<Vec<String>>> = Rc::default();
    let said = heard.clone();
    ropewalk::on_peer_fault(move |report| said.borrow_mut().push(report.to_string()));
    let handler = async move |mut stream: Stream| -> Result {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        assert_eq!(line, "STARTTLS\n");
        stream.write_all(b"go").await?;
        stream.flush().await?;
        start_tls(&stream.transport(), &server_config).await?;
        stream.read_line(&mut line).await?;
        Err(Failure::msg(format!("it read {line:?}")))
    };
    server.reactor().serve("0.0.0.0:7", handler).unwrap();
    let opening = client.reactor().open("server:7");
    let asking = client.reactor().spawn(async move {
        let mut stream = upgrade(opening, b"STARTTLS\nRCPT TO: mallory\n", client_config).await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    simulation.run_until(asking).unwrap_err();
    simulation.run_until_idle().unwrap();
    let heard = heard.borrow();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("17 bytes came in the clear behind the start of TLS"), "{heard:?}");
}

/// Bytes, and whether they came through TLS.
type Heard = Rc<RefCell<Vec<(Vec<u8>, bool)>>>;

/// Starts TLS at its first bytes, and notes with which bytes it had one.
struct Raw {
    config: ServerConfig,
    heard: Heard,
}

impl Protocol for Raw {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let is_secret = session(transport).is_some();
        self.heard.borrow_mut().push((data.to_vec(), is_secret));
        if !is_secret {
            transport.write(b"go");
            start_tls(transport, &self.config);
        }
        Ok(())
    }
}

#[test]
fn a_protocol_gets_what_came_with_the_word_that_starts_tls_with_that_word() {
    let simulation = Simulation::new(1);
    let (server, client) = hosts(&simulation);
    let (config, client_config) = ends();
    let heard = Heard::default();
    let notes = heard.clone();
    let build = move |_: &Address| Raw { config: config.clone(), heard: notes.clone() };
    server.reactor().listen("0.0.0.0:7", build).unwrap();
    let opening = client.reactor().open("server:7");
    let asking = client.reactor().spawn(async move {
        let mut stream = upgrade(opening, b"STARTTLS, and more", client_config).await?;
        stream.write_all(b"a secret").await?;
        stream.close().await?;
        Ok(stream)
    });
    let _stream = simulation.run_until(asking).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let expected = [(b"STARTTLS, and more".to_vec(), false), (b"a secret".to_vec(), true)];
    assert_eq!(*heard.borrow(), expected);
}

#[test]
fn a_hello_right_behind_the_word_that_starts_tls_is_a_hello_to_who_has_not_read_it() {
    let simulation = Simulation::new(1);
    let (server, client) = hosts(&simulation);
    let (server_config, client_config) = ends();
    let handler = async move |mut stream: Stream| {
        let mut word = [0; 8];
        stream.read_exact(&mut word).await?;
        // Meanwhile the hello arrives.
        stream.reactor().sleep(Duration::from_secs(1)).await;
        start_tls(&stream.transport(), &server_config).await?;
        stream.write_all(b"welcome").await?;
        Ok(())
    };
    server.reactor().serve("0.0.0.0:7", handler).unwrap();
    let opening = client.reactor().open("server:7");
    let asking = client.reactor().spawn(async move {
        let mut stream = opening.await?;
        stream.transport().write(b"STARTTLS");
        start_tls(&stream.transport(), &client_config).await?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        Ok(heard)
    });
    assert_eq!(simulation.run_until(asking).unwrap(), "welcome");
}

#[test]
fn a_slow_peer_gets_all_that_was_written_before_tls_though_the_connection_is_being_lost() {
    let simulation = Simulation::new(1);
    let (server, client) = hosts(&simulation);
    // Five minutes for what is to come.
    simulation.set_link(&server, &client, Link::new().bandwidth(10_000).window(30_000));
    let (server_config, client_config) = ends();
    let handler = async move |stream: Stream| {
        stream.transport().write(vec![7; 3_000_000]);
        start_tls(&stream.transport(), &server_config).add_errback(|_| Ok(()));
        stream.transport().write(b"welcome");
        Ok(())
    };
    server.reactor().serve("0.0.0.0:7", handler).unwrap();
    let opening = client.reactor().open("server:7");
    let asking = client.reactor().spawn(async move {
        let mut stream = opening.await?;
        stream.read_exact(&mut vec![0; 3_000_000]).await?;
        start_tls(&stream.transport(), &client_config).await?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        Ok(heard)
    });
    assert_eq!(simulation.run_until(asking).unwrap(), "welcome");
}
