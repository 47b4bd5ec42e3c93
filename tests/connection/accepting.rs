//! Ports: factories, closing, bad addresses, and a process without descriptors.

use super::kit::{
    FACES, Face, Notes, Peer, Role, alone_and_well, census, hear_reports, serve, turn, until,
};
use ropewalk::ServerEndpoint;
use ropewalk::net::ListenError;
use ropewalk::{Address, Factory, Protocol, Reactor, Result, Transport};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::rc::Rc;

struct Silent;

impl Protocol for Silent {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

struct Told {
    notes: Notes,
    panics_in: &'static str,
    _held: Rc<()>,
}

impl Told {
    fn tell(&self, what: &'static str) {
        self.notes.add(what);
        assert!(self.panics_in != what, "in {what}");
    }
}

impl Factory for Told {
    type Protocol = Silent;

    fn build_protocol(&mut self, _: &Address) -> Option<Silent> {
        self.tell("build");
        None
    }

    fn started(&mut self) {
        self.tell("started");
    }

    fn stopped(&mut self) {
        self.tell("stopped");
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.tell("drop");
        }
    }
}

fn told(notes: &Notes, panics_in: &'static str) -> (Told, Rc<()>) {
    let held = Rc::new(());
    (Told { notes: notes.clone(), panics_in, _held: held.clone() }, held)
}

#[test]
fn a_port_that_stops_listening_tells_its_factory_and_leaves_its_connections_alone() {
    for face in FACES {
        let reactor = Reactor::new().unwrap();
        let server = serve(face, &reactor, Role::Echo);
        let mut peer = Peer::call(&server.port);
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);
        reactor.run_until(server.port.stop_listening()).unwrap();
        reactor.run_until(server.port.stop_listening()).expect("closed is closed");
        // Not asked of the port itself: another test may have it by now. The table knows it no more.
        assert_eq!(census(&reactor).0, 1);
        peer.send(b"still here");
        peer.until_heard(&reactor, b"still here");
        assert_eq!(census(&reactor).0, 1);
    }
}

#[test]
fn a_factory_is_told_its_start_and_its_end_and_dropped() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (factory, held) = told(&notes, "");
    let port = reactor.listen("127.0.0.1:0", factory).unwrap();
    let mut peer = Peer::call(&port);
    assert_eq!(peer.until_end(&reactor), "end of stream", "nothing was built");
    let stopping = port.stop_listening();
    notes.expect(&["started", "build"]);
    reactor.run_until(stopping).unwrap();
    notes.expect(&["started", "build", "stopped", "drop"]);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn a_panic_in_a_factory_is_said_once_and_the_port_lives() {
    for method in ["started", "build"] {
        let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
        let (factory, _held) = told(&notes, method);
        let port = reactor.listen("127.0.0.1:0", factory).unwrap();
        Peer::call(&port).until_end(&reactor);
        assert_eq!(reports.len(), 1, "{method}");
        Peer::call(&port).until_end(&reactor);
        assert_eq!(notes.count("build"), 2, "{method}");
    }
}

#[test]
fn a_panic_in_the_end_of_a_factory_fails_nobody_but_who_waits_for_it() {
    for method in ["stopped", "drop"] {
        let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
        let (factory, _held) = told(&notes, method);
        let port = reactor.listen("127.0.0.1:0", factory).unwrap();
        let outcome = reactor.run_until(port.stop_listening());
        assert!(outcome.is_err() || reports.len() == 1, "{method}: somebody hears of it");
    }
}

#[test]
fn a_panic_in_the_end_of_a_factory_does_not_disturb_a_shutdown() {
    for method in ["stopped", "drop"] {
        let (reactor, notes, reports) = (Reactor::new().unwrap(), Notes::default(), hear_reports());
        let (factory, _held) = told(&notes, method);
        let server = serve(Face::Protocol, &reactor, Role::Echo);
        reactor.listen("127.0.0.1:0", factory).unwrap();
        let _peer = Peer::call(&server.port);
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);
        let stopper = reactor.clone();
        reactor.call_when_running(move || stopper.stop());
        reactor.run().expect("the shutdown is in order");
        assert_eq!(
            (server.ends.len(), reports.len(), census(&reactor)),
            (1, 1, (0, 0)),
            "{method}"
        );
    }
}

#[test]
fn a_port_can_be_closed_by_its_own_factory() {
    let (reactor, port) = (Reactor::new().unwrap(), Rc::new(std::cell::RefCell::new(None)));
    let shelf = port.clone();
    let factory = move |_: &Address| {
        let port: ropewalk::Port = shelf.take().expect("the first connection closes it");
        drop(port.stop_listening());
        Silent
    };
    let listening = reactor.listen("127.0.0.1:0", factory).unwrap();
    port.replace(Some(listening.clone()));
    let (first, second) = (Peer::call(&listening), Peer::call(&listening));
    until(&reactor, "only the connection is left", || port.borrow().is_none());
    turn(&reactor);
    assert_eq!(census(&reactor).0, 1);
    drop((first, second));
}

