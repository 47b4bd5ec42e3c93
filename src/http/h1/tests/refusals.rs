// The table of refusals, row by row.

use super::wire::{Client, Heard, Server, in_every_split, unescape};
use crate::http::h1::{Event, Machine, Reason, Refusal};
use crate::http::{Headers, Limits, Method};

const TABLE: &str = include_str!("../refusals.md");

/// The cells of the table that follows a line which begins so.
fn rows(after: &str) -> Vec<Vec<&'static str>> {
    let from = TABLE.find(after).unwrap();
    let lines = TABLE[from..].lines().skip_while(|line| !line.starts_with("|--")).skip(1);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect());
    cells.collect()
}

fn code(cell: &str) -> Vec<u8> {
    unescape(cell.strip_prefix('`').unwrap().strip_suffix('`').unwrap())
}

fn answer(status: &str, fields: &str, text: &str) -> String {
    if status == "none" {
        return String::new();
    }
    let length = text.len() + 1;
    format!(
        "HTTP/1.1 {status}\r\n{fields}content-type: text/plain\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{text}\n"
    )
}

/// Sends each row in every split to a server made for it.
fn look_at(rows: &[Vec<&'static str>], server: impl Fn() -> Server) {
    for row in rows {
        let [sent, status, text] = row[..] else { panic!("{row:?}") };
        let whole = server().run([&code(sent)[..]]).heard;
        in_every_split(&code(sent), |pieces| {
            let server = server().run(pieces.iter().copied());
            let said = String::from_utf8(server.said).unwrap();
            assert_eq!(said, answer(status, "", text), "{sent}");
            assert_eq!(server.heard.last(), Some(&Heard::Refused(text.to_owned())), "{sent}");
            assert_eq!(server.heard, whole, "{sent} in {} pieces", pieces.len());
            assert!(server.machine.must_close(), "{sent}");
        });
    }
}

#[test]
fn a_server_refuses_each_row_with_its_bytes_in_every_split() {
    let rows = rows("To a server, whose");
    assert!(rows.len() > 90, "{}", rows.len());
    look_at(&rows, Server::new);
}

#[test]
fn a_strict_server_refuses_hosts_that_differ_with_its_bytes_in_every_split() {
    let rows = rows("To a server that was told");
    assert_eq!(rows.len(), 3);
    look_at(&rows, || {
        let mut server = Server::new();
        server.machine = server.machine.strict_authority();
        server
    });
}

#[test]
fn a_client_refuses_each_row_in_every_split() {
    let rows = rows("To a client");
    assert!(rows.len() > 20, "{}", rows.len());
    for row in rows {
        let [sent, text] = row[..] else { panic!("{row:?}") };
        let whole = Client::asking(&[Method::Get]).run([&code(sent)[..]]).heard;
        in_every_split(&code(sent), |pieces| {
            let client = Client::asking(&[Method::Get]).run(pieces.iter().copied());
            assert_eq!(client.heard.last(), Some(&Heard::Refused(text.to_owned())), "{sent}");
            assert_eq!(client.heard, whole, "{sent} in {} pieces", pieces.len());
            assert!(client.machine.must_close() && !client.machine.is_idle(), "{sent}");
        });
    }
}

#[test]
fn what_a_server_says_by_itself_has_its_bytes_too() {
    let reasons = [
        Reason::HeadTimedOut { seconds: 10 },
        Reason::BodyTooLarge { length: Some(2_097_152), limit: 1_048_576 },
        Reason::MethodNotAllowed,
        Reason::UnknownMethod,
    ];
    let rows = rows("What a server says");
    assert_eq!(rows.len(), reasons.len());
    for (row, reason) in rows.iter().zip(reasons) {
        let [name, status, text] = row[..] else { panic!("{row:?}") };
        assert_eq!(name, format!("`{reason:?}`"));
        let mut fields = Headers::new();
        fields.append("allow", "GET, HEAD").unwrap();
        // Half a head for the one that waits for it, a whole request for the others.
        let request = match reason {
            Reason::HeadTimedOut { .. } => "GET / HTTP/1.1\r\nHost: a\r",
            _ => "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        in_every_split(request.as_bytes(), |pieces| {
            let mut server = Server::new();
            server.answers = false;
            for piece in pieces {
                server.feed(&mut &piece[..]);
            }
            let refusal = Refusal::new(reason);
            assert!(server.machine.refuse(&refusal, &fields, &mut server.said));
            let said = String::from_utf8(server.said).unwrap();
            assert_eq!(said, answer(status, "allow: GET, HEAD\r\n", text));
            assert!(server.machine.must_close());
        });
    }
}

