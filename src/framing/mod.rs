//! Framings: bytes become lines, netstrings or strings with a length before them.
//!
//! A framing is a [`Protocol`](crate::Protocol) around a smaller one. It cuts what arrives, wherever
//! the network cut it before, and calls the smaller protocol once for each whole piece. A piece that
//! is all in one read is handed over where it lies, without a copy; the unfinished rest is kept.
//!
//! # Deviations from Twisted
//! A protocol's mode (lines or raw bytes) is asked of it instead of being set on the receiver, so that
//! no call can come back into a call. A delimiter that is cut by the network never makes a line too
//! long (Twisted's `LineOnlyReceiver` thinks so). Limits hold for sending as well.
//!
//! # A program
//!
//! ```
//! use ropewalk::framing::{
//!     Int8Receiver, Int16Receiver, Int32Receiver, LineProtocol, LineReceiver, StringProtocol, send_int,
//!     send_line,
//! };
//! use ropewalk::{Address, Reactor, Result, Transport};
//!
//! /// Says each word back.
//! struct Echo;
//! impl LineProtocol for Echo {
//!     fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
//!         Ok(send_line(transport, line)?)
//!     }
//! }
//! impl StringProtocol for Echo {
//!     fn string_received(&mut self, transport: &Transport, string: &[u8]) -> Result {
//!         Ok(send_int::<u16>(transport, string, 1000)?)
//!     }
//! }
//! let reactor = Reactor::new()?;
//! let lines = |_: &Address| LineReceiver::new(Echo).max_length(200).delimiter(b"\n");
//! reactor.listen("127.0.0.1:0", lines)?;
//! reactor.listen("127.0.0.1:0", |_: &Address| Int16Receiver::new(Echo).max_length(1000))?;
//! # let _ = |protocol: Echo| Int8Receiver::new(protocol);
//! # let _ = |protocol: Echo| Int32Receiver::new(protocol);
//! # Ok::<(), ropewalk::Failure>(())
//! ```

// # Invariants
// * Every framing has a limit, on unless raised: what one peer makes this end keep is bounded.
// * Once reading is paused or the connection is being lost, no further piece is delivered, not even
//   one that is here already. `resume_reading` delivers what was kept, in order.
// * The peer's end is told after every whole piece that came before it.
// * A peer that breaks the framing loses its connection; `ConnectionLost`
//   says why, and nothing is reported: it is the peer's mistake.
//
// # Not here
// Framings for streams: the extensions of `AsyncBufRead` cut lines there.

/// How a framing is a protocol. It needs a `protocol`, a `kept` and a `deliver`.
macro_rules! cuts_pieces {
    () => {
        $crate::forward_protocol!(self.protocol: all except data_received, reading_resumed, read_closed);

        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            self.deliver(transport, data)
        }

        fn reading_resumed(&mut self, transport: &Transport) -> Result {
            self.deliver(transport, &[])?;
            if self.kept.may_tell_end(transport) {
                self.protocol.read_closed(transport);
            }
            Ok(())
        }

        fn read_closed(&mut self, transport: &Transport) {
            self.kept.note_end();
            if self.kept.may_tell_end(transport) {
                self.protocol.read_closed(transport);
            }
        }
    };
}

mod awaited;
mod int;
mod line;
mod netstring;
mod reachable;
#[cfg(test)]
mod tests;
mod unconsumed;

pub use awaited::{AsyncLineProtocol, AsyncStringProtocol};
pub use int::{Int8Receiver, Int16Receiver, Int32Receiver, IntReceiver, Prefix, send_int};
pub use line::{LineProtocol, LineReceiver, send_line};
pub use netstring::{NetstringReceiver, send_netstring};
pub use unconsumed::Unconsumed;

use crate::failure::{Failure, Result};
use crate::forward_protocol;
use crate::transport::{ConnectionLost, Transport};
use std::fmt;
use std::io;

/// Meaning for strings of bytes that have their length with them, whatever way it is written.
///
/// ```
/// use ropewalk::framing::{NetstringReceiver, StringProtocol, send_netstring};
/// use ropewalk::{Address, Reactor, Result, Transport};
///
/// struct Echo;
/// impl StringProtocol for Echo {
///     fn string_received(&mut self, transport: &Transport, string: &[u8]) -> Result {
///         Ok(send_netstring(transport, string, 1000)?)
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.listen("127.0.0.1:0", |_: &Address| NetstringReceiver::new(Echo).max_length(1000))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub trait StringProtocol {
    /// A whole string arrived; it may be empty.
    ///
    /// An error ends the connection, and is what `connection_lost` is told.
    #[doc(alias = "stringReceived")]
    fn string_received(&mut self, transport: &Transport, string: &[u8]) -> Result;

    /// The peer announced a string that is longer than the limit; the string itself is not here.
    ///
    /// The default is an error that names the peer. After `Ok` the connection is lost in order: there
    /// is no telling where the next string begins.
    #[doc(alias = "lengthLimitExceeded")]
    fn length_limit_exceeded(&mut self, transport: &Transport, length: usize) -> Result {
        Err(broken(transport, format!("it announced a string of {length} bytes, over the limit")))
    }

    forward_protocol!(defaults);
}

/// The limit of strings unless it is raised or lowered; Twisted's own.
#[doc(alias = "MAX_LENGTH")]
pub const MAX_STRING: usize = 99_999;

/// A string was to be sent that the framing, or the limit, does not allow; nothing was sent.
///
/// ```
/// use ropewalk::framing::TooLong;
///
/// let error = TooLong { length: 300, limit: 255 };
/// assert_eq!(error.to_string(), "300 bytes were to be sent where at most 255 are allowed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "StringTooLongError")]
pub struct TooLong {
    /// How many bytes were to be sent.
    pub length: usize,
    /// How many are allowed.
    pub limit: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooLong { length, limit } = self;
        write!(f, "{length} bytes were to be sent where at most {limit} are allowed")
    }
}

impl std::error::Error for TooLong {}

/// The end of a connection whose peer broke the framing.
fn broken(transport: &Transport, how: String) -> Failure {
    let how = io::Error::new(io::ErrorKind::InvalidData, how);
    ConnectionLost::new(transport.peer(), how).into()
}
