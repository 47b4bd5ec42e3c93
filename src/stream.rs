//! The pulling face: a connection as `AsyncRead` and `AsyncWrite`, served by an `async fn`.
//!
//! Reading goes straight into the caller's buffer. Reading through `AsyncBufRead` borrows a buffer
//! of the reactor's pool while it holds bytes: a handler that waits in `fill_buf` owns none.
//! Writing collects, and goes out at the end of the turn; it waits while 64 KiB wait for the peer.
//!
//! Dropping a stream ends its connection in order. A handler that fails or panics resets it.

use crate::address::Address;
use crate::buffer::{Buffer, LARGE};
use crate::deferred::IntoDeferred;
use crate::driver::AnyStream;
use crate::failure::{Failure, Result};
use crate::net::connection::{Connection, Unlearned};
use crate::net::listen::Acceptor;
use crate::reactor::{Draining, Loop, Reactor};
use crate::transport::Transport;
use futures_util::io::{AsyncBufRead, AsyncRead, AsyncWrite};
use std::fmt;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// One connection, for one task to read and write.
///
/// # What a write waits for
/// A write is done when its bytes are with the system or found room here: 64 KiB may wait for a peer that
/// does not take them, and a write that finds no room is pending, so that `write_all` of much takes as
/// long as the peer does, and a time limit around it counts. `flush` waits until the system has every
/// byte; what of those the peer has got only its answer tells. What was written needs no `flush` to
/// leave: it goes out when the task waits for something else, and an end in order waits for it.
///
/// ```
/// use futures_util::{AsyncReadExt, AsyncWriteExt};
/// use ropewalk::Reactor;
///
/// let reactor = Reactor::new()?;
/// let port = reactor.serve("127.0.0.1:0", async |mut stream| {
///     stream.write_all(b"hello").await?;
///     Ok(())
/// })?;
/// let greeting = reactor.open(&port.host()).add_callback(|mut stream| {
///     stream.reactor().spawn(async move {
///         let mut greeting = String::new();
///         stream.read_to_string(&mut greeting).await?;
///         Ok(greeting)
///     })
/// });
/// assert_eq!(reactor.run_until(greeting)?, "hello");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "BufReader")]
pub struct Stream {
    end: End,
    inbox: Inbox,
}

/// A stream's share in the connection, or a half's; without one the connection is lost in order.
struct End(Rc<Connection>);

impl Drop for End {
    fn drop(&mut self) {
        if !self.0.leave_half() {
            self.0.begin_losing();
        }
    }
}

impl Stream {
    pub(crate) fn new(connection: Rc<Connection>) -> Stream {
        connection.begin_stream();
        Stream { end: End(connection), inbox: Inbox::default() }
    }

