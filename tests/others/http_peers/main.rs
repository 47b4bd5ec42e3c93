//! The same bytes to us, to h11 and to llhttp: where they hear something else, a row of `disagreements.md` says
//! why.
//!
//! The peers come from pip (`pip install h11 httptools`); one that is not installed is said and left out.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.

use ropewalk::http::h1::{Event, Length, Machine, RequestHead, ResponseHead};
use ropewalk::http::{Limits, Status};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// Bytes that were sent, and who had asked with what; nobody had where they are requests.
#[derive(Clone, Debug)]
struct Case {
    asked: Option<Vec<&'static str>>,
    sent: String,
}
/// One line of the table: asked, sent, what we hear, peer, what it hears.
type Row = [String; 5];

#[test]
fn where_a_peer_hears_something_else_there_is_a_reason() {
    let cases = cases();
    let (versions, told) = match peers(&cases) {
        Ok(told) => told,
        Err(absent) => return println!("nothing compared: {absent}"),
    };
    for peer in ["h11", "llhttp"] {
        let Some(version) = versions[peer].as_str() else {
            println!("nothing compared with {peer}: `pip install h11 httptools` brings it");
            continue;
        };
        if !TABLE.lines().next().is_some_and(|title| title.contains(version)) {
            println!("nothing compared with {peer}: the table is not about its version {version}");
            continue;
        }
        let found: Vec<Row> = cases
            .iter()
            .zip(&told)
            .map(|(case, told)| row(case, peer, told[peer].as_str().unwrap()))
            .filter(|row| row[2] != row[4])
            .collect();
        let known: Vec<Row> = known().into_iter().filter(|row| row[3] == peer).collect();
        let new: Vec<_> = found.iter().filter(|row| !known.contains(row)).collect();
        let gone: Vec<_> = known.iter().filter(|row| !found.contains(row)).collect();
        assert!(new.is_empty() && gone.is_empty(), "without a row: {new:#?}, no more: {gone:#?}");
        println!("{} cases with {peer} {version}, {} rows", cases.len(), found.len());
    }
}

/// Good requests with something changed, left out or put in.
fn mutated() -> Vec<Case> {
    const PIECES: [&str; 26] = [
        r"\r\n",
        r"\n",
        r"\r",
        " ",
        r"\t",
        ":",
        r"\x00",
        ",",
        ";",
        "0",
        "1",
        "f",
        "#",
        "/",
        "?",
        "HTTP/1.1",
        r"X: y\r\n",
        r"Content-Length: 1\r\n",
        r"Content-Length: 5\r\n",
        r"Transfer-Encoding: chunked\r\n",
        r"Transfer-Encoding: x\r\n",
        "chunked",
        r"Host: b\r\n",
        r"1\r\nx\r\n",
        r"0\r\n\r\n",
        "GET /2 HTTP/1.1",
    ];
    let mut state = 1u64;
    let mut below = move |limit: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let one = |_| {
        let mut bytes = unescape(REQUESTS[below(REQUESTS.len())]);
        bytes.extend(unescape(REQUESTS[below(REQUESTS.len())]));
        for _ in 0..=below(3) {
            let at = below(bytes.len());
            match below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = b" \r\n\t:;,0a/"[below(10)],
                _ => drop(bytes.splice(at..at, unescape(PIECES[below(PIECES.len())]))),
            }
        }
        let hex = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
        Case { asked: None, sent: hex.collect() }
    };
    (0..20_000).map(one).collect()
}

/// What the table has a row for: h11 keeps no connection of HTTP/1.0, llhttp waits for no answer to
/// CONNECT and to Upgrade.
fn is_told_otherwise(case: &Case) -> bool {
    let sent = String::from_utf8_lossy(&unescape(&case.sent)).to_ascii_lowercase();
    let keeps = sent.contains("http/1.0") && sent.contains("keep-alive");
    keeps || sent.contains("connect ") || sent.contains("upgrade")
}

