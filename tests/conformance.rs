//! Every transport that there is, held to the same promises.

#![cfg(all(feature = "simulation", feature = "conformance"))]
use ropewalk::ClientEndpoint;
use ropewalk::conformance::{self, Endpoints, Harness, Running};
use ropewalk::simulation::{Faults, Latency, Link, Simulation, for_each_seed};
use ropewalk::{Deferred, Failure, Protocol, Reactor, Result, Stream, fail, succeed};
use std::io::pipe;
use std::time::Duration;

#[track_caller]
fn holds(ground: &dyn Harness) {
    // One check fails on purpose, and that is all that may be reported.
    ropewalk::on_report(|report| assert_eq!(report.failure().to_string(), "on purpose"));
    if let Err(failure) = conformance::run(ground) {
        panic!("{failure}");
    }
}

#[test]
fn tcp_keeps_every_promise() {
    let server = "tcp:0:interface=127.0.0.1".parse().unwrap();
    holds(&Endpoints::new(server, |host| ClientEndpoint::from(host)));
}

#[test]
fn unix_sockets_keep_every_promise() {
    let name = format!("unix:@ropewalk-conformance-{}", std::process::id());
    let unix = Endpoints::new(name.parse().unwrap(), |host| ClientEndpoint::from(host));
    holds(&unix.without_resets());
}

/// Two pipes, one each way.
struct Pipes;

impl Harness for Pipes {
    fn protocols(
        &self,
        reactor: &Reactor,
        server: Box<dyn Protocol>,
        client: Box<dyn Protocol>,
    ) -> Deferred<()> {
        let connect = || {
            let ((there, from), (back, to)) = (pipe()?, pipe()?);
            reactor.connect_pipes(there, to, server)?;
            reactor.connect_pipes(back, from, client)?;
            Ok(())
        };
        connect().map_or_else(|failure: Failure| fail(failure), succeed)
    }

    fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
        let open = || {
            let ((there, from), (back, to)) = (pipe()?, pipe()?);
            Ok((reactor.open_pipes(there, to)?, reactor.open_pipes(back, from)?))
        };
        open().map_or_else(|failure: Failure| fail(failure), succeed)
    }

    fn resets(&self) -> bool {
        false
    }
}

#[test]
fn pipes_keep_every_promise() {
    holds(&Pipes);
}

/// Endpoints in a world of their own; both ends on one host, as far as the endpoints know.
struct Simulated(Simulation);

impl Simulated {
    fn endpoints() -> impl Harness {
        let server = "tcp:0".parse().expect("it is an endpoint");
        Endpoints::new(server, |host| {
            let port = host.port().expect("it is a TCP port");
            format!("tcp:host:{port}").parse().expect("it is an endpoint")
        })
    }
}

impl Harness for Simulated {
    fn reactor(&self) -> Result<Reactor> {
        Ok(self.0.host("host").reactor())
    }

    fn protocols(
        &self,
        reactor: &Reactor,
        server: Box<dyn Protocol>,
        client: Box<dyn Protocol>,
    ) -> Deferred<()> {
        Simulated::endpoints().protocols(reactor, server, client)
    }

    fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
        Simulated::endpoints().streams(reactor)
    }

    fn run(&self, reactor: &Reactor, check: Running) -> Result {
        // On the host itself: nobody else may touch its connections.
        self.0.run_until(reactor.spawn(check))
    }
}

/// A host whose system keeps its word to the letter, and a way to itself of any kind.
fn make_pedantic(simulation: &Simulation) {
    let host = simulation.host("host");
    simulation.allow_reports(|report| report.failure().to_string() == "on purpose");
    let (kind, loss) =
        simulation.random(|random| (random.below(4), random.below(5) as f64 / 100.0));
    let latencies = [
        Latency::Fixed(Duration::from_micros(10)),
        Latency::Uniform(Duration::ZERO, Duration::from_millis(1)),
        Latency::LongTailed(Duration::from_micros(100), Duration::from_millis(5)),
        Latency::Uniform(Duration::from_millis(1), Duration::from_millis(40)),
    ];
    let link = Link::new().latency(latencies[kind as usize]).loss(loss);
    simulation.set_link(&host, &host, link);
    host.set_faults(Faults::pedantic());
}

/// Each seed holds the ground to one promise: the next has another network for the next promise.
fn promise_of(simulation: &Simulation) -> &'static conformance::Check {
    let promises = conformance::CHECKS.len() as u64;
    &conformance::CHECKS[(simulation.seed() % promises) as usize]
}

/// `ROPEWALK_SEEDS` says how many other than usual, in percent.
fn seeds(usual: u64) -> u64 {
    let percent = std::env::var("ROPEWALK_SEEDS").ok().and_then(|percent| percent.parse().ok());
    (usual * percent.unwrap_or(100)).div_ceil(100)
}

#[test]
fn simulated_connections_keep_every_promise_under_every_seed() {
    let report = for_each_seed(0..seeds(1000), |simulation| {
        make_pedantic(simulation);
        promise_of(simulation).run(&Simulated(simulation.clone()))
    });
    println!("conformance: {}", report.unwrap_or_else(|failure| panic!("{failure}")));
}

#[cfg(feature = "tls")]
mod tls {
    //! TLS over whatever carries it. Who is cut off always sees it, over Unix sockets too: the
    //! close_notify is missing.

