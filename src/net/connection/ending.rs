//! The end of a connection: how it is asked for, how it comes, and who is told.
//!
//! The states are drawn in `state.rs`. Everything here but `advance` and what it calls merely notes a
//! wish.

use crate::driver::{PanickedLayer, Readiness};
use crate::failure::Failure;
use crate::net::connection::Connection;
use crate::net::connection::extras::CLOSE_TIMEOUT;
use crate::net::connection::state::{Action, Event, State, Write};
use crate::reactor::{ReactorGone, ReactorStopped};
use crate::transport::{ConnectionAborted, ConnectionDone, ConnectionLost};
use std::io::{self, ErrorKind::ConnectionAborted as Aborted};
use std::rc::Rc;
use std::time::Duration;

impl Connection {
    /// The connection shall end in order.
    pub(crate) fn begin_losing(&self) {
        if self.state.get().has_read_ended() {
            // So that nobody asks whether something is unread.
            self.inbound.forget(Readiness::READABLE);
        }
        if self.note(Event::Lose) != Action::Nothing {
            self.mark_dirty();
        }
    }

    /// The connection will end for this reason, whatever else was wanted.
    pub(super) fn fail(&self, reason: Failure) {
        if self.note(Event::Fail) == Action::Discard {
            self.reason.set(Some(reason));
        }
    }

    /// Goes to the state that follows. Returns what is left to do, beside what is due in every such move.
    pub(super) fn note(&self, event: Event) -> Action {
        let state = self.state.get();
        let (next, action) = state.next(event);
        self.state.set(next);
        if state.is_open() && !next.is_open() {
            self.set_work();
            // What a callback in progress still writes is dropped; a cork takes writes unasked.
            self.outbound.close_cork();
        }
        if action == Action::Discard {
            self.discard_outgoing();
        }
        action
    }

    /// The stream failed for good.
    pub(super) fn stream_failed(&self, error: io::Error) {
        match PanickedLayer::of(&error) {
            Some(failure) => self.layer_panicked(failure.clone()),
            None => self.fail(self.lost_by(error)),
        }
    }

    /// The application failed: the connection is reset, so that the peer does not take what it got
    /// for all. What was written before still goes out as far as the system takes it.
    pub(crate) fn application_failed(&self, failure: Failure) {
        self.send_all();
        self.abort(failure);
    }

    /// A layer of the user's panicked.
    pub(super) fn layer_panicked(&self, failure: Failure) {
        if !matches!(self.state.get(), State::Failed { .. } | State::Lost { .. }) {
            // First, for a panic is what the layer may answer with when it is asked for its address.
            self.abort(failure.clone());
            self.report("panic in a layer", &failure);
        }
    }

    /// This end cuts the connection off.
    pub(crate) fn abort(&self, reason: impl Into<Failure>) {
        if self.note(Event::Abort) == Action::Discard {
            self.reason.set(Some(reason.into()));
        }
        self.mark_dirty();
    }

    pub(super) fn lost_by(&self, error: io::Error) -> Failure {
        Failure::without_backtrace(ConnectionLost::new(self.peer.clone(), error))
    }

    #[inline]
    pub(super) fn advance_if_needed(self: &Rc<Self>) {
        if self.has_work() {
            self.advance();
        }
    }

    /// Sends what can be sent and does what follows from the state. The loop alone calls this.
    pub(super) fn advance(self: &Rc<Self>) {
        if self.has_layer() {
            self.tend_layer();
        }
        self.send();
        self.fire_drained();
        if self.has_extras() {
            self.tend_producer();
            self.tend_shortage();
        }
        if self.state.get().has_write_failed() {
            self.tend_failed_write();
        }
        let mut event = Some(Event::Advance { sent: self.is_done_writing() });
        while let Some(happened) = event {
            event = self.act(self.note(happened));
        }
    }

    /// Does what is due in the new state, and tells what came of it if that may lead to the next.
    fn act(self: &Rc<Self>, action: Action) -> Option<Event> {
        match action {
            Action::ShutdownWrite => self.end_writing(),
            Action::TellMarks => self.tell_marks(),
            Action::Notify => return Some(Event::Notified(self.is_close_notified())),
            Action::WatchClose => self.watch_closing(),
            Action::Linger => return self.begin_lingering(),
            Action::Drain => return self.drain_peer(),
            Action::End { resets } => self.end(resets),
            // Not of what the loop finds when it looks.
            Action::Nothing | Action::Advance | Action::Discard => {}
            Action::TellReadClosed | Action::HearOut => {}
        }
        None
    }

    /// All was sent, and nobody has more to write.
    fn is_done_writing(&self) -> bool {
        self.is_drained() && !self.has_producer()
    }

    fn end_writing(self: &Rc<Self>) {
        // What the protocol does in answer is seen to by the next flush.
        self.mark_dirty();
        if let Err(error) = self.with_stream(|stream| stream.shutdown_write()) {
            return self.stream_failed(error);
        }
        self.call_protocol(|protocol, transport| protocol.write_closed(transport));
        self.wake_writer();
    }

    /// The end, once.
    fn end(self: &Rc<Self>, resets: bool) {
        let reason = self.clone_reason().unwrap_or_else(done);
        self.reason.set(Some(reason.clone()));
        self.inner.sources.remove(self.key);
        self.inner.counting.lost.add(1);
        self.close_stream(resets);
        self.discard_outgoing();
        self.tell_face_lost(&reason);
        self.tell_others_lost(&reason);
    }

