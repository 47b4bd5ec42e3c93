// What is to be said, as bytes.
//
// # Invariants
// * What is written can be read back: a head that could not be is an error here.
// * An error writes nothing and changes nothing, but for a body that ends too early: nothing can be
//   said behind it.

use super::{Incoming, Machine, Outgoing, Role, Writer};
use crate::http::h1::chunked::{forbidden_trailer, write_chunk};
use crate::http::h1::encode::{has_option, write_decimal, write_fields, write_status_line};
use crate::http::h1::messages::{Asked, RequestHead, ResponseHead};
use crate::http::h1::refusal::Refusal;
use crate::http::headers::Headers;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::syntax::is_authority;
use std::error::Error;
use std::fmt;
use std::io::Write;

/// How long the body of a message is that is to be sent.
///
/// ```
/// use ropewalk::http::h1::{Length, Machine, RequestHead};
/// use ropewalk::http::{Limits, Method};
///
/// let mut head = RequestHead::new(Method::Post, "/")?;
/// head.set_header("Host", "example.com")?;
/// let mut machine = Machine::client(Limits::default());
/// let mut out = Vec::new();
/// machine.send_request(&head, Length::Unknown, &mut out)?;
/// machine.send_body("Hello", &mut out)?;
/// machine.finish(&mut out)?;
/// assert!(out.ends_with(b"transfer-encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes.
    Known(u64),
    /// Sent in chunks, or to a peer of HTTP/1.0 until the connection ends.
    Unknown,
}

/// Why something cannot be said now.
///
/// ```
/// use ropewalk::http::h1::{Length, Machine, ResponseHead, SendError};
/// use ropewalk::http::{Limits, Status};
///
/// // Nobody has asked yet.
/// let mut machine = Machine::server(Limits::default());
/// let answer = ResponseHead::new(Status::OK);
/// let sent = machine.send_response(&answer, Length::Known(0), &mut Vec::new());
/// assert_eq!(sent, Err(SendError::NotNow));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// Its turn is over or has not come.
    NotNow,
    /// The connection has ended, or ends with the exchange under way.
    Closed,
    /// More bytes than the head said.
    BodyTooLong,
    /// So many bytes fewer than the head said: the connection must be closed.
    BodyTooShort(u64),
    /// A request without one Host that is a host.
    NoHost,
    /// 101 was not asked for, or not sent alone; another 1xx as an answer; 200 and more as a 1xx.
    Status,
    /// A field that may not be a trailer.
    Trailer(&'static str),
    /// An Expect other than `100-continue`, or one in a request without a body.
    Expectation,
}

impl Machine {
    // ---- a client's ----

