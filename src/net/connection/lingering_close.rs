//! Parting: what a connection waits for between its own last byte and the close.
//!
//! # Theory
//! A system that closes a socket with something unread answers the peer with a reset, as it does to
//! whatever comes after the close, and forgets what it had still to send: the peer loses the end of what
//! was written to it, or takes an end in order for a loss. So who ends in order while the peer has more
//! to say ends its own half first, and reads on and drops what comes, until the peer ends as well.
//!
//! Over TLS the peer always has more to say until it has said goodbye: servers send tickets unasked, and
//! a goodbye is bytes too. Over a plain socket it is heard out if bytes of its are there already. Nobody
//! waits for those that may come: that would cost every connection a round trip, and its memory for as
//! long as its peer likes, where the peer nearly always has said what it had to say. But for a server that
//! stops: it ends conversations in the middle, and what is on its way then must not take the last answers
//! with it.
//!
//! # Invariants
//! * It takes `LIMIT` of the peer's time and `MOST` bytes at most, however much or little the peer sends.
//! * A protocol is told nothing meanwhile, and nothing of what comes.
//!
//! # Not here
//! Who has something to say: [`Layer::must_linger`](crate::driver::Layer::must_linger).

use crate::clock::DelayedCall;
use crate::driver::Readiness;
use crate::net::connection::Connection;
use crate::net::connection::inbound::{READS_PER_TURN, Read};
use crate::net::connection::state::Event;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// As long as a handshake may take: time enough for somebody who is there to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// As long as somebody who is there takes to hear of the end of a server that stops.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// As much as systems keep for a sender: what was on its way before it could know.
pub(super) const MOST: usize = 4 * 1024 * 1024;

impl Connection {
    /// All is sent and said. The peer's having been heard is told at once, if it has nothing to say.
    pub(super) fn begin_lingering(self: &Rc<Self>) -> Option<Event> {
        let is_over =
            !self.must_linger() || self.with_stream(|stream| stream.shutdown_write()).is_err();
        if is_over {
            return Some(Event::Heard);
        }
        self.with_extras(|extras| extras.peer_bytes_left = MOST);
        self.limit_hearing();
        self.drain_peer()
    }

    fn limit_hearing(self: &Rc<Self>) {
        if let Some(refusals) = self.refusals() {
            refusals.was_held();
        }
        let limit = if self.inner.is_draining(self.key) { STOP_LIMIT } else { LIMIT };
        let timer = self.call_later(self.close_timeout().min(limit), Connection::stop_lingering);
        if let Some(former) = self.with_extras(|extras| extras.close_timer.replace(timer)) {
            // It may be this very timer that found that all is sent, or that hears on.
            let _ = former.cancel();
        }
    }

    fn must_linger(&self) -> bool {
        if self.has_reason() {
            // A write has failed: there is nothing to be saved.
            return false;
        }
        if self.inner.is_draining(self.key) {
            // The peer's end may be known already, which is to be read again.
            self.inbound.raise(Readiness::READABLE);
            return true;
        }
        // A layer that gave nothing may not have asked the system.
        let may_be_unread = self.inbound.is(Readiness::READABLE) || self.refusals().is_some();
        let ask = || self.with_stream(|stream| Ok(stream.must_linger(may_be_unread)));
        (may_be_unread || self.has_layer()) && ask().unwrap_or(false)
    }

    /// Drops what came, until the peer ends or has said enough.
    pub(super) fn drain_peer(self: &Rc<Self>) -> Option<Event> {
        for _ in 0..READS_PER_TURN {
            if self.with_extras(|extras| extras.peer_bytes_left) == 0 {
                return Some(Event::Heard);
            }
            if !self.inbound.is(Readiness::READABLE) {
                return None;
            }
            self.drain_once();
        }
        self.requeue();
        None
    }

    fn drain_once(self: &Rc<Self>) {
        let mut buffer = self.lend_large();
        let read = self.inbound.read(&self.stream, buffer.space(), self.bytes_in());
        self.take_buffer_back(buffer);
        if self.has_layer() && !matches!(read, Read::Nothing) {
            self.deliver_descriptors();
        }
        match read {
            Read::End => self.with_extras(|extras| extras.peer_bytes_left = 0),
            Read::Bytes(count) => self.with_extras(|extras| {
                extras.peer_bytes_left = extras.peer_bytes_left.saturating_sub(count)
            }),
            Read::Nothing => self.read_was_refused(),
            Read::Failed(error) => self.drain_failed(error),
        }
    }

    fn drain_failed(&self, error: io::Error) {
        use io::ErrorKind::{Interrupted, OutOfMemory, UnexpectedEof};
        match error.kind() {
            Interrupted => return,
            OutOfMemory => return self.note_shortage(Readiness::READABLE),
            // Nothing of what the peer said counts: it may end without a goodbye.
            UnexpectedEof => {}
            // What was sent may have been lost.
            _ => self.reason.set(Some(self.lost_by(error))),
        }
        self.with_extras(|extras| extras.peer_bytes_left = 0);
    }

    /// The peer had its time, unless a layer of this end's held back what it said.
    fn stop_lingering(self: &Rc<Self>) {
        if self.refusals().is_some_and(|refusals| refusals.was_held()) {
            return self.limit_hearing();
        }
        self.with_extras(|extras| extras.peer_bytes_left = 0);
        self.advance();
    }

    /// Calls a method of this connection's later, if the connection is there still.
    pub(super) fn call_later(
        self: &Rc<Self>,
        delay: Duration,
        call: fn(&Rc<Connection>),
    ) -> DelayedCall {
        let connection = Rc::downgrade(self);
        let call = move || {
            if let Some(connection) = connection.upgrade() {
                call(&connection);
            }
        };
        self.inner.timers.call_later(delay, Box::new(call))
    }
}