#[test]
fn different_hosts_are_refused_only_where_that_was_asked_for() {
    for (target, host, differ) in [
        ("http://a/", "a", false),
        ("http://A:80/", "a", false),
        ("https://a:443/", "a:443", false),
        ("https://a:80/", "a", true),
        ("http://a/", "b", true),
        ("http://a:81/", "a", true),
        ("/", "b", false),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut machine = Machine::server(Limits::default()).strict_authority();
        let refused = matches!(machine.feed(&mut request.as_bytes()), Some(Event::Refused(_)));
        assert_eq!(refused, differ, "{target} {host}");
        let mut machine = Machine::server(Limits::default());
        let event = machine.feed(&mut request.as_bytes());
        let Some(Event::Request(head)) = event else { panic!("{target} {host}: {event:?}") };
        assert_eq!(head.headers().text("host"), Some(host));
    }
}

#[test]
fn no_answer_follows_one_that_was_begun() {
    let mut machine = Machine::server(Limits::default());
    let mut input = &b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx"[..];
    assert!(matches!(machine.feed(&mut input), Some(Event::Request(_))));
    let mut out = Vec::new();
    let head = crate::http::h1::ResponseHead::new(crate::http::Status::OK);
    machine.send_response(&head, crate::http::h1::Length::Unknown, &mut out).unwrap();
    out.clear();
    let Some(Event::Refused(refusal)) = machine.feed(&mut input) else { panic!() };
    assert!(!machine.refuse(&refusal, &Headers::new(), &mut out));
    assert!(out.is_empty() && machine.must_close());
}

#[test]
fn the_answer_to_a_refused_head_has_no_body() {
    let mut server = Server::new();
    server.feed(&mut &b"HEAD / HTTP/1.1\r\n\r\n"[..]);
    let said = String::from_utf8(server.said).unwrap();
    assert!(said.contains("content-length: 8\r\n") && said.ends_with("\r\n\r\n"), "{said}");
}

#[test]
fn an_offset_does_not_count_the_blank_line_before_a_request() {
    let mut server = Server::new();
    server.feed(&mut &b"\r\nGET / HTTP/1.1\r\nHost: a/b\r\n\r\n"[..]);
    assert_eq!(server.heard, [Heard::Refused("Host is not a host (byte 22)".into())]);
    let mut server = Server::new();
    server.feed(&mut &b"\r\nGET / HTTP/1.1\nHost: a\r\n\r\n"[..]);
    assert_eq!(server.heard, [Heard::Refused("bare LF at the end of a line (byte 14)".into())]);
}

#[test]
fn a_head_may_have_as_many_bytes_as_the_limit_whatever_stands_before_it() {
    for before in ["", "\r\n"] {
        for (length, fits) in [(16_384, true), (16_385, false)] {
            let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
            let filling = "a".repeat(length - start.len() - 4);
            let request = format!("{before}{start}{filling}\r\n\r\n");
            in_every_split(request.as_bytes(), |pieces| {
                let server = Server::new().run(pieces.iter().copied());
                let heard = matches!(server.heard[0], Heard::Request(..));
                assert_eq!(heard, fits, "{length} {before:?} {}", pieces.len());
            });
        }
    }
}

#[test]
fn without_limits_a_head_of_a_megabyte_is_heard_in_pieces_too() {
    let fields = "X: y\r\n".repeat(200_000);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for size in [request.len(), 1_000] {
        let mut machine = Machine::server(Limits::none());
        let mut heard = 0;
        for piece in request.as_bytes().chunks(size) {
            let mut input = piece;
            if let Some(Event::Request(head)) = machine.feed(&mut input) {
                heard += head.headers().len();
            }
        }
        assert_eq!(heard, 200_001);
    }
}
