//! What a connection does for a stream that is more than a socket: layers, descriptors.
//!
//! # Theory
//! Most streams are plain: bytes in, bytes out. One that is not says so, and is marked by a bit in
//! the connection's readiness that no event sets; whoever finds that bit where a plain stream would
//! be done asks the stream what else there is. Plain connections pay nothing for it.
//!
//! A layer that begins shakes hands with its peer first. Until that is over the stream takes and
//! gives no bytes: what is written waits in the connection as it does for a slow peer. `advance`
//! drives the handshake, once for each event, until it succeeds, fails or takes too long.
//!
//! # Invariants
//! * The end of a handshake is told exactly once: its success from `advance`, its failure after
//!   `connection_lost`.
//! * A connection with a layer has its rare part, so that each event ends in `advance`.
//!
//! # Not here
//! What layers there are: `tls/`.

use crate::address::Address;
use crate::buffer::Buffer;
use crate::clock::DelayedCall;
use crate::deferred::{Deferred, fail};
use crate::driver::{AnyStream, ByteStream, Readiness};
use crate::failure::{Failure, NO_PLACE, Result, catch_panic};
use crate::net::connection::Connection;
use crate::net::connection::ending::done;
use crate::net::connection::extras::Handshake;
use crate::net::connection::inbound::LAYERED;
use crate::net::connection::prepend::Prepend;
use crate::net::connection::state::State;
use crate::net::listen::Acceptor;
use crate::reactor::{Loop, run_reporting_panic};
use crate::transport::Wrap;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

/// A kind of layer that new connections get, as TLS is.
pub(crate) trait Layer {
    /// What wraps one connection's stream; `host` is the name that was connected to.
    fn prepare(&self, host: Option<&str>) -> io::Result<Wrap>;

    /// How long its handshake may take.
    fn limit(&self) -> Duration;
}

/// A layer to put on.
#[derive(Clone)]
pub(crate) struct LayerRef(pub(crate) Rc<dyn Layer>);

/// The same layer, not an equal one.
impl PartialEq for LayerRef {
    fn eq(&self, other: &LayerRef) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for LayerRef {}

impl fmt::Debug for LayerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a layer")
    }
}

impl Connection {
    /// The bit of a stream that has more to say than bytes.
    pub(super) fn mark_of(stream: &mut dyn ByteStream) -> Readiness {
        LAYERED.when(stream.is_layered())
    }

    pub(super) fn has_layer(&self) -> bool {
        self.inbound.is(LAYERED)
    }

    pub(super) fn deliver_descriptors(self: &Rc<Self>) {
        while let Ok(Some(descriptor)) = self.with_stream(|stream| Ok(stream.take_descriptor())) {
            if !self.state.get().is_open() {
                // Nobody wants it any more: it is closed here.
                continue;
            }
            if self.waiters().is_some() {
                self.with_extras(|extras| extras.keep_descriptor(descriptor));
                continue;
            }
            self.call_protocol(|protocol, transport| {
                protocol.file_descriptor_received(transport, descriptor);
            });
        }
    }

    /// The next descriptor that came for a stream.
    pub(crate) fn take_descriptor(&self) -> Option<OwnedFd> {
        if self.has_extras() {
            self.with_extras(|extras| extras.descriptors.pop_front())
        } else {
            None
        }
    }

    /// Has the new stream shake hands; `done` is told how that ended.
    pub(crate) fn await_handshake(
        self: &Rc<Self>,
        limit: Duration,
        done: impl FnOnce(&Rc<Connection>, Result) + 'static,
    ) {
        self.await_handshake_behind(Rc::default(), limit, done);
    }

    /// The handshake of a layer before whose bytes others are to leave: so many as `ahead` tells.
    fn await_handshake_behind(
        self: &Rc<Self>,
        ahead: Rc<Cell<usize>>,
        limit: Duration,
        done: impl FnOnce(&Rc<Connection>, Result) + 'static,
    ) {
        if let Some(refusals) = self.refusals() {
            refusals.was_held();
        }
        let timer = self.limit_handshake(ahead, limit);
        let handshake = Handshake { done: Box::new(done), timer };
        let former = self.with_extras(|extras| extras.handshake.replace(Box::new(handshake)));
        drop(former);
        self.mark_dirty();
    }

    fn limit_handshake(self: &Rc<Self>, ahead: Rc<Cell<usize>>, limit: Duration) -> DelayedCall {
        let connection = Rc::downgrade(self);
        let before = ahead.get();
        let expire = move || {
            if let Some(connection) = connection.upgrade() {
                connection.handshake_expired(before, ahead, limit);
            }
        };
        self.inner.timers.call_later(limit, Box::new(expire))
    }

