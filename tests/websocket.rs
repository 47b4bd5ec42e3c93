//! WebSockets of a site, in both faces: handshakes, messages, ends, peers that are silent or slow.
#![cfg(all(feature = "websocket", feature = "simulation"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::http::websocket::{
    CloseCode, Closed, Codec, Event, Limits, Message, Options, SendError, Socket,
    WebSocketProtocol, broadcast,
};
use ropewalk::http::{Leaf, Request, Site, leaf};
use ropewalk::simulation::Simulation;
use ropewalk::{Reactor, Result, Stream};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    fn add(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// Notes what it is told, and sends messages back.
#[derive(Clone, Default)]
struct Echo(Notes);

impl WebSocketProtocol for Echo {
    fn opened(&mut self, _: &Socket) {
        self.0.add("opened");
    }

    fn text(&mut self, socket: &Socket, text: &str) -> Result {
        match text {
            "fail" => Err(ropewalk::Failure::msg("on purpose")),
            "quit" => {
                socket.close(CloseCode::NORMAL, "as you wish");
                assert_eq!(socket.send("too late"), Err(SendError::Closed));
                Ok(())
            }
            text => Ok(socket.send(text)?),
        }
    }

    fn binary(&mut self, socket: &Socket, data: &[u8]) -> Result {
        Ok(socket.send(data)?)
    }

    fn ping(&mut self, _: &Socket, payload: &[u8]) {
        self.0.add(format!("ping {}", payload.escape_ascii()));
    }

    fn closed(&mut self, closed: &Closed) {
        self.0.add(format!("closed {} {}", closed.code(), closed.reason()));
    }
}

fn callbacks(notes: &Notes, options: Options) -> Leaf {
    let notes = notes.clone();
    leaf(move |request: &Request| request.accept_websocket(&options, Echo(notes.clone())))
}

fn awaited(notes: &Notes, options: Options) -> Leaf {
    let notes = notes.clone();
    leaf(async move |request: Request| {
        let mut socket = request.accept_websocket_stream(&options)?;
        notes.add("opened");
        let outcome = loop {
            match socket.next().await {
                Ok(Some(Message::Text(text))) if text == "quit" => {
                    let closed = socket.close(CloseCode::NORMAL, "as you wish").await?;
                    notes.add(format!("closed {} {}", closed.code(), closed.reason()));
                    return Ok(());
                }
                Ok(Some(message)) => socket.send(message).await?,
                Ok(None) | Err(_) => break socket.closed(),
            }
        };
        let closed = outcome.unwrap();
        notes.add(format!("closed {} {}", closed.code(), closed.reason()));
        Ok(())
    })
}

/// The other end: a codec in its client's role over a stream.
struct Client {
    stream: Stream,
    codec: Codec,
    input: Vec<u8>,
}

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n";

impl Client {
    /// Shakes hands, with further fields; gives the head of the answer as well.
    async fn open(reactor: &Reactor, fields: &str, early: &[u8]) -> Result<(Client, String)> {
        Client::over(reactor.open("server:80").await?, fields, early).await
    }

    async fn over(mut stream: Stream, fields: &str, early: &[u8]) -> Result<(Client, String)> {
        let request = [format!("{HANDSHAKE}{fields}\r\n").as_bytes(), early].concat();
        stream.write_all(&request).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).await?;
            head.push(byte[0]);
        }
        let codec = Codec::client(Limits::default(), || 0x1234_5678);
        let client = Client { stream, codec, input: Vec::new() };
        Ok((client, String::from_utf8(head).unwrap()))
    }

    async fn write(&mut self, call: impl FnOnce(&mut Codec, &mut Vec<u8>)) -> Result {
        let mut out = Vec::new();
        call(&mut self.codec, &mut out);
        Ok(self.stream.write_all(&out).await?)
    }

    async fn text(&mut self, text: &str) -> Result {
        self.write(|codec, out| codec.send_text(text, out).unwrap()).await
    }

    /// What comes next, as a note; `end` when nothing does.
    async fn next(&mut self) -> Result<String> {
        let mut gathered = Vec::new();
        loop {
            let mut all = std::mem::take(&mut self.input);
            let mut rest = &mut all[..];
            let event = self.codec.feed(&mut rest).map(|event| match event {
                Event::Text(piece) | Event::Binary(piece) => {
                    gathered.extend_from_slice(piece.data);
                    piece.is_last.then(|| String::from_utf8_lossy(&gathered).into_owned())
                }
                Event::Ping(payload) => Some(format!("ping {}", payload.escape_ascii())),
                Event::Pong(payload) => Some(format!("pong {}", payload.escape_ascii())),
                Event::Close(close) => {
                    Some(format!("close {:?} {}", close.code().map(|it| it.code()), close.reason()))
                }
                other => Some(format!("{other:?}")),
            });
            self.input = rest.to_vec();
            match event {
                Some(Some(note)) => return Ok(note),
                Some(None) => {}
                None => {
                    let mut piece = [0; 4096];
                    match self.stream.read(&mut piece).await {
                        Ok(0) => return Ok("end".into()),
                        Ok(count) => self.input.extend_from_slice(&piece[..count]),
                        Err(error) => return Ok(format!("{:?}", error.kind())),
                    }
                }
            }
        }
    }
}