    /// The handle that callbacks have: addresses, options, abort.
    ///
    /// ```
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.serve("127.0.0.1:0", async |stream| {
    ///     Ok(stream.transport().write(b"no room at the inn\r\n")) // needs no await
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn transport(&self) -> Transport {
        self.end.0.transport()
    }

    /// The reactor that this stream belongs to.
    pub fn reactor(&self) -> Reactor {
        self.end.0.reactor()
    }

    /// The other end's address.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// reactor.serve("127.0.0.1:0", async |stream| {
    ///     println!("{} has come to {}", stream.peer(), stream.host());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "getPeer")]
    #[doc(alias = "peer_addr")]
    pub fn peer(&self) -> Address {
        self.transport().peer()
    }

    /// This end's address.
    #[doc(alias = "getHost")]
    #[doc(alias = "local_addr")]
    pub fn host(&self) -> Address {
        self.transport().host()
    }

    /// Completes when the server stops, and this connection is to finish what is under way and end: the
    /// [`Protocol::drain`](crate::Protocol::drain) of this face.
    ///
    /// It borrows nothing, so that one can wait for it and for bytes together. A connection that no
    /// [owner](crate::reactor::Owner) accepted never drains.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.serve("127.0.0.1:0", async |mut stream| {
    ///     let mut line = String::new();
    ///     let Some(read) = stream.draining().or(stream.read_line(&mut line)).await else {
    ///         return Ok(stream.write_all(b"421 closing\r\n").await?);
    ///     };
    ///     println!("{} bytes", read?);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn draining(&self) -> Draining {
        self.end.0.draining()
    }

    /// The next descriptor that came with the bytes read so far, through a Unix socket.
    ///
    /// See [`Transport::send_file_descriptor`], which is the other end of it.
    ///
    /// ```
    /// use futures_util::AsyncReadExt;
    /// use ropewalk::{Result, Stream};
    /// use std::fs::File;
    ///
    /// /// The file that was passed with the byte that was read.
    /// async fn receive(stream: &mut Stream) -> Result<Option<File>> {
    ///     stream.read_exact(&mut [0]).await?;
    ///     Ok(stream.take_file_descriptor().map(File::from))
    /// }
    /// # let _ = receive;
    /// ```
    pub fn take_file_descriptor(&self) -> Option<std::os::fd::OwnedFd> {
        self.end.0.take_descriptor()
    }

    /// Two halves, for two tasks. The connection is lost when both are dropped; dropping the writing
    /// half tells the peer that nothing more comes.
    ///
    /// ```
    /// use futures_util::io::copy_buf;
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.serve("127.0.0.1:0", async |stream| {
    ///     let (reader, mut writer) = stream.split();
    ///     copy_buf(reader, &mut writer).await?; // an echo
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "copy_bidirectional")]
    #[doc(alias = "into_split")]
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        self.end.0.split();
        let end = End(self.end.0.clone());
        (ReadHalf { end: self.end, inbox: self.inbox }, WriteHalf { end })
    }
}

/// The reading half of a [`Stream`].
///
/// ```
/// use futures_util::AsyncBufReadExt;
/// use ropewalk::{ReadHalf, Result, WriteHalf};
///
/// /// Prints what comes, line by line, and says whose it was; the other half may be another task's.
/// async fn print(mut reader: ReadHalf) -> Result {
///     let mut line = String::new();
///     while reader.read_line(&mut line).await? > 0 {
///         print!("{line}");
///         line.clear();
///     }
///     println!("that was all of {}", reader.transport().peer());
///     Ok(())
/// }
///
/// fn is_open(writer: &WriteHalf) -> bool {
///     writer.transport().is_connected()
/// }
/// # let _ = (print, is_open);
/// ```
#[doc(alias = "OwnedReadHalf")]
pub struct ReadHalf {
    end: End,
    inbox: Inbox,
}

/// The writing half of a [`Stream`].
#[doc(alias = "OwnedWriteHalf")]
pub struct WriteHalf {
    end: End,
}

impl ReadHalf {
    /// The handle on the connection, as [`Stream::transport`].
    pub fn transport(&self) -> Transport {
        self.end.0.transport()
    }
}

impl WriteHalf {
    /// The handle on the connection, as [`Stream::transport`].
    pub fn transport(&self) -> Transport {
        self.end.0.transport()
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        self.end.0.transport().lose_write_connection();
    }
}

/// What was read and not consumed yet.
#[derive(Default)]
struct Inbox {
    /// Absent when that is nothing.
    buffer: Option<Box<Buffer>>,
    /// The connection's layers when it was filled.
    layers: u8,
    /// The last read filled its buffer: the next one takes a large one.
    is_busy: bool,
}

impl Inbox {
    fn poll_read(
        &mut self,
        connection: &Rc<Connection>,
        context: &mut Context<'_>,
        target: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if target.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Some(buffer) = &self.buffer else { return connection.poll_read(context, target) };
        if self.layers != connection.upgrades() {
            return Poll::Ready(self.refuse(connection));
        }
        let count = buffer.len().min(target.len());
        target[..count].copy_from_slice(&buffer.as_slice()[..count]);
        self.consume(connection, count);
        Poll::Ready(Ok(count))
    }

