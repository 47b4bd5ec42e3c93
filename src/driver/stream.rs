// A stream of bytes, and what more one may be: a socket, a layer.
//
// # Theory
// Three traits, for there are three concerns. Bytes pass every stream. Options, a reset and descriptors
// are a socket's. A handshake, bytes held back and a close_notify are a layer's. All code but a driver's holds
// `Box<dyn ByteStream>`, and asks it for the other two: `as_socket` and `as_layer`.
//
// Not `Box<dyn Layer>` with everything in one vtable: a layer that changes bytes and keeps none would have
// to say so method by method, and could not tell its stream from one that is plain. Here it answers with
// the stream below, and is as plain as that. Neither lookup has a default: `None` from `as_layer` is a
// promise about short reads and writes, and `None` from `as_socket` loses the options of the socket below;
// nobody shall give either by leaving something out.
//
// `dyn ByteStream` has the methods of the other two itself, and answers for a stream that is neither. So
// whoever holds one says `below.flush()`, and what a plain stream does is said once, below.

use super::Key;
use crate::address::Address;
use std::any::Any;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// A stream of bytes in both directions: a socket, or a layer over one.
///
/// A driver makes them, and [`Transport::replace_stream`](crate::Transport::replace_stream) puts one over
/// another. What a stream does as the one below does is said by
/// [`forward_byte_stream!`](crate::forward_byte_stream).
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::driver::ByteStream;
/// use ropewalk::forward_byte_stream;
/// use std::io::{self, IoSlice};
///
/// /// Turns the letters that pass by thirteen places.
/// struct Rot13(Box<dyn ByteStream>);
///
/// fn turned(byte: u8) -> u8 {
///     match byte {
///         b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
///         other => other,
///     }
/// }
///
/// impl ByteStream for Rot13 {
///     // It keeps no bytes: as a socket and as a layer it is what the stream below is.
///     forward_byte_stream!(self.0: all except read, write, write_vectored);
///
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         let count = self.0.read(buffer)?;
///         buffer[..count].iter_mut().for_each(|byte| *byte = turned(*byte));
///         Ok(count)
///     }
///
///     fn write(&mut self, data: &[u8]) -> io::Result<usize> {
///         let turned: Vec<u8> = data.iter().copied().map(turned).collect();
///         self.0.write(&turned)
///     }
///
///     fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
///         let first = slices.iter().find(|slice| !slice.is_empty());
///         self.write(first.map_or(&[], |slice| slice))
///     }
/// }
///
/// let simulation = ropewalk::simulation::Simulation::new(1);
/// simulation.host("server").reactor().serve("0.0.0.0:80", async |stream| {
///     stream.transport().replace_stream(|below| Box::new(Rot13(below)))?;
///     stream.transport().write("hello");
///     Ok(())
/// })?;
/// let opening = simulation.host("client").reactor().open("server:80");
/// let heard = simulation.run_until(async move {
///     let mut heard = String::new();
///     futures_util::AsyncReadExt::read_to_string(&mut opening.await?, &mut heard).await?;
///     Ok(heard)
/// })?;
/// assert_eq!(heard, "uryyb");
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub trait ByteStream {
    /// Asks the driver to name `key` when this stream's readiness rises, from now on. A stream of your own over
    /// nothing keeps the key, and tells the reactor itself:
    /// [`Reactor::notify_ready`](crate::Reactor::notify_ready).
    fn register(&mut self, key: Key) -> io::Result<()>;

    /// Reads into `buffer`; 0 is the end of what the peer sends.
    ///
    /// That nothing is left for now is said by `WouldBlock`. Fewer bytes than the buffer holds say it
    /// only for a stream that is not layered, or has nothing [pending](Layer::has_pending).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes from `data`. That no more is taken for now is said by `WouldBlock`, and for a stream that is
    /// not layered by fewer bytes than were given. `OutOfMemory` is what the system has too little of at the
    /// moment: no readiness tells when that is over.
    fn write(&mut self, data: &[u8]) -> io::Result<usize>;

    /// Writes from several slices, in order.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Has the system move up to `count` bytes of a file into the stream, from `offset`, which it moves
    /// on; 0 is the end of the file.
    ///
    /// Any error but `WouldBlock` leaves the bytes to whoever asks, to be read and written, which meets
    /// it again if it lasts. `Unsupported`, the default, says that it is always so here, and
    /// `ResourceBusy` that it is so for now: a disk would be waited for.
    /// [`forward_byte_stream!`](crate::forward_byte_stream) does not forward it: a stream over another
    /// changes the bytes, or wants to see them.
    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<usize> {
        let _ = (file, offset, count);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Tells the peer that nothing more will be written; reading goes on. A layer that has sent close_notify
    /// tells it to the stream below.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// The other end's address.
    fn peer(&self) -> io::Result<Address>;

    /// This end's address.
    fn host(&self) -> io::Result<Address>;

    /// This stream as a socket, or the one below; `None` if there is none at all.
    fn as_socket(&mut self) -> Option<&mut dyn Socket>;

    /// This stream as a layer, or the one below. The answer is always the same.
    ///
    /// `None` is a promise that bytes go in and out as they do through TCP: a read that comes short leaves
    /// nothing, a write that comes short leaves no room, and there is nothing to say but bytes. A stream
    /// that cannot promise it is a layer, be it with nothing in `impl Layer`.
    fn as_layer(&mut self) -> Option<&mut dyn Layer>;
}

/// What the stream is as a socket and as a layer, and what holds where it is neither.
impl dyn ByteStream + '_ {
    /// Whether there is more to this stream than bytes that go in and out as they do through TCP.
    pub fn is_layered(&mut self) -> bool {
        self.as_layer().is_some()
    }

    /// See [`Socket::finish_connecting`]; a stream without a socket is connected.
    pub fn finish_connecting(&mut self) -> io::Result<()> {
        self.as_socket().map_or(Ok(()), |socket| socket.finish_connecting())
    }

    /// See [`Socket::is_at_end`]; nobody knows of a stream without a socket.
    pub fn is_at_end(&mut self) -> io::Result<bool> {
        self.as_socket().map_or(Ok(false), |socket| socket.is_at_end())
    }

    /// See [`Socket::has_unread`].
    pub fn has_unread(&mut self) -> bool {
        self.as_socket().is_some_and(|socket| socket.has_unread())
    }

    /// See [`Socket::set_abort`]; without a socket a close is all that there is.
    pub fn set_abort(&mut self) {
        if let Some(socket) = self.as_socket() {
            socket.set_abort();
        }
    }

    /// See [`Socket::set_nodelay`]; nothing without a socket.
    pub fn set_nodelay(&mut self, on: bool) -> io::Result<()> {
        self.as_socket().map_or(Ok(()), |socket| socket.set_nodelay(on))
    }

    /// See [`Socket::set_keepalive`]; nothing without a socket.
    pub fn set_keepalive(&mut self, idle: Option<Duration>) -> io::Result<()> {
        self.as_socket().map_or(Ok(()), |socket| socket.set_keepalive(idle))
    }

    /// See [`Socket::is_standard`].
    pub fn is_standard(&mut self) -> bool {
        self.as_socket().is_some_and(|socket| socket.is_standard())
    }

    /// See [`Socket::has_written_all`].
    pub fn has_written_all(&mut self) -> bool {
        self.as_socket().is_none_or(|socket| socket.has_written_all())
    }

    /// See [`Socket::send_descriptor`].
    pub fn send_descriptor(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        match self.as_socket() {
            Some(socket) => socket.send_descriptor(descriptor),
            None => Err(no_descriptors()),
        }
    }

    /// See [`Socket::take_descriptor`].
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.as_socket()?.take_descriptor()
    }

    /// See [`Layer::handshake`].
    pub fn handshake(&mut self) -> io::Result<()> {
        self.as_layer().map_or(Ok(()), |layer| layer.handshake())
    }

    /// See [`Layer::has_pending`].
    pub fn has_pending(&mut self) -> bool {
        self.as_layer().is_some_and(|layer| layer.has_pending())
    }

    /// See [`Layer::flush`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.as_layer().map_or(Ok(()), |layer| layer.flush())
    }

    /// See [`Layer::close_notify`].
    pub fn close_notify(&mut self) -> io::Result<()> {
        self.as_layer().map_or(Ok(()), |layer| layer.close_notify())
    }

    /// See [`Layer::must_linger`].
    pub fn must_linger(&mut self, may_be_unread: bool) -> bool {
        if let Some(layer) = self.as_layer() {
            return layer.must_linger(may_be_unread);
        }
        may_be_unread && self.has_unread()
    }

    /// See [`Layer::as_any`].
    pub fn as_any(&mut self) -> Option<&dyn Any> {
        self.as_layer()?.as_any()
    }
}

