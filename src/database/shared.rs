//! The pool in the reactor's thread: which connections are idle, who waits, and what is under way.
//!
//! # Theory
//! A call is accepted, waits for a permit, and goes to a thread with an idle connection or with none, in
//! which case it opens one there. The permit stays here, whatever happens to the thread: it goes back with
//! the call's result, and a call whose connection is gone gives back the permit alone. So there are never
//! more connections than permits, and none is lost.
//!
//! ```text
//!          1 close                       2 nothing is under way, and the idle ones are closed
//!   Open ───────────────► Closing ───────────────────────────────────────────────────────────► Closed
//!     │ └──────────────────────────────── 3 the reactor shuts down ───────────────────────────────▲ │
//!     └◄──────────────────────────────────────────────── 4 it is started as a service once more ────┘
//! ```
//!
//! # Invariants
//! * Permits and connections go back before the call's Deferred fires: what its callbacks ask for may have
//!   them.
//! * Connections are closed in threads, where that may block. Not so with the pool itself, or at a shutdown: the
//!   reactor most often ends right after, and would tell of a thread that is not done.

use super::call::{Call, Given, Manner, Pooled, Returned};
use super::contract::Database;
use super::error::{PoolClosed, PoolFull, PoolTimedOut};
use super::limits::PoolLimits;
use super::noisy::{Noisy, Place};
use super::transaction::Transaction;
use crate::clock::DelayedCall;
use crate::deferred::{DeferredSemaphore, Permit, TimedOut};
use crate::reactor::{Event, Phase, SystemEventTrigger};
use crate::{Deferred, Failure, Reactor, Result, Trigger, fail, succeed};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Shared<D: Database> {
    pub(super) reactor: Reactor,
    pub(super) database: Arc<D>,
    pub(super) limits: PoolLimits,
    pub(super) noisy: Cell<Noisy>,
    /// The line that made the pool.
    place: Place,
    permits: DeferredSemaphore,
    /// The last used is the last. Borrowed to put in and to take out.
    idle: RefCell<Vec<Idle<D>>>,
    state: Cell<State>,
    /// Calls that were accepted and are not done.
    under_way: Cell<usize>,
    /// Who waits for `Closed`. Borrowed to push and to take.
    closers: RefCell<Vec<Trigger<()>>>,
    /// Closes connections that are idle beyond the fewest.
    reaper: RefCell<Option<DelayedCall>>,
    shutdown: RefCell<Option<SystemEventTrigger>>,
}

struct Idle<D: Database> {
    pooled: Pooled<D>,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closing,
    Closed,
}

/// A call that was accepted, until it is done.
pub(super) struct Accepted<D: Database>(Rc<Shared<D>>);

impl<D: Database> Accepted<D> {
    fn new(shared: &Rc<Shared<D>>) -> Accepted<D> {
        shared.under_way.set(shared.under_way.get() + 1);
        Accepted(shared.clone())
    }
}

impl<D: Database> Clone for Accepted<D> {
    fn clone(&self) -> Accepted<D> {
        Accepted::new(&self.0)
    }
}

impl<D: Database> Drop for Accepted<D> {
    fn drop(&mut self) {
        let left = self.0.under_way.get() - 1;
        self.0.under_way.set(left);
        if left == 0 && self.0.state.get() == State::Closing {
            self.0.close_idle();
        }
    }
}

/// What a call holds here while a thread is at it. Taken by its result, or by a cancellation before it began.
struct Held<D: Database> {
    lease: Cell<Option<(Permit, Accepted<D>)>>,
    work: Cell<Option<Deferred<()>>>,
}

impl<D: Database> Shared<D> {
    pub(super) fn new(
        reactor: Reactor,
        database: D,
        limits: PoolLimits,
        place: Place,
    ) -> Rc<Shared<D>> {
        let permits = DeferredSemaphore::new(limits.most.max(1));
        let shared = Rc::new(Shared {
            database: Arc::new(database),
            limits,
            noisy: Cell::default(),
            place,
            permits: permits.expect("at least one was asked for"),
            idle: RefCell::default(),
            state: Cell::new(State::Open),
            under_way: Cell::new(0),
            closers: RefCell::default(),
            reaper: RefCell::default(),
            shutdown: RefCell::default(),
            reactor,
        });
        shared.watch_shutdown();
        shared
    }

    fn watch_shutdown(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        let shutdown = move || {
            if let Some(shared) = weak.upgrade() {
                shared.shut_down();
            }
        };
        // Not before: services that end in order may need the database for it.
        let (during, event) = (Phase::During, Event::Shutdown);
        let trigger = self.reactor.add_system_event_trigger(during, event, shutdown);
        self.shutdown.replace(Some(trigger));
    }

