//! Long work in small pieces, several of them side by side.
//!
//! # Theory
//! A task is an iterator; each item is one piece of work done. The tasks stand in a ring, and each
//! that had its turn goes to the end. A slice of pieces is done at a time; then the clock's other
//! calls, and sockets, have theirs. A piece that is a Deferred takes its task out of the ring until it
//! fires.
//!
//! # Invariants
//! * A call of the clock is pending exactly when the ring is not empty and no slice is being done.

use super::cooperative_task::{CooperativeTask, TaskFinished};
use crate::clock::{Clock, DelayedCall, hold};
use crate::deferred::{Deferred, IntoDeferred};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// A slice ends when it took so long,
const SLICE: Duration = Duration::from_millis(10);
/// or so many pieces: on a clock that stands still while we work there must be an end too.
const PIECES: usize = 1000;
/// Not zero: a test clock makes a call without delay in the same advance.
const PAUSE: Duration = Duration::from_nanos(1);

/// Divides the time between tasks; clones are the same cooperator.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::deferred::Cooperator;
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let cooperator = Cooperator::new(&clock);
/// for name in ["a", "b"] {
///     let work = (1..=2).map(move |piece| println!("{name}{piece}"));
///     cooperator.coiterate(work).map(move |()| println!("{name} is done"));
/// }
/// clock.advance(Duration::from_millis(1)); // a1 b1 a2 b2 a is done b is done
/// ```
#[derive(Clone)]
pub struct Cooperator(pub(super) Rc<Ring>);

pub(super) struct Ring {
    clock: Rc<dyn Clock>,
    /// Borrowed to push or pop.
    tasks: RefCell<VecDeque<CooperativeTask>>,
    call: Cell<Option<DelayedCall>>,
    pace: Cell<Pace>,
}

#[derive(Clone, Copy, Default)]
struct Pace {
    in_slice: bool,
    is_stopped: bool,
}

impl Cooperator {
    /// A cooperator without tasks.
    ///
    /// ```
    /// assert!(ropewalk::deferred::Cooperator::new(&ropewalk::clock::TestClock::new()).is_running());
    /// ```
    pub fn new(clock: &(impl Clock + Clone + 'static)) -> Cooperator {
        Cooperator(Rc::new(Ring {
            clock: hold(clock),
            tasks: RefCell::default(),
            call: Cell::new(None),
            pace: Cell::default(),
        }))
    }

    /// Adds a task, to be watched and steered.
    ///
    /// Each item is a piece of work: nothing, a result, or a Deferred, which the task waits for.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::Cooperator;
    ///
    /// let clock = TestClock::new();
    /// let task = Cooperator::new(&clock).cooperate((0..3).map(|n| println!("{n}")));
    /// task.pause()?;
    /// # Ok::<(), ropewalk::deferred::TaskFinished>(())
    /// ```
    #[track_caller]
    pub fn cooperate<W>(&self, work: W) -> CooperativeTask
    where
        W: IntoIterator<Item: IntoDeferred<Output = ()>>,
        W::IntoIter: 'static,
    {
        let mut work = work.into_iter();
        let next = move || work.next().map(IntoDeferred::into_deferred);
        CooperativeTask::begin(self.clone(), Box::new(next), Location::caller())
    }

    /// Adds a task, only to know when it is done.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::Cooperator;
    /// let cooperator = Cooperator::new(&TestClock::new());
    /// cooperator.coiterate((0..3).map(|n| println!("{n}"))).map(|()| println!("done"));
    /// ```
    #[track_caller]
    pub fn coiterate<W>(&self, work: W) -> Deferred<()>
    where
        W: IntoIterator<Item: IntoDeferred<Output = ()>>,
        W::IntoIter: 'static,
    {
        self.cooperate(work).when_done()
    }

    /// Fails every task that is not paused, and those that are added from now on, with
    /// [`TaskFinished::SchedulerStopped`].
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::{Cooperator, TaskFinished};
    /// let cooperator = Cooperator::new(&TestClock::new());
    /// cooperator.stop();
    /// let task = cooperator.cooperate((0..3).map(|n| println!("{n}")));
    /// assert_eq!(task.pause(), Err(TaskFinished::SchedulerStopped));
    /// ```
    pub fn stop(&self) {
        self.0.set_stopped(true);
        while let Some(task) = self.0.next() {
            task.end(TaskFinished::SchedulerStopped);
        }
        self.0.forget_call();
    }

    /// Takes tasks again after [`stop`](Cooperator::stop).
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::Cooperator;
    /// let cooperator = Cooperator::new(&TestClock::new());
    /// cooperator.stop();
    /// cooperator.start();
    /// assert!(cooperator.is_running());
    /// ```
    pub fn start(&self) {
        self.0.set_stopped(false);
    }

    /// Whether it takes tasks.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::Cooperator;
    /// assert!(Cooperator::new(&TestClock::new()).is_running());
    /// ```
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        !self.0.pace.get().is_stopped
    }
}

