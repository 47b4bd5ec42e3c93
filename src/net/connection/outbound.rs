//! The way out of a connection: collecting, sending, and what it means when the peer does not take.
//!
//! What a callback writes, or a task's poll to its first stream, collects in the loop's one cork and
//! goes out with one system call when the callback or the poll returns. What the socket does not take then, and what others write, waits in a buffer of
//! the pool, which `send` empties at the end of the turn or when there is room again. A large write
//! with nothing before it skips both.
//!
//! A layer of the user's may write to its own connection while it is called with bytes. Those wait, and
//! what the layer leaves over of the bytes it was called with goes before them.
//!
//! Above `HIGH` the face is told to pause writing, below `LOW` to resume; between them nothing is
//! said, so that a peer at the edge does not make it flutter.
//!
//! When a write fails, what the peer sent before may still be there to be read: the connection
//! reads on while there is something, up to a limit, and only then is lost, for the reason of the write.
//! Whoever waits for the write, or to write more, is told at once, and may read on.

use crate::buffer::{Buffer, CORKED, Corked, SMALL};
use crate::driver::{FastPathMiss, Key, PanickedLayer, Readiness};
use crate::failure::Failure;
use crate::net::connection::lingering_close::MOST;
use crate::net::connection::state::{Action, Event, State};
use crate::net::connection::{Call, Connection};
use crate::transport::ConnectionAborted;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

/// More than this waits: the face is told to pause.
pub(super) const HIGH: usize = 64 * 1024;
/// No more than this waits: the face is told to resume.
pub(super) const LOW: usize = 16 * 1024;
/// What the system had no memory for is tried again so much later.
const RETRY: Duration = Duration::from_millis(10);
/// A write of so much is not worth copying if the socket may take it at once.
const DIRECT: usize = CORKED;

impl Connection {
    /// A write of either face; dropped unless this end is open.
    #[inline(always)]
    pub(super) fn append(&self, data: &[u8]) {
        if self.call.get() == Call::Corked && self.inner.cork.collect(data) {
            return;
        }
        self.append_uncorked(data);
    }

    #[cold]
    fn append_uncorked(&self, data: &[u8]) {
        if self.state.get().takes_writes() || self.still_produces() {
            self.leave_cork();
            self.send_or_keep(data);
        }
    }

    /// What is written from now on goes behind what the cork holds.
    pub(super) fn leave_cork(&self) {
        if self.call.get() == Call::Corked {
            self.call.set(Call::Plain);
            self.send_cork();
        }
    }

    /// Sends at once if that is much, and nothing waits before it; what is left waits.
    pub(super) fn send_or_keep(&self, data: &[u8]) {
        if data.len() < DIRECT || !self.is_drained() {
            return self.keep(data);
        }
        let sent = self.send_direct(data);
        self.keep_ahead(&data[sent..]);
    }

    /// Sends all that was written so far, as far as the socket takes it: also from inside a callback.
    pub(super) fn send_all(&self) {
        if self.call.get() == Call::Corked {
            self.call.set(Call::Plain);
        }
        // Another connection's callback may be in progress, and what the cork holds be its.
        if self.inner.cork.owner() == self.key {
            self.send_cork();
        }
        self.send();
    }

    /// Keeps bytes until the loop sends them.
    fn keep(&self, data: &[u8]) {
        if !self.state.get().sends() || data.is_empty() {
            return;
        }
        let mut buffer = self.outgoing.take().unwrap_or_else(|| self.lend_for(data.len()));
        buffer.append(data);
        self.outgoing.set(Some(buffer));
        self.mark_dirty();
    }

    fn lend_for(&self, count: usize) -> Box<Buffer> {
        if count > SMALL { self.inner.pool.large() } else { self.inner.pool.small() }
    }

    /// Keeps what a call to the stream left over, before what a layer wrote during the call.
    fn keep_ahead(&self, unsent: &[u8]) {
        if unsent.is_empty() {
            return;
        }
        let later = self.outgoing.take();
        self.keep(unsent);
        if let Some(later) = later {
            self.keep(later.as_slice());
            self.inner.pool.give(later);
        }
    }

