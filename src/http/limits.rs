// How much of what a peer may make this end hold or do, and how long it may take.

use std::time::Duration;

/// Limits of one connection, in bytes unless a name says otherwise.
///
/// The sizes are kept by the sans-io core too; the times, and how many connections there are, by the
/// server. A limit that is met is told with its number.
///
/// ```
/// use ropewalk::http::Limits;
/// use ropewalk::http::h1::{Event, Machine};
///
/// let mut machine = Machine::server(Limits { fields: 1, ..Limits::default() });
/// let mut input = &b"GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n"[..];
/// let Some(Event::Refused(refusal)) = machine.feed(&mut input) else { unreachable!() };
/// assert_eq!(refusal.to_string(), "more than 1 header fields");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line and fields together: 16 KiB.
    pub request_head: usize,
    /// Status line and fields of an answer together: 64 KiB.
    pub response_head: usize,
    /// Fields of a head: 100.
    pub fields: usize,
    /// A body that comes in; `None`, as it is by default, for any length.
    pub body: Option<u64>,
    /// The line that says how long a chunk is, with its extensions: 128.
    pub chunk_line: usize,
    /// Extensions of all chunks of a message: 16 KiB.
    pub chunk_extensions: usize,
    /// Trailers of a message together: 8 KiB.
    pub trailers: usize,
    /// Fields of the trailers: 32.
    pub trailer_fields: usize,
    /// What is dropped of a request's body behind its answer so that the connection can go on:
    /// 256 KiB. Beyond it the connection is closed.
    pub unread_body: u64,
    /// Informational answers (1xx) to one request: 16.
    pub informational: usize,
    /// Connections of a site at a time: 10 000.
    pub connections: usize,
    /// A request's head, from its first byte to its last: 10 s.
    pub head_time: Duration,
    /// A connection without a request: 60 s.
    pub idle_time: Duration,
    /// A body of which no byte comes while somebody reads it, or an answer of which the peer takes
    /// none: 30 s.
    pub stall_time: Duration,
    /// What must come of a body, or be taken of an answer, in a second, once `grace_time` is over: 240.
    pub body_rate: u64,
    /// How long a body may be slower than that: 5 s.
    pub grace_time: Duration,
    /// What a peer may send on after its answer, so that it can read it: 64 MiB.
    pub linger: u64,
    /// How long: 10 s. Half of it is for a body that is dropped so that the connection can go on.
    pub linger_time: Duration,
    /// Bytes of following requests that are read while one is answered: 16 KiB.
    pub read_ahead: usize,
    /// Bytes of a body that are kept until somebody reads them: 64 KiB.
    pub body_ahead: usize,
    /// A body that is read as a whole, where the reader names no other limit: 1 MiB.
    pub whole_body: usize,
    /// How long after a peer has ended its half of the connection it counts as lost by
    /// [`Request::lost`](super::Request::lost): 1 s. The answer is sent all the same.
    pub half_closed_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_head: 16 << 10,
            response_head: 64 << 10,
            fields: 100,
            body: None,
            chunk_line: 128,
            chunk_extensions: 16 << 10,
            trailers: 8 << 10,
            trailer_fields: 32,
            unread_body: 256 << 10,
            informational: 16,
            connections: 10_000,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            stall_time: Duration::from_secs(30),
            body_rate: 240,
            grace_time: Duration::from_secs(5),
            linger: 64 << 20,
            linger_time: Duration::from_secs(10),
            read_ahead: 16 << 10,
            body_ahead: 64 << 10,
            whole_body: 1 << 20,
            half_closed_time: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// None at all: for tests, never for a network. Only a head of 4 GiB is still refused.
    pub fn none() -> Limits {
        Limits {
            request_head: usize::MAX,
            response_head: usize::MAX,
            fields: usize::MAX,
            body: None,
            chunk_line: usize::MAX,
            chunk_extensions: usize::MAX,
            trailers: usize::MAX,
            trailer_fields: usize::MAX,
            unread_body: u64::MAX,
            informational: usize::MAX,
            connections: usize::MAX,
            head_time: Duration::MAX,
            idle_time: Duration::MAX,
            stall_time: Duration::MAX,
            body_rate: 0,
            grace_time: Duration::MAX,
            linger: u64::MAX,
            linger_time: Duration::MAX,
            read_ahead: usize::MAX,
            body_ahead: usize::MAX,
            whole_body: usize::MAX,
            half_closed_time: Duration::MAX,
        }
    }
}
