//! A function that is called at regular times.
//!
//! When the calls are due, and what becomes of a late one, is the theory of `schedule.rs`.

use super::schedule::Grid;
use crate::clock::{Clock, DelayedCall, hold};
use crate::deferred::{Deferred, IntoDeferred, Trigger, fail, maybe_deferred, succeed};
use crate::failure::Result;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Calls a function again and again; clones steer the same loop.
///
/// If the function returns a Deferred, the next call waits for it. If it fails, the loop ends, and so
/// fails the Deferred of [`start`](LoopingCall::start).
///
/// While it runs, the clock's timer owns it, whoever else does not: dropping it stops nothing. With a reactor
/// for its clock it ends when that does, and its Deferred fails then.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::deferred::LoopingCall;
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let (clock, calls) = (TestClock::new(), Rc::new(Cell::new(0)));
/// let count = calls.clone();
/// let looping = LoopingCall::new(&clock, move || count.set(count.get() + 1));
/// looping.start(Duration::from_secs(1)).map(|_| println!("stopped"));
/// clock.pump([Duration::from_secs(1); 3]);
/// assert_eq!(calls.get(), 4); // one at once
/// looping.stop()?;
/// # Ok::<(), ropewalk::deferred::NotLoopingError>(())
/// ```
#[derive(Clone)]
pub struct LoopingCall(Rc<Looping>);

struct Looping {
    clock: Rc<dyn Clock>,
    /// None while it runs.
    body: Cell<Option<Body>>,
    course: Cell<(Stage, Grid)>,
    /// Some in `Waiting`.
    call: Cell<Option<DelayedCall>>,
    /// Some but in `Idle`, and after who waited has given up.
    trigger: Cell<Option<Trigger<LoopingCall>>>,
}

type Body = Box<dyn FnMut(u64) -> Deferred<()>>;

/// ```text
///         1 start_later             2 its time has come
///   Idle ──────────────▶ Waiting ────────────────────────▶ Calling ─┐
///    │ ▲                  │  ▲   3 done                     ▲  │    │ 4 stop
///    │ └── 5 stop ────────┘  └──────────────────────────────│──┘    ▼
///    │ 1 start                                              │     Stopping
///    └──────────────────────────────────────────────────────┘       │
///    ◀──────────────────────── 6 done; from Calling too if it failed┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Idle,
    Waiting,
    /// The function runs, or its Deferred is waited for.
    Calling,
    Stopping,
}

