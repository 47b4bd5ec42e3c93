//! When what a loop serves was served first and last, and what it is at right now: kept once somebody asks.
//!
//! # Theory
//! A loop that nobody observes looks at one flag for each call. Once it is observed, each call is noted in a
//! table by what it is for, with the time at which the turn began: no clock is read for a call. If a thread
//! watches (`watch.rs`), the call is noted for it too.

use super::watch::{Pulse, Work};
use crate::driver::Key;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// What is known of a source or a task that was served.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) first: Instant,
    pub(super) last: Instant,
    pub(super) count: u64,
    /// The thread that watches was told its name.
    is_named: bool,
}

#[derive(Default)]
pub(super) struct Observed {
    is_on: Cell<bool>,
    /// When the turn began.
    now: Cell<Option<Instant>>,
    /// Borrowed to look one up and to change one.
    seen: RefCell<HashMap<Work, Seen>>,
    /// What is told to threads that watch.
    pulse: OnceCell<Arc<Pulse>>,
}

impl Observed {
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    pub(super) fn begin(&self, now: Instant) {
        self.now.set(Some(now));
        self.is_on.set(true);
    }

    pub(super) fn pulse(&self) -> Arc<Pulse> {
        self.pulse.get_or_init(Arc::default).clone()
    }

    /// A turn begins.
    #[inline(never)]
    pub(super) fn note_turn(&self, now: Instant) {
        self.now.set(Some(now));
        self.note(Work::LOOP);
    }

    /// Nothing runs.
    #[inline(never)]
    pub(super) fn note_idle(&self) {
        self.note(Work::IDLE);
    }

    #[inline(never)]
    pub(super) fn note_source(&self, key: Key, name: impl FnOnce() -> String) {
        self.note_named(Work::of_source(key), name);
    }

    #[inline(never)]
    pub(super) fn note_task(&self, key: Key, name: impl FnOnce() -> String) {
        self.note_named(Work::of_task(key), name);
    }

    /// Work that is not kept, such as a delayed call.
    #[inline(never)]
    pub(super) fn note_once(&self, work: Work, name: impl FnOnce() -> String) {
        if let Some(pulse) = self.pulse.get() {
            pulse.name(work, name());
            pulse.begin(work);
        }
    }

    #[inline(never)]
    pub(super) fn forget(&self, work: Work) {
        self.seen.borrow_mut().remove(&work);
        if let Some(pulse) = self.pulse.get() {
            pulse.forget(work);
        }
    }

    pub(super) fn look(&self, work: Work) -> Option<Seen> {
        self.seen.borrow().get(&work).copied()
    }

    fn note(&self, work: Work) {
        if let Some(pulse) = self.pulse.get() {
            pulse.begin(work);
        }
    }

    fn note_named(&self, work: Work, name: impl FnOnce() -> String) {
        let is_named = self.count(work);
        if let Some(pulse) = self.pulse.get() {
            if !is_named {
                pulse.name(work, name());
            }
            pulse.begin(work);
        }
    }

    /// Whether the thread that watches knows its name.
    fn count(&self, work: Work) -> bool {
        let Some(now) = self.now.get() else { return false };
        let has_pulse = self.pulse.get().is_some();
        let mut seen = self.seen.borrow_mut();
        let new = Seen { first: now, last: now, count: 0, is_named: false };
        let seen = seen.entry(work).or_insert(new);
        (seen.last, seen.count) = (now, seen.count + 1);
        std::mem::replace(&mut seen.is_named, has_pulse)
    }
}
