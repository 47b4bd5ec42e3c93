//! The five verbs: whatever says where is taken by each, and what is wrong is told by each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

mod kit;

use kit::{Notes, until};
use ropewalk::net::{ConnectError, ListenError};
use ropewalk::prelude::*;
use ropewalk::{UnixName, interval, sleep, spawn, timeout, yield_now};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::Duration;

/// Sends back what it gets.
struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Asks, and notes what is answered.
struct Asker(Notes);

impl Protocol for Asker {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(b"x");
    }
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.add(String::from_utf8_lossy(data));
        transport.lose_connection();
        Ok(())
    }
}

async fn echo(mut stream: Stream) -> Result {
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    Ok(stream.write_all(&byte).await?)
}

/// Both faces of a client are answered.
fn answers(reactor: &Reactor, to: impl Into<ClientEndpoint>) {
    let to = to.into();
    let notes = Notes::default();
    let asker = notes.clone();
    let connecting = reactor.connect(&to, move |_: &Address| Asker(asker.clone()));
    let _connected = reactor.run_until(connecting).unwrap_or_else(|why| panic!("{to}: {why}"));
    until(reactor, "the protocol is answered", || notes.has("x"));
    let opening = reactor.open(&to);
    let answered = reactor.run_until(async move {
        let mut stream = opening.await?;
        stream.write_all(b"x").await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        Ok(byte)
    });
    assert_eq!(answered.unwrap(), *b"x", "{to}");
}

/// Every verb that comes in listens there, and both that go out come through.
fn serves(
    reactor: &Reactor,
    at: impl Into<ServerEndpoint>,
    to: impl Fn(Address) -> ClientEndpoint,
) {
    let at = at.into();
    let name = at.to_string();
    for verb in ["listen", "serve", "accept"] {
        let port = match verb {
            "listen" => reactor.listen(&at, |_: &Address| Echo),
            "serve" => reactor.serve(&at, echo),
            _ => reactor.accept(&at).map(|mut listener| {
                let port = listener.port();
                spawn_on(reactor, async move {
                    while let Some(stream) = listener.next().await {
                        echo(stream).await?;
                    }
                    Ok(())
                });
                port
            }),
        };
        let port = port.unwrap_or_else(|why| panic!("{verb} {name}: {why}"));
        answers(reactor, to(port.host()));
        reactor.run_until(port.stop_listening()).unwrap();
    }
}

fn spawn_on(reactor: &Reactor, task: impl Future<Output = Result> + 'static) {
    drop(reactor.spawn(task));
}

