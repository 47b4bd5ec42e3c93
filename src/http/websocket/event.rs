// What comes out of a codec, and why something cannot go in.

use super::close::Close;
use super::violation::Violation;
use std::error::Error;
use std::fmt;
use std::ops::Deref;

/// What a ping or a pong carries: at most 125 bytes.
///
/// ```
/// use ropewalk::http::websocket::{Codec, Event, Limits};
///
/// let mut codec = Codec::client(Limits::default(), || 1);
/// let mut bytes = [0x8a, 2, b'o', b'k'];
/// let Some(Event::Pong(payload)) = codec.feed(&mut &mut bytes[..]) else { unreachable!() };
/// assert_eq!(payload.len(), 2);
/// assert_eq!(&payload[..], b"ok");
/// ```
#[derive(Clone, Copy)]
pub struct Payload {
    bytes: [u8; 125],
    length: u8,
}

/// A piece of a message, where it lies in the input.
///
/// ```
/// use ropewalk::http::websocket::{Codec, Event, Limits};
///
/// let mut server = Codec::server(Limits::default());
/// let mut out = Vec::new();
/// server.send_fragment("Hel", false, &mut out)?;
/// server.send_fragment("lo", true, &mut out)?;
/// let mut client = Codec::client(Limits::default(), || 1);
/// let (mut input, mut text) = (&mut out[..], Vec::new());
/// while let Some(Event::Text(piece)) = client.feed(&mut input) {
///     text.extend_from_slice(piece.data);
///     if piece.is_last {
///         assert_eq!(text, b"Hello"); // and it is UTF-8
///     }
/// }
/// # Ok::<(), ropewalk::http::websocket::SendError>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its bytes. A piece of text may end inside a character; all pieces together are UTF-8.
    pub data: &'a [u8],
    /// Whether the message ends with it.
    pub is_last: bool,
}

/// What happened on a WebSocket.
///
/// ```
/// use ropewalk::http::websocket::{Codec, Event, Limits};
///
/// let mut server = Codec::server(Limits::default());
/// let mut out = Vec::new();
/// server.send_binary([1, 2, 3], &mut out)?;
/// let mut client = Codec::client(Limits::default(), || 1);
/// match client.feed(&mut &mut out[..]) {
///     Some(Event::Binary(piece)) => assert_eq!((piece.data, piece.is_last), (&[1, 2, 3][..], true)),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), ropewalk::http::websocket::SendError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A piece of a message of text.
    Text(Piece<'a>),
    /// A piece of a message of bytes.
    Binary(Piece<'a>),
    /// Answer with a pong that carries the same.
    Ping(Payload),
    /// The answer to a ping, or unasked.
    Pong(Payload),
    /// The peer sends no more; answer with a close, then end the connection.
    Close(Close),
    /// The peer broke the rules, or a limit: close with the code that it says.
    Refused(Violation),
}

/// Why something cannot be sent.
///
/// ```
/// use ropewalk::http::websocket::{Codec, Limits, SendError};
///
/// let mut codec = Codec::server(Limits::default());
/// let mut out = Vec::new();
/// assert_eq!(codec.ping(&[0; 126], &mut out), Err(SendError::TooLong));
/// codec.close(None, &mut out)?;
/// assert_eq!(codec.send_text("late", &mut out), Err(SendError::Closed));
/// # Ok::<(), SendError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// Behind a close nothing is sent.
    Closed,
    /// A ping or pong of more than 125 bytes, or a close whose reason has more than 123.
    TooLong,
    /// A whole message between the fragments of another.
    Interleaved,
    /// The peer does not take what was sent before: more than
    /// [`Options::queue`](super::Options::queue) waits.
    Full,
}

impl Payload {
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    /// A head has been read that says that it fits.
    pub(super) fn extend(&mut self, data: &[u8]) {
        let start = usize::from(self.length);
        if let Some(room) = self.bytes.get_mut(start..start + data.len()) {
            room.copy_from_slice(data);
            self.length += data.len() as u8;
        }
    }
}

impl Default for Payload {
    fn default() -> Payload {
        Payload { bytes: [0; 125], length: 0 }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Closed => "behind a close nothing is sent",
            SendError::TooLong => "more than 125 bytes in a control frame",
            SendError::Interleaved => "a message between the fragments of another",
            SendError::Full => "the peer does not take what was sent before",
        })
    }
}

impl Error for SendError {}