impl Ring {
    fn set_stopped(&self, is_stopped: bool) {
        self.pace.set(Pace { is_stopped, ..self.pace.get() });
    }

    fn set_in_slice(&self, in_slice: bool) {
        self.pace.set(Pace { in_slice, ..self.pace.get() });
    }

    fn next(&self) -> Option<CooperativeTask> {
        let task = self.tasks.borrow_mut().pop_front()?;
        task.left();
        Some(task)
    }

    pub(super) fn push(self: &Rc<Self>, task: CooperativeTask) {
        self.tasks.borrow_mut().push_back(task);
        self.schedule();
    }

    pub(super) fn remove(&self, task: &CooperativeTask) {
        let removed = {
            let mut tasks = self.tasks.borrow_mut();
            let place = tasks.iter().position(|other| other.is(task));
            place.and_then(|place| tasks.remove(place))
        };
        drop(removed);
        if self.tasks.borrow().is_empty() {
            self.forget_call();
        }
    }

    fn schedule(self: &Rc<Self>) {
        if self.pace.get().in_slice || self.tasks.borrow().is_empty() {
            return;
        }
        // One that waits for nothing any more belongs to a clock that is gone.
        let pending = self.call.take().filter(DelayedCall::is_active);
        let call = pending.unwrap_or_else(|| {
            let mut next = NextSlice(Some(self.clone()));
            self.clock.call_later(PAUSE, Box::new(move || next.begin()))
        });
        self.call.set(Some(call));
    }

    fn forget_call(&self) {
        if let Some(call) = self.call.take() {
            // Being made is as good as forgotten: it finds an empty ring.
            let _ = call.cancel();
        }
    }

    fn slice(self: Rc<Self>) {
        self.call.set(None);
        self.set_in_slice(true);
        let begin = self.clock.now();
        for _ in 0..PIECES {
            let Some(task) = self.next() else { break };
            task.piece();
            if self.clock.now() - begin >= SLICE {
                break;
            }
        }
        self.set_in_slice(false);
        self.schedule();
    }
}

/// The clock's call. If it is dropped instead of made, the clock is gone, and so is all hope.
struct NextSlice(Option<Rc<Ring>>);

impl NextSlice {
    fn begin(&mut self) {
        if let Some(ring) = self.0.take() {
            ring.slice();
        }
    }
}

impl Drop for NextSlice {
    fn drop(&mut self) {
        // Tasks hold the ring and the ring holds tasks: nobody else would end that.
        let tasks = self.0.take().map(|ring| ring.tasks.take());
        drop(tasks);
    }
}

