//! A connection: one stream of bytes, one face, one end.
//!
//! # Theory
//! The socket is registered once, for both directions; its readiness is remembered, and every read
//! and write looks there first. An event raises bits; `WouldBlock` or a short read or write clears
//! one. What a callback writes is collected and goes out when the callback returns; what others
//! write goes out at the end of the turn.
//!
//! Its life is drawn in `state.rs`. Only `advance` makes a connection lost, and only the loop calls it, when
//! no callback of this connection is in progress: that is why a transport's methods call nobody. Most
//! connections have nobody to hear out and pass through `Lingering` at once.
//!
//! # Invariants
//! * `stream` is there in every state but `Lost`; after it nothing but addresses and the reason is.
//! * A connection has one face: a protocol, or those who wait on a stream.
//! * `reason` is set in `Failed` and `Lost`, and from a failed write, or a failed read in `Lingering`, until
//!   the end.
//! * `stream` is taken out for one call to it, and put back.
//!
//! # Not here
//! The states (`state.rs`), the way in (`inbound.rs`), the way out (`outbound.rs`), the end (`ending.rs`) and what comes before
//! it (`lingering_close.rs`), the two faces (`pushing.rs`, `pulling.rs`), what few connections need (`extras.rs`),
//! streams that are more than a socket (`layer.rs`).

pub(crate) mod ending;
mod extras;
mod faults;
mod inbound;
pub(crate) mod layer;
mod lingering_close;
mod outbound;
mod prepend;
mod producing;
pub(crate) mod pulling;
mod pushing;
mod raw_transport;
mod refusals;
mod state;

pub(crate) use faults::is_of_connection;

use crate::address::Address;
use crate::buffer::Buffer;
use crate::driver::{AnyStream, ByteStream, Key, PanickedLayer, Readiness, StreamCell};
use crate::failure::Failure;
use crate::net::connection::extras::Extras;
use crate::net::connection::pushing::Push;
use crate::net::connection::state::State;
use crate::protocol::Protocol;
use crate::reactor::{Loop, Reactor, Source, Waiter};
use crate::transport::Transport;
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::Rc;

pub(crate) struct Connection {
    pub(crate) inner: Rc<Loop>,
    key: Key,
    stream: StreamCell,
    /// The pushing face. Absent while it is called, and once lost.
    face: Cell<Option<Box<dyn Push>>>,
    /// The pulling face.
    waiters: OnceCell<Box<Waiters>>,
    /// What was written and not sent yet; absent when that is nothing.
    outgoing: Cell<Option<Box<Buffer>>>,
    reason: Cell<Option<Failure>>,
    pub(crate) peer: Address,
    /// What most connections never need. Borrowed for one change.
    extras: RefCell<Option<Box<Extras>>>,
    readiness: Cell<Readiness>,
    state: Cell<State>,
    hold: Cell<Hold>,
    /// A handler of the protocol's is awaited: nothing is read meanwhile, whatever the application wants.
    is_awaited: Cell<bool>,
    /// The protocol was told to pause writing, and not yet to resume.
    is_full: Cell<bool>,
    call: Cell<Call>,
    /// How often a layer was put on that shakes hands.
    pub(crate) layers: Cell<u8>,
    /// Something waits for `advance`: bytes, an end, a mark, somebody who wants to be told.
    /// True whenever bytes wait in `outgoing` or this half is not open: only then do writes go there.
    has_work: Cell<bool>,
    /// In the loop's list of those to flush.
    is_dirty: Cell<bool>,
    is_requeued: Cell<bool>,
}

/// What the application said of reading; kept beside the state, which forgets it at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    None,
    /// It wants no bytes for now.
    Held,
    /// It wants them again, and the protocol is to be told.
    Resumed,
}

/// Whether a callback of the connection's protocol, or a poll that writes to its stream, is in progress,
/// and where the writes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    None,
    /// To the loop's cork, which this connection owns: nothing older waits, and this end is open.
    Corked,
    /// To `outgoing`.
    Plain,
}

/// The tasks that wait on a stream.
#[derive(Default)]
struct Waiters {
    reader: Waiter,
    writer: Waiter,
    /// The writer waits for the last byte to be sent, not merely for room.
    awaits_all: Cell<bool>,
    /// There are two halves of the stream.
    is_split: Cell<bool>,
}

impl Connection {
    /// A connection over a new stream, not served yet.
    pub(crate) fn open(
        inner: &Rc<Loop>,
        stream: impl Into<AnyStream>,
        peer: Address,
    ) -> Rc<Connection> {
        let stream = stream.into();
        let make = |key| Connection::new(inner, key, stream, peer);
        let connection = inner.insert_connection(make);
        if let Err(error) = connection.with_stream(|stream| stream.register(connection.key)) {
            connection.stream_failed(error);
            connection.mark_dirty();
        }
        connection
    }

    /// A connection over a stream that is registered under `key` already, and what was named there.
    pub(crate) fn adopt(
        inner: &Rc<Loop>,
        key: Key,
        stream: AnyStream,
        peer: Address,
        named: Readiness,
    ) -> Rc<Connection> {
        let connection = Connection::new(inner, key, stream, peer);
        connection.readiness.set(connection.readiness.get().and(named));
        inner.sources.replace(key, connection.clone());
        connection
    }

