// One end of a connection: both roles, what may follow what.
//
// # Theory
// Two tables, one for each direction, drawn at [`Incoming`] and [`Outgoing`], and what joins them: a
// server reads the next request when the answer to the last is finished; a client knows how to read an
// answer by what it asked, so its requests stand in a queue. Bytes come in by `receiving.rs` and go out
// by `sending.rs`.
//
// # Invariants
// * Refused or closed, nothing is read as HTTP any more: input is taken and dropped.
// * A server writes exactly one answer for a request, and none before it.
// * No body follows the head of an answer that has none, whatever is sent.
// * An idle machine owns no memory but what [`Machine::recycle`] gave it.

mod at_once;
mod receiving;
mod sending;

use super::chunked::ChunkedReader;
use super::framing::Framing;
use super::head::{HeadParser, Kind};
use super::messages::{Asked, RequestHead, ResponseHead};
use super::refusal::Refusal;
use crate::http::block::Block;
use crate::http::headers::Headers;
use crate::http::limits::Limits;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

pub(crate) use at_once::FirstLines;
pub use sending::{Length, SendError};

/// One end of a connection that speaks HTTP/1; the [module](super) shows both talking.
///
/// ```
/// use ropewalk::http::Limits;
/// use ropewalk::http::h1::{Event, Machine};
///
/// let mut machine = Machine::server(Limits::default());
/// let mut input = &b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"[..];
/// let Some(Event::Request(head)) = machine.feed(&mut input) else { unreachable!() };
/// assert_eq!(head.target().path(), "/a");
/// assert!(matches!(machine.feed(&mut input), Some(Event::End(_))));
/// // The second one waits for the answer to the first.
/// assert!(machine.feed(&mut input).is_none());
/// assert!(input.starts_with(b"GET /b"));
/// ```
pub struct Machine {
    role: Role,
    limits: Rc<Limits>,
    parser: HeadParser,
    /// The head or the trailers that came in part, and the memory of the next; empty between them.
    block: Block,
    incoming: Incoming,
    outgoing: Outgoing,
    /// The request that is being answered: a server's.
    asked: Asked,
    /// Requests whose answers are still to come: a client's.
    awaited: VecDeque<Asked>,
    /// How many bytes of the message that is read were taken, body and all.
    offset: u64,
    /// How many bytes of its body came.
    received: u64,
    /// How many of them nobody will read.
    dropped: u64,
    /// Informational answers to one request.
    informational: usize,
    /// The peer waits for a 100, and may send the body without.
    owes_continue: bool,
    /// The connection ends with this exchange.
    is_last: bool,
    /// The peer sends no more.
    peer_ended: bool,
    strict_authority: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

/// ```text
///       (1) head                   (2) all bytes, or none
/// Head ──────────► Length ───────────────────────────────────► end of message
///  ▲   ──────────► Chunked ──► Trailers ── (3) blank line ───►  │
///  │   ──────────► UntilClose ── (4) end of connection ──────►  │
///  │                                                            │
///  │ (6) server: the answer is finished                         │
///  ├──────────────────────────────── Answering ◄── (5) server ──┤
///  ├──────────────── (7) client, the connection goes on ────────┤
///  │                                                            │
///  │               Upgraded ◄── Upgrading ◄── (8) 101, CONNECT ─┤
///  └─► Closed ◄── (9) refused, or the last exchange ────────────┘
/// ```
#[derive(Clone, Copy, Debug)]
enum Incoming {
    /// Between messages, or inside a head.
    Head,
    /// So many bytes of a body are to come; at 0 the end is still to be told.
    Length(u64),
    Chunked(ChunkedReader),
    Trailers,
    UntilClose,
    /// A server's: the request is whole, its answer is not.
    Answering,
    /// The other protocol begins; it is still to be told.
    Upgrading,
    Upgraded,
    Closed,
}

/// ```text
///          (1) server: a request came     (2) head sent           (3) finished
/// Idle ──────────────────────► Owed ─────────────────► Body ─────────────────► Done
///  │                           (1xx may be sent here)   ▲                       │
///  ├────────────── (4) client: head sent ───────────────┘                       │
///  ◄──────── (5) server: the request is whole too; client: at once ─────────────┘
///
/// any ── (6) refused, lost, or the last exchange ──► Closed
/// Owed, Idle ── (7) 101, 2xx to CONNECT ──► Upgraded
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outgoing {
    Idle,
    Owed,
    Body(Writer),
    /// A server's answer is finished before its request is whole.
    Done,
    Upgraded,
    Closed,
}

/// How the body that is being sent is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// So many bytes are still to be sent.
    Length(u64),
    Chunked,
    UntilClose,
    /// What is sent is dropped: the message has no body.
    Nothing,
}

