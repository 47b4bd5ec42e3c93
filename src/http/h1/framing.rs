// How long a body is and whether the connection goes on: the table of RFC 9112, 6.3, and what we
// refuse of it.
//
// # Theory
// Two ends that do not agree where a message ends read one's body as the other's next request. So
// whatever can be read in two ways is refused instead of being read in the better one:
//
// | fields | RFC 9112 | here |
// |---|---|---|
// | Transfer-Encoding and Content-Length | the first wins | refused |
// | two Content-Lengths, equal | one of them | refused |
// | Transfer-Encoding that is not `chunked` alone | by what comes last | refused |
// | Transfer-Encoding in HTTP/1.0 | faulty framing | refused |
// | none of both, request | no body | no body |
// | none of both, answer | until the connection ends | the same |
// | any, answer to HEAD, 1xx, 204, 304 | no body | the same |
// | any, 2xx to CONNECT, 101 | no HTTP any more | the same |
//
// The parser marks the fields whose names may be one of these; only they are looked at.

use super::refusal::{Reason, Refusal};
use crate::http::block::{Block, Field, Span};
use crate::http::syntax::{elements, is_authority, split_port};
use crate::http::version::Version;

/// How the body of an incoming message is delimited.
///
/// ```
/// use ropewalk::http::Limits;
/// use ropewalk::http::h1::{Event, Framing, Machine};
///
/// let mut machine = Machine::server(Limits::default());
/// let mut input = &b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"[..];
/// let Some(Event::Request(head)) = machine.feed(&mut input) else { unreachable!() };
/// assert_eq!(head.framing(), Framing::Length(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes; 0 where there is no body.
    Length(u64),
    /// In chunks, the last of which is empty.
    Chunked,
    /// Until the connection ends: whether it is whole, nobody knows.
    UntilClose,
}

impl Framing {
    /// How long the body is, if that is known.
    pub(crate) fn length(self) -> Option<u64> {
        match self {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        }
    }
}

/// Fields that frame, or may.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marked {
    /// The first of them, if it is a Host in the usual case; most requests have no other.
    host: Option<Span>,
    /// The others by their place; of those behind the 63rd, all or none.
    places: u64,
}

/// By the first letter of a name, how long those are that frame: a bit for each length.
static LENGTHS: [u32; 32] = {
    let mut lengths = [0; 32];
    let names = ["host", "expect", "upgrade", "connection", "content-length", "transfer-encoding"];
    let mut at = 0;
    while at < names.len() {
        lengths[(names[at].as_bytes()[0] & 0x1f) as usize] |= 1 << names[at].len();
        at += 1;
    }
    lengths
};

impl Marked {
    const REST: usize = 63;

    /// Marks a field if its name may be one that frames.
    #[inline]
    pub(super) fn mark(&mut self, place: usize, name: &[u8], value: Span) {
        // Length and first letter leave few others.
        let lengths = LENGTHS[usize::from(name.first().copied().unwrap_or(0) & 0x1f)];
        if name.len() >= 32 || lengths >> name.len() & 1 == 0 {
            return;
        }
        if name == b"Host" && self.places == 0 && self.host.is_none() {
            self.host = Some(value);
            return;
        }
        self.places |= 1 << place.min(Marked::REST);
    }

    /// The Host, if no other field is marked.
    #[inline]
    pub(super) fn lone_host(self) -> Option<Span> {
        if self.places == 0 { self.host } else { None }
    }

    /// The places that are marked among so many fields, in order.
    #[inline]
    fn places(self, fields: usize) -> impl Iterator<Item = usize> {
        let mut left = self.places;
        let mut place = Marked::REST;
        std::iter::from_fn(move || {
            if left & !(1 << Marked::REST) != 0 {
                let first = left.trailing_zeros();
                left &= left - 1;
                return Some(first as usize);
            }
            let rest = left != 0 && place < fields;
            place += 1;
            rest.then_some(place - 1)
        })
    }
}

/// What the fields of a head say about connection and body.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Said {
    pub(super) host: Option<Span>,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    /// The field, and the connection's option without which it is for somebody before us.
    pub(super) upgrade: (bool, bool),
    pub(super) expects_continue: bool,
}

