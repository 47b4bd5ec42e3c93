//! A Deferred whose two ends may live in two threads.
//!
//! Chains are bound to their thread: their callbacks are. What crosses is one result, in a slot behind
//! a mutex, and the wish that it should come no more. The waiting end is a future; a reactor that
//! spawns it has an ordinary Deferred, woken through its mailbox as for any other wake from outside.

use crate::deferred::tail::unobserved;
use crate::deferred::{AlreadyCalled, NeverFired};
use crate::failure::{Failure, Place, Result};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Makes the two ends of a value that will come from another thread.
///
/// ```
/// use ropewalk::{Reactor, sendable};
///
/// let (trigger, deferred) = sendable();
/// std::thread::spawn(move || trigger.callback("computed elsewhere"));
/// let reactor = Reactor::new()?;
/// let d = reactor.spawn(deferred).map(str::len); // an ordinary Deferred from here on
/// assert_eq!(reactor.run_until(d)?, 18);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[track_caller]
pub fn sendable<T: Send>() -> (SendableTrigger<T>, SendableDeferred<T>) {
    let state = Mutex::new(State::Open(None));
    let slot = Arc::new(Slot { state, fired: Condvar::new(), made: Location::caller() });
    (SendableTrigger(Arc::new(Firing(slot.clone()))), SendableDeferred(slot))
}

/// Fires a [`SendableDeferred`], once, from any thread; clones fire the same one.
///
/// As with a [`Trigger`](crate::Trigger), the Deferred fails if all clones are dropped unused.
///
/// ```
/// let (trigger, deferred) = ropewalk::sendable();
/// std::thread::spawn(move || trigger.callback(7));
/// assert_eq!(deferred.wait().unwrap(), 7);
/// ```
pub struct SendableTrigger<T>(Arc<Firing<T>>);

/// Dropped with the last of the triggers.
struct Firing<T>(Arc<Slot<T>>);

struct Slot<T> {
    /// Locked to look and to exchange; nobody is called and nothing dropped meanwhile.
    state: Mutex<State<T>>,
    /// Tells a thread that waits.
    fired: Condvar,
    made: Place,
}

/// ```text
///         1 fire, the last trigger is dropped       2 poll, wait
///   Open ─────────────────────────────────────▶ Fired ─────────▶ Spent
///    │ 3 the Deferred is dropped           4 fire: ignored, once   ▲
///    └──────────────────────────────────▶ Cancelled ───────────────┘
/// ```
enum State<T> {
    Open(Option<Waker>),
    Fired(Result<T>),
    Cancelled,
    Spent,
}

impl<T: Send> SendableTrigger<T> {
    /// Fires with a value.
    ///
    /// Fails if it was fired before. If nobody waits any more, one call is accepted and ignored.
    ///
    /// ```
    /// let (trigger, deferred) = ropewalk::sendable();
    /// trigger.callback(7).unwrap();
    /// assert!(trigger.callback(8).is_err());
    /// assert_eq!(deferred.wait().unwrap(), 7);
    /// ```
    pub fn callback(&self, value: T) -> Result<(), AlreadyCalled> {
        self.fire(Ok(value))
    }

    /// Fires with a failure.
    ///
    /// ```
    /// let (trigger, deferred) = ropewalk::sendable::<()>();
    /// trigger.errback(std::fmt::Error).unwrap();
    /// assert!(deferred.wait().is_err());
    /// ```
    #[track_caller]
    pub fn errback(&self, failure: impl Into<Failure>) -> Result<(), AlreadyCalled> {
        self.fire(Err(failure.into()))
    }

    /// Fires with a result, be it a value or a failure.
    ///
    /// ```
    /// use ropewalk::{sendable, succeed};
    ///
    /// let (trigger, deferred) = sendable();
    /// succeed(7).add_both(move |result| Ok(trigger.fire(result)?)); // from a chain to a thread
    /// std::thread::spawn(|| assert_eq!(deferred.wait().unwrap(), 7));
    /// ```
    pub fn fire(&self, result: Result<T>) -> Result<(), AlreadyCalled> {
        self.0.0.fire(result)
    }

    /// Whether nobody waits any more, so that the work may be given up.
    ///
    /// ```
    /// let (trigger, deferred) = ropewalk::sendable::<u8>();
    /// drop(deferred);
    /// assert!(trigger.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        matches!(*self.0.0.lock(), State::Cancelled)
    }
}

impl<T> Clone for SendableTrigger<T> {
    fn clone(&self) -> SendableTrigger<T> {
        SendableTrigger(self.0.clone())
    }
}

impl<T> fmt::Debug for SendableTrigger<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendableTrigger").finish_non_exhaustive()
    }
}