    // 57 instructions an echo by a stream.
    #[inline(always)]
    fn poll_fill(
        &mut self,
        connection: &Rc<Connection>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<&[u8]>> {
        if self.buffer.is_some() {
            self.check_unconsumed(connection)?;
            return Poll::Ready(Ok(self.bytes()));
        }
        // No buffer is held while there is nothing to put into it.
        if !ready!(connection.poll_bytes(context)) {
            ready!(self.poll_fill_slow(connection, context))?;
            return Poll::Ready(Ok(self.bytes()));
        }
        let mut buffer = self.lend(connection);
        match connection.read_short(buffer.space()) {
            Ok(count) => {
                buffer.fill(count);
                // It was absent: spares the drop of nothing.
                std::mem::forget(self.buffer.replace(buffer));
                // Said in each arm: where they meet it costs 10 instructions.
                Poll::Ready(Ok(self.bytes()))
            }
            Err(read) => {
                ready!(self.poll_fill_after(connection, context, buffer, read))?;
                Poll::Ready(Ok(self.bytes()))
            }
        }
    }

    /// Goes on after a read that was more than a short one, or brought nothing.
    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    fn poll_fill_after(
        &mut self,
        connection: &Rc<Connection>,
        context: &mut Context<'_>,
        mut buffer: Box<Buffer>,
        read: Unlearned,
    ) -> Poll<io::Result<()>> {
        let outcome = connection.took(read, buffer.space());
        match self.take_in(connection, buffer, outcome) {
            Some(outcome) => Poll::Ready(outcome),
            None => self.poll_fill_slow(connection, context),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| buffer.as_slice())
    }

    fn check_unconsumed(&mut self, connection: &Connection) -> io::Result<()> {
        if self.layers == connection.upgrades() {
            Ok(())
        } else {
            self.refuse(connection).map(drop)
        }
    }

    /// Forgets what came before a layer and was not asked for until now.
    #[inline(never)]
    fn refuse(&mut self, connection: &Connection) -> io::Result<usize> {
        let count = self.buffer.take().map_or(0, |buffer| buffer.len());
        connection.refuse_clear(count)
    }

    #[inline]
    fn lend(&mut self, connection: &Connection) -> Box<Buffer> {
        self.layers = connection.upgrades();
        if std::mem::take(&mut self.is_busy) {
            return connection.lend_large();
        }
        connection.lend_small()
    }

    /// Reads until there is an outcome.
    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    fn poll_fill_slow(
        &mut self,
        connection: &Rc<Connection>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(connection.poll_readable(context));
            let mut buffer = self.lend(connection);
            let outcome = connection.try_read(buffer.space());
            if let Some(outcome) = self.take_in(connection, buffer, outcome) {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Takes a buffer with what was read into it; without bytes it goes back.
    #[inline(never)]
    fn take_in(
        &mut self,
        connection: &Connection,
        mut buffer: Box<Buffer>,
        outcome: Option<io::Result<usize>>,
    ) -> Option<io::Result<()>> {
        let Some(Ok(count @ 1..)) = outcome else {
            self.is_busy = buffer.space().len() == LARGE;
            connection.take_buffer_back(buffer);
            return outcome.map(|ended| ended.map(drop));
        };
        self.is_busy = count == buffer.space().len();
        buffer.fill(count);
        self.buffer = Some(buffer);
        Some(Ok(()))
    }

    #[inline]
    fn consume(&mut self, connection: &Connection, count: usize) {
        let Some(buffer) = &mut self.buffer else { return };
        if count < buffer.len() {
            return buffer.consume(count);
        }
        if let Some(buffer) = self.buffer.take() {
            connection.take_buffer_back(buffer);
        }
    }
}

macro_rules! reads {
    ($type:ident, $end:ident => $connection:expr) => {
        impl AsyncRead for $type {
            fn poll_read(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
                target: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let Self { end: $end, inbox, .. } = &mut *self;
                inbox.poll_read($connection, context, target)
            }
        }

        impl AsyncBufRead for $type {
            fn poll_fill_buf(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<io::Result<&[u8]>> {
                let Self { end: $end, inbox, .. } = self.get_mut();
                inbox.poll_fill($connection, context)
            }

            fn consume(mut self: Pin<&mut Self>, count: usize) {
                let Self { end: $end, inbox, .. } = &mut *self;
                inbox.consume($connection, count);
            }
        }
    };
}

macro_rules! writes {
    ($type:ident) => {
        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.end.0.poll_write(context, data)
            }

            fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.end.0.poll_flush(context)
            }

            fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.end.0.poll_close(context)
            }
        }
    };
}

