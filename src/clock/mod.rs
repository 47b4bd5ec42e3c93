//! Time and timers: what a reactor, a test clock and a simulated host have in common.
//!
//! A timer calls once, when its time has come, and can be cancelled, moved or asked for its time until
//! then. Timers of the same time are called in the order in which they were made; one that is made with
//! no delay from inside another waits for the next batch.
//!
//! ```
//! use ropewalk::clock::{Clock, TestClock};
//! use std::time::Duration;
//! use std::{cell::Cell, rc::Rc};
//!
//! let clock = TestClock::new();
//! let rang = Rc::new(Cell::new(false));
//! let ring = rang.clone();
//! let alarm = clock.call_later(Duration::from_secs(60), Box::new(move || ring.set(true)));
//! clock.advance(Duration::from_secs(59));
//! assert!(alarm.is_active() && !rang.get());
//! clock.advance(Duration::from_secs(1)); // virtual ones: nothing waits
//! assert!(rang.get());
//! ```

// # Theory
// `Timers` is a heap of calls that wait for their time. The heap is ordered by deadline and
// then by order of insertion, so that equal deadlines run in the order of their `call_later`
// (Twisted's own heap leaves that order open; its test clock has it). Each call remembers its
// place in the heap, so cancelling and moving one costs a walk of the heap's height, never a
// search.
//
// # Invariants
// * Calls run in batches: whatever is due when a batch begins is taken out first, then called. A
//   call made with no delay from inside a timer therefore waits for the next batch.
// * A call in a taken batch is still pending: cancelling or moving it works until its own moment.
// * No borrow of the heap is alive while a call runs or is dropped.
//
// # Not here
// Who waits until the next deadline: that is the reactor's turn (`reactor/turn.rs`).

mod heap;

use crate::clock::heap::Heap;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// A source of time on which calls can be scheduled.
///
/// The reactor is one, [`TestClock`] is another; whatever takes a `&dyn Clock` can be tested
/// without waiting.
///
/// ```
/// use ropewalk::clock::{Clock, TestClock};
/// use std::time::Duration;
///
/// fn remind(clock: &dyn Clock) {
///     clock.call_later(Duration::from_secs(60), Box::new(|| println!("tea is ready")));
/// }
/// let clock = TestClock::new();
/// remind(&clock);
/// clock.advance(Duration::from_secs(60)); // prints at once
/// ```
pub trait Clock {
    /// The current time.
    fn now(&self) -> Instant;

    /// Calls `call` once, `delay` from now; never from inside this method.
    #[doc(alias = "callLater")]
    fn call_later(&self, delay: Duration, call: Box<dyn FnOnce()>) -> DelayedCall;

    /// A handle that does not keep the clock alive, for those whom its calls keep alive themselves.
    ///
    /// A clock over another passes on what that says; `None` is a clock that has no such handle.
    fn downgrade(&self) -> Option<WeakClock> {
        None
    }
}

/// A handle on a clock that does not keep it alive; see [`Clock::downgrade`].
///
/// Once the clock is gone, its time stands still, and what is to be called is dropped at once.
///
/// ```
/// use ropewalk::clock::{Clock, TestClock};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let weak = clock.downgrade().expect("a test clock has one");
/// assert!(weak.call_later(Duration::ZERO, Box::new(|| {})).is_active());
/// drop(clock);
/// assert!(!weak.call_later(Duration::ZERO, Box::new(|| {})).is_active());
/// ```
#[derive(Clone)]
pub struct WeakClock {
    timers: Weak<Timers>,
    /// What the clock says when it is gone.
    made: Instant,
}

impl WeakClock {
    /// A call of the library's, which is nobody's.
    pub(crate) fn call_later_unmarked(
        &self,
        delay: Duration,
        call: Box<dyn FnOnce()>,
    ) -> DelayedCall {
        match self.timers.upgrade() {
            Some(timers) => timers.call_later(delay, call),
            None => self.call_later(delay, call),
        }
    }
}

impl Clock for WeakClock {
    fn now(&self) -> Instant {
        self.timers.upgrade().map_or(self.made, |timers| timers.now())
    }

