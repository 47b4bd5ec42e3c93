//! What a reactor has done so far, in numbers.
//!
//! # Theory
//! Numbers that only grow are counted where it happens, each in a cell of the loop's own thread: that is an
//! instruction or two. What there is now is counted when somebody asks.

use super::{Loop, Reactor};
use crate::failure;
use std::cell::Cell;
use std::fmt;

/// A number that grows.
#[derive(Default)]
pub(crate) struct Count(Cell<u64>);

impl Count {
    #[inline]
    pub(crate) fn add(&self, more: usize) {
        self.0.set(self.0.get().wrapping_add(more as u64));
    }

    pub(super) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// How often something was called, and whether the call is to be noted: one number for both, and so one
/// instruction and a branch. It counts down, and is negative once each call is to be noted.
pub(super) struct Calls {
    left: Cell<i64>,
    /// How many there were when it was set negative.
    before: Cell<u64>,
}

impl Default for Calls {
    fn default() -> Calls {
        Calls { left: Cell::new(i64::MAX), before: Cell::new(0) }
    }
}

impl Calls {
    /// One more. Whether it is to be noted.
    #[inline]
    pub(super) fn add_one(&self) -> bool {
        let left = self.left.get().wrapping_sub(1);
        self.left.set(left);
        left < 0
    }

    /// From now on each is to be noted.
    pub(super) fn note(&self) {
        self.before.set(self.get());
        self.left.set(0);
    }

    pub(super) fn get(&self) -> u64 {
        match self.left.get() {
            left if left > 0 => i64::MAX.abs_diff(left),
            left => self.before.get() + left.unsigned_abs(),
        }
    }
}

/// What of it no table of the loop counts itself.
#[derive(Default)]
pub(crate) struct Counting {
    pub(super) turns: Count,
    pub(super) timers: Count,
    pub(super) calls: Count,
    pub(crate) bytes_in: Count,
    pub(crate) bytes_out: Count,
    pub(crate) accepted: Count,
    pub(crate) refused: Count,
    pub(crate) opened: Count,
    pub(crate) lost: Count,
    /// Of the times in which the loop was entered before.
    pub(super) reported: Count,
    /// What the thread had reported when the loop was entered; absent while it is not.
    pub(super) reported_before: Cell<Option<u64>>,
}

impl Counting {
    pub(super) fn enter(&self) {
        self.reported_before.set(Some(failure::told()));
    }

    pub(super) fn leave(&self) {
        self.reported.add(self.reported_now() as usize);
        self.reported_before.set(None);
    }

    fn reported_now(&self) -> u64 {
        self.reported_before.get().map_or(0, |before| failure::told().wrapping_sub(before))
    }
}

/// What a reactor has done since it was made, and has now; see [`Reactor::counters`].
///
/// Displayed, it is text as Prometheus reads it.
///
/// ```
/// let reactor = ropewalk::Reactor::new()?;
/// drop(reactor.spawn(async { Ok(()) }));
/// reactor.turn(Some(std::time::Duration::ZERO))?;
/// let counters = reactor.counters();
/// assert_eq!((counters.turns, counters.polls, counters.tasks), (1, 1, 0));
/// assert!(counters.to_string().contains("\nropewalk_polls_total 1\n"));
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Turns of the loop.
    pub turns: u64,
    /// Times that a connection, port or descriptor was served.
    pub callbacks: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Delayed calls that were made.
    pub timers_fired: u64,
    /// Calls from other threads that were made.
    pub calls_from_threads: u64,
    /// Bytes that connections read.
    pub bytes_in: u64,
    /// Bytes that the system took from connections.
    pub bytes_out: u64,
    /// Connections that ports accepted.
    pub accepted: u64,
    /// Those of them that were turned away: no descriptor was left, or the factory made no protocol.
    pub refused: u64,
    /// Connections that began, of either direction.
    pub opened: u64,
    /// Connections that ended.
    pub lost: u64,
    /// Failures that nobody handled, while the loop ran.
    pub failures_reported: u64,
    /// Tasks that there are.
    pub tasks: usize,
    /// Delayed calls that wait for their time.
    pub timers: usize,
    /// Connections, ports and descriptors that there are.
    pub sources: usize,
}

impl Counters {
    /// Connections that there are.
    pub fn connections(&self) -> u64 {
        self.opened.saturating_sub(self.lost)
    }

    /// What only grows: name, meaning, number.
    fn totals(&self) -> [(&'static str, &'static str, u64); 12] {
        [
            ("turns", "Turns of the loop.", self.turns),
            ("callbacks", "Times that a source was served.", self.callbacks),
            ("polls", "Polls of tasks.", self.polls),
            ("timers_fired", "Delayed calls made.", self.timers_fired),
            ("thread_calls", "Calls made for other threads.", self.calls_from_threads),
            ("received_bytes", "Bytes read by connections.", self.bytes_in),
            ("sent_bytes", "Bytes taken from connections.", self.bytes_out),
            ("accepted", "Connections accepted.", self.accepted),
            ("refused", "Connections turned away.", self.refused),
            ("connections_opened", "Connections begun.", self.opened),
            ("connections_lost", "Connections ended.", self.lost),
            ("failures_reported", "Failures nobody handled.", self.failures_reported),
        ]
    }

    /// What there is now.
    fn gauges(&self) -> [(&'static str, &'static str, u64); 4] {
        [
            ("connections", "Connections now.", self.connections()),
            ("tasks", "Tasks now.", self.tasks as u64),
            ("timers", "Delayed calls that wait.", self.timers as u64),
            ("sources", "Connections, ports and descriptors now.", self.sources as u64),
        ]
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, meaning, number) in self.totals() {
            writeln!(f, "# HELP ropewalk_{name}_total {meaning}")?;
            writeln!(f, "# TYPE ropewalk_{name}_total counter")?;
            writeln!(f, "ropewalk_{name}_total {number}")?;
        }
        for (name, meaning, number) in self.gauges() {
            writeln!(f, "# HELP ropewalk_{name} {meaning}")?;
            writeln!(f, "# TYPE ropewalk_{name} gauge")?;
            writeln!(f, "ropewalk_{name} {number}")?;
        }
        Ok(())
    }
}

impl Reactor {
    /// What this reactor has done so far, and has now.
    pub fn counters(&self) -> Counters {
        self.inner().counters()
    }
}

impl Loop {
    fn counters(&self) -> Counters {
        let counting = &self.counting;
        Counters {
            turns: counting.turns.get(),
            callbacks: self.sources.callbacks.get(),
            polls: self.tasks.polls.get(),
            timers_fired: counting.timers.get(),
            calls_from_threads: counting.calls.get(),
            bytes_in: counting.bytes_in.get(),
            bytes_out: counting.bytes_out.get(),
            accepted: counting.accepted.get(),
            refused: counting.refused.get(),
            opened: counting.opened.get(),
            lost: counting.lost.get(),
            failures_reported: counting.reported.get() + counting.reported_now(),
            tasks: self.tasks.len(),
            timers: self.timers.len(),
            sources: self.sources.len(),
        }
    }
}
