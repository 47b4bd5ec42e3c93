//! Calls and tasks that wait for a time.

use super::owners::OwnerId;
use super::watch::Work;
use super::{Loop, Reactor, run_reporting_panic};
use crate::clock::{Clock, DelayedCall, WeakClock};
use crate::deferred::{IntoDeferred, TimedOut};
use crate::failure::{Place, Result};
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

impl Reactor {
    /// The current time of the reactor's driver.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use ropewalk::simulation::Simulation;
    /// use std::time::Duration;
    ///
    /// let simulation = Simulation::new(1);
    /// let reactor = simulation.host("any").reactor();
    /// let before = reactor.now();
    /// simulation.run_for(Duration::from_secs(3600))?; // takes no time
    /// assert!(reactor.now() - before >= Duration::from_secs(3600));
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "seconds")]
    pub fn now(&self) -> Instant {
        self.inner().timers.now()
    }

    /// What the calendar and the clock on the wall say; for what is shown to people and written into
    /// messages. It may be set, and then jumps: what is waited for is measured by [`Reactor::now`].
    ///
    /// A simulation's is virtual, and begins in the year 2000.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use ropewalk::simulation::Simulation;
    /// use std::time::{Duration, UNIX_EPOCH};
    ///
    /// let simulation = Simulation::new(1);
    /// let since = simulation.host("any").reactor().system_time().duration_since(UNIX_EPOCH)?;
    /// assert_eq!(since.as_secs(), 946_684_800); // 2000-01-01
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn system_time(&self) -> SystemTime {
        self.inner().driver.system_time()
    }

    /// Calls `call` once, `delay` from now; never from inside this method, not even for a delay of 0.
    ///
    /// What it returns is taken as a Deferred: a failure in it is reported.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// let stopper = reactor.clone();
    /// let alarm = reactor.call_later(Duration::from_secs(60), || println!("too late"));
    /// reactor.call_later(Duration::from_millis(1), move || {
    ///     alarm.cancel()?;
    ///     stopper.stop()
    /// });
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "callLater")]
    #[track_caller]
    pub fn call_later<F, R>(&self, delay: Duration, call: F) -> DelayedCall
    where
        F: FnOnce() -> R + 'static,
        R: IntoDeferred,
    {
        let made = Location::caller();
        let call = move || drop(call().into_deferred());
        let delayed = self.inner().call_later(delay, Box::new(call));
        delayed.set_made(made);
        delayed
    }

    /// The calls that still wait for their time, in no particular order.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.call_later(Duration::from_secs(60), || println!("never"));
    /// for call in reactor.delayed_calls() {
    ///     call.cancel()?;
    /// }
    /// assert!(reactor.delayed_calls().is_empty());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "getDelayedCalls")]
    pub fn delayed_calls(&self) -> Vec<DelayedCall> {
        self.inner().timers.pending()
    }

    /// Completes after `delay`; dropping it before forgets the timer.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// let nap = reactor.sleep(Duration::from_millis(1));
    /// reactor.run_until(async { Ok(nap.await) })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "sleep_until")]
    pub fn sleep(&self, delay: Duration) -> Sleep {
        let alarm = Rc::new(Alarm::default());
        let bell = alarm.clone();
        let call = self.inner().timers.call_later(delay, Box::new(move || bell.ring()));
        Sleep { alarm, call }
    }

    /// The future with a time limit from now on: gives what it gives, or [`TimedOut`].
    ///
    /// A future that is late is dropped, which cancels it. It may borrow, as a task of its own may not;
    /// for a Deferred there is [`Deferred::add_timeout`](crate::Deferred::add_timeout).
    ///
    /// ```
    /// use futures_util::AsyncBufReadExt;
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.serve("127.0.0.1:0", async |mut stream| {
    ///     let (reactor, mut line) = (stream.reactor(), String::new());
    ///     // The first `?` is the limit's, the second is the read's.
    ///     reactor.timeout(Duration::from_secs(30), stream.read_line(&mut line)).await??;
    ///     println!("{line}");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "addTimeout")]
    pub fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, TimedOut>> + use<F> {
        let limited_by = self.sleep(limit);
        async move {
            let (mut future, mut limited_by) = (pin!(future), pin!(limited_by));
            poll_fn(|context| {
                // First the future: what is there in time counts, however late it is asked.
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(Ok(output));
                }
                limited_by.as_mut().poll(context).map(|()| Err(TimedOut::new(limit)))
            })
            .await
        }
    }

    /// Lets everything else that is ready go first, sockets too; completes in the next turn.
    ///
    /// ```
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let polite = reactor.clone();
    /// let sum = reactor.run_until(async move {
    ///     let mut sum = 0_u64;
    ///     for n in 0..100_000 {
    ///         sum += n;
    ///         if n % 10_000 == 0 {
    ///             polite.yield_now().await; // sockets and timers have their turn
    ///         }
    ///     }
    ///     Ok(sum)
    /// })?;
    /// assert_eq!(sum, 4_999_950_000);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn yield_now(&self) -> YieldNow {
        YieldNow { yielded: false }
    }
}

