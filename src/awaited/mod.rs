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

mod await_protocol;
mod datagrams;
mod events;
mod handling;
mod spare;

pub use datagrams::{AsyncDatagramProtocol, AwaitedDatagrams};
pub use events::{Event, Events};

use crate::await_protocol;
use crate::failure::{Failure, Result};
use crate::protocol::Protocol;
use crate::transport::Transport;
use handling::Handling;
use std::convert::Infallible;
use std::fmt;
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
    /// Bytes arrived; where they are cut means nothing. The next come when it has returned.
    #[doc(alias = "dataReceived")]
    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result;

    await_protocol!(defaults);
}

/// An `async` closure is a protocol that is called with bytes.
///
/// ```
/// use ropewalk::awaited::Awaited;
/// use ropewalk::{Address, Reactor, Transport};
/// use std::time::Duration;
///
/// let reactor = Reactor::new()?;
/// reactor.listen("127.0.0.1:0", |_: &Address| {
///     Awaited::new(async |transport: &Transport, data: &[u8]| {
///         transport.reactor().sleep(Duration::from_millis(10)).await;
///         transport.write(data);
///         Ok(())
///     })
/// })?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
impl<F: AsyncFnMut(&Transport, &[u8]) -> Result> AsyncProtocol for F {
    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self(transport, data).await
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

    /// Begins to have handlers awaited, once; for a trait of your own, as `connection_made` of an `impl`.
    ///
    /// `drive` calls the handlers, without end; `tell_lost` is what tells the protocol of the loss.
    pub fn begin<F: Future<Output = Infallible> + 'static>(
        &mut self,
        transport: &Transport,
        tell_lost: fn(&mut P, &Failure),
        drive: impl FnOnce(Events<P>) -> F,
    ) where
        P: 'static,
    {
        let Some(protocol) = self.protocol.take() else { return };
        let drive = |driven| drive(Events(driven));
        self.handling = Some(Handling::new(protocol, transport, tell_lost, drive));
        self.handle(transport, Event::Made);
    }

    /// Has an event handled, now or after those that are; for a trait of your own.
    pub fn handle(&self, transport: &Transport, event: Event) {
        let Some(handling) = &self.handling else { return };
        if let Err(failure) = handling.handle(event, &[]) {
            transport.fail("unhandled failure in a handler", failure);
        }
    }

    /// As `handle`, for what was received; a failure that is known by now is returned.
    #[inline]
    pub fn receive(&self, received: &[u8]) -> Result {
        match &self.handling {
            Some(handling) => handling.handle(Event::Received, received),
            None => Ok(()),
        }
    }

    /// Drops the handler that waits, and tells the protocol; for a trait of your own, as `connection_lost`.
    pub fn lose(&self, reason: &Failure) {
        if let Some(handling) = &self.handling {
            handling.lose(reason.clone());
        }
    }

    /// The peer takes less than is written, or enough again; for a trait of your own, as `pause_writing` and
    /// `resume_writing`.
    pub fn set_full(&self, is_full: bool) {
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

impl<P: AsyncProtocol + 'static> Protocol for Awaited<P> {
    await_protocol!(P: data_received);
}
