//! Lines and strings for handlers that are awaited, inside the receivers that all have.

use super::{LineProtocol, StringProtocol};
use crate::await_protocol;
use crate::awaited::Awaited;
use crate::failure::Result;
use crate::transport::Transport;

/// Meaning for lines, as async callbacks: the next line waits until the handler of this one is done.
///
/// It goes into a [`LineReceiver`](super::LineReceiver) inside an [`Awaited`], whose page has the rules.
/// Bytes that are no lines have [`LineProtocol::is_raw`] or [`AsyncProtocol`](crate::awaited::AsyncProtocol).
///
/// ```
/// use ropewalk::awaited::Awaited;
/// use ropewalk::framing::{AsyncLineProtocol, LineReceiver, send_line};
/// use ropewalk::{Address, Reactor, Result, Transport};
///
/// struct Finger;
/// impl AsyncLineProtocol for Finger {
///     async fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
///         let name = String::from_utf8(line.to_vec())?;
///         let known = transport.reactor().defer_to_thread(move || Ok(name.len() < 9)).await?;
///         Ok(send_line(transport, if known { "known" } else { "unknown" })?)
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.listen("127.0.0.1:0", |_: &Address| LineReceiver::new(Awaited::new(Finger)))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[allow(async_fn_in_trait, reason = "a reactor has one thread: nobody asks whether they are Send")]
pub trait AsyncLineProtocol {
    /// A whole line arrived, here without its delimiter.
    ///
    /// An error resets the connection, and is what `connection_lost` is told.
    #[doc(alias = "lineReceived")]
    async fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result;

    await_protocol!(defaults);
}

/// Meaning for strings with their length before them, as async callbacks.
///
/// It goes into a [`NetstringReceiver`](super::NetstringReceiver) or an
/// [`IntReceiver`](super::IntReceiver) inside an [`Awaited`], whose page has the rules.
///
/// ```
/// use ropewalk::awaited::Awaited;
/// use ropewalk::framing::{AsyncStringProtocol, NetstringReceiver, send_netstring};
/// use ropewalk::{Address, Reactor, Result, Transport};
///
/// struct Echo;
/// impl AsyncStringProtocol for Echo {
///     async fn string_received(&mut self, transport: &Transport, string: &[u8]) -> Result {
///         transport.reactor().yield_now().await;
///         Ok(send_netstring(transport, string, 1000)?)
///     }
/// }
/// let reactor = Reactor::new()?;
/// let echo = |_: &Address| NetstringReceiver::new(Awaited::new(Echo)).max_length(1000);
/// reactor.listen("127.0.0.1:0", echo)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[allow(async_fn_in_trait, reason = "a reactor has one thread: nobody asks whether they are Send")]
pub trait AsyncStringProtocol {
    /// A whole string arrived; it may be empty.
    ///
    /// An error resets the connection, and is what `connection_lost` is told.
    #[doc(alias = "stringReceived")]
    async fn string_received(&mut self, transport: &Transport, string: &[u8]) -> Result;

    await_protocol!(defaults);
}

impl<P: AsyncLineProtocol + 'static> LineProtocol for Awaited<P> {
    await_protocol!(P: line_received);
}

impl<P: AsyncStringProtocol + 'static> StringProtocol for Awaited<P> {
    await_protocol!(P: string_received);
}
