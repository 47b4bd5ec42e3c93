//! The server of HTTP on the kernel's sockets, with clients that others wrote: what is missing here is
//! looked for, and said.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use ropewalk::http::{Error, Limits, Outcome, Request, Response, Site, Status, leaf};
use ropewalk::{Port, Reactor};
use std::cell::RefCell;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

#[path = "kit/peers.rs"]
mod peers;

const BAD_LENGTH: &str = "Content-Length is not a number";
const BOTH: &str = "both Content-Length and Transfer-Encoding";
const UPLOAD: usize = 20 << 20;

/// What does not happen within this time will not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a client while the site is served.
fn run(reactor: &Reactor, command: &mut Command) -> Output {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "in vain: {command:?}");
        reactor.turn(Some(Duration::from_millis(5))).unwrap();
    }
    child.wait_with_output().unwrap()
}

fn serve(site: Site) -> (Reactor, Port, String) {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen("127.0.0.1:0", site).unwrap();
    let url = format!("http://{}", port.host());
    (reactor, port, url)
}

fn refusing() -> Site {
    Site::new(leaf(|_: &Request| {
        Err::<(), _>(Error::new(Status::CONTENT_TOO_LARGE, "no more than a postcard").into())
    }))
}

/// How often each is tried; a hundred times before a release.
fn times() -> usize {
    std::env::var("ROPEWALK_TIMES").ok().and_then(|it| it.parse().ok()).unwrap_or(3)
}

fn upload_file() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("ropewalk-upload-{}", std::process::id()));
    std::fs::write(&path, vec![b'x'; UPLOAD]).unwrap();
    path
}

#[test]
fn curl_reads_the_413_that_comes_while_it_sends_20_megabytes() {
    let is_there = Command::new("curl").arg("-V").stdout(Stdio::null()).status();
    if !peers::noted("curl", is_there.is_ok_and(|status| status.success())) {
        return;
    }
    let (reactor, _port, url) = serve(refusing());
    let file = upload_file();
    for at in 0..times() {
        let expect = if at % 2 == 0 { "Expect:" } else { "Expect: 100-continue" };
        let mut curl = Command::new("curl");
        curl.args(["-s", "-S", "-i", "-H", expect, "--data-binary"]);
        curl.arg(format!("@{}", file.display())).arg(&url);
        let output = run(&reactor, &mut curl);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(text.starts_with("HTTP/1.1 413 ") && text.ends_with("a postcard\n"), "{text}");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn python_reads_the_413_after_it_has_sent_20_megabytes() {
    const PROGRAM: &str = "
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1])
connection.request('POST', '/', b'x' * int(sys.argv[2]))
response = connection.getresponse()
print(response.status, response.read().decode())
";
    if !peers::python_has("http.client") {
        return;
    }
    let (reactor, port, _) = serve(refusing());
    for _ in 0..times() {
        let mut python = Command::new("python3");
        python.args(["-c", PROGRAM, &port.host().to_string(), &UPLOAD.to_string()]);
        let output = run(&reactor, &mut python);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, b"413 no more than a postcard\n\n");
    }
}