struct Stage {
    simulation: Simulation,
    notes: Notes,
    site: Site,
}

impl Stage {
    fn of(handler: fn(&Notes, Options) -> Leaf, options: Options) -> Stage {
        let (simulation, notes) = (Simulation::new(7), Notes::default());
        let site = Site::new(handler(&notes, options));
        simulation.host("server").reactor().listen("0.0.0.0:80", site.clone()).unwrap();
        Stage { simulation, notes, site }
    }

    /// Runs a client's part, and what follows of it within a minute.
    fn play<T: 'static>(&self, play: impl AsyncFnOnce(Reactor) -> Result<T> + 'static) -> T {
        let reactor = self.simulation.host("client").reactor();
        let outcome = self.simulation.run_until(async move { play(reactor).await }).unwrap();
        self.simulation.run_for(Duration::from_secs(60)).unwrap();
        outcome
    }
}

const FACES: [fn(&Notes, Options) -> Leaf; 2] = [callbacks, awaited];

#[test]
fn messages_come_back_whole_however_they_were_cut() {
    for face in FACES {
        let stage = Stage::of(face, Options::new());
        stage.play(async |reactor| {
            let (mut client, head) = Client::open(&reactor, "", b"").await?;
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            assert!(
                head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
                "{head}"
            );
            let long = "ä".repeat(200_000);
            for text in ["", "hello", "ü", &long] {
                client.text(text).await?;
                assert_eq!(client.next().await?, text);
            }
            for (part, is_last) in
                [("a ", false), ("", false), ("message ", false), ("in four", true)]
            {
                client.write(|codec, out| codec.send_fragment(part, is_last, out).unwrap()).await?;
                if !is_last {
                    client.write(|codec, out| codec.ping(b"between", out).unwrap()).await?;
                    assert_eq!(client.next().await?, "pong between");
                }
            }
            assert_eq!(client.next().await?, "a message in four");
            client.write(|codec, out| codec.send_binary([1, 2, 3], out).unwrap()).await?;
            assert_eq!(client.next().await?, "\u{1}\u{2}\u{3}");
            client
                .write(|codec, out| codec.close(Some((CloseCode::NORMAL, "bye")), out).unwrap())
                .await?;
            assert_eq!(client.next().await?, "close Some(1000) ");
            assert_eq!(client.next().await?, "end");
            Ok(())
        });
        let notes = stage.notes.take();
        assert_eq!((&*notes[0], &**notes.last().unwrap()), ("opened", "closed 1000 bye"));
        assert_eq!(stage.site.connections(), 0);
    }
}

#[test]
fn messages_that_came_with_the_handshake_are_the_first() {
    for face in FACES {
        let stage = Stage::of(face, Options::new());
        stage.play(async |reactor| {
            let mut early = Vec::new();
            let mut codec = Codec::client(Limits::default(), || 1);
            codec.send_text("early", &mut early).unwrap();
            let (mut client, _) = Client::open(&reactor, "", &early).await?;
            assert_eq!(client.next().await?, "early");
            Ok(())
        });
    }
}

#[test]
fn the_server_closes_and_sends_nothing_behind_it() {
    for face in FACES {
        let stage = Stage::of(face, Options::new());
        stage.play(async |reactor| {
            let (mut client, _) = Client::open(&reactor, "", b"").await?;
            client.text("quit").await?;
            assert_eq!(client.next().await?, "close Some(1000) as you wish");
            client
                .write(|codec, out| codec.close(Some((CloseCode::NORMAL, "")), out).unwrap())
                .await?;
            assert_eq!(client.next().await?, "end");
            Ok(())
        });
        assert_eq!(stage.notes.take(), ["opened", "closed 1000 "]);
    }
}

#[test]
fn a_peer_that_answers_no_close_is_cut_off_after_its_time() {
    for face in FACES {
        let stage = Stage::of(face, Options::new().close_within(Duration::from_secs(3)));
        let took = stage.play(async |reactor| {
            let (mut client, _) = Client::open(&reactor, "", b"").await?;
            client.text("quit").await?;
            client.next().await?;
            let before = reactor.now();
            assert_eq!(client.next().await?, "ConnectionReset");
            Ok(reactor.now() - before)
        });
        assert!((2..=4).contains(&took.as_secs()), "{took:?}");
        assert_eq!(stage.site.connections(), 0);
    }
}