impl<T> Drop for Firing<T> {
    fn drop(&mut self) {
        if matches!(*self.0.lock(), State::Open(_)) {
            // Nobody else can fire it meanwhile; it may be dropped, and ignores this.
            let _ = self.0.fire(Err(Failure::at(self.0.made, NeverFired)));
        }
    }
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing in the locked lines can panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fire(&self, result: Result<T>) -> Result<(), AlreadyCalled> {
        let mut state = self.lock();
        let waker = match &mut *state {
            State::Open(waker) => waker.take(),
            State::Cancelled => {
                *state = State::Spent; // 4
                return Ok(());
            }
            State::Fired(_) | State::Spent => return Err(AlreadyCalled),
        };
        *state = State::Fired(result); // 1
        drop(state);
        self.fired.notify_one();
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// 2. The result, if it is there.
    fn take(state: &mut State<T>) -> Option<Result<T>> {
        match std::mem::replace(state, State::Spent) {
            State::Fired(result) => Some(result),
            other => {
                *state = other;
                None
            }
        }
    }
}

/// A value that will come from another thread: a future, or something to block for.
///
/// Dropping it tells the other end that nobody waits ([`SendableTrigger::is_cancelled`]); a failure
/// that is in it already is reported.
///
/// ```
/// use ropewalk::{Reactor, sendable};
///
/// let (trigger, deferred) = sendable();
/// std::thread::spawn(move || trigger.callback(7));
/// let reactor = Reactor::new()?;
/// assert_eq!(reactor.run_until(deferred)?, 7);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct SendableDeferred<T>(Arc<Slot<T>>);

impl<T: Send> SendableDeferred<T> {
    /// Blocks this thread until the value is there. Never in a reactor's thread: await it there.
    ///
    /// ```
    /// let (trigger, deferred) = ropewalk::sendable();
    /// let thread = std::thread::spawn(|| deferred.wait());
    /// trigger.callback("good morning").unwrap();
    /// assert_eq!(thread.join().unwrap().unwrap(), "good morning");
    /// ```
    #[doc(alias = "blockingCallFromThread")]
    pub fn wait(self) -> Result<T> {
        let mut state = self.0.lock();
        loop {
            if let Some(result) = Slot::take(&mut state) {
                return result;
            }
            let waited = self.0.fired.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The result, once. Polled again after that, it is pending forever.
impl<T> Future for SendableDeferred<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let mut new = Some(cx.waker().clone());
        let mut state = self.0.lock();
        if let Some(result) = Slot::take(&mut state) {
            return Poll::Ready(result);
        }
        if let State::Open(waker) = &mut *state {
            std::mem::swap(waker, &mut new);
        }
        drop(state);
        drop(new); // The former waker: not our code.
        Poll::Pending
    }
}

impl<T> Drop for SendableDeferred<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let cancelled = match &*state {
            State::Open(_) => State::Cancelled, // 3
            _ => State::Spent,
        };
        let old = std::mem::replace(&mut *state, cancelled);
        drop(state);
        if let State::Fired(result) = old {
            unobserved(result, self.0.made, false);
        }
    }
}

impl<T> fmt::Debug for SendableDeferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendableDeferred").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_send<T: Send>(_: &T) {}

    #[test]
    fn both_ends_are_send() {
        let (trigger, deferred) = sendable::<u8>();
        is_send(&trigger);
        is_send(&deferred);
    }

    #[test]
    fn a_value_crosses_once() {
        let (trigger, deferred) = sendable();
        let thread = std::thread::spawn(move || (trigger.callback(1), trigger.callback(2)));
        assert_eq!(deferred.wait().unwrap(), 1);
        let (first, second) = thread.join().unwrap();
        assert_eq!((first, second), (Ok(()), Err(AlreadyCalled)));
    }

    #[test]
    fn without_triggers_it_fails() {
        let (trigger, deferred) = sendable::<u8>();
        let other = trigger.clone();
        drop(trigger);
        std::thread::spawn(|| drop(other));
        assert!(deferred.wait().unwrap_err().is::<NeverFired>());
    }

    #[test]
    fn one_late_result_is_ignored_when_nobody_waits() {
        let (trigger, deferred) = sendable();
        drop(deferred);
        assert!(trigger.is_cancelled());
        assert_eq!(trigger.callback(1), Ok(()));
        assert_eq!(trigger.callback(2), Err(AlreadyCalled));
    }

    #[test]
    fn a_task_that_polled_before_is_woken() {
        let (trigger, mut deferred) = sendable();
        assert!((&mut deferred).now_or_never().is_none());
        trigger.callback(3).unwrap();
        assert_eq!(deferred.now_or_never().unwrap().unwrap(), 3);
    }
}
