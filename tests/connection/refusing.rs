//! Ports whose socket does not accept: for now, for one connection, or for good.

use super::kit::{FACES, Face, Notes, census, hear_reports, path, turn, until};
use ropewalk::ServerEndpoint;
use ropewalk::simulation::{Call, Fault, Faults, Simulation};
use ropewalk::{Address, Factory, Protocol, Reactor, Result, Stream, Transport, UnixName};
use socket2::SockRef;
use std::io::ErrorKind;
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

struct Silent;

impl Protocol for Silent {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Notes what it is told.
struct Told(Notes);

impl Factory for Told {
    type Protocol = Silent;

    fn build_protocol(&mut self, _: &Address) -> Option<Silent> {
        self.0.add("build");
        Some(Silent)
    }

    fn stopped(&mut self) {
        self.0.add("stopped");
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.0.add("drop");
    }
}

/// What is said of a port that is closed, and that nothing happens to it afterwards.
#[track_caller]
fn closed_and_told_once(reactor: &Reactor, reports: &Notes, port: &ropewalk::Port) {
    until(reactor, "it is told", || reports.len() == 1);
    let said = format!("port closed: {} accepts no more: ", port.host());
    assert!(reports.all()[0].starts_with(&said), "{:?}", reports.all());
    reactor.run_until(port.stop_listening()).expect("closed is closed");
    turn(reactor);
    assert_eq!(reports.len(), 1, "{:?}", reports.all());
}

#[test]
fn a_port_whose_socket_somebody_else_shut_down_is_closed_and_told_once() {
    for face in FACES {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("fd:{}", listener.try_clone().map(forgotten).unwrap());
        let endpoint: ServerEndpoint = endpoint.parse().unwrap();
        let port = match face {
            Face::Protocol => reactor.listen(&endpoint, |_: &Address| Silent),
            Face::Stream => reactor.serve(&endpoint, async |_| Ok(())),
        };
        let port = port.unwrap();
        turn(&reactor);
        SockRef::from(&listener).shutdown(Shutdown::Both).unwrap();
        closed_and_told_once(&reactor, &reports, &port);
        assert_eq!(census(&reactor).0, 0);
    }
}

/// The number of a descriptor that is left to whoever takes the number over.
fn forgotten(descriptor: impl Into<std::os::fd::OwnedFd>) -> i32 {
    std::os::fd::IntoRawFd::into_raw_fd(descriptor.into())
}

#[test]
fn a_unix_port_whose_socket_somebody_else_shut_down_serves_who_waited_and_is_closed() {
    let (reactor, reports, notes) = (Reactor::new().unwrap(), hear_reports(), Notes::default());
    let path = path("shut");
    let listener = UnixListener::bind(&path).unwrap();
    let endpoint = format!("fd:{}", listener.try_clone().map(forgotten).unwrap());
    let endpoint: ServerEndpoint = endpoint.parse().unwrap();
    let port = reactor.listen(&endpoint, Told(notes.clone())).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    SockRef::from(&listener).shutdown(Shutdown::Both).unwrap();
    closed_and_told_once(&reactor, &reports, &port);
    notes.expect(&["build", "stopped", "drop"]);
    assert_eq!(port.host(), Address::Unix(UnixName::from(&path)));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn an_idle_unix_port_whose_socket_somebody_else_shut_down_is_closed_and_told_once() {
    for how in [Shutdown::Both, Shutdown::Read] {
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let path = path("idle");
        let listener = UnixListener::bind(&path).unwrap();
        let endpoint = ServerEndpoint::listener(listener.try_clone().unwrap());
        let port = reactor.serve(&endpoint, async |_| Ok(())).unwrap();
        turn(&reactor);
        SockRef::from(&listener).shutdown(how).unwrap();
        closed_and_told_once(&reactor, &reports, &port);
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_simulated_port_that_fails_for_good_is_closed_and_told_once() {
    let reports = Notes::default();
    let (simulation, notes) = (Simulation::new(1), Notes::default());
    let desk = reports.clone();
    simulation.allow_reports(move |report| {
        desk.add(report);
        report.failure().to_string().contains("accepts no more")
    });
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    server.reactor().listen("0.0.0.0:80", Told(notes.clone())).unwrap();
    server.fail_next(Call::Accept, Fault::Error(ErrorKind::InvalidInput));
    let opening = client.reactor().open("server:80");
    drop(simulation.run_until(opening));
    simulation.run_for(Duration::from_secs(1)).unwrap();
    notes.expect(&["stopped", "drop"]);
    assert_eq!(reports.len(), 1, "{:?}", reports.all());
    let again = simulation.run_until(client.reactor().open("server:80"));
    assert!(again.unwrap_err().to_string().contains("refused"));
}

#[test]
fn a_port_that_fails_each_time_tries_again_after_a_while_and_says_so_once() {
    let reports = Notes::default();
    let simulation = Simulation::new(2);
    let desk = reports.clone();
    simulation.allow_reports(move |report| {
        desk.add(report);
        report.failure().to_string().contains("cannot accept")
    });
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    server.reactor().serve("0.0.0.0:80", async |_: Stream| Ok(())).unwrap();
    server.set_faults(Faults { accepts: 1.0, ..Faults::none() });
    let stream = simulation.run_until(client.reactor().open("server:80")).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(reports.len(), 1, "{:?}", reports.all());
    server.set_faults(Faults::none());
    let ending = client.reactor().spawn(async move {
        let mut stream = stream;
        Ok(futures_util::AsyncReadExt::read(&mut stream, &mut [0]).await?)
    });
    assert_eq!(simulation.run_until(ending).unwrap(), 0, "it is served, and ended in order");
    assert_eq!(reports.len(), 1, "{:?}", reports.all());
}

#[test]
fn a_connection_that_fails_before_it_is_accepted_is_skipped_in_silence() {
    let reports = hear_reports();
    for kind in [ErrorKind::ConnectionAborted, ErrorKind::PermissionDenied, ErrorKind::NetworkDown]
    {
        let (simulation, notes) = (Simulation::new(3), Notes::default());
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        server.reactor().listen("0.0.0.0:80", Told(notes.clone())).unwrap();
        server.fail_next(Call::Accept, Fault::Error(kind));
        let stream = simulation.run_until(client.reactor().open("server:80"));
        simulation.run_for(Duration::from_secs(1)).unwrap();
        notes.expect(&["build"]);
        drop(stream);
    }
    reports.expect(&[]);
}
