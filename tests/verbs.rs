//! The five verbs: whatever says where is taken by each, and what is wrong is told by each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

mod kit;

use kit::{Notes, path, until};
use ropewalk::net::{ConnectError, ListenError};
use ropewalk::prelude::*;
use ropewalk::{UnixName, interval, sleep, spawn, timeout, yield_now};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::panic::catch_unwind;
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
    let build = || |_: &Address| Echo;
    each_verb(reactor, || at.clone(), build, echo, |host| answers(reactor, to(host)));
}

/// Each verb that comes in listens there for `meet`, and gives connections to the factory or the handler.
fn each_verb<F: Factory + 'static>(
    reactor: &Reactor,
    at: impl Fn() -> ServerEndpoint,
    factory: impl Fn() -> F,
    handler: impl AsyncFn(Stream) -> Result + Copy + 'static,
    meet: impl Fn(Address),
) {
    for verb in ["listen", "serve", "accept"] {
        let at = at();
        let port = match verb {
            "listen" => reactor.listen(&at, factory()),
            "serve" => reactor.serve(&at, async move |stream| handler(stream).await),
            _ => reactor.accept(&at).map(|mut listener| {
                let port = listener.port();
                spawn_on(reactor, async move {
                    while let Some(stream) = listener.next().await {
                        handler(stream).await?;
                    }
                    Ok(())
                });
                port
            }),
        };
        let port = port.unwrap_or_else(|why| panic!("{verb} {at}: {why}"));
        meet(port.host());
        reactor.run_until(port.stop_listening()).unwrap();
    }
}

fn spawn_on(reactor: &Reactor, task: impl Future<Output = Result> + 'static) {
    drop(reactor.spawn(task));
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
    let path = path("socket");
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
    let unix = format!("unix:{}", path("socket").display());
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
    let path = path("socket");
    let at = ServerEndpoint::unix(&path).mode(0o600).backlog(5).without_lock();
    serves(&reactor, at, |_| ClientEndpoint::unix(&path).timeout(Duration::from_secs(5)));
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
    let at = ServerEndpoint::unix(path("socket")).tls(&server).mode(0o600);
    serves(&reactor, at, |host| ClientEndpoint::from(host).tls(&named));
}

/// Says who a header names, when asked.
struct Namer;

impl Protocol for Namer {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        assert_eq!(data, b"x");
        transport.write(transport.peer().to_string());
        Ok(())
    }
}

async fn name(mut stream: Stream) -> Result {
    let mut asked = [0];
    stream.read_exact(&mut asked).await?;
    assert_eq!(&asked, b"x");
    let peer = stream.peer().to_string();
    Ok(stream.write_all(peer.as_bytes()).await?)
}

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n";
const NAMED: &[u8] = b"192.0.2.7:1234";

/// Each verb that comes in takes the header there that a balancer sends, and then what `enter` makes of it.
fn names<F>(reactor: &Reactor, at: impl Fn() -> ServerEndpoint, enter: impl Fn(Stream) -> F)
where
    F: Future<Output = Result<Stream>> + 'static,
{
    each_verb(
        reactor,
        at,
        || |_: &Address| Namer,
        name,
        |host| {
            let stream = reactor.run_until(reactor.open(&host)).unwrap();
            let entering = enter(stream);
            let named = reactor.run_until(async move {
                let (mut stream, mut named) = (entering.await?, [0; NAMED.len()]);
                stream.write_all(b"x").await?;
                stream.read_exact(&mut named).await?;
                Ok(named)
            });
            assert_eq!(named.unwrap(), NAMED);
        },
    );
}

async fn send_header(mut stream: Stream) -> Result<Stream> {
    stream.write_all(HEADER).await?;
    Ok(stream)
}

#[test]
fn each_verb_takes_the_header_of_a_balancer_at_each_kind_of_endpoint() {
    let reactor = Reactor::new().unwrap();
    names(&reactor, || ServerEndpoint::tcp("127.0.0.1:0").behind_proxy(), send_header);
    let options = || ServerEndpoint::from("127.0.0.1:0").behind_proxy().backlog(5).reuse_port();
    names(&reactor, options, send_header);
    names(&reactor, || "haproxy:tcp:0:interface=127.0.0.1".into(), send_header);
    let unix = || ServerEndpoint::unix(path("socket")).behind_proxy().mode(0o600);
    names(&reactor, unix, send_header);
    names(&reactor, || format!("haproxy:unix:{}", path("socket").display()).into(), send_header);
    let own = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        ServerEndpoint::listener(listener).behind_proxy()
    };
    names(&reactor, own, send_header);
}