    fn call_later(&self, delay: Duration, call: Box<dyn FnOnce()>) -> DelayedCall {
        if let Some(timers) = self.timers.upgrade() {
            return timers.call_later_marked(delay, call);
        }
        drop(call);
        let call = Rc::new(Call::new(self.made, State::Cancelled, None));
        DelayedCall { timers: Weak::new(), call }
    }

    fn downgrade(&self) -> Option<WeakClock> {
        Some(self.clone())
    }
}

impl fmt::Debug for WeakClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakClock").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// What somebody holds whom the clock's own calls hold: a weak handle, if there is one.
pub(crate) fn hold(clock: &(impl Clock + Clone + 'static)) -> Rc<dyn Clock> {
    match clock.downgrade() {
        Some(weak) => Rc::new(weak),
        None => Rc::new(clock.clone()),
    }
}

/// A call that waits for its time, as `call_later` gives it; dropping it changes nothing.
///
/// ```
/// use ropewalk::clock::{Clock, TestClock};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let call = clock.call_later(Duration::from_secs(5), Box::new(|| println!("now")));
/// call.delay(Duration::from_secs(5))?; // at 10 s
/// clock.advance(Duration::from_secs(9));
/// call.reset(Duration::from_secs(5))?; // at 14 s
/// assert!(call.is_active());
/// clock.advance(Duration::from_secs(5));
/// assert!(call.cancel().is_err(), "it was made");
/// # Ok::<(), ropewalk::clock::NotPendingError>(())
/// ```
#[doc(alias = "DelayQueue")]
#[derive(Clone)]
pub struct DelayedCall {
    timers: Weak<Timers>,
    call: Rc<Call>,
}

impl DelayedCall {
    /// Takes the call back: it will not be made, and what it captured is dropped now.
    pub fn cancel(&self) -> Result<(), NotPendingError> {
        let timers = self.pending()?;
        timers.forget(&self.call);
        self.call.set_state(State::Cancelled);
        drop(self.call.action.take());
        Ok(())
    }

    /// Moves the call to `delay` from now.
    pub fn reset(&self, delay: Duration) -> Result<(), NotPendingError> {
        let timers = self.pending()?;
        let deadline = timers.after(delay);
        timers.schedule(&self.call, deadline);
        Ok(())
    }

    /// Moves the call by `delay` past the time that it is set for.
    pub fn delay(&self, delay: Duration) -> Result<(), NotPendingError> {
        let timers = self.pending()?;
        timers.schedule(&self.call, self.call.standing.get().deadline.saturating_add(nanos(delay)));
        Ok(())
    }

    /// Whether the call still waits: it was neither made nor cancelled.
    #[doc(alias = "active")]
    pub fn is_active(&self) -> bool {
        self.pending().is_ok()
    }

    /// When the call is set for; still readable once it was made or cancelled.
    #[doc(alias = "getTime")]
    pub fn deadline(&self) -> Instant {
        self.call.epoch + Duration::from_nanos(self.call.standing.get().deadline)
    }

    pub(crate) fn mark(&self) -> u32 {
        self.call.mark()
    }

    pub(crate) fn set_made(&self, made: &'static Location<'static>) {
        self.call.made.set(Some(made));
    }

    /// Where it was made, if somebody said so.
    pub(crate) fn made(&self) -> Option<&'static Location<'static>> {
        self.call.made()
    }

    fn pending(&self) -> Result<Rc<Timers>, NotPendingError> {
        match self.call.standing.get().state {
            State::Pending => self.timers.upgrade().ok_or(NotPendingError::AlreadyCancelled),
            State::Called => Err(NotPendingError::AlreadyCalled),
            State::Cancelled => Err(NotPendingError::AlreadyCancelled),
        }
    }
}

impl fmt::Debug for DelayedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedCall")
            .field("state", &self.call.standing.get().state)
            .finish_non_exhaustive()
    }
}

/// A delayed call could not be cancelled or moved, because it no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPendingError {
    /// The call was made (or is being made right now).
    AlreadyCalled,
    /// The call was cancelled, or its clock is gone.
    AlreadyCancelled,
}

