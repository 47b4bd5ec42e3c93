// The handle itself, and what carries its bytes: a connection, or the tape of a test.

use super::{Producer, Producing};
use crate::address::Address;
use crate::deferred::Deferred;
use crate::driver::{ByteStream, Readiness};
use crate::failure::{Failure, Result, report};
use crate::reactor::Reactor;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// A handle on a connection; clones speak to the same one.
///
/// ```
/// use ropewalk::{Protocol, Result, Transport};
///
/// struct Shout;
/// impl Protocol for Shout {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(&data.to_ascii_uppercase());
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Transport {
    pub(super) carrier: Rc<dyn RawTransport>,
}

/// What carries a transport's bytes.
pub(crate) trait RawTransport {
    fn write(&self, data: &[u8]);
    fn write_vectored(&self, slices: &[IoSlice<'_>]);
    fn lose_connection(&self);
    fn abort_connection(&self);
    fn lose_write_connection(&self);
    fn pause_reading(&self);
    fn resume_reading(&self);
    /// Nothing is read while a handler is awaited, whatever the application says of reading.
    fn hold_reading(&self) {
        self.pause_reading();
    }
    /// The handler is done.
    fn release_reading(&self) {
        self.resume_reading();
    }
    fn is_reading(&self) -> bool;
    fn is_connected(&self) -> bool;
    fn peer(&self) -> Address;
    fn host(&self) -> Address;
    fn drained(&self) -> Deferred<()>;
    /// How many bytes wait to be sent.
    fn waiting(&self) -> usize {
        0
    }
    fn set_close_timeout(&self, timeout: Duration);
    fn set_nodelay(&self, on: bool) -> Result;
    fn set_keepalive(&self, idle: Option<Duration>) -> Result;
    fn replace_stream(&self, wrap: Wrap) -> Result;
    /// Keeps this end's address for a layer of the user's, which may ask for it while it is called.
    fn keep_host(&self) {}
    /// Puts a layer on and has it shake hands within `limit`.
    fn shake_hands(self: Rc<Self>, wrap: Wrap, limit: Duration) -> Deferred<()> {
        let _ = (wrap, limit);
        crate::deferred::fail(Failure::msg("this transport takes no layer"))
    }
    /// How often a layer was put on that shakes hands, as TLS is.
    fn layers(&self) -> u8 {
        0
    }
    /// Shows the stream, if it is one that wants to be seen.
    fn look_at_stream(&self, look: &mut dyn FnMut(&dyn std::any::Any)) {
        let _ = look;
    }
    fn send_file_descriptor(&self, descriptor: OwnedFd) -> Result {
        let _ = descriptor;
        Err(Failure::msg("descriptors travel through Unix sockets only"))
    }
    /// Has the system move some of a file into the stream, behind all that was written: as
    /// [`ByteStream::send_file`]. A pulled producer is asked again when that may be done once more.
    fn send_file(&self, file: BorrowedFd<'_>, offset: &mut u64, count: usize) -> io::Result<usize> {
        let _ = (file, offset, count);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Whether a layer of this end's holds bytes back.
    fn is_held_back(&self) -> bool {
        false
    }
    fn retry_io(&self, readiness: Readiness);
    fn register_producer(&self, producer: Box<dyn Producer>, producing: Producing) -> Result {
        let _ = (producer, producing);
        Err(Failure::msg("this transport takes no producer"))
    }
    fn unregister_producer(&self) {}
    /// The application failed in a call that has no way to say so: reports it, and resets the connection.
    fn fail(&self, what: &str, failure: Failure) {
        report(what, &failure);
        self.abort_connection();
    }
    fn reactor(&self) -> Reactor;
}

/// Makes a layer over a stream; see [`Transport::replace_stream`].
pub(crate) type Wrap = Box<dyn FnOnce(Box<dyn ByteStream>) -> Box<dyn ByteStream>>;

impl Transport {
    pub(crate) fn new(carrier: Rc<dyn RawTransport>) -> Transport {
        Transport { carrier }
    }

    /// Sends `data`, in order with everything written before; dropped if the connection is ending.
    ///
    /// The bytes are collected while a callback or a task runs and go out together after it. All of them
    /// are taken, however much waits already: above 64 KiB that the peer does not take,
    /// [`Protocol::pause_writing`](crate::Protocol::pause_writing) is called, and who writes on then
    /// fills the memory. A write to a [`Stream`](crate::Stream) waits instead.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// transport.write(b"GET ");
    /// transport.write("/ ");
    /// transport.write(format!("HTTP/{}.{}\r\n", 1, 0));
    /// assert_eq!(recording.take(), b"GET / HTTP/1.0\r\n");
    /// # }
    /// ```
    #[inline]
    pub fn write(&self, data: impl AsRef<[u8]>) {
        self.carrier.write(data.as_ref());
    }

    /// Sends several slices, in order.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use std::io::IoSlice;
    ///
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// transport.write_vectored(&[IoSlice::new(b"a line"), IoSlice::new(b"\r\n")]);
    /// assert_eq!(recording.take(), b"a line\r\n");
    /// # }
    /// ```
    #[doc(alias = "writeSequence")]
    pub fn write_vectored(&self, slices: &[IoSlice<'_>]) {
        self.carrier.write_vectored(slices);
    }

    /// Ends the connection in order: stops reading now, sends what was written, then closes.
    ///
    /// A peer that takes no byte for a minute meanwhile is cut off; see
    /// [`set_close_timeout`](Transport::set_close_timeout). Time in which a layer of this end's holds
    /// bytes back, as a throttle does, is not the peer's.
    ///
    /// Bytes of the peer's that nobody has read would have the system close with a reset, which may
    /// overtake what was sent last. So if there are such, or over TLS no close_notify yet, the peer is heard
    /// out first: this end of the stream is ended, and what comes is dropped, until the peer ends too,
    /// for 10 s and 4 MiB at most. Should the peer reset the connection meanwhile, it is lost.
    ///
    /// What comes over a plain socket only after its close is still answered with a reset, and so is
    /// what is unread when the reactor itself ends: read to the end first if the peer must see
    /// everything.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// transport.write(b"good bye");
    /// transport.lose_connection();
    /// transport.write(b", and another thing"); // dropped
    /// assert_eq!(recording.take(), b"good bye");
    /// assert!(!transport.is_connected());
    /// # }
    /// ```
    #[doc(alias = "loseConnection")]
    pub fn lose_connection(&self) {
        self.carrier.lose_connection();
    }

    /// Ends the connection at once: what was written and not sent is discarded, the peer sees a reset.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// transport.abort_connection();
    /// assert!(recording.is_aborted());
    /// # }
    /// ```
    #[doc(alias = "abortConnection")]
    pub fn abort_connection(&self) {
        self.carrier.abort_connection();
    }

    /// Tells the peer that nothing more will be written, after what was; reading goes on.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// transport.write(b"that was my question");
    /// transport.lose_write_connection();
    /// assert!(transport.is_connected()); // the answer may come
    /// # }
    /// ```
    #[doc(alias = "loseWriteConnection")]
    pub fn lose_write_connection(&self) {
        self.carrier.lose_write_connection();
    }

    /// Stops delivery of bytes; what the peer sends waits in the system, and then with the peer.
    ///
    /// ```
    /// use ropewalk::{Protocol, Result, Transport};
    /// use std::time::Duration;
    ///
    /// /// Takes in no more than one piece a second.
    /// struct Sluggish;
    /// impl Protocol for Sluggish {
    ///     fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
    ///         transport.pause_reading();
    ///         let later = transport.clone();
    ///         transport.reactor().call_later(Duration::from_secs(1), move || later.resume_reading());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[doc(alias = "pauseProducing")]
    pub fn pause_reading(&self) {
        self.carrier.pause_reading();
    }

    /// Resumes delivery of bytes, from the next turn on.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// transport.pause_reading();
    /// assert!(!transport.is_reading());
    /// transport.resume_reading();
    /// assert!(transport.is_reading());
    /// # }
    /// ```
    #[doc(alias = "resumeProducing")]
    pub fn resume_reading(&self) {
        self.carrier.resume_reading();
    }

    pub(crate) fn hold_reading(&self) {
        self.carrier.hold_reading();
    }

    pub(crate) fn release_reading(&self) {
        self.carrier.release_reading();
    }

    /// Ends the connection for a failure of the application's; see `RawTransport::fail`.
    pub(crate) fn fail(&self, what: &str, failure: Failure) {
        self.carrier.fail(what, failure);
    }

    /// Whether bytes are wanted: reading is not paused, and the connection is not ending.
    pub fn is_reading(&self) -> bool {
        self.carrier.is_reading()
    }

    /// Whether the connection is neither lost nor being lost.
    pub fn is_connected(&self) -> bool {
        self.carrier.is_connected()
    }

    /// The other end's address; also after the end.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// assert_eq!(transport.peer().to_string(), "192.168.1.1:54321");
    /// # }
    /// ```
    #[doc(alias = "getPeer")]
    #[doc(alias = "peer_addr")]
    pub fn peer(&self) -> Address {
        self.carrier.peer()
    }

    /// This end's address; also after the end.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// assert_eq!(transport.host().to_string(), "10.0.0.1:12345");
    /// # }
    /// ```
    #[doc(alias = "getHost")]
    #[doc(alias = "local_addr")]
    pub fn host(&self) -> Address {
        self.carrier.host()
    }

    /// Fires when everything written so far was handed to the system; fails if the connection ends first.
    ///
    /// ```
    /// use ropewalk::{Protocol, Result, Transport};
    ///
    /// struct Farewell;
    /// impl Protocol for Farewell {
    ///     fn connection_made(&mut self, transport: &Transport) {
    ///         transport.write(b"so long");
    ///         transport.drained().map(|()| println!("the system has it"));
    ///     }
    ///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn drained(&self) -> Deferred<()> {
        self.carrier.drained()
    }

    /// How many of the bytes written so far wait for the system to take them.
    ///
    /// ```
    /// use ropewalk::{Protocol, Result, Transport};
    ///
    /// struct Echo;
    /// impl Protocol for Echo {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         if transport.waiting() < 1 << 20 {
    ///             transport.write(data); // no more for a peer that does not read
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn waiting(&self) -> usize {
        self.carrier.waiting()
    }

    /// How long the peer may take no byte while the connection is being lost; 60 s by default. A shorter
    /// time also limits how long it is heard out (see [`lose_connection`](Transport::lose_connection)).
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use std::time::Duration;
    ///
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// transport.set_close_timeout(Duration::from_secs(5));
    /// transport.lose_connection();
    /// # }
    /// ```
    pub fn set_close_timeout(&self, timeout: Duration) {
        self.carrier.set_close_timeout(timeout);
    }

    /// Whether small writes leave at once (TCP_NODELAY); on by default, for writes are collected here.
    ///
    /// ```
    /// use ropewalk::{Reactor, Result};
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.serve("127.0.0.1:0", async |stream| {
    ///     stream.transport().set_nodelay(false)?; // many small answers, none of them urgent
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "setTcpNoDelay")]
    #[track_caller]
    pub fn set_nodelay(&self, on: bool) -> Result {
        let here = Location::caller();
        self.carrier.set_nodelay(on).map_err(|failure| failure.arose_at(here))
    }

    /// Has the system probe a peer that was idle for so long, or never.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.serve("127.0.0.1:0", async |stream| {
    ///     stream.transport().set_keepalive(Some(Duration::from_secs(60)))?;
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "setTcpKeepAlive")]
    #[track_caller]
    pub fn set_keepalive(&self, idle: Option<Duration>) -> Result {
        let here = Location::caller();
        self.carrier.set_keepalive(idle).map_err(|failure| failure.arose_at(here))
    }

    /// Has a descriptor leave with the next byte that is written, through a Unix socket.
    ///
    /// It is closed here once it was sent, or when the connection ends without another byte. Fails
    /// where descriptors cannot travel.
    ///
    /// ```
    /// use ropewalk::{ClientEndpoint, ServerEndpoint};
    /// use futures_util::{AsyncReadExt, AsyncWriteExt};
    /// use ropewalk::Reactor;
    /// use std::io::Write;
    ///
    /// let reactor = Reactor::new()?;
    /// let path = std::env::temp_dir().join(format!("pass-{}", std::process::id()));
    /// reactor.serve(ServerEndpoint::unix(&path), async |mut stream| {
    ///     let (reader, mut writer) = std::io::pipe()?;
    ///     writer.write_all(b"through the pipe")?;
    ///     stream.transport().send_file_descriptor(reader.into())?;
    ///     stream.write_all(b"!").await?;
    ///     Ok(())
    /// })?;
    /// let opening = reactor.open(ClientEndpoint::unix(&path));
    /// let said = reactor.run_until(async move {
    ///     let mut stream = opening.await?;
    ///     stream.read_to_end(&mut Vec::new()).await?;
    ///     let pipe = stream.take_file_descriptor().map(std::io::PipeReader::from);
    ///     Ok(std::io::read_to_string(pipe.expect("it came with the byte"))?)
    /// })?;
    /// assert_eq!(said, "through the pipe");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "sendFileDescriptor")]
    #[track_caller]
    pub fn send_file_descriptor(&self, descriptor: OwnedFd) -> Result {
        let here = Location::caller();
        self.carrier.send_file_descriptor(descriptor).map_err(|failure| failure.arose_at(here))
    }

    /// Has `producer` write as fast as the peer takes it, from the loop's next step on.
    ///
    /// Until it is [unregistered](Transport::unregister_producer) an end in order waits for it. Fails
    /// if there is one already; if the connection takes nothing any more, after `stop_producing`.
    #[doc(alias = "registerProducer")]
    #[track_caller]
    pub fn register_producer(
        &self,
        producer: impl Producer + 'static,
        producing: Producing,
    ) -> Result {
        let here = Location::caller();
        let registered = self.carrier.register_producer(Box::new(producer), producing);
        registered.map_err(|failure| failure.arose_at(here))
    }

    /// The producer has written all that it had to.
    #[doc(alias = "unregisterProducer")]
    pub fn unregister_producer(&self) {
        self.carrier.unregister_producer();
    }

    /// The reactor that this connection belongs to.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use std::time::Duration;
    ///
    /// # use ropewalk::simulation::RecordingTransport;
    /// let recording = RecordingTransport::new();
    /// let transport = recording.transport();
    /// transport.reactor().call_later(Duration::from_secs(1), || println!("a second later"));
    /// recording.simulation().run_for(Duration::from_secs(1))?;
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn reactor(&self) -> Reactor {
        self.carrier.reactor()
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("peer", &self.peer())
            .field("is_connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}
