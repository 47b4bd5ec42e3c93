//! Limits on silence.

use super::Policy;
use super::layer::{Direction, Watch, put_under};
use crate::address::Address;
use crate::clock::{Clock, DelayedCall};
use crate::failure::Result;
use crate::transport::Transport;
use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// A time limit that is set, reset and taken off by hand; what Twisted's `TimeoutMixin` is.
///
/// When it passes, the call is made, once; setting it again starts anew. Dropping it takes it off.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::policies::Timeout;
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let clock = TestClock::new();
/// let late = Rc::new(Cell::new(false));
/// let flag = late.clone();
/// let mut timeout = Timeout::new(clock.clone(), move || flag.set(true));
/// timeout.set(Some(Duration::from_secs(10)));
/// clock.advance(Duration::from_secs(9));
/// timeout.reset(); // something happened
/// clock.advance(Duration::from_secs(9));
/// assert!(!late.get());
/// clock.advance(Duration::from_secs(1));
/// assert!(late.get());
/// ```
#[doc(alias = "TimeoutMixin")]
pub struct Timeout {
    clock: Box<dyn Clock>,
    call: Rc<dyn Fn()>,
    limit: Option<Duration>,
    waiting: Option<DelayedCall>,
}

impl Timeout {
    /// No limit yet; `call` is what happens when one passes.
    pub fn new(clock: impl Clock + 'static, call: impl Fn() + 'static) -> Timeout {
        Timeout { clock: Box::new(clock), call: Rc::new(call), limit: None, waiting: None }
    }

    /// Sets the limit from now on, or takes it off; gives the one before.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::policies::Timeout;
    /// # use std::time::Duration;
    /// let mut timeout = Timeout::new(TestClock::new(), || ());
    /// assert_eq!(timeout.set(Some(Duration::from_secs(5))), None);
    /// assert_eq!(timeout.set(None), Some(Duration::from_secs(5)));
    /// ```
    #[doc(alias = "setTimeout")]
    pub fn set(&mut self, limit: Option<Duration>) -> Option<Duration> {
        self.take_off();
        if let Some(limit) = limit {
            let call = self.call.clone();
            self.waiting = Some(self.clock.call_later(limit, Box::new(move || call())));
        }
        std::mem::replace(&mut self.limit, limit)
    }

    /// Starts the time anew, if a limit is set and has not passed.
    #[doc(alias = "resetTimeout")]
    pub fn reset(&mut self) {
        if let (Some(waiting), Some(limit)) = (&self.waiting, self.limit) {
            // It has passed: only `set` starts it again.
            let _ = waiting.reset(limit);
        }
    }

    fn take_off(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            // It has passed: there is nothing to take off.
            let _ = waiting.cancel();
        }
    }
}

impl Drop for Timeout {
    fn drop(&mut self) {
        self.take_off();
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Loses a connection on which no byte passed, in either direction, for so long.
///
/// While a layer of this end's holds bytes back, as a [`Throttle`](super::Throttle) does, its peer is not
/// taken for silent.
///
/// ```
/// use ropewalk::Reactor;
/// use ropewalk::policies::{self, IdleTimeout};
/// use std::time::Duration;
///
/// let reactor = Reactor::new()?;
/// let idle = IdleTimeout::new(Duration::from_secs(30 * 60));
/// reactor.serve("127.0.0.1:0", policies::handler(idle, async |_stream| Ok(())))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "TimeoutFactory")]
pub struct IdleTimeout {
    limit: Duration,
}

impl IdleTimeout {
    /// The longest silence.
    pub fn new(limit: Duration) -> IdleTimeout {
        IdleTimeout { limit }
    }
}

impl Policy for IdleTimeout {
    type Pass = ();

    fn admit(&self, _: &Address) -> Option<()> {
        Some(())
    }

    fn apply(&self, transport: &Transport) -> Result {
        let (idle, limit) = (transport.clone(), self.limit);
        let clock = ClockOf(transport.clone());
        let timeout = Rc::new_cyclic(|timeout: &Weak<RefCell<Timeout>>| {
            let timeout = timeout.clone();
            let call = move || match timeout.upgrade().filter(|_| idle.is_held_back()) {
                Some(timeout) => drop(timeout.borrow_mut().set(Some(limit))),
                None => idle.lose_connection(),
            };
            RefCell::new(Timeout::new(clock, call))
        });
        timeout.borrow_mut().set(Some(limit));
        put_under(transport, Idle(timeout))
    }
}

/// The reactor's time without a handle on the reactor, which the connection would keep alive.
struct ClockOf(Transport);

impl Clock for ClockOf {
    fn now(&self) -> Instant {
        self.0.reactor().now()
    }

    fn call_later(&self, delay: Duration, call: Box<dyn FnOnce()>) -> DelayedCall {
        Clock::call_later(&self.0.reactor(), delay, call)
    }
}

/// Borrowed for one change of the limit.
struct Idle(Rc<RefCell<Timeout>>);

impl Watch for Idle {
    fn passed(&mut self, _: Direction, _: &[u8]) {
        self.0.borrow_mut().reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use std::cell::Cell;

    #[test]
    fn a_timeout_calls_once_and_may_be_set_again() {
        let (clock, calls) = (TestClock::new(), Rc::new(Cell::new(0)));
        let count = calls.clone();
        let mut timeout = Timeout::new(clock.clone(), move || count.set(count.get() + 1));
        let second = Duration::from_secs(1);
        timeout.set(Some(second));
        clock.advance(second * 5);
        timeout.reset();
        clock.advance(second * 5);
        assert_eq!(calls.get(), 1);
        timeout.set(Some(second));
        clock.advance(second);
        assert_eq!(calls.get(), 2);
    }

    #[test]
    fn a_timeout_that_is_dropped_never_calls() {
        let clock = TestClock::new();
        let mut timeout = Timeout::new(clock.clone(), || panic!("it was dropped"));
        timeout.set(Some(Duration::from_secs(1)));
        drop(timeout);
        clock.advance(Duration::from_secs(2));
    }
}