    /// 4. Does nothing before it is closed.
    pub(super) fn open_again(self: &Rc<Self>) {
        if self.state.get() == State::Closed {
            self.state.set(State::Open);
            self.watch_shutdown();
        }
    }

    pub(super) fn open(&self) -> usize {
        self.permits.limit() - self.permits.tokens() + self.idle.borrow().len()
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.permits.waiting()
    }

    /// Takes a call on, if calls are taken.
    pub(super) fn accept(self: &Rc<Self>, place: Place) -> Result<Accepted<D>> {
        if self.state.get() != State::Open {
            return Err(Failure::from(PoolClosed).arose_at(place));
        }
        Ok(Accepted::new(self))
    }

    fn tell(&self, level: Noisy, what: impl std::fmt::Display) {
        self.noisy.get().tell(level, self.place, what);
    }
}

impl<D: Database> Accepted<D> {
    /// Makes the call as soon as there is a connection.
    #[track_caller]
    pub(super) fn call<T: Send + 'static>(
        self,
        begins: bool,
        place: Place,
        work: impl FnOnce(&mut Transaction<'_, D>) -> Result<T> + Send + 'static,
    ) -> Deferred<T> {
        let shared = self.0.clone();
        if let Some(permit) = shared.permits.try_acquire() {
            return self.begin(permit, begins, place, work);
        }
        let (most_waiting, most) = (shared.limits.most_waiting, shared.permits.limit());
        if shared.waiting() >= most_waiting {
            return fail(Failure::from(PoolFull { most_waiting }).arose_at(place));
        }
        let waited = shared.limits.wait;
        let waiting = shared.permits.acquire().add_timeout(waited, &shared.reactor);
        waiting.add_callbacks(
            move |permit| self.begin(permit, begins, place, work),
            move |failure| {
                if failure.is::<TimedOut>() {
                    let late = Failure::from(PoolTimedOut { waited, most });
                    return Err(late.arose_at(place));
                }
                Err(failure)
            },
        )
    }

    /// Gives the call to a thread.
    #[track_caller]
    fn begin<T: Send + 'static>(
        self,
        permit: Permit,
        begins: bool,
        place: Place,
        work: impl FnOnce(&mut Transaction<'_, D>) -> Result<T> + Send + 'static,
    ) -> Deferred<T> {
        let shared = self.0.clone();
        if shared.state.get() == State::Closed {
            return fail(Failure::from(PoolClosed).arose_at(place));
        }
        let call = Arc::new(Call::new(shared.take_idle()));
        let held = Rc::new(Held { lease: Cell::new(Some((permit, self))), work: Cell::new(None) });
        let (cancelled, kept, pool) = (call.clone(), held.clone(), shared.clone());
        let (trigger, deferred) = Deferred::with_canceller(move |_| {
            if let Some(given) = cancelled.cancel() {
                pool.take_back_unused(given, &kept);
            }
        });
        let (database, running) = (shared.database.clone(), call.clone());
        let returned = shared.reactor.defer_to_thread(move || {
            let manner = Manner { database: &*database, begins, place };
            Ok(running.run(&manner, work))
        });
        let keeps = held.clone();
        held.work.set(Some(returned.add_both(move |result| {
            let lease = keeps.lease.take();
            let outcome = shared.take_back(result, &call);
            let Some((permit, accepted)) = lease else { return };
            drop(permit);
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.fire(outcome);
            drop(accepted);
        })));
        deferred
    }
}

impl<D: Database> Shared<D> {
    fn take_idle(&self) -> Given<D> {
        let Some(idle) = self.idle.borrow_mut().pop() else {
            return Given { pooled: None, is_stale: false };
        };
        let is_stale = self.reactor.now() - idle.since >= self.limits.idle;
        Given { pooled: Some(idle.pooled), is_stale }
    }

    /// What a thread gave back.
    fn take_back<T>(self: &Rc<Self>, result: Result<Returned<D, T>>, call: &Call<D>) -> Result<T> {
        let returned = match result {
            Ok(returned) => returned,
            Err(failure) => {
                // The reactor is gone, or code of the database's panicked. What goes on is interrupted.
                drop(call.cancel());
                return Err(failure);
            }
        };
        if let Some(failure) = &returned.replaced {
            self.tell(Noisy::Connections, format_args!("replaced an idle connection: {failure}"));
        }
        if returned.was_opened {
            self.tell(
                Noisy::Connections,
                format_args!("opened a connection to {}", self.database.name()),
            );
        }
        if let Some(failure) = &returned.lost {
            let level = if call.is_cancelled() { Noisy::Losses } else { Noisy::Connections };
            self.tell(level, format_args!("threw a connection away: {failure}"));
        }
        if let Err(failure) = &returned.outcome {
            self.tell(Noisy::Calls, format_args!("a call failed: {failure}"));
        }
        if let Some(pooled) = returned.pooled {
            self.put_back(pooled, self.reactor.now());
        }
        returned.outcome
    }

