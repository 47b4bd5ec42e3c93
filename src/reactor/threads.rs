//! Work that blocks, in threads, and its results back in the reactor's own.
//!
//! # Theory
//! A trigger cannot leave its thread. What another thread holds instead is a [`Sendable`]: a key to a
//! trigger that is parked here. Fired there, it leaves a call in the reactor's mailbox that takes the
//! trigger out and fires it; dropped unfired, it leaves one that drops the trigger.
//!
//! Work for the pool is a closure with such a key. It lies in a slot of its own until a thread takes
//! it: cancelling the Deferred before that empties the slot, and the thread finds nothing.
//!
//! # At the end
//! A reactor that is stopped waits, with its loop running, until the work given to threads is done
//! and its results are delivered. It waits for a minute at most, and not at all after a second
//! signal; what is left then is reported, with the place where each was given. Twisted waits without
//! a limit and drops what is given later.
//!
//! # Not here
//! The threads themselves: the driver's.

use super::owners::OwnerId;
use super::{Loop, Reactor, ReactorGone, Remote};
use crate::deferred::{Deferred, IntoDeferred, Trigger, fail};
use crate::driver::{Key, PoolSize};
use crate::failure::{Failure, Place, Result, catch_panic, report_made};
use crate::slots::Slots;
use futures_util::FutureExt;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// What other threads will fire.
#[derive(Default)]
pub(super) struct Threads {
    /// Borrowed to put in and to take out, never while a trigger is fired or dropped.
    parked: RefCell<Slots<Parked>>,
    /// How many of them are the results of work.
    busy: Cell<usize>,
    /// The size of the pool that was asked for last.
    size: Cell<PoolSize>,
}

struct Parked {
    trigger: Box<dyn Waiting>,
    /// Where the work was given whose result this is.
    work: Option<Place>,
    /// Whose steps follow.
    owner: OwnerId,
}

/// A trigger of any type.
trait Waiting: Any {
    fn give_up(&self, reason: Failure);
}

impl<T: 'static> Waiting for Trigger<T> {
    fn give_up(&self, reason: Failure) {
        // Fired or cancelled meanwhile is as good.
        let _ = self.errback(reason);
    }
}

impl Threads {
    pub(super) fn are_busy(&self) -> bool {
        self.busy.get() > 0
    }

    /// Says of each piece of work that is not done, where it was given.
    pub(super) fn report_work(&self, what: &str) {
        let places = self.places();
        for place in places {
            report_made(what, &Failure::at(place, NotEnded), place);
        }
    }

    fn places(&self) -> Vec<Place> {
        let parked = self.parked.borrow();
        let entries = parked.keys().into_iter().filter_map(|key| parked.get(key));
        entries.filter_map(|parked| parked.work).collect()
    }

    fn park<T: 'static>(&self, trigger: Trigger<T>, work: Option<Place>, owner: OwnerId) -> Key {
        self.busy.set(self.busy.get() + usize::from(work.is_some()));
        let parked = Parked { trigger: Box::new(trigger), work, owner };
        self.parked.borrow_mut().insert_with(|_| parked)
    }

    fn take(&self, key: Key) -> Option<Box<dyn Waiting>> {
        self.take_parked(key).map(|parked| parked.trigger)
    }

    fn take_parked(&self, key: Key) -> Option<Parked> {
        let parked = self.parked.borrow_mut().remove(key)?;
        self.busy.set(self.busy.get() - usize::from(parked.work.is_some()));
        Some(parked)
    }

    fn take_trigger<T: 'static>(&self, key: Key) -> Option<(Trigger<T>, OwnerId)> {
        let Parked { trigger, owner, .. } = self.take_parked(key)?;
        let trigger: Box<dyn Any> = trigger;
        trigger.downcast().ok().map(|trigger| (*trigger, owner))
    }
}

impl Loop {
    /// Nobody is left who could deliver a result.
    pub(super) fn abandon_threads(&self) {
        self.threads.report_work("work in a thread goes on after the reactor was dropped");
        let keys = self.threads.parked.borrow().keys();
        for trigger in keys.into_iter().filter_map(|key| self.threads.take(key)) {
            super::run_reporting_panic("drop of a reactor", || trigger.give_up(ReactorGone.into()));
        }
    }
}

/// Nobody waits any longer for work in a thread.
#[derive(Debug)]
struct NotEnded;

impl fmt::Display for NotEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has not ended")
    }
}

impl std::error::Error for NotEnded {}

