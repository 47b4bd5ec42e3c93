//! A Deferred with a time limit.

use crate::clock::Clock;
use crate::deferred::walk::cancel;
use crate::deferred::{Cancelled, Deferred};
use crate::failure::{Failure, Place, Result};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

impl<T: 'static> Deferred<T> {
    /// Cancels what comes before this step, if it takes longer than `limit`.
    ///
    /// A [`Cancelled`] that comes of it becomes [`TimedOut`]; if the canceller, or an errback before
    /// this step, had something else to say, that stands. Steps added after this one have all the time
    /// they want. On a Deferred that has fired nothing is scheduled.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::TimedOut;
    /// use ropewalk::Deferred;
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::new();
    /// let (_trigger, d) = Deferred::<u32>::new();
    /// let d = d.add_timeout(Duration::from_secs(3), &clock);
    /// d.add_errback(|failure| {
    ///     failure.trap::<TimedOut>()?;
    ///     Ok(0)
    /// });
    /// clock.advance(Duration::from_secs(3));
    /// ```
    #[doc(alias = "addTimeout")]
    #[track_caller]
    pub fn add_timeout(self, limit: Duration, clock: &dyn Clock) -> Deferred<T> {
        let place = Location::caller();
        let Some(node) = self.node() else { return self };
        let too_late = Rc::new(Cell::new(false));
        let flag = too_late.clone();
        let call = clock.call_later(
            limit,
            Box::new(move || {
                flag.set(true);
                cancel(node, place);
            }),
        );
        self.add_both(move |result| {
            let result = if too_late.get() { timed_out(result, limit, place) } else { result };
            // Fails if it was made already: then there is nothing to take back.
            let _ = call.cancel();
            result
        })
    }
}

/// Only a plain cancellation is translated.
fn timed_out<T>(result: Result<T>, limit: Duration, place: Place) -> Result<T> {
    match result {
        Err(failure) if failure.is::<Cancelled>() => Err(Failure::at(place, TimedOut { limit })),
        other => other,
    }
}

/// A time limit has passed.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::deferred::TimedOut;
/// use ropewalk::Deferred;
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let (_trigger, d) = Deferred::<()>::new();
/// d.add_timeout(Duration::from_secs(3), &clock).add_errback(|failure| {
///     assert_eq!(failure.to_string(), "timed out after 3s");
///     assert_eq!(failure.check::<TimedOut>().unwrap().limit(), Duration::from_secs(3));
/// });
/// clock.advance(Duration::from_secs(3));
/// ```
#[doc(alias = "Elapsed")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "TimeoutError")]
pub struct TimedOut {
    limit: Duration,
}

impl TimedOut {
    /// Makes the error, for time limits of one's own.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let error = ropewalk::deferred::TimedOut::new(Duration::from_millis(1500));
    /// assert_eq!(error.to_string(), "timed out after 1.5s");
    /// ```
    pub fn new(limit: Duration) -> TimedOut {
        TimedOut { limit }
    }

    /// How long was waited.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let limit = Duration::from_secs(1);
    /// assert_eq!(ropewalk::deferred::TimedOut::new(limit).limit(), limit);
    /// ```
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out after {:?}", self.limit)
    }
}

impl Error for TimedOut {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::{Trigger, succeed};
    use futures_util::FutureExt;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn in_time_the_timer_is_forgotten() {
        let (clock, (trigger, d)) = (TestClock::new(), Deferred::new());
        let d = d.add_timeout(SECOND, &clock);
        trigger.callback(7).unwrap();
        assert!(clock.delayed_calls().is_empty());
        assert_eq!(d.now_or_never().unwrap().unwrap(), 7);
    }

    #[test]
    fn a_fired_deferred_schedules_nothing() {
        let clock = TestClock::new();
        let _d = succeed(7).add_timeout(SECOND, &clock);
        assert!(clock.delayed_calls().is_empty());
    }

    #[test]
    fn too_late_is_a_failure_of_its_own() {
        let (clock, (_trigger, d)) = (TestClock::new(), Deferred::<u8>::new());
        let d = d.add_timeout(SECOND, &clock);
        clock.advance(SECOND);
        assert_eq!(d.now_or_never().unwrap().unwrap_err().check(), Some(&TimedOut::new(SECOND)));
    }

    #[test]
    fn what_the_canceller_says_stands() {
        let clock = TestClock::new();
        let (_trigger, d) = Deferred::with_canceller(|trigger: &Trigger<u8>| {
            trigger.callback(7).unwrap();
        });
        let d = d.add_timeout(SECOND, &clock);
        clock.advance(SECOND);
        assert_eq!(d.now_or_never().unwrap().unwrap(), 7);
    }

    #[test]
    fn an_errback_before_it_suppresses_the_timeout() {
        let (clock, (_trigger, d)) = (TestClock::new(), Deferred::<u8>::new());
        let d = d.add_errback(|_| Ok(0)).add_timeout(SECOND, &clock);
        clock.advance(SECOND);
        assert_eq!(d.now_or_never().unwrap().unwrap(), 0);
    }

    #[test]
    fn steps_after_it_have_all_the_time_they_want() {
        let (clock, (trigger, d)) = (TestClock::new(), Deferred::new());
        let (late, inner) = Deferred::<u8>::new();
        let d = d.add_timeout(SECOND, &clock).add_callback(move |()| inner);
        trigger.callback(()).unwrap();
        clock.advance(SECOND * 9);
        late.callback(7).unwrap();
        assert_eq!(d.now_or_never().unwrap().unwrap(), 7);
    }

    #[test]
    fn a_cancellation_by_somebody_else_stays_one() {
        let (clock, (_trigger, d)) = (TestClock::new(), Deferred::<u8>::new());
        let d = d.add_timeout(SECOND, &clock);
        d.cancel();
        assert!(d.now_or_never().unwrap().unwrap_err().is::<Cancelled>());
    }
}
