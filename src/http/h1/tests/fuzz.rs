// Bytes that nobody meant: mutated messages and noise, to both roles, in pieces.
//
// `ROPEWALK_FUZZ` says how many inputs; the default is a matter of seconds. A failure names its seed,
// which `ROPEWALK_FUZZ_SEED` runs alone.

use super::STEPS;
use super::corpora::{ANSWERS, REQUESTS};
use super::wire::{Client, Heard, Numbers, Server};
use crate::http::Method;

/// What mutations put in: what means something somewhere.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x7f",
    b"\xff",
    b",",
    b";",
    b"#",
    b"0",
    b"1",
    b"f",
    b"ffffffffffffffff",
    b"7fffffffffffffff",
    b"99999999999999999999",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"Host: a\r\n",
    b"Host",
    b"Content-Length: 1\r\n",
    b"Content-Length",
    b"0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"chunked",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: x\r\n",
    b"GET / HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 101 X\r\n",
    b"X:",
    b"://",
    b"%",
    b"*",
    b"/",
    b"5\r\nHello\r\n",
    b"Trailer: x\r\n",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.replace('_', "").parse().unwrap())
}

fn input(numbers: &mut Numbers) -> Vec<u8> {
    if numbers.below(20) == 0 {
        return (0..numbers.below(200)).map(|_| numbers.next() as u8).collect();
    }
    let message = |numbers: &mut Numbers| match numbers.below(2) {
        0 => numbers.pick(REQUESTS).0.as_bytes(),
        _ => numbers.pick(ANSWERS).1.as_bytes(),
    };
    let mut bytes = message(numbers).to_vec();
    for _ in 0..numbers.below(4) {
        bytes.extend_from_slice(message(numbers));
    }
    for _ in 0..numbers.below(6) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + numbers.below(12)).min(bytes.len());
        match numbers.below(6) {
            0 if at < bytes.len() => bytes[at] = numbers.next() as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, numbers.pick(PIECES).iter().copied())),
        }
    }
    bytes
}

fn pieces<'a>(numbers: &mut Numbers, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let most = *numbers.pick(&[1, 3, 20, 200]);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, next) = rest.split_at((numbers.below(most) + 1).min(rest.len()));
        pieces.push(piece);
        rest = next;
    }
    pieces
}

fn steps<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = STEPS.get();
    let made = work();
    (made, STEPS.get() - before)
}

/// A machine of each role hears the same however the bytes are cut, and looks at each a few times.
fn check(seed: u64) {
    let mut numbers = Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let bytes = input(&mut numbers);
    let cut = pieces(&mut numbers, &bytes);
    let most = 20 * (bytes.len() as u64 + 10);
    let told = || format!("seed {seed}: \"{}\" in {}", bytes.escape_ascii(), cut.len());

    let (whole, took) = steps(|| Server::new().run([&bytes[..]]));
    assert!(took <= most, "{took} steps: {}", told());
    let (split, took) = steps(|| Server::new().run(cut.iter().copied()));
    assert!(took <= most, "{took} steps: {}", told());
    assert_eq!(split.heard, whole.heard, "{}", told());
    assert_eq!(split.said, whole.said, "{}", told());
    let ends = |heard: &Heard| matches!(heard, Heard::Refused(_) | Heard::Closed);
    assert!(whole.heard.iter().filter(|it| ends(it)).count() <= 1, "{}", told());

    let asked = [Method::Get, Method::Head, Method::Post, Method::Connect];
    let asked = &asked[..numbers.below(4) + 1];
    let (whole, took) = steps(|| Client::asking(asked).run([&bytes[..]]));
    assert!(took <= most, "{took} steps: {}", told());
    let (split, took) = steps(|| Client::asking(asked).run(cut.iter().copied()));
    assert!(took <= most, "{took} steps: {}", told());
    assert_eq!(split.heard, whole.heard, "{}", told());
}

#[test]
fn no_input_makes_a_panic_or_depends_on_how_it_is_cut() {
    if let Some(seed) = number("ROPEWALK_FUZZ_SEED") {
        return check(seed);
    }
    for seed in 0..number("ROPEWALK_FUZZ").unwrap_or(20_000) {
        check(seed);
    }
}

#[test]
fn twice_the_bytes_take_twice_the_steps_however_they_come() {
    let head = |filling: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{filling}\r\n\r\n");
    let chunks = |count| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        head.to_owned() + &"1;a=b\r\nx\r\n".repeat(count) + "0\r\n\r\n"
    };
    let kinds: [&dyn Fn(usize) -> String; 8] = [
        &|n| head(&format!("X: {}", "a".repeat(n * 1000))),
        &|n| head(&format!("X: {}b", " ".repeat(n * 1000))),
        &|n| head(&format!("X:{}", "\t".repeat(n * 1000))),
        &|n| head(&format!("{}: b", "a".repeat(n * 1000))),
        &|n| head(&"X: a\r\n".repeat(n * 12).to_string()),
        &|n| head(&format!("X: a{}", " ".repeat(n * 1000))),
        &|n| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(n * 1000)),
        &|n| chunks(n * 100),
    ];
    for (kind, make) in kinds.iter().enumerate() {
        for size in [1, 3, 7, 100_000] {
            let run = |n| {
                let bytes = make(n).into_bytes();
                steps(|| Server::new().run(bytes.chunks(size))).1
            };
            let (once, eight) = (run(1), run(8));
            assert!(eight <= once * 9, "kind {kind} in pieces of {size}: {once}, then {eight}");
        }
    }
}