impl Said {
    /// Whether the sender lets the connection go on after this message.
    pub(super) fn persists(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// Whether the sender asks for another protocol.
    pub(super) fn asks_for_upgrade(&self) -> bool {
        self.upgrade == (true, true)
    }

    /// The framing of a request.
    pub(super) fn of_request(&self) -> Framing {
        match self.chunked {
            true => Framing::Chunked,
            false => Framing::Length(self.length.unwrap_or(0)),
        }
    }

    /// The framing of an answer that has a body.
    pub(super) fn of_response(&self) -> Framing {
        match (self.chunked, self.length) {
            (true, _) => Framing::Chunked,
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::UntilClose,
        }
    }
}

/// Reads what the marked fields say about connection and body.
#[inline]
pub(super) fn read(block: &Block, marked: Marked, version: Version) -> Result<Said, Refusal> {
    let said = Said { host: marked.host, ..Said::default() };
    match marked.places {
        0 => Ok(said),
        _ => read_fields(block, marked, version, said),
    }
}

fn read_fields(
    block: &Block,
    marked: Marked,
    version: Version,
    mut said: Said,
) -> Result<Said, Refusal> {
    let mut coding = None;
    for place in marked.places(block.fields.len()) {
        let field = &block.fields[place];
        read_field(block, field, version, &mut said, &mut coding)?;
    }
    match coding {
        None => Ok(said),
        Some(field) if field.value.of(&block.bytes).eq_ignore_ascii_case(b"chunked") => {
            said.chunked = true;
            Ok(said)
        }
        Some(field) => Err(wrong_coding(block, &field)),
    }
}

#[inline]
fn read_field(
    block: &Block,
    field: &Field,
    version: Version,
    said: &mut Said,
    coding: &mut Option<Field>,
) -> Result<(), Refusal> {
    let bytes = &block.bytes[..];
    let name = field.name.of(bytes);
    match name.len() {
        4 if name.eq_ignore_ascii_case(b"host") => {
            let before = said.host.replace(field.value);
            if before.is_some() {
                return Err(at(Reason::SecondHost, field));
            }
        }
        6 if name.eq_ignore_ascii_case(b"expect") => {
            said.expects_continue = expectation(field, bytes, version)?;
        }
        7 if name.eq_ignore_ascii_case(b"upgrade") => said.upgrade.0 = version == Version::Http11,
        10 if name.eq_ignore_ascii_case(b"connection") => connection(said, field, bytes),
        14 if name.eq_ignore_ascii_case(b"content-length") => {
            content_length(said, coding.is_some(), field, bytes)?;
        }
        17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
            match (said.length, *coding, version) {
                (_, _, Version::Http10) => return Err(at(Reason::CodingInHttp10, field)),
                (Some(_), _, _) => return Err(at(Reason::LengthAndCoding, field)),
                (_, Some(first), _) => return Err(wrong_coding(block, &first)),
                (None, None, Version::Http11) => *coding = Some(*field),
            }
        }
        _ => {}
    }
    Ok(())
}

/// Looks at what a request says of its host.
#[inline]
pub(super) fn check_host(said: &Said, bytes: &[u8], version: Version) -> Result<(), Refusal> {
    match said.host {
        None if version == Version::Http11 => Err(Refusal::new(Reason::NoHost)),
        Some(host) if !is_authority(host.of(bytes)) => {
            Err(Refusal::at(Reason::InvalidHost, host.start() as u64))
        }
        _ => Ok(()),
    }
}

/// Whether Host names what the target names; a scheme's own port may be left out.
pub(super) fn is_same_host(said: &Said, bytes: &[u8], authority: &str, scheme: &str) -> bool {
    let Some(host) = said.host else { return true };
    let own: &[u8] = if scheme.eq_ignore_ascii_case("https") { b":443" } else { b":80" };
    let parts = |text| match split_port(text) {
        (host, port) if port == own || port == b":" => (host, &b""[..]),
        parts => parts,
    };
    let (host, port) = parts(host.of(bytes));
    let (named, named_port) = parts(authority.as_bytes());
    host.eq_ignore_ascii_case(named) && port == named_port
}

fn at(reason: Reason, field: &Field) -> Refusal {
    Refusal::at(reason, field.name.start() as u64)
}

fn expectation(field: &Field, bytes: &[u8], version: Version) -> Result<bool, Refusal> {
    match (version, field.value.of(bytes).eq_ignore_ascii_case(b"100-continue")) {
        // RFC 9110, 10.1.1: a server ignores what it finds of it in HTTP/1.0.
        (Version::Http10, _) => Ok(false),
        (Version::Http11, true) => Ok(true),
        (Version::Http11, false) => Err(at(Reason::UnknownExpectation, field)),
    }
}

fn connection(said: &mut Said, field: &Field, bytes: &[u8]) {
    for option in elements(field.value.of(bytes)) {
        said.close |= option.eq_ignore_ascii_case(b"close");
        said.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        said.upgrade.1 |= option.eq_ignore_ascii_case(b"upgrade");
    }
}

fn content_length(
    said: &mut Said,
    has_coding: bool,
    field: &Field,
    bytes: &[u8],
) -> Result<(), Refusal> {
    if has_coding {
        return Err(at(Reason::LengthAndCoding, field));
    }
    if said.length.is_some() {
        return Err(at(Reason::SecondLength, field));
    }
    let digits = field.value.of(bytes);
    // Eighteen of them always fit.
    if !(1..=18).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::at(Reason::InvalidLength, field.value.start() as u64));
    }
    said.length = Some(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
    Ok(())
}

/// Why the codings, all their fields together, are not `chunked` alone.
fn wrong_coding(block: &Block, first: &Field) -> Refusal {
    let fields =
        block.fields.iter().map(|it| (it.name.of(&block.bytes), it.value.of(&block.bytes)));
    let values = fields.filter(|(name, _)| name.eq_ignore_ascii_case(b"transfer-encoding"));
    let codings: Vec<_> = values.flat_map(|(_, value)| elements(value)).collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let chunked = codings.iter().filter(|coding| is_chunked(coding)).count();
    let is_last = codings.last().is_some_and(is_chunked);
    let unknown = chunked < codings.len();
    match unknown && chunked <= 1 && (chunked == 0 || is_last) {
        true => at(Reason::UnknownCoding, first),
        false => at(Reason::ChunkedNotLast, first),
    }
}