    fn handshake_expired(self: &Rc<Self>, before: usize, ahead: Rc<Cell<usize>>, limit: Duration) {
        if !self.with_extras(|extras| extras.handshake.is_some()) {
            return;
        }
        let was_held = self.refusals().is_some_and(|refusals| refusals.was_held());
        if ahead.get() < before || was_held {
            // The peer takes what goes first, or a layer below holds bytes back: the handshake has not
            // had its time yet.
            let timer = self.limit_handshake(ahead, limit);
            return self.with_extras(|extras| {
                if let Some(handshake) = &mut extras.handshake {
                    handshake.timer = timer;
                }
            });
        }
        let why = format!("the handshake was not over within {limit:?}");
        let reason = self.lost_by(io::Error::new(io::ErrorKind::TimedOut, why));
        self.abort(reason);
    }

    /// Does what the layer has to do by itself: its handshake, or what it could not send before.
    pub(super) fn tend_layer(self: &Rc<Self>) {
        if matches!(self.state.get(), State::Lingering | State::Failed { .. } | State::Lost { .. })
        {
            return;
        }
        if self.has_extras() && self.with_extras(|extras| extras.handshake.is_some()) {
            return self.go_on_shaking();
        }
        // Where there is no room nothing is tried: a success would use the room up of which an edge
        // is to tell, and the edge would not come.
        if self.outbound.has_room()
            && let Err(error) = self.with_stream(|stream| stream.flush())
        {
            self.again_if_interrupted(&error);
            self.flush_failed(error);
        }
    }

    /// The layer could not say what it has to say for itself. That is no loss while nothing of the
    /// application's waits: what the peer sent before it went tells whether it ended in order.
    fn flush_failed(&self, error: io::Error) {
        let passes = [io::ErrorKind::WouldBlock, io::ErrorKind::OutOfMemory];
        if self.is_drained() && !passes.contains(&error.kind()) {
            return;
        }
        self.write_failed(error);
    }

    fn go_on_shaking(self: &Rc<Self>) {
        match self.with_stream(|stream| stream.handshake()) {
            Ok(()) => self.handshake_succeeded(),
            Err(error) => {
                if error.kind() == io::ErrorKind::WouldBlock {
                    self.handshake_was_refused();
                }
                self.again_if_interrupted(&error);
                self.read_failed(error);
            }
        }
    }

    /// No edge follows what a signal interrupted.
    fn again_if_interrupted(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::Interrupted {
            self.mark_dirty();
        }
    }

    fn handshake_succeeded(self: &Rc<Self>) {
        let Some(handshake) = self.with_extras(|extras| extras.handshake.take()) else { return };
        // It is not due yet, or it would have ended the handshake.
        let _ = handshake.timer.cancel();
        self.raise(Readiness::READABLE.and(Readiness::WRITABLE));
        self.requeue();
        self.mark_dirty();
        run_reporting_panic("panic after a handshake", || (handshake.done)(self, Ok(())));
    }

    /// The connection was lost before its handshake was over.
    pub(super) fn tell_handshake_lost(self: &Rc<Self>, reason: &Failure) {
        if let Some(handshake) = self.with_extras(|extras| extras.handshake.take()) {
            // It may be this very timer that ended the connection.
            let _ = handshake.timer.cancel();
            run_reporting_panic("panic after a handshake", || {
                (handshake.done)(self, Err(reason.clone()))
            });
        }
    }

    /// A stream holds bytes that came before its layer, and were asked for after it: somebody on the
    /// way may have put them there, to be taken for the peer's.
    pub(crate) fn refuse_clear(&self, count: usize) -> io::Result<usize> {
        self.stream_failed(io::Error::new(io::ErrorKind::InvalidData, in_the_clear(count)));
        self.mark_dirty();
        self.end_as_read()
    }

    /// Whether the layer has said what it has to say before an end in order.
    pub(super) fn is_close_notified(&self) -> bool {
        !self.has_layer() || self.close_notify()
    }

