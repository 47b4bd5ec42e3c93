//! Regular times as a stream.

use super::{Reactor, Sleep};
use crate::clock::{Clock, WeakClock};
use crate::deferred::Grid;
use futures_core::{FusedStream, Stream};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

impl Reactor {
    /// Ticks every `period`, for the first time when one has passed.
    ///
    /// The ticks stand on a grid: the start, and every whole period after it. One that is asked for late
    /// comes at once, and the next one at its place on the grid again; the places between are skipped,
    /// never caught up. It is a [`Stream`] of the times at which it ticked, which ends with the reactor;
    /// [`LoopingCall`](crate::deferred::LoopingCall) is the same as a callback.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use futures_util::StreamExt;
    /// use ropewalk::simulation::Simulation;
    /// use std::time::Duration;
    ///
    /// let simulation = Simulation::new(1);
    /// let reactor = simulation.host("any").reactor();
    /// let mut seconds = reactor.interval(Duration::from_secs(1)).take(3);
    /// reactor.spawn(async move {
    ///     while let Some(time) = seconds.next().await {
    ///         println!("a second has passed at {time:?}");
    ///     }
    /// });
    /// simulation.run_for(Duration::from_secs(4))?; // takes no time
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "interval_at")]
    #[doc(alias = "LoopingCall")]
    #[doc(alias = "MissedTickBehavior")]
    pub fn interval(&self, period: Duration) -> Interval {
        let clock = self.inner().timers.downgrade();
        let grid = Grid::new(clock.now(), period, false);
        let next = Sleep::on(&clock, grid.until_next(clock.now()));
        Interval { clock, grid, next, is_over: false }
    }
}

/// Ticks at regular times; see [`Reactor::interval`].
#[must_use = "an interval does nothing unless it is awaited"]
pub struct Interval {
    clock: WeakClock,
    grid: Grid,
    next: Sleep,
    is_over: bool,
}

impl Interval {
    /// Completes at the next tick, with the time. Dropped before, it loses none.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// let mut interval = reactor.interval(Duration::from_millis(1));
    /// reactor.run_until(async move { Ok(interval.tick().await) })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn tick(&mut self) -> impl Future<Output = Instant> {
        poll_fn(|context| match Pin::new(&mut *self).poll_next(context) {
            Poll::Ready(Some(time)) => Poll::Ready(time),
            // Its reactor is gone, and nobody polls any more.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        })
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Instant>> {
        let polled = Pin::new(&mut self.next).poll(context);
        if polled.is_pending() && !self.next.is_waiting() {
            self.is_over = true;
            return Poll::Ready(None);
        }
        ready!(polled);
        let now = self.clock.now();
        self.next = Sleep::on(&self.clock, self.grid.until_next(now));
        Poll::Ready(Some(now))
    }
}

impl FusedStream for Interval {
    fn is_terminated(&self) -> bool {
        self.is_over
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interval").field("next", &self.next.deadline()).finish_non_exhaustive()
    }
}