impl fmt::Display for NotPendingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotPendingError::AlreadyCalled => "the delayed call was made already",
            NotPendingError::AlreadyCancelled => "the delayed call was cancelled already",
        })
    }
}

impl std::error::Error for NotPendingError {}

/// The calls that wait on one clock.
pub(crate) struct Timers {
    now: Box<dyn Fn() -> Instant>,
    /// Deadlines are nanoseconds since this moment: half the size of an `Instant`.
    epoch: Instant,
    /// Borrowed for the length of one heap operation, never while a call runs.
    heap: RefCell<Heap>,
    scheduling: Cell<Scheduling>,
    /// What a call of the user's is marked with.
    marker: OnceCell<Box<dyn Fn() -> u32>>,
    /// The time that was read last, since the loop last waited.
    seen: Cell<Option<Instant>>,
}

#[derive(Clone, Copy, Default)]
struct Scheduling {
    /// Orders equal deadlines; grows with every scheduling.
    sequence: u64,
    /// Nothing is scheduled any more.
    is_closed: bool,
}

/// One call and where it stands; shared by its `DelayedCall` and the heap.
pub(crate) struct Call {
    epoch: Instant,
    standing: Cell<Standing>,
    /// Where it was made, if that was said.
    made: Cell<Option<&'static Location<'static>>>,
    /// The index in the heap, or `NOWHERE` while in a taken batch and after the end.
    place: Cell<usize>,
    /// Taken when the call is made or cancelled.
    action: Cell<Option<Box<dyn FnOnce()>>>,
}

#[derive(Clone, Copy)]
struct Standing {
    deadline: u64,
    state: State,
    /// A number that whoever made it marked it with.
    mark: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Called,
    Cancelled,
}

const NOWHERE: usize = usize::MAX;

