//! Whose connections, tasks and timers are whose, so that they can be asked to end together.

// Whose is what, and how that is known: `owners.rs`.

use super::owners::{Owned, OwnerId};
use super::{Loop, Reactor, Source};
use crate::deferred::{Deferred, IntoDeferred};
use crate::driver::Key;
use crate::failure::{Failure, Place};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Whose a part of what a reactor does is: the connections, ports, tasks and timers that begin inside of
/// it, and those that begin inside of these.
///
/// A [`Service`](crate::service::Service) has one. An owner can be asked to drain, to say what it still has,
/// and to let go of all.
///
/// What serves a connection that was accepted, its tasks included, is told apart from what the owner has for
/// itself: a drain asks and waits for the former only.
///
/// ```
/// use ropewalk::Reactor;
/// use ropewalk::reactor::Owner;
/// use std::future::pending;
///
/// let reactor = Reactor::new()?;
/// let owner = Owner::new(&reactor, "cache");
/// drop(owner.spawn(async {
///     ropewalk::spawn(pending::<ropewalk::Result>()); // of the same owner
///     pending::<ropewalk::Result>().await
/// }));
/// let asked = owner.clone();
/// reactor.run_until(async move {
///     ropewalk::yield_now().await;
///     assert_eq!(asked.left().tasks(), 2);
///     asked.abort().await?;
///     Ok(assert!(asked.left().is_empty()))
/// })?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
pub struct Owner {
    inner: Rc<Loop>,
    owned: Rc<Owned>,
}

/// So often what is left is ended, though what ends begins something again.
const ROUNDS: usize = 16;

impl Owner {
    /// An owner of nothing yet.
    pub fn new(reactor: &Reactor, name: impl Into<String>) -> Owner {
        let inner = reactor.inner().clone();
        let owned = Owned::new(&inner.owners, name.into());
        Owner { inner, owned }
    }

    /// Whose what runs right now is.
    pub fn current() -> Option<Owner> {
        let inner = Reactor::current()?.inner().clone();
        let owned = inner.owners.get(inner.tasks.current_owner())?;
        Some(Owner { inner, owned })
    }

    /// What it was called.
    pub fn name(&self) -> &str {
        &self.owned.name
    }

    /// Calls `call` as a part of this owner: what begins there is its own.
    ///
    /// Inside the callback or handler of a connection that it accepted, it is that connection's.
    pub fn enter<R>(&self, call: impl FnOnce() -> R) -> R {
        let current = self.inner.tasks.current_owner();
        let same = current.own() == self.owned.id;
        self.inner.owners.enter(if same { current } else { self.owned.id }, call)
    }

    /// [`Reactor::spawn`] as a part of this owner.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Deferred<<F::Output as IntoDeferred>::Output>
    where
        F: Future + 'static,
        F::Output: IntoDeferred + 'static,
    {
        // No closure: the place is the caller's.
        let former = self.inner.owners.entered.get();
        let current = self.inner.tasks.current_owner();
        let same = current.own() == self.owned.id;
        self.inner.owners.entered.set(Some(if same { current } else { self.owned.id }));
        let deferred = self.inner.spawn(future);
        self.inner.owners.entered.set(former);
        deferred
    }

    /// Closes its ports, and has the connections that it accepted finish what is under way
    /// ([`Protocol::drain`](crate::Protocol::drain), [`Stream::draining`](crate::Stream::draining)).
    ///
    /// Done in the next turn, never from inside this method; once.
    pub fn drain(&self) {
        if self.owned.is_draining.replace(true) {
            return;
        }
        let owner = self.clone();
        self.later(move || owner.drain_now());
    }

    /// Whether it was asked to drain.
    pub fn is_draining(&self) -> bool {
        self.owned.is_draining.get()
    }

    /// Completes when it is asked to drain.
    pub fn draining(&self) -> Draining {
        Draining::of(Some(self.owned.clone()), Until::Draining)
    }

    /// Completes when no connection is left that it accepted, and no task that began for one.
    pub fn served(&self) -> Draining {
        Draining::of(Some(self.owned.clone()), Until::Served)
    }

    /// Completes when it has no connection, port, descriptor or task any more.
    pub fn emptied(&self) -> Draining {
        Draining::of(Some(self.owned.clone()), Until::Empty)
    }

    /// Cuts off the connections that it accepted, and drops the tasks that began for them.
    ///
    /// Done in the next turn, never from inside this method.
    pub fn abort_served(&self) {
        let owner = self.clone();
        self.later(move || owner.end(OwnerId::is_serving));
    }

