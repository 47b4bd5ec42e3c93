//! What has no place in a simulation is refused by name, before anything is begun.
#![cfg(feature = "simulation")]
#![cfg(all(feature = "process", feature = "signals"))]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

#[path = "kit/paths.rs"]
mod paths;

use ropewalk::process::{Process, ProcessProtocol};
use ropewalk::simulation::Simulation;
use ropewalk::{ClientEndpoint, ServerEndpoint};
use ropewalk::{Deferred, Failure, Protocol, Reactor, Result, Stream, Transport};
use std::path::PathBuf;

struct Deaf;

impl Protocol for Deaf {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl ProcessProtocol for Deaf {
    fn out_received(&mut self, _: &Process, _: &[u8]) -> Result {
        Ok(())
    }
}

fn simulated() -> (Simulation, Reactor) {
    let simulation = Simulation::new(1);
    let reactor = simulation.host("server").reactor();
    (simulation, reactor)
}

#[track_caller]
fn expect_refused<T>(outcome: Result<T>, why: &str) {
    let failure = outcome.err().expect("there is none in a simulation");
    assert_eq!(failure.to_string(), why);
}

#[test]
fn processes_are_refused_in_every_face_and_none_is_started() {
    let (simulation, reactor) = simulated();
    let file = paths::path("no-process");
    let touch = || {
        let touch = ropewalk::process::ProcessOptions::new("touch");
        touch.arg(&file)
    };
    let why = "cannot start touch: a simulated host has no processes";
    let wait = |outcome: Deferred<()>| simulation.run_until(outcome);
    expect_refused(wait(reactor.process_output(touch()).map(drop)), why);
    expect_refused(wait(reactor.process_value(touch()).map(drop)), why);
    expect_refused(wait(reactor.open_process(touch()).map(drop)), why);
    expect_refused(wait(reactor.spawn_process(Deaf, touch()).map(drop)), why);
    let client: ClientEndpoint = format!("process:/bin/touch:{}", file.display()).parse().unwrap();
    let why = "cannot start /bin/touch: a simulated host has no processes";
    let told = wait(reactor.open(&client).map(drop)).unwrap_err();
    assert!(told.to_string().ends_with(why), "{told}");
    assert!(!file.exists(), "nobody has run it");
}

#[test]
fn descriptors_of_the_system_are_refused_in_both_faces() {
    let (_simulation, reactor) = simulated();
    let no_stdio = "a simulated host has no descriptors of the system, and so no stdio";
    expect_refused(reactor.open_stdio(), no_stdio);
    expect_refused(reactor.connect_stdio(Deaf), no_stdio);
    let no_pipes = "a simulated host has no descriptors of the system, and so no pipes";
    let (input, output) = std::io::pipe().unwrap();
    expect_refused(reactor.open_pipes(input, output), no_pipes);
    let (input, output) = std::io::pipe().unwrap();
    expect_refused(reactor.connect_pipes(input, output, Deaf), no_pipes);
}

fn serve(reactor: &Reactor, text: &str) -> Result {
    let server: ServerEndpoint = text.parse()?;
    reactor.serve(&server, async |_: Stream| Ok(())).map(drop)
}

#[test]
fn endpoints_that_are_none_of_a_network_are_refused() {
    let (_simulation, reactor) = simulated();
    let why = "cannot listen at fd:3: a simulated host has no descriptor 3 to take over";
    expect_refused(serve(&reactor, "fd:3"), why);
    let why = "cannot listen at stdio:: a simulated host has no descriptors of the system, and so no stdio";
    expect_refused(serve(&reactor, "stdio:"), why);
    let why = "cannot listen at unix:/tmp/nowhere: a simulated host has no Unix sockets";
    expect_refused(serve(&reactor, "unix:/tmp/nowhere"), why);
}

#[test]
fn unix_sockets_are_refused_for_streams_and_datagrams() {
    let (simulation, reactor) = simulated();
    let why = "cannot listen at unix:/tmp/nowhere: a simulated host has no Unix sockets";
    let name = PathBuf::from("/tmp/nowhere");
    expect_refused(reactor.serve(ServerEndpoint::unix(&name), async |_: Stream| Ok(())), why);
    expect_refused(reactor.open_unix_datagram(name.clone()), why);
    let told =
        simulation.run_until(reactor.open(ClientEndpoint::unix(&name))).unwrap_err().to_string();
    assert!(told.ends_with("a simulated host has no Unix sockets"), "{told}");
    let socket = reactor.bind_udp("0.0.0.0:0").unwrap();
    let sending = async move { socket.send_to("x", &name.into()).await };
    let told = simulation.run_until(sending).unwrap_err().to_string();
    assert!(told.ends_with("a simulated host has no Unix sockets"), "{told}");
}

#[test]
fn signals_are_refused() {
    let (simulation, reactor) = simulated();
    let told =
        |failure: Failure| assert!(failure.to_string().contains("has no signals"), "{failure}");
    told(reactor.on_signal(ropewalk::reactor::Signal::Hup, || ()).map(drop).unwrap_err());
    told(simulation.run_until(reactor.signal(ropewalk::reactor::Signal::Hup)).unwrap_err());
}