#[cfg(feature = "tls")]
#[test]
fn each_verb_takes_the_header_before_tls_or_inside_it() {
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig, start_tls};

    let reactor = Reactor::new().unwrap();
    let identity = Identity::self_signed(&["localhost"]).unwrap();
    let client = ClientConfig::trusting(identity.certificate_pem()).server_name("localhost");
    let server = ServerConfig::new(identity);
    let tls = move |stream: Stream, client: ClientConfig| async move {
        start_tls(&stream.transport(), &client).await?;
        Ok(stream)
    };
    for at in [ServerEndpoint::tcp("127.0.0.1:0"), ServerEndpoint::unix(path("socket"))] {
        let header_first = || at.clone().behind_proxy().tls(&server);
        names(&reactor, header_first, |stream| {
            let client = client.clone();
            async move { tls(send_header(stream).await?, client).await }
        });
        let tls_first = || at.clone().tls(&server).behind_proxy();
        names(&reactor, tls_first, |stream| {
            let client = client.clone();
            async move { send_header(tls(stream, client).await?).await }
        });
    }
}

#[cfg(feature = "process")]
mod programs {
    use super::*;
    use ropewalk::endpoint::quote;
    use ropewalk::process::SpawnError;

    /// The same program in code and as a description.
    fn both_ways(program: &str, arguments: &[&str]) -> [ClientEndpoint; 2] {
        let code = ClientEndpoint::process(program, arguments.iter().copied());
        let mut text = format!("process:{}", quote(program));
        arguments.iter().for_each(|argument| text += &format!(":{}", quote(argument)));
        assert_eq!(code.to_string(), text);
        [code, text.as_str().into()]
    }

    #[test]
    fn a_program_is_where_both_verbs_that_go_out_come_to() {
        let reactor = Reactor::new().unwrap();
        for to in both_ways("/bin/cat", &["-u"]) {
            answers(&reactor, to);
        }
    }

    #[test]
    fn a_program_gets_every_argument_as_it_is() {
        let reactor = Reactor::new().unwrap();
        let arguments = ["a:b", "", "c=d", r"e\f", "two words", "ü"];
        let script = ["-c", r#"printf '<%s>' "$@""#, "sh"];
        for to in both_ways("/bin/sh", &[&script[..], &arguments].concat()) {
            let opening = reactor.open(&to);
            let heard = reactor.run_until(async move {
                let mut heard = String::new();
                opening.await?.read_to_string(&mut heard).await?;
                Ok(heard)
            });
            let want: String = arguments.iter().map(|it| format!("<{it}>")).collect();
            assert_eq!(heard.unwrap(), want, "{to}");
        }
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_told_by_both_verbs() {
        let reactor = Reactor::new().unwrap();
        for to in both_ways("/no/such/program", &[]) {
            let told = [
                reactor.run_until(reactor.open(&to)).unwrap_err(),
                reactor.run_until(reactor.connect(&to, |_: &Address| Echo)).unwrap_err(),
            ];
            for failure in told {
                assert!(failure.is::<SpawnError>(), "{failure}");
                let told = failure.to_string();
                assert!(told.starts_with("cannot start /no/such/program: "), "{told}");
            }
        }
        for to in both_ways("/bin/sh", &["-c", "exit 3"]) {
            let opening = reactor.open(&to);
            let error = reactor.run_until(async move {
                Ok(opening.await?.read_to_end(&mut Vec::new()).await.unwrap_err())
            });
            let error = error.unwrap().to_string();
            let want = "the process /bin/sh ended with exit status: 3";
            assert!(error.ends_with(want), "{error}");
        }
    }

    #[test]
    fn a_program_has_no_option_of_a_socket() {
        let reactor = Reactor::new().unwrap();
        let long = Duration::from_secs(1);
        for to in both_ways("/bin/cat", &[]) {
            let here = "127.0.0.1:0".parse().unwrap();
            for (to, option) in [
                (to.clone().bind(here), "address to bind"),
                (to.clone().timeout(long), "timeout"),
                (to.clone().attempt_delay(long), "attempt delay"),
            ] {
                let told = reactor.run_until(reactor.open(to)).unwrap_err().to_string();
                assert_eq!(told, format!("cannot connect to process:/bin/cat: it has no {option}"));
            }
        }
    }
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
