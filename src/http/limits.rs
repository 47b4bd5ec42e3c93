// How much of what a peer may make this end hold or do.

/// Limits of one connection, in bytes unless a name says otherwise.
///
/// What stands here is what the sans-io core keeps; a limit that is met is told with its number.
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
        }
    }
}
