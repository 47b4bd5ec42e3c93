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
//! The limits: of an end in order in `sending.rs`, of a peer that is heard out in `lingering_close.rs`, of a
//! handshake in `layer.rs`, of silence in `policies/`.

use crate::driver::ByteStream;
use crate::forward_byte_stream;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;

/// What the system said of a connection with layers.
#[derive(Default)]
pub(super) struct Refusals(Cell<Seen>);

#[derive(Clone, Copy, Default)]
struct Seen {
    reading: Direction,
    writing: Direction,
    /// The peer took bytes since this was asked last.
    has_taken: bool,
    /// A layer refused since this was asked last.
    was_held: bool,
}

#[derive(Clone, Copy, Default)]
struct Direction {
    /// The system refused, and that was not seen above yet.
    is_refused: bool,
    /// A layer refused last, not the system.
    is_held: bool,
    /// The system gave or took all that it was asked for when it was asked last.
    was_served: bool,
}

impl Direction {
    /// Below the layers.
    fn note(&mut self, outcome: &io::Result<usize>, wanted: usize) {
        self.is_held = false;
        match outcome {
            Ok(count) => (self.was_served, self.is_refused) = (*count == wanted, false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                (self.was_served, self.is_refused) = (false, true);
            }
            Err(_) => {}
        }
    }

    /// Above the layers: whether it was a layer that refused.
    fn refused(&mut self) -> bool {
        self.is_held = !std::mem::take(&mut self.is_refused);
        self.is_held
    }
}

impl Refusals {
    fn change<R>(&self, change: impl FnOnce(&mut Seen) -> R) -> R {
        let mut seen = self.0.get();
        let changed = change(&mut seen);
        self.0.set(seen);
        changed
    }

    /// Whether the peer took bytes since this was asked last.
    pub(super) fn has_taken(&self) -> bool {
        self.change(|seen| std::mem::take(&mut seen.has_taken))
    }

    /// Whether a layer refused since this was asked last.
    pub(super) fn was_held(&self) -> bool {
        self.change(|seen| std::mem::take(&mut seen.was_held))
    }

    /// A read above the layers brought nothing.
    pub(super) fn read_refused(&self) {
        self.change(|seen| seen.was_held |= seen.reading.refused());
    }

    /// A write above the layers was not taken.
    pub(super) fn write_refused(&self) {
        self.change(|seen| seen.was_held |= seen.writing.refused());
    }

    /// Whether a layer holds back what was written.
    pub(super) fn is_held_in_writing(&self) -> bool {
        self.0.get().writing.is_held
    }

    /// Whether a layer holds bytes back, in either direction. `is_readable` says that a read may bring some.
    pub(super) fn is_held(&self, is_readable: bool) -> bool {
        let Seen { reading, writing, .. } = self.0.get();
        // A short read that was not the system's own may have been the last that was tried.
        let hides = !is_readable && reading.was_served;
        writing.is_held || reading.is_held || hides
    }
}

/// The system's stream, under the first layer.
pub(super) struct Noted {
    stream: Box<dyn ByteStream>,
    refusals: Rc<Refusals>,
}

impl Noted {
    pub(super) fn new(stream: Box<dyn ByteStream>, refusals: Rc<Refusals>) -> Noted {
        Noted { stream, refusals }
    }

    fn wrote(&self, outcome: &io::Result<usize>, wanted: usize) {
        self.refusals.change(|seen| {
            seen.writing.note(outcome, wanted);
            if let Ok(count) = outcome {
                // Unlike a short read, a short write is a refusal, and always seen above as one.
                seen.writing.is_refused = *count < wanted;
                seen.has_taken |= *count > 0;
            }
        });
    }
}

impl ByteStream for Noted {
    forward_byte_stream!(self.stream: all except read, write, write_vectored);

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = self.stream.read(buffer);
        self.refusals.change(|seen| seen.reading.note(&outcome, buffer.len()));
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