    fn close_notify(&self) -> bool {
        match self.with_stream(|stream| stream.close_notify()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.outbound.forget_room();
                self.write_was_refused();
                false
            }
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                self.note_shortage(Readiness::WRITABLE);
                false
            }
            // A peer that is gone needs no goodbye.
            _ => true,
        }
    }

    /// Puts a layer on a connection; fails if the system does not take at once what waits to go first.
    pub(super) fn put_layer_on(&self, wrap: Wrap) -> Result {
        self.send_all();
        if !self.is_drained() {
            return Err(Failure::msg("what was written before the layer is not sent yet"));
        }
        let Some(stream) = self.stream.take() else { return Err(self.has_no_stream()) };
        let below = self.note_below(stream.into_box());
        let wrapped = catch_panic(NO_PLACE, || wrap(below));
        let mut layer = wrapped.inspect_err(|failure| self.layer_panicked(failure.clone()))?;
        let marks = Connection::mark_of(&mut *layer).and(Readiness::READABLE);
        self.stream.set(layer.into());
        if marks.has(LAYERED) {
            self.outbound.set_layered();
        }
        self.inbound.raise(marks);
        self.requeue();
        Ok(())
    }

    fn has_no_stream(&self) -> Failure {
        if !self.is_in_stream() {
            return self.clone_reason().unwrap_or_else(done);
        }
        Failure::msg("a call to this connection's stream is in progress: it cannot be replaced now")
    }

    /// Puts a layer on a connection and has it shake hands. What was written before leaves before it,
    /// what is written from now on goes through it.
    pub(crate) fn dress(self: &Rc<Self>, wrap: Wrap, limit: Duration) -> Deferred<()> {
        if self.stream.is_out() {
            return fail(self.has_no_stream());
        }
        self.send_all();
        let ahead: Rc<Cell<usize>> = Rc::default();
        let wrap = match self.outbound.take() {
            Some(bytes) => goes_behind(wrap, bytes, ahead.clone()),
            None => wrap,
        };
        if let Err(failure) = self.put_layer_on(wrap) {
            return fail(failure);
        }
        self.outbound.count_upgrade();
        let (trigger, deferred) = Deferred::new();
        self.await_handshake_behind(ahead, limit, move |_, outcome| {
            // Whoever cancelled wants to know no more.
            let _ = match outcome {
                Ok(()) => trigger.callback(()),
                Err(failure) => trigger.errback(failure),
            };
        });
        deferred
    }
}

/// What is wrong with bytes that came before the layer that they seem to come from.
pub(crate) fn in_the_clear(count: usize) -> String {
    format!("{count} bytes came in the clear behind the start of TLS")
}

fn goes_behind(wrap: Wrap, bytes: Box<Buffer>, left: Rc<Cell<usize>>) -> Wrap {
    Box::new(move |below| wrap(Box::new(Prepend::new(below, bytes, left))))
}

/// What a port with a layer does: handshakes first, and then what the welcome below does.
pub(crate) struct HandshakingAcceptor {
    layer: Rc<dyn Layer>,
    /// Absent while it is called, and once the port is done with it.
    below: Rc<Cell<Option<Box<dyn Acceptor>>>>,
}

impl HandshakingAcceptor {
    pub(crate) fn new(layer: Rc<dyn Layer>, below: Box<dyn Acceptor>) -> HandshakingAcceptor {
        HandshakingAcceptor { layer, below: Rc::new(Cell::new(Some(below))) }
    }
}

impl Acceptor for HandshakingAcceptor {
    fn started(&mut self) {
        with(&self.below, |below| below.started());
    }

    fn accepted(&mut self, inner: &Rc<Loop>, stream: AnyStream, peer: Address) {
        self.serve(Connection::open(inner, stream, peer));
    }

    fn serve(&mut self, connection: Rc<Connection>) {
        let wrapped = self.layer.prepare(None).map_err(Failure::from);
        if let Err(failure) = wrapped.and_then(|wrap| connection.put_layer_on(wrap)) {
            connection.report("handshake", &failure);
            return connection.abort(failure);
        }
        let below = self.below.clone();
        connection.await_handshake(self.layer.limit(), move |connection, outcome| match outcome {
            Ok(()) if with(&below, |below| below.serve(connection.clone())) => {}
            Ok(()) => connection.begin_losing(),
            Err(failure) => connection.report_end("handshake", &failure, None),
        });
    }

    fn is_full(&self) -> bool {
        let Some(below) = self.below.take() else { return false };
        let is_full = below.is_full();
        self.below.set(Some(below));
        is_full
    }

    fn stopped(&mut self) {
        with(&self.below, |below| below.stopped());
        drop(self.below.take());
    }
}

/// Calls the welcome, and returns whether the port still has it.
fn with(below: &Cell<Option<Box<dyn Acceptor>>>, call: impl FnOnce(&mut dyn Acceptor)) -> bool {
    let Some(mut accepted) = below.take() else { return false };
    run_reporting_panic("panic in a factory", || call(&mut *accepted));
    below.set(Some(accepted));
    true
}
