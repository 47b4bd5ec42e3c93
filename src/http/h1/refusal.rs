// Every reason to refuse a message: status, words, and whether the peer is told.
//
// # Theory
// What is refused, and with which bytes, stands in `refusals.md`, which is on the public page and is
// the corpus of the tests: each of its rows is sent in every split. A refusal never holds a byte of the
// peer's; where it has words for one place, it has the offset instead.
//
// # Invariants
// * Refused once, nothing more is read as HTTP on the connection.
// * Which refusal a message meets, and at which byte, does not depend on how it was cut.

use crate::http::status::Status;
use std::error::Error;
use std::fmt;

/// Why nothing more is read as HTTP on a connection.
///
/// [`Machine::refuse`](super::Machine::refuse) makes the answer of it, where one is due.
///
/// ```
/// use ropewalk::http::h1::{Event, Machine, Reason};
/// use ropewalk::http::{Headers, Limits, Status};
///
/// let mut machine = Machine::server(Limits::default());
/// let mut input = &b"GET / HTTP/1.1\nHost: a\n\n"[..];
/// let Some(Event::Refused(refusal)) = machine.feed(&mut input) else { unreachable!() };
/// assert_eq!(refusal.reason(), Reason::BareLf);
/// assert_eq!(refusal.status(), Some(Status::BAD_REQUEST));
/// assert_eq!(refusal.to_string(), "bare LF at the end of a line (byte 14)");
///
/// let mut answer = Vec::new();
/// assert!(machine.refuse(&refusal, &Headers::new(), &mut answer));
/// assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
/// assert!(answer.ends_with(b"\r\n\r\nbare LF at the end of a line (byte 14)\n"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    offset: Option<u64>,
}

/// What a [`Refusal`] is for.
///
/// The last ones, from [`Reason::HeadTimedOut`] to [`Reason::UnknownMethod`], are said by whoever has a
/// clock, resources or limits of its own; the machine then writes the answer.
///
/// ```
/// use ropewalk::http::h1::{Machine, Reason, Refusal};
/// use ropewalk::http::{Headers, Limits};
///
/// let mut machine = Machine::server(Limits::default());
/// assert!(machine.feed(&mut &b"GET / HT"[..]).is_none());
/// let mut answer = Vec::new();
/// let refusal = Refusal::new(Reason::HeadTimedOut { seconds: 10 });
/// machine.refuse(&refusal, &Headers::new(), &mut answer);
/// assert!(answer.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A line ends with LF alone.
    BareLf,
    /// A CR without its LF.
    BareCr,
    /// A value holds a control character other than the tab.
    ControlInValue,
    /// Blanks between a field's name and its colon.
    BlankBeforeColon,
    /// A line that goes on with the one before.
    FoldedLine,
    /// A byte of a name that no token has.
    InvalidName,
    /// A line that begins with its colon.
    EmptyName,
    /// A line without a colon.
    NoColon,
    /// Not method, target and version with one space between them, or the target is none for its method.
    MalformedRequestLine,
    /// Not version and status code.
    MalformedStatusLine,
    /// A byte of a target that is not printable ASCII.
    TargetByte,
    /// A `#` in a target.
    FragmentInTarget,
    /// Another major version than 1.
    MajorVersion,
    /// HTTP/0.9, to which no answer is given.
    Http09,
    /// HTTP/1.1 without a Host.
    NoHost,
    /// More than one Host.
    SecondHost,
    /// Host, or the host in the target, is none.
    InvalidHost,
    /// Host and target name different hosts; only when [asked for](super::Machine::strict_authority).
    HostMismatch,
    /// Content-Length and Transfer-Encoding in one message.
    LengthAndCoding,
    /// More than one Content-Length, equal ones too.
    SecondLength,
    /// Content-Length is not 1 to 18 digits.
    InvalidLength,
    /// Transfer-Encoding in HTTP/1.0.
    CodingInHttp10,
    /// A transfer coding other than chunked.
    UnknownCoding,
    /// Chunked is named, but not once and alone.
    ChunkedNotLast,
    /// The size of a chunk is no hexadecimal number.
    ChunkSize,
    /// The size of a chunk is 2^63 or more.
    ChunkTooLarge,
    /// The line before a chunk is longer than the limit.
    ChunkLine,
    /// A control character in a chunk's extension.
    ControlInExtension,
    /// Extensions of all chunks together are longer than the limit.
    ChunkExtensions {
        /// In bytes.
        limit: usize,
    },
    /// A chunk is longer than its size.
    ChunkEnd,
    /// A field that may not be a trailer.
    ForbiddenTrailer(&'static str),
    /// Trailers longer than the limit.
    TrailersTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// More trailers than the limit.
    TooManyTrailers {
        /// In fields.
        limit: usize,
    },
    /// A request line longer than the limit of the head.
    TargetTooLong {
        /// In bytes.
        limit: usize,
    },
    /// A head longer than the limit.
    HeadTooLarge {
        /// In bytes.
        limit: usize,
    },
    /// More fields than the limit.
    TooManyFields {
        /// In fields.
        limit: usize,
    },
    /// An Expect other than `100-continue`.
    UnknownExpectation,
    /// More informational answers than the limit.
    TooManyInformational {
        /// In answers.
        limit: usize,
    },
    /// 101 without an upgrade having been asked for.
    UnaskedSwitch,
    /// Bytes of an answer to nothing.
    Surplus,
    /// The connection ended inside a message.
    Truncated,
    /// The head took too long.
    HeadTimedOut {
        /// What it may take.
        seconds: u64,
    },
    /// The body came too slowly, or no more of it.
    BodyTimedOut,
    /// A body longer than the limit.
    BodyTooLarge {
        /// What its head says.
        length: Option<u64>,
        /// In bytes.
        limit: u64,
    },
    /// A method that the resource does not have; the answer needs an Allow.
    MethodNotAllowed,
    /// A method that nobody here has.
    UnknownMethod,
}

