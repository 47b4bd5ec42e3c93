// One deadline of a connection, what it is for, and the delayed call that looks at it.
//
// # Invariants
// * `armed` is no later than `at`, if there is one: a call that comes too early finds that, and is made again.

use crate::clock::DelayedCall;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// A handler, who has all the time.
    #[default]
    Handler,
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// More of a body that somebody reads.
    Body,
    /// The rest of a body that nobody reads.
    Dropping,
    /// That the peer takes what was said.
    Writing,
    /// A handler, and the peer has ended its half.
    PeerEnded,
    /// The peer's end.
    Lingering,
}

#[derive(Default)]
pub(super) struct Deadline {
    phase: Cell<Phase>,
    at: Cell<Option<Instant>>,
    /// When the call is made, at the latest.
    armed: Cell<Option<Instant>>,
    call: RefCell<Option<DelayedCall>>,
    /// Bytes since the phase was last looked at.
    pub(super) moved: Cell<u64>,
    /// Since when none moved.
    pub(super) still: Cell<Option<Instant>>,
}

impl Deadline {
    /// Bytes moved in the direction that the phase is about.
    pub(super) fn count(&self, bytes: usize) {
        self.moved.set(self.moved.get() + bytes as u64);
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Sets the phase, and when it is looked at; gives the time that the call is to be moved to, if it is to.
    #[inline]
    pub(super) fn set(&self, phase: Phase, now: Instant, limit: Duration) -> Option<Instant> {
        self.phase.set(phase);
        let at = now.checked_add(limit);
        self.at.set(at);
        at.filter(|&at| self.armed.get().is_none_or(|armed| at < armed))
    }

    /// Takes the time when it is up; else what is left of it.
    pub(super) fn take(&self, now: Instant) -> Option<Result<Phase, Instant>> {
        self.armed.set(None);
        let at = self.at.get()?;
        if now < at {
            return Some(Err(at));
        }
        self.at.set(None);
        Some(Ok(self.phase.get()))
    }

    /// Nothing is waited for but a handler.
    pub(super) fn rest(&self) {
        self.phase.set(Phase::Handler);
        self.at.set(None);
    }

    pub(super) fn forget(&self) {
        self.rest();
        if let Some(call) = self.call.take() {
            // It may be this very call.
            let _ = call.cancel();
        }
    }

    /// Has the call made at a time; `make` makes it, if there is none.
    #[inline(never)]
    pub(super) fn arm(
        &self,
        at: Instant,
        now: Instant,
        make: impl FnOnce(Duration) -> DelayedCall,
    ) {
        let delay = at.saturating_duration_since(now);
        self.armed.set(Some(at));
        let is_moved = self.call.borrow().as_ref().is_some_and(|call| call.reset(delay).is_ok());
        if !is_moved {
            self.call.replace(Some(make(delay)));
        }
    }
}
