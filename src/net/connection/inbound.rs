//! The way in of a connection: what an event of its socket leads to, and what reading finds out.
//!
//! Reading goes on until the socket has no more, but for so long only that others have their turn.
//! A read of a plain stream that came short is its end: the next would bring nothing. The peer's end,
//! once announced, is behind a short read too, an urgent mark cuts one short, and what is not plain may
//! hold more than it gives; then only `WouldBlock` ends it.
//!
//! Once a write has failed, the peer is heard out: until nothing of its is there, or it ends, or it has
//! said so much that it would not stop. A stream whose writer was told is read on like any other.

use crate::driver::Readiness;
use crate::net::connection::Connection;
use crate::net::connection::state::{Action, Event};
use std::io;
use std::rc::Rc;

/// So many reads in a row are one connection's share of a turn.
pub(super) const READS_PER_TURN: usize = 4;
/// With any of these a short read does not mean that nothing is left, whatever the stream.
pub(super) const HIDING: Readiness =
    Readiness::READ_CLOSED.and(Readiness::BROKEN).and(Readiness::URGENT);
/// Nor does it with one of these, unless the stream is asked.
const UNCERTAIN: Readiness = HIDING.and(Readiness::LAYERED);

impl Connection {
    /// Reads for the protocol, or lets the task do so.
    #[inline(always)]
    pub(super) fn ready_to_read(self: Rc<Self>, scratch: &mut [u8]) {
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
        self.advance_if_needed();
    }

    /// Takes up again what was left undone, or serves what is no reading.
    #[cold]
    pub(super) fn ready_otherwise(self: Rc<Self>, readiness: Readiness, scratch: &mut [u8]) {
        if readiness == Readiness::NONE {
            self.is_requeued.set(false);
            self.tell_resumed();
            if self.wants_bytes() {
                return self.ready_to_read(scratch);
            }
        }
        self.after_reading();
    }

    pub(super) fn after_reading(self: &Rc<Self>) {
        if self.state.get().is_paused() {
            self.look_for_end();
        }
        self.advance_if_needed();
    }

    #[inline(always)]
    pub(super) fn wants_bytes(&self) -> bool {
        self.readiness.get().has(Readiness::READABLE) && self.state.get().reads()
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
        self.requeue();
    }

    fn receive_outcome(self: &Rc<Self>, outcome: io::Result<usize>, scratch: &mut [u8]) {
        self.learn_from(&outcome, scratch.len());
        match outcome {
            Ok(0) => self.peer_ended(),
            Ok(count) => {
                self.deliver(&scratch[..count]);
                self.note_heard(count);
            }
            Err(error) => self.read_failed(error),
        }
    }

    /// Whether a read says that nothing is left.
    #[inline(always)]
    pub(super) fn is_short_read(&self, count: usize, wanted: usize) -> bool {
        count < wanted && !self.readiness.get().has(UNCERTAIN)
    }

    /// Learns from a read whether more is there.
    #[cold]
    pub(super) fn learn_from(self: &Rc<Self>, outcome: &io::Result<usize>, wanted: usize) {
        let is_drained = match outcome {
            Ok(count) => self.is_short_read(*count, wanted),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.read_was_refused();
        }
        if is_drained {
            // Another mark comes with another event.
            self.forget_readiness(Readiness::READABLE.and(Readiness::URGENT));
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
            io::ErrorKind::OutOfMemory => self.note_shortage(Readiness::READABLE),
            _ if self.is_in_stream() => self.mark_dirty(),
            _ => self.stream_failed(error),
        }
    }

    /// Nothing is left to read for now: if a write has failed, that was what was waited for.
    pub(super) fn heard_all(&self) {
        self.note(Event::HeardAll);
    }

    /// Bytes were read: after a failed write, so many only.
    pub(super) fn note_heard(&self, count: usize) {
        if !self.state.get().hears_out() {
            return;
        }
        let left = self.with_extras(|extras| {
            extras.peer_bytes_left = extras.peer_bytes_left.saturating_sub(count);
            extras.peer_bytes_left
        });
        if left == 0 {
            self.heard_all();
        }
    }

    /// The peer will send nothing more.
    pub(super) fn peer_ended(self: &Rc<Self>) {
        let action = self.note(Event::PeerEnded);
        if action == Action::Nothing {
            return;
        }
        self.has_work.set(true);
        // The state forgets it when this end wants no more; who asks why a handler failed looks here.
        self.readiness.set(self.readiness.get().and(Readiness::READ_CLOSED));
        if action == Action::TellReadClosed {
            self.call_protocol(|protocol, transport| protocol.read_closed(transport));
            self.wake_reader();
        }
    }

    #[inline(always)]
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
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