    use super::{Harness, Running, holds, make_pedantic, promise_of, seeds};
    use ropewalk::simulation::{Simulation, for_each_seed};
    use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
    use ropewalk::{
        Address, ClientEndpoint, Deferred, Port, Protocol, Reactor, Result, ServerEndpoint, Stream,
        fail,
    };
    use std::cell::Cell;

    /// Ports and connections with TLS on them.
    struct Tls {
        server: ServerConfig,
        client: ClientConfig,
        over: Over,
    }

    enum Over {
        Tcp,
        Simulated(Simulation),
        /// A Unix socket of this name, and so many layers.
        Unix(&'static str, usize),
    }

    impl Tls {
        fn over(over: Over) -> Tls {
            let identity = Identity::self_signed(&["localhost"]).expect("it is a name");
            let client = ClientConfig::trusting(identity.certificate_pem());
            Tls {
                server: ServerConfig::new(identity),
                client: client.server_name("localhost"),
                over,
            }
        }

        fn at(&self) -> ServerEndpoint {
            let (at, layers) = match &self.over {
                Over::Tcp => ("127.0.0.1:0".into(), 1),
                Over::Simulated(_) => ("0.0.0.0:0".into(), 1),
                Over::Unix(name, layers) => (ServerEndpoint::unix(Tls::name(name)), *layers),
            };
            (0..layers).fold(at, |at, _| at.tls(&self.server))
        }

        /// An abstract one, of this process' own.
        fn name(name: &str) -> ropewalk::UnixName {
            let name = format!("ropewalk-conformance-{name}-{}", std::process::id());
            ropewalk::UnixName::Abstract(name.into_bytes().into())
        }

        fn to(&self, port: &Port) -> ClientEndpoint {
            let (to, layers) = match &self.over {
                Over::Tcp => (ClientEndpoint::from(&port.host()), 1),
                Over::Simulated(_) => {
                    (ClientEndpoint::from(("host", port.host().port().expect("it is TCP's"))), 1)
                }
                Over::Unix(name, layers) => (ClientEndpoint::unix(Tls::name(name)), *layers),
            };
            (0..layers).fold(to, |to, _| to.tls(&self.client))
        }
    }

    impl Harness for Tls {
        fn reactor(&self) -> Result<Reactor> {
            match &self.over {
                Over::Simulated(simulation) => Ok(simulation.host("host").reactor()),
                _ => Reactor::new(),
            }
        }

        fn protocols(
            &self,
            reactor: &Reactor,
            server: Box<dyn Protocol>,
            client: Box<dyn Protocol>,
        ) -> Deferred<()> {
            let (trigger, served) = Deferred::new();
            let mut server = Some(server);
            let build = move |_: &Address| {
                trigger.callback(()).expect("one connection");
                server.take().expect("one connection")
            };
            let port = match reactor.listen(self.at(), build) {
                Ok(port) => port,
                Err(failure) => return fail(failure),
            };
            let client = Cell::new(Some(client));
            let build = move |_: &Address| client.take().expect("one connection");
            let connecting = reactor.connect(self.to(&port), build);
            reactor.spawn(async move {
                connecting.await?;
                served.await?;
                port.stop_listening().await
            })
        }

        fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
            let (trigger, served) = Deferred::new();
            let give = async move |stream| Ok(trigger.callback(stream)?);
            let port = match reactor.serve(self.at(), give) {
                Ok(port) => port,
                Err(failure) => return fail(failure),
            };
            let opening = reactor.open(self.to(&port));
            reactor.spawn(async move {
                let client = opening.await?;
                let server = served.await?;
                port.stop_listening().await?;
                Ok((server, client))
            })
        }

        fn run(&self, reactor: &Reactor, check: Running) -> Result {
            match &self.over {
                Over::Simulated(simulation) => simulation.run_until(reactor.spawn(check)),
                _ => reactor.run_until(check),
            }
        }
    }

    #[test]
    fn tls_over_tcp_keeps_every_promise() {
        holds(&Tls::over(Over::Tcp));
    }

    #[test]
    fn tls_over_unix_sockets_keeps_every_promise() {
        holds(&Tls::over(Over::Unix("tls", 1)));
    }

    #[test]
    fn tls_in_tls_keeps_every_promise() {
        holds(&Tls::over(Over::Unix("tls-in-tls", 2)));
    }

    #[test]
    fn tls_over_simulated_connections_keeps_every_promise_under_every_seed() {
        let report = for_each_seed(0..seeds(150), |simulation| {
            make_pedantic(simulation);
            promise_of(simulation).run(&Tls::over(Over::Simulated(simulation.clone())))
        });
        println!("conformance, TLS: {}", report.unwrap_or_else(|failure| panic!("{failure}")));
    }
}

/// A transport that breaks a promise: whatever is written, the peer ends.
struct Broken;

impl Harness for Broken {
    fn protocols(
        &self,
        reactor: &Reactor,
        server: Box<dyn Protocol>,
        _: Box<dyn Protocol>,
    ) -> Deferred<()> {
        Pipes.protocols(reactor, server, Box::new(Deaf))
    }

    fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
        Pipes.streams(reactor)
    }

    fn resets(&self) -> bool {
        true
    }
}

struct Deaf;

impl Protocol for Deaf {
    fn data_received(&mut self, _: &ropewalk::Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_promise_that_is_broken_is_told_by_name() {
    let check =
        conformance::CHECKS.iter().find(|check| check.name() == "an aborted stream ends both");
    let text = check.unwrap().run(&Broken).unwrap_err().to_string();
    assert!(
        text.starts_with("an aborted stream ends both: the peer of who aborted read Ok(0)"),
        "{text}"
    );
}
