// What a server says.

use super::corpora::told;
use super::wire::{Client, Numbers, Server};
use crate::http::h1::{Event, Length, Machine, ResponseHead, SendError};
use crate::http::{Headers, Limits, Method, Status};

/// A server that has heard a request, to its end if that is here.
fn asked(request: &str) -> Machine {
    let mut machine = Machine::server(Limits::default());
    let mut input = request.as_bytes();
    while machine.feed(&mut input).is_some() {}
    machine
}

fn request(method: &str, version: &str, fields: &str) -> String {
    format!("{method} / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")
}

fn answer(machine: &mut Machine, head: &ResponseHead, length: Length, body: &str) -> String {
    let mut out = Vec::new();
    machine.send_response(head, length, &mut out).unwrap();
    machine.send_body(body, &mut out).unwrap();
    machine.send_body("", &mut out).unwrap();
    machine.finish(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn status(code: u16) -> ResponseHead {
    ResponseHead::new(Status::new(code).unwrap())
}

#[test]
fn an_answer_says_what_its_status_and_its_request_let_it_say() {
    let (known, unknown) = (Length::Known(2), Length::Unknown);
    let length = "content-length: 2\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    for (method, code, said, fields, body) in [
        ("GET", 200, known, length, "ok"),
        ("GET", 200, unknown, chunked, "2\r\nok\r\n0\r\n\r\n"),
        ("HEAD", 200, known, length, ""),
        ("HEAD", 200, unknown, chunked, ""),
        ("HEAD", 404, known, length, ""),
        ("GET", 204, known, "", ""),
        ("GET", 204, unknown, "", ""),
        ("GET", 205, known, "content-length: 0\r\n", ""),
        ("GET", 304, known, length, ""),
        ("GET", 304, Length::Known(0), "", ""),
        ("GET", 304, unknown, "", ""),
        ("HEAD", 304, known, length, ""),
        ("DELETE", 200, Length::Known(0), "content-length: 0\r\n", ""),
    ] {
        let mut machine = asked(&request(method, "1.1", ""));
        let sent = match said {
            Length::Known(0) => "",
            _ => "ok",
        };
        let out = answer(&mut machine, &status(code), said, sent);
        let line = format!("HTTP/1.1 {}\r\n", Status::new(code).unwrap());
        assert_eq!(out, format!("{line}{fields}\r\n{body}"), "{method} {code} {said:?}");
        assert!(machine.is_idle(), "{method} {code} {said:?}");
    }
}

#[test]
fn the_connection_goes_on_only_if_both_say_so_and_the_length_is_known() {
    let keep = "Connection: keep-alive\r\n";
    for (version, fields, length, goes_on, said) in [
        ("1.1", "", Length::Known(2), true, ""),
        ("1.1", "", Length::Unknown, true, "transfer-encoding: chunked"),
        ("1.1", "Connection: close\r\n", Length::Known(2), false, "connection: close"),
        ("1.1", "Connection: x, CLOSE\r\n", Length::Known(2), false, "connection: close"),
        (
            "1.1",
            "Connection: x\r\nConnection: close\r\n",
            Length::Known(2),
            false,
            "connection: close",
        ),
        ("1.0", "", Length::Known(2), false, "connection: close"),
        ("1.0", keep, Length::Known(2), true, "connection: keep-alive"),
        ("1.0", keep, Length::Unknown, false, "connection: close"),
        ("1.0", "Connection: keep-alive, close\r\n", Length::Known(2), false, "connection: close"),
    ] {
        let mut machine = asked(&request("GET", version, fields));
        let out = answer(&mut machine, &status(200), length, "ok");
        assert_eq!(machine.is_idle(), goes_on, "{version} {fields}");
        assert_eq!(machine.must_close(), !goes_on, "{version} {fields}");
        assert!(out.contains(said), "{version} {fields}: {out}");
        assert_eq!(out.matches("onnection: ").count(), usize::from(said.starts_with("conn")));
        let is_plain = version == "1.0" || length == Length::Known(2);
        assert_eq!(out.ends_with("\r\n\r\nok"), is_plain, "{out}");
    }
}

#[test]
fn an_answer_that_says_close_closes() {
    let mut machine = asked(&request("GET", "1.1", ""));
    let mut head = status(200);
    head.set_header("Connection", "close").unwrap();
    let out = answer(&mut machine, &head, Length::Known(2), "ok");
    assert_eq!(out.matches("lose").count(), 1, "{out}");
    assert!(machine.must_close());
}

#[test]
fn a_server_that_stops_tells_it_with_its_last_answer() {
    let mut machine = asked(&request("GET", "1.1", ""));
    machine.close_when_done();
    assert!(!machine.must_close());
    let out = answer(&mut machine, &status(200), Length::Known(2), "ok");
    assert!(out.contains("connection: close") && machine.must_close());
    let mut idle = Machine::server(Limits::default());
    idle.close_when_done();
    assert!(idle.must_close());
}

#[test]
fn each_request_is_answered_once_and_in_its_turn() {
    let mut machine = Machine::server(Limits::default());
    let mut out = Vec::new();
    let mut send =
        |machine: &mut Machine| machine.send_response(&status(200), Length::Known(2), &mut out);
    assert_eq!(send(&mut machine), Err(SendError::NotNow));
    let two = request("GET", "1.1", "").repeat(2);
    let mut input = two.as_bytes();
    while machine.feed(&mut input).is_some() {}
    assert_eq!(input.len(), two.len() / 2);
    assert_eq!(send(&mut machine), Ok(()));
    assert_eq!(send(&mut machine), Err(SendError::NotNow));
    assert!(machine.feed(&mut input).is_none());
    let mut out = Vec::new();
    machine.send_body("ok", &mut out).unwrap();
    machine.finish(&mut out).unwrap();
    assert_eq!(machine.finish(&mut out), Err(SendError::NotNow));
    assert!(matches!(machine.feed(&mut input), Some(Event::Request(_))));
}

#[test]
fn the_body_behind_an_early_answer_is_dropped_and_the_connection_goes_on() {
    for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut machine = asked(&request("PUT", "1.1", fields));
        answer(&mut machine, &status(403), Length::Known(0), "");
        assert!(!machine.is_idle() && !machine.must_close(), "{fields}");
        let body = if fields.starts_with('C') { "Hello" } else { "5\r\nHello\r\n0\r\n\r\n" };
        let rest = body.to_owned() + &request("GET", "1.1", "");
        let mut input = rest.as_bytes();
        assert!(matches!(machine.feed(&mut input), Some(Event::End(_))), "{fields}");
        assert!(matches!(machine.feed(&mut input), Some(Event::Request(_))), "{fields}");
    }
}