impl Timers {
    pub(crate) fn new(now: impl Fn() -> Instant + 'static) -> Rc<Timers> {
        let epoch = now();
        Rc::new(Timers {
            now: Box::new(now),
            epoch,
            heap: RefCell::default(),
            scheduling: Cell::default(),
            marker: OnceCell::new(),
            seen: Cell::new(None),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        let now = (self.now)();
        self.seen.set(Some(now));
        now
    }

    /// The loop has waited: what was read before is long ago.
    #[inline]
    pub(crate) fn has_waited(&self) {
        self.seen.set(None);
    }

    pub(crate) fn downgrade(self: &Rc<Self>) -> WeakClock {
        WeakClock { timers: Rc::downgrade(self), made: self.now() }
    }

    pub(crate) fn call_later(
        self: &Rc<Self>,
        delay: Duration,
        action: Box<dyn FnOnce()>,
    ) -> DelayedCall {
        if self.scheduling.get().is_closed {
            let call = Rc::new(Call::new(self.epoch, State::Cancelled, None));
            return DelayedCall { timers: Rc::downgrade(self), call };
        }
        let call = Rc::new(Call::new(self.epoch, State::Pending, Some(action)));
        self.schedule(&call, self.after(delay));
        DelayedCall { timers: Rc::downgrade(self), call }
    }

    /// Has what `call_later_marked` schedules marked with what `marker` says then; once.
    pub(crate) fn set_marker(&self, marker: impl Fn() -> u32 + 'static) {
        let _ = self.marker.set(Box::new(marker));
    }

    /// As `call_later`, for a call of the user's.
    pub(crate) fn call_later_marked(
        self: &Rc<Self>,
        delay: Duration,
        action: Box<dyn FnOnce()>,
    ) -> DelayedCall {
        let call = self.call_later(delay, action);
        if let Some(marker) = self.marker.get() {
            call.call.set_mark(marker());
        }
        call
    }

    /// From now on what shall be called later never is.
    pub(crate) fn close(&self) {
        self.scheduling.set(Scheduling { is_closed: true, ..self.scheduling.get() });
    }

    /// How long until the next call is due, if any waits.
    pub(crate) fn until_next(&self) -> Option<Duration> {
        let first = self.heap.borrow().first()?;
        Some(Duration::from_nanos(first.saturating_sub(self.time())))
    }

    /// When the next call is due, in nanoseconds since these timers were made.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.heap.borrow().first()
    }

    /// How many calls wait.
    pub(crate) fn len(&self) -> usize {
        self.heap.borrow().len()
    }

    /// Every call that waits, in no particular order.
    pub(crate) fn pending(self: &Rc<Self>) -> Vec<DelayedCall> {
        let calls = self.heap.borrow().calls();
        calls.into_iter().map(|call| DelayedCall { timers: Rc::downgrade(self), call }).collect()
    }

    /// Moves the calls that are due by now into `batch`, first deadline first.
    pub(crate) fn take_due(&self, batch: &mut Vec<Rc<Call>>) {
        let mut heap = self.heap.borrow_mut();
        // What somebody read in this turn will do: what is due since then is not waited for.
        let now = match self.seen.get() {
            Some(seen) => nanos(seen.saturating_duration_since(self.epoch)),
            None => self.time(),
        };
        while let Some(call) = heap.pop_due(now) {
            batch.push(call);
        }
    }

    /// Forgets every call, and gives what they would have done to whoever drops it.
    pub(crate) fn clear(&self) -> Vec<Box<dyn FnOnce()>> {
        let heap = self.heap.take();
        let forget = |call: Rc<Call>| {
            call.place.set(NOWHERE);
            call.set_state(State::Cancelled);
            call.action.take()
        };
        heap.calls().into_iter().filter_map(forget).collect()
    }

    fn after(&self, delay: Duration) -> u64 {
        self.time().saturating_add(nanos(delay))
    }

    /// Nanoseconds from the epoch until now.
    fn time(&self) -> u64 {
        nanos(self.now().saturating_duration_since(self.epoch))
    }

    fn schedule(&self, call: &Rc<Call>, deadline: u64) {
        self.forget(call);
        call.set_deadline(deadline);
        let scheduling = self.scheduling.get();
        let sequence = scheduling.sequence;
        self.scheduling.set(Scheduling { sequence: sequence + 1, ..scheduling });
        self.heap.borrow_mut().insert(deadline, sequence, call.clone());
    }

    fn forget(&self, call: &Call) {
        if call.place.get() != NOWHERE {
            self.heap.borrow_mut().remove(call.place.get());
        }
    }
}

impl Drop for Timers {
    /// Whoever still has a `DelayedCall` does not keep what it would have done.
    fn drop(&mut self) {
        drop(self.clear());
    }
}

impl Call {
    fn new(epoch: Instant, state: State, action: Option<Box<dyn FnOnce()>>) -> Call {
        Call {
            epoch,
            standing: Cell::new(Standing { deadline: 0, state, mark: 0 }),
            made: Cell::new(None),
            place: Cell::new(NOWHERE),
            action: Cell::new(action),
        }
    }

    fn set_state(&self, state: State) {
        self.standing.set(Standing { state, ..self.standing.get() });
    }

    fn set_deadline(&self, deadline: u64) {
        self.standing.set(Standing { deadline, ..self.standing.get() });
    }

    fn set_mark(&self, mark: u32) {
        self.standing.set(Standing { mark, ..self.standing.get() });
    }

    pub(crate) fn mark(&self) -> u32 {
        self.standing.get().mark
    }

    pub(crate) fn made(&self) -> Option<&'static Location<'static>> {
        self.made.get()
    }

    /// The action, if this call of a taken batch was neither cancelled nor moved since.
    pub(crate) fn take_action(&self) -> Option<Box<dyn FnOnce()>> {
        if self.standing.get().state != State::Pending || self.place.get() != NOWHERE {
            return None;
        }
        self.set_state(State::Called);
        self.action.take()
    }
}

/// Three centuries, so that adding it to an `Instant` stays within every system's range.
pub(crate) const FOREVER: u64 = u64::MAX / 2;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(FOREVER).min(FOREVER)
}

