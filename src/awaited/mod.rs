//! Protocols whose callbacks are `async fn`: each is awaited to its end before the next is called.
//!
//! [`Awaited`] makes a [`Protocol`] of an [`AsyncProtocol`], as a receiver does of a protocol for lines.
//! So it goes wherever protocols go: ports and clients of any kind, policies, TLS, programs, tests.
//! [`AsyncLineProtocol`](crate::framing::AsyncLineProtocol) and
//! [`AsyncStringProtocol`](crate::framing::AsyncStringProtocol) go into the receivers of
//! [`framing`](crate::framing), with the same limits.
//!
//! ```
//! use ropewalk::awaited::{AsyncProtocol, Awaited};
//! use ropewalk::{Address, Reactor, Result, Transport};
//! use std::time::Duration;
//!
//! /// Thinks before it answers.
//! struct Echo;
//! impl AsyncProtocol for Echo {
//!     async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         transport.reactor().sleep(Duration::from_millis(10)).await;
//!         transport.write(data);
//!         Ok(())
//!     }
//! }
//! let reactor = Reactor::new()?;
//! reactor.listen("127.0.0.1:0", |_: &Address| Awaited::new(Echo))?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # The order of events
//! 1. `connection_made`, then `data_received` for the bytes in their order, `read_closed` after the last
//!    of them, `write_closed` when this half ended. Each begins when the one before it has returned.
//! 2. A handler is polled at once, in the callback that it stands for; one that waits goes on in a task.
//!    While it waits nothing is read: the peer is held back, whoever calls `resume_reading`. A pause that
//!    somebody asked for meanwhile begins when the handler is done.
//! 3. While more than 64 KiB wait for the peer to take them, nothing is read either, until it has taken
//!    all but 16 KiB: two ends that first write much and then read need
//!    [`reads_while_full`](Awaited::reads_while_full). A handler that writes much awaits
//!    [`Transport::drained`].
//! 4. The peer's end of its half ends no handler: `read_closed` comes after it. Nor does
//!    `lose_connection` inside a handler: it runs on until the connection is lost.
//! 5. The connection is lost: a handler that waits is dropped where it waits, before what it waits for
//!    fails; then `connection_lost` is called, once and last, and the protocol is dropped.
//! 6. A handler that fails or panics resets the connection, is reported once with the line where it
//!    failed, and is the reason that `connection_lost` is told. What was written before still goes out
//!    if the system takes it. No other handler is called.
//!
//! What a handler writes goes out together: before its first wait when the callback returns, after it at
//! the end of the turn.
//!
//! # Deviations from Twisted
//! | Twisted | here |
//! |---|---|
//! | `async def dataReceived` is not awaited: bytes that come later overtake it, and its failure is lost. `ensureDeferred` starts it, and the protocol pauses its transport by hand. | It is awaited, and nothing is read meanwhile. |
//! | Nothing ends a coroutine when its connection is lost. | It is dropped. |
//! | `pauseProducing` is a callback of the protocol. | The adapter does it: an awaited protocol has no `pause_writing`. |

// The adapter is a protocol among protocols, and not a face of its own over a stream: so whatever
// wraps, counts or cuts for protocols does for these. Its price is one copy of what is read, because a
// handler may keep its bytes longer than the reactor its buffer.

mod datagrams;
mod events;
mod handling;
mod lent;

pub use datagrams::{AsyncDatagramProtocol, AwaitedDatagrams};

pub(crate) use events::{Event, Events};
pub(crate) use handling::Handling;

