//! Whose doing it is that no bytes pass a connection with layers: the peer's, or this end's own.
//!
//! # Theory
//! A layer that takes no bytes, or gives none, may pass on what the system said, or hold them back for
//! reasons of its own, as a throttle does; above it both look alike. So what the system says is noted
//! below the first layer, and what the connection is told above the last one: a refusal that was not
//! heard below is a layer's. The limits that a peer is given do not run meanwhile.
//!
//! # Invariants
//! * A refusal below counts once: the next one above that finds none is a layer's.
//!
//! # Not here
//! The limits: of an end in order in `outbound.rs`, of a peer that is heard out in `lingering_close.rs`, of a
//! handshake in `layer.rs`, of silence in `policies/`.

use crate::driver::{ByteStream, Readiness};
use crate::forward_byte_stream;
use crate::net::connection::Connection;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;

/// What the system said of a connection with layers.
#[derive(Default)]
pub(super) struct Refusals {
    reading: Direction,
    writing: Direction,
    /// The peer took bytes since this was asked last.
    has_taken: Cell<bool>,
    /// A layer refused since this was asked last.
    was_held: Cell<bool>,
}

#[derive(Default)]
struct Direction {
    /// The system refused, and that was not seen above yet.
    is_refused: Cell<bool>,
    /// A layer refused last, not the system.
    is_held: Cell<bool>,
    /// The system gave or took all that it was asked for when it was asked last.
    was_served: Cell<bool>,
}

impl Direction {
    /// Below the layers.
    fn note(&self, outcome: &io::Result<usize>, wanted: usize) {
        self.is_held.set(false);
        match outcome {
            Ok(count) => {
                self.was_served.set(*count == wanted);
                self.is_refused.set(false);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.was_served.set(false);
                self.is_refused.set(true);
            }
            Err(_) => {}
        }
    }

    /// Above the layers: whether it was a layer that refused.
    fn refused(&self) -> bool {
        let is_held = !self.is_refused.take();
        self.is_held.set(is_held);
        is_held
    }
}

impl Refusals {
    /// Whether the peer took bytes since this was asked last.
    pub(super) fn has_taken(&self) -> bool {
        self.has_taken.take()
    }

    /// Whether a layer refused since this was asked last.
    pub(super) fn was_held(&self) -> bool {
        self.was_held.take()
    }

    fn note_held(&self, is_held: bool) {
        self.was_held.set(self.was_held.get() | is_held);
    }
}

impl Connection {
    /// Puts what notes the system's refusals under the first layer.
    pub(super) fn note_below(&self, stream: Box<dyn ByteStream>) -> Box<dyn ByteStream> {
        if self.refusals().is_some() {
            return stream;
        }
        let refusals: Rc<Refusals> = Rc::default();
        self.with_extras(|extras| extras.refusals = Some(refusals.clone()));
        Box::new(Noted { stream, refusals })
    }

    pub(super) fn refusals(&self) -> Option<Rc<Refusals>> {
        self.extras.borrow().as_ref()?.refusals.clone()
    }

    #[cold]
    pub(super) fn read_was_refused(&self) {
        if let Some(refusals) = self.refusals() {
            refusals.note_held(refusals.reading.refused());
        }
    }

    #[cold]
    pub(super) fn write_was_refused(&self) {
        if let Some(refusals) = self.refusals() {
            refusals.note_held(refusals.writing.refused());
        }
    }

    /// A handshake waits for bytes, and may have some to send.
    pub(super) fn handshake_was_refused(&self) {
        self.read_was_refused();
        let flushed = self.with_stream(|stream| stream.flush());
        if flushed.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.write_was_refused();
        }
    }

    /// Whether a layer of this end's holds back what was written.
    pub(super) fn is_held_in_writing(&self) -> bool {
        self.refusals().is_some_and(|refusals| refusals.writing.is_held.get())
    }

    /// Whether a layer of this end's holds bytes back, in either direction.
    pub(super) fn is_held_by_layer(&self) -> bool {
        let Some(refusals) = self.refusals() else { return false };
        let reading = &refusals.reading;
        // A short read that was not the system's own may have been the last that was tried.
        let hides = !self.readiness.get().has(Readiness::READABLE) && reading.was_served.get();
        refusals.writing.is_held.get() || reading.is_held.get() || hides
    }
}

/// The system's stream, under the first layer.
struct Noted {
    stream: Box<dyn ByteStream>,
    refusals: Rc<Refusals>,
}

impl Noted {
    fn wrote(&self, outcome: &io::Result<usize>, wanted: usize) {
        let writing = &self.refusals.writing;
        writing.note(outcome, wanted);
        if let Ok(count) = outcome {
            // Unlike a short read, a short write is a refusal, and always seen above as one.
            writing.is_refused.set(*count < wanted);
            self.refusals.has_taken.set(self.refusals.has_taken.get() | (*count > 0));
        }
    }
}

impl ByteStream for Noted {
    forward_byte_stream!(self.stream: all except read, write, write_vectored);

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = self.stream.read(buffer);
        self.refusals.reading.note(&outcome, buffer.len());
        outcome
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let outcome = self.stream.write(data);
        self.wrote(&outcome, data.len());
        outcome
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let outcome = self.stream.write_vectored(slices);
        self.wrote(&outcome, slices.iter().map(|slice| slice.len()).sum());
        outcome
    }
}