reads!(Stream, end => &end.0);
reads!(ReadHalf, end => &end.0);
writes!(Stream);
writes!(WriteHalf);

macro_rules! debugs {
    ($($type:ident),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let peer = self.end.0.transport().peer();
                f.debug_struct(stringify!($type)).field("peer", &peer).finish_non_exhaustive()
            }
        }
    )*};
}

debugs!(Stream, ReadHalf, WriteHalf);

/// Welcomes each connection with a task that runs the handler.
#[track_caller]
pub(crate) fn service<H, R>(handler: H) -> Box<dyn Acceptor>
where
    H: AsyncFn(Stream) -> R + 'static,
    R: IntoDeferred<Output = ()> + 'static,
{
    Box::new(Service { handler: Rc::new(handler), made: Location::caller() })
}

/// A handler and where it was given.
struct Service<H> {
    handler: Rc<H>,
    made: &'static Location<'static>,
}

impl<H, R> Acceptor for Service<H>
where
    H: AsyncFn(Stream) -> R + 'static,
    R: IntoDeferred<Output = ()> + 'static,
{
    fn accepted(&mut self, inner: &Rc<Loop>, stream: AnyStream, peer: Address) {
        self.serve(Connection::open(inner, stream, peer));
    }

    fn serve(&mut self, connection: Rc<Connection>) {
        let inner = connection.inner.clone();
        let stream = Stream::new(connection.clone());
        let handler = self.handler.clone();
        let handling = async move { handler(stream).await };
        let made = self.made;
        let deliver = move |outcome: Result| {
            if let Err(failure) = outcome {
                handler_failed(&connection, failure, made);
            }
        };
        inner.look_after(self.made, handling, deliver);
    }
}

fn handler_failed(connection: &Connection, failure: Failure, made: &'static Location<'static>) {
    connection.report_end("unhandled failure in a handler", &failure, Some(made));
    connection.application_failed(failure);
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    use std::future::poll_fn;

    /// The slot of a task that is done is taken by the next; its waker is the same.
    #[test]
    fn bytes_wake_the_task_that_a_stream_was_given_to_by_one_that_is_done() {
        let reactor = Reactor::new().unwrap();
        let port = reactor.serve("127.0.0.1:0", async |mut stream| {
            let mut word = [0; 2];
            stream.read_exact(&mut word).await?;
            Ok(stream.write_all(b"answer").await?)
        });
        let stream = reactor.open(port.unwrap().host());
        let stream = reactor.run_until(stream).unwrap();
        let first = reactor.spawn(async move {
            let mut stream = stream;
            // Looks once, and goes.
            let looked = poll_fn(|context| {
                let mut byte = [0];
                Poll::Ready(Pin::new(&mut stream).poll_read(context, &mut byte).is_ready())
            });
            assert!(!looked.await, "nobody wrote yet");
            Ok(stream)
        });
        let mut stream = reactor.run_until(first).unwrap();
        let second = reactor.spawn(async move {
            stream.write_all(b"go").await?;
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).await?;
            Ok(answer)
        });
        assert_eq!(&reactor.run_until(second).unwrap(), b"answer");
    }
}
