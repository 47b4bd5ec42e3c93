//! The times at which a looping call is due.
//!
//! The calls stand on a grid: the start, and every whole interval after it. A call that comes late, or
//! that waits for a Deferred, does not move the grid; it skips the places that have passed, and never
//! catches up. Whoever wants to know how many were skipped lets them be counted.

use std::time::{Duration, Instant};

/// Where the calls stand in time.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    start: Instant,
    interval: Duration,
    /// Whether there is a call at the start.
    at_once: bool,
    /// When calls were last counted.
    last: Option<Instant>,
}

impl Grid {
    pub(crate) fn new(start: Instant, interval: Duration, at_once: bool) -> Grid {
        Grid { start, interval, at_once, last: None }
    }

    /// How many calls are due, skipped ones included, since the last time that any were.
    pub(super) fn count(&mut self, now: Instant) -> u64 {
        let count = self.due(now);
        if count > 0 {
            self.last = Some(now);
        }
        count
    }

    /// The same grid from another start.
    pub(super) fn begin_again(self, start: Instant) -> Grid {
        Grid { start, ..self }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// How long until the next call. At a place of the grid, a whole interval: that call is made.
    pub(crate) fn until_next(&self, now: Instant) -> Duration {
        if self.interval.is_zero() {
            // Not zero: a test clock makes a call without delay in the same advance, without end.
            return Duration::from_nanos(1);
        }
        let past = (now - self.start).as_nanos() % self.interval.as_nanos();
        self.interval - duration(past)
    }

    fn due(&self, now: Instant) -> u64 {
        if self.interval.is_zero() {
            return 1;
        }
        let before = match self.last {
            Some(last) => self.place(last),
            None => -i128::from(self.at_once),
        };
        u64::try_from(self.place(now) - before).unwrap_or(0)
    }

    /// How many intervals lie between the start and `then`.
    fn place(&self, then: Instant) -> i128 {
        let whole = |time: Duration| (time.as_nanos() / self.interval.as_nanos()) as i128;
        match then.checked_duration_since(self.start) {
            Some(after) => whole(after),
            // Before a reset moved the start.
            None => -whole(self.start.duration_since(then)),
        }
    }
}

/// Less than an interval, which is a Duration itself: it fits.
fn duration(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_call_at_a_place_of_the_grid_waits_a_whole_interval() {
        let start = Instant::now();
        assert_eq!(Grid::new(start, SECOND, true).until_next(start + 3 * SECOND), SECOND);
    }

    #[test]
    fn a_late_call_waits_for_the_next_place_only() {
        let start = Instant::now();
        let late = start + SECOND * 7 / 2;
        assert_eq!(Grid::new(start, SECOND, true).until_next(late), SECOND / 2);
    }

    #[test]
    fn skipped_places_are_counted_once() {
        let start = Instant::now();
        let mut grid = Grid::new(start, SECOND, true);
        let counts = [0, 1, 4, 4, 5].map(|second| grid.count(start + second * SECOND));
        assert_eq!(counts, [1, 1, 3, 0, 1]);
    }

    #[test]
    fn a_moved_grid_counts_what_lies_before_its_start() {
        let start = Instant::now();
        let mut grid = Grid::new(start, SECOND, true);
        grid.count(start);
        let mut moved = grid.begin_again(start + SECOND * 5 / 2);
        assert_eq!(moved.count(start + SECOND * 7 / 2), 3);
    }
}
