// Bytes to a machine in pieces, and what it said, in a form that does not depend on the pieces.

use crate::http::h1::{Event, Length, Machine, RequestHead, ResponseHead};
use crate::http::{Headers, Limits, Method, Status};

/// A generator of numbers that is the same everywhere: splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// An event without its pieces: bodies are joined.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    Request(String, Vec<(String, Vec<u8>)>),
    Informational(u16),
    Response(u16, Vec<(String, Vec<u8>)>),
    Body(Vec<u8>),
    End(Vec<(String, Vec<u8>)>),
    Upgraded,
    Refused(String),
    Closed,
    /// What was left of the input.
    Left(Vec<u8>),
}

/// A server that answers each request at its end, as shortly as it can, and refuses what is refused.
pub(super) struct Server {
    pub(super) machine: Machine,
    pub(super) heard: Vec<Heard>,
    pub(super) said: Vec<u8>,
    /// Whether it answers.
    pub(super) answers: bool,
    /// Whether what it answers is CONNECT.
    connects: bool,
}

/// A client that awaits so many answers.
pub(super) struct Client {
    pub(super) machine: Machine,
    pub(super) heard: Vec<Heard>,
}

/// With a limit for bodies, which is off by default.
pub(super) fn limits() -> Limits {
    Limits { body: Some(1 << 20), ..Limits::default() }
}

fn fields(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

fn hear(heard: &mut Vec<Heard>, event: &Event<'_>) {
    let it = match event {
        Event::Request(head) => {
            Heard::Request(format!("{} {}", head.method(), head.target()), fields(head.headers()))
        }
        Event::Informational(head) => Heard::Informational(head.status().code()),
        Event::Response(head) => Heard::Response(head.status().code(), fields(head.headers())),
        Event::Body(data) => {
            if let Some(Heard::Body(before)) = heard.last_mut() {
                before.extend_from_slice(data);
                return;
            }
            Heard::Body(data.to_vec())
        }
        Event::End(trailers) => Heard::End(fields(trailers)),
        Event::Upgraded => Heard::Upgraded,
        Event::Refused(refusal) => Heard::Refused(refusal.to_string()),
        Event::Closed => Heard::Closed,
    };
    heard.push(it);
}

impl Server {
    pub(super) fn new() -> Server {
        let machine = Machine::server(limits());
        Server { machine, heard: Vec::new(), said: Vec::new(), answers: true, connects: false }
    }

    /// Feeds pieces one after the other, keeps what is left of each, and ends.
    pub(super) fn run<'a>(mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Server {
        let mut kept = Vec::new();
        for piece in pieces {
            kept.extend_from_slice(piece);
            let mut input = &kept[..];
            self.feed(&mut input);
            kept = input.to_vec();
        }
        if !kept.is_empty() {
            self.heard.push(Heard::Left(kept));
        }
        while let Some(event) = self.machine.end() {
            hear(&mut self.heard, &event);
            self.react(&event);
        }
        self
    }

    pub(super) fn feed(&mut self, input: &mut &[u8]) {
        while let Some(event) = self.machine.feed(input) {
            hear(&mut self.heard, &event);
            self.react(&event);
        }
    }

    fn react(&mut self, event: &Event<'_>) {
        match event {
            Event::Request(head) => self.connects = head.method() == Method::Connect,
            Event::End(_) if self.answers && self.machine.owes_answer() => {
                let head = ResponseHead::new(Status::OK);
                self.machine.send_response(&head, Length::Known(2), &mut self.said).unwrap();
                if self.connects {
                    return;
                }
                self.machine.send_body("ok", &mut self.said).unwrap();
                self.machine.finish(&mut self.said).unwrap();
            }
            Event::Refused(refusal) => {
                self.machine.refuse(refusal, &Headers::new(), &mut self.said);
            }
            _ => {}
        }
    }
}

impl Client {
    /// Has sent requests with these methods.
    pub(super) fn asking(methods: &[Method]) -> Client {
        let mut machine = Machine::client(limits());
        for &method in methods {
            let target = if method == Method::Connect { "a:1" } else { "/" };
            let mut head = RequestHead::new(method, target).unwrap();
            head.set_header("Host", "a").unwrap();
            let mut out = Vec::new();
            machine.send_request(&head, Length::Known(0), &mut out).unwrap();
            machine.finish(&mut out).unwrap();
        }
        Client { machine, heard: Vec::new() }
    }

    pub(super) fn run<'a>(mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Client {
        let mut kept = Vec::new();
        for piece in pieces {
            kept.extend_from_slice(piece);
            let mut input = &kept[..];
            while let Some(event) = self.machine.feed(&mut input) {
                hear(&mut self.heard, &event);
            }
            kept = input.to_vec();
        }
        if !kept.is_empty() {
            self.heard.push(Heard::Left(kept));
        }
        while let Some(event) = self.machine.end() {
            hear(&mut self.heard, &event);
        }
        self
    }
}

/// Calls with the bytes whole, one by one, in every two pieces, and in many random cuts. Of long ones
/// the two pieces are cut at the ends and at random places.
pub(super) fn in_every_split(bytes: &[u8], mut look: impl FnMut(&[&[u8]])) {
    look(&[bytes]);
    look(&bytes.chunks(1).collect::<Vec<_>>());
    let mut numbers = Numbers(bytes.len() as u64);
    let is_long = bytes.len() > 2_000;
    for cut in 0..=bytes.len() {
        let is_near_an_end = cut < 150 || bytes.len() - cut < 150;
        if is_long && !is_near_an_end && numbers.below(bytes.len()) > 100 {
            continue;
        }
        let (first, second) = bytes.split_at(cut);
        look(&[first, second]);
    }
    for _ in 0..20 {
        let mut cuts: Vec<_> =
            (0..numbers.below(9) + 2).map(|_| numbers.below(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        look(&pieces);
    }
}

/// The bytes that a row of `refusals.md` stands for: `\r \n \t \x00`, and `{text*count}`.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut used = c.len_utf8();
        match c {
            '\\' => {
                let kind = rest.as_bytes()[1];
                used = if kind == b'x' { 4 } else { 2 };
                bytes.push(match kind {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'x' => u8::from_str_radix(&rest[2..4], 16).unwrap(),
                    other => panic!("\\{} in {text}", char::from(other)),
                });
            }
            '{' => open.push(bytes.len()),
            '*' if !open.is_empty() => {
                let end = rest.find('}').unwrap();
                let count: usize = rest[1..end].parse().unwrap();
                let once = bytes.split_off(open.pop().unwrap());
                bytes.extend(once.repeat(count));
                used = end + 1;
            }
            c => bytes.extend(c.to_string().into_bytes()),
        }
        rest = &rest[used..];
    }
    bytes
}
