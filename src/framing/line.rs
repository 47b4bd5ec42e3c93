//! Lines, and raw bytes between them.

use super::unconsumed::Unconsumed;
use super::{TooLong, broken};
use crate::failure::{Failure, Result};
use crate::forward_protocol;
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::borrow::Cow;
use std::io::IoSlice;

/// Meaning for lines.
///
/// ```
/// use ropewalk::framing::{LineProtocol, LineReceiver, send_line};
/// use ropewalk::{Address, Reactor, Result, Transport};
///
/// struct Greeter;
/// impl LineProtocol for Greeter {
///     fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
///         Ok(send_line(transport, &[b"hello, ", line].concat())?)
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.listen("127.0.0.1:0", |_: &Address| LineReceiver::new(Greeter))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub trait LineProtocol {
    /// A whole line arrived, here without its delimiter.
    ///
    /// An error ends the connection, and is what `connection_lost` is told.
    #[doc(alias = "lineReceived")]
    fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result;

    /// Whether the bytes that come next are raw ones instead of lines; asked before each delivery.
    ///
    /// ```
    /// use ropewalk::framing::LineProtocol;
    /// use ropewalk::{Result, Transport};
    ///
    /// /// Each line is a number: so many raw bytes follow it.
    /// struct Blobs { missing: usize }
    /// impl LineProtocol for Blobs {
    ///     fn line_received(&mut self, _: &Transport, line: &[u8]) -> Result {
    ///         self.missing = std::str::from_utf8(line)?.parse()?;
    ///         Ok(())
    ///     }
    ///     fn is_raw(&self) -> bool {
    ///         self.missing > 0
    ///     }
    ///     fn raw_data_received(&mut self, _: &Transport, data: &[u8]) -> Result<usize> {
    ///         let mine = data.len().min(self.missing);
    ///         self.missing -= mine;
    ///         Ok(mine) // what follows them is lines again
    ///     }
    /// }
    /// ```
    #[doc(alias = "setRawMode")]
    #[doc(alias = "setLineMode")]
    fn is_raw(&self) -> bool {
        false
    }

    /// Raw bytes arrived; says how many were taken, from the first on. The others are offered again:
    /// as lines if [`is_raw`](LineProtocol::is_raw) says so, else when more have come.
    #[doc(alias = "rawDataReceived")]
    fn raw_data_received(&mut self, transport: &Transport, data: &[u8]) -> Result<usize> {
        let _ = transport;
        Ok(data.len())
    }

    /// The peer sent a line over the limit; `start` is what is here, and more than the limit.
    ///
    /// The default is an error that names the peer. After `Ok`, those bytes are skipped.
    #[doc(alias = "lineLengthExceeded")]
    fn line_length_exceeded(
        &mut self,
        transport: &Transport,
        start: &[u8],
        limit: usize,
    ) -> Result {
        let _ = start;
        Err(broken(transport, format!("it sent a line over {limit} bytes")))
    }

    forward_protocol!(defaults);
}

/// The protocol around a [`LineProtocol`]: cuts what arrives into lines.
///
/// Lines end with `\r\n` and have at most 16 384 bytes without it, unless told otherwise.
#[doc(alias = "LinesCodec")]
#[doc(alias = "Framed")]
#[derive(Debug)]
pub struct LineReceiver<P> {
    protocol: P,
    delimiter: Cow<'static, [u8]>,
    max_length: usize,
    kept: Unconsumed,
    /// So many of the bytes kept are known to hold no delimiter, unless its end is still to come.
    searched: usize,
}

/// Twisted's own limit.
const MAX_LINE: usize = 16_384;

impl<P: LineProtocol> LineReceiver<P> {
    /// Around a protocol, with the usual delimiter and limit.
    pub fn new(protocol: P) -> LineReceiver<P> {
        let (delimiter, kept) = (Cow::Borrowed(&b"\r\n"[..]), Unconsumed::default());
        LineReceiver { protocol, delimiter, max_length: MAX_LINE, kept, searched: 0 }
    }