use crate::failure::{Failure, Result};
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Meaning for the bytes of one connection, as async callbacks.
///
/// The rules are those of the [module](self).
///
/// ```
/// use ropewalk::awaited::{AsyncProtocol, Awaited};
/// use ropewalk::simulation::Simulation;
/// use ropewalk::{Address, Result, Transport};
///
/// struct Motd;
/// impl AsyncProtocol for Motd {
///     async fn connection_made(&mut self, transport: &Transport) -> Result {
///         let reactor = transport.reactor();
///         let peer = reactor.open("names:43").await?.peer();
///         transport.write(format!("I asked {peer}\n"));
///         Ok(())
///     }
///     async fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// let simulation = Simulation::new(1);
/// let server = simulation.host("server").reactor();
/// server.listen("0.0.0.0:7", |_: &Address| Awaited::new(Motd))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[allow(async_fn_in_trait, reason = "a reactor has one thread: nobody asks whether they are Send")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no async protocol",
    note = "`async fn data_received` is all that `impl AsyncProtocol` asks for"
)]
#[doc(alias = "IProtocol")]
#[doc(alias = "async_callback")]
pub trait AsyncProtocol {
    /// The connection is there; what it awaits is awaited before the first bytes are read.
    #[doc(alias = "connectionMade")]
    async fn connection_made(&mut self, transport: &Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// Bytes arrived; where they are cut means nothing. The next come when it has returned.
    #[doc(alias = "dataReceived")]
    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result;

    /// The peer will send nothing more. The default ends the connection, after what was written.
    #[doc(alias = "readConnectionLost")]
    async fn read_closed(&mut self, transport: &Transport) -> Result {
        transport.lose_connection();
        Ok(())
    }

    /// Nothing more can be written: `lose_write_connection` was called, and its time has come.
    #[doc(alias = "writeConnectionLost")]
    async fn write_closed(&mut self, transport: &Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A descriptor came through a Unix socket, with the bytes that are received next. The default
    /// closes it.
    #[doc(alias = "fileDescriptorReceived")]
    async fn file_descriptor_received(
        &mut self,
        transport: &Transport,
        descriptor: OwnedFd,
    ) -> Result {
        let _ = (transport, descriptor);
        Ok(())
    }

    /// The connection has ended; see [`Protocol::connection_lost`]. A handler that waited is dropped.
    #[doc(alias = "connectionLost")]
    fn connection_lost(&mut self, reason: &Failure) {
        let _ = reason;
    }
}

/// The protocol around one whose callbacks are awaited.
///
/// A [`Protocol`] around an [`AsyncProtocol`], and likewise for lines, for strings and for datagrams.
///
/// ```
/// use ropewalk::awaited::Awaited;
/// use ropewalk::framing::{AsyncLineProtocol, LineReceiver, send_line};
/// use ropewalk::{Address, Reactor, Result, Transport};
/// use std::time::Duration;
///
/// struct Greeter;
/// impl AsyncLineProtocol for Greeter {
///     async fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
///         transport.reactor().sleep(Duration::from_millis(10)).await;
///         Ok(send_line(transport, &[b"hello, ", line].concat())?)
///     }
/// }
/// let reactor = Reactor::new()?;
/// let greet = |_: &Address| LineReceiver::new(Awaited::new(Greeter)).max_length(100);
/// reactor.listen("127.0.0.1:0", greet)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct Awaited<P> {
    /// Until the connection is made; then the handlers have it.
    protocol: Option<P>,
    handling: Option<Rc<Handling<Transport, Event>>>,
    reads_while_full: bool,
}

impl<P> Awaited<P> {
    /// Around a protocol, for one connection.
    pub fn new(protocol: P) -> Awaited<P> {
        Awaited { protocol: Some(protocol), handling: None, reads_while_full: false }
    }

    /// Goes on reading while more than 64 KiB wait for the peer to take them.
    ///
    /// For two ends that first write much and then read: else they would wait for each other for ever.
    /// A peer that never reads makes the memory grow then.
    ///
    /// ```
    /// # use ropewalk::awaited::{AsyncProtocol, Awaited};
    /// # fn awaited(protocol: impl AsyncProtocol) -> Awaited<impl AsyncProtocol> {
    /// Awaited::new(protocol).reads_while_full()
    /// # }
    /// ```
    #[must_use]
    pub fn reads_while_full(mut self) -> Awaited<P> {
        self.reads_while_full = true;
        self
    }

