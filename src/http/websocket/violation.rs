// What a peer did wrong, and the code that it is told.

use super::close::CloseCode;
use std::error::Error;
use std::fmt;

/// Why nothing more is read from a peer.
///
/// ```
/// use ropewalk::http::websocket::{CloseCode, Codec, Event, Limits, Violation};
///
/// let mut codec = Codec::server(Limits::default());
/// let mut bytes = [0x81, 0x01, b'a']; // a client's frame, and no mask
/// let Some(Event::Refused(violation)) = codec.feed(&mut &mut bytes[..]) else { unreachable!() };
/// assert_eq!(violation, Violation::Unmasked);
/// assert_eq!(violation.close_code(), CloseCode::PROTOCOL_ERROR);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Bits are set that belong to an extension that was not agreed on.
    ReservedBits,
    /// A kind of frame that there is not.
    ReservedOpcode,
    /// A length in more bytes than it takes, or beyond 2^63.
    Length,
    /// A client's frame without its mask.
    Unmasked,
    /// A server's frame with one.
    Masked,
    /// A ping, pong or close of more than 125 bytes.
    LongControl,
    /// A ping, pong or close in several frames.
    FragmentedControl,
    /// A continuation of nothing.
    Continuation,
    /// A message inside another.
    Interleaved,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A close with one byte, with a code that nobody sends, or a reason that is not UTF-8.
    BadClose,
    /// A message longer than the limit.
    MessageTooLong {
        /// In bytes.
        limit: u64,
    },
    /// A message in more frames than the limit.
    TooManyFragments {
        /// In frames.
        limit: u64,
    },
    /// The connection ended without a close.
    Truncated,
}

impl Violation {
    /// What to close with.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Violation::NotUtf8 => CloseCode::INVALID_DATA,
            Violation::MessageTooLong { .. } => CloseCode::MESSAGE_TOO_BIG,
            Violation::TooManyFragments { .. } => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::ReservedBits => "reserved bits without an extension",
            Violation::ReservedOpcode => "reserved opcode",
            Violation::Length => "length in more bytes than it takes, or beyond 2^63",
            Violation::Unmasked => "client's frame without a mask",
            Violation::Masked => "server's frame with a mask",
            Violation::LongControl => "control frame of more than 125 bytes",
            Violation::FragmentedControl => "control frame in fragments",
            Violation::Continuation => "continuation of no message",
            Violation::Interleaved => "message inside another",
            Violation::NotUtf8 => "text that is not UTF-8",
            Violation::BadClose => "close that is none",
            Violation::MessageTooLong { limit } => {
                return write!(f, "message of more than {limit} bytes");
            }
            Violation::TooManyFragments { limit } => {
                return write!(f, "message of more than {limit} fragments");
            }
            Violation::Truncated => "the connection ended without a close",
        })
    }
}

impl Error for Violation {}
