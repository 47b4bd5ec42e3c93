//! What a reactor does, for code inside one of its turns that has no handle at hand.

use super::{Interval, Reactor, YieldNow};
use crate::deferred::{Deferred, IntoDeferred, TimedOut};
use std::future::Future;
use std::time::Duration;

/// The reactor whose turn is under way in this thread.
#[track_caller]
fn current(name: &str) -> Reactor {
    match Reactor::current() {
        Some(reactor) => reactor,
        None => panic!(
            "ropewalk::{name} was called outside of a reactor's turn: call it inside a callback, a task \
             or a handler, or call `reactor.{name}` on a Reactor"
        ),
    }
}

/// [`Reactor::spawn`] on the current reactor.
///
/// # Panics
/// Outside of a turn: see [`Reactor::current`].
///
/// ```
/// let reactor = ropewalk::Reactor::new()?;
/// let sum = reactor.run_until(async {
///     let one = ropewalk::spawn(async { Ok(1) });
///     let two = ropewalk::spawn(async { Ok(2) });
///     Ok(one.await? + two.await?)
/// })?;
/// assert_eq!(sum, 3);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "spawn_local")]
#[doc(alias = "JoinHandle")]
#[track_caller]
pub fn spawn<F>(future: F) -> Deferred<<F::Output as IntoDeferred>::Output>
where
    F: Future + 'static,
    F::Output: IntoDeferred + 'static,
{
    current("spawn").spawn(future)
}

/// [`Reactor::sleep`] on the current reactor.
///
/// # Panics
/// Outside of a turn: see [`Reactor::current`].
///
/// ```
/// use std::time::Duration;
///
/// let reactor = ropewalk::Reactor::new()?;
/// reactor.run_until(async { Ok(ropewalk::sleep(Duration::from_millis(1)).await) })?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[track_caller]
pub fn sleep(delay: Duration) -> super::Sleep {
    current("sleep").sleep(delay)
}

/// [`Reactor::timeout`] on the current reactor.
///
/// # Panics
/// Outside of a turn: see [`Reactor::current`].
///
/// ```
/// use std::time::Duration;
///
/// let reactor = ropewalk::Reactor::new()?;
/// let late = reactor.run_until(async {
///     let never = std::future::pending::<()>();
///     Ok(ropewalk::timeout(Duration::from_millis(1), never).await.is_err())
/// })?;
/// assert!(late);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[track_caller]
pub fn timeout<F: Future>(
    limit: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, TimedOut>> {
    current("timeout").timeout(limit, future)
}

/// [`Reactor::interval`] on the current reactor.
///
/// # Panics
/// Outside of a turn: see [`Reactor::current`].
///
/// ```
/// use std::time::Duration;
///
/// let reactor = ropewalk::Reactor::new()?;
/// reactor.run_until(async {
///     let mut ticks = ropewalk::interval(Duration::from_millis(1));
///     ticks.tick().await;
///     Ok(ticks.tick().await)
/// })?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    current("interval").interval(period)
}

/// [`Reactor::yield_now`] on the current reactor.
///
/// # Panics
/// Outside of a turn: see [`Reactor::current`].
///
/// ```
/// let reactor = ropewalk::Reactor::new()?;
/// reactor.run_until(async { Ok(ropewalk::yield_now().await) })?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[track_caller]
pub fn yield_now() -> YieldNow {
    current("yield_now").yield_now()
}
