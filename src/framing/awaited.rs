//! Lines and strings for handlers that are awaited, inside the receivers that all have.

use super::{LineProtocol, StringProtocol};
use crate::awaited::{Awaited, Event, Events, Handling, awaits_events, event_handler};
use crate::failure::{Failure, Result};
use crate::transport::Transport;
use std::os::fd::OwnedFd;

macro_rules! async_events {
    () => {
        /// The connection is there; what it awaits is awaited before anything is received.
        #[doc(alias = "connectionMade")]
        async fn connection_made(&mut self, transport: &Transport) -> Result {
            let _ = transport;
            Ok(())
        }

        /// The peer will send nothing more. The default ends the connection, after what was written.
        #[doc(alias = "readConnectionLost")]
        async fn read_closed(&mut self, transport: &Transport) -> Result {
            transport.lose_connection();
            Ok(())
        }

        /// Nothing more can be written; see [`Protocol::write_closed`](crate::Protocol::write_closed).
        #[doc(alias = "writeConnectionLost")]
        async fn write_closed(&mut self, transport: &Transport) -> Result {
            let _ = transport;
            Ok(())
        }

        /// A descriptor came through a Unix socket; see [`Protocol::file_descriptor_received`](crate::Protocol::file_descriptor_received).
        #[doc(alias = "fileDescriptorReceived")]
        async fn file_descriptor_received(
            &mut self,
            transport: &Transport,
            descriptor: OwnedFd,
        ) -> Result {
            let _ = (transport, descriptor);
            Ok(())
        }

        /// The connection has ended; see [`Protocol::connection_lost`](crate::Protocol::connection_lost).
        /// A handler that waited is dropped.
        #[doc(alias = "connectionLost")]
        fn connection_lost(&mut self, reason: &Failure) {
            let _ = reason;
        }
    };
}

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

    async_events!();
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

    async_events!();
}

event_handler!(handle_line, AsyncLineProtocol, line_received);
event_handler!(handle_string, AsyncStringProtocol, string_received);

impl<P: AsyncLineProtocol + 'static> LineProtocol for Awaited<P> {
    fn line_received(&mut self, _: &Transport, line: &[u8]) -> Result {
        self.handle_bytes(line)
    }

    awaits_events!(handle_line, P::connection_lost);
}

impl<P: AsyncStringProtocol + 'static> StringProtocol for Awaited<P> {
    fn string_received(&mut self, _: &Transport, string: &[u8]) -> Result {
        self.handle_bytes(string)
    }

    awaits_events!(handle_string, P::connection_lost);
}
