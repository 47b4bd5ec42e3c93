//! Connections that wait for a task to ask for them.
//!
//! # Invariants
//! * At most [`AHEAD`] streams wait here beside those whose handshakes were under way when it became full:
//!   the port asks before it accepts, and leaves the others to the system's backlog.
//! * Nothing is borrowed while a stream is dropped or a waker is called.

use crate::address::Address;
use crate::driver::AnyStream;
use crate::net::Port;
use crate::net::connection::Connection;
use crate::net::listen::Acceptor;
use crate::reactor::Loop;
use crate::stream::Stream;
use futures_core::{FusedStream, Stream as Items};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Accepted connections, one after the other, for a task to ask for; dropping it closes the port.
///
/// It is a futures [`Stream`](futures_core::Stream) of [`Stream`]s, so `listener.next().await` gives the
/// next one, and the combinators of `futures-util` work:
///
/// ```
/// use ropewalk::prelude::*;
///
/// let reactor = Reactor::new()?;
/// let mut listener = reactor.accept("127.0.0.1:0")?;
/// let address = listener.host();
/// reactor.spawn(async move {
///     while let Some(mut stream) = listener.next().await {
///         stream.write_all(b"one at a time\r\n").await?;
///     }
///     Ok(())
/// });
/// let opening = reactor.open(&address);
/// let greeting = reactor.run_until(async move {
///     let mut greeting = String::new();
///     opening.await?.read_to_string(&mut greeting).await?;
///     Ok(greeting)
/// })?;
/// assert_eq!(greeting, "one at a time\r\n");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
///
/// # Rules
/// * **Back-pressure.** Up to 64 connections are accepted ahead of who asks; the others wait in the
///   system's backlog until there is room.
/// * **Errors.** There are none to handle: what passes (no descriptors, no memory) is waited for and reported,
///   a connection that was reset while it waited is skipped, and if the socket can accept no more, that
///   is reported and the listener ends: `next` gives `None`.
/// * **Handshakes**, of TLS or of a PROXY header, are over when a stream is given; one that fails is the
///   peer's fault ([`on_peer_fault`](crate::on_peer_fault)), and nobody sees it. A slow one holds up nobody.
/// * **The end.** Dropping it closes the port, and loses those that were accepted and not asked for. When its
///   port is stopped, through [`port`](Listener::port) or with the reactor, it gives those first, and
///   then `None`.
/// * A stream that waits here is read by nobody: its peer is held back once the system's buffers are full.
#[doc(alias = "TcpListener")]
#[doc(alias = "UnixListener")]
#[doc(alias = "Incoming")]
#[must_use = "dropping a listener closes its port"]
pub struct Listener {
    port: Port,
    /// Borrowed for one change; no stream is dropped and nobody woken meanwhile.
    waiting: Rc<RefCell<Waiting>>,
}

/// So many streams wait to be asked for, before the system's backlog has the others.
const AHEAD: usize = 64;

/// What the port and the listener share.
#[derive(Default)]
struct Waiting {
    streams: VecDeque<Stream>,
    waker: Option<Waker>,
    /// No more will come.
    is_closed: bool,
    /// Nobody will ask.
    is_dropped: bool,
}

impl Listener {
    /// A listener, and what its port does with the connections.
    pub(super) fn open(
        listen: impl FnOnce(Box<dyn Acceptor>) -> crate::Result<Port>,
    ) -> crate::Result<Listener> {
        let waiting = Rc::<RefCell<Waiting>>::default();
        let port = listen(Box::new(Incoming(waiting.clone())))?;
        Ok(Listener { port, waiting })
    }

    /// The address that is listened at; the real port where 0 was asked for.
    #[doc(alias = "local_addr")]
    pub fn host(&self) -> Address {
        self.port.host()
    }

    /// The port behind it, with which somebody else can stop it.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// let mut listener = reactor.accept("127.0.0.1:0")?;
    /// let port = listener.port();
    /// reactor.run_until(port.stop_listening())?;
    /// assert!(reactor.run_until(async move { Ok(listener.next().await) })?.is_none());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn port(&self) -> Port {
        self.port.clone()
    }
}

impl Listener {
    fn count(&self) -> usize {
        self.waiting.borrow().streams.len()
    }

    fn take(&self) -> Option<Stream> {
        self.waiting.borrow_mut().streams.pop_front()
    }
}

impl Items for Listener {
    type Item = Stream;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Stream>> {
        let was_full = self.count() >= AHEAD;
        if let Some(stream) = self.take() {
            if was_full {
                self.port.accept_again();
            }
            return Poll::Ready(Some(stream));
        }
        if self.waiting.borrow().is_closed {
            return Poll::Ready(None);
        }
        let former = self.waiting.borrow_mut().waker.replace(context.waker().clone());
        drop(former);
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let waiting = self.waiting.borrow();
        let count = waiting.streams.len();
        (count, waiting.is_closed.then_some(count))
    }
}

impl FusedStream for Listener {
    fn is_terminated(&self) -> bool {
        let waiting = self.waiting.borrow();
        waiting.is_closed && waiting.streams.is_empty()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.waiting.borrow_mut().is_dropped = true;
        // Nobody waits until the factory was told.
        drop(self.port.stop_listening());
        while let Some(stream) = self.take() {
            drop(stream);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Listener");
        f.field("host", &self.host()).field("waiting", &self.count()).finish_non_exhaustive()
    }
}

/// The port's side: keeps each connection until it is asked for.
struct Incoming(Rc<RefCell<Waiting>>);

impl Incoming {
    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        let waker = {
            let mut waiting = self.0.borrow_mut();
            change(&mut waiting);
            waiting.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn close(&self) {
        self.change(|waiting| waiting.is_closed = true);
    }
}

impl Acceptor for Incoming {
    fn accepted(&mut self, inner: &Rc<Loop>, stream: AnyStream, peer: Address) {
        self.serve(Connection::open(inner, stream, peer));
    }

    fn serve(&mut self, connection: Rc<Connection>) {
        let stream = Stream::new(connection);
        // A handshake that was under way when the listener was dropped: the stream's drop ends it.
        if !self.0.borrow().is_dropped {
            self.change(|waiting| waiting.streams.push_back(stream));
        }
    }

    fn is_full(&self) -> bool {
        self.0.borrow().streams.len() >= AHEAD
    }

    fn stopped(&mut self) {
        self.close();
    }
}

/// A port that goes without a word, with its reactor.
impl Drop for Incoming {
    fn drop(&mut self) {
        self.close();
    }
}