    /// Writes the head of a request.
    ///
    /// It may be the next one while answers are awaited, but for CONNECT, upgrades, and a request that
    /// says that it is the last.
    pub fn send_request(
        &mut self,
        head: &RequestHead,
        length: Length,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let closed = self.is_last || self.outgoing == Outgoing::Closed;
        if closed {
            return Err(SendError::Closed);
        }
        let waits = self.awaited.back().is_some_and(|it| it.last || it.connect || it.upgrade);
        if self.role != Role::Client || self.outgoing != Outgoing::Idle || waits {
            return Err(SendError::NotNow);
        }
        check_request(head, length)?;
        out.reserve(head.headers.block.bytes.len() + 64);
        for part in [head.method.as_str(), " ", head.target().as_str(), " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        write_fields(&head.headers, out);
        let upgrades = head.headers.contains("upgrade");
        if upgrades && !has_option(&head.headers, "upgrade") {
            out.extend_from_slice(b"connection: upgrade\r\n");
        }
        self.outgoing = Outgoing::Body(match length {
            Length::Known(0) if !head.method.announces_an_empty_body() => Writer::Length(0),
            length => write_framing(length, Writer::Chunked, out),
        }); // 4
        out.extend_from_slice(b"\r\n");
        let closes = has_option(&head.headers, "close");
        self.awaited.push_back(Asked::new(head.method, upgrades, closes));
        Ok(())
    }

    // ---- a server's ----

    /// Writes a head before that of the answer: 100, 102, 103. A peer of HTTP/1.0 gets none.
    pub fn send_informational(
        &mut self,
        status: Status,
        headers: &Headers,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.outgoing != Outgoing::Owed {
            return Err(SendError::NotNow);
        }
        if !status.is_informational() || status == Status::SWITCHING_PROTOCOLS {
            return Err(SendError::Status);
        }
        if status == Status::CONTINUE {
            self.owes_continue = false;
        }
        if !self.asked.old {
            write_status_line(status, out);
            write_fields(headers, out);
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// Writes the head of the answer.
    ///
    /// It says what the length means for this answer: nothing for one that has no body, `close` where
    /// the connection ends with it. It ends also if the peer still waits for its 100, or if more of the
    /// request's body is to come than would be dropped.
    pub fn send_response(
        &mut self,
        head: &ResponseHead,
        length: Length,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_answer(head.status, [b"", b""], [&head.headers], length, out)
    }

    /// As [`send_response`](Machine::send_response), of what a head is made of: lines that are whole
    /// already, and fields.
    pub(crate) fn send_answer<const N: usize>(
        &mut self,
        status: Status,
        lines: [&[u8]; 2],
        headers: [&Headers; N],
        length: Length,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.outgoing != Outgoing::Owed {
            return Err(SendError::NotNow);
        }
        let is_switch = status == Status::SWITCHING_PROTOCOLS;
        if is_switch || (self.asked.connect && status.is_success()) {
            return self.send_switch(status, lines, &headers, out);
        }
        if status.is_informational() {
            return Err(SendError::Status);
        }
        self.is_last |= self.peer_ended || self.leaves_body_unread();
        let sends_until_close = self.asked.old && length == Length::Unknown;
        self.is_last |= sends_until_close && !self.has_empty_body(status);
        write_status_line(status, out);
        lines.iter().for_each(|line| out.extend_from_slice(line));
        let mut has_options = false;
        headers.iter().for_each(|fields| has_options |= write_fields(fields, out));
        let says = |option| has_options && headers.iter().any(|it| has_option(it, option));
        let closes = says("close");
        self.is_last |= closes;
        let writer = self.write_answers_framing(status, length, out);
        match (self.is_last, self.asked.old) {
            (true, _) if !closes => out.extend_from_slice(b"connection: close\r\n"),
            (false, true) if !says("keep-alive") => {
                out.extend_from_slice(b"connection: keep-alive\r\n")
            }
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
        self.outgoing = Outgoing::Body(writer); // 2
        Ok(())
    }

    /// Writes the answer to what was refused, with further fields such as Date or Allow; whether there
    /// is one. Nothing is read or said after it.
    pub fn refuse(&mut self, refusal: &Refusal, fields: &Headers, out: &mut Vec<u8>) -> bool {
        let is_head = match self.outgoing {
            Outgoing::Owed => self.asked.head,
            _ => self.parser.method == Some(Method::Head),
        };
        let may_speak = matches!(self.outgoing, Outgoing::Idle | Outgoing::Owed);
        self.close();
        let Some(status) = refusal.status().filter(|_| may_speak && self.role == Role::Server)
        else {
            return false;
        };
        let text = format!("{refusal}\n");
        write_status_line(status, out);
        write_fields(fields, out);
        // Writing to memory does not fail.
        let _ = write!(out, "content-type: text/plain\r\ncontent-length: {}\r\n", text.len());
        out.extend_from_slice(b"connection: close\r\n\r\n");
        if !is_head {
            out.extend_from_slice(text.as_bytes());
        }
        true
    }

    // ---- both roles' ----

    /// Writes a piece of the body. An empty one is nothing; a message that has no body drops it.
    pub fn send_body(
        &mut self,
        data: impl AsRef<[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let data = data.as_ref();
        let writer = self.count_body(data.len() as u64)?;
        match writer {
            Writer::Nothing => {}
            Writer::Chunked => write_chunk(data, out),
            Writer::Length(_) | Writer::UntilClose => out.extend_from_slice(data),
        }
        Ok(())
    }

    /// Counts bytes of the body that the caller sends itself, from a file for instance; whether it is to
    /// send them. For a body whose length is known.
    ///
    /// ```
    /// use ropewalk::http::h1::{Length, Machine, ResponseHead};
    /// use ropewalk::http::{Limits, Status};
    ///
    /// let mut machine = Machine::server(Limits::default());
    /// let mut input = &b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"[..];
    /// machine.feed(&mut input);
    /// let mut out = Vec::new();
    /// machine.send_response(&ResponseHead::new(Status::OK), Length::Known(1 << 30), &mut out)?;
    /// assert_eq!(machine.sent_elsewhere(1 << 30), Ok(false)); // it was HEAD
    /// # Ok::<(), ropewalk::http::h1::SendError>(())
    /// ```
    pub fn sent_elsewhere(&mut self, count: u64) -> Result<bool, SendError> {
        if self.outgoing == Outgoing::Body(Writer::Chunked) {
            return Err(SendError::NotNow);
        }
        Ok(self.count_body(count)? != Writer::Nothing)
    }

    /// Ends the body.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.finish_with(&Headers::new(), out)
    }

    /// Ends the body with trailers; they are left out where the body is not in chunks.
    ///
    /// ```
    /// use ropewalk::http::h1::{Length, Machine, ResponseHead, SendError};
    /// use ropewalk::http::{Headers, Limits, Status};
    ///
    /// let mut machine = Machine::server(Limits::default());
    /// machine.feed(&mut &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]);
    /// let mut out = Vec::new();
    /// machine.send_response(&ResponseHead::new(Status::OK), Length::Unknown, &mut out)?;
    /// let mut trailers = Headers::new();
    /// trailers.append("Host", "b").unwrap();
    /// assert_eq!(machine.finish_with(&trailers, &mut out), Err(SendError::Trailer("Host")));
    /// trailers.remove("Host");
    /// trailers.append("Digest", "x").unwrap();
    /// machine.finish_with(&trailers, &mut out)?;
    /// assert!(out.ends_with(b"0\r\nDigest: x\r\n\r\n"));
    /// # Ok::<(), SendError>(())
    /// ```
    pub fn finish_with(&mut self, trailers: &Headers, out: &mut Vec<u8>) -> Result<(), SendError> {
        let Outgoing::Body(writer) = self.outgoing else { return Err(self.not_now()) };
        if let Some(name) = trailers.raw().find_map(|(name, _)| forbidden_trailer(name)) {
            return Err(SendError::Trailer(name));
        }
        match writer {
            Writer::Length(0) | Writer::Nothing | Writer::UntilClose => {}
            Writer::Length(left) => {
                self.close();
                return Err(SendError::BodyTooShort(left));
            }
            Writer::Chunked => {
                out.extend_from_slice(b"0\r\n");
                write_fields(trailers, out);
                out.extend_from_slice(b"\r\n");
            }
        }
        match self.role {
            Role::Client => self.outgoing = Outgoing::Idle, // 5
            Role::Server => {
                self.outgoing = Outgoing::Done; // 3
                self.complete_exchange();
            }
        }
        Ok(())
    }

    fn not_now(&self) -> SendError {
        match self.outgoing {
            Outgoing::Closed => SendError::Closed,
            _ => SendError::NotNow,
        }
    }

    #[inline]
    fn count_body(&mut self, count: u64) -> Result<Writer, SendError> {
        let Outgoing::Body(writer) = &mut self.outgoing else { return Err(self.not_now()) };
        if let Writer::Length(left) = writer {
            *left = left.checked_sub(count).ok_or(SendError::BodyTooLong)?;
        }
        Ok(*writer)
    }

    /// Whether the end of the request's body cannot be waited for.
    fn leaves_body_unread(&self) -> bool {
        match self.incoming {
            _ if self.owes_continue => true,
            Incoming::Length(left) => left > self.limits.unread_body,
            // Refused, and answered by the caller all the same.
            Incoming::Closed => true,
            _ => false,
        }
    }

    fn has_empty_body(&self, status: Status) -> bool {
        self.asked.head || status.has_no_body() || status == Status::RESET_CONTENT
    }

    #[inline]
    fn write_answers_framing(&self, status: Status, length: Length, out: &mut Vec<u8>) -> Writer {
        let length = if status == Status::RESET_CONTENT { Length::Known(0) } else { length };
        let unknown = if self.asked.old { Writer::UntilClose } else { Writer::Chunked };
        let says_nothing = match length {
            // What a 304 says of its length is what a 200 would have had: no handler means 0 by it.
            Length::Known(0) | Length::Unknown if status == Status::NOT_MODIFIED => true,
            _ => status.has_no_length(),
        };
        let writer = match says_nothing {
            true => Writer::Nothing,
            false => write_framing(length, unknown, out),
        };
        if self.has_empty_body(status) { Writer::Nothing } else { writer }
    }

    /// Writes 101, or a success to CONNECT: what follows is no HTTP.
    fn send_switch(
        &mut self,
        status: Status,
        lines: [&[u8]; 2],
        headers: &[&Headers],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let is_switch = status == Status::SWITCHING_PROTOCOLS;
        if is_switch && !self.asked.upgrade {
            return Err(SendError::Status);
        }
        // The request must be whole: its body would be taken for the other protocol.
        match self.incoming {
            Incoming::Length(0) => {}
            Incoming::Answering => self.incoming = Incoming::Upgrading,
            _ => return Err(SendError::NotNow),
        }
        write_status_line(status, out);
        lines.iter().for_each(|line| out.extend_from_slice(line));
        for fields in headers {
            write_fields(fields, out);
        }
        if is_switch && !headers.iter().any(|it| has_option(it, "upgrade")) {
            out.extend_from_slice(b"connection: upgrade\r\n");
        }
        out.extend_from_slice(b"\r\n");
        self.outgoing = Outgoing::Upgraded; // 7
        Ok(())
    }
}

/// Looks whether a request could be read by its peer.
fn check_request(head: &RequestHead, length: Length) -> Result<(), SendError> {
    let headers = &head.headers;
    let mut hosts = headers.all("host");
    if !hosts.next().is_some_and(is_authority) || hosts.next().is_some() {
        return Err(SendError::NoHost);
    }
    let mut expectations = headers.all("expect");
    let expects = expectations.next();
    let is_known = expects.is_none_or(|it| it.eq_ignore_ascii_case(b"100-continue"));
    if !is_known
        || expectations.next().is_some()
        || (expects.is_some() && length == Length::Known(0))
    {
        return Err(SendError::Expectation);
    }
    Ok(())
}

/// Writes what says how long a body is.
fn write_framing(length: Length, unknown: Writer, out: &mut Vec<u8>) -> Writer {
    match (length, unknown) {
        (Length::Known(length), _) => {
            out.extend_from_slice(b"content-length: ");
            write_decimal(length, out);
            out.extend_from_slice(b"\r\n");
            Writer::Length(length)
        }
        (Length::Unknown, Writer::Chunked) => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Writer::Chunked
        }
        (Length::Unknown, unknown) => unknown,
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::NotNow => f.write_str("its turn is over or has not come"),
            SendError::Closed => f.write_str("the connection ends with the exchange under way"),
            SendError::BodyTooLong => f.write_str("more of a body than its head says"),
            SendError::BodyTooShort(left) => {
                write!(f, "{left} bytes of a body are missing that its head says")
            }
            SendError::NoHost => f.write_str("a request without one Host that is a host"),
            SendError::Status => f.write_str("a status that is no answer to this request"),
            SendError::Trailer(name) => write!(f, "{name} in a trailer"),
            SendError::Expectation => f.write_str("an expectation that nobody can meet"),
        }
    }
}

impl Error for SendError {}