/// What happened on a connection.
///
/// ```
/// use ropewalk::http::Limits;
/// use ropewalk::http::h1::{Event, Machine};
///
/// let mut machine = Machine::server(Limits::default());
/// let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
///                5\r\nHello\r\n0\r\nDigest: x\r\n\r\n";
/// let mut input = request.as_bytes();
/// assert!(matches!(machine.feed(&mut input), Some(Event::Request(_))));
/// assert!(matches!(machine.feed(&mut input), Some(Event::Body(b"Hello"))));
/// let Some(Event::End(trailers)) = machine.feed(&mut input) else { unreachable!() };
/// assert_eq!(trailers.text("digest"), Some("x"));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// To a server: the head of a request.
    Request(RequestHead),
    /// To a client: a head before that of the answer, such as 100 or 103.
    Informational(ResponseHead),
    /// To a client: the head of an answer.
    Response(ResponseHead),
    /// A piece of the body, where it lies in the input.
    Body(&'a [u8]),
    /// The message is whole; trailers, if it had any.
    End(Headers),
    /// From here on the bytes are another protocol's, in both directions.
    Upgraded,
    /// The peer broke the rules, or a limit; nothing more is read.
    Refused(Refusal),
    /// The peer ended the connection between messages.
    Closed,
}

impl Machine {
    /// The end that is asked. `Limits`, or an `Rc` of them that all connections share.
    pub fn server(limits: impl Into<Rc<Limits>>) -> Machine {
        Machine::new(Role::Server, limits.into())
    }

    /// The end that asks.
    pub fn client(limits: impl Into<Rc<Limits>>) -> Machine {
        Machine::new(Role::Client, limits.into())
    }

    fn new(role: Role, limits: Rc<Limits>) -> Machine {
        Machine {
            role,
            limits,
            parser: HeadParser::new(role.heads()),
            block: Block::default(),
            incoming: Incoming::Head,
            outgoing: Outgoing::Idle,
            asked: Asked::default(),
            awaited: VecDeque::new(),
            offset: 0,
            received: 0,
            dropped: 0,
            informational: 0,
            owes_continue: false,
            is_last: false,
            peer_ended: false,
            strict_authority: false,
        }
    }

    /// Refuses requests whose Host and target name different hosts, which RFC 9112 does not ask for: by
    /// it the target counts.
    ///
    /// ```
    /// use ropewalk::http::Limits;
    /// use ropewalk::http::h1::{Event, Machine, Reason};
    ///
    /// let mut machine = Machine::server(Limits::default()).strict_authority();
    /// let mut input = &b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"[..];
    /// let Some(Event::Refused(refusal)) = machine.feed(&mut input) else { unreachable!() };
    /// assert_eq!(refusal.reason(), Reason::HostMismatch);
    /// ```
    #[must_use]
    pub fn strict_authority(mut self) -> Machine {
        self.strict_authority = true;
        self
    }

    /// Lets the next answer be the last one on this connection, and says so to the peer if its head is
    /// still to be sent. For a server that stops.
    pub fn close_when_done(&mut self) {
        if self.is_idle() {
            self.close();
        }
        self.is_last = true;
    }

    /// Takes the memory of a head that is no longer needed for the next one.
    ///
    /// ```
    /// # use ropewalk::http::Limits;
    /// # use ropewalk::http::h1::{Event, Machine};
    /// # let mut machine = Machine::server(Limits::default());
    /// let mut input = &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..];
    /// if let Some(Event::Request(head)) = machine.feed(&mut input) {
    ///     machine.recycle(head.into_headers());
    /// }
    /// ```
    pub fn recycle(&mut self, headers: Headers) {
        if self.block.bytes.is_empty() {
            self.block = headers.block;
            self.block.clear();
        }
    }