/// A clock that stands still until it is told to advance.
///
/// ```
/// use ropewalk::clock::{Clock, TestClock};
/// use std::{cell::Cell, rc::Rc, time::Duration};
///
/// let clock = TestClock::new();
/// let rang = Rc::new(Cell::new(false));
/// let bell = rang.clone();
/// clock.call_later(Duration::from_secs(5), Box::new(move || bell.set(true)));
/// clock.advance(Duration::from_secs(4));
/// assert!(!rang.get());
/// clock.advance(Duration::from_secs(1));
/// assert!(rang.get());
/// ```
///
/// ```
/// use ropewalk::clock::{Clock, TestClock};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let tea = clock.call_later(Duration::from_secs(60), Box::new(|| println!("tea is ready")));
/// assert_eq!(tea.deadline(), clock.now() + Duration::from_secs(60));
/// clock.pump([Duration::from_secs(20); 2]); // step by step
/// assert_eq!(clock.delayed_calls().len(), 1);
/// ```
#[derive(Clone)]
pub struct TestClock {
    time: Rc<Cell<Instant>>,
    timers: Rc<Timers>,
}

impl TestClock {
    /// A clock at rest.
    pub fn new() -> TestClock {
        let time = Rc::new(Cell::new(Instant::now()));
        let hand = time.clone();
        TestClock { time, timers: Timers::new(move || hand.get()) }
    }

    /// Moves the time on, then makes every call that is due, also those set for now meanwhile.
    ///
    /// All of them see the final time, as with Twisted's `task.Clock`: a step over several
    /// deadlines plays the part of a reactor that was busy for so long. The time ends some three
    /// centuries after the clock was made: it stands still then.
    pub fn advance(&self, duration: Duration) {
        let end = self.timers.epoch + Duration::from_nanos(FOREVER);
        let time = self.time.get().checked_add(duration).map_or(end, |time| time.min(end));
        self.time.set(time);
        let mut batch = Vec::new();
        loop {
            self.timers.has_waited();
            self.timers.take_due(&mut batch);
            if batch.is_empty() {
                return;
            }
            batch.drain(..).filter_map(|call| call.take_action()).for_each(|action| action());
        }
    }

    /// Advances by each of the durations in turn.
    pub fn pump(&self, durations: impl IntoIterator<Item = Duration>) {
        durations.into_iter().for_each(|duration| self.advance(duration));
    }

    /// The calls that still wait.
    #[doc(alias = "getDelayedCalls")]
    pub fn delayed_calls(&self) -> Vec<DelayedCall> {
        self.timers.pending()
    }
}

impl Default for TestClock {
    fn default() -> TestClock {
        TestClock::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.time.get()
    }

    fn call_later(&self, delay: Duration, call: Box<dyn FnOnce()>) -> DelayedCall {
        self.timers.call_later(delay, call)
    }