    fn new(inner: &Rc<Loop>, key: Key, mut stream: AnyStream, peer: Address) -> Rc<Connection> {
        let both = Readiness::READABLE.and(Readiness::WRITABLE);
        Rc::new(Connection {
            inner: inner.clone(),
            key,
            // Data often comes with the connection: the first read is tried without an event.
            readiness: Cell::new(both.and(Connection::mark_of(stream.as_dyn()))),
            stream: StreamCell::new(stream),
            face: Cell::default(),
            waiters: OnceCell::new(),
            outgoing: Cell::default(),
            reason: Cell::default(),
            peer,
            extras: RefCell::default(),
            state: Cell::new(State::NEW),
            hold: Cell::new(Hold::None),
            is_awaited: Cell::new(false),
            is_full: Cell::new(false),
            call: Cell::new(Call::None),
            layers: Cell::new(0),
            has_work: Cell::new(false),
            is_dirty: Cell::new(false),
            is_requeued: Cell::new(false),
        })
    }

    /// Gives the connection its protocol, tells it, and serves what came with the connection.
    pub(crate) fn begin<P: Protocol + 'static>(self: &Rc<Self>, protocol: Box<P>) {
        self.face.set(Some(protocol));
        self.call_protocol(|protocol, transport| protocol.connection_made(transport));
        if self.inner.is_draining(self.key) {
            // It came as its port was closed.
            self.call_protocol(|protocol, transport| protocol.drain(transport));
        }
        // Read from at the end of this very step, or of the next turn's; settled there too.
        self.requeue();
    }

    /// Gives the connection to a task that will pull.
    pub(crate) fn begin_stream(&self) {
        // It is one already if a stream is made of a stream's own connection.
        let _ = self.waiters.set(Box::default());
    }

    pub(crate) fn transport(self: &Rc<Self>) -> Transport {
        Transport::new(self.clone())
    }

    pub(crate) fn reactor(&self) -> Reactor {
        Reactor::from(self.inner.clone())
    }

    // ---- the face ----

    /// The pulling face, if that is this connection's.
    fn waiters(&self) -> Option<&Waiters> {
        self.waiters.get().map(|waiters| &**waiters)
    }

    fn wake_reader(&self) {
        if let Some(waiters) = self.waiters() {
            waiters.reader.wake(&self.inner.tasks);
        }
    }

    fn wake_writer(&self) {
        if let Some(waiters) = self.waiters() {
            waiters.writer.wake(&self.inner.tasks);
        }
    }

    // ---- small matters ----

    fn with_stream<R>(
        &self,
        call: impl FnOnce(&mut dyn ByteStream) -> io::Result<R>,
    ) -> io::Result<R> {
        self.stream.with(call).map_err(|error| self.call_failed(error))
    }

    /// Whether a call to the stream is in progress: this is a layer's own wish.
    fn is_in_stream(&self) -> bool {
        self.stream.is_out() && !self.state.get().is_lost()
    }

    #[cold]
    fn call_failed(&self, error: io::Error) -> io::Error {
        if self.is_in_stream() {
            let why =
                "a call to this connection's stream is in progress: a layer asks the one below";
            return io::Error::new(io::ErrorKind::ResourceBusy, why);
        }
        if let Some(failure) = PanickedLayer::of(&error) {
            self.layer_panicked(failure.clone());
        }
        error
    }

    #[inline(always)]
    fn write_once(&self, data: &[u8]) -> io::Result<usize> {
        self.stream.write(data)
    }

    fn clone_reason(&self) -> Option<Failure> {
        let reason = self.reason.take();
        self.reason.set(reason.clone());
        reason
    }

    /// Whether it is known why the connection ends, be it that only a write has failed so far.
    fn has_reason(&self) -> bool {
        let reason = self.reason.take();
        let is_there = reason.is_some();
        self.reason.set(reason);
        is_there
    }

    fn forget_readiness(&self, gone: Readiness) {
        self.readiness.set(self.readiness.get().without(gone));
    }

    /// Has the connection settled: by the callback in progress when it returns, else by the loop at the
    /// end of the turn.
    fn mark_dirty(&self) {
        self.has_work.set(true);
        if self.call.get() == Call::None && !self.is_dirty.replace(true) {
            self.inner.sources.mark_dirty(self.key);
        }
    }

    fn requeue(&self) {
        if !self.is_requeued.replace(true) {
            self.inner.sources.requeue(self.key);
        }
    }

    /// A buffer of the pool, for a stream to read into.
    #[inline(always)]
    pub(crate) fn lend_small(&self) -> Box<Buffer> {
        self.inner.pool.small()
    }

    #[cold]
    pub(crate) fn lend_large(&self) -> Box<Buffer> {
        self.inner.pool.large()
    }

    #[inline(always)]
    pub(crate) fn take_buffer_back(&self, buffer: Box<Buffer>) {
        self.inner.pool.give(buffer);
    }
}

impl Source for Connection {
    fn ready(self: Rc<Self>, readiness: Readiness, scratch: &mut [u8]) {
        self.readiness.set(self.readiness.get().and(readiness));
        // Either call is the last thing done here, and so a jump.
        if readiness == Readiness::NONE || !self.wants_bytes() {
            return self.ready_otherwise(readiness, scratch);
        }
        self.ready_to_read(scratch);
    }

    fn notify(&self, readiness: Readiness) {
        self.readiness.set(self.readiness.get().and(readiness));
        self.requeue();
    }

    fn flush(self: Rc<Self>) {
        self.is_dirty.set(false);
        if self.call.get() != Call::None {
            self.uncork();
        }
        self.send();
        self.advance_if_needed();
    }

    fn is_ending(&self) -> bool {
        self.is_ending_in_order()
    }

    fn lose(self: Rc<Self>, reason: &Failure) {
        self.lose_with_reactor(reason);
    }

    fn disown(self: Rc<Self>, reason: &Failure) {
        self.lose_with_owner(reason);
    }

    fn is_connection(&self) -> bool {
        true
    }

    fn drain(self: Rc<Self>) {
        self.call_protocol(|protocol, transport| protocol.drain(transport));
        self.mark_dirty();
    }
}
