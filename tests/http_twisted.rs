//! The same site in Twisted and here: both are asked the same, and answer alike but for the rows that say so.
#![cfg(all(feature = "http", feature = "simulation"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::Result;
use ropewalk::http::{
    Error, Method, Redirect, Request, Resource, Response, Site, Status, Target, Tree, leaf,
};
use ropewalk::simulation::Simulation;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

#[path = "kit/peers.rs"]
mod peers;

/// What is asked, what of it Twisted answers otherwise, and why.
const REQUESTS: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /leaf HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /leaf/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /leaf/a/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /leaf/a%2Fb/c%20d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /inner/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /inner/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /inner/none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /old HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /later HTTP/1.0\r\n\r\n", ""),
    ("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("HEAD /leaf/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("HEAD /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /fails HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /cookie HTTP/1.1\r\nHost: a\r\nCookie: x=y; z=w\r\nConnection: close\r\n\r\n", ""),
    (
        "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 19\r\nConnection: close\r\n\r\na=1&b=2+3&a=%34&c=x",
        "",
    ),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", ""),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "",
    ),
    (
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\
         Connection: close\r\n\r\nhi",
        "",
    ),
    ("POST /created HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ""),
    ("GET /query?a=1&b=2&a=3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /query?a=x+y%20z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ""),
    ("GET /header HTTP/1.1\r\nHost: a\r\nx-y: value \r\nConnection: close\r\n\r\n", ""),
    ("GET / HTTP/1.0\r\n\r\n", ""),
    (
        "GET /leaf/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /leaf/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "",
    ),
    (
        "DELETE /leaf HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "a method it does not know is 501",
    ),
    (
        "GET /inner HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "a resource without render_GET is 405",
    ),
    (
        "GET /header HTTP/1.1\r\nHost: a\r\nX-Y: 1\r\nX-Y: 2\r\nConnection: close\r\n\r\n",
        "getHeader gives the last of its name",
    ),
    ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "a request without Host is served"),
    (
        "GET /leaf HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\nConnection: close\r\n\r\n",
        "folded lines are joined",
    ),
    ("GET / HTTP/1.1\r\nHost : a\r\nConnection: close\r\n\r\n", ""),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", ""),
    ("nonsense\r\n\r\n", ""),
];

fn get(answer: impl Fn(&Request) -> Result<Response> + 'static) -> impl Resource {
    only(Method::Get, answer)
}

fn only(method: Method, answer: impl Fn(&Request) -> Result<Response> + 'static) -> impl Resource {
    leaf(move |request: &Request| {
        let asked = request.method();
        match asked == method || (asked == Method::Head && method == Method::Get) {
            true => answer(request),
            false => Err(Error::from(Status::METHOD_NOT_ALLOWED).into()),
        }
    })
}

fn decoded(path: &str) -> String {
    let path = format!("/{path}");
    let target = Target::parse(Method::Get, &path).unwrap();
    target.segments().map(|it| it.unwrap().into_owned()).collect::<Vec<_>>().join("/")
}

