//! Netstrings: `5:hello,`.

use super::unconsumed::Unconsumed;
use super::{MAX_STRING, StringProtocol, TooLong, broken};
use crate::failure::Result;
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::io::IoSlice;

/// The protocol around a [`StringProtocol`]: cuts what arrives into netstrings.
///
/// A netstring is its length in decimal digits, a colon, so many bytes and a comma. Leading zeros,
/// signs, blanks, a missing comma, and a length over the limit (99 999 bytes) end the connection.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::framing::{NetstringReceiver, StringProtocol};
/// use ropewalk::simulation::RecordingTransport;
/// use ropewalk::{Protocol, Result, Transport};
///
/// #[derive(Default)]
/// struct Words(Vec<String>);
/// impl StringProtocol for Words {
///     fn string_received(&mut self, _: &Transport, string: &[u8]) -> Result {
///         Ok(self.0.push(String::from_utf8(string.to_vec())?))
///     }
/// }
/// let recording = RecordingTransport::new();
/// let transport = recording.transport();
/// let mut receiver = NetstringReceiver::new(Words::default()).max_length(100);
/// receiver.data_received(&transport, b"4:rope,4:wa")?;
/// receiver.data_received(&transport, b"lk,")?;
/// assert!(receiver.data_received(&transport, b"101:").is_err());
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
pub struct NetstringReceiver<P> {
    protocol: P,
    max_length: usize,
    kept: Unconsumed,
}

impl<P: StringProtocol> NetstringReceiver<P> {
    /// Around a protocol, with the usual limit.
    pub fn new(protocol: P) -> NetstringReceiver<P> {
        NetstringReceiver { protocol, max_length: MAX_STRING, kept: Unconsumed::default() }
    }

    /// How many bytes a string may have.
    #[doc(alias = "MAX_LENGTH")]
    #[must_use]
    pub fn max_length(mut self, limit: usize) -> NetstringReceiver<P> {
        self.max_length = limit;
        self
    }

    fn deliver(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let NetstringReceiver { protocol, max_length, kept } = self;
        kept.deliver(transport, data, |rest| step(protocol, *max_length, transport, rest))
    }
}

fn step<P: StringProtocol>(
    protocol: &mut P,
    limit: usize,
    transport: &Transport,
    rest: &[u8],
) -> Result<usize> {
    let (length, start) = match parse_length(rest, limit) {
        Length::Whole { length, start } => (length, start),
        Length::Unfinished => return Ok(0),
        Length::Bad => return Err(broken(transport, "it sent what is no netstring".into())),
        Length::TooLong(length) => {
            protocol.length_limit_exceeded(transport, length)?;
            transport.lose_connection();
            return Ok(rest.len());
        }
    };
    // The whole of what can be addressed is a length that may be allowed.
    let end = start.saturating_add(length);
    match rest.get(end) {
        Some(b',') => protocol.string_received(transport, &rest[start..end])?,
        Some(_) => return Err(broken(transport, "it sent a netstring without its comma".into())),
        None => return Ok(0),
    }
    Ok(end + 1)
}

enum Length {
    /// The string begins at `start`.
    Whole {
        length: usize,
        start: usize,
    },
    Unfinished,
    TooLong(usize),
    Bad,
}

fn parse_length(rest: &[u8], limit: usize) -> Length {
    let mut length: usize = 0;
    for (at, &byte) in rest.iter().enumerate() {
        match byte {
            // A zero stands alone.
            b'0'..=b'9' if at == 0 || length > 0 => {
                let grown = length.checked_mul(10);
                match grown.and_then(|grown| grown.checked_add(usize::from(byte - b'0'))) {
                    Some(grown) => length = grown,
                    None => return Length::TooLong(usize::MAX),
                }
            }
            b':' if at > 0 => return Length::Whole { length, start: at + 1 },
            _ => return Length::Bad,
        }
        // Said before the digits end: a peer that sends digits forever is not waited for.
        if length > limit {
            return Length::TooLong(length);
        }
    }
    Length::Unfinished
}

impl<P: StringProtocol> Protocol for NetstringReceiver<P> {
    cuts_pieces!();
}

/// Sends a netstring, if it is no longer than the limit.
///
/// ```
/// use ropewalk::framing::{MAX_STRING, send_netstring};
/// use ropewalk::{Protocol, Result, Transport};
///
/// struct Relay;
/// impl Protocol for Relay {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         Ok(send_netstring(transport, data, MAX_STRING)?)
///     }
/// }
/// ```
#[doc(alias = "sendString")]
pub fn send_netstring(
    transport: &Transport,
    string: impl AsRef<[u8]>,
    limit: usize,
) -> Result<(), TooLong> {
    let string = string.as_ref();
    if string.len() > limit {
        return Err(TooLong { length: string.len(), limit });
    }
    let head = format!("{}:", string.len());
    let parts = [head.as_bytes(), string, b","].map(IoSlice::new);
    transport.write_vectored(&parts);
    Ok(())
}
