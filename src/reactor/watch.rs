//! A thread that watches a loop for calls that take too long, and says whose they are while they do.
//!
//! # Theory
//! The loop says what it begins: a number that grows, and what it is for. The thread looks now and then:
//! if it finds the same number for longer than the limit, that call is slow. Names are told once for each
//! connection and task, not for each call.
//!
//! # Invariants
//! * The loop takes the lock of the names alone, and only to tell, change or forget one.

use super::Reactor;
use crate::driver::Key;
use crate::failure::{NO_PLACE, Result, catch_panic, report};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a loop is at: a source or a task by its key, or something else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Work(usize);

/// No generation of a key has this bit.
const TASK: usize = 1 << (usize::BITS - 1);

impl Work {
    pub(super) const IDLE: Work = Work(usize::MAX);
    pub(super) const LOOP: Work = Work(usize::MAX - 1);
    pub(super) const TIMER: Work = Work(usize::MAX - 2);
    pub(super) const CALL: Work = Work(usize::MAX - 3);

    pub(super) fn of_source(key: Key) -> Work {
        Work(key.to_token())
    }

    pub(super) fn of_task(key: Key) -> Work {
        Work(key.to_token() | TASK)
    }
}

/// What the loop tells of itself.
#[derive(Default)]
pub(super) struct Pulse {
    /// Grows with each call.
    sequence: AtomicU64,
    running: AtomicUsize,
    /// Locked to tell, change or forget one, and to clone one.
    names: Mutex<HashMap<Work, String>>,
}

impl Pulse {
    pub(super) fn begin(&self, work: Work) {
        self.running.store(work.0, Ordering::Relaxed);
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Release);
    }

    pub(super) fn name(&self, work: Work, name: String) {
        self.names().insert(work, name);
    }

    pub(super) fn forget(&self, work: Work) {
        self.names().remove(&work);
    }

    fn names(&self) -> MutexGuard<'_, HashMap<Work, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> (u64, Work) {
        let sequence = self.sequence.load(Ordering::Acquire);
        (sequence, Work(self.running.load(Ordering::Relaxed)))
    }

    fn name_of(&self, work: Work) -> String {
        let name = self.names().get(&work).cloned();
        name.unwrap_or_else(|| "the loop itself".to_owned())
    }
}

/// A call that runs for longer than it may; see [`Reactor::watch`].
#[derive(Clone, Debug)]
pub struct SlowCallback {
    what: String,
    running_for: Duration,
}

impl SlowCallback {
    /// Whose call it is: a connection by its peer, a task or delayed call by the place that it was made at.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// So long it has run, at least.
    pub fn running_for(&self) -> Duration {
        self.running_for
    }
}

impl fmt::Display for SlowCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} runs for {} ms", self.what, self.running_for.as_millis())
    }
}

/// While it lives a thread watches; see [`Reactor::watch`].
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct Watch {
    /// Its end ends the thread. Absent where nobody watches.
    _until: Option<Sender<()>>,
}

impl Reactor {
    /// Has a thread tell `hook`, in that thread, of each call that runs for longer than `limit`; again when
    /// it has run for 10 and for 100 times that.
    ///
    /// It is told while the call runs, so also of one that never ends. The thread looks twice in each
    /// `limit`. Observes the reactor from then on ([`observe`](Reactor::observe)). In a simulation, where
    /// no call takes time, nobody watches.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let watch = reactor.watch(Duration::from_millis(100), |slow| eprintln!("{slow}"))?;
    /// reactor.run_until(async { Ok(()) })?;
    /// drop(watch);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn watch(
        &self,
        limit: Duration,
        hook: impl Fn(&SlowCallback) + Send + 'static,
    ) -> Result<Watch> {
        if self.is_simulated() {
            return Ok(Watch { _until: None });
        }
        self.observe();
        let pulse = self.inner().observed.pulse();
        if !self.inner().is_entered() {
            pulse.begin(Work::IDLE);
        }
        let (until, ended) = mpsc::channel();
        let limit = limit.max(Duration::from_millis(2));
        let watching = move || watch(&pulse, limit, &ended, &hook);
        std::thread::Builder::new().name("ropewalk watch".to_owned()).spawn(watching)?;
        Ok(Watch { _until: Some(until) })
    }
}

/// Looks until the other end of `ended` is gone.
fn watch(pulse: &Pulse, limit: Duration, ended: &Receiver<()>, hook: &dyn Fn(&SlowCallback)) {
    let mut gaze = Gaze::new(limit, Instant::now());
    while ended.recv_timeout(limit / 2) == Err(RecvTimeoutError::Timeout) {
        let found = pulse.look();
        let Some(running_for) = gaze.slow(found, Instant::now()) else { continue };
        let slow = SlowCallback { what: pulse.name_of(found.1), running_for };
        if let Err(failure) = catch_panic(NO_PLACE, || hook(&slow)) {
            report("panic in the hook of a watch", &failure);
        }
    }
}

/// What was seen when one looked, and since when.
struct Gaze {
    limit: Duration,
    seen: (u64, Work),
    since: Instant,
    /// What runs for so long is told next; once it was told three times, never.
    next: Option<Duration>,
}

impl Gaze {
    fn new(limit: Duration, since: Instant) -> Gaze {
        Gaze { limit, seen: (0, Work::IDLE), since, next: None }
    }

    /// How long what is found has run, if that is to be told.
    fn slow(&mut self, found: (u64, Work), now: Instant) -> Option<Duration> {
        if found != self.seen {
            (self.seen, self.since, self.next) = (found, now, Some(self.limit));
        }
        let running_for = now.duration_since(self.since);
        let next = self.next.filter(|next| found.1 != Work::IDLE && running_for >= *next)?;
        let after = next.saturating_mul(10);
        self.next = (after <= self.limit.saturating_mul(100)).then_some(after);
        Some(running_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks each 50 ms until `end`, and gives the milliseconds that were told.
    fn told(work: impl Fn(u64) -> (u64, Work), end: u64) -> Vec<u128> {
        let begin = Instant::now();
        let mut gaze = Gaze::new(Duration::from_millis(100), begin);
        let look = |ms| gaze.slow(work(ms), begin + Duration::from_millis(ms));
        (0..end).step_by(50).filter_map(look).map(|it| it.as_millis()).collect()
    }

    #[test]
    fn one_call_that_lasts_is_told_at_the_limit_and_at_ten_and_a_hundred_times_that() {
        assert_eq!(told(|_| (7, Work::TIMER), 200_000), [100, 1000, 10_000]);
    }

    #[test]
    fn many_short_calls_of_one_kind_are_not_slow_and_nor_is_waiting() {
        assert_eq!(told(|ms| (ms, Work::TIMER), 10_000), []);
        assert_eq!(told(|_| (7, Work::IDLE), 10_000), []);
    }

    #[test]
    fn two_slow_calls_in_a_row_are_told_each() {
        assert_eq!(told(|ms| (ms / 200, Work::CALL), 400), [100, 100]);
    }
}