#[test]
fn whatever_nobody_refuses_is_heard_alike() {
    let cases = mutated();
    let (_, told) = match peers(&cases) {
        Ok(told) => told,
        Err(absent) => return println!("nothing compared: {absent}"),
    };
    for peer in ["h11", "llhttp"] {
        let mut compared = 0;
        for (case, told) in cases.iter().zip(&told) {
            let Some(hears) = told[peer].as_str() else { continue };
            let ours = hear(case);
            let is_refused = ours.contains("refused") || hears.contains("refused");
            if is_refused || is_told_otherwise(case) {
                continue;
            }
            assert_eq!(ours, hears, "{peer}: {}", unescape(&case.sent).escape_ascii());
            compared += 1;
        }
        println!("{compared} of {} cases with {peer}", cases.len());
        assert!(compared == 0 || compared > 100);
    }
}

fn row(case: &Case, peer: &str, hears: &str) -> Row {
    let words = |told: &str| if told.is_empty() { "nothing".into() } else { told.to_owned() };
    let asked = case.asked.as_ref().map_or("-".into(), |methods| methods.join(" "));
    [asked, case.sent.clone(), words(&hear(case)), peer.to_owned(), words(hears)]
}

/// The rows of the table; each ends with a reason.
fn known() -> Vec<Row> {
    let lines = TABLE.lines().skip_while(|line| !line.starts_with("|--")).skip(1);
    let rows = lines.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(|it| it.trim()).collect();
        assert!(cells.len() == 6 && !cells[5].is_empty(), "{line}");
        let sent = cells[1].trim_matches('`');
        [cells[0], sent, cells[2], cells[3], cells[4]].map(str::to_owned)
    });
    rows.collect()
}

const TABLE: &str = include_str!("disagreements.md");
const REFUSALS: &str = include_str!("../../../src/http/h1/refusals.md");

/// Good requests and such that are taken in several ways.
const REQUESTS: &[&str] = &[
    r"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET / HTTP/1.0\r\n\r\n",
    r"\r\nGET / HTTP/1.1\r\nHost:a\r\n\r\n",
    r"GET / HTTP/1.9\r\nHost: a\r\n\r\n",
    r"GET / HTTP/1.1\r\nHost:\t a \t\r\nEmpty:\r\n\r\n",
    r"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb \xff\r\n\r\n",
    r"GET / HTTP/1.1\r\nHost: \r\n\r\n",
    r"PROPFIND /a%20b?c=d&e HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    r"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    r"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    r"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET http://b:80/c HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET /\x22<>^`{|} HTTP/1.1\r\nHost: a\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHello",
    r"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHel",
    r"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nHello",
    r"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 \r\n\r\nHello",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nHello\r\n00A;a=\x22b\x22\r\n0123456789\r\n000\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;x\r\nDigest: y\r\nX: \r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a\r\nHello\r\n0\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;\r\nHello\r\n0\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n5\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\nHello",
    r"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
    r"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
    r"GET /1 HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
    r"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
    r"PUT / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok",
    r"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    r"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    r"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\t\r\n\r\n",
    r"GET /? HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET // HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET /a?b?c HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET HTTP://A HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET /\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    r"M-SEARCH * HTTP/1.1\r\nHost: a\r\n\r\n",
    r"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    r"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nHello",
    r"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n0123456789",
];