/// The firing end of a Deferred, for another thread; see [`Reactor::sendable`].
///
/// Firing returns at once; the Deferred's steps run in the reactor's thread, in one of its next
/// turns. A Deferred that was fired or cancelled meanwhile takes no notice. Dropped unfired, the
/// Deferred fails with [`NeverFired`](crate::deferred::NeverFired) unless another trigger is left.
///
/// ```
/// use ropewalk::reactor::Sendable;
/// use ropewalk::{Deferred, Failure, Reactor};
///
/// /// Code of another thread: it knows nothing of reactors.
/// fn measure(answer: Sendable<u32>, is_there: bool) {
///     let told = match is_there {
///         true => answer.fire(Ok(42)),
///         false => answer.errback(Failure::msg("no instrument")),
///     };
///     told.expect("the reactor waits for it");
/// }
/// let reactor = Reactor::new()?;
/// for is_there in [true, false] {
///     let (trigger, measured) = Deferred::new();
///     let answer = reactor.sendable(trigger);
///     std::thread::spawn(move || measure(answer, is_there));
///     assert_eq!(reactor.run_until(measured).is_ok(), is_there);
/// }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct Sendable<T> {
    remote: Remote,
    /// Absent once fired.
    key: Option<Key>,
    value: PhantomData<fn(T)>,
}

impl<T: Send + 'static> Sendable<T> {
    /// Fires with a value. The error says that the reactor is gone.
    pub fn callback(self, value: T) -> Result<(), ReactorGone> {
        self.fire(Ok(value))
    }

    /// Fires with a failure; otherwise as [`callback`](Sendable::callback).
    #[track_caller]
    pub fn errback(self, failure: impl Into<Failure>) -> Result<(), ReactorGone> {
        self.fire(Err(failure.into()))
    }

    /// Fires with a result, be it a value or a failure.
    pub fn fire(mut self, result: Result<T>) -> Result<(), ReactorGone> {
        let Some(key) = self.key.take() else { return Ok(()) };
        self.remote.call_from_thread(move |reactor| {
            if let Some((trigger, owner)) = reactor.inner().threads.take_trigger::<T>(key) {
                // Fired or cancelled meanwhile: this came too late.
                let _ = reactor.inner().owners.enter(owner, || trigger.fire(result));
            }
        })
    }
}

impl<T> Drop for Sendable<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            // Without a reactor the trigger is gone already.
            let _ = self.remote.call_from_thread(move |reactor| {
                let trigger = reactor.inner().threads.take(key);
                drop(trigger);
            });
        }
    }
}

impl<T> fmt::Debug for Sendable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sendable").finish_non_exhaustive()
    }
}

/// A piece of work that no thread has taken yet.
type Slot<F> = Arc<Mutex<Option<F>>>;

impl Reactor {
    /// Calls `work` in a thread and gives what it returns as a Deferred.
    ///
    /// For what blocks: files, names, databases, long sums. A panic is a failure
    /// ([`Panicked`](crate::Panicked)). Cancelling removes work that has not begun; work that has goes
    /// on, and its result is ignored. At most 10 threads serve; see
    /// [`suggest_thread_pool_size`](Reactor::suggest_thread_pool_size). A Deferred that the work itself
    /// returns must have fired: only a reactor's thread can wait for one.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let sum = reactor.defer_to_thread(|| Ok((1..=10).sum::<u32>()));
    /// assert_eq!(reactor.run_until(sum)?, 55);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "block_in_place")]
    #[doc(alias = "spawn_blocking")]
    #[doc(alias = "deferToThread")]
    #[track_caller]
    pub fn defer_to_thread<F, R>(&self, work: F) -> Deferred<R::Output>
    where
        F: FnOnce() -> R + Send + 'static,
        R: IntoDeferred,
        R::Output: Send + 'static,
    {
        let made = Location::caller();
        if self.inner().is_over() {
            return self.inner().refused(work, made);
        }
        let (inner, parked) = (self.inner().clone(), Rc::new(Cell::new(None)));
        let (threads, key) = (inner.clone(), parked.clone());
        let slot: Slot<_> = Arc::default();
        let waiting = slot.clone();
        let (trigger, deferred) = Deferred::with_canceller(move |_| {
            if let Some(work) = take_work(&waiting) {
                let trigger = key.take().and_then(|key| threads.threads.take(key));
                drop((work, trigger));
            }
        });
        let sendable = self.park(trigger, Some(made));
        parked.set(sendable.key);
        let job = move || {
            let outcome = catch_panic(made, || at_once(work().into_deferred(), made));
            // Without a reactor nobody asks.
            let _ = sendable.fire(outcome.and_then(|result| result));
        };
        slot.lock().unwrap_or_else(PoisonError::into_inner).replace(job);
        inner.driver.offload(Box::new(move || {
            if let Some(job) = take_work(&slot) {
                job();
            }
        }));
        deferred
    }

    /// Calls `work` in a thread; a failure or panic in it is reported.
    ///
    /// ```
    /// use ropewalk::{Deferred, Reactor};
    ///
    /// let reactor = Reactor::new()?;
    /// let (trigger, deferred) = Deferred::new();
    /// let sendable = reactor.sendable(trigger);
    /// reactor.call_in_thread(move || Ok(sendable.callback("from a thread")?));
    /// assert_eq!(reactor.run_until(deferred)?, "from a thread");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "callInThread")]
    #[track_caller]
    pub fn call_in_thread<F, R>(&self, work: F)
    where
        F: FnOnce() -> R + Send + 'static,
        R: IntoDeferred<Output = ()>,
    {
        drop(self.defer_to_thread(work));
    }

