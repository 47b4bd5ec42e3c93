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
//! Three machines that know no connection: its states (`state.rs`), the way in (`inbound.rs`), the way out
//! (`outbound.rs`). What it does about what they tell (`receiving.rs`, `sending.rs`), the end (`ending.rs`) and
//! what comes before it (`lingering_close.rs`), the two faces (`pushing.rs`, `pulling.rs`), what few connections
//! need (`extras.rs`), streams that are more than a socket (`layer.rs`, `held_back.rs`).

pub(crate) mod ending;
mod extras;
mod faults;
mod held_back;
mod inbound;
pub(crate) mod layer;
mod lingering_close;
mod outbound;
mod prepend;
mod producing;
pub(crate) mod pulling;
mod pushing;
mod raw_transport;
mod receiving;
mod refusals;
mod sending;
mod state;

pub(crate) use faults::is_of_connection;
pub(crate) use inbound::Unlearned;

use crate::address::Address;
use crate::buffer::Buffer;
use crate::driver::{AnyStream, ByteStream, Key, PanickedLayer, Readiness, StreamCell};
use crate::failure::{Failure, NO_PLACE, catch_panic};
use crate::net::connection::extras::Extras;
use crate::net::connection::inbound::Inbound;
use crate::net::connection::outbound::Outbound;
use crate::net::connection::state::State;
use crate::protocol::Protocol;
use crate::reactor::counters::Count;
use crate::reactor::snapshot::Looks;
use crate::reactor::{Loop, Reactor, Source, Waiter};
use crate::transport::Transport;
use std::cell::{Cell, OnceCell};
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
    inbound: Inbound,
    outbound: Outbound,
    reason: Cell<Option<Failure>>,
    pub(crate) peer: Address,
    /// What most connections never need. Taken out for one change, in which nobody is called.
    extras: Cell<Option<Box<Extras>>>,
    state: Cell<State>,
    due: Cell<Due>,
}

/// What the loop has to see to.
#[derive(Clone, Copy, Default)]
struct Due {
    /// Something waits for `advance`: bytes, an end, a mark, somebody who wants to be told.
    /// True whenever bytes wait in `outbound` or this half is not open: only then do writes go there.
    has_work: bool,
    /// In the loop's list of those to flush.
    is_dirty: bool,
    is_requeued: bool,
}

/// The pushing face, which every protocol is: the call with bytes is compiled once for each type of
/// protocol, together with `data_received` and the writes in it. All other calls are rare, and made
/// through `dyn Protocol`.
trait Push {
    /// Serves a connection that has taken this face, as there is something to read: reads once, and
    /// if that came short, calls `data_received` with it. Puts the face back.
    fn ready(self: Box<Self>, connection: Rc<Connection>, scratch: &mut [u8]);

    /// Calls `data_received`, and sends what that wrote. An error or a panic dooms the connection.
    fn receive(&mut self, connection: &Rc<Connection>, data: &[u8]);

    fn protocol(&mut self) -> &mut dyn Protocol;

    fn into_protocol(self: Box<Self>) -> Box<dyn Protocol>;
}

/// The tasks that wait on a stream.
#[derive(Default)]
struct Waiters {
    reader: Waiter,
    writer: Waiter,
    halves: Cell<Halves>,
}

#[derive(Clone, Copy, Default)]
struct Halves {
    /// The writer waits for the last byte to be sent, not merely for room.
    awaits_all: bool,
    /// There are two halves of the stream.
    is_split: bool,
}

impl Waiters {
    /// Says whether there are two halves, and returns whether there were.
    fn set_split(&self, is_split: bool) -> bool {
        self.halves.replace(Halves { is_split, ..self.halves.get() }).is_split
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
        connection.raise(named);
        inner.sources.replace(key, connection.clone());
        connection
    }