    /// Lets go of all: closes ports, cuts off connections, drops tasks, cancels timers.
    ///
    /// Done in the next turn, never from inside this method; fires when it is.
    pub fn abort(&self) -> Deferred<()> {
        let (owner, (trigger, deferred)) = (self.clone(), Deferred::new());
        self.later(move || {
            owner.end(|_| true);
            owner.cancel_timers();
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.callback(());
        });
        deferred
    }

    /// What it has at this moment.
    pub fn left(&self) -> Left {
        self.look(|_| true)
    }

    /// What it has at this moment for connections that it accepted.
    pub fn left_serving(&self) -> Left {
        self.look(OwnerId::is_serving)
    }

    fn later(&self, call: impl FnOnce() + 'static) {
        self.inner.timers.call_later(Duration::ZERO, Box::new(call));
    }

    fn is_own(&self, id: OwnerId) -> bool {
        id.own() == self.owned.id
    }

    fn drain_now(&self) {
        // It is a timer's turn, and that may be another owner's: what is accepted now is this one's.
        let accepted = self.owned.id.serving();
        self.inner.owners.enter(accepted, || self.drain_sources());
        self.owned.is_drained.set(true);
        self.owned.wake();
    }

    fn drain_sources(&self) {
        let sources = &self.inner.sources;
        let ports = sources.owned(|id| self.is_own(id) && !id.is_serving());
        sources.each_of(&ports, |source| {
            if !source.is_connection() {
                source.drain();
            }
        });
        let accepted = sources.owned(|id| self.is_own(id) && id.is_serving());
        sources.each_of(&accepted, |source| source.drain());
    }

    fn end(&self, which: impl Fn(OwnerId) -> bool) {
        let whose = |id: OwnerId| self.is_own(id) && which(id);
        let why = format!("{} was stopped", self.owned.name);
        let reason = Failure::in_loop_msg(why).of_an_end();
        for _ in 0..ROUNDS {
            let sources = self.inner.sources.owned(whose);
            let tasks = self.inner.tasks.owned(whose);
            if sources.is_empty() && tasks.is_empty() {
                break;
            }
            self.inner.sources.each_of(&sources, |source| source.disown(&reason));
            tasks.into_iter().for_each(|key| self.inner.tasks.cancel_owned(key));
        }
        self.owned.wake();
    }

    fn cancel_timers(&self) {
        for call in self.inner.timers.pending() {
            if self.is_own(OwnerId::of_mark(call.mark())) {
                // Pending, or made meanwhile.
                super::run_reporting_panic("drop of a delayed call", || {
                    let _ = call.cancel();
                });
            }
        }
    }

    fn look(&self, which: impl Fn(OwnerId) -> bool) -> Left {
        let whose = |id: OwnerId| self.is_own(id) && which(id);
        let mut left = Left::default();
        for key in self.inner.sources.owned(whose) {
            match self.inner.sources.look(key) {
                Some(source) if source.is_connection() => left.connections += 1,
                Some(_) => left.others += 1,
                None => {}
            }
        }
        let tasks = self.inner.tasks.owned(whose);
        left.places = tasks.into_iter().map(|key| self.inner.tasks.place(key)).collect();
        let timers = self.inner.timers.pending().into_iter();
        left.timers = timers.filter(|call| whose(OwnerId::of_mark(call.mark()))).count();
        left
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("name", &self.owned.name).finish_non_exhaustive()
    }
}

/// What an owner has still; shown as `3 connections, 1 task spawned at src/a.rs:9`.
#[derive(Clone, Debug, Default)]
pub struct Left {
    connections: usize,
    others: usize,
    timers: usize,
    /// Of tasks; none of one that is being polled.
    places: Vec<Option<Place>>,
}

impl Left {
    /// How many connections.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// How many tasks.
    pub fn tasks(&self) -> usize {
        self.places.len()
    }

    /// How many ports, sockets for datagrams and watched descriptors.
    pub fn others(&self) -> usize {
        self.others
    }

    /// How many delayed calls.
    pub fn timers(&self) -> usize {
        self.timers
    }

    /// Whether it is nothing, but perhaps delayed calls.
    pub fn is_empty(&self) -> bool {
        self.connections + self.others + self.places.len() == 0
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let counted = |count: usize, one: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {one}s"),
        };
        if self.connections > 0 {
            parts.push(counted(self.connections, "connection"));
        }
        let mut places = BTreeMap::<_, usize>::new();
        for place in &self.places {
            let place = place.map(|place| format!(" spawned at {}:{}", place.file(), place.line()));
            *places.entry(place.unwrap_or_default()).or_default() += 1;
        }
        parts.extend(places.into_iter().map(|(place, count)| counted(count, "task") + &place));
        if self.others > 0 {
            parts.push(counted(self.others, "port or descriptor"));
        }
        f.write_str(&if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") })
    }
}