    /// A call was cancelled that no thread had taken.
    fn take_back_unused(self: &Rc<Self>, given: Given<D>, held: &Held<D>) {
        let (lease, work) = (held.lease.take(), held.work.take());
        if let Some(pooled) = given.pooled {
            let now = self.reactor.now();
            // It was not tried meanwhile.
            self.put_back(pooled, if given.is_stale { now - self.limits.idle } else { now });
        }
        // Drops what the call was given.
        if let Some(work) = work {
            work.cancel();
        }
        drop(lease);
    }

    fn put_back(self: &Rc<Self>, pooled: Pooled<D>, since: Instant) {
        if self.state.get() == State::Closed {
            return self.close_connections(vec![Idle { pooled, since }], "the pool is closed");
        }
        self.idle.borrow_mut().push(Idle { pooled, since });
        self.reap_later();
    }

    /// Looks again once the oldest idle connection beyond the fewest may have been idle for long enough.
    fn reap_later(self: &Rc<Self>) {
        if self.idle() <= self.limits.fewest || self.reaper.borrow().is_some() {
            return;
        }
        let weak = Rc::downgrade(self);
        let call = self.reactor.call_later(self.limits.idle, move || {
            if let Some(shared) = weak.upgrade() {
                shared.reap();
            }
        });
        self.reaper.replace(Some(call));
    }

    fn reap(self: &Rc<Self>) {
        self.reaper.take();
        let now = self.reactor.now();
        let mut idle = self.idle.take();
        let surplus = idle.len().saturating_sub(self.limits.fewest);
        let old = idle.iter().take(surplus).take_while(|it| now - it.since >= self.limits.idle);
        let old = old.count();
        let reaped = idle.drain(..old).collect::<Vec<_>>();
        self.idle.replace(idle);
        self.close_connections(reaped, "nobody needs it");
        self.reap_later();
    }

    /// In a thread.
    fn close_connections(&self, connections: Vec<Idle<D>>, why: &str) {
        self.tell_closed(connections.len(), why);
        if !connections.is_empty() {
            self.reactor.call_in_thread(move || drop(connections));
        }
    }

    fn tell_closed(&self, count: usize, why: &str) {
        for _ in 0..count {
            self.tell(Noisy::Connections, format_args!("closed a connection: {why}"));
        }
    }

    /// 1.
    pub(super) fn close(self: &Rc<Self>) -> Deferred<()> {
        if self.state.get() == State::Closed {
            return succeed(());
        }
        let (trigger, deferred) = Deferred::new();
        self.closers.borrow_mut().push(trigger);
        if self.state.replace(State::Closing) == State::Open && self.under_way.get() == 0 {
            self.close_idle();
        }
        deferred
    }

    /// 2, when nothing is under way.
    fn close_idle(self: &Rc<Self>) {
        let idle = self.idle.take();
        self.tell_closed(idle.len(), "the pool closes");
        let shared = self.clone();
        let closed = self.reactor.defer_to_thread(move || drop(idle));
        closed.add_both(move |_| shared.closed());
    }

    fn closed(&self) {
        self.state.set(State::Closed);
        self.forget_watches();
        for closer in self.closers.take() {
            // Cancelled meanwhile: nobody waits.
            let _ = closer.callback(());
        }
    }

    /// 3. Work in threads is done with, or was waited for long enough.
    fn shut_down(&self) {
        let idle = self.idle.take();
        self.tell_closed(idle.len(), "the reactor stops");
        drop(idle);
        self.closed();
    }

    fn forget_watches(&self) {
        let (reaper, shutdown) = (self.reaper.take(), self.shutdown.take());
        if let Some(reaper) = reaper {
            // Called already is as good.
            let _ = reaper.cancel();
        }
        if let Some(shutdown) = shutdown {
            shutdown.remove();
        }
    }
}

impl<D: Database> Drop for Shared<D> {
    fn drop(&mut self) {
        self.forget_watches();
        let idle = self.idle.take();
        self.tell_closed(idle.len(), "the pool was dropped");
    }
}
