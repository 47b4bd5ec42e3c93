//! A Deferred with a time limit.

use crate::clock::Clock;
use crate::deferred::tail::cancel;
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
    /// use ropewalk::{Deferred, TestClock, TimedOut};
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
/// use ropewalk::{Deferred, TestClock, TimedOut};
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
    /// let error = ropewalk::TimedOut::new(Duration::from_millis(1500));
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
    /// assert_eq!(ropewalk::TimedOut::new(limit).limit(), limit);
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