    /// Allows so many threads for blocking work, at least 1; 10 by default.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// reactor.suggest_thread_pool_size(30);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "suggestThreadPoolSize")]
    pub fn suggest_thread_pool_size(&self, most: usize) {
        self.adjust_thread_pool(PoolSize { most, ..self.inner().threads.size.get() });
    }

    /// Sets how many threads there are for blocking work, at least and at most, and how long an idle
    /// one waits for more.
    ///
    /// ```
    /// use ropewalk::{Reactor, driver::PoolSize};
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.adjust_thread_pool(PoolSize { fewest: 2, most: 4, idle: Duration::from_secs(60) });
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "adjustPoolsize")]
    pub fn adjust_thread_pool(&self, size: PoolSize) {
        self.inner().threads.size.set(size);
        self.inner().driver.size_pool(size);
    }

    /// Makes a trigger's end for another thread; that thread needs nothing else of the reactor.
    ///
    /// ```
    /// use ropewalk::{Deferred, Reactor};
    ///
    /// let reactor = Reactor::new()?;
    /// let (trigger, deferred) = Deferred::new();
    /// let sendable = reactor.sendable(trigger);
    /// std::thread::spawn(move || sendable.callback(7));
    /// assert_eq!(reactor.run_until(deferred)?, 7);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn sendable<T: Send + 'static>(&self, trigger: Trigger<T>) -> Sendable<T> {
        self.park(trigger, None)
    }

    fn park<T: 'static>(&self, trigger: Trigger<T>, work: Option<Place>) -> Sendable<T> {
        let inner = self.inner();
        let key = if inner.is_over() {
            inner.refuse_by(move || trigger.give_up(ReactorGone.into()));
            None
        } else {
            Some(inner.threads.park(trigger, work, inner.tasks.current_owner()))
        };
        Sendable { remote: self.remote(), key, value: PhantomData }
    }
}

fn take_work<F>(slot: &Slot<F>) -> Option<F> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The result of a Deferred that nobody here can wait for.
fn at_once<T>(deferred: Deferred<T>, made: Place) -> Result<T> {
    deferred.now_or_never().unwrap_or_else(|| Err(Failure::at(made, NotFired)))
}

impl Remote {
    /// Calls `call` in the reactor's thread, waits for it, and returns its result; if that is a
    /// Deferred, waits for this too.
    ///
    /// Fails with [`WouldDeadlockError`] in the reactor's own thread, with [`ReactorGone`] when the reactor
    /// is dropped, and with what the call fails with. Waits for as long as the reactor does not run.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let remote = reactor.remote();
    /// let asked = reactor.defer_to_thread(move || {
    ///     remote.blocking_call_from_thread(|reactor| reactor.spawn(async { Ok(6 * 7) }))
    /// });
    /// assert_eq!(reactor.run_until(asked)?, 42);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "blockingCallFromThread")]
    #[track_caller]
    pub fn blocking_call_from_thread<F, R>(&self, call: F) -> Result<R::Output>
    where
        F: FnOnce(&Reactor) -> R + Send + 'static,
        R: IntoDeferred,
        R::Output: Send + 'static,
    {
        if self.is_home() {
            return Err(WouldDeadlockError.into());
        }
        let made = Location::caller();
        let (answer, question) = mpsc::sync_channel(1);
        self.call_from_thread(move |reactor| {
            let called = catch_panic(made, || call(reactor).into_deferred());
            let deferred = called.unwrap_or_else(fail);
            // It fails only if the thread that asked is gone.
            deferred.add_both(move |result| drop(answer.send(result)));
        })?;
        // The channel breaks when the call, or the chain that should answer, is dropped.
        question.recv().unwrap_or_else(|_| Err(ReactorGone.into()))
    }
}

/// A thread would wait for itself: a blocking call into a reactor from its own thread.
///
/// ```
/// use ropewalk::{Reactor, reactor::WouldDeadlockError};
///
/// let reactor = Reactor::new()?;
/// let refused = reactor.remote().blocking_call_from_thread(|_| Ok(7)).unwrap_err();
/// assert!(refused.is::<WouldDeadlockError>());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldDeadlockError;

impl fmt::Display for WouldDeadlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a blocking call into the reactor from its own thread would never return")
    }
}

impl std::error::Error for WouldDeadlockError {}

/// Work in a thread returned a Deferred that has still to fire.
#[derive(Debug)]
struct NotFired;

impl fmt::Display for NotFired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("work in a thread returned a Deferred that has not fired, which nobody there can wait for")
    }
}

impl std::error::Error for NotFired {}