    fn downgrade(&self) -> Option<WeakClock> {
        Some(self.timers.downgrade())
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClock").field("now", &self.now()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    type Log = Rc<RefCell<Vec<u32>>>;

    fn note(log: &Log, number: u32) -> Box<dyn FnOnce()> {
        let log = log.clone();
        Box::new(move || log.borrow_mut().push(number))
    }

    #[test]
    fn equal_deadlines_run_in_the_order_of_their_calls() {
        let (clock, log) = (TestClock::new(), Log::default());
        for number in 0..100 {
            clock.call_later(SECOND, note(&log, number));
        }
        clock.advance(SECOND);
        assert_eq!(*log.borrow(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn calls_run_in_the_order_of_their_deadlines_whatever_was_cancelled_or_moved() {
        let (clock, log) = (TestClock::new(), Log::default());
        let calls: Vec<_> = (0..1000u32)
            .map(|n| clock.call_later(SECOND * (n * 7919 % 1000), note(&log, n * 7919 % 1000)))
            .collect();
        for (n, call) in calls.iter().enumerate() {
            match n % 3 {
                0 => call.cancel().unwrap(),
                1 => call.delay(SECOND * 1000).unwrap(),
                _ => {}
            }
        }
        clock.advance(SECOND * 3000);
        let moved = |n: &u32| (0..1000u32).position(|i| i * 7919 % 1000 == *n).unwrap() % 3 == 1;
        let (late, early): (Vec<u32>, Vec<u32>) = log.borrow().iter().partition(|n| moved(n));
        assert!(early.is_sorted() && late.is_sorted() && early.len() == 333 && late.len() == 333);
        assert_eq!(*log.borrow(), [early, late].concat());
    }

    #[test]
    fn a_call_can_be_cancelled_by_one_of_the_same_batch() {
        let (clock, log) = (TestClock::new(), Log::default());
        let second = Rc::new(RefCell::new(None::<DelayedCall>));
        let victim = second.clone();
        clock.call_later(SECOND, Box::new(move || victim.take().unwrap().cancel().unwrap()));
        *second.borrow_mut() = Some(clock.call_later(SECOND, note(&log, 1)));
        clock.advance(SECOND);
        assert!(log.borrow().is_empty());
    }

    #[test]
    fn a_call_moved_by_one_of_the_same_batch_runs_later_and_once() {
        let (clock, log) = (TestClock::new(), Log::default());
        let second = Rc::new(RefCell::new(None::<DelayedCall>));
        let moved = second.clone();
        clock.call_later(SECOND, Box::new(move || moved.take().unwrap().reset(SECOND).unwrap()));
        *second.borrow_mut() = Some(clock.call_later(SECOND, note(&log, 1)));
        clock.advance(SECOND);
        assert!(log.borrow().is_empty());
        clock.advance(SECOND);
        assert_eq!(*log.borrow(), [1]);
    }

    #[test]
    fn cancelling_twice_or_after_the_call_says_which() {
        let (clock, log) = (TestClock::new(), Log::default());
        let cancelled = clock.call_later(SECOND, note(&log, 1));
        cancelled.cancel().unwrap();
        assert_eq!(cancelled.cancel(), Err(NotPendingError::AlreadyCancelled));
        let called = clock.call_later(SECOND, note(&log, 2));
        clock.advance(SECOND);
        assert_eq!(called.cancel(), Err(NotPendingError::AlreadyCalled));
        assert_eq!(called.reset(SECOND), Err(NotPendingError::AlreadyCalled));
        assert!(!called.is_active());
        assert_eq!(called.deadline(), clock.now());
    }

    #[test]
    fn a_cancelled_call_drops_what_it_captured_at_once() {
        let clock = TestClock::new();
        let captured = Rc::new(());
        let held = captured.clone();
        let call = clock.call_later(SECOND, Box::new(move || drop(held)));
        call.cancel().unwrap();
        assert_eq!(Rc::strong_count(&captured), 1);
    }

    #[test]
    fn a_clock_that_goes_takes_the_calls_that_wait_with_it() {
        let (clock, captured) = (TestClock::new(), Rc::new(()));
        let (held, weak) = (captured.clone(), clock.downgrade().unwrap());
        let call = clock.call_later(SECOND, Box::new(move || drop(held)));
        drop(clock);
        assert!(!call.is_active() && call.cancel() == Err(NotPendingError::AlreadyCancelled));
        assert_eq!(Rc::strong_count(&captured), 1);
        let held = captured.clone();
        weak.call_later(SECOND, Box::new(move || drop(held)));
        assert_eq!(Rc::strong_count(&captured), 1);
    }

    #[test]
    fn a_call_that_is_dropped_with_its_clock_may_ask_for_the_time() {
        struct Asks(WeakClock, Rc<Cell<bool>>);
        impl Drop for Asks {
            fn drop(&mut self) {
                self.1.set(!self.0.call_later(SECOND, Box::new(|| {})).is_active());
            }
        }
        let (clock, was_refused) = (TestClock::new(), Rc::new(Cell::new(false)));
        let asks = Asks(clock.downgrade().unwrap(), was_refused.clone());
        clock.call_later(SECOND, Box::new(move || drop(asks)));
        drop(clock);
        assert!(was_refused.get());
    }

    #[test]
    fn a_deadline_beyond_all_time_is_legal() {
        let clock = TestClock::new();
        let call = clock.call_later(Duration::MAX, Box::new(|| {}));
        call.delay(Duration::MAX).unwrap();
        clock.advance(Duration::from_secs(1_000_000_000));
        assert!(call.is_active() && call.deadline() > clock.now());
    }
}