/// The same of answers, with what was asked.
const ANSWERS: &[(&[&str], &str)] = &[
    (&["GET"], r"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    (&["GET"], r"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
    (&["GET"], r"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    (&["GET"], r"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"),
    (&["GET"], r"HTTP/1.1 200 O\xffK\r\nContent-Length: 0\r\n\r\n"),
    (&["GET"], r"HTTP/1.1 200 OK\r\n\r\nuntil the end"),
    (&["GET"], r"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    (
        &["GET"],
        r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
    ),
    (
        &["GET", "GET"],
        r"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        &["GET", "GET"],
        r"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 No\r\n\r\n",
    ),
    (
        &["POST"],
        r"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    (&["GET"], r"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n"),
    (&["GET"], r"HTTP/1.1 204 No\r\n\r\n"),
    (&["GET"], r"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n"),
    (&["GET"], r"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (&["HEAD"], r"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    (&["CONNECT"], r"HTTP/1.1 200 OK\r\n\r\nnot HTTP"),
    (&["CONNECT"], r"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno"),
];

/// Every case: the lists, and the rows of the table of refusals.
fn cases() -> Vec<Case> {
    let rows = |after: &str| {
        let lines = REFUSALS[REFUSALS.find(after).unwrap()..].lines();
        let rows = lines.skip_while(|line| !line.starts_with("|--")).skip(1);
        let rows = rows.take_while(|line| line.starts_with('|'));
        rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own = REQUESTS.iter().map(|sent| sent.to_string());
    let requests = own.chain(rows("To a server")).map(|sent| Case { asked: None, sent });
    let own = ANSWERS.iter().map(|(asked, sent)| (asked.to_vec(), sent.to_string()));
    let answers = own.chain(rows("To a client").into_iter().map(|sent| (vec!["GET"], sent)));
    requests.chain(answers.map(|(asked, sent)| Case { asked: Some(asked), sent })).collect()
}

/// What we hear, in the words of `peer.py`.
fn hear(case: &Case) -> String {
    let limits = Limits { body: Some(1 << 20), ..Limits::default() };
    let mut machine = match case.asked {
        None => Machine::server(limits),
        Some(_) => Machine::client(limits),
    };
    let mut out = Vec::new();
    for method in case.asked.iter().flatten() {
        let target = if *method == "CONNECT" { "a:1" } else { "/" };
        let mut head = RequestHead::new(method.parse().unwrap(), target).unwrap();
        head.set_header("Host", "a").unwrap();
        machine.send_request(&head, Length::Known(0), &mut out).unwrap();
        machine.finish(&mut out).unwrap();
    }
    let bytes = unescape(&case.sent);
    let mut input = &bytes[..];
    let mut told: Vec<String> = Vec::new();
    let mut body = 0;
    while let Some(event) = machine.feed(&mut input) {
        if let Event::Body(data) = event {
            body += data.len();
            continue;
        }
        if body > 0 {
            told.push(format!("{} bytes", std::mem::take(&mut body)));
        }
        told.push(match event {
            Event::Request(head) => format!("{} {}", head.method(), head.target()),
            Event::Informational(head) => format!("{}...", head.status().code()),
            Event::Response(head) => head.status().code().to_string(),
            Event::End(_) => "end".into(),
            Event::Upgraded => "upgraded".into(),
            Event::Refused(_) => "refused".into(),
            other => panic!("{other:?}"),
        });
        if told.last().is_some_and(|it| it == "end") && machine.owes_answer() {
            let is_connect = told.iter().any(|it| it.starts_with("CONNECT"));
            let status = if is_connect { Status::NOT_FOUND } else { Status::OK };
            machine.send_response(&ResponseHead::new(status), Length::Known(0), &mut out).unwrap();
            machine.finish(&mut out).unwrap();
        }
    }
    if body > 0 {
        told.push(format!("{body} bytes"));
    }
    told.join("; ")
}

/// The peers' versions, and what they hear in each case; or why nobody does.
fn peers(cases: &[Case]) -> Result<(Value, Vec<Value>), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/http_peers/peer.py");
    let mut python = Command::new("python3");
    let child = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("no python3: {error}"))?;
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let list: Vec<_> = cases
        .iter()
        .map(|case| json!({ "asked": case.asked, "bytes": hex(unescape(&case.sent)) }))
        .collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(json!(list).to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "peer.py: {}", output.status);
    let mut told: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    Ok((told.remove(0), told))
}

/// The bytes of a row: `\r \n \t \x00`, and `{text*count}`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut used = 1;
        match c {
            '\\' => {
                let kind = rest.as_bytes()[1];
                used = if kind == b'x' { 4 } else { 2 };
                bytes.push(match kind {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    _ => u8::from_str_radix(&rest[2..4], 16).unwrap(),
                });
            }
            // A brace without a count stands for itself.
            '{' if rest.split_once('}').is_some_and(|(inner, _)| inner.contains('*')) => {
                open.push(bytes.len());
            }
            '*' if !open.is_empty() => {
                let end = rest.find('}').unwrap();
                let once = bytes.split_off(open.pop().unwrap());
                bytes.extend(once.repeat(rest[1..end].parse().unwrap()));
                used = end + 1;
            }
            c => bytes.push(c as u8),
        }
        rest = &rest[used..];
    }
    bytes
}