#[test]
fn a_long_body_behind_an_early_answer_closes_the_connection() {
    let mut machine = asked(&request("PUT", "1.1", "Content-Length: 262145\r\n"));
    let out = answer(&mut machine, &status(413), Length::Known(0), "");
    assert!(out.contains("connection: close") && machine.must_close());
    let mut input = &b"Hello"[..];
    assert!(machine.feed(&mut input).is_none() && input.is_empty());

    // One whose length nobody knows is dropped up to the limit.
    let mut machine = asked(&request("PUT", "1.1", "Transfer-Encoding: chunked\r\n"));
    let out = answer(&mut machine, &status(413), Length::Known(0), "");
    assert!(!out.contains("connection: close"));
    let chunk = "1000\r\n".to_owned() + &"a".repeat(4096) + "\r\n";
    for at in 0..65 {
        assert_eq!(machine.must_close(), at > 64, "{at}");
        assert!(machine.feed(&mut chunk.as_bytes()).is_none());
    }
    assert!(machine.must_close());
}

#[test]
fn an_answer_of_one_s_own_to_what_was_refused_is_the_last() {
    let bad = request("PUT", "1.1", "Transfer-Encoding: chunked\r\n") + "x";
    let mut machine = asked(&bad);
    assert!(machine.owes_answer() && !machine.must_close());
    let out = answer(&mut machine, &status(422), Length::Known(2), "no");
    assert!(out.contains("connection: close") && machine.must_close());
}

#[test]
fn an_answer_before_the_hundred_closes_the_connection() {
    let fields = "Expect: 100-Continue\r\nContent-Length: 5\r\n";
    let mut machine = asked(&request("PUT", "1.1", fields));
    assert!(machine.owes_continue());
    let out = answer(&mut machine, &status(403), Length::Known(0), "");
    assert!(out.contains("connection: close") && machine.must_close());

    let mut machine = asked(&request("PUT", "1.1", fields));
    let mut out = Vec::new();
    machine.send_informational(Status::CONTINUE, &Headers::new(), &mut out).unwrap();
    machine.feed(&mut &b"Hello"[..]);
    machine.feed(&mut &b""[..]);
    let out = answer(&mut machine, &status(200), Length::Known(0), "");
    assert!(!out.contains("close") && machine.is_idle());

    // A body that came without waiting needs none.
    let machine = asked(&(request("PUT", "1.1", fields) + "H"));
    assert!(!machine.owes_continue());
    assert!(!asked(&request("PUT", "1.0", fields)).owes_continue());
    assert!(!asked(&request("GET", "1.1", "Expect: 100-continue\r\n")).owes_continue());
}