impl Clock for Reactor {
    fn now(&self) -> Instant {
        Reactor::now(self)
    }

    fn call_later(&self, delay: Duration, call: Box<dyn FnOnce()>) -> DelayedCall {
        self.inner().call_later(delay, call)
    }

    fn downgrade(&self) -> Option<WeakClock> {
        Some(self.inner().timers.downgrade())
    }
}

impl Loop {
    /// A call of the user's; once the loop is over, none that will be made.
    fn call_later(&self, delay: Duration, call: Box<dyn FnOnce()>) -> DelayedCall {
        if self.is_over() {
            self.refuse(call);
            return self.timers.call_later(delay, Box::new(|| ()));
        }
        self.timers.call_later_marked(delay, call)
    }

    #[inline]
    pub(super) fn run_due_timers(&self) {
        // A loop without timers never asks what time it is.
        if self.timers.next_deadline().is_some() {
            self.make_batch_of_calls();
        }
    }

    fn make_batch_of_calls(&self) {
        let mut batch = Vec::new();
        self.timers.take_due(&mut batch);
        for call in batch {
            if let Some(action) = call.take_action() {
                self.counting.timers.add(1);
                if self.observed.is_on() {
                    self.observed.note_once(Work::TIMER, || name_of(call.made()));
                }
                let owner = OwnerId::of_mark(call.mark());
                self.owners.enter(owner, || run_reporting_panic("delayed call", action));
            }
        }
    }
}

fn name_of(made: Option<Place>) -> String {
    match made {
        Some(place) => format!("delayed call made at {}:{}", place.file(), place.line()),
        None => "a delayed call".to_owned(),
    }
}

#[derive(Default)]
struct Alarm {
    /// Borrowed to look and to exchange the waker; the old one is dropped after.
    state: RefCell<AlarmState>,
}

#[derive(Default)]
struct AlarmState {
    rang: bool,
    waker: Option<Waker>,
}

impl Alarm {
    fn ring(&self) {
        let AlarmState { waker, .. } = self.state.replace(AlarmState { rang: true, waker: None });
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Completes when its time has come; see [`Reactor::sleep`].
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    alarm: Rc<Alarm>,
    call: DelayedCall,
}

impl Sleep {
    /// As [`Reactor::sleep`], on a clock that may be gone: then it never completes.
    pub(super) fn on(clock: &WeakClock, delay: Duration) -> Sleep {
        let alarm = Rc::new(Alarm::default());
        let bell = alarm.clone();
        // Nobody's: who waits for it may be another's than who made it.
        let call = clock.call_later_unmarked(delay, Box::new(move || bell.ring()));
        Sleep { alarm, call }
    }

    /// Whether its time is still to come.
    pub(super) fn is_waiting(&self) -> bool {
        self.call.is_active()
    }

    /// When it completes.
    pub fn deadline(&self) -> Instant {
        self.call.deadline()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = Some(context.waker().clone());
        let mut state = self.alarm.state.borrow_mut();
        if state.rang {
            return Poll::Ready(());
        }
        let former = std::mem::replace(&mut state.waker, waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // Already over is as good as forgotten.
        let _ = self.call.cancel();
    }
}

impl std::fmt::Debug for Sleep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline()).finish_non_exhaustive()
    }
}

pin_project! {
    /// Completes at its second poll; see [`Reactor::yield_now`].
    #[derive(Debug)]
    #[must_use = "yielding does nothing unless it is awaited"]
    pub struct YieldNow {
        yielded: bool,
    }
}

impl Future for YieldNow {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(self.project().yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
