//! A connection: one stream of bytes, one face, one end.
//!
//! # Theory
//! The socket is registered once, for both directions; its readiness is remembered, and every read
//! and write looks there first. An event raises bits; `WouldBlock` or a short read or write clears
//! one. What a callback writes is collected and goes out when the callback returns; what others
//! write goes out at the end of the turn.
//!
//! ```text
//!             1 lose_connection                  2 nothing left to send
//!    open ───────────────────────────► losing ────────────────────────────► lost
//!     │                                  │                                    ▲
//!     │ 3 abort, failure, panic, reset   │ 3                                  │ 4 settle
//!     └────────────► doomed ◄────────────┘                                    │
//!                       └─────────────────────────────────────────────────────┘
//! ```
//! Only `settle` makes a connection lost, and only the loop calls it, when no callback of this
//! connection is in progress: that is why a transport's methods call nobody.
//!
//! The peer's half may end before: `peer_ended`. Both halves ended is an end in order.
//!
//! # Invariants
//! * `stream` is there in every state but lost; after it nothing but addresses and the reason is.
//! * A connection has one face: a protocol, or those who wait on a stream.
//! * `reason` is set in doomed and lost, and from a failed write until the end.
//! * `stream` is taken out for one call to it, and put back.
//!
//! # Not here
//! The end (`ending.rs`), the way out (`outgoing.rs`), the two faces (`push.rs`, `pull.rs`), streams that are more than a socket
//! (`layer.rs`).

use super::layer::Handshake;
use super::producing::Place;
use super::push::Push;
use crate::address::Address;
use crate::buffer::Buffer;
use crate::clock::DelayedCall;
use crate::deferred::Trigger;
use crate::driver::{AnyStream, ByteStream, Key, Readiness, StreamCell};
use crate::failure::Failure;
use crate::protocol::Protocol;
use crate::reactor::{Loop, Reactor, ReactorStopped, Source, Waiter};
use crate::transport::Transport;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

pub(crate) struct Connection {
    pub(crate) inner: Rc<Loop>,
    pub(super) key: Key,
    pub(super) stream: StreamCell,
    /// The pushing face. Absent while it is called, and once lost.
    pub(super) face: Cell<Option<Box<dyn Push>>>,
    /// The pulling face.
    waiters: OnceCell<Box<Waiters>>,
    /// What was written and not sent yet; absent when that is nothing.
    pub(super) outgoing: Cell<Option<Box<Buffer>>>,
    pub(super) reason: Cell<Option<Failure>>,
    pub(super) peer: Address,
    /// What most connections never need. Borrowed for one change.
    rare: RefCell<Option<Box<Rare>>>,
    pub(super) readiness: Cell<Readiness>,
    pub(super) state: Cell<State>,
    pub(super) reading: Cell<Reading>,
    /// The application wants no bytes for now; kept beside `reading`, which forgets it at the end.
    pub(super) is_held: Cell<bool>,
    /// It wants them again, and the protocol is to be told.
    pub(super) is_resumed: Cell<bool>,
    pub(super) writing: Cell<Writing>,
    /// The protocol was told to pause writing, and not yet to resume.
    pub(super) is_full: Cell<bool>,
    pub(super) call: Cell<Call>,
    /// How often a layer was put on that shakes hands.
    pub(crate) layers: Cell<u8>,
    /// The close shall discard everything and reset the connection.
    pub(super) resets: Cell<bool>,
    /// Something waits for `settle`: bytes, an end, a mark, somebody who wants to be told.
    /// True whenever bytes wait in `outgoing` or this half is not open: only then do writes go there.
    pub(super) is_unsettled: Cell<bool>,
    /// In the loop's list of those to flush.
    pub(super) is_dirty: Cell<bool>,
    is_lingering: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Losing,
    Doomed,
    Lost,
}

/// The peer's half of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Open,
    /// The face wants no bytes for now.
    Paused,
    /// The peer ended it, and the face was told.
    Ended,
    /// This end wants no more.
    Closed,
}

/// This end's half of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    Open,
    /// To be ended once all was sent.
    Ending,
    Ended,
}