    /// What ends a line. An empty delimiter would end none: it is taken for `\n`.
    ///
    /// ```
    /// # use ropewalk::framing::{LineProtocol, LineReceiver};
    /// # fn receiver(protocol: impl LineProtocol) -> LineReceiver<impl LineProtocol> {
    /// LineReceiver::new(protocol).delimiter(b"\n").max_length(512)
    /// # }
    /// ```
    #[must_use]
    pub fn delimiter(mut self, delimiter: impl Into<Vec<u8>>) -> LineReceiver<P> {
        let delimiter = delimiter.into();
        self.delimiter = Cow::Owned(if delimiter.is_empty() { vec![b'\n'] } else { delimiter });
        self
    }

    /// How many bytes a line may have, without its delimiter.
    #[doc(alias = "MAX_LENGTH")]
    #[must_use]
    pub fn max_length(mut self, limit: usize) -> LineReceiver<P> {
        self.max_length = limit;
        self
    }

    fn deliver(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let mut kept = std::mem::take(&mut self.kept);
        let outcome = kept.deliver(transport, data, |rest| self.step(transport, rest));
        self.kept = kept;
        outcome
    }

    fn step(&mut self, transport: &Transport, rest: &[u8]) -> Result<usize> {
        if self.protocol.is_raw() {
            self.searched = 0;
            let taken = self.protocol.raw_data_received(transport, rest)?.min(rest.len());
            if taken > 0 || self.protocol.is_raw() {
                return self.note_raw(taken, rest.len());
            }
        }
        let end = match self.find_delimiter(rest) {
            Some(end) if end <= self.max_length => end,
            // What is here may be the longest line allowed and the delimiter's first bytes.
            None if rest.len() < self.max_length.saturating_add(self.delimiter.len()) => {
                self.searched = rest.len();
                return Ok(0);
            }
            _ => return self.too_long(transport, rest),
        };
        self.searched = 0;
        self.protocol.line_received(transport, &rest[..end])?;
        Ok(end + self.delimiter.len())
    }

    fn find_delimiter(&self, rest: &[u8]) -> Option<usize> {
        let from = self.searched.saturating_sub(self.delimiter.len() - 1);
        find(rest.get(from..)?, &self.delimiter).map(|at| from + at)
    }

    fn too_long(&mut self, transport: &Transport, rest: &[u8]) -> Result<usize> {
        self.searched = 0;
        self.protocol.line_length_exceeded(transport, rest, self.max_length)?;
        Ok(rest.len())
    }

    /// Raw bytes that the protocol leaves are kept for it, but not without limit.
    fn note_raw(&self, taken: usize, offered: usize) -> Result<usize> {
        let limit = self.max_length;
        if taken == 0 && offered > limit {
            let text = format!("the protocol took none of {offered} raw bytes; {limit} may wait");
            return Err(Failure::msg(text));
        }
        Ok(taken)
    }
}

impl<P: LineProtocol> Protocol for LineReceiver<P> {
    cuts_pieces!();
}

fn find(data: &[u8], delimiter: &[u8]) -> Option<usize> {
    let (last, first) = delimiter.split_last()?;
    let mut from = first.len();
    while let Some(at) = data.get(from..)?.iter().position(|byte| byte == last) {
        let end = from + at;
        if data[..end].ends_with(first) {
            return Some(end - first.len());
        }
        from = end + 1;
    }
    None
}

/// Sends a line and `\r\n`; fails if there is a line break in it, or more than 16 384 bytes.
///
/// ```
/// use ropewalk::framing::send_line;
/// use ropewalk::{Protocol, Result, Transport};
///
/// struct Greeter;
/// impl Protocol for Greeter {
///     fn connection_made(&mut self, transport: &Transport) {
///         send_line(transport, "220 ready").expect("it is one short line");
///     }
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// ```
#[doc(alias = "sendLine")]
pub fn send_line(transport: &Transport, line: impl AsRef<[u8]>) -> Result<(), TooLong> {
    let line = line.as_ref();
    // A line break inside would be a line that the caller did not mean to send.
    let limit = find(line, b"\r\n").unwrap_or(MAX_LINE).min(MAX_LINE);
    if line.len() > limit {
        return Err(TooLong { length: line.len(), limit });
    }
    transport.write_vectored(&[IoSlice::new(line), IoSlice::new(b"\r\n")]);
    Ok(())
}