    /// A callback begins: what it writes collects in the cork, if that is free and nothing older waits.
    #[inline(always)]
    pub(super) fn cork(&self) {
        if self.has_work.get() || self.inner.cork.owner() != Key::NONE {
            return self.call.set(Call::Plain);
        }
        self.inner.cork.set_owner(self.key);
        self.call.set(Call::Corked);
    }

    /// The callback or the poll is over: what it wrote goes out.
    #[inline(always)]
    pub(super) fn uncork(&self) {
        if self.call.replace(Call::None) != Call::Corked {
            return self.uncork_plain();
        }
        self.inner.cork.set_owner(Key::NONE);
        self.send_cork();
    }

    /// As `uncork`, and the loop settles what comes of it.
    #[inline(always)]
    pub(super) fn uncork_in_poll(&self) {
        self.uncork();
        if self.has_work.get() {
            self.mark_dirty();
        }
    }

    /// The cork was this connection's own until it wrote too much, or ended.
    #[cold]
    fn uncork_plain(&self) {
        if self.inner.cork.owner() == self.key {
            self.inner.cork.set_owner(Key::NONE);
            self.send_cork();
        }
    }

    /// Sends what the cork holds, which is this connection's.
    #[inline(always)]
    fn send_cork(&self) {
        let Some(mut bytes) = self.inner.cork.take() else { return };
        if bytes.is_empty() {
            return self.inner.cork.put_back(bytes);
        }
        let may = self.readiness.get().has(Readiness::WRITABLE);
        match if may { self.stream.try_write(&bytes) } else { Ok(0) } {
            Ok(count) if count == bytes.len() => {}
            outcome => return self.cork_was_cut(outcome, bytes),
        }
        bytes.clear();
        self.inner.cork.put_back(bytes);
    }

    /// The cork gets its memory back first: a failure wakes whoever writes, which may be code of the user.
    #[cold]
    fn cork_was_cut(&self, outcome: Result<usize, FastPathMiss>, mut bytes: Corked) {
        let outcome = outcome.or_else(|why| self.stream.write_otherwise(why, &bytes));
        let wanted = bytes.len();
        let unsent = bytes[*outcome.as_ref().unwrap_or(&0)..].to_vec();
        bytes.clear();
        self.inner.cork.put_back(bytes);
        self.note_outcome(outcome, wanted);
        self.keep_ahead(&unsent);
    }

    /// Sends as much of `data` as the socket takes; nothing waits before it.
    fn send_direct(&self, data: &[u8]) -> usize {
        let may = self.readiness.get().has(Readiness::WRITABLE);
        if may && self.has_extras() {
            // A producer that is pulled is asked for more.
            self.mark_dirty();
        }
        if may { self.send_once(data) } else { 0 }
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn send(&self) {
        let Some(mut buffer) = self.outgoing.take() else { return };
        if self.stream.is_out() {
            // A layer is at work, and asks for this itself.
            self.outgoing.set(Some(buffer));
            return self.mark_dirty();
        }
        while self.readiness.get().has(Readiness::WRITABLE) {
            let count = self.send_once(buffer.as_slice());
            buffer.consume(count);
            if buffer.is_empty() {
                return self.inner.pool.give(buffer);
            }
        }
        self.did_not_send_all(buffer);
    }

    #[cold]
    fn did_not_send_all(&self, mut buffer: Box<Buffer>) {
        if !self.state.get().sends() {
            return self.inner.pool.give(buffer);
        }
        if let Some(later) = self.outgoing.take() {
            buffer.append(later.as_slice());
            self.inner.pool.give(later);
        }
        self.outgoing.set(Some(buffer));
        self.has_work.set(true);
    }

    /// One write; learns from it whether there is room for more.
    fn send_once(&self, data: &[u8]) -> usize {
        self.note_outcome(self.write_once(data), data.len())
    }

    fn note_outcome(&self, outcome: io::Result<usize>, wanted: usize) -> usize {
        match outcome {
            Ok(count) => {
                self.note_sent(count, wanted);
                count
            }
            Err(error) => {
                self.write_failed(error);
                0
            }
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
        if !self.is_drained() || !self.readiness.get().has(Readiness::WRITABLE) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let outcome = self.stream.with(|stream| stream.send_file(file, offset, count));
        let is_refused =
            outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        self.with_extras(|extras| extras.refuses_file = is_refused);
        match &outcome {
            Ok(count) if *count > 0 => {
                self.note_sent(*count, *count);
                self.mark_dirty();
            }
            Err(_) if is_refused => self.forget_readiness(Readiness::WRITABLE),
            _ => {}
        }
        outcome
    }

    fn note_sent(&self, count: usize, wanted: usize) {
        // What is not plain may take the rest the next time, and no edge tell of it.
        if count < wanted && (count == 0 || !self.has_layer()) {
            self.forget_readiness(Readiness::WRITABLE);
            self.write_was_refused();
        }
        if self.state.get() == State::Losing {
            self.with_extras(|extras| extras.is_taking = true);
        }
    }

    #[cold]
    pub(super) fn write_failed(&self, error: io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                self.forget_readiness(Readiness::WRITABLE);
                self.write_was_refused();
            }
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::OutOfMemory => self.note_shortage(Readiness::WRITABLE),
            _ if self.is_in_stream() => self.mark_dirty(),
            _ => self.write_broke(error),
        }
    }