fn form(text: &str) -> String {
    let text = format!("/?{text}");
    let target = Target::parse(Method::Get, &text).unwrap();
    let mut fields = std::collections::BTreeMap::<String, Vec<String>>::new();
    for (name, value) in target.pairs().map(|pair| pair.unwrap()) {
        fields.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    let fields = fields.into_iter().map(|(name, values)| format!("{name}={}", values.join(",")));
    fields.collect::<Vec<_>>().join("&")
}

fn site() -> Site {
    let root = Tree::new();
    root.put("", get(|_| Ok("index".into())));
    root.put("leaf", get(|request| Ok(decoded(request.rest()).into())));
    let inner = Tree::new();
    inner.put("", get(|_| Ok("inner".into())));
    inner.put("x", get(|_| Ok("x".into())));
    root.put("inner", inner);
    root.put("old", Redirect::new("/new").unwrap());
    root.put(
        "later",
        leaf(|request: &Request| {
            let later = request.clone();
            request.set_header("Content-Type", "text/plain; charset=utf-8")?;
            request.reactor().call_later(Duration::ZERO, move || {
                later.write("late");
                later.finish();
            });
            Ok(())
        }),
    );
    root.put("fails", get(|_| Err(std::io::Error::other("on purpose").into())));
    root.put(
        "cookie",
        get(|request| {
            let cookies = request.header("cookie").unwrap_or_default();
            let found = cookies.split("; ").find_map(|it| it.strip_prefix("x="));
            let answer = Response::from(found.unwrap_or("none").to_owned());
            Ok(answer.header("Set-Cookie", "a=b")?)
        }),
    );
    root.put("form", leaf(async |request: Request| Ok(form(&request.body().text().await?))));
    root.put("echo", leaf(async |request: Request| request.body().text().await));
    let query = |request: &Request| {
        let values = request.pairs().filter_map(|it| it.ok()).filter(|(name, _)| name == "a");
        Ok(values.map(|(_, value)| value.into_owned()).collect::<Vec<_>>().join(",").into())
    };
    root.put("query", get(query));
    root.put("header", get(|it| Ok(it.header("x-y").unwrap_or("none").to_owned().into())));
    let created = |_: &Request| {
        Ok(Response::from("made").with_status(Status::CREATED).header("Location", "/made")?)
    };
    root.put("created", only(Method::Post, created));
    root.put("large", get(|_| Ok("x".repeat(300_000).into())));
    Site::new(root)
}

fn ours() -> Vec<String> {
    let simulation = Simulation::new(1);
    simulation.allow_reports(|report| report.failure().to_string() == "on purpose");
    simulation.host("server").reactor().listen("0.0.0.0:80", site()).unwrap();
    let client = simulation.host("client").reactor();
    let mut answers = Vec::new();
    for (request, _) in REQUESTS {
        let opening = client.open("server:80");
        let got = simulation.run_until(async move {
            let mut stream = opening.await?;
            stream.write_all(request.as_bytes()).await?;
            let mut got = String::new();
            stream.read_to_string(&mut got).await?;
            Ok(got)
        });
        answers.push(got.unwrap());
    }
    answers
}

fn twisted() -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
    let asked: Vec<_> = REQUESTS.iter().map(|(request, _)| hex(request.as_bytes())).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http_twisted_site.py");
    let mut python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(asked.join("\n").as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let digits = |line: &str| {
        let bytes = (0..line.len() / 2).map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16));
        String::from_utf8_lossy(&bytes.map(|it| it.unwrap()).collect::<Vec<_>>()).into_owned()
    };
    String::from_utf8(output.stdout).unwrap().lines().map(digits).collect()
}

/// What counts of an answer: interim ones, status, some fields, and the body of one that is no error.
fn told(answer: &str) -> String {
    let mut told = String::new();
    let mut rest = answer;
    while let Some((head, body)) = rest.split_once("\r\n\r\n") {
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default().get(9..12).unwrap_or_default().to_owned();
        told += &status;
        let names = ["content-length", "transfer-encoding", "location", "set-cookie"];
        let mut fields: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .filter(|(name, _)| names.contains(&&name[..]))
            .collect();
        fields.sort();
        let is_error = *status >= *"300";
        let length =
            fields.iter().find(|it| it.0 == "content-length").map(|it| it.1.parse::<usize>());
        for (name, value) in fields.iter().filter(|it| !(is_error && it.0.starts_with('c'))) {
            told += &format!(" {name}={value}");
        }
        let length = match length {
            Some(length) => length.unwrap().min(body.len()),
            None if status.starts_with('1') => 0,
            None => body.len(),
        };
        if !is_error {
            told += &format!(" {:?}\n", &body[..length]);
        }
        rest = &body[length..];
    }
    told
}

#[test]
fn a_site_answers_as_its_twin_in_twisted_but_for_the_rows_that_say_so() {
    let ours = ours();
    assert!(ours.iter().all(|answer| answer.starts_with("HTTP/1.1 ")), "each has an answer");
    if !peers::python_has("twisted.web.server") {
        return;
    }
    let theirs = twisted();
    assert_eq!(theirs.len(), REQUESTS.len());
    let mut faults = Vec::new();
    for (at, (request, why)) in REQUESTS.iter().enumerate() {
        let (own, other) = (told(&ours[at]), told(&theirs[at]));
        if (own == other) != why.is_empty() {
            faults.push(format!("{request:?} ({why}): {own:.200} here, {other:.200} there"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