/// Whose offset depends on curl's own fields.
fn is_refusal(expected: &str) -> bool {
    expected == BAD_LENGTH || expected == BOTH
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of what is asked and answered")]
fn what_curl_asks_in_its_ways_is_answered_as_it_should_be() {
    let is_there = Command::new("curl").arg("-V").stdout(Stdio::null()).status();
    if !peers::noted("curl", is_there.is_ok_and(|status| status.success())) {
        return;
    }
    let site = Site::new(leaf(async |request: Request| {
        let body = request.body().text().await?;
        let (method, target) = (request.method(), request.target().as_str().to_owned());
        Ok(format!("{method} {target} {} {body}", request.version()))
    }));
    let (reactor, _port, url) =
        serve(site.limits(Limits { whole_body: 3 << 20, ..Limits::default() }));
    let large = "x".repeat(2 << 20);
    let file = std::env::temp_dir().join(format!("ropewalk-curl-{}", std::process::id()));
    std::fs::write(&file, &large).unwrap();
    let upload = file.display().to_string();
    let cases: &[(&[&str], &str, &str)] = &[
        (&[], "/", "GET / HTTP/1.1 "),
        (&["-0"], "/", "GET / HTTP/1.0 "),
        (&["-0", "-H", "Connection: keep-alive"], "/", "GET / HTTP/1.0 "),
        (&["-X", "OPTIONS"], "/a", "OPTIONS /a HTTP/1.1 "),
        (&["-X", "PURGE"], "/a", "PURGE /a HTTP/1.1 "),
        (&["-d", "a=b"], "/form", "POST /form HTTP/1.1 a=b"),
        (&["-d", "a", "-H", "Transfer-Encoding: chunked"], "/", "POST / HTTP/1.1 a"),
        (&["-d", "a", "-H", "Expect: 100-continue"], "/", "POST / HTTP/1.1 a"),
        (&["-X", "PUT", "-d", "x"], "/p", "PUT /p HTTP/1.1 x"),
        (&["-X", "DELETE"], "/p", "DELETE /p HTTP/1.1 "),
        (&["-H", "Host: other.example"], "/h", "GET /h HTTP/1.1 "),
        (&["--path-as-is"], "/a/../b/./c", "GET /a/../b/./c HTTP/1.1 "),
        (&["-H", "X-Empty;"], "/e", "GET /e HTTP/1.1 "),
        (&["--compressed"], "/z", "GET /z HTTP/1.1 "),
        (&["-A", "agent", "-e", "http://a/"], "/r", "GET /r HTTP/1.1 "),
        (&["-u", "user:secret"], "/u", "GET /u HTTP/1.1 "),
        (&["-b", "a=b; c=d"], "/c", "GET /c HTTP/1.1 "),
        (&["--http1.1", "--raw"], "/raw", "GET /raw HTTP/1.1 "),
        (&["--tcp-nodelay", "--no-keepalive"], "/k", "GET /k HTTP/1.1 "),
        (&["--request-target", "*", "-X", "OPTIONS"], "/", ""),
        (&["--http2"], "/up", "GET /up HTTP/1.1 "),
        (&["-X", "PATCH", "-d", "{}"], "/j", "PATCH /j HTTP/1.1 {}"),
        (&["-H", "Content-Type: application/json", "-d", "{}"], "/j", "POST /j HTTP/1.1 {}"),
        (&["--data-binary", "a\nb"], "/b", "POST /b HTTP/1.1 a\nb"),
        (&["--data-urlencode", "a=b&c"], "/b", "POST /b HTTP/1.1 a=b%26c"),
        (&["-d", "", "-X", "POST"], "/0", "POST /0 HTTP/1.1 "),
        (&["-X", "POST"], "/0", "POST /0 HTTP/1.1 "),
        (&["-r", "0-9"], "/range", "GET /range HTTP/1.1 "),
        (&["-z", "Sat, 28 Nov 2026 16:34:03 GMT"], "/since", "GET /since HTTP/1.1 "),
        (&["-H", "TE: trailers"], "/te", "GET /te HTTP/1.1 "),
        (&["-H", "Connection: close"], "/close", "GET /close HTTP/1.1 "),
        (&["-H", "Connection: x, close, y"], "/close", "GET /close HTTP/1.1 "),
        (&["-H", "Accept:", "-H", "User-Agent:"], "/bare", "GET /bare HTTP/1.1 "),
        (&["-H", "X: \t tab \t"], "/tab", "GET /tab HTTP/1.1 "),
        (&["-H", "Host: a:80"], "/port", "GET /port HTTP/1.1 "),
        (&["-H", "Host: [::1]:80"], "/six", "GET /six HTTP/1.1 "),
        (&["-H", "Host: a b"], "/bad", "Host is not a host (byte 25)\n"),
        (&["-H", "Host: a", "-H", "Host: b"], "/bad", "GET /bad HTTP/1.1 "),
        (&["-H", "Content-Length: 1x", "-X", "POST"], "/bad", BAD_LENGTH),
        (
            &["-H", "Content-Length: 1", "-H", "Transfer-Encoding: chunked", "-X", "POST"],
            "/x",
            BOTH,
        ),
        (&["-H", "Transfer-Encoding: gzip", "-X", "POST"], "/x", "unknown transfer coding\n"),
        (&["-H", "Expect: the-unexpected", "-d", "x"], "/x", "unknown expectation\n"),
    ];
    let mut others = Vec::new();
    for (options, path, expected) in cases {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-S"]).args(*options).arg(format!("{url}{path}"));
        let output = run(&reactor, &mut curl);
        let got = String::from_utf8_lossy(&output.stdout);
        let is_as_expected =
            got == *expected || (is_refusal(expected) && got.starts_with(expected));
        if !output.status.success() || !is_as_expected {
            others.push(format!("{options:?} {path}: {output:?}"));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
    // Into a file: nobody reads a pipe while it runs.
    let back = file.with_extension("back");
    for options in [&["-T"][..], &["-H", "Transfer-Encoding: chunked", "-T"], &["-0", "-T"]] {
        let mut curl = Command::new("curl");
        curl.arg("-s").arg("-o").arg(&back).args(options).arg(&upload).arg(format!("{url}/file"));
        run(&reactor, &mut curl);
        assert!(std::fs::read(&back).unwrap().ends_with(large.as_bytes()), "{options:?}");
    }
    std::fs::remove_file(back).unwrap();
    // One connection for all of them, and then one by one.
    let mut curl = Command::new("curl");
    let both = format!("{url}/[1-20]");
    curl.args(["-s", "-S", "-w", " %{num_connects}\n", &both]);
    let output = run(&reactor, &mut curl);
    let connects: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(connects.concat(), "10000000000000000000");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_peer_that_hangs_up_before_its_answer_is_recorded_as_abandoned() {
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let notes = outcomes.clone();
    let site = Site::new(leaf(async |_: Request| {
        std::future::pending::<()>().await;
        Ok(Response::new(Status::OK))
    }))
    .on_exchange(move |record| notes.borrow_mut().push(record.outcome()));
    let (reactor, port, _) = serve(site.clone());
    let at = port.host().socket_addr().unwrap();
    let mut peer = std::net::TcpStream::connect(at).unwrap();
    std::io::Write::write_all(&mut peer, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    while site.connections() == 0 {
        reactor.turn(Some(Duration::from_millis(5))).unwrap();
    }
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    while outcomes.borrow().is_empty() {
        reactor.turn(Some(Duration::from_millis(5))).unwrap();
    }
    assert_eq!(outcomes.take(), [Outcome::Abandoned]);
}
