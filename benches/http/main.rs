//! What HTTP/1 costs in instructions: a head that is read, and a whole exchange; with the feature
//! `websocket` also an echo of 64 bytes in its frames.
//!
//!     cargo bench --features http --bench http                 time of each, a few seconds
//!     cargo bench --features http --bench http -- --quick      a smoke run
//!     valgrind --tool=callgrind BINARY --only wrk --times N    instructions: run with two N's, and
//!                                                              divide the difference by theirs
//!
//! BINARY is what `cargo bench --features http --bench http --no-run` names.

use ropewalk::http::h1::{Event, Length, Machine, ResponseHead};
use ropewalk::http::{Headers, InvalidHeader, Limits, Status};
use std::hint::black_box;
use std::mem;
use std::rc::Rc;
use std::time::Instant;

/// What wrk sends.
const WRK: &str = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

/// What a browser sends: 642 bytes.
const BROWSER: &str = "GET /assets/articles/2026/index.html?page=2&sort=date HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.com/assets/articles/\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; seen=123456\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-User: ?1\r\n\
    Priority: u=0, i\r\n\
    \r\n";

/// Does a request's work so many times.
type Work = fn(&str, u64);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // Without `--bench` and a number this is `cargo test --benches`: does it work at all?
    let usual = if has("--bench") && !has("--quick") { 1_000_000 } else { 1_000 };
    let times = value("--times").map_or(Ok(usual), |times| times.parse())?;
    let only = value("--only").map(String::as_str);

    let cases: &[(&str, &str, Work)] = &[
        ("wrk", WRK, heads),
        ("browser", BROWSER, heads),
        ("exchange", WRK, exchanges),
        ("browser-exchange", BROWSER, exchanges),
        #[cfg(feature = "websocket")]
        ("websocket", MESSAGE, echoes),
    ];
    for &(name, request, run) in cases {
        if only.is_none_or(|only| only == name) {
            let start = Instant::now();
            run(request, times);
            let each = start.elapsed().as_nanos() as f64 / times as f64;
            println!("{name:17} {:4} bytes {each:8.1} ns", request.len());
        }
    }
    Ok(())
}

/// Reads a head, each on a machine of its own, in memory that is used again.
fn heads(request: &str, times: u64) {
    let limits = Rc::new(Limits::default());
    let mut memory = Headers::new();
    for _ in 0..times {
        let mut machine = Machine::server(limits.clone());
        machine.recycle(mem::take(&mut memory));
        let mut input = black_box(request.as_bytes());
        let Some(Event::Request(head)) = machine.feed(&mut input) else { panic!("it is good") };
        memory = black_box(head).into_headers();
    }
}

/// Reads requests on one connection and answers each with 13 bytes.
fn exchanges(request: &str, times: u64) {
    let mut machine = Machine::server(Limits::default());
    let answer = answer().expect("its fields are good");
    let mut out = Vec::new();
    for _ in 0..times {
        let mut input = black_box(request.as_bytes());
        while let Some(event) = machine.feed(&mut input) {
            match event {
                Event::Request(head) => machine.recycle(black_box(head).into_headers()),
                Event::End(_) => {
                    let sent = machine
                        .send_response(&answer, Length::Known(13), &mut out)
                        .and_then(|()| machine.send_body("Hello, World!", &mut out))
                        .and_then(|()| machine.finish(&mut out));
                    sent.expect("it is its turn");
                }
                other => panic!("{other:?}"),
            }
        }
        black_box(&out);
        out.clear();
    }
}

/// 64 bytes of text.
#[cfg(feature = "websocket")]
const MESSAGE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Reads a client's frames and sends each back.
#[cfg(feature = "websocket")]
fn echoes(message: &str, times: u64) {
    use ropewalk::http::websocket::{Codec, Event, Limits};

    let mut client = Codec::client(Limits::default(), || 0x1234_5678);
    let mut frame = Vec::new();
    client.send_text(message, &mut frame).expect("it is open");
    let mut server = Codec::server(Limits::default());
    let (mut arrived, mut out) = (Vec::new(), Vec::new());
    for _ in 0..times {
        // It is unmasked where it lies.
        arrived.clone_from(black_box(&frame));
        let mut input = &mut arrived[..];
        while let Some(event) = server.feed(&mut input) {
            let Event::Text(piece) = event else { panic!("{event:?}") };
            server.send_binary(piece.data, &mut out).expect("it is open");
        }
        black_box(&out);
        out.clear();
    }
}

fn answer() -> Result<ResponseHead, InvalidHeader> {
    let mut head = ResponseHead::new(Status::OK);
    head.set_header("server", "ropewalk")?;
    head.set_header("date", "Sat, 28 Nov 2026 12:00:00 GMT")?;
    head.set_header("content-type", "text/plain")?;
    Ok(head)
}