impl LoopingCall {
    /// Makes a loop that does not run yet.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::LoopingCall;
    ///
    /// let looping = LoopingCall::new(&TestClock::new(), || println!("again"));
    /// assert!(!looping.is_running());
    /// ```
    pub fn new<R>(
        clock: &(impl Clock + Clone + 'static),
        mut body: impl FnMut() -> R + 'static,
    ) -> LoopingCall
    where
        R: IntoDeferred,
        R::Output: 'static,
    {
        LoopingCall::make(clock, move |_count| body().into_deferred().map(drop))
    }

    /// As [`new`](LoopingCall::new); the function hears how many calls are due, skipped ones included.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::LoopingCall;
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::new();
    /// let looping = LoopingCall::with_count(&clock, |count| println!("{count} frames on"));
    /// looping.start(Duration::from_millis(40));
    /// clock.advance(Duration::from_millis(100)); // prints 1, then 2
    /// ```
    #[doc(alias = "withCount")]
    pub fn with_count<R>(
        clock: &(impl Clock + Clone + 'static),
        mut body: impl FnMut(u64) -> R + 'static,
    ) -> LoopingCall
    where
        R: IntoDeferred,
        R::Output: 'static,
    {
        LoopingCall::make(clock, move |count| match count {
            0 => succeed(()),
            count => body(count).into_deferred().map(drop),
        })
    }

    fn make(
        clock: &(impl Clock + Clone + 'static),
        body: impl FnMut(u64) -> Deferred<()> + 'static,
    ) -> LoopingCall {
        let grid = Grid::new(clock.now(), Duration::ZERO, false);
        LoopingCall(Rc::new(Looping {
            clock: hold(clock),
            body: Cell::new(Some(Box::new(body))),
            course: Cell::new((Stage::Idle, grid)),
            call: Cell::new(None),
            trigger: Cell::new(None),
        }))
    }

    /// Begins with a call now; then one each `interval`. An interval of zero means every turn.
    ///
    /// The Deferred fires when the loop was stopped, with the loop; cancelling it stops the loop. It
    /// fails when the function fails, and with [`AlreadyLoopingError`] if the loop runs already.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::LoopingCall;
    /// use std::time::Duration;
    ///
    /// let looping = LoopingCall::new(&TestClock::new(), || Ok("x".parse::<u32>()?));
    /// let ended = looping.start(Duration::from_secs(1));
    /// ended.add_errback(|failure| {
    ///     println!("no more calls: {failure}");
    ///     Err(failure)
    /// }).add_both(|_| ());
    /// assert!(!looping.is_running());
    /// ```
    #[track_caller]
    pub fn start(&self, interval: Duration) -> Deferred<LoopingCall> {
        self.begin(interval, true).unwrap_or_else(fail)
    }

    /// As [`start`](LoopingCall::start), with the first call after one interval.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::LoopingCall;
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::new();
    /// let looping = LoopingCall::new(&clock, || println!("a second has passed"));
    /// looping.start_later(Duration::from_secs(1)); // prints nothing yet
    /// clock.advance(Duration::from_secs(1));
    /// ```
    #[track_caller]
    pub fn start_later(&self, interval: Duration) -> Deferred<LoopingCall> {
        self.begin(interval, false).unwrap_or_else(fail)
    }

    /// Makes no more calls. If one is in progress, the Deferred of `start` fires when it is over.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::{LoopingCall, NotLoopingError};
    ///
    /// assert_eq!(LoopingCall::new(&TestClock::new(), || ()).stop(), Err(NotLoopingError));
    /// ```
    pub fn stop(&self) -> Result<(), NotLoopingError> {
        match self.0.stage() {
            Stage::Idle | Stage::Stopping => return Err(NotLoopingError),
            Stage::Calling => self.0.set_stage(Stage::Stopping), // 4
            Stage::Waiting => {
                self.0.forget_call();
                self.end(Ok(())); // 5
            }
        }
        Ok(())
    }

    /// Makes the next call a full interval from now, and the others after that one.
    ///
    /// Does nothing while a call is in progress.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::LoopingCall;
    /// use std::time::Duration;
    ///
    /// let clock = TestClock::new();
    /// let looping = LoopingCall::new(&clock, || println!("nothing came for a minute"));
    /// looping.start_later(Duration::from_secs(60));
    /// looping.reset()?; // something came
    /// # Ok::<(), ropewalk::deferred::NotLoopingError>(())
    /// ```
    pub fn reset(&self) -> Result<(), NotLoopingError> {
        match self.0.stage() {
            Stage::Idle | Stage::Stopping => return Err(NotLoopingError),
            Stage::Calling => {}
            Stage::Waiting => {
                self.0.forget_call();
                self.0.set_grid(self.0.grid().begin_again(self.0.clock.now()));
                self.0.schedule();
            }
        }
        Ok(())
    }

    /// Whether there are calls to come.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::LoopingCall;
    /// use std::time::Duration;
    ///
    /// let looping = LoopingCall::new(&TestClock::new(), || ());
    /// looping.start(Duration::from_secs(1));
    /// assert!(looping.is_running());
    /// ```
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        matches!(self.0.stage(), Stage::Waiting | Stage::Calling)
    }

    /// 1.
    #[track_caller]
    fn begin(
        &self,
        interval: Duration,
        at_once: bool,
    ) -> Result<Deferred<LoopingCall>, AlreadyLoopingError> {
        if self.0.stage() != Stage::Idle {
            return Err(AlreadyLoopingError);
        }
        let looping = Rc::downgrade(&self.0);
        let (trigger, deferred) = Deferred::with_canceller(move |_| give_up(&looping));
        self.0.trigger.set(Some(trigger));
        self.0.set_grid(Grid::new(self.0.clock.now(), interval, at_once));
        if at_once {
            self.0.call();
        } else {
            self.0.schedule();
        }
        Ok(deferred)
    }
}

/// Nobody waits for the loop any more.
fn give_up(looping: &Weak<Looping>) {
    if let Some(looping) = looping.upgrade() {
        drop(looping.trigger.take());
        // Ended meanwhile is as good.
        let _ = LoopingCall(looping).stop();
    }
}

impl Looping {
    fn stage(&self) -> Stage {
        self.course.get().0
    }

    fn set_stage(&self, stage: Stage) {
        self.course.set((stage, self.grid()));
    }

    fn grid(&self) -> Grid {
        self.course.get().1
    }

    fn set_grid(&self, grid: Grid) {
        self.course.set((self.stage(), grid));
    }

    fn schedule(self: &Rc<Self>) {
        self.set_stage(Stage::Waiting); // 1, 3
        let delay = self.grid().until_next(self.clock.now());
        let looping = self.clone();
        let call = self.clock.call_later(delay, Box::new(move || looping.call()));
        self.call.set(Some(call));
    }

    fn forget_call(&self) {
        if let Some(call) = self.call.take() {
            // It has not been made, or the stage would not be `Waiting`.
            let _ = call.cancel();
        }
    }

    /// 1, 2.
    fn call(self: &Rc<Self>) {
        self.set_stage(Stage::Calling);
        self.call.set(None);
        let mut grid = self.grid();
        let count = grid.count(self.clock.now());
        self.set_grid(grid);
        let Some(mut body) = self.body.take() else { return };
        let called = maybe_deferred(|| body(count));
        self.body.set(Some(body));
        let looping = self.clone();
        called.add_both(move |result| looping.called(result));
    }

    fn called(self: Rc<Self>, result: Result) {
        match self.stage() {
            Stage::Calling if result.is_ok() => self.schedule(), // 3
            _ => LoopingCall(self).end(result),                  // 6
        }
    }
}

impl LoopingCall {
    /// 5, 6.
    fn end(&self, result: Result) {
        self.0.set_stage(Stage::Idle);
        if let Some(trigger) = self.0.trigger.take() {
            // Cancelling it would have taken it away: it has not fired.
            let _ = trigger.fire(result.map(|()| self.clone()));
        }
    }
}

impl fmt::Debug for LoopingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = self.0.grid().interval();
        f.debug_struct("LoopingCall")
            .field("stage", &self.0.stage())
            .field("interval", &interval)
            .finish()
    }
}