fn path() -> PathBuf {
    std::env::temp_dir().join(format!(
        "verbs-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ))
}

#[test]
fn an_address_is_where_however_it_is_written() {
    let reactor = Reactor::new().unwrap();
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let ips: [ServerEndpoint; 9] = [
        "127.0.0.1:0".into(),
        String::from("localhost:0").into(),
        (&String::from("127.0.0.1:0")).into(),
        ("127.0.0.1", 0).into(),
        (String::from("localhost"), 0).into(),
        (IpAddr::from(Ipv4Addr::LOCALHOST), 0).into(),
        local.into(),
        Address::from(local).into(),
        (&Address::from(local)).into(),
    ];
    for at in ips {
        serves(&reactor, at, |host| (&host).into());
    }
    serves(&reactor, "127.0.0.1:0", |host| ("127.0.0.1", host.port().unwrap()).into());
    serves(&reactor, "127.0.0.1:0", |host| format!("localhost:{}", host.port().unwrap()).into());
    serves(&reactor, "127.0.0.1:0", |host| host.socket_addr().unwrap().into());
    let path = path();
    serves(&reactor, &path, ClientEndpoint::from);
    serves(&reactor, path.as_path(), |_| path.clone().into());
    serves(&reactor, UnixName::from(&path), |_| UnixName::from(&path).into());
    serves(&reactor, Address::from(path.clone()), |_| path.as_path().into());
    if TcpListener::bind("[::1]:0").is_ok() {
        serves(&reactor, ("::1", 0), |host| ("::1", host.port().unwrap()).into());
        serves(&reactor, "[::1]:0", ClientEndpoint::from);
    }
}

#[test]
fn a_description_is_where_in_any_case() {
    let reactor = Reactor::new().unwrap();
    let tcp = |host: Address| format!("TCP:127.0.0.1:{}:timeout=5", host.port().unwrap()).into();
    serves(&reactor, "Tcp:0:interface=127.0.0.1", tcp);
    let unix = format!("unix:{}", path().display());
    serves(&reactor, unix.as_str(), |_| unix.as_str().into());
}

#[test]
fn an_endpoint_made_in_code_is_where() {
    let reactor = Reactor::new().unwrap();
    let at = ServerEndpoint::tcp("127.0.0.1:0").backlog(5).reuse_port();
    serves(&reactor, at, |host| {
        let to = ClientEndpoint::tcp(host).timeout(Duration::from_secs(5));
        to.attempt_delay(Duration::from_millis(20)).bind("127.0.0.1:0".parse().unwrap())
    });
    let at = ServerEndpoint::unix(path()).mode(0o600).backlog(5).without_lock();
    serves(&reactor, at, |_| ClientEndpoint::unix(path()).timeout(Duration::from_secs(5)));
}

#[cfg(feature = "tls")]
#[test]
fn tls_is_put_on_any_endpoint() {
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig};

    let reactor = Reactor::new().unwrap();
    let identity = Identity::self_signed(&["127.0.0.1"]).unwrap();
    let trusting = ClientConfig::trusting(identity.certificate_pem());
    let server = ServerConfig::new(identity);
    let at = ServerEndpoint::tcp("127.0.0.1:0").tls(&server).tls(&server);
    serves(&reactor, at, |host| {
        let to = ClientEndpoint::from(host).tls(&trusting).tls(&trusting);
        to.timeout(Duration::from_secs(5))
    });
    let named = trusting.clone().server_name("127.0.0.1");
    let at = ServerEndpoint::unix(path()).tls(&server).mode(0o600);
    serves(&reactor, at, |host| ClientEndpoint::from(host).tls(&named));
}

#[test]
fn each_verb_tells_a_bad_endpoint_with_its_caret() {
    let reactor = Reactor::new().unwrap();
    let bad = "localhost:http";
    let shown = "localhost:http: bad endpoint: the port is a number from 0 to 65535\n  \
                 localhost:http\n            ^^^^";
    let listened = [
        reactor.listen(bad, |_: &Address| Echo).unwrap_err(),
        reactor.serve(bad, echo).unwrap_err(),
        reactor.accept(bad).unwrap_err(),
        reactor.listen_tcp(bad, |_: &Address| Echo).unwrap_err(),
    ];
    for failure in listened {
        assert_eq!(failure.to_string(), format!("cannot listen at {shown}"));
        assert_eq!(
            failure.check::<ListenError>().unwrap().kind(),
            std::io::ErrorKind::InvalidInput
        );
    }
    let connected = [
        reactor.run_until(reactor.connect(bad, |_: &Address| Echo)).unwrap_err(),
        reactor.run_until(reactor.open(bad)).unwrap_err(),
    ];
    for failure in connected {
        assert_eq!(failure.to_string(), format!("cannot connect to {shown}"));
        assert_eq!(
            failure.check::<ConnectError>().unwrap().kind(),
            std::io::ErrorKind::InvalidInput
        );
    }
}

#[test]
fn an_option_that_a_place_does_not_have_is_told_by_the_verb() {
    let reactor = Reactor::new().unwrap();
    let here = "127.0.0.1:0".parse().unwrap();
    for (to, why) in [
        (ClientEndpoint::stdio().bind(here), "cannot connect to stdio: it has no address to bind"),
        (ClientEndpoint::from("nonsense").bind(here), "cannot connect to nonsense: bad endpoint: "),
        (Address::Pipe("a pipe".into()).into(), "cannot connect to a pipe: nobody else can reach"),
    ] {
        let told = reactor.run_until(reactor.open(to)).unwrap_err().to_string();
        assert!(told.starts_with(why), "{told}");
    }
}

#[test]
fn the_free_functions_act_on_the_reactor_whose_turn_it_is() {
    let reactor = Reactor::new().unwrap();
    let sum = reactor.run_until(async {
        yield_now().await;
        sleep(Duration::ZERO).await;
        interval(Duration::from_millis(1)).tick().await;
        let task = spawn(async { Ok(42) });
        timeout(Duration::from_secs(60), task).await?
    });
    assert_eq!(sum.unwrap(), 42);
}

#[test]
fn outside_of_a_turn_the_free_functions_say_what_to_do() {
    let said = |call: fn()| {
        let panic = catch_unwind(call).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let calls: [(&str, fn()); 5] = [
        ("spawn", || drop(spawn(async { Ok(()) }))),
        ("sleep", || drop(sleep(Duration::ZERO))),
        ("timeout", || drop(timeout(Duration::ZERO, async {}))),
        ("interval", || drop(interval(Duration::ZERO))),
        ("yield_now", || drop(yield_now())),
    ];
    for (name, call) in calls {
        let want = format!(
            "ropewalk::{name} was called outside of a reactor's turn: call it inside a callback, a task or a \
             handler, or call `reactor.{name}` on a Reactor"
        );
        assert_eq!(said(call), want);
    }
}
