//! A million descriptions that nobody would write: each is parsed or pointed into, and none panics.

use super::{ClientEndpoint, EndpointError, ServerEndpoint};
use std::fmt::Display;
use std::str::FromStr;

/// What descriptions are made of, and what they are not.
#[rustfmt::skip]
const PIECES: [&str; 60] = [
    "tcp", "TCP6", "fd", "systemd", "haproxy", "unix", "tls", "ssl", "stdio", "process",
    ":", ":", ":", ":", "=", "=", "\\", "\\", "\\:", "\\\\\\:", "0", "8080", "65536", "-1", "1e9", "443",
    "127.0.0.1", "::1", "localhost", "port", "host", "interface", "backlog", "timeout", "domain", "INET",
    "index", "name", "bindAddress", "path", "mode", "lockfile", "endpoint", "endpoint=", "certificate",
    "privateKey", "trustRoots", "certKey", "caCertsDir", "hostname", "sslmethod", "extraCertChain",
    "dhParameters", "/bin/cat", "é", "\u{0}", "\n", " ", "\u{200b}", "例",
];

/// So many of them, from the first on, are types.
const TYPES: usize = 10;

/// What users write.
const GOOD: [&str; 24] = [
    "tcp:8080:interface=127.0.0.1:backlog=7",
    r"tcp6:80:7:\:\:1",
    "tcp:example.org:80:timeout=2.5:bindAddress=127.0.0.2",
    "tcp:host=example.org:port=80",
    r"tcp:\:\:1:80",
    "tcp:80:host=example.org",
    "unix:/run/s:mode=660:backlog=7:lockfile=0",
    "unix:address=@bus",
    "unix:path=/run/s:timeout=9:lockfile=1",
    "stdio:",
    "fd:7",
    "systemd:domain=INET6:index=1",
    "systemd:name=http",
    "haproxy:tcp:80:backlog=7",
    r"haproxy:unix:/a\:b",
    "tls:/etc/certs:8443:7:127.0.0.1",
    r"tls:/etc/certs:endpoint=haproxy\:unix\:/a\\\:b",
    "ssl:443:k.pem:c.pem:TLS_METHOD:10.0.0.1:7:more.pem",
    "tls:example.org:443:trustRoots=r:privateKey=k.pem:certificate=c.pem",
    r"tls:example.org:443:endpoint=tls\:h\:1\:endpoint\=unix\\\:/s",
    "ssl:10.0.0.1:443:hostname=h:caCertsDir=r:certKey=c.pem",
    r"process:/bin/x:-a::b\:c:d\=e",
    "PROCESS:sh:-c:cat; exit 7",
    "tls:bücher.example:443",
];

const TEXTS: usize = 1_000_000;

/// Small, seeded, and good enough to choose pieces.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn piece(&mut self) -> &'static str {
        PIECES[self.below(PIECES.len())]
    }

    /// A border of characters.
    fn place(&mut self, text: &str) -> usize {
        let mut place = self.below(text.len() + 1);
        while !text.is_char_boundary(place) {
            place -= 1;
        }
        place
    }

    fn mutate(&mut self, text: &mut String) {
        let (one, other) = (self.place(text), self.place(text));
        let range = one.min(other)..one.max(other);
        match self.below(5) {
            0 => text.insert_str(one, self.piece()),
            1 => text.replace_range(range, ""),
            2 => text.replace_range(range, self.piece()),
            3 => text.insert_str(range.end, &text.clone()[range]),
            _ => drop(text.pop()),
        }
    }
}

#[derive(Default)]
struct Found {
    good: usize,
    bad: usize,
}

impl Found {
    /// Bad ones point into the text, on a border; good ones are shown as they were written.
    fn check<E: FromStr<Err = EndpointError> + Display>(&mut self, text: &str, is_shown: bool) {
        match text.parse::<E>() {
            Ok(endpoint) => {
                self.good += 1;
                assert!(!is_shown || endpoint.to_string() == text);
            }
            Err(bad) => {
                self.bad += 1;
                assert!(text.is_char_boundary(bad.position()), "{text:?}");
                assert!(!is_shown || bad.to_string().contains(bad.problem()));
            }
        }
    }

    /// As a server's and as a client's, in turn.
    fn take(&mut self, number: usize, text: &str) {
        // Showing takes longer than parsing.
        let is_shown = number % 16 < 2;
        match number.is_multiple_of(2) {
            true => self.check::<ServerEndpoint>(text, is_shown),
            false => self.check::<ClientEndpoint>(text, is_shown),
        }
    }
}

#[test]
fn a_million_descriptions_are_parsed_or_pointed_into_without_a_panic() {
    let halves = [composed as fn() -> Found, mutated];
    let [composed, mutated] = halves.map(std::thread::spawn).map(|half| half.join().unwrap());
    for (what, Found { good, bad }) in [("composed", composed), ("mutated", mutated)] {
        println!("{} {what} texts: {good} good, {bad} bad", good + bad);
        assert_eq!(good + bad, TEXTS / 2);
        assert!(good > TEXTS / 100 && bad > TEXTS / 100, "they no longer fit the grammar");
    }
}

fn composed() -> Found {
    let (mut dice, mut found, mut text) = (Dice(0x5eed_cafe), Found::default(), String::new());
    for number in 0..TEXTS / 2 {
        text.clear();
        if dice.below(4) > 0 {
            text.push_str(PIECES[dice.below(TYPES)]);
            text.push(':');
        }
        (0..dice.below(7)).for_each(|_| text.push_str(dice.piece()));
        found.take(number, &text);
    }
    found
}

fn mutated() -> Found {
    let (mut dice, mut found, mut text) = (Dice(0xbad_5eed), Found::default(), String::new());
    for number in 0..TEXTS / 2 {
        text.clear();
        text.push_str(GOOD[dice.below(GOOD.len())]);
        (0..=dice.below(3)).for_each(|_| dice.mutate(&mut text));
        found.take(number, &text);
    }
    found
}

#[test]
fn descriptions_within_descriptions_find_no_end_of_the_stack() {
    let long = 1_000_000;
    for text in ["haproxy:", "tls:", "tls:h:endpoint=", "\\:", "=", "endpoint="] {
        let text = text.repeat(long / text.len());
        assert!(text.parse::<ServerEndpoint>().is_err());
        assert!(text.parse::<ClientEndpoint>().is_err());
    }
    // Each level doubles the backslashes: a text of a million bytes holds few.
    let (mut server, mut client) = ("tcp:1".to_owned(), "tcp:h:1".to_owned());
    while client.len() < long {
        server = format!("tls:c:endpoint={}", super::quote(&server));
        client = format!("tls:h:1:endpoint={}", super::quote(&client));
    }
    assert_eq!(server.parse::<ServerEndpoint>().is_ok(), cfg!(feature = "tls"));
    assert_eq!(client.parse::<ClientEndpoint>().is_ok(), cfg!(feature = "tls"));
}