    /// Begins to handle events; once.
    pub(crate) fn begin(&mut self, begin: impl FnOnce(P) -> Rc<Handling<Transport, Event>>) {
        if let Some(protocol) = self.protocol.take() {
            self.handling = Some(begin(protocol));
        }
    }

    /// Has the event handled, now or after those that are; a failure that is known by now is returned.
    #[inline]
    pub(crate) fn handle(&self, event: Event) -> Result {
        match &self.handling {
            Some(handling) => handling.handle(event),
            None => Ok(()),
        }
    }

    /// As `handle`, for bytes.
    #[inline]
    pub(crate) fn handle_bytes(&self, data: &[u8]) -> Result {
        match &self.handling {
            Some(handling) => handling.handle(Event::Bytes(handling.lend(data))),
            None => Ok(()),
        }
    }

    /// As `handle`, for callbacks that cannot fail.
    pub(crate) fn handle_or_fail(&self, transport: &Transport, event: Event) {
        if let Err(failure) = self.handle(event) {
            transport.fail("unhandled failure in a handler", failure);
        }
    }

    pub(crate) fn lose(&self, reason: &Failure) {
        if let Some(handling) = &self.handling {
            handling.lose(reason.clone());
        }
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        match &self.handling {
            Some(handling) if !self.reads_while_full => handling.set_full(is_full),
            _ => {}
        }
    }
}

impl<P> Drop for Awaited<P> {
    fn drop(&mut self) {
        if let Some(handling) = &self.handling {
            handling.abandon();
        }
    }
}

impl<P> fmt::Debug for Awaited<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awaited").finish_non_exhaustive()
    }
}

/// Has each event handled by the method of its name, bytes by this one.
macro_rules! event_handler {
    ($name:ident, $trait:ident, $received:ident) => {
        #[inline(always)]
        async fn $name<P: $trait>(
            protocol: &mut P,
            transport: &Transport,
            events: &Events<Event>,
        ) -> Result {
            match events.take() {
                Some(Event::Bytes(bytes)) => protocol.$received(transport, &bytes).await,
                Some(Event::Made) => protocol.connection_made(transport).await,
                Some(Event::ReadClosed) => protocol.read_closed(transport).await,
                Some(Event::WriteClosed) => protocol.write_closed(transport).await,
                Some(Event::Descriptor(descriptor)) => {
                    protocol.file_descriptor_received(transport, descriptor).await
                }
                None => Ok(()),
            }
        }
    };
}

event_handler!(handle, AsyncProtocol, data_received);

/// The events of a connection that a framing and its async protocols pass on alike.
macro_rules! awaits_events {
    ($handle:path, $lose:path) => {
        fn connection_made(&mut self, transport: &Transport) {
            self.begin(|protocol| Handling::new(protocol, transport, $handle, $lose));
            self.handle_or_fail(transport, Event::Made);
        }

        fn connection_lost(&mut self, reason: &Failure) {
            self.lose(reason);
        }

        fn read_closed(&mut self, transport: &Transport) {
            self.handle_or_fail(transport, Event::ReadClosed);
        }

        fn write_closed(&mut self, transport: &Transport) {
            self.handle_or_fail(transport, Event::WriteClosed);
        }

        fn file_descriptor_received(
            &mut self,
            transport: &Transport,
            descriptor: std::os::fd::OwnedFd,
        ) {
            self.handle_or_fail(transport, Event::Descriptor(descriptor));
        }

        fn pause_writing(&mut self, _: &Transport) {
            self.set_full(true);
        }

        fn resume_writing(&mut self, _: &Transport) {
            self.set_full(false);
        }
    };
}

pub(crate) use {awaits_events, event_handler};

impl<P: AsyncProtocol + 'static> Protocol for Awaited<P> {
    #[inline]
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.handle_bytes(data)
    }

    awaits_events!(handle, P::connection_lost);
}
