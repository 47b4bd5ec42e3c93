// What a client says.

use super::wire::{Heard, Numbers, Server};
use crate::http::h1::{Event, Length, Machine, RequestHead, SendError};
use crate::http::{Headers, Limits, Method};

fn client() -> Machine {
    Machine::client(Limits::default())
}

fn head(method: Method, fields: &[(&str, &str)]) -> RequestHead {
    let target = if method == Method::Connect { "a:1" } else { "/" };
    let mut head = RequestHead::new(method, target).unwrap();
    head.set_header("Host", "a").unwrap();
    for (name, value) in fields {
        head.append_header(name, value).unwrap();
    }
    head
}

fn sent(method: Method, fields: &[(&str, &str)], length: Length, body: &str) -> String {
    let (mut machine, mut out) = (client(), Vec::new());
    machine.send_request(&head(method, fields), length, &mut out).unwrap();
    machine.send_body(body, &mut out).unwrap();
    machine.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_says_how_long_its_body_is_where_it_could_have_one() {
    let head = |method: &str, more: &str| format!("{method} / HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    assert_eq!(sent(Method::Get, &[], Length::Known(0), ""), head("GET", ""));
    assert_eq!(sent(Method::Delete, &[], Length::Known(0), ""), head("DELETE", ""));
    assert_eq!(
        sent(Method::Post, &[], Length::Known(0), ""),
        head("POST", "content-length: 0\r\n")
    );
    let expected = head("GET", "content-length: 2\r\n") + "ok";
    assert_eq!(sent(Method::Get, &[], Length::Known(2), "ok"), expected);
    let expected = head("PUT", "transfer-encoding: chunked\r\n") + "2\r\nok\r\n0\r\n\r\n";
    assert_eq!(sent(Method::Put, &[], Length::Unknown, "ok"), expected);
}

#[test]
fn framing_that_a_head_brings_is_left_out() {
    let fields = [("Content-Length", "7"), ("X", "y"), ("transfer-encoding", "gzip")];
    let expected = "PUT / HTTP/1.1\r\nHost: a\r\nX: y\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(sent(Method::Put, &fields, Length::Known(2), "ok"), expected);
}

#[test]
fn a_request_for_an_upgrade_says_so_to_the_next_hop() {
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nconnection: upgrade\r\n\r\n";
    assert_eq!(sent(Method::Get, &[("Upgrade", "x")], Length::Known(0), ""), expected);
    let own = [("Upgrade", "x"), ("Connection", "Upgrade, y")];
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade, y\r\n\r\n";
    assert_eq!(sent(Method::Get, &own, Length::Known(0), ""), expected);
}

#[test]
fn a_request_that_could_not_be_read_is_not_sent() {
    let mut out = Vec::new();
    let mut send = |head: &RequestHead, length| client().send_request(head, length, &mut out);
    let without = RequestHead::new(Method::Get, "/").unwrap();
    assert_eq!(send(&without, Length::Known(0)), Err(SendError::NoHost));
    let two = head(Method::Get, &[("HOST", "a")]);
    assert_eq!(send(&two, Length::Known(0)), Err(SendError::NoHost));
    let mut bad = without.clone();
    bad.set_header("Host", "a/b").unwrap();
    assert_eq!(send(&bad, Length::Known(0)), Err(SendError::NoHost));
    let expecting = head(Method::Put, &[("Expect", "200-ok")]);
    assert_eq!(send(&expecting, Length::Known(2)), Err(SendError::Expectation));
    let for_nothing = head(Method::Put, &[("Expect", "100-continue")]);
    assert_eq!(send(&for_nothing, Length::Known(0)), Err(SendError::Expectation));
    assert!(out.is_empty());
}

#[test]
fn a_body_is_as_long_as_its_head_said() {
    let (mut machine, mut out) = (client(), Vec::new());
    machine.send_request(&head(Method::Put, &[]), Length::Known(3), &mut out).unwrap();
    assert_eq!(machine.send_body("long", &mut out), Err(SendError::BodyTooLong));
    machine.send_body("ab", &mut out).unwrap();
    assert_eq!(machine.finish(&mut out), Err(SendError::BodyTooShort(1)));
    assert!(machine.must_close());
    assert_eq!(machine.send_body("c", &mut out), Err(SendError::Closed));
    assert!(out.ends_with(b"\r\n\r\nab"));
}

#[test]
fn requests_may_follow_before_their_answers_but_behind_a_last_one() {
    for (method, fields) in [
        (Method::Connect, &[][..]),
        (Method::Get, &[("Upgrade", "x")][..]),
        (Method::Get, &[("Connection", "close")][..]),
    ] {
        let (mut machine, mut out) = (client(), Vec::new());
        for _ in 0..3 {
            machine.send_request(&head(Method::Get, &[]), Length::Known(0), &mut out).unwrap();
            let early = machine.send_request(&head(Method::Get, &[]), Length::Known(0), &mut out);
            assert_eq!(early, Err(SendError::NotNow));
            machine.finish(&mut out).unwrap();
        }
        machine.send_request(&head(method, fields), Length::Known(0), &mut out).unwrap();
        machine.finish(&mut out).unwrap();
        assert_eq!(machine.awaited(), 4);
        let behind = machine.send_request(&head(Method::Get, &[]), Length::Known(0), &mut out);
        assert_eq!(behind, Err(SendError::NotNow));
    }
}

#[test]
fn no_request_follows_an_answer_that_said_close() {
    let (mut machine, mut out) = (client(), Vec::new());
    machine.send_request(&head(Method::Get, &[]), Length::Known(0), &mut out).unwrap();
    machine.finish(&mut out).unwrap();
    let mut input = &b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"[..];
    while machine.feed(&mut input).is_some() {}
    assert!(machine.must_close() && !machine.is_idle());
    let next = machine.send_request(&head(Method::Get, &[]), Length::Known(0), &mut out);
    assert_eq!(next, Err(SendError::Closed));
}

#[test]
fn what_was_upgraded_is_left_to_the_other_protocol() {
    let (mut machine, mut out) = (client(), Vec::new());
    let head = head(Method::Get, &[("Upgrade", "x"), ("Connection", "upgrade")]);
    machine.send_request(&head, Length::Known(0), &mut out).unwrap();
    machine.finish(&mut out).unwrap();
    let mut input =
        &b"HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nHTTP/1.1 no"[..];
    assert!(matches!(machine.feed(&mut input), Some(Event::Response(_))));
    assert!(matches!(machine.feed(&mut input), Some(Event::Upgraded)));
    assert!(machine.feed(&mut input).is_none() && input == b"HTTP/1.1 no");
    assert!(!machine.is_idle() && !machine.must_close());
}

#[test]
fn an_answer_may_come_before_its_request_is_sent_whole() {
    let (mut machine, mut out) = (client(), Vec::new());
    machine.send_request(&head(Method::Put, &[]), Length::Known(9), &mut out).unwrap();
    let mut input = &b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"[..];
    while machine.feed(&mut input).is_some() {}
    assert!(!machine.is_idle() && !machine.must_close());
    machine.send_body("some more", &mut out).unwrap();
    machine.finish(&mut out).unwrap();
    assert!(machine.is_idle());
}

#[test]
fn a_server_s_calls_are_not_a_client_s() {
    let (mut machine, mut out) = (client(), Vec::new());
    let answer = crate::http::h1::ResponseHead::new(crate::http::Status::OK);
    assert_eq!(machine.send_response(&answer, Length::Known(0), &mut out), Err(SendError::NotNow));
    assert_eq!(machine.finish(&mut out), Err(SendError::NotNow));
    let mut server = Machine::server(Limits::default());
    let asked = server.send_request(&head(Method::Get, &[]), Length::Known(0), &mut out);
    assert_eq!(asked, Err(SendError::NotNow));
    assert!(out.is_empty());
}

/// A token, a target or a value of random bytes that may stand there.
fn text(numbers: &mut Numbers, from: &[u8], most: usize) -> Vec<u8> {
    (0..=numbers.below(most)).map(|_| *numbers.pick(from)).collect()
}

#[test]
fn whatever_is_sent_can_be_read_back() {
    let token = b"abcxyzABCXYZ0189!#$%&'*+-.^_`|~";
    let target: Vec<u8> = (b'!'..=b'~').filter(|&byte| byte != b'#').collect();
    let value: Vec<u8> = (b' '..=b'~').chain([b'\t', 0x80, 0xff]).collect();
    let mut numbers = Numbers(14);
    for _ in 0..2_000 {
        let method = text(&mut numbers, token, 20);
        let method: Method = String::from_utf8(method).unwrap().parse().unwrap();
        let path = [b"/".to_vec(), text(&mut numbers, &target, 60)].concat();
        let path = String::from_utf8(path).unwrap();
        let mut head = RequestHead::new(method, &path).unwrap();
        let mut expected = Headers::new();
        for at in 0..numbers.below(9) {
            let name = if at == 0 { b"Host".to_vec() } else { text(&mut numbers, token, 30) };
            let name = String::from_utf8(name).unwrap();
            let value = match at {
                0 => b"example.com:80".to_vec(),
                _ => text(&mut numbers, &value, 60).trim_ascii().to_vec(),
            };
            let is_own = ["connection", "upgrade", "expect", "te", "host"];
            if at > 0 && is_own.contains(&&name.to_ascii_lowercase()[..]) {
                continue;
            }
            head.append_header(&name, &value).unwrap();
            expected.append(&name, &value).unwrap();
        }
        let (mut machine, mut out) = (client(), Vec::new());
        if machine.send_request(&head, Length::Known(0), &mut out).is_err() {
            assert!(!expected.contains("host"), "{head:?}");
            continue;
        }
        machine.finish(&mut out).unwrap();
        let mut server = Server::new();
        server.feed(&mut &out[..]);
        let Some(Heard::Request(line, mut fields)) = server.heard.first().cloned() else {
            panic!("{head:?}: {:?}", server.heard);
        };
        assert_eq!(line, format!("{method} {path}"));
        fields.retain(|(name, _)| name != "content-length");
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        assert_eq!(fields, expected);
    }
}