    fn close_stream(self: &Rc<Self>, resets: bool) {
        let Some(mut stream) = self.stream.take() else { return };
        self.run_reporting_panic("panic in a layer", || {
            let stream = stream.as_dyn();
            // Somebody else still holds a transport, who may ask for the address.
            if Rc::strong_count(self) > 1 {
                let host = stream.host().ok();
                self.with_extras(|extras| extras.host = host);
            }
            if resets {
                stream.set_abort();
            }
        });
        self.run_reporting_panic("panic in the drop of a layer", || drop(stream));
    }

    /// Whether it is closed in order and has still to send, or to hear that all arrived; standard output
    /// has as long as something was written to it.
    pub(super) fn is_ending_in_order(&self) -> bool {
        match self.state.get() {
            State::Losing | State::Lingering => true,
            State::Open(..) if self.is_drained() => self.is_standard() && !self.has_written_all(),
            State::Open(_, write) => write == Write::Ending || self.is_standard(),
            State::Failed { .. } | State::Lost { .. } => false,
        }
    }

    fn is_standard(&self) -> bool {
        self.with_stream(|stream| Ok(stream.is_standard())).unwrap_or(false)
    }

    fn has_written_all(&self) -> bool {
        self.with_stream(|stream| Ok(stream.has_written_all())).unwrap_or(true)
    }

    /// The reactor was stopped, or is gone. What is not sent by then is cut off, and the peer shall not
    /// take that for an end in order; nor, if the reactor is gone, that this end of a conversation is.
    pub(super) fn lose_with_reactor(self: &Rc<Self>, reason: &Failure) {
        self.send();
        let has_ended = match self.state.get() {
            State::Losing => self.is_done_writing() && self.is_close_notified(),
            State::Lingering => true,
            state => state.has_write_ended(),
        };
        let is_cut_off = !self.is_done_writing() || reason.is::<ReactorGone>();
        // As a source: a protocol can tell the end of its reactor from a network's.
        let cause = match (reason.check(), reason.check()) {
            (Some(&stopped @ ReactorStopped), _) => io::Error::new(Aborted, stopped),
            (_, Some(&gone @ ReactorGone)) => io::Error::new(Aborted, gone),
            _ => io::Error::new(Aborted, reason.to_string()),
        };
        let reason = self.lost_by(cause).of_an_end();
        if is_cut_off && !has_ended {
            self.abort(reason);
        } else {
            self.fail(reason);
        }
        self.advance();
    }

    /// What is left of the connection's owner is cut off.
    pub(super) fn lose_with_owner(self: &Rc<Self>, reason: &Failure) {
        self.send_all();
        let cut_off = ConnectionAborted::new(reason.to_string());
        self.abort(Failure::without_backtrace(cut_off).of_an_end());
        self.advance();
    }

    fn tell_face_lost(&self, reason: &Failure) {
        if let Some(face) = self.face.take() {
            let mut protocol = face.into_protocol();
            self.run_reporting_panic("panic in connection_lost", || {
                protocol.connection_lost(reason)
            });
            self.run_reporting_panic("panic in the drop of a protocol", || drop(protocol));
        }
        self.wake_reader();
        self.wake_writer();
    }

    fn tell_others_lost(self: &Rc<Self>, reason: &Failure) {
        if !self.has_extras() {
            return;
        }
        self.tell_handshake_lost(reason);
        self.stop_producer();
        for timer in self
            .with_extras(|extras| [extras.close_timer.take(), extras.retry.take()])
            .into_iter()
            .flatten()
        {
            // It may be this very timer that ended the connection.
            let _ = timer.cancel();
        }
        self.fail_drained(reason);
        if let Some(on_lost) = self.with_extras(|extras| extras.on_lost.take()) {
            self.run_reporting_panic("panic after connection_lost", || on_lost(reason));
        }
    }

    pub(crate) fn set_on_lost(&self, call: impl FnOnce(&Failure) + 'static) {
        let former = self.with_extras(|extras| extras.on_lost.replace(Box::new(call)));
        drop(former);
    }

    pub(super) fn close_timeout(&self) -> Duration {
        self.with_extras(|extras| extras.close_timeout.unwrap_or(CLOSE_TIMEOUT))
    }

    pub(super) fn fail_drained(&self, reason: &Failure) {
        for trigger in self.with_extras(|extras| std::mem::take(&mut extras.drained)) {
            // A Deferred that was cancelled meanwhile wants nothing any more.
            let _ = trigger.errback(reason.clone());
        }
    }

    fn fire_drained(&self) {
        if !self.has_extras() || !self.is_drained() || self.has_reason() {
            return;
        }
        for trigger in self.with_extras(|extras| std::mem::take(&mut extras.drained)) {
            // A Deferred that was cancelled meanwhile wants nothing any more.
            let _ = trigger.callback(());
        }
    }
}

/// The reason of an end in order. Made once a thread: a failure looks at its stack when it is made.
pub(super) fn done() -> Failure {
    thread_local! {
        static DONE: Failure = Failure::without_backtrace(ConnectionDone);
    }
    DONE.try_with(Failure::clone).unwrap_or_else(|_| Failure::without_backtrace(ConnectionDone))
}