    /// Whether a part of a head came, and not yet all of it.
    pub(crate) fn is_inside_head(&self) -> bool {
        matches!(self.incoming, Incoming::Head) && !self.parser.is_untouched()
    }

    /// Whether the body that is being sent is in chunks, or until the connection ends.
    pub(crate) fn is_sending_unknown(&self) -> bool {
        matches!(self.outgoing, Outgoing::Body(Writer::Chunked | Writer::UntilClose))
    }

    /// Whether bytes are no HTTP any more.
    pub(crate) fn is_upgraded(&self) -> bool {
        self.outgoing == Outgoing::Upgraded
    }

    /// Whether no message is under way in either direction and the connection can be used.
    ///
    /// A server that stops may close such a connection; a client may send its next request on it.
    pub fn is_idle(&self) -> bool {
        matches!(self.incoming, Incoming::Head)
            && self.outgoing == Outgoing::Idle
            && self.parser.is_untouched()
            && self.awaited.is_empty()
            && !self.is_last
    }

    /// Whether this end has nothing more to say or to hear: close once everything is written.
    pub fn must_close(&self) -> bool {
        let heard = matches!(self.incoming, Incoming::Closed);
        heard && !matches!(self.outgoing, Outgoing::Owed | Outgoing::Body(_))
    }

    /// How many requests of a client are without their whole answer.
    pub fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Whether an answer is due whose head was not sent yet.
    pub fn owes_answer(&self) -> bool {
        self.outgoing == Outgoing::Owed
    }

    /// Whether the peer waits for a 100 before it sends its body.
    ///
    /// ```
    /// use ropewalk::http::h1::Machine;
    /// use ropewalk::http::{Headers, Limits, Status};
    ///
    /// let mut machine = Machine::server(Limits::default());
    /// let head = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    /// machine.feed(&mut head.as_bytes());
    /// assert!(machine.owes_continue());
    /// let mut out = Vec::new();
    /// machine.send_informational(Status::CONTINUE, &Headers::new(), &mut out)?;
    /// assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
    /// assert!(!machine.owes_continue());
    /// # Ok::<(), ropewalk::http::h1::SendError>(())
    /// ```
    pub fn owes_continue(&self) -> bool {
        self.owes_continue
    }

    /// Neither reads nor writes anything more.
    fn close(&mut self) {
        self.incoming = Incoming::Closed;
        self.outgoing = Outgoing::Closed;
        self.block = Block::default();
    }

    /// What the next message in is read with.
    fn expect_head(&mut self) {
        self.incoming = Incoming::Head;
        if self.parser.at != 0 {
            self.parser = HeadParser::new(self.role.heads());
        }
        self.offset = 0;
        self.received = 0;
        self.dropped = 0;
        self.informational = 0;
    }

    /// What a body of a framing is read with.
    fn expect_body(&mut self, framing: Framing) {
        self.incoming = match framing {
            Framing::Length(length) => Incoming::Length(length),
            Framing::Chunked => Incoming::Chunked(ChunkedReader::new()),
            Framing::UntilClose => Incoming::UntilClose,
        };
    }

    /// A server's: goes on to the next request once this one is whole and its answer finished.
    fn complete_exchange(&mut self) {
        if self.outgoing != Outgoing::Done {
            return;
        }
        if self.is_last || (self.peer_ended && matches!(self.incoming, Incoming::Answering)) {
            self.close();
            return;
        }
        if matches!(self.incoming, Incoming::Answering) {
            self.outgoing = Outgoing::Idle; // 5
            self.expect_head(); // 6
        }
    }
}

impl Role {
    fn heads(self) -> Kind {
        match self {
            Role::Server => Kind::Request,
            Role::Client => Kind::Response,
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("role", &self.role)
            .field("incoming", &self.incoming)
            .field("outgoing", &self.outgoing)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Machine {
    /// How many bytes of heads it could hold without asking for memory.
    pub(super) fn block_capacity(&self) -> usize {
        self.block.bytes.capacity() + self.block.fields.capacity()
    }
}