/// The loop does not run: it was not started, has ended, or is about to.
///
/// ```
/// let looping = ropewalk::deferred::LoopingCall::new(&ropewalk::clock::TestClock::new(), || ());
/// assert_eq!(looping.reset(), Err(ropewalk::deferred::NotLoopingError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLoopingError;

impl fmt::Display for NotLoopingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the looping call does not run")
    }
}

impl Error for NotLoopingError {}

/// The loop runs already, or its last call is not over.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::deferred::{AlreadyLoopingError, LoopingCall};
/// use std::time::Duration;
///
/// let looping = LoopingCall::new(&TestClock::new(), || ());
/// looping.start(Duration::from_secs(1));
/// looping.start(Duration::from_secs(1)).add_both(|again| {
///     assert!(again.unwrap_err().is::<AlreadyLoopingError>());
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyLoopingError;

impl fmt::Display for AlreadyLoopingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the looping call runs already")
    }
}

impl Error for AlreadyLoopingError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;
    use crate::clock::TestClock;
    use futures_util::FutureExt;
    use std::cell::RefCell;

    const SECOND: Duration = Duration::from_secs(1);

    /// A clock and the seconds at which calls were made.
    #[derive(Clone)]
    struct Log(TestClock, std::time::Instant, Rc<RefCell<Vec<f32>>>);

    impl Log {
        fn new() -> Log {
            let clock = TestClock::new();
            Log(clock.clone(), clock.now(), Rc::default())
        }

        fn note(&self) {
            self.2.borrow_mut().push((self.0.now() - self.1).as_secs_f32());
        }

        fn calls(&self) -> Vec<f32> {
            self.2.borrow().clone()
        }
    }

    fn noting(log: &Log) -> LoopingCall {
        let inside = log.clone();
        LoopingCall::new(&log.0, move || inside.note())
    }

    #[test]
    fn it_calls_at_once_and_then_each_interval() {
        let log = Log::new();
        noting(&log).start(SECOND);
        log.0.pump([SECOND; 3]);
        assert_eq!(log.calls(), [0., 1., 2., 3.]);
    }

    #[test]
    fn it_may_wait_for_the_first_call() {
        let log = Log::new();
        noting(&log).start_later(SECOND);
        assert!(log.calls().is_empty());
        log.0.advance(SECOND);
        assert_eq!(log.calls(), [1.]);
    }

    #[test]
    fn late_calls_are_skipped_and_the_grid_stays() {
        let log = Log::new();
        noting(&log).start(SECOND);
        log.0.pump([SECOND, SECOND * 5 / 2, SECOND / 2]);
        assert_eq!(log.calls(), [0., 1., 3.5, 4.]);
    }

    #[test]
    fn an_interval_of_zero_means_every_turn() {
        let log = Log::new();
        let looping = noting(&log);
        looping.start(Duration::ZERO);
        log.0.pump([Duration::from_nanos(1); 3]);
        assert_eq!(log.calls().len(), 4);
    }

    #[test]
    fn the_next_call_waits_for_the_deferred_of_this_one() {
        let (log, slot) = (Log::new(), Rc::new(RefCell::new(None)));
        let (inside, triggers) = (log.clone(), slot.clone());
        let looping = LoopingCall::new(&log.0, move || {
            inside.note();
            let (trigger, d) = Deferred::<()>::new();
            *triggers.borrow_mut() = Some(trigger);
            d
        });
        let ended = looping.start(SECOND);
        log.0.pump([SECOND * 3 / 2]);
        assert_eq!(log.calls(), [0.]);
        slot.take().unwrap().callback(()).unwrap();
        log.0.pump([SECOND / 2]);
        assert_eq!(log.calls(), [0., 2.]);
        looping.stop().unwrap();
        let mut ended = ended;
        assert!((&mut ended).now_or_never().is_none(), "a call is in progress");
        slot.take().unwrap().callback(()).unwrap();
        assert!(ended.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn a_failure_ends_the_loop() {
        let clock = TestClock::new();
        let looping = LoopingCall::new(&clock, || Err::<(), _>(Failure::msg("no")));
        let ended = looping.start(SECOND);
        assert!(!looping.is_running() && clock.delayed_calls().is_empty());
        assert_eq!(ended.now_or_never().unwrap().unwrap_err().to_string(), "no");
    }

    #[test]
    fn it_may_be_stopped_from_inside_and_started_again() {
        let log = Log::new();
        let (inside, slot) = (log.clone(), Rc::new(RefCell::new(None::<LoopingCall>)));
        let this = slot.clone();
        let looping = LoopingCall::new(&log.0, move || {
            inside.note();
            let looping = this.borrow().clone();
            Ok(looping.unwrap().stop()?)
        });
        *slot.borrow_mut() = Some(looping.clone());
        looping.start(SECOND).map(|looping| drop(looping.start_later(SECOND)));
        assert!(looping.is_running());
        log.0.pump([SECOND]);
        assert_eq!(log.calls(), [0., 1.]);
        slot.take();
    }

    #[test]
    fn a_loop_keeps_neither_its_clock_nor_its_reactor_alive() {
        let captured = Rc::new(());
        let clock = TestClock::new();
        let held = captured.clone();
        let ended = LoopingCall::new(&clock, move || drop(held.clone())).start(SECOND);
        drop(clock);
        assert!(ended.now_or_never().unwrap().unwrap_err().is::<crate::deferred::NeverFired>());
        assert_eq!(Rc::strong_count(&captured), 1);

        let reactor = crate::Reactor::new().unwrap();
        let held = captured.clone();
        let ended = LoopingCall::new(&reactor, move || drop(held.clone())).start(SECOND);
        drop(reactor);
        assert!(ended.now_or_never().unwrap().unwrap_err().is::<crate::deferred::NeverFired>());
        assert_eq!(Rc::strong_count(&captured), 1);
    }

    #[test]
    fn reset_moves_the_grid() {
        let log = Log::new();
        let looping = noting(&log);
        looping.start(SECOND);
        log.0.advance(SECOND / 2);
        looping.reset().unwrap();
        log.0.pump([SECOND / 2, SECOND / 2, SECOND]);
        assert_eq!(log.calls(), [0., 1.5, 2.5]);
    }

    #[test]
    fn the_count_says_how_many_calls_were_due() {
        let (clock, counts) = (TestClock::new(), Rc::new(RefCell::new(vec![])));
        let inside = counts.clone();
        LoopingCall::with_count(&clock, move |n| inside.borrow_mut().push(n)).start(SECOND);
        clock.pump([SECOND, SECOND * 3, SECOND]);
        assert_eq!(*counts.borrow(), [1, 1, 3, 1]);
    }

    #[test]
    fn cancelling_the_deferred_stops_the_loop() {
        let log = Log::new();
        let looping = noting(&log);
        let ended = looping.start(SECOND);
        ended.cancel();
        assert!(!looping.is_running() && log.0.delayed_calls().is_empty());
        assert!(ended.now_or_never().unwrap().is_err());
    }
}
