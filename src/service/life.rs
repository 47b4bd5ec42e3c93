// The life of one service in its tree.
//
// ```text
//              1 start            2 ready                3 stop asked           4 drained or deadline
//   stopped ──────────► starting ─────────► ready ──────────────► draining ───────────────► stopping ──► stopped
//                           │ fails            │ ends by itself
//                           └─► stopped        └─► ended
// ```

use super::error::{Late, LateError, ServiceError};
use super::flag::Flag;
use super::limits::{Drain, READY_WITHIN};
use super::{Running, Service};
use crate::deferred::{DeferredLock, Trigger, fail, maybe_deferred};
use crate::reactor::{Left, Owner, Reactor};
use crate::{Deferred, Failure, Result};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Stopped,
    /// What needs privileges has begun.
    Privileged,
    Starting,
    Ready,
    Draining,
    Stopping,
    /// It ended by itself.
    Ended,
}

/// What all services of a tree share.
pub(super) struct Shared {
    pub(super) reactor: Reactor,
    /// Whose the work is that keeps the tree.
    keeper: Owner,
    drain: Cell<Drain>,
    /// Waits for nobody any more.
    pub(super) now: Rc<Flag>,
    late: RefCell<Vec<Late>>,
}

pub(super) struct Life {
    pub(super) shared: Rc<Shared>,
    pub(super) name: Rc<str>,
    pub(super) parent: Weak<Life>,
    /// Absent while it is called.
    service: Cell<Option<Box<dyn Service>>>,
    /// Of this start; replaced at the next.
    owner: RefCell<Owner>,
    start: Cell<u32>,
    state: Cell<State>,
    /// In the order of their start. Borrowed to look and to change.
    children: RefCell<Vec<Rc<Life>>>,
    /// Held while it is started or stopped.
    changing: DeferredLock,
    pub(super) stop_asked: Rc<Flag>,
    pub(super) stopping: Rc<Flag>,
    /// Told by the service itself.
    ready: Cell<Option<Trigger<()>>>,
    /// Who wants to know that it is over.
    over: RefCell<Vec<Trigger<()>>>,
}

impl Life {
    pub(super) fn root(reactor: &Reactor, name: &str, service: Box<dyn Service>) -> Rc<Life> {
        let shared = Rc::new(Shared {
            reactor: reactor.clone(),
            keeper: Owner::new(reactor, "services"),
            drain: Cell::default(),
            now: Rc::default(),
            late: RefCell::default(),
        });
        Life::new(shared, name.into(), Weak::new(), service)
    }

    fn new(
        shared: Rc<Shared>,
        name: Rc<str>,
        parent: Weak<Life>,
        service: Box<dyn Service>,
    ) -> Rc<Life> {
        Rc::new(Life {
            owner: RefCell::new(Owner::new(&shared.reactor, &*name)),
            shared,
            name,
            parent,
            service: Cell::new(Some(service)),
            start: Cell::new(0),
            state: Cell::new(State::Stopped),
            children: RefCell::default(),
            changing: DeferredLock::new(),
            stop_asked: Rc::default(),
            stopping: Rc::default(),
            ready: Cell::default(),
            over: RefCell::default(),
        })
    }

    pub(super) fn set_drain(&self, drain: Drain) {
        self.shared.drain.set(drain);
    }

    pub(super) fn state(&self) -> State {
        self.state.get()
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner.borrow().clone()
    }

    pub(super) fn start_number(&self) -> u32 {
        self.start.get()
    }

    pub(super) fn children(&self) -> Vec<Rc<Life>> {
        self.children.borrow().clone()
    }

    /// Whether it and all below it are ready.
    pub(super) fn is_ready(&self) -> bool {
        self.state.get() == State::Ready && self.children().iter().all(|child| child.is_ready())
    }

