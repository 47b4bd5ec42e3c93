//! Outgoing connections, and what is said when there is none.

use super::kit::{Face, Notes, Peer, Role, census, hear_reports, nowhere, serve, turn, until};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::deferred::Cancelled;
use ropewalk::net::ConnectError;
use ropewalk::{ClientEndpoint, Failure, Reactor};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A listener whose backlog is full: further connections are neither made nor refused.
pub(crate) fn overrun() -> (socket2::Socket, Vec<socket2::Socket>, SocketAddr) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let call = |_| {
        let caller = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        caller.set_nonblocking(true).unwrap();
        let _ = caller.connect(&address);
        caller
    };
    let callers = (0..4).map(call).collect();
    (listener, callers, address.as_socket().unwrap())
}

#[track_caller]
fn error_of(reactor: &Reactor, to: ClientEndpoint) -> Failure {
    let failure = reactor.run_until(reactor.open(to)).expect_err("no connection");
    assert_eq!(census(reactor), (0, 0), "nothing is left of the attempt");
    failure
}

#[test]
fn a_refused_connection_is_one_error_that_names_the_address() {
    let reactor = Reactor::new().unwrap();
    let (_held, address) = nowhere();
    let failure = error_of(&reactor, address.into());
    assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::ConnectionRefused);
    let text = failure.to_string();
    assert!(
        text.starts_with(&format!("cannot connect to {address}: Connection refused")),
        "{text}"
    );
    assert_eq!(text.matches(&address.to_string()).count(), 1, "{text}");
}

#[test]
fn a_connection_that_takes_too_long_is_one_error_that_names_the_address() {
    let reactor = Reactor::new().unwrap();
    let (_listener, _callers, address) = overrun();
    let to = ClientEndpoint::from(address).timeout(Duration::from_millis(20));
    let failure = error_of(&reactor, to);
    assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::TimedOut);
    let expected = format!("cannot connect to {address}: no connection within 20ms");
    assert_eq!(failure.to_string(), expected);
    assert!(reactor.delayed_calls().is_empty());
}

#[test]
fn a_name_without_an_address_is_one_error_that_names_it() {
    let reactor = Reactor::new().unwrap();
    let failure = error_of(&reactor, "something.invalid:80".into());
    assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::NotFound);
    let text = failure.to_string();
    let expected =
        "cannot connect to something.invalid:80: the name something.invalid has no address";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn a_bad_address_is_one_error_that_names_it_and_what_is_wrong() {
    let reactor = Reactor::new().unwrap();
    let number = "the port is a number from 0 to 65535";
    let wrong = [
        ("localhost", "the port is missing, as in localhost:80"),
        ("", "an address or a description was expected, as in 127.0.0.1:80"),
        ("localhost:", number),
        ("localhost:http", number),
        ("localhost:65536", number),
        ("localhost:-1", number),
        (":80", "the host is missing; for all interfaces write 0.0.0.0 or [::]"),
        ("[]:80", "what stands in brackets is an address of IPv6, as in [::1]:80"),
    ];
    for (target, why) in wrong {
        let failure = error_of(&reactor, target.into());
        let want = format!("cannot connect to {target}: bad endpoint: {why}\n  {target}\n  ");
        assert!(failure.to_string().starts_with(&want), "{failure}");
        assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_local_address_that_cannot_be_had_is_one_error() {
    let reactor = Reactor::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_held, nowhere) = nowhere();
    let to = ClientEndpoint::from(nowhere).bind(taken.local_addr().unwrap());
    let target = to.to_string();
    let text = error_of(&reactor, to).to_string();
    assert!(
        text.starts_with(&format!("cannot connect to {target}: Address already in use")),
        "{text}"
    );
}

#[test]
fn the_local_address_that_was_asked_for_is_used() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let here = nowhere().1;
    let to = ClientEndpoint::from(&server.port.host()).bind(here);
    let stream = reactor.run_until(reactor.open(to)).unwrap();
    assert_eq!((stream.host(), stream.peer()), (here.into(), server.port.host()));
}

#[test]
fn a_name_is_looked_up_and_its_addresses_tried_in_turn() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    let port = server.port.host().port().unwrap();
    let opening = reactor.open(("localhost", port));
    let stream = reactor.run_until(opening).unwrap();
    assert_eq!(stream.peer(), server.port.host());
}

#[test]
fn a_cancelled_attempt_leaves_nothing() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let (_listener, _callers, address) = overrun();
    let opening = reactor.open(address);
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 1));
    opening.cancel();
    assert_eq!(census(&reactor), (0, 0));
    assert!(reactor.run_until(opening).unwrap_err().is::<Cancelled>());
    assert!(reactor.delayed_calls().is_empty());
    reports.expect(&[]);
}

#[test]
fn a_stream_that_nobody_waits_for_is_closed() {
    let reactor = Reactor::new().unwrap();
    let server = serve(Face::Protocol, &reactor, Role::Echo);
    drop(reactor.open(server.port.host()));
    until(&reactor, "it comes and goes", || server.ends.len() == 1);
    turn(&reactor);
    assert_eq!(census(&reactor), (1, 0));
}

#[test]
fn two_reactors_of_one_thread_talk_when_turned_in_turn() {
    let (here, there) = (Reactor::new().unwrap(), Reactor::new().unwrap());
    let server = serve(Face::Stream, &there, Role::Echo);
    let answer = here.open(server.port.host()).add_callback(|mut stream| {
        stream.reactor().spawn(async move {
            stream.write_all(b"hello there").await?;
            let mut answer = [0; 11];
            stream.read_exact(&mut answer).await?;
            Ok(answer)
        })
    });
    let heard = Notes::default();
    let notes = heard.clone();
    answer.map(move |answer| notes.add(String::from_utf8_lossy(&answer)));
    until(&here, "the answer", || {
        turn(&there);
        heard.len() == 1
    });
    heard.expect(&["hello there"]);
}

#[test]
fn half_closed_connections_of_a_raw_socket_are_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let reactor = Reactor::new().unwrap();
    let opening = reactor.open(listener.local_addr().unwrap());
    let mut stream = reactor.run_until(opening).unwrap();
    let (socket, _): (TcpStream, _) = listener.accept().unwrap();
    let mut peer = Peer::over(socket);
    peer.send(b"first");
    peer.half_close();
    let all = reactor.run_until(async move {
        let mut all = String::new();
        stream.read_to_string(&mut all).await?;
        stream.write_all(b"second").await?;
        Ok(all)
    });
    assert_eq!(all.unwrap(), "first");
    assert_eq!(peer.until_end(&reactor), "end of stream");
    assert_eq!(peer.got, b"second");
}
