//! Every transport that there is, held to the same promises.

use ropewalk::conformance::{self, Endpoints, Ground, Running};
use ropewalk::endpoint::ClientEndpoint;
use ropewalk::simulation::Simulation;
use ropewalk::{Deferred, Failure, Protocol, Reactor, Result, Stream, fail, succeed};
use std::io::pipe;

#[track_caller]
fn holds(ground: &dyn Ground) {
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

impl Ground for Pipes {
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
    fn endpoints() -> impl Ground {
        let server = "tcp:0".parse().expect("it is an endpoint");
        Endpoints::new(server, |host| {
            let port = host.port().expect("it is a TCP port");
            format!("tcp:host:{port}").parse().expect("it is an endpoint")
        })
    }
}

impl Ground for Simulated {
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

#[test]
fn simulated_connections_keep_every_promise() {
    for seed in 0..3 {
        holds(&Simulated(Simulation::new(seed)));
    }
}

/// A transport that breaks a promise: whatever is written, the peer ends.
struct Broken;

impl Ground for Broken {
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