#[test]
fn an_address_that_cannot_be_had_is_one_error_that_names_it() {
    let reactor = Reactor::new().unwrap();
    let listen = |address: &str| {
        let failure = reactor.listen(address, |_: &Address| Silent).unwrap_err();
        let text = failure.to_string();
        assert!(failure.is::<ListenError>() && text.contains(address), "{text}");
        assert!(text.starts_with("cannot listen at "), "{text}");
        assert_eq!(census(&reactor), (0, 0));
        failure.check::<ListenError>().unwrap().kind()
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(listen(&taken.local_addr().unwrap().to_string()), ErrorKind::AddrInUse);
    assert_eq!(listen("192.0.2.1:0"), ErrorKind::AddrNotAvailable);
    assert_eq!(listen("127.0.0.1"), ErrorKind::InvalidInput);
    assert_eq!(listen("127.0.0.1:99999"), ErrorKind::InvalidInput);
    listen("something.invalid:0");
}

#[test]
fn an_address_that_cannot_be_had_is_said_to_be_wrong_where_it_was_asked_for() {
    let reactor = Reactor::new().unwrap();
    let endpoint = "tcp:0:interface=192.0.2.1".parse::<ServerEndpoint>().unwrap();
    for failure in [
        reactor.listen("nonsense", |_: &Address| Silent).unwrap_err(),
        reactor.serve("nonsense", async |_| Ok(())).unwrap_err(),
        reactor.listen(ServerEndpoint::unix("/no/such"), |_: &Address| Silent).unwrap_err(),
        reactor.serve(&endpoint, async |_| Ok(())).unwrap_err(),
    ] {
        assert_eq!(failure.location().unwrap().file(), file!(), "{failure:?}");
    }
}

/// Takes every descriptor that the process may still have, but for `left`.
fn exhaust(left: usize) -> Vec<std::fs::File> {
    let mut taken = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        taken.push(file);
    }
    taken.truncate(taken.len() - left);
    taken
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_without_descriptors_sheds_says_so_once_and_recovers() {
    alone_and_well("accepting::a_port_without_descriptors_sheds_says_so_once_and_recovers", || {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let few = Rlimit { current: Some(100), maximum: Some(100) };
        setrlimit(Resource::Nofile, few).unwrap();
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(Face::Protocol, &reactor, Role::Echo);
        let mut old = Peer::call(&server.port);
        until(&reactor, "accepted", || server.transports.borrow().len() == 1);

        for round in 1..=2 {
            let taken = exhaust(5);
            let mut turned_away: Vec<_> = (0..5).map(|_| Peer::call(&server.port)).collect();
            for peer in &mut turned_away {
                peer.until_end(&reactor);
            }
            assert_eq!(reports.len(), round, "said once: {:?}", reports.all());
            let said = format!("port without descriptors: {} closed ", server.port.host());
            assert!(reports.all()[round - 1].starts_with(&said), "{:?}", reports.all());
            let before = std::time::Instant::now();
            let mut turns = 0;
            while before.elapsed() < std::time::Duration::from_millis(10) {
                reactor.turn(Some(std::time::Duration::from_millis(10))).unwrap();
                turns += 1;
            }
            assert!(turns < 100, "the loop spins: {turns} turns in 10 ms");
            old.send(b"meanwhile");
            let heard = old.got.len() + 9;
            until(&reactor, "others are served", || old.hear().len() == heard);

            drop((taken, turned_away));
            let mut new = Peer::call(&server.port);
            new.send(b"and now?");
            new.until_heard(&reactor, b"and now?");
            drop(new);
            until(&reactor, "all is as before", || census(&reactor) == (2, 0));
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_that_took_the_last_descriptor_says_nothing_while_nobody_is_turned_away() {
    let name =
        "accepting::a_port_that_took_the_last_descriptor_says_nothing_while_nobody_is_turned_away";
    alone_and_well(name, || {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let few = Rlimit { current: Some(100), maximum: Some(100) };
        setrlimit(Resource::Nofile, few).unwrap();
        let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
        let server = serve(Face::Protocol, &reactor, Role::Echo);
        // One for either end of one connection.
        let taken = exhaust(2);
        let mut last = Peer::call(&server.port);
        last.send(b"just so");
        last.until_heard(&reactor, b"just so");
        turn(&reactor);
        reports.expect(&[]);

        drop(taken);
        let mut next = Peer::call(&server.port);
        next.send(b"and now?");
        next.until_heard(&reactor, b"and now?");
        reports.expect(&[]);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn without_descriptors_a_call_is_one_error_that_names_the_address() {
    alone_and_well(
        "accepting::without_descriptors_a_call_is_one_error_that_names_the_address",
        || {
            use rustix::process::{Resource, Rlimit, setrlimit};
            let few = Rlimit { current: Some(60), maximum: Some(60) };
            setrlimit(Resource::Nofile, few).unwrap();
            let reactor = Reactor::new().unwrap();
            let server = serve(Face::Protocol, &reactor, Role::Echo);
            // What is made on first use is made before.
            turn(&reactor);
            let (taken, heard) = (exhaust(0), Notes::default());
            let notes = heard.clone();
            let opening = reactor.open(server.port.host());
            opening.add_both(move |outcome| notes.add(outcome.expect_err("no descriptor")));
            until(&reactor, "it fails", || heard.len() == 1);
            let expected = format!("cannot connect to {}: ", server.port.host());
            assert!(heard.all()[0].starts_with(&expected), "{:?}", heard.all());
            assert!(reactor.listen("127.0.0.1:0", |_: &Address| Silent).is_err());
            // A running reactor hears signals through descriptors of its own.
            if cfg!(feature = "signals") {
                let failed = reactor.run().unwrap_err();
                assert!(failed.to_string().contains("open files"), "{failed}");
            }
            drop(taken);
            let stopper = reactor.clone();
            reactor.call_when_running(move || stopper.stop());
            reactor.run().expect("with descriptors it runs");
        },
    );
}
