//! Doing things later, again and again, or little by little.

mod cooperative_task;
mod cooperator;
mod looping_call;
mod schedule;

pub use cooperative_task::{CooperativeTask, NotPaused, TaskFinished};
pub use cooperator::Cooperator;
pub use looping_call::{AlreadyLoopingError, LoopingCall, NotLoopingError};
pub(crate) use schedule::Grid;

use crate::clock::{Clock, DelayedCall};
use crate::deferred::{Deferred, IntoDeferred};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Does `work` after `delay`; cancelling takes the call back.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::deferred::defer_later;
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let d = defer_later(&clock, Duration::from_secs(3), || Ok("three seconds later"));
/// d.map(|text| println!("{text}"));
/// clock.advance(Duration::from_secs(3)); // prints
/// ```
#[doc(alias = "deferLater")]
#[track_caller]
pub fn defer_later<R: IntoDeferred>(
    clock: &dyn Clock,
    delay: Duration,
    work: impl FnOnce() -> R + 'static,
) -> Deferred<R::Output>
where
    R::Output: 'static,
{
    let call = Rc::new(Cell::new(None::<DelayedCall>));
    let pending = call.clone();
    let (trigger, deferred) = Deferred::with_canceller(move |_| {
        if let Some(call) = pending.take() {
            // Made already is as good as taken back: the trigger was used then.
            let _ = call.cancel();
        }
    });
    let fire = move || {
        // Cancelled in time, this is not called; so it has not fired.
        let _ = trigger.callback(());
    };
    call.set(Some(clock.call_later(delay, Box::new(fire))));
    deferred.add_callback(move |()| work())
}
