// Good messages, and what they mean, in every split.

use super::wire::{Client, Heard, Server, in_every_split};
use crate::http::Method;

/// What requests a server hears in these bytes; each is answered at its end.
pub(super) const REQUESTS: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /; end; closed"),
    ("GET / HTTP/1.0\r\n\r\n", "GET /; end"),
    ("\r\nGET / HTTP/1.1\r\nHost:a\r\n\r\n", "GET /; end; closed"),
    ("GET / HTTP/1.9\r\nHost:\t a \t\r\nEmpty:\r\nBlank: \t \r\n\r\n", "GET /; end; closed"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: a\tb \u{e9}\r\n\r\n", "GET /; end; closed"),
    (
        "PROPFIND /a%20b?c=d&e HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "PROPFIND /a%20b?c=d&e; end; closed",
    ),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS *; end; closed"),
    ("GET http://b:80/c HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://b:80/c; end; closed"),
    ("GET / HTTP/1.1\r\nHost: \r\n\r\n", "GET /; end; closed"),
    ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHello", "PUT /; 5 bytes; end; closed"),
    ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n", "PUT /; end; closed"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
         5\r\nHello\r\n00A;a=\"b\"\r\n0123456789\r\n000\r\n\r\n",
        "POST /; 15 bytes; end; closed",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;x\r\nDigest: y\r\nX: \r\n\r\n",
        "POST /; end with 2; closed",
    ),
    (
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab\
         \r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /1; end; PUT /2; 2 bytes; end; GET /3; end; closed",
    ),
    // Of what follows the last request nothing is read.
    (
        "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
        "GET /1; end",
    ),
    ("GET /1 HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", "GET /1; end"),
    (
        "GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
        "GET /1; end; GET /2; end",
    ),
    // HTTP/1.0 knows neither expectations nor upgrades.
    ("GET / HTTP/1.0\r\nExpect: x\r\nUpgrade: y\r\n\r\n", "GET /; end"),
    ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "CONNECT a:443; end; upgraded"),
    ("", "closed"),
    ("\r\n", "closed"),
    ("GET / HTTP/1.1\r\nHos", "refused the connection ended inside a message"),
    (
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHell",
        "PUT /; 4 bytes; refused the connection ended inside a message",
    ),
    (
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHell",
        "PUT /; 4 bytes; refused the connection ended inside a message",
    ),
    (
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n",
        "PUT /; 5 bytes; refused the connection ended inside a message",
    ),
];

/// What answers a client hears that asked with these methods.
pub(super) const ANSWERS: &[(&[Method], &str, &str)] = &[
    (&[Method::Get], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200; 2 bytes; end; closed"),
    (&[Method::Get], "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200; end; closed"),
    (&[Method::Get], "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200; end; closed"),
    (&[Method::Get], "HTTP/1.1 999 \u{e9}\r\nContent-Length: 0\r\n\r\n", "999; end; closed"),
    (&[Method::Get], "HTTP/1.1 200 OK\r\n\r\nuntil the end", "200; 13 bytes; end"),
    (&[Method::Get], "HTTP/1.0 200 OK\r\n\r\n", "200; end"),
    (&[Method::Get], "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200; 2 bytes; end"),
    (
        &[Method::Get, Method::Get],
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok\
         HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\nand more",
        "200; 2 bytes; end; 404; end",
    ),
    (
        &[Method::Post],
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
        "100...; 103...; 200; 2 bytes; end with 1; closed",
    ),
    (
        &[Method::Head, Method::Get, Method::Get, Method::Head],
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n\
         HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "200; end; 204; end; 304; end; 200; end; closed",
    ),
    (
        &[Method::Connect],
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nnot HTTP",
        "200; upgraded; left 8",
    ),
    (
        &[Method::Connect],
        "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno",
        "407; 2 bytes; end; closed",
    ),
    (&[], "", "closed"),
    (&[Method::Get], "", "refused the connection ended inside a message"),
    (
        &[Method::Get, Method::Get],
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "200; end; refused the connection ended inside a message",
    ),
    (
        &[Method::Get],
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        "200; 2 bytes; refused the connection ended inside a message",
    ),
    (
        &[Method::Get],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "200; 2 bytes; refused the connection ended inside a message",
    ),
];

/// Heads alone: of fields only the number of trailers is told.
pub(super) fn told(heard: &[Heard]) -> String {
    let one = |heard: &Heard| match heard {
        Heard::Request(line, _) => line.clone(),
        Heard::Informational(code) => format!("{code}..."),
        Heard::Response(code, _) => code.to_string(),
        Heard::Body(body) => format!("{} bytes", body.len()),
        Heard::End(trailers) if trailers.is_empty() => "end".into(),
        Heard::End(trailers) => format!("end with {}", trailers.len()),
        Heard::Upgraded => "upgraded".into(),
        Heard::Refused(text) => format!("refused {text}"),
        Heard::Closed => "closed".into(),
        Heard::Left(rest) => format!("left {}", rest.len()),
    };
    heard.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_server_hears_the_same_requests_in_every_split() {
    for (sent, expected) in REQUESTS {
        let whole = Server::new().run([sent.as_bytes()]);
        assert_eq!(told(&whole.heard), *expected, "{sent}");
        in_every_split(sent.as_bytes(), |pieces| {
            let cut = Server::new().run(pieces.iter().copied());
            assert_eq!(cut.heard, whole.heard, "{sent} {pieces:?}");
            assert_eq!(cut.said, whole.said, "{sent} {pieces:?}");
        });
    }
}

#[test]
fn a_client_hears_the_same_answers_in_every_split() {
    for (asked, sent, expected) in ANSWERS {
        let whole = Client::asking(asked).run([sent.as_bytes()]).heard;
        assert_eq!(told(&whole), *expected, "{asked:?} {sent}");
        in_every_split(sent.as_bytes(), |pieces| {
            let cut = Client::asking(asked).run(pieces.iter().copied()).heard;
            assert_eq!(cut, whole, "{asked:?} {sent} {pieces:?}");
        });
    }
}

#[test]
fn fields_keep_their_order_their_case_and_their_bytes() {
    let mut server = Server::new();
    let request = b"GET / HTTP/1.1\r\nhOsT:  a \r\nB:\r\na: \xff\tx\r\nB: , \r\n\r\n";
    server.feed(&mut &request[..]);
    let Heard::Request(_, fields) = &server.heard[0] else { panic!("{:?}", server.heard) };
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(fields, [("hOsT", &b"a"[..]), ("B", b""), ("a", b"\xff\tx"), ("B", b",")]);
}

#[test]
fn fields_behind_the_sixty_third_frame_too() {
    let filling = "X: y\r\n".repeat(70);
    for (line, expected) in [
        ("Content-Length: 2\r\n", "PUT /; 2 bytes; end; closed"),
        ("Transfer-Encoding: gzip\r\n", "refused unknown transfer coding"),
        ("Host: a\r\n", "refused more than one Host (byte 445)"),
    ] {
        let request = format!("PUT / HTTP/1.1\r\nHost: a\r\n{filling}{line}\r\nok");
        let heard = Server::new().run([request.as_bytes()]).heard;
        assert_eq!(told(&heard), expected);
    }
}
