//! The way out of a connection: collecting, sending, and what it means when the peer does not take.
//!
//! A write appends to a buffer of the pool, and `send` empties it with one system call when the
//! callback or the turn is over. A large write onto an empty buffer skips the copy.
//!
//! Above `HIGH` the face is told to pause writing, below `LOW` to resume; between them nothing is
//! said, so that a peer at the edge does not make it flutter.
//!
//! When a write fails, what the peer sent before may still be there to be read: the connection
//! reads on to the end, and only then is lost, for the reason of the write.

use super::connection::{Connection, State, Writing};
use crate::driver::Readiness;
use crate::transport::ConnectionAborted;
use std::io;
use std::rc::Rc;

/// More than this waits: the face is told to pause.
pub(super) const HIGH: usize = 64 * 1024;
/// No more than this waits: the face is told to resume.
const LOW: usize = 16 * 1024;
/// A write of so much is not worth copying if the socket may take it at once.
const DIRECT: usize = 16 * 1024;

impl Connection {
    /// A write of either face; dropped unless this end is open.
    pub(super) fn append(self: &Rc<Self>, data: &[u8]) {
        if self.state.get() != State::Open || self.writing.get() != Writing::Open {
            return;
        }
        let taken = if data.len() >= DIRECT { self.send_direct(data) } else { 0 };
        if taken < data.len() {
            let mut buffer = self.outgoing.take().unwrap_or_else(|| self.inner.pool.small());
            buffer.append(&data[taken..]);
            self.outgoing.set(Some(buffer));
            self.mark_dirty();
        }
    }

    /// Sends as much of `data` as the socket takes, if nothing waits before it.
    fn send_direct(self: &Rc<Self>, data: &[u8]) -> usize {
        if !self.is_drained() {
            return 0;
        }
        self.send_once(data)
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn send(self: &Rc<Self>) {
        let Some(mut buffer) = self.outgoing.take() else { return };
        while !buffer.is_empty() && self.readiness.get().has(Readiness::WRITABLE) {
            buffer.consume(self.send_once(buffer.as_slice()));
        }
        if buffer.is_empty() || self.writing.get() == Writing::Ended {
            return self.inner.pool.give(buffer);
        }
        self.outgoing.set(Some(buffer));
    }

    /// One write; learns from it whether there is room for more.
    fn send_once(self: &Rc<Self>, data: &[u8]) -> usize {
        if !self.readiness.get().has(Readiness::WRITABLE) {
            return 0;
        }
        match self.with_stream(|stream| stream.write(data)) {
            Ok(count) => {
                self.note_sent(count, data.len());
                count
            }
            Err(error) => {
                self.write_failed(error);
                0
            }
        }
    }

    fn note_sent(&self, count: usize, wanted: usize) {
        if count < wanted {
            self.forget_readiness(Readiness::WRITABLE);
        }
        if self.state.get() == State::Losing {
            self.with_rare(|rare| rare.is_taking = true);
        }
    }

    fn write_failed(self: &Rc<Self>, error: io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.forget_readiness(Readiness::WRITABLE),
            io::ErrorKind::Interrupted => {}
            _ => self.write_broke(error),
        }
    }

    /// Nothing can be sent any more; what can be read still is.
    fn write_broke(self: &Rc<Self>, error: io::Error) {
        self.writing.set(Writing::Ended);
        self.forget_readiness(Readiness::WRITABLE);
        let to_read = Readiness::READABLE.and(Readiness::READ_CLOSED);
        self.readiness.set(self.readiness.get().and(to_read));
        if !self.wants_bytes() {
            return self.broke(error);
        }
        self.reason.set(Some(self.lost_by(error)));
        self.wake_writer();
        self.linger();
    }

    /// Ends this half, after what was written.
    pub(super) fn begin_losing_write(self: &Rc<Self>) {
        if self.state.get() == State::Open && self.writing.get() == Writing::Open {
            self.writing.set(Writing::Ending);
            self.mark_dirty();
        }
    }

    pub(super) fn discard_outgoing(&self) {
        if let Some(buffer) = self.outgoing.take() {
            self.inner.pool.give(buffer);
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.waiting() == 0
    }

    /// How many bytes wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        let buffer = self.outgoing.take();
        let waiting = buffer.as_ref().map_or(0, |buffer| buffer.len());
        self.outgoing.set(buffer);
        waiting
    }

    /// Tells the face when a mark was crossed.
    ///
    /// What the protocol writes in answer goes out with the next flush, not in a loop here.
    pub(super) fn tell_marks(self: &Rc<Self>) {
        let waiting = self.waiting();
        if waiting > HIGH && !self.is_full.replace(true) {
            self.call_protocol(|protocol, transport| protocol.pause_writing(transport));
            self.mark_dirty();
        } else if waiting <= LOW && self.is_full.replace(false) {
            self.call_protocol(|protocol, transport| protocol.resume_writing(transport));
            self.mark_dirty();
        }
        let is_due = |awaits_all| if awaits_all { waiting == 0 } else { waiting <= LOW };
        let waker =
            self.with_wakers(
                |wakers| {
                    if is_due(wakers.awaits_all) { wakers.writer.take() } else { None }
                },
            );
        waker.flatten().into_iter().for_each(std::task::Waker::wake);
    }

    /// While being lost: cuts off a peer that takes nothing for too long.
    pub(super) fn watch_closing(self: &Rc<Self>) {
        if self.with_rare(|rare| rare.close_timer.is_some()) {
            return;
        }
        let connection = Rc::downgrade(self);
        let check = move || {
            if let Some(connection) = connection.upgrade() {
                connection.check_closing();
            }
        };
        let timer = self.inner.timers.call_later(self.close_timeout(), Box::new(check));
        self.with_rare(|rare| (rare.close_timer, rare.is_taking) = (Some(timer), false));
    }

    fn check_closing(self: &Rc<Self>) {
        let is_taking = self.with_rare(|rare| {
            rare.close_timer = None;
            rare.is_taking
        });
        if self.state.get() == State::Losing && !is_taking {
            let limit = self.close_timeout();
            let cause = format!("the peer {} took no byte for {limit:?}", self.peer);
            self.abort(ConnectionAborted::new(cause));
        }
        self.settle();
    }
}