impl fmt::Debug for Cooperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooperator").field("is_running", &self.is_running()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::deferred::NotPaused;
    use crate::{Failure, Trigger};
    use futures_util::FutureExt;

    const SLICES: Duration = Duration::from_millis(1);

    #[derive(Clone, Default)]
    struct Trace(Rc<RefCell<String>>);

    impl Trace {
        fn pieces(&self, name: char, count: usize) -> impl Iterator<Item = ()> + use<> {
            let trace = self.clone();
            (0..count).map(move |_| trace.0.borrow_mut().push(name))
        }

        fn text(&self) -> String {
            self.0.borrow().clone()
        }
    }

    fn cooperator() -> (TestClock, Cooperator, Trace) {
        let clock = TestClock::new();
        (clock.clone(), Cooperator::new(&clock), Trace::default())
    }

    #[test]
    fn tasks_of_a_clock_that_is_gone_end_whenever_they_came() {
        let clock = TestClock::new();
        let cooperator = Cooperator::new(&clock);
        let early = cooperator.coiterate(std::iter::repeat(()));
        drop(clock);
        assert!(early.now_or_never().unwrap().is_err());
        for _ in 0..2 {
            let late = cooperator.coiterate(std::iter::repeat(()));
            assert!(late.now_or_never().unwrap().is_err());
        }
    }

    #[test]
    fn tasks_take_turns() {
        let (clock, cooperator, trace) = cooperator();
        cooperator.coiterate(trace.pieces('a', 3));
        let done = cooperator.coiterate(trace.pieces('b', 2));
        assert_eq!(trace.text(), "");
        clock.advance(SLICES);
        assert_eq!(trace.text(), "ababa");
        assert!(done.now_or_never().unwrap().is_ok());
        assert!(clock.delayed_calls().is_empty());
    }

    #[test]
    fn a_slice_ends_and_the_clock_has_its_turn() {
        let (clock, cooperator, trace) = cooperator();
        let task = cooperator.cooperate(trace.pieces('a', usize::MAX));
        clock.advance(SLICES);
        assert_eq!(trace.text().len(), PIECES);
        clock.advance(SLICES);
        assert_eq!(trace.text().len(), 2 * PIECES);
        task.stop().unwrap();
    }

    #[test]
    fn a_deferred_pauses_its_own_task_only() {
        let (clock, cooperator, trace) = cooperator();
        let (trigger, d) = Deferred::<()>::new();
        let done = cooperator.coiterate([d]);
        cooperator.coiterate(trace.pieces('b', 2));
        clock.advance(SLICES);
        assert_eq!(trace.text(), "bb");
        trigger.callback(()).unwrap();
        clock.advance(SLICES);
        assert!(done.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn a_piece_that_fails_ends_its_task() {
        let (clock, cooperator, _) = cooperator();
        let task = cooperator.cooperate([Err::<(), _>(Failure::msg("no")), Ok(())]);
        let done = task.when_done();
        clock.advance(SLICES);
        assert_eq!(task.pause(), Err(TaskFinished::Failed));
        assert_eq!(done.now_or_never().unwrap().unwrap_err().to_string(), "no");
    }

    #[test]
    fn a_failure_that_nobody_asks_about_is_reported() {
        let (clock, cooperator, trace) = cooperator();
        let sink = trace.clone();
        crate::on_report(move |report| *sink.0.borrow_mut() = report.failure().to_string());
        drop(cooperator.cooperate([Err::<(), _>(Failure::msg("no"))]));
        clock.advance(SLICES);
        assert_eq!(trace.text(), "no");
    }

    #[test]
    fn pauses_are_counted() {
        let (clock, cooperator, trace) = cooperator();
        let task = cooperator.cooperate(trace.pieces('a', 1));
        task.pause().unwrap();
        task.pause().unwrap();
        assert!(clock.delayed_calls().is_empty());
        task.resume().unwrap();
        clock.advance(SLICES);
        assert_eq!(trace.text(), "");
        task.resume().unwrap();
        assert_eq!(task.resume(), Err(NotPaused));
        clock.advance(SLICES);
        assert_eq!((trace.text().as_str(), task.pause()), ("a", Err(TaskFinished::Done)));
    }

    #[test]
    fn a_task_may_stop_itself() {
        let (clock, cooperator, _) = cooperator();
        let slot = Rc::new(RefCell::new(None::<CooperativeTask>));
        let this = slot.clone();
        let work = (0..9).map(move |_| {
            this.borrow().as_ref().map_or((), |task| {
                let _ = task.stop();
            })
        });
        let task = cooperator.cooperate(work);
        *slot.borrow_mut() = Some(task.clone());
        clock.advance(SLICES);
        assert_eq!(task.stop(), Err(TaskFinished::Stopped));
        slot.take();
    }

    #[test]
    fn stopping_the_cooperator_fails_its_tasks_and_later_ones() {
        let (clock, cooperator, trace) = cooperator();
        let (one, paused) = (
            cooperator.coiterate(trace.pieces('a', 1)),
            cooperator.cooperate(trace.pieces('b', 1)),
        );
        paused.pause().unwrap();
        cooperator.stop();
        assert!(clock.delayed_calls().is_empty());
        let late = cooperator.coiterate(trace.pieces('c', 1));
        paused.resume().unwrap();
        for failed in [one, late, paused.when_done()] {
            let failure = failed.now_or_never().unwrap().unwrap_err();
            assert_eq!(failure.check(), Some(&TaskFinished::SchedulerStopped));
        }
        assert_eq!(trace.text(), "");
    }

    #[test]
    fn a_watcher_may_use_the_cooperator() {
        let (clock, cooperator, trace) = cooperator();
        let (again, more) = (cooperator.clone(), trace.clone());
        cooperator.coiterate(trace.pieces('a', 1)).map(move |()| {
            again.coiterate(more.pieces('b', 1));
        });
        clock.advance(SLICES);
        assert_eq!(trace.text(), "ab");
    }

    #[test]
    fn nothing_is_left_when_the_clock_goes_away() {
        let owned = Rc::new(());
        let inside = owned.clone();
        {
            let (clock, cooperator, _) = cooperator();
            cooperator.cooperate((0..9).map(move |_| drop(inside.clone())));
            let (_never, d) = Deferred::<()>::new();
            let _: Trigger<()> = _never;
            cooperator.cooperate([d]);
            clock.delayed_calls().iter().for_each(|call| call.cancel().unwrap());
        }
        assert_eq!(Rc::strong_count(&owned), 1);
    }
}