#[derive(Clone, Copy, Debug)]
enum Until {
    Draining,
    Served,
    Empty,
}

/// Completes when an owner drains, or has nothing left; see [`Owner::draining`] and
/// [`Stream::draining`](crate::Stream::draining). Dropping it is all that there is to cancel.
#[must_use = "nobody waits unless it is awaited"]
pub struct Draining {
    owned: Option<Rc<Owned>>,
    until: Until,
    /// Where the waker is.
    key: Option<Key>,
}

impl Draining {
    fn of(owned: Option<Rc<Owned>>, until: Until) -> Draining {
        Draining { owned, until, key: None }
    }

    /// What a future gives, or `None` if this comes first; this is looked at first, so that a peer who goes on
    /// and on is told as well. The future is dropped then.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    ///
    /// async fn one_line(mut stream: Stream) -> Result {
    ///     let mut line = String::new();
    ///     let Some(read) = stream.draining().or(stream.read_line(&mut line)).await else {
    ///         return Ok(stream.write_all(b"421 closing\r\n").await?);
    ///     };
    ///     println!("{} bytes", read?);
    ///     Ok(())
    /// }
    /// # let reactor = Reactor::new()?;
    /// # reactor.serve("127.0.0.1:0", one_line)?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub async fn or<F: Future>(mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if Pin::new(&mut self).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(context).map(Some)
        })
        .await
    }
}

impl Future for Draining {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(owned) = &this.owned else { return Poll::Pending };
        let is_done = match this.until {
            Until::Draining => owned.is_draining.get(),
            Until::Served if owned.is_draining.get() != owned.is_drained.get() => false,
            Until::Served => owned.served.get() == 0,
            Until::Empty => owned.served.get() + owned.own.get() == 0,
        };
        if is_done {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        let former = {
            let mut wakers = owned.wakers.borrow_mut();
            match this.key.and_then(|key| wakers.get_mut(key)) {
                Some(place) => Some(std::mem::replace(place, waker)),
                None => {
                    this.key = Some(wakers.insert_with(|_| waker));
                    None
                }
            }
        };
        drop(former);
        Poll::Pending
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        if let (Some(owned), Some(key)) = (&self.owned, self.key) {
            let removed = owned.wakers.borrow_mut().remove(key);
            drop(removed);
        }
    }
}

impl fmt::Debug for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draining").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Loop {
    /// Enters a source that is no connection, as whoever's turn it is.
    pub(crate) fn insert_source<S: Source + 'static>(
        &self,
        make: impl FnOnce(Key) -> Rc<S>,
    ) -> Rc<S> {
        let owner = self.owner_of_new().own();
        self.sources.insert_for(owner, make)
    }

    /// Enters a connection, as whoever's turn it is.
    pub(crate) fn insert_connection<S: Source + 'static>(
        &self,
        make: impl FnOnce(Key) -> Rc<S>,
    ) -> Rc<S> {
        self.sources.insert_for(self.owner_of_new(), make)
    }

    /// Has the timers note whose each call is.
    pub(super) fn mark_timers(self: &Rc<Self>) {
        let inner = Rc::downgrade(self);
        let current = move || inner.upgrade().map_or(OwnerId::NOBODY, |it| it.owner_of_new());
        self.timers.set_marker(move || current().to_mark());
    }

    fn owner_of_new(&self) -> OwnerId {
        match self.owners.are_there() {
            true => self.tasks.current_owner(),
            false => OwnerId::NOBODY,
        }
    }

    /// What begins now begins for connections that are accepted.
    pub(crate) fn serve_accepted(&self) {
        self.owners.serve(self.owners.served().serving());
    }

    /// Whether that source is a connection that was accepted, and its owner drains.
    pub(crate) fn is_draining(&self, key: Key) -> bool {
        self.owners.are_there()
            && self.owner_that_accepted(key).is_some_and(|owned| owned.is_draining.get())
    }

    pub(crate) fn draining(&self, key: Key) -> Draining {
        Draining::of(self.owner_that_accepted(key), Until::Draining)
    }

    fn owner_that_accepted(&self, key: Key) -> Option<Rc<Owned>> {
        let id = self.sources.owner_of(key);
        if id.is_serving() { self.owners.get(id) } else { None }
    }
}