/// Whether a callback of the connection's protocol, or a poll that writes to its stream, is in progress,
/// and where the writes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    None,
    /// To the loop's cork, which this connection owns: nothing older waits, and this end is open.
    Corked,
    /// To `outgoing`.
    Plain,
}

/// The tasks that wait on a stream.
#[derive(Default)]
pub(super) struct Waiters {
    pub(super) reader: Waiter,
    pub(super) writer: Waiter,
    /// The writer waits for the last byte to be sent, not merely for room.
    pub(super) awaits_all: Cell<bool>,
}

#[derive(Default)]
pub(super) struct Rare {
    /// Whom a layer says that the peer is.
    peer: Option<Address>,
    /// This end's address, once the connection is lost.
    pub(super) host: Option<Address>,
    pub(super) drained: Vec<Trigger<()>>,
    pub(super) close_timeout: Option<Duration>,
    /// Runs while the connection is being lost and the peer does not take what was written.
    pub(super) close_timer: Option<DelayedCall>,
    /// The peer took something since the timer was set.
    pub(super) is_taking: bool,
    pub(super) producer: Option<Box<Place>>,
    /// The layer's, while it is under way.
    pub(super) handshake: Option<Box<Handshake>>,
    /// What came for a stream, and was not taken yet.
    #[cfg(unix)]
    pub(super) descriptors: VecDeque<OwnedFd>,
    /// Called when the connection is lost, after the face.
    pub(super) on_lost: Option<OnLost>,
}

type OnLost = Box<dyn FnOnce(&Failure)>;

/// So many reads in a row are one connection's share of a turn.
const READS_PER_TURN: usize = 4;
/// With any of these a short read does not mean that nothing is left.
const HIDING: Readiness = Readiness::READ_CLOSED.and(Readiness::BROKEN).and(Readiness::LAYERED);
/// So many descriptors wait for a stream to take them.
#[cfg(unix)]
const DESCRIPTORS_KEPT: usize = 256;
const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