#[test]
fn a_peer_is_pinged_and_cut_off_when_it_is_silent() {
    for face in FACES {
        let stage = Stage::of(face, Options::new().ping_every(Duration::from_secs(5)));
        stage.play(async |reactor| {
            let (mut client, _) = Client::open(&reactor, "", b"").await?;
            for _ in 0..10 {
                assert_eq!(client.next().await?, "ping ");
                client.write(|codec, out| codec.pong(b"", out).unwrap()).await?;
            }
            assert_eq!(client.next().await?, "ping ");
            assert_eq!(client.next().await?, "ConnectionReset");
            Ok(())
        });
        assert_eq!(stage.notes.take(), ["opened", "closed 1006 "]);
        assert_eq!(stage.site.connections(), 0);
    }
}

#[test]
fn what_a_peer_may_not_send_is_answered_with_its_code() {
    for face in FACES {
        let limits = Limits { message: 10, ..Limits::default() };
        let stage = Stage::of(face, Options::new().limits(limits));
        for (frame, expected) in [
            (&b"\x81\x01a"[..], "close Some(1002) "),
            (b"\xc1\x80\0\0\0\0", "close Some(1002) "),
            (b"\x81\x81\0\0\0\0\xff", "close Some(1007) "),
            (b"\x82\x8b\0\0\0\0", "close Some(1009) "),
            (b"\x80\x80\0\0\0\0", "close Some(1002) "),
        ] {
            stage.play(async move |reactor| {
                let (mut client, _) = Client::open(&reactor, "", frame).await?;
                assert!(client.next().await?.starts_with(expected), "{frame:?}");
                assert_eq!(client.next().await?, "end");
                Ok(())
            });
        }
        assert_eq!(stage.notes.take().iter().filter(|it| *it == "closed 1006 ").count(), 5);
        assert_eq!(stage.site.connections(), 0);
    }
}

#[test]
fn a_failure_is_reported_and_told_as_1011() {
    let reports = Notes::default();
    let heard = reports.clone();
    ropewalk::on_report(move |report| heard.add(report.to_string()));
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let site = Site::new(callbacks(&notes, Options::new()));
    let port = reactor.listen("127.0.0.1:0", site).unwrap();
    let opening = reactor.open(port.host());
    let outcome = reactor.run_until(async move {
        let (mut client, _) = Client::over(opening.await?, "", b"").await?;
        client.text("fail").await?;
        assert_eq!(client.next().await?, "close Some(1011) ");
        assert_eq!(client.next().await?, "ConnectionReset");
        Ok(())
    });
    outcome.unwrap();
    let reports = reports.take();
    assert!(reports.len() == 1 && reports[0].contains("on purpose"), "{reports:?}");
}