    /// Runs work of the tree's own, which no service's end ends.
    pub(super) fn keep<T: 'static>(
        &self,
        work: impl Future<Output = Result<T>> + 'static,
    ) -> Deferred<T> {
        self.shared.keeper.spawn(work)
    }

    /// Adds a child that is not started yet.
    pub(super) fn adopt(
        self: &Rc<Self>,
        called_after: String,
        service: Box<dyn Service>,
    ) -> Result<Rc<Life>> {
        let is_taken = |name: &str| self.children().iter().any(|child| &*child.name == name);
        let name = match service.name() {
            Some(name) if is_taken(name) => {
                return Err(ServiceError::NameTaken(name.to_owned()).into());
            }
            Some(name) => name.to_owned(),
            None => {
                let numbered = (2..).map(|n| format!("{called_after}-{n}"));
                let mut names = std::iter::once(called_after.clone()).chain(numbered);
                names.find(|name| !is_taken(name)).unwrap_or(called_after)
            }
        };
        let parent = Rc::downgrade(self);
        let child = Life::new(self.shared.clone(), name.into(), parent, service);
        self.children.borrow_mut().push(child.clone());
        Ok(child)
    }

    pub(super) fn remove(&self, child: &Rc<Life>) {
        let mut children = self.children.borrow_mut();
        let place = children.iter().position(|other| Rc::ptr_eq(other, child));
        let removed = place.map(|place| children.remove(place));
        drop(children);
        drop(removed);
    }

    // ---- starting ----

    pub(super) async fn privileged_start(self: &Rc<Self>) -> Result {
        let _changing = self.changing.acquire().await?;
        self.begin()?;
        let started = self.call(|service, up| service.privileged_start_service(up));
        self.settle(started, State::Privileged).await
    }

    /// 1. Fails with what the service fails with, and then leaves nothing behind.
    pub(super) async fn start(self: &Rc<Self>) -> Result {
        let _changing = self.changing.acquire().await?;
        match self.state.get() {
            State::Privileged => self.state.set(State::Starting),
            _ => self.begin()?,
        }
        let started = self.call(|service, up| service.start_service(up));
        self.settle(started, State::Ready).await
    }

    fn begin(self: &Rc<Self>) -> Result {
        if self.state.get() != State::Stopped {
            return Err(ServiceError::AlreadyStarted(self.name.to_string()).into());
        }
        let owner = Owner::new(&self.shared.reactor, &*self.name);
        let former = self.owner.replace(owner);
        drop(former);
        self.start.set(self.start.get() + 1);
        self.stop_asked.clear();
        self.stopping.clear();
        self.state.set(State::Starting);
        Ok(())
    }

    async fn settle(self: &Rc<Self>, started: Deferred<()>, then: State) -> Result {
        let outcome = self.in_time(started).await;
        drop(self.ready.take());
        match outcome {
            Ok(()) => {
                self.state.set(then);
                Ok(())
            }
            Err(failure) => {
                self.state.set(State::Stopping);
                self.stopping.set();
                self.stop_children().await;
                self.clear().await;
                self.state.set(State::Stopped);
                Err(failure)
            }
        }
    }

    async fn in_time(&self, started: Deferred<()>) -> Result {
        let late = self.shared.reactor.sleep(READY_WITHIN);
        let name = || self.name.to_string();
        match select(started, select(late, self.stop_asked.wait())).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((Either::Left(_), _)) => {
                Err(ServiceError::NotReady(name(), READY_WITHIN).into())
            }
            Either::Right((Either::Right(_), _)) => Err(ServiceError::Stopped(name()).into()),
        }
    }

    fn call(
        self: &Rc<Self>,
        call: impl FnOnce(&mut dyn Service, &Running) -> Deferred<()>,
    ) -> Deferred<()> {
        let Some(mut service) = self.service.take() else {
            return fail(Failure::msg(format!("{} is being called already", self.name)));
        };
        let (up, owner) = (Running::of(self), self.owner());
        let called = owner.enter(|| maybe_deferred(|| call(&mut *service, &up)));
        self.service.set(Some(service));
        called
    }

    /// Has the start's Deferred fired by the service itself, when it says that it is ready.
    pub(super) fn await_ready(&self, trigger: Trigger<()>) {
        drop(self.ready.replace(Some(trigger)));
    }

    pub(super) fn tell_ready(&self) {
        if let Some(trigger) = self.ready.take() {
            // It was stopped meanwhile.
            let _ = trigger.callback(());
        }
    }

    // ---- the end by itself ----

    pub(super) fn ended(self: &Rc<Self>, outcome: Result) {
        if self.state.get() != State::Ready {
            return;
        }
        self.state.set(State::Ended);
        self.tell_over(outcome);
    }

    fn tell_over(&self, outcome: Result) {
        for trigger in self.over.take() {
            // Whoever cancelled wants to know no more.
            let _ = trigger.fire(outcome.clone());
        }
    }

    pub(super) fn over(&self) -> Deferred<()> {
        let (trigger, deferred) = Deferred::new();
        self.over.borrow_mut().push(trigger);
        deferred
    }

    // ---- stopping ----

    /// 3 and 4, of this service and all below it. A second call while one is under way waits for nobody.
    pub(super) async fn stop(self: &Rc<Self>) -> Result {
        if self.stop_asked.is_set() && self.state.get() != State::Stopped {
            self.shared.now.set();
        }
        self.stop_asked.set();
        let drain = self.shared.drain.get();
        let until = self.shared.reactor.now() + drain.total;
        let running = self.each().into_iter().filter(|life| life.state.get() == State::Ready);
        let running: Vec<_> = running.collect();
        running.iter().for_each(|life| life.state.set(State::Draining));
        self.wait_for(std::future::pending(), drain.lame_duck.min(drain.total)).await;
        for life in &running {
            life.owner().drain();
        }
        self.await_served(&running, drain.connections, until).await;
        self.stop_tree(until).await;
        let late = self.shared.late.take();
        let outcome = if late.is_empty() { Ok(()) } else { Err(Failure::from(LateError(late))) };
        self.tell_over(outcome.clone());
        outcome
    }

    /// It and all below it, parents first.
    fn each(self: &Rc<Self>) -> Vec<Rc<Life>> {
        let below = self.children().into_iter().flat_map(|child| child.each());
        std::iter::once(self.clone()).chain(below).collect()
    }

    async fn await_served(&self, lives: &[Rc<Life>], limit: Duration, until: Instant) {
        let now = self.shared.reactor.now();
        let deadline = until.min(now + limit);
        for life in lives {
            let owner = life.owner();
            let left = deadline.saturating_duration_since(self.shared.reactor.now());
            if !self.wait_for(owner.served(), left).await {
                life.note_late(owner.left_serving(), limit);
                owner.abort_served();
            }
        }
    }

    /// Whether it came before the limit, and before somebody was impatient.
    async fn wait_for(&self, what: impl Future<Output = ()>, limit: Duration) -> bool {
        let what = std::pin::pin!(what);
        let late = select(self.shared.reactor.sleep(limit), self.shared.now.wait());
        matches!(select(what, late).await, Either::Left(_))
    }

    fn note_late(&self, left: Left, limit: Duration) {
        let late = Late { name: self.name.to_string(), limit, left };
        self.shared.late.borrow_mut().push(late);
    }

    /// The children in reverse, each awaited before the next, and then the service itself.
    fn stop_tree(self: &Rc<Self>, until: Instant) -> Pin<Box<dyn Future<Output = ()>>> {
        let life = self.clone();
        Box::pin(async move {
            life.stop_asked.set();
            // Whoever starts it has seen that by now, or will.
            let Ok(_changing) = life.changing.acquire().await else { return };
            for child in life.children().into_iter().rev() {
                child.stop_tree(until).await;
            }
            life.stop_itself(until).await;
        })
    }

    async fn stop_itself(self: &Rc<Self>, until: Instant) {
        if self.state.get() == State::Stopped {
            return;
        }
        if self.state.replace(State::Stopping) == State::Privileged {
            self.clear().await;
            return self.state.set(State::Stopped);
        }
        self.stopping.set();
        let limit = self.shared.drain.get().service;
        let deadline = until.min(self.shared.reactor.now() + limit);
        let stopped = self.call(|service, up| service.stop_service(up));
        let left = || deadline.saturating_duration_since(self.shared.reactor.now());
        let ended = async {
            // A failure to stop is reported as any that nobody handles.
            if let Err(failure) = stopped.await {
                drop(fail::<()>(failure));
            }
        };
        let owner = self.owner();
        if !(self.wait_for(ended, left()).await && self.wait_for(owner.emptied(), left()).await) {
            self.note_late(owner.left(), limit);
        }
        self.clear().await;
        self.state.set(State::Stopped);
    }

    async fn stop_children(self: &Rc<Self>) {
        let until = self.shared.reactor.now() + self.shared.drain.get().total;
        for child in self.children().into_iter().rev() {
            child.stop_tree(until).await;
        }
    }

    /// Leaves nothing behind.
    async fn clear(&self) {
        let owner = self.owner();
        owner.abort();
        // What cannot be ended is not waited for.
        let patience = self.shared.reactor.sleep(Duration::from_secs(1));
        select(owner.emptied(), patience).await;
    }
}
