//! `Reactor::accept`: connections that a task asks for, one after the other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

mod kit;

use futures_util::stream::FusedStream;
use kit::{Notes, Peer, census, hear_reports, path, turn, until};
use ropewalk::net::ListenError;
use ropewalk::prelude::*;
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

/// So many are accepted ahead of who asks.
const AHEAD: usize = 64;

fn connect(listener: &Listener) -> TcpStream {
    TcpStream::connect(listener.host().socket_addr().unwrap()).unwrap()
}

/// Asks for the next, and tells whose it is.
fn next(reactor: &Reactor, listener: &mut Listener) -> Option<Address> {
    reactor.run_until(async { Ok(listener.next().await.map(|stream| stream.peer())) }).unwrap()
}

#[test]
fn a_task_that_waits_is_given_each_connection_in_order() {
    let reactor = Reactor::new().unwrap();
    let mut listener = reactor.accept("127.0.0.1:0").unwrap();
    let (host, notes) = (listener.host(), Notes::default());
    let desk = notes.clone();
    reactor.spawn(async move {
        while let Some(mut stream) = listener.next().await {
            let mut word = [0; 3];
            stream.read_exact(&mut word).await?;
            desk.add(String::from_utf8_lossy(&word));
        }
        Ok(())
    });
    for word in ["one", "two", "six"] {
        let mut peer = TcpStream::connect(host.socket_addr().unwrap()).unwrap();
        peer.write_all(word.as_bytes()).unwrap();
    }
    until(&reactor, "all were served", || notes.len() == 3);
    notes.expect(&["one", "two", "six"]);
}

#[test]
fn a_listener_that_nobody_asks_accepts_64_and_the_others_when_there_is_room() {
    let reactor = Reactor::new().unwrap();
    let mut listener = reactor.accept("127.0.0.1:0").unwrap();
    let peers: Vec<_> = (0..AHEAD + 40).map(|_| connect(&listener)).collect();
    until(&reactor, "it is full", || census(&reactor).0 > AHEAD);
    turn(&reactor);
    assert_eq!(census(&reactor).0, AHEAD + 1, "the port and what it accepted");
    for peer in &peers {
        let from = Address::from(peer.local_addr().unwrap());
        assert_eq!(next(&reactor, &mut listener), Some(from));
    }
}

#[test]
fn dropping_a_listener_closes_its_port_and_loses_those_that_nobody_asked_for() {
    let reactor = Reactor::new().unwrap();
    let listener = reactor.accept("127.0.0.1:0").unwrap();
    let host = listener.host().socket_addr().unwrap();
    let mut peer = Peer::over(connect(&listener));
    until(&reactor, "it was accepted", || census(&reactor).0 == 2);
    drop(listener);
    until(&reactor, "the peer hears of it", || {
        peer.hear();
        peer.end.is_some()
    });
    assert_eq!(peer.end.as_deref(), Some("end of stream"));
    assert_eq!(TcpStream::connect(host).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    turn(&reactor);
    assert_eq!(census(&reactor), (0, 0));
}

#[test]
fn a_stopped_listener_gives_those_that_wait_and_then_ends() {
    let reactor = Reactor::new().unwrap();
    let mut listener = reactor.accept("127.0.0.1:0").unwrap();
    let _peer = connect(&listener);
    until(&reactor, "it was accepted", || census(&reactor).0 == 2);
    reactor.run_until(listener.port().stop_listening()).unwrap();
    assert!(!listener.is_terminated());
    assert!(next(&reactor, &mut listener).is_some());
    assert!(listener.is_terminated());
    assert_eq!(next(&reactor, &mut listener), None);
    assert_eq!(next(&reactor, &mut listener), None);
}

#[test]
fn a_task_that_waits_hears_that_the_port_was_stopped() {
    let reactor = Reactor::new().unwrap();
    let mut listener = reactor.accept("127.0.0.1:0").unwrap();
    let port = listener.port();
    let waiting = reactor.spawn(async move { Ok(listener.next().await.is_none()) });
    turn(&reactor);
    reactor.run_until(port.stop_listening()).unwrap();
    assert!(reactor.run_until(waiting).unwrap());
}

#[test]
fn a_listener_ends_with_its_reactor() {
    let reactor = Reactor::new().unwrap();
    let listener = reactor.accept("127.0.0.1:0").unwrap();
    drop(reactor);
    assert!(listener.is_terminated());
}

#[test]
fn a_handshake_that_fails_is_the_peers_fault_and_seen_by_nobody() {
    let (reactor, faults) = (Reactor::new().unwrap(), Notes::default());
    let desk = faults.clone();
    ropewalk::on_peer_fault(move |report| desk.add(report));
    let at = ServerEndpoint::tcp("127.0.0.1:0").behind_proxy();
    let mut listener = reactor.accept(at).unwrap();
    connect(&listener).write_all(b"no header at all\r\n").unwrap();
    until(&reactor, "it was told", || faults.len() == 1);
    assert!(faults.all()[0].contains("handshake"), "{:?}", faults.all());
    let mut good = connect(&listener);
    good.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n").unwrap();
    let peer = next(&reactor, &mut listener).unwrap();
    assert_eq!(peer.to_string(), "192.0.2.7:1234");
}

#[test]
fn a_full_listener_whose_socket_is_shut_down_ends_all_the_same() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let path = path("listener");
    let socket = UnixListener::bind(&path).unwrap();
    let other = socket.try_clone().unwrap();
    let mut listener = reactor.accept(ServerEndpoint::listener(socket)).unwrap();
    let _peers: Vec<_> = (0..AHEAD).map(|_| UnixStream::connect(&path).unwrap()).collect();
    std::fs::remove_file(&path).unwrap();
    until(&reactor, "it is full", || census(&reactor).0 == AHEAD + 1);
    socket2::SockRef::from(&other).shutdown(Shutdown::Both).unwrap();
    turn(&reactor);
    reports.expect(&[]);
    for _ in 0..AHEAD {
        assert!(next(&reactor, &mut listener).is_some());
    }
    assert_eq!(next(&reactor, &mut listener), None);
    assert!(reports.has("port closed"), "{:?}", reports.all());
}

#[test]
fn a_listener_that_cannot_be_had_is_one_error() {
    let reactor = Reactor::new().unwrap();
    let one = reactor.accept("127.0.0.1:0").unwrap();
    let failure = reactor.accept(one.host()).unwrap_err();
    assert_eq!(failure.check::<ListenError>().unwrap().kind(), ErrorKind::AddrInUse);
}