#[test]
fn what_is_no_handshake_is_answered_as_http() {
    let stage = Stage::of(callbacks, Options::new().origins(["https://a.example"]));
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (start, fields, status) in [
        ("GET / HTTP/1.1", "".into(), "426"),
        ("POST / HTTP/1.1", format!("{upgrade}{key}{version}Content-Length: 0\r\n"), "426"),
        ("GET / HTTP/1.1", format!("Upgrade: h2c\r\nConnection: Upgrade\r\n{key}{version}"), "426"),
        ("GET / HTTP/1.1", format!("{upgrade}{key}"), "426"),
        ("GET / HTTP/1.1", format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n"), "426"),
        ("GET / HTTP/1.1", format!("{upgrade}{version}"), "400"),
        ("GET / HTTP/1.1", format!("{upgrade}{version}{key}{key}"), "400"),
        ("GET / HTTP/1.1", format!("{upgrade}{version}Sec-WebSocket-Key: c2hvcnQ=\r\n"), "400"),
        ("GET / HTTP/1.1", format!("{upgrade}{key}{version}Origin: https://b.example\r\n"), "403"),
        ("GET / HTTP/1.1", format!("{upgrade}{key}{version}Origin: https://a.example\r\n"), "101"),
    ] {
        let request = format!("{start}\r\nHost: a\r\n{fields}\r\n");
        let shown = request.clone();
        let got = stage.play(async move |reactor| {
            let mut stream = reactor.open("server:80").await?;
            stream.write_all(request.as_bytes()).await?;
            let mut got = [0; 12];
            stream.read_exact(&mut got).await?;
            Ok(String::from_utf8_lossy(&got).into_owned())
        });
        assert_eq!(&got[9..], status, "{shown}");
    }
}

#[test]
fn the_best_subprotocol_that_both_speak_is_agreed_on() {
    let options = Options::new().protocols(["chat.v2", "chat.v1"]);
    for (offered, agreed) in [
        ("Sec-WebSocket-Protocol: chat.v1, chat.v2\r\n", Some("chat.v2")),
        ("Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: chat.v1\r\n", Some("chat.v1")),
        ("Sec-WebSocket-Protocol: chat\r\n", None),
        ("", None),
    ] {
        let stage = Stage::of(callbacks, options.clone());
        stage.play(async move |reactor| {
            let (_, head) = Client::open(&reactor, offered, b"").await?;
            let expected = agreed.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
            assert_eq!(head.contains("Sec-WebSocket-Protocol"), expected.is_some());
            assert!(expected.is_none_or(|line| head.contains(&line)), "{head}");
            Ok(())
        });
    }
}

#[test]
fn a_broadcast_reaches_all_but_those_who_take_too_little() {
    let (simulation, guests) = (Simulation::new(3), Rc::new(RefCell::new(Vec::new())));
    struct Guest(Rc<RefCell<Vec<Socket>>>);
    impl WebSocketProtocol for Guest {
        fn opened(&mut self, socket: &Socket) {
            self.0.borrow_mut().push(socket.clone());
        }
    }
    let (list, options) = (guests.clone(), Options::new().queue(100_000));
    let site = Site::new(leaf(move |request: &Request| {
        request.accept_websocket(&options, Guest(list.clone()))
    }));
    simulation.host("server").reactor().listen("0.0.0.0:80", site).unwrap();
    let reactor = simulation.host("client").reactor();
    simulation
        .run_until(async move {
            let mut clients = Vec::new();
            for _ in 0..3 {
                clients.push(Client::open(&reactor, "", b"").await?.0);
            }
            ropewalk::sleep(Duration::from_secs(1)).await;
            let everybody = guests.borrow().clone();
            assert!(broadcast(&everybody, "welcome").is_empty());
            for client in &mut clients {
                assert_eq!(client.next().await?, "welcome");
            }
            // The last one reads no more: what waits for it stays bounded.
            let slow = clients.pop().unwrap();
            let mut refused = 0;
            for _ in 0..2000 {
                refused += broadcast(&everybody, "x".repeat(1000)).len();
                for client in &mut clients {
                    assert_eq!(client.next().await?.len(), 1000);
                }
            }
            assert!(refused > 0 && everybody[2].waiting() < 110_000, "{refused}");
            assert_eq!(everybody[2].send("more"), Err(SendError::Full));
            drop(slow);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_reader_that_is_slow_holds_its_peer_back() {
    let (simulation, taken) = (Simulation::new(5), Rc::new(RefCell::new(0)));
    let count = taken.clone();
    let site = Site::new(leaf(async move |request: Request| {
        let mut socket = request.accept_websocket_stream(&Options::new())?;
        ropewalk::sleep(Duration::from_secs(15)).await;
        while let Some(message) = socket.next().await? {
            *count.borrow_mut() += message.as_bytes().len();
        }
        Ok(())
    }));
    simulation.host("server").reactor().listen("0.0.0.0:80", site).unwrap();
    let reactor = simulation.host("client").reactor();
    let sent = Rc::new(RefCell::new(0));
    let progress = sent.clone();
    let sending = reactor.clone().spawn(async move {
        let (mut client, _) = Client::open(&reactor, "", b"").await?;
        for _ in 0..3000 {
            client.text(&"y".repeat(1000)).await?;
            *progress.borrow_mut() += 1000;
        }
        client.write(|codec, out| codec.close(None, out).unwrap()).await?;
        while client.next().await? != "end" {}
        Ok(())
    });
    simulation.run_for(Duration::from_secs(10)).unwrap();
    assert!(*sent.borrow() < 1_500_000, "{}", sent.borrow());
    simulation.run_until(sending).unwrap();
    assert_eq!(*taken.borrow(), 3_000_000);
}

#[test]
fn a_drain_says_1001() {
    for face in FACES {
        let stage = Stage::of(face, Options::new());
        let server = stage.simulation.host("server").reactor();
        let site = stage.site.clone();
        stage.play(async move |reactor| {
            let (mut client, _) = Client::open(&reactor, "", b"").await?;
            client.text("hello").await?;
            assert_eq!(client.next().await?, "hello");
            let drained = site.drain(&server, Duration::from_secs(30));
            assert_eq!(client.next().await?, "close Some(1001) the server stops");
            client.write(|codec, out| codec.close(None, out).unwrap()).await?;
            assert_eq!(client.next().await?, "end");
            drained.await
        });
        assert_eq!(stage.site.connections(), 0);
    }
}
