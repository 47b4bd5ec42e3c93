//! A stream of any kind in one value: the system's TCP socket in place, everything else boxed.
//!
//! Most connections are TCP's, and theirs are the reads and writes that are worth a direct call.

use super::ByteStream;
use super::PanickedLayer;
use super::system::{SharedRegistry, TcpByteStream, TcpSocket, name_shortage};
use rustix::io::Errno;
use std::cell::Cell;
use std::fmt;
use std::io;

/// A stream of bytes as [`Listener::accept_any`](super::Listener::accept_any) gives it.
pub struct AnyStream(Kind);

enum Kind {
    Tcp(TcpByteStream),
    Other(Box<dyn ByteStream>),
}

impl AnyStream {
    pub(super) fn tcp(stream: TcpByteStream) -> AnyStream {
        AnyStream(Kind::Tcp(stream))
    }

    pub(crate) fn as_dyn(&mut self) -> &mut dyn ByteStream {
        match &mut self.0 {
            Kind::Tcp(stream) => stream,
            Kind::Other(stream) => &mut **stream,
        }
    }

    pub(crate) fn into_box(self) -> Box<dyn ByteStream> {
        match self.0 {
            Kind::Tcp(stream) => Box::new(stream),
            Kind::Other(stream) => stream,
        }
    }
}

/// Where a connection has its stream; empty once that is closed.
///
/// For the length of a call the stream is taken out, which is cheaper than to count borrows.
pub(crate) struct StreamCell {
    tcp: Cell<Option<TcpSocket>>,
    rest: Cell<Option<Rest>>,
}

/// What there is beside TCP's socket, or instead of one.
enum Rest {
    Tcp(SharedRegistry),
    Other(Box<dyn ByteStream>),
}

/// Why a call was not all: the error that it met, or that there is no TCP socket.
pub(crate) struct FastPathMiss(Option<Errno>);

impl FastPathMiss {
    /// Makes the call another way, if it was not made.
    fn or_call(self, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        self.0.map_or_else(call, |errno| Err(name_shortage(errno)))
    }
}

impl StreamCell {
    pub(crate) fn new(stream: AnyStream) -> StreamCell {
        let place = StreamCell { tcp: Cell::default(), rest: Cell::default() };
        place.set(stream);
        place
    }

    /// Fills the cell, which is empty.
    pub(crate) fn set(&self, stream: AnyStream) {
        let rest = match stream.0 {
            Kind::Tcp(TcpByteStream { socket, registry }) => {
                self.put_back(socket);
                Rest::Tcp(registry)
            }
            Kind::Other(stream) => Rest::Other(stream),
        };
        self.rest.set(Some(rest));
    }

    pub(crate) fn take(&self) -> Option<AnyStream> {
        let kind = match self.rest.take()? {
            Rest::Tcp(registry) => Kind::Tcp(TcpByteStream { socket: self.tcp.take()?, registry }),
            Rest::Other(stream) => Kind::Other(stream),
        };
        Some(AnyStream(kind))
    }

    /// Whether the stream is taken out, for a call to it or for good.
    pub(crate) fn is_out(&self) -> bool {
        let rest = self.rest.take();
        let is_out = rest.is_none();
        self.rest.set(rest);
        is_out
    }

    /// Calls the stream, which may be the user's code; `NotConnected` if there is none.
    pub(crate) fn with<R>(
        &self,
        call: impl FnOnce(&mut dyn ByteStream) -> io::Result<R>,
    ) -> io::Result<R> {
        let mut stream = self.take().ok_or(io::ErrorKind::NotConnected)?;
        let outcome = PanickedLayer::catch_panic(|| call(stream.as_dyn()));
        self.set(stream);
        outcome
    }

    /// As `with`, where there is no TCP socket: what is there need not be told apart again.
    #[inline]
    fn with_other(
        &self,
        call: impl FnOnce(&mut dyn ByteStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut rest = self.rest.take();
        let outcome = match &mut rest {
            Some(Rest::Other(stream)) => PanickedLayer::catch_panic(|| call(&mut **stream)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        };
        self.rest.set(rest);
        outcome
    }

    #[inline]
    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.try_write(data).or_else(|why| self.write_slow(why, data))
    }

    /// Reads if it is TCP's socket and has bytes; what else there is to do is `read_slow`'s.
    #[inline]
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> Result<usize, FastPathMiss> {
        let socket = self.tcp.take().ok_or(FastPathMiss(None))?;
        let outcome = socket.receive(buffer);
        self.put_back(socket);
        outcome.map_err(|errno| FastPathMiss(Some(errno)))
    }

    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    #[inline(never)]
    pub(crate) fn read_slow(&self, why: FastPathMiss, buffer: &mut [u8]) -> io::Result<usize> {
        why.or_call(|| self.with_other(|stream| stream.read(buffer)))
    }

    /// Writes if it is TCP's socket and takes bytes; what else there is to do is `write_slow`'s.
    #[inline]
    pub(crate) fn try_write(&self, data: &[u8]) -> Result<usize, FastPathMiss> {
        let socket = self.tcp.take().ok_or(FastPathMiss(None))?;
        let outcome = socket.send(data);
        self.put_back(socket);
        outcome.map_err(|errno| FastPathMiss(Some(errno)))
    }

    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    #[inline(never)]
    pub(crate) fn write_slow(&self, why: FastPathMiss, data: &[u8]) -> io::Result<usize> {
        why.or_call(|| self.with_other(|stream| stream.write(data)))
    }

    #[inline]
    fn put_back(&self, socket: TcpSocket) {
        // There is none to be closed where it was taken from: spares the question.
        std::mem::forget(self.tcp.replace(Some(socket)));
    }
}

impl From<Box<dyn ByteStream>> for AnyStream {
    fn from(stream: Box<dyn ByteStream>) -> AnyStream {
        AnyStream(Kind::Other(stream))
    }
}

impl fmt::Debug for AnyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStream").finish_non_exhaustive()
    }
}
