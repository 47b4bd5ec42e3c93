// When a service is started again, as a table without a clock of its own.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How a parent keeps its services: who is started again with one that ended, how often, and after what wait.
///
/// The names are Erlang's. Who is started again at all says [`RestartType`], each service for itself.
///
/// ```
/// use ropewalk::service::Restart;
/// use std::time::Duration;
///
/// let (fast, slow) = (Duration::from_millis(200), Duration::from_secs(30));
/// let restart = Restart::rest_for_one().intensity(5, slow).backoff(fast..slow);
/// # let _ = restart;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    pub(super) strategy: Strategy,
    most: u32,
    period: Duration,
    backoff: Range<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    OneForOne,
    RestForOne,
    OneForAll,
}

/// Whether a service that ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartType {
    /// Always.
    Permanent,
    /// If it failed; the default.
    #[default]
    Transient,
    /// Never.
    Temporary,
}

impl RestartType {
    pub(super) fn restarts(self, has_failed: bool) -> bool {
        match self {
            RestartType::Permanent => true,
            RestartType::Transient => has_failed,
            RestartType::Temporary => false,
        }
    }
}

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const PERIOD: Duration = Duration::from_secs(30);
const MOST: u32 = 5;

impl Restart {
    fn with(strategy: Strategy) -> Restart {
        Restart { strategy, most: MOST, period: PERIOD, backoff: FIRST_WAIT..LONGEST_WAIT }
    }

    /// Only the one that ended is started again.
    pub fn one_for_one() -> Restart {
        Restart::with(Strategy::OneForOne)
    }

    /// Those that were started after it are stopped in reverse, and started again behind it: they were
    /// started because it was there.
    pub fn rest_for_one() -> Restart {
        Restart::with(Strategy::RestForOne)
    }

    /// All are stopped in reverse, and started again from the first.
    pub fn one_for_all() -> Restart {
        Restart::with(Strategy::OneForAll)
    }

    /// So many restarts within `period` at most; after more the parent has failed. 5 in 30 s unless told
    /// otherwise.
    #[must_use]
    pub fn intensity(mut self, most: u32, period: Duration) -> Restart {
        (self.most, self.period) = (most, period);
        self
    }

    /// The wait before a restart: from the shorter, doubled with each that follows soon, up to the longer,
    /// and up to a quarter more by chance. 0.2 s to 30 s unless told otherwise.
    #[must_use]
    pub fn backoff(mut self, waits: Range<Duration>) -> Restart {
        self.backoff = waits;
        self
    }

    pub(super) fn most(&self) -> (u32, Duration) {
        (self.most, self.period)
    }

    /// The wait before the restart after so many that followed each other soon.
    pub(super) fn wait(&self, before: u32, chance: u64) -> Duration {
        let doubled = self.backoff.start.saturating_mul(1 << before.min(31));
        let wait = doubled.min(self.backoff.end.max(self.backoff.start));
        let quarter = u64::try_from(wait.as_nanos() / 4).unwrap_or(u64::MAX);
        wait.saturating_add(Duration::from_nanos(chance % quarter.max(1)))
    }
}

impl Default for Restart {
    fn default() -> Restart {
        Restart::one_for_one()
    }
}

/// The restarts that a parent has made of late.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    times: VecDeque<Instant>,
}

impl Restarts {
    /// Whether one more is allowed now; it is counted then.
    pub(super) fn allow(&mut self, restart: &Restart, now: Instant) -> bool {
        let (most, period) = restart.most();
        while self.times.front().is_some_and(|&time| now.duration_since(time) >= period) {
            self.times.pop_front();
        }
        if self.times.len() >= most as usize {
            return false;
        }
        self.times.push_back(now);
        true
    }

    pub(super) fn clear(&mut self) {
        self.times.clear();
    }
}

/// How often one service was started again without lasting.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    soon: u32,
    /// When it last became ready.
    ready: Option<Instant>,
}

impl Backoff {
    pub(super) fn note_ready(&mut self, now: Instant) {
        self.ready = Some(now);
    }

    /// How many restarts went before this one without it lasting for `period`.
    pub(super) fn note_end(&mut self, now: Instant, period: Duration) -> u32 {
        let has_lasted = self.ready.take().is_some_and(|ready| now.duration_since(ready) >= period);
        let before = if has_lasted { 0 } else { self.soon };
        self.soon = before.saturating_add(1);
        before
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest_and_have_a_quarter_of_chance() {
        let restart = Restart::one_for_one();
        let waits: Vec<_> = (0..9).map(|n| restart.wait(n, 0).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
        assert_eq!(restart.wait(u32::MAX, 0), LONGEST_WAIT);
        for chance in [1, 49_999_999, 50_000_000, u64::MAX] {
            let wait = restart.wait(0, chance);
            assert!(wait >= FIRST_WAIT && wait < FIRST_WAIT * 5 / 4, "{wait:?}");
        }
        let none = Restart::one_for_one().backoff(Duration::ZERO..Duration::ZERO);
        assert_eq!(none.wait(7, u64::MAX), Duration::ZERO);
        let odd = Restart::one_for_one().backoff(Duration::MAX..Duration::MAX);
        assert_eq!(odd.wait(7, u64::MAX), Duration::MAX);
    }

    #[test]
    fn five_restarts_in_thirty_seconds_are_allowed_and_older_ones_forgotten() {
        let (restart, mut restarts, start) =
            (Restart::default(), Restarts::default(), Instant::now());
        let allowed: Vec<_> =
            (0..7).map(|n| restarts.allow(&restart, start + SECOND * n)).collect();
        assert_eq!(allowed, [true, true, true, true, true, false, false]);
        assert!(!restarts.allow(&restart, start + SECOND * 29));
        assert!(restarts.allow(&restart, start + SECOND * 30), "the first is of no account");
        assert!(!Restarts::default().allow(&Restart::one_for_all().intensity(0, SECOND), start));
    }

    #[test]
    fn a_service_that_has_lasted_begins_with_the_shortest_wait() {
        let (mut backoff, start) = (Backoff::default(), Instant::now());
        assert_eq!(backoff.note_end(start, PERIOD), 0);
        backoff.note_ready(start);
        assert_eq!(backoff.note_end(start + SECOND, PERIOD), 1);
        assert_eq!(backoff.note_end(start + SECOND, PERIOD), 2, "it never became ready");
        backoff.note_ready(start);
        assert_eq!(backoff.note_end(start + PERIOD, PERIOD), 0);
        assert_eq!(backoff.note_end(start + PERIOD, PERIOD), 1);
    }
}