impl Rare {
    #[cfg(unix)]
    pub(super) fn keep_descriptor(&mut self, descriptor: OwnedFd) {
        // Beyond that the peer is not meant well: what comes is closed.
        if self.descriptors.len() < DESCRIPTORS_KEPT {
            self.descriptors.push_back(descriptor);
        }
    }
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
        let connection = inner.sources.insert_with(make);
        if let Err(error) = connection.with_stream(|stream| stream.register(connection.key)) {
            connection.broke(error);
            connection.mark_dirty();
        }
        connection
    }

    /// A connection over a stream that is registered under `key` already, and what was named there.
    pub(super) fn adopt(
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
            rare: RefCell::default(),
            state: Cell::new(State::Open),
            reading: Cell::new(Reading::Open),
            is_held: Cell::new(false),
            is_resumed: Cell::new(false),
            writing: Cell::new(Writing::Open),
            is_full: Cell::new(false),
            call: Cell::new(Call::None),
            layers: Cell::new(0),
            resets: Cell::new(false),
            is_unsettled: Cell::new(false),
            is_dirty: Cell::new(false),
            is_lingering: Cell::new(false),
        })
    }

    /// Gives the connection its protocol, tells it, and serves what came with the connection.
    pub(crate) fn begin<P: Protocol + 'static>(self: &Rc<Self>, protocol: Box<P>) {
        self.face.set(Some(protocol));
        self.call_protocol(|protocol, transport| protocol.connection_made(transport));
        // Read from at the end of this very step, or of the next turn's.
        self.linger();
        self.mark_dirty();
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

    // ---- the way in ----

    #[inline(always)]
    pub(super) fn wants_bytes(&self) -> bool {
        self.readiness.get().has(Readiness::READABLE) && self.reading.get() == Reading::Open
    }

    /// After a read that was more than a short one, or brought nothing.
    #[cold]
    pub(super) fn receive_on(self: &Rc<Self>, outcome: io::Result<usize>, scratch: &mut [u8]) {
        self.receive_outcome(outcome, scratch);
        for _ in 1..READS_PER_TURN {
            if !self.wants_bytes() {
                return;
            }
            self.receive_outcome(self.read(scratch), scratch);
        }
        self.linger();
    }

    fn receive_outcome(self: &Rc<Self>, outcome: io::Result<usize>, scratch: &mut [u8]) {
        self.learn_from(&outcome, scratch.len());
        match outcome {
            Ok(0) => self.peer_ended(),
            Ok(count) => self.deliver(&scratch[..count]),
            Err(error) => self.read_failed(error),
        }
    }

    /// Whether a read says that nothing is left; a peer's end, once announced, hides behind a short
    /// read, and a layer hides more.
    #[inline(always)]
    pub(super) fn is_short_read(&self, count: usize, wanted: usize) -> bool {
        count < wanted && !self.readiness.get().has(HIDING)
    }

    /// Learns from a read whether more is there.
    #[cold]
    pub(super) fn learn_from(self: &Rc<Self>, outcome: &io::Result<usize>, wanted: usize) {
        let is_drained = match outcome {
            Ok(count) => self.is_short_read(*count, wanted),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if is_drained {
            self.forget_readable();
        } else if self.has_layer() {
            self.after_layered_read(matches!(outcome, Ok(count) if *count < wanted));
        }
    }

    #[inline(always)]
    pub(super) fn forget_readable(&self) {
        self.forget_readiness(Readiness::READABLE);
    }

    pub(super) fn read_failed(&self, error: io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.heard_all(),
            io::ErrorKind::Interrupted => {}
            _ => self.broke(error),
        }
    }

    /// Nothing is left to read for now: if a write has failed, that was what was waited for.
    fn heard_all(&self) {
        if self.writing.get() == Writing::Ended
            && let Some(reason) = self.clone_reason()
        {
            self.doom(reason);
        }
    }

    /// The peer will send nothing more.
    pub(super) fn peer_ended(self: &Rc<Self>) {
        if matches!(self.reading.replace(Reading::Ended), Reading::Ended | Reading::Closed) {
            return;
        }
        self.is_unsettled.set(true);
        if let Some(reason) = self.clone_reason() {
            // A write failed before: the peer's last bytes were all that was left to hear.
            return self.doom(reason);
        }
        self.call_protocol(|protocol, transport| protocol.read_closed(transport));
        self.wake_reader();
    }

    pub(super) fn has_read_ended(&self) -> bool {
        self.reading.get() == Reading::Ended
    }

    // ---- the face ----

    /// The pulling face, if that is this connection's.
    pub(super) fn waiters(&self) -> Option<&Waiters> {
        self.waiters.get().map(|waiters| &**waiters)
    }

    pub(super) fn wake_reader(&self) {
        if let Some(waiters) = self.waiters() {
            waiters.reader.wake(&self.inner.tasks);
        }
    }

    pub(super) fn wake_writer(&self) {
        if let Some(waiters) = self.waiters() {
            waiters.writer.wake(&self.inner.tasks);
        }
    }

    // ---- small matters ----

    /// The peer's address, as a layer under this connection knows it.
    pub(crate) fn true_peer(&self) -> Address {
        let told = self.rare.borrow().as_ref().and_then(|rare| rare.peer.clone());
        told.unwrap_or_else(|| self.peer.clone())
    }

    /// Has the stream say who the peer is, now that its layer knows.
    pub(crate) fn ask_for_peer(&self) {
        let peer = self.with_stream(|stream| stream.peer()).ok();
        let former = self.with_rare(|rare| std::mem::replace(&mut rare.peer, peer));
        drop(former);
    }

    pub(super) fn with_stream<R>(
        &self,
        call: impl FnOnce(&mut dyn ByteStream) -> io::Result<R>,
    ) -> io::Result<R> {
        self.stream.with(call)
    }

    #[inline(always)]
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    #[inline(always)]
    pub(super) fn write_once(&self, data: &[u8]) -> io::Result<usize> {
        self.stream.write(data)
    }

    pub(super) fn with_rare<R>(&self, change: impl FnOnce(&mut Rare) -> R) -> R {
        self.is_unsettled.set(true);
        change(self.rare.borrow_mut().get_or_insert_default())
    }

    pub(super) fn has_rare(&self) -> bool {
        self.rare.borrow().is_some()
    }

    pub(super) fn set_on_lost(&self, call: impl FnOnce(&Failure) + 'static) {
        let former = self.with_rare(|rare| rare.on_lost.replace(Box::new(call)));
        drop(former);
    }

    pub(super) fn clone_reason(&self) -> Option<Failure> {
        let reason = self.reason.take();
        self.reason.set(reason.clone());
        reason
    }

    /// Whether it is known why the connection ends, be it that only a write has failed so far.
    pub(super) fn has_reason(&self) -> bool {
        let reason = self.reason.take();
        let is_there = reason.is_some();
        self.reason.set(reason);
        is_there
    }

    pub(super) fn forget_readiness(&self, gone: Readiness) {
        self.readiness.set(self.readiness.get().without(gone));
    }

    /// Has the loop settle this connection at the end of the turn; a callback in progress does so
    /// itself when it returns.
    pub(super) fn mark_dirty(&self) {
        if self.call.get() != Call::None {
            return self.is_unsettled.set(true);
        }
        if !self.is_dirty.replace(true) {
            self.inner.sources.mark_dirty(self.key);
        }
    }

    pub(super) fn linger(&self) {
        if !self.is_lingering.replace(true) {
            self.inner.sources.linger(self.key);
        }
    }

    /// A buffer of the pool, for a stream to read into.
    #[inline(always)]
    pub(crate) fn lend_buffer(&self, large: bool) -> Box<Buffer> {
        if large { self.inner.pool.large() } else { self.inner.pool.small() }
    }

    #[inline(always)]
    pub(crate) fn take_buffer_back(&self, buffer: Box<Buffer>) {
        self.inner.pool.give(buffer);
    }

    pub(super) fn close_timeout(&self) -> Duration {
        self.with_rare(|rare| rare.close_timeout.unwrap_or(CLOSE_TIMEOUT))
    }

    /// Reads for the protocol, or lets the task do so.
    #[inline(always)]
    fn ready_to_read(self: Rc<Self>, scratch: &mut [u8]) {
        match self.face.take() {
            Some(face) => face.ready(self, scratch),
            None => self.ready_to_pull(),
        }
    }

    #[inline(never)]
    fn ready_to_pull(self: Rc<Self>) {
        if let Some(waiters) = self.waiters() {
            waiters.reader.serve(&self.inner);
        }
        self.settle_if_needed();
    }

    /// Takes up again what was left undone, or serves what is no reading.
    #[cold]
    fn ready_otherwise(self: Rc<Self>, readiness: Readiness, scratch: &mut [u8]) {
        if readiness == Readiness::NONE {
            self.is_lingering.set(false);
            self.tell_resumed();
            if self.wants_bytes() {
                return self.ready_to_read(scratch);
            }
        }
        self.after_reading();
    }

    pub(super) fn after_reading(self: &Rc<Self>) {
        if self.reading.get() == Reading::Paused {
            self.look_for_end();
        }
        self.settle_if_needed();
    }

    /// While reading is paused, an end that was announced is looked for without reading.
    #[cold]
    fn look_for_end(self: &Rc<Self>) {
        if !self.readiness.get().has(Readiness::READ_CLOSED.and(Readiness::BROKEN)) {
            return;
        }
        match self.with_stream(|stream| stream.is_at_end()) {
            Ok(true) => self.peer_ended(),
            Ok(false) => {}
            Err(error) => self.read_failed(error),
        }
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

    fn flush(self: Rc<Self>) {
        self.is_dirty.set(false);
        if self.call.get() != Call::None {
            self.uncork();
        }
        self.send();
        self.settle_if_needed();
    }

    fn lose(self: Rc<Self>, reason: &Failure) {
        use io::ErrorKind::ConnectionAborted;
        self.send();
        // As a source: a protocol can tell the end of its reactor from a network's.
        self.broke(match reason.check() {
            Some(&stopped @ ReactorStopped) => io::Error::new(ConnectionAborted, stopped),
            None => io::Error::new(ConnectionAborted, reason.to_string()),
        });
        self.settle();
    }
}