#[test]
fn heads_before_the_answer_are_for_peers_that_know_them() {
    let mut links = Headers::new();
    links.append("Link", "x").unwrap();
    let hints = Status::EARLY_HINTS;
    let mut machine = asked(&request("GET", "1.1", ""));
    let mut out = Vec::new();
    machine.send_informational(hints, &links, &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    assert_eq!(machine.send_informational(Status::OK, &links, &mut out), Err(SendError::Status));
    let early = machine.send_response(&ResponseHead::new(hints), Length::Known(0), &mut out);
    assert_eq!(early, Err(SendError::Status));
    answer(&mut machine, &status(200), Length::Known(0), "");
    assert_eq!(machine.send_informational(hints, &links, &mut out), Err(SendError::NotNow));

    let mut machine = asked(&request("GET", "1.0", ""));
    out.clear();
    machine.send_informational(hints, &links, &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn a_switch_is_sent_when_it_was_asked_for_and_the_request_is_whole() {
    let switch = || {
        let mut head = ResponseHead::new(Status::SWITCHING_PROTOCOLS);
        head.set_header("Upgrade", "x").unwrap();
        head
    };
    let asks = "Upgrade: x\r\nConnection: upgrade\r\n";
    let mut out = Vec::new();
    let mut machine = asked(&request("GET", "1.1", ""));
    assert_eq!(
        machine.send_response(&switch(), Length::Known(0), &mut out),
        Err(SendError::Status)
    );
    let mut machine = asked(&request("GET", "1.0", asks));
    assert_eq!(
        machine.send_response(&switch(), Length::Known(0), &mut out),
        Err(SendError::Status)
    );
    // Without its option the field was for somebody before us.
    let mut machine = asked(&request("GET", "1.1", "Upgrade: x\r\nConnection: y\r\n"));
    let unasked = machine.send_response(&switch(), Length::Known(0), &mut out);
    assert_eq!(unasked, Err(SendError::Status));
    let whole = request("PUT", "1.1", &format!("{asks}Content-Length: 5\r\n"));
    let mut machine = asked(&whole);
    assert_eq!(
        machine.send_response(&switch(), Length::Known(0), &mut out),
        Err(SendError::NotNow)
    );

    let bytes = whole + "Hello, other";
    let mut input = bytes.as_bytes();
    let mut machine = Machine::server(Limits::default());
    while machine.feed(&mut input).is_some() {}
    machine.send_response(&switch(), Length::Known(0), &mut out).unwrap();
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nconnection: upgrade\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert!(matches!(machine.feed(&mut input), Some(Event::Upgraded)));
    assert!(machine.feed(&mut input).is_none() && input == b", other");
}

#[test]
fn a_success_to_connect_begins_a_tunnel_before_or_behind_its_end() {
    let bytes = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\ntunnelled";
    for waits_for_the_end in [false, true] {
        let (mut input, mut out) = (&bytes[..], Vec::new());
        let mut machine = Machine::server(Limits::default());
        assert!(matches!(machine.feed(&mut input), Some(Event::Request(_))));
        if waits_for_the_end {
            assert!(matches!(machine.feed(&mut input), Some(Event::End(_))));
        }
        machine.send_response(&status(200), Length::Unknown, &mut out).unwrap();
        assert_eq!(out, b"HTTP/1.1 200 OK\r\n\r\n");
        if !waits_for_the_end {
            assert!(matches!(machine.feed(&mut input), Some(Event::End(_))));
        }
        assert!(matches!(machine.feed(&mut input), Some(Event::Upgraded)));
        assert!(machine.feed(&mut input).is_none() && input == b"tunnelled");
        assert_eq!(machine.finish(&mut out), Err(SendError::NotNow));
    }
    // Another answer is one of HTTP.
    let mut machine = asked("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    let out = answer(&mut machine, &status(403), Length::Known(2), "no");
    assert!(out.ends_with("content-length: 2\r\n\r\nno") && machine.is_idle());
}

#[test]
fn who_ended_its_half_is_still_answered_and_then_closed() {
    let mut machine = asked(&request("GET", "1.1", ""));
    assert!(machine.end().is_none());
    assert!(machine.owes_answer() && !machine.must_close());
    answer(&mut machine, &status(200), Length::Known(2), "ok");
    assert!(machine.must_close());
}

#[test]
fn the_peer_s_end_inside_a_body_ends_the_exchange() {
    let mut machine = asked(&request("PUT", "1.1", "Content-Length: 5\r\n"));
    assert!(matches!(machine.end(), Some(Event::Refused(_))));
    let sent = machine.send_response(&status(200), Length::Known(2), &mut Vec::new());
    assert_eq!(sent, Err(SendError::NotNow));
    assert!(machine.must_close());
}

#[test]
fn trailers_follow_chunks_only_and_not_all_names() {
    let mut trailers = Headers::new();
    trailers.append("Digest", "x").unwrap();
    for (version, length, said) in [
        ("1.1", Length::Unknown, "2\r\nok\r\n0\r\nDigest: x\r\n\r\n"),
        ("1.1", Length::Known(2), "ok"),
        ("1.0", Length::Unknown, "ok"),
    ] {
        let mut machine = asked(&request("GET", version, ""));
        let mut out = Vec::new();
        machine.send_response(&status(200), length, &mut out).unwrap();
        machine.send_body("ok", &mut out).unwrap();
        machine.finish_with(&trailers, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.ends_with(&format!("\r\n\r\n{said}")), "{out}");
    }
    trailers.append("content-length", "1").unwrap();
    let mut machine = asked(&request("GET", "1.1", ""));
    let mut out = Vec::new();
    machine.send_response(&status(200), Length::Unknown, &mut out).unwrap();
    let refused = machine.finish_with(&trailers, &mut out);
    assert_eq!(refused, Err(SendError::Trailer("Content-Length")));
    machine.finish(&mut out).unwrap();
}

#[test]
fn bytes_that_go_out_another_way_are_counted() {
    let mut machine = asked(&request("GET", "1.1", ""));
    let mut out = Vec::new();
    machine.send_response(&status(200), Length::Known(10), &mut out).unwrap();
    assert_eq!(machine.sent_elsewhere(4), Ok(true));
    assert_eq!(machine.sent_elsewhere(7), Err(SendError::BodyTooLong));
    assert_eq!(machine.sent_elsewhere(6), Ok(true));
    machine.finish(&mut out).unwrap();
    let mut machine = asked(&request("GET", "1.1", ""));
    machine.send_response(&status(200), Length::Unknown, &mut out).unwrap();
    assert_eq!(machine.sent_elsewhere(4), Err(SendError::NotNow));
}

#[test]
fn whatever_is_answered_can_be_read_back() {
    let mut numbers = Numbers(15);
    for _ in 0..2_000 {
        let is_head = numbers.below(4) == 0;
        let code = *numbers.pick(&[200, 201, 204, 205, 304, 404, 500, 599]);
        let body: Vec<_> = (0..numbers.below(40)).map(|_| numbers.next() as u8).collect();
        let length = match numbers.below(2) {
            0 => Length::Unknown,
            _ => Length::Known(body.len() as u64),
        };
        let version = *numbers.pick(&["1.1", "1.0"]);
        let mut machine = asked(&request(if is_head { "HEAD" } else { "GET" }, version, ""));
        let mut out = Vec::new();
        let mut head = status(code);
        head.set_header("X", "y").unwrap();
        machine.send_response(&head, length, &mut out).unwrap();
        for piece in body.chunks(numbers.below(20) + 1) {
            machine.send_body(piece, &mut out).unwrap();
        }
        machine.finish(&mut out).unwrap();
        let client = Client::asking(&[if is_head { Method::Head } else { Method::Get }]);
        let told = told(&client.run(out.chunks(numbers.below(20) + 1)).heard);
        let has_body = !is_head && ![204, 205, 304].contains(&code) && !body.is_empty();
        let body = if has_body { format!("{} bytes; ", body.len()) } else { String::new() };
        let closed = if machine.must_close() { "" } else { "; closed" };
        assert_eq!(told, format!("{code}; {body}end{closed}"), "{version} {length:?}");
    }
}

#[test]
fn fields_that_were_set_changed_and_removed_are_sent_as_they_are_left() {
    let mut numbers = Numbers(16);
    let names = ["Via", "via", "Server", "ETag", "Age", "Content-Length", "Transfer-Encoding"];
    for _ in 0..2_000 {
        let mut head = status(200);
        for at in 0..numbers.below(8) {
            let name = *numbers.pick(&names);
            match numbers.below(4) {
                0 => head.set_header(name, at.to_string()).unwrap(),
                1 => drop(head.remove_header(name)),
                2 => head = head.clone(),
                _ => head.append_header(name, "x".repeat(at)).unwrap(),
            }
        }
        let mut machine = asked(&request("GET", "1.1", ""));
        let out = answer(&mut machine, &head, Length::Known(2), "ok");
        let is_framing = |name: &str| names[5..].contains(&name);
        let lines = head.headers().iter().filter(|(name, _)| !is_framing(name));
        let lines = lines.map(|(name, value)| format!("{name}: {}\r\n", value.escape_ascii()));
        let lines: String = lines.collect();
        let expected = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\nok");
        assert_eq!(out, expected);
    }
}

#[test]
fn an_idle_machine_is_small_and_owns_no_memory() {
    assert!(size_of::<Machine>() <= 288, "{}", size_of::<Machine>());
    let server = Server::new().run([]);
    assert!(server.machine.must_close());
    let mut machine = asked(&request("GET", "1.1", ""));
    answer(&mut machine, &status(200), Length::Known(0), "");
    assert_eq!(machine.block_capacity(), 0);
}