/// What a socket can do beside bytes.
///
/// A `dyn ByteStream` has these methods too: those of the socket that it is or is over.
///
/// Whoever holds a `Box<dyn ByteStream>` asks it directly; a stream without a socket has the answers of one that
/// knows nothing.
///
/// ```
/// use ropewalk::Address;
/// use ropewalk::driver::{Driver, SystemDriver};
/// use std::os::unix::net::UnixStream;
/// use std::time::Duration;
///
/// let (here, there) = UnixStream::pair()?;
/// let mut stream = SystemDriver::new()?.adopt_stream(here.into())?;
/// stream.finish_connecting()?;
/// assert!(stream.is_layered()); // a read of a Unix socket may stop before a descriptor
/// assert!(!stream.is_standard() && stream.has_written_all());
/// assert!(!stream.is_at_end()? && !stream.has_unread());
/// stream.set_nodelay(true)?; // nothing waits in it
/// assert!(stream.set_keepalive(Some(Duration::from_secs(60))).is_ok());
/// stream.send_descriptor(std::io::stdout().as_fd().try_clone_to_owned()?)?; // leaves with the next byte
/// assert!(stream.take_descriptor().is_none());
/// drop(there);
/// assert!(stream.is_at_end()?);
/// stream.set_abort(); // the close will be a reset, where there are resets
/// # use std::os::fd::AsFd;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub trait Socket: ByteStream {
    /// The outcome of connecting: `WouldBlock` while it is under way.
    fn finish_connecting(&mut self) -> io::Result<()>;

    /// Whether the peer's end of stream is the very next thing to read.
    fn is_at_end(&mut self) -> io::Result<bool>;

    /// Whether bytes are there that nobody has read: a close now would answer the peer with a reset.
    fn has_unread(&mut self) -> bool {
        false
    }

    /// Makes the close that follows discard everything and reset the connection.
    fn set_abort(&mut self);

    /// Sends small writes at once instead of waiting for more (TCP_NODELAY).
    fn set_nodelay(&mut self, on: bool) -> io::Result<()>;

    /// Probes an idle peer after this long, or never.
    fn set_keepalive(&mut self, idle: Option<Duration>) -> io::Result<()>;

    /// Whether this is the process' own input and output, where a run that is over waits until what was
    /// written is gone.
    fn is_standard(&mut self) -> bool {
        false
    }

    /// Whether what was taken has left this process, as far as that can be known. A run that is over asks
    /// this of the process' own output; an end in order hears it from [`Layer::close_notify`].
    fn has_written_all(&mut self) -> bool {
        true
    }

    /// Has a descriptor leave with the next byte that is written.
    fn send_descriptor(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        let _ = descriptor;
        Err(no_descriptors())
    }

    /// The next descriptor that came with the bytes read so far.
    fn take_descriptor(&mut self) -> Option<OwnedFd> {
        None
    }
}

