//! What a connection does about what goes out: who is told of the marks, of a failed write, of a peer that
//! does not take.
//!
//! When a write fails, what the peer sent before may still be there to be read: the connection reads on
//! while there is something, up to a limit, and only then is lost, for the reason of the write. Whoever
//! waits for the write, or to write more, is told at once, and may read on.

use crate::driver::{PanickedLayer, Readiness};
use crate::failure::Failure;
use crate::net::connection::lingering_close::MOST;
use crate::net::connection::outbound::{Exit, LOW, Mark, Sent};
use crate::net::connection::state::{Action, Event, State};
use crate::net::connection::{Connection, Due};
use crate::transport::ConnectionAborted;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

/// What the system had no memory for is tried again so much later.
const RETRY: Duration = Duration::from_millis(10);

impl Connection {
    #[inline]
    pub(super) fn exit(&self) -> Exit<'_> {
        Exit { inner: &self.inner, key: self.key, stream: &self.stream }
    }

    /// A write of either face that is not collected; dropped unless this end is open.
    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    pub(super) fn append(&self, data: &[u8]) {
        if self.state.get().takes_writes() || self.still_produces() {
            self.leave_cork();
            self.write_or_keep(data);
        }
    }

    /// What is written from now on goes behind what the cork holds.
    pub(super) fn leave_cork(&self) {
        let sent = self.outbound.leave_cork(self.exit());
        self.note_sent(sent);
    }

    /// Sends at once if that is much, and nothing waits before it; what is left waits.
    pub(super) fn write_or_keep(&self, data: &[u8]) {
        if !self.state.get().sends() || data.is_empty() {
            return;
        }
        if self.has_extras() {
            // A producer that is pulled is asked for more.
            self.mark_dirty();
        }
        let sent = self.outbound.write(self.exit(), data);
        self.note_sent(sent);
    }

    /// Sends all that was written so far, as far as the socket takes it: also from inside a callback.
    pub(super) fn send_all(&self) {
        let sent = self.outbound.empty_cork(self.exit());
        self.note_sent(sent);
        self.send();
    }

    /// The callback or the poll is over: what it wrote goes out.
    // 16 instructions an echo by callbacks.
    #[inline(always)]
    pub(super) fn uncork(&self) {
        match self.outbound.uncork(self.exit()) {
            Sent::All => {}
            sent => self.note_sent(sent),
        }
    }

    /// As `uncork`, and the loop settles what comes of it.
    #[inline]
    pub(super) fn uncork_in_poll(&self) {
        self.uncork();
        if self.has_work() {
            self.mark_dirty();
        }
    }

    /// Sends what waits, as far as the socket takes it. What is left then waits for room.
    pub(super) fn send(&self) {
        match self.outbound.flush(self.exit()) {
            Sent::All => {}
            Sent::Waits if self.stream.is_out() => self.mark_dirty(),
            Sent::Waits => self.set_work(),
            Sent::Blocked => {
                self.set_work();
                self.write_was_refused();
            }
            sent => self.note_sent(sent),
        }
    }

    /// Has the system move some of a file, behind all that was written.
    ///
    /// An error but `WouldBlock` is not noted: whoever asks writes the bytes then, and meets it again.
    pub(super) fn move_file(
        &self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<usize> {
        self.send_all();
        if !self.is_drained() || !self.outbound.has_room() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let outcome = self.stream.with(|stream| stream.send_file(file, offset, count));
        let is_refused =
            outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.with_extras(|extras| extras.refuses_file = is_refused);
        match &outcome {
            Ok(count) if *count > 0 => {
                self.inner.counting.bytes_out.add(*count);
                self.outbound.note_taken();
                self.mark_dirty();
            }
            Err(_) if is_refused => self.outbound.forget_room(),
            _ => {}
        }
        outcome
    }

    /// Sees to what a write came to; the loop goes on with what waits.
    #[inline(never)]
    fn note_sent(&self, sent: Sent) {
        match sent {
            Sent::All => return,
            Sent::Waits => {}
            Sent::Blocked => self.write_was_refused(),
            Sent::Short => self.note_shortage(Readiness::WRITABLE),
            Sent::Broken(error) => return self.write_broke(error),
        }
        self.mark_dirty();
    }

    /// What a layer said for itself was not sent.
    pub(super) fn write_failed(&self, error: io::Error) {
        match self.outbound.sort(self.exit(), error) {
            Sent::All => {}
            Sent::Waits if !self.is_in_stream() => {}
            Sent::Blocked => self.write_was_refused(),
            sent => self.note_sent(sent),
        }
    }

    /// The system had no memory for it: no edge will say when it has.
    pub(super) fn note_shortage(&self, of: Readiness) {
        self.forget_readiness(of);
        if !self.with_extras(|extras| std::mem::replace(&mut extras.is_short, true)) {
            self.mark_dirty();
        }
    }

    /// Has a timer ask again, if one has to.
    pub(super) fn tend_shortage(self: &Rc<Self>) {
        if self.with_extras(|extras| extras.is_short && extras.retry.is_none()) {
            let retry = self.call_later(RETRY, Connection::try_again);
            self.with_extras(|extras| extras.retry = Some(retry));
        }
    }

    fn try_again(self: &Rc<Self>) {
        self.with_extras(|extras| (extras.is_short, extras.retry) = (false, None));
        self.raise(Readiness::READABLE.and(Readiness::WRITABLE));
        self.requeue();
    }

    /// Nothing can be sent any more; what can be read still is.
    fn write_broke(&self, error: io::Error) {
        self.discard_outgoing();
        if PanickedLayer::of(&error).is_some() {
            return self.stream_failed(error);
        }
        self.inbound.raise(Readiness::READABLE.and(Readiness::READ_CLOSED));
        let reason = self.lost_by(error);
        match self.note(Event::WriteFailed) {
            Action::HearOut => {
                self.reason.set(Some(reason));
                self.with_extras(|extras| extras.peer_bytes_left = MOST);
                self.wake_writer();
                self.requeue();
            }
            Action::Discard => {
                self.reason.set(Some(reason));
                self.mark_dirty();
            }
            _ => {}
        }
    }

    /// A write has failed: tells those who wait to write. A protocol that wants no bytes hears nothing out.
    pub(super) fn tend_failed_write(self: &Rc<Self>) {
        let Some(reason) = self.clone_reason() else { return };
        self.stop_producer();
        self.fail_drained(&reason);
        if self.waiters().is_none() && !self.state.get().reads() {
            self.heard_all();
        }
    }

    /// Ends this half, after what was written.
    pub(super) fn begin_losing_write(&self) {
        if self.note(Event::LoseWrite) == Action::Advance {
            self.outbound.close_cork();
            self.mark_dirty();
        }
    }

    pub(super) fn discard_outgoing(&self) {
        self.outbound.discard(self.exit());
    }

    pub(super) fn is_drained(&self) -> bool {
        self.waiting() == 0
    }

    /// How many bytes wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        self.outbound.len(self.exit())
    }

    /// Tells the face when a mark was crossed.
    ///
    /// What the protocol writes in answer goes out with the next flush, not in a loop here.
    pub(super) fn tell_marks(self: &Rc<Self>) {
        let waiting = self.waiting();
        let is_writing = self.state.get().takes_writes();
        // Until the next mark is passed, this is looked at again.
        let has_work = waiting > 0 || !is_writing || self.has_extras();
        self.due.set(Due { has_work, ..self.due.get() });
        if let Some(mark) = self.outbound.crossed(waiting) {
            self.call_protocol(|protocol, transport| match mark {
                Mark::High => protocol.pause_writing(transport),
                Mark::Low => protocol.resume_writing(transport),
            });
            self.mark_dirty();
        }
        if let Some(waiters) = self.waiters()
            && (waiting == 0 || (waiting <= LOW && !waiters.halves.get().awaits_all))
        {
            self.wake_writer();
        }
    }

    /// While being lost: cuts off a peer that takes nothing for too long.
    pub(super) fn watch_closing(self: &Rc<Self>) {
        if self.with_extras(|extras| extras.close_timer.is_some()) {
            return;
        }
        let timer = self.call_later(self.close_timeout(), Connection::check_closing);
        self.outbound.has_taken();
        let refusals = self.with_extras(|extras| {
            extras.close_timer = Some(timer);
            extras.refusals.clone()
        });
        if let Some(refusals) = refusals {
            refusals.has_taken();
        }
    }

    fn check_closing(self: &Rc<Self>) {
        let is_held = self.is_held_in_writing();
        // The system tells of room only when there is much: whether a little was taken shows by trying.
        self.outbound.raise();
        self.send();
        self.with_extras(|extras| extras.close_timer = None);
        let is_taking = self.outbound.has_taken();
        let has_taken = self.refusals().is_some_and(|refusals| refusals.has_taken());
        let is_refused = self.with_extras(|extras| extras.refuses_file);
        let awaits_producer = self.is_drained() && self.has_producer() && !is_refused;
        let is_waited_for = is_taking || has_taken || is_held || awaits_producer;
        if self.state.get() == State::Losing && !is_waited_for {
            let limit = self.close_timeout();
            let cause = format!("the peer {} took no byte for {limit:?}", self.peer);
            self.abort(Failure::without_backtrace(ConnectionAborted::new(cause)));
        }
        self.advance();
    }
}