    /// The system had no memory for it: no edge will say when it has.
    #[cold]
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
        let both = Readiness::READABLE.and(Readiness::WRITABLE);
        self.readiness.set(self.readiness.get().and(both));
        self.requeue();
    }

    /// Nothing can be sent any more; what can be read still is.
    fn write_broke(&self, error: io::Error) {
        self.forget_readiness(Readiness::WRITABLE);
        if PanickedLayer::of(&error).is_some() {
            return self.stream_failed(error);
        }
        let to_read = Readiness::READABLE.and(Readiness::READ_CLOSED);
        self.readiness.set(self.readiness.get().and(to_read));
        let reason = self.lost_by(error);
        match self.note(Event::WriteFailed) {
            Action::HearOut => {
                self.reason.set(Some(reason));
                self.with_extras(|extras| extras.peer_bytes_left = MOST);
                self.wake_writer();
                self.requeue();
            }
            Action::Discard => self.reason.set(Some(reason)),
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
            if self.call.get() == Call::Corked {
                self.call.set(Call::Plain);
            }
            self.mark_dirty();
        }
    }

    pub(super) fn discard_outgoing(&self) {
        if self.inner.cork.owner() == self.key {
            // It stays this connection's until the call in progress is over.
            self.inner.cork.empty();
        }
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
        if self.inner.cork.owner() == self.key {
            return waiting + self.inner.cork.len();
        }
        waiting
    }

    /// Tells the face when a mark was crossed.
    ///
    /// What the protocol writes in answer goes out with the next flush, not in a loop here.
    pub(super) fn tell_marks(self: &Rc<Self>) {
        let waiting = self.waiting();
        let is_writing = self.state.get().takes_writes();
        // Until the next mark is passed, this is looked at again.
        self.has_work.set(waiting > 0 || !is_writing || self.has_extras());
        if waiting > HIGH && !self.is_full.replace(true) {
            self.call_protocol(|protocol, transport| protocol.pause_writing(transport));
            self.mark_dirty();
        } else if waiting <= LOW && self.is_full.replace(false) {
            self.call_protocol(|protocol, transport| protocol.resume_writing(transport));
            self.mark_dirty();
        }
        if let Some(waiters) = self.waiters()
            && (waiting == 0 || (waiting <= LOW && !waiters.awaits_all.get()))
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
        let refusals = self.with_extras(|extras| {
            (extras.close_timer, extras.is_taking) = (Some(timer), false);
            extras.refusals.clone()
        });
        if let Some(refusals) = refusals {
            refusals.has_taken();
        }
    }

    fn check_closing(self: &Rc<Self>) {
        let is_held = self.is_held_in_writing();
        // The system tells of room only when there is much: whether a little was taken shows by trying.
        self.readiness.set(self.readiness.get().and(Readiness::WRITABLE));
        self.send();
        let is_taking = self.with_extras(|extras| {
            extras.close_timer = None;
            extras.is_taking
        });
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
