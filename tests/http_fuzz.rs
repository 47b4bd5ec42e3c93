//! Bytes that nobody meant, to a whole connection of a site, in pieces: no panic, no report, and nothing but
//! answers comes out.
//!
//! `ROPEWALK_FUZZ` says how many inputs; the default is a matter of a second.
#![cfg(all(feature = "http", feature = "simulation"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use ropewalk::http::{IntoReply, Limits, Reply, Request, Routes, Site, Status};
use ropewalk::simulation::RecordingTransport;
use ropewalk::{Factory, Protocol, Result, on_report};
use std::time::Duration;

const MESSAGES: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nGET / HTTP/1",
    "PUT /pieces HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    "GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /notes/a%2Fb?c=d HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n",
    "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nother bytes",
    "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\nother bytes",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
];

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\xff",
    b",",
    b";",
    b"#",
    b"0",
    b"ffffffffffffffff",
    b"99999999999999999999",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"Host: a\r\n",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"chunked",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: x\r\n",
    b"%",
    b"*",
    b"/",
    b"GET / HTTP/1.1\r\n",
    b"5\r\nHello\r\n",
    b"0\r\n\r\n",
];

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

struct Echo;
impl Protocol for Echo {
    fn data_received(&mut self, transport: &ropewalk::Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn site() -> Site {
    let mut routes = Routes::new();
    routes.any("/", |_: &Request| Ok("hello")).unwrap();
    routes.any("/ignore", |_: &Request| Ok(Status::FORBIDDEN)).unwrap();
    routes
        .any("/notes/{name}", |it: &Request| Ok(it.param("name").map(|it| it.into_owned())))
        .unwrap();
    routes.any("/echo", async |request: Request| request.body().read_all(1000).await).unwrap();
    let pieces = async |request: Request| -> Result<Reply> {
        let mut body = request.body();
        while let Some(chunk) = body.chunk().await? {
            request.write(chunk).await?;
        }
        request.write("pieces").await?;
        request.finish();
        Ok(Reply::Later)
    };
    routes.any("/pieces", pieces).unwrap();
    let later = |request: &Request| {
        let later = request.clone();
        request.reactor().call_later(Duration::ZERO, move || later.respond("later"));
        Ok(())
    };
    routes.any("/later", later).unwrap();
    let upgrade = |it: &Request| {
        Ok(it.upgrade(Echo).map_or(Status::BAD_REQUEST.into_reply(), |()| Reply::Later))
    };
    routes.any("/upgrade", upgrade).unwrap();
    let small = Limits {
        request_head: 300,
        fields: 6,
        trailers: 60,
        read_ahead: 100,
        body_ahead: 50,
        ..Limits::default()
    };
    Site::new(routes).limits(small)
}

fn input(numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..numbers.below(4) + 1 {
        bytes.extend_from_slice(MESSAGES[numbers.below(MESSAGES.len())].as_bytes());
    }
    for _ in 0..numbers.below(5) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + numbers.below(12)).min(bytes.len());
        match numbers.below(5) {
            0 if at < bytes.len() => bytes[at] = numbers.next() as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            3 if at > 0 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, PIECES[numbers.below(PIECES.len())].iter().copied())),
        }
    }
    bytes
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().unwrap())
}

#[test]
fn whatever_bytes_come_answers_go_out_and_nothing_panics() {
    on_report(|report| panic!("{report}"));
    let (mut site, mut recording) = (site(), RecordingTransport::new());
    let first = number("ROPEWALK_FUZZ_SEED");
    let seeds = first.map_or(0..number("ROPEWALK_FUZZ").unwrap_or(3_000), |seed| seed..seed + 1);
    for seed in seeds {
        if seed % 1000 == 0 || first.is_some() {
            recording = RecordingTransport::new();
        }
        let mut numbers = Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let bytes = input(&mut numbers);
        let transport = recording.transport();
        let mut protocol = site.build_protocol(&transport.peer()).unwrap();
        protocol.connection_made(&transport);
        let most = [1, 3, 20, 400][numbers.below(4)];
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, next) = rest.split_at((numbers.below(most) + 1).min(rest.len()));
            protocol.data_received(&transport, piece).unwrap();
            if numbers.below(4) == 0 {
                recording.simulation().run_for(Duration::from_millis(1)).unwrap();
            }
            rest = next;
        }
        if numbers.below(2) == 0 {
            protocol.read_closed(&transport);
        }
        recording.simulation().run_for(Duration::from_millis(1)).unwrap();
        let said = recording.take();
        let told = || format!("seed {seed}: \"{}\"", bytes.escape_ascii());
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 "), "{}", told());
        protocol.connection_lost(&ropewalk::transport::ConnectionDone.into());
        drop(protocol);
        assert_eq!(site.connections(), 0, "{}", told());
        if !transport.is_connected() {
            recording = RecordingTransport::new();
        }
    }
}