/// A stream over another that has more to say than the bytes that pass it.
///
/// # The calling order
/// 1. [`handshake`](Layer::handshake), where somebody waits for one: once put on, and again after each event
///    while it says `WouldBlock`. Until it is over no byte is read or written.
/// 2. [`read`](ByteStream::read) while there is readiness to read, and after each read that came short
///    [`has_pending`](Layer::has_pending): on `false` nothing is read until the next event.
/// 3. [`write`](ByteStream::write) while there is room, and [`flush`](Layer::flush) after each event, be it
///    one of reading: what a layer has to say for itself leaves even if nobody writes.
/// 4. [`shutdown_write`](ByteStream::shutdown_write), if this half ends first; reading goes on, and so does
///    `flush`.
/// 5. [`close_notify`](Layer::close_notify), when all is written and the connection is to end in order:
///    again after each event while it says `WouldBlock`. No `write` follows.
/// 6. [`must_linger`](Layer::must_linger), once: if so then `shutdown_write`, and reads whose bytes are
///    dropped, until the peer ends.
/// 7. The drop. After a failure, an abort or a panic it comes at once, whatever was under way, with
///    [`set_abort`](Socket::set_abort) before it if the peer is to be reset.
///
/// A `dyn ByteStream` has these methods too, and does what is plain where there is no layer.
///
/// ```
/// use ropewalk::driver::{ByteStream, Layer, Socket};
/// use ropewalk::forward_byte_stream;
/// use std::io::{self, IoSlice};
///
/// /// Gives what comes in pieces of sixteen bytes at most.
/// struct Pieces(Box<dyn ByteStream>);
///
/// impl ByteStream for Pieces {
///     forward_byte_stream!(self.0: all except read, as_layer);
///
///     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         let most = buffer.len().min(16);
///         self.0.read(&mut buffer[..most])
///     }
///
///     // A read that comes short does not leave nothing, as it does below.
///     fn as_layer(&mut self) -> Option<&mut dyn Layer> {
///         Some(self)
///     }
/// }
///
/// impl Layer for Pieces {
///     forward_byte_stream!(self.0: layer except has_pending);
///
///     fn has_pending(&mut self) -> bool {
///         true
///     }
/// }
/// ```
///
/// A stream that is no layer answers as one with nothing to say:
///
/// ```
/// use ropewalk::driver::{Driver, SystemDriver};
///
/// let (here, _there) = std::os::unix::net::UnixStream::pair()?;
/// let mut stream = SystemDriver::new()?.adopt_stream(here.into())?;
/// stream.handshake()?;
/// stream.flush()?;
/// stream.close_notify()?;
/// assert!(!stream.must_linger(false) && stream.as_any().is_none());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub trait Layer: ByteStream {
    /// Shakes hands, as far as it goes now: `WouldBlock` until it is over.
    fn handshake(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// After a read that came short: whether there may be more, be it the end.
    fn has_pending(&mut self) -> bool {
        true
    }

    /// Passes on what the layer has to say for itself; `WouldBlock` if some of that is left.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Tells the peer in the layer's own way (TLS: close_notify) that the stream ends, before it is dropped;
    /// `WouldBlock` if some of that is left to be flushed.
    fn close_notify(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// After `close_notify`: whether to drop the stream now could cost the peer what was sent, so that it
    /// has to be heard out first. `may_be_unread` says that the last read did not find the system empty.
    fn must_linger(&mut self, may_be_unread: bool) -> bool {
        let _ = may_be_unread;
        false
    }

    /// The layer itself, for those who know its type.
    fn as_any(&mut self) -> Option<&dyn Any> {
        None
    }
}

fn no_descriptors() -> io::Error {
    let why = "descriptors travel through Unix sockets only";
    io::Error::new(io::ErrorKind::Unsupported, why)
}