    fn new(inner: &Rc<Loop>, key: Key, mut stream: AnyStream, peer: Address) -> Rc<Connection> {
        let mark = Connection::mark_of(stream.as_dyn());
        inner.counting.opened.add(1);
        Rc::new(Connection {
            inner: inner.clone(),
            key,
            stream: StreamCell::new(stream),
            face: Cell::default(),
            waiters: OnceCell::new(),
            inbound: Inbound::new(mark),
            outbound: Outbound::new(mark != Readiness::NONE),
            reason: Cell::default(),
            peer,
            extras: Cell::default(),
            state: Cell::new(State::NEW),
            due: Cell::default(),
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

    /// Reads for the protocol, or lets the task do so.
    #[inline]
    fn ready_to_read(self: Rc<Self>, scratch: &mut [u8]) {
        match self.face.take() {
            Some(face) => face.ready(self, scratch),
            None => self.ready_to_pull(),
        }
    }

    #[inline]
    fn put_face_back(&self, face: Box<dyn Push>) {
        // Nobody but who took the face puts one there: spares the drop of nothing.
        std::mem::forget(self.face.replace(Some(face)));
    }

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

    #[inline]
    fn bytes_in(&self) -> &Count {
        &self.inner.counting.bytes_in
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

    /// Whether bytes are wanted, and some may be there.
    #[inline]
    fn wants_bytes(&self) -> bool {
        self.inbound.is(Readiness::READABLE) && self.state.get().reads()
    }

    /// The system, or a layer, says that the stream is ready.
    #[inline]
    fn raise(&self, readiness: Readiness) {
        self.inbound.raise(readiness);
        if readiness.has(Readiness::WRITABLE) {
            self.outbound.raise();
        }
    }

    /// It is ready no more.
    fn forget_readiness(&self, gone: Readiness) {
        self.inbound.forget(gone);
        if gone.has(Readiness::WRITABLE) {
            self.outbound.forget_room();
        }
    }

    #[inline]
    fn has_work(&self) -> bool {
        self.due.get().has_work
    }

    fn set_work(&self) {
        self.due.set(Due { has_work: true, ..self.due.get() });
    }

    fn with_extras<R>(&self, change: impl FnOnce(&mut Extras) -> R) -> R {
        self.set_work();
        let mut extras = self.extras.take().unwrap_or_default();
        let changed = change(&mut extras);
        self.extras.set(Some(extras));
        changed
    }

    fn look_at_extras<R>(&self, look: impl FnOnce(&Extras) -> Option<R>) -> Option<R> {
        let extras = self.extras.take();
        let seen = extras.as_deref().and_then(look);
        self.extras.set(extras);
        seen
    }

    fn has_extras(&self) -> bool {
        self.look_at_extras(|_| Some(())).is_some()
    }

    /// Has the connection settled: by the callback in progress when it returns, else by the loop at the
    /// end of the turn.
    fn mark_dirty(&self) {
        self.set_work();
        let due = self.due.get();
        if !due.is_dirty && !self.outbound.is_called() {
            self.due.set(Due { is_dirty: true, ..due });
            self.inner.sources.mark_dirty(self.key);
        }
    }

    fn requeue(&self) {
        let due = self.due.get();
        if !due.is_requeued {
            self.due.set(Due { is_requeued: true, ..due });
            self.inner.sources.requeue(self.key);
        }
    }

    /// A buffer of the pool, for a stream to read into.
    #[inline]
    pub(crate) fn lend_small(&self) -> Box<Buffer> {
        self.inner.pool.small()
    }

    pub(crate) fn lend_large(&self) -> Box<Buffer> {
        self.inner.pool.large()
    }

    #[inline]
    pub(crate) fn take_buffer_back(&self, buffer: Box<Buffer>) {
        self.inner.pool.give(buffer);
    }
}

impl<P: Protocol + 'static> Push for P {
    fn ready(mut self: Box<Self>, connection: Rc<Connection>, scratch: &mut [u8]) {
        let bytes = connection.bytes_in();
        match connection.inbound.read_short(&connection.stream, scratch, bytes) {
            Ok(count) => {
                self.receive(&connection, &scratch[..count]);
                connection.put_face_back(self);
                connection.advance_if_needed();
            }
            Err(read) => {
                connection.put_face_back(self);
                connection.receive_on(read, scratch);
            }
        }
    }

    #[inline]
    fn receive(&mut self, connection: &Rc<Connection>, data: &[u8]) {
        let transport = connection.transport();
        connection.cork();
        let call = || match self.data_received(&transport, data) {
            Ok(()) => {}
            Err(failure) => connection.data_refused("unhandled failure in data_received", failure),
        };
        match catch_panic(NO_PLACE, call) {
            Ok(()) => connection.uncork(),
            Err(failure) => connection.panicked(failure),
        }
    }

    fn protocol(&mut self) -> &mut dyn Protocol {
        self
    }

    fn into_protocol(self: Box<Self>) -> Box<dyn Protocol> {
        self
    }
}

impl Source for Connection {
    fn ready(self: Rc<Self>, readiness: Readiness, scratch: &mut [u8]) {
        self.raise(readiness);
        // Either call is the last thing done here, and so a jump.
        if readiness == Readiness::NONE || !self.wants_bytes() {
            return self.ready_otherwise(readiness, scratch);
        }
        self.ready_to_read(scratch);
    }

    fn notify(&self, readiness: Readiness) {
        self.raise(readiness);
        self.requeue();
    }

    fn flush(self: Rc<Self>) {
        self.due.set(Due { is_dirty: false, ..self.due.get() });
        if self.outbound.is_called() {
            self.uncork();
        }
        self.send();
        self.advance_if_needed();
    }

    fn name(&self) -> String {
        format!("callback of {}", self.peer)
    }

    fn looks(&self) -> Option<Looks> {
        let face = if self.waiters().is_some() { "stream" } else { "protocol" };
        let (peer, state) = (self.peer.to_string(), self.state.get().name());
        Some(Looks { peer, state, face, buffered: self.waiting() })
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

/// A chunk of memory is a multiple of 16 bytes: eight more here are sixteen for each idle connection.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Connection>() <= 152);
