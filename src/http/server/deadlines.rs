// How long a connection may take for what it is at.
//
// # Theory
// One delayed call for each connection, which is moved as seldom as can be: a deadline that comes later
// than the call is only noted, and found when the call is made. So a request that is read and answered
// at once costs no timer operation.
//
// What a deadline means is the phase's: an idle connection is closed, a head that is late is answered with
// 408, a body is looked at once in `grace_time` whether enough of it came.

use super::channel::Channel;
use super::deadline::Phase;
use super::exchange::Stage;
use crate::failure::Failure;
use crate::http::h1::{Reason, Refusal};
use std::rc::Rc;
use std::time::{Duration, Instant};

impl Channel {
    #[inline]
    pub(super) fn set_deadline(self: &Rc<Self>, phase: Phase, now: Instant, limit: Duration) {
        if let Some(at) = self.deadline.set(phase, now, limit) {
            self.arm(at, now);
        }
    }

    #[inline(never)]
    fn arm(self: &Rc<Self>, at: Instant, now: Instant) {
        self.deadline.arm(at, now, |delay| {
            let weak = Rc::downgrade(self);
            self.reactor().call_later(delay, move || {
                if let Some(channel) = weak.upgrade() {
                    channel.deadline_came();
                }
            })
        });
    }

    pub(super) fn begin_waiting(self: &Rc<Self>) {
        self.set_deadline(Phase::Idle, self.now(), self.limits.idle_time);
    }

    /// What follows from what the machine is at, once bytes were fed or an answer was sent.
    #[inline]
    pub(super) fn settle(self: &Rc<Self>, now: Instant) {
        let is_idle = self.machine.borrow().is_idle();
        if is_idle && !self.has_kept() && !self.has_peer_ended() {
            return self.set_deadline(Phase::Idle, now, self.limits.idle_time);
        }
        self.settle_otherwise(now);
    }

    fn settle_otherwise(self: &Rc<Self>, now: Instant) {
        if self.is_closing.get() || self.is_feeding.get() {
            return;
        }
        let (must_close, is_inside_head, is_ready) = {
            let machine = self.machine.borrow();
            (machine.must_close(), machine.is_inside_head(), machine.is_idle())
        };
        if must_close {
            return self.close(now);
        }
        let phase = self.deadline.phase();
        match self.stage_of_current() {
            None if is_ready && self.has_kept() => self.go_on_later(),
            None if is_ready && self.has_peer_ended() => self.transport.lose_connection(),
            None if is_inside_head && phase != Phase::Head => {
                self.set_deadline(Phase::Head, now, self.limits.head_time);
            }
            None if self.has_body.get() && phase != Phase::Dropping => {
                let limit = self.limits.linger_time / 2;
                self.set_deadline(Phase::Dropping, now, limit);
            }
            None => {}
            Some(_) if phase == Phase::PeerEnded => {}
            Some(_) if self.is_full() => self.watch_writing(),
            Some(_) if self.is_body_awaited() => self.watch(Phase::Body, now),
            Some(Stage::Sending) => self.watch_writing(),
            Some(_) => self.deadline.rest(),
        }
    }

    /// Whether a handler waits for more of the body, and the peer is let to send it.
    fn is_body_awaited(&self) -> bool {
        let Some(exchange) = self.current() else { return false };
        self.has_body.get()
            && exchange.has_extras()
            && exchange.with_extras(|it| it.incoming.is_touched && !it.incoming.is_paused)
            && self.transport.is_reading()
    }

    /// The peer takes less than is said.
    pub(super) fn watch_writing(self: &Rc<Self>) {
        if !self.is_closing.get() {
            self.watch(Phase::Writing, self.now());
        }
    }

    /// Begins to look whether bytes move.
    fn watch(self: &Rc<Self>, phase: Phase, now: Instant) {
        if self.deadline.phase() == phase {
            return;
        }
        self.deadline.moved.set(0);
        self.deadline.still.set(Some(now));
        self.waiting.set(self.transport.waiting());
        let look = self.limits.grace_time.min(self.limits.stall_time);
        self.set_deadline(phase, now, look);
    }

    fn deadline_came(self: &Rc<Self>) {
        let now = self.now();
        let phase = match self.deadline.take(now) {
            None => return,
            Some(Err(at)) => return self.arm(at, now),
            Some(Ok(phase)) => phase,
        };
        match phase {
            Phase::Handler => {}
            Phase::Idle => self.idle_too_long(),
            Phase::Head => {
                let seconds = self.limits.head_time.as_secs();
                self.refuse_late(Reason::HeadTimedOut { seconds }, now);
            }
            Phase::Body | Phase::Writing => self.look_at_rate(now),
            Phase::Dropping => self.close(now),
            Phase::PeerEnded => {
                if let Some(exchange) = self.current() {
                    exchange.desert();
                }
                self.deadline.rest();
                self.settle(now);
            }
            Phase::Lingering => self.transport.lose_connection(),
        }
    }

    fn idle_too_long(&self) {
        if self.transport.waiting() > 0 {
            // It has not even taken the last answer.
            return self.transport.abort_connection();
        }
        self.machine.borrow_mut().close_when_done();
        self.transport.lose_connection();
    }

    fn refuse_late(self: &Rc<Self>, reason: Reason, now: Instant) {
        self.refuse(&Refusal::new(reason));
        self.close(now);
    }

    /// Enough moved, or the peer is given up.
    fn look_at_rate(self: &Rc<Self>, now: Instant) {
        let deadline = &self.deadline;
        let look = self.limits.grace_time.min(self.limits.stall_time);
        if deadline.phase() == Phase::Writing {
            let waiting = self.transport.waiting();
            if waiting == 0 {
                // It is the handler who takes its time.
                deadline.rest();
                return self.settle(now);
            }
            deadline.count(self.waiting.replace(waiting).saturating_sub(waiting));
        } else if !self.is_body_awaited() {
            deadline.rest();
            return self.settle(now);
        }
        let moved = deadline.moved.replace(0);
        if moved > 0 {
            deadline.still.set(Some(now));
        }
        let is_enough = moved >= self.limits.body_rate.saturating_mul(look.as_secs());
        let stood = deadline.still.get().map_or(Duration::ZERO, |still| now - still);
        if moved == 0 && stood < self.limits.stall_time {
            return self.set_deadline(deadline.phase(), now, look);
        }
        if is_enough && moved > 0 {
            return self.set_deadline(deadline.phase(), now, look);
        }
        self.give_up(now);
    }

    /// The peer is too slow.
    fn give_up(self: &Rc<Self>, now: Instant) {
        let is_owed = self.stage_of_current() == Some(Stage::Owed);
        if self.deadline.phase() == Phase::Body && is_owed {
            return self.refuse_late(Reason::BodyTimedOut, now);
        }
        let failure = Failure::msg("the peer is too slow").of_peer();
        self.lose_exchange(&failure);
        self.transport.abort_connection();
    }

    /// Ends the connection once all is sent; a peer that may be sending is heard out, so that it can read
    /// the answer.
    pub(super) fn close(self: &Rc<Self>, now: Instant) {
        if self.is_closing.replace(true) {
            return;
        }
        let is_sending = self.has_body.get() || self.is_refused.get();
        if !is_sending || self.has_peer_ended() {
            self.deadline.forget();
            return self.transport.lose_connection();
        }
        self.unpause();
        self.transport.lose_write_connection();
        self.set_deadline(Phase::Lingering, now, self.limits.linger_time);
    }
}
