//! What a connection does about what came in, for its protocol or for the task that reads its stream.
//!
//! Reading goes on until the socket has no more, but for so long only that others have their turn. Once a
//! write has failed, the peer is heard out: until nothing of its is there, or it ends, or it has said so
//! much that it would not stop. A stream whose writer was told is read on like any other.

use crate::driver::Readiness;
use crate::net::connection::inbound::{READS_PER_TURN, Read, Unlearned};
use crate::net::connection::state::{Action, Event};
use crate::net::connection::{Connection, Due};
use std::io;
use std::rc::Rc;

impl Connection {
    /// Takes up again what was left undone, or serves what is no reading.
    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    pub(super) fn ready_otherwise(self: Rc<Self>, readiness: Readiness, scratch: &mut [u8]) {
        if readiness == Readiness::NONE {
            self.due.set(Due { is_requeued: false, ..self.due.get() });
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

    /// Goes on from a read of the protocol's that was more than a short one, or brought nothing.
    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    pub(super) fn receive_on(self: &Rc<Self>, first: Unlearned, scratch: &mut [u8]) {
        let first = self.inbound.learn(&self.stream, first, scratch, self.bytes_in());
        self.receive(first, scratch);
        for _ in 1..READS_PER_TURN {
            if !self.wants_bytes() {
                return self.after_reading();
            }
            let read = self.inbound.read(&self.stream, scratch, self.bytes_in());
            self.receive(read, scratch);
        }
        self.requeue();
        self.after_reading();
    }

    fn receive(self: &Rc<Self>, read: Read, scratch: &mut [u8]) {
        let count = self.take_in(read);
        if count > 0 {
            self.deliver(&scratch[..count]);
            self.note_heard(count);
        }
    }

    /// Sees to all that a read came to but bytes. Returns how many of those it brought.
    pub(super) fn take_in(self: &Rc<Self>, read: Read) -> usize {
        if self.has_layer() && !matches!(read, Read::Nothing) {
            self.deliver_descriptors();
        }
        match read {
            Read::Bytes(count) => return count,
            Read::End => self.peer_ended(),
            Read::Nothing => self.found_nothing(),
            Read::Failed(error) => self.read_failed(error),
        }
        0
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

    fn found_nothing(&self) {
        self.read_was_refused();
        self.heard_all();
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
    fn peer_ended(self: &Rc<Self>) {
        let action = self.note(Event::PeerEnded);
        if action == Action::Nothing {
            return;
        }
        self.set_work();
        // The state forgets it when this end wants no more; who asks why a handler failed looks here.
        self.inbound.raise(Readiness::READ_CLOSED);
        if action == Action::TellReadClosed {
            self.call_protocol(|protocol, transport| protocol.read_closed(transport));
            self.wake_reader();
        }
    }

    /// While reading is paused, an end that was announced is looked for without reading.
    fn look_for_end(self: &Rc<Self>) {
        if !self.inbound.is(Readiness::READ_CLOSED.and(Readiness::BROKEN)) {
            return;
        }
        match self.with_stream(|stream| stream.is_at_end()) {
            Ok(true) => self.peer_ended(),
            Ok(false) => {}
            Err(error) => self.read_failed(error),
        }
    }
}