impl Refusal {
    /// A refusal for a reason that has no place in the message.
    pub fn new(reason: Reason) -> Refusal {
        Refusal { reason, offset: None }
    }

    /// A refusal of one byte; what is not about the form of a message does not say which.
    pub(super) fn at(reason: Reason, offset: u64) -> Refusal {
        let refusal = Refusal::new(reason);
        let is_about_form = refusal.status().is_none_or(|status| status == Status::BAD_REQUEST);
        Refusal { offset: is_about_form.then_some(offset), ..refusal }
    }

    /// The same in a part that begins so many bytes after the message.
    pub(super) fn moved(self, by: u64) -> Refusal {
        Refusal { offset: self.offset.map(|offset| offset + by), ..self }
    }

    /// The same without what came before the message.
    pub(super) fn moved_back(self, by: u64) -> Refusal {
        Refusal { offset: self.offset.map(|offset| offset.saturating_sub(by)), ..self }
    }

    /// What it is for.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Which byte of the message it is about, counted from 0 and through the body as it was sent.
    pub fn offset(&self) -> Option<u64> {
        self.offset
    }

    /// The status of the answer that a server gives; `None` where it gives none, and of what only a
    /// client meets.
    pub fn status(&self) -> Option<Status> {
        Some(match self.reason {
            Reason::Http09
            | Reason::Truncated
            | Reason::MalformedStatusLine
            | Reason::TooManyInformational { .. }
            | Reason::UnaskedSwitch
            | Reason::Surplus => return None,
            Reason::MajorVersion => Status::HTTP_VERSION_NOT_SUPPORTED,
            Reason::UnknownCoding | Reason::UnknownMethod => Status::NOT_IMPLEMENTED,
            Reason::HeadTimedOut { .. } | Reason::BodyTimedOut => Status::REQUEST_TIMEOUT,
            Reason::BodyTooLarge { .. } => Status::CONTENT_TOO_LARGE,
            Reason::TargetTooLong { .. } => Status::URI_TOO_LONG,
            Reason::HeadTooLarge { .. }
            | Reason::TooManyFields { .. }
            | Reason::TrailersTooLarge { .. }
            | Reason::TooManyTrailers { .. } => Status::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Reason::UnknownExpectation => Status::EXPECTATION_FAILED,
            Reason::MethodNotAllowed => Status::METHOD_NOT_ALLOWED,
            _ => Status::BAD_REQUEST,
        })
    }
}

impl Reason {
    /// The words of a reason that has no number in it.
    fn words(self) -> &'static str {
        match self {
            Reason::BareLf => "bare LF at the end of a line",
            Reason::BareCr => "bare CR in a field",
            Reason::ControlInValue => "NUL or control character in a field value",
            Reason::BlankBeforeColon => "whitespace between field name and colon",
            Reason::FoldedLine => "folded field line",
            Reason::InvalidName => "invalid character in a field name",
            Reason::EmptyName => "empty field name",
            Reason::NoColon => "line without a colon",
            Reason::MalformedRequestLine => "malformed request line",
            Reason::MalformedStatusLine => "malformed status line",
            Reason::TargetByte => "request target has a byte outside of printable ASCII",
            Reason::FragmentInTarget => "fragment in the request target",
            Reason::MajorVersion => "another major version of HTTP",
            Reason::Http09 => "HTTP/0.9",
            Reason::NoHost => "no Host",
            Reason::SecondHost => "more than one Host",
            Reason::InvalidHost => "Host is not a host",
            Reason::HostMismatch => "Host and target name different hosts",
            Reason::LengthAndCoding => "both Content-Length and Transfer-Encoding",
            Reason::SecondLength => "more than one Content-Length",
            Reason::InvalidLength => "Content-Length is not a number",
            Reason::CodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
            Reason::UnknownCoding => "unknown transfer coding",
            Reason::ChunkedNotLast => "chunked is not the last transfer coding, once",
            Reason::ChunkSize => "chunk size is not hexadecimal",
            Reason::ChunkTooLarge => "chunk size beyond 2^63",
            Reason::ChunkLine => "chunk line too long",
            Reason::ControlInExtension => "control character in a chunk extension",
            Reason::ChunkEnd => "chunk does not end with CRLF",
            Reason::UnknownExpectation => "unknown expectation",
            Reason::UnaskedSwitch => "101 without an upgrade that was asked for",
            Reason::Surplus => "bytes after a complete answer",
            Reason::Truncated => "the connection ended inside a message",
            Reason::BodyTimedOut => "the body came too slowly",
            Reason::MethodNotAllowed => "method not allowed",
            Reason::UnknownMethod => "unknown method",
            _ => "",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::ChunkExtensions { limit } => {
                write!(f, "more than {limit} bytes of chunk extensions")
            }
            Reason::ForbiddenTrailer(name) => write!(f, "{name} in a trailer"),
            Reason::TrailersTooLarge { limit } => write!(f, "trailers of more than {limit} bytes"),
            Reason::TooManyTrailers { limit } => write!(f, "more than {limit} trailers"),
            Reason::TargetTooLong { limit } => write!(f, "request line of more than {limit} bytes"),
            Reason::HeadTooLarge { limit } => write!(f, "head of more than {limit} bytes"),
            Reason::TooManyFields { limit } => write!(f, "more than {limit} header fields"),
            Reason::TooManyInformational { limit } => {
                write!(f, "more than {limit} informational answers")
            }
            Reason::HeadTimedOut { seconds } => {
                write!(f, "the head was not complete within {seconds} s")
            }
            Reason::BodyTooLarge { length: Some(length), limit } => {
                write!(f, "body of {length} bytes, the limit is {limit}")
            }
            Reason::BodyTooLarge { length: None, limit } => {
                write!(f, "body of more bytes than the limit, which is {limit}")
            }
            other => f.write_str(other.words()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} (byte {offset})", self.reason),
            None => fmt::Display::fmt(&self.reason, f),
        }
    }
}

impl Error for Refusal {}
