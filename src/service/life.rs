// The life of one service in its tree.
//
// ```text
//                 1 start            2 ready                3 stop asked         4 drained, or late
//   stopped ────────────► starting ─────────► ready ─────────────────► draining ────────────────► stopping
//      ▲  ▲                   │ 5 failed        │ 6 ended by itself                                   │
//      │  └───────────────────┘                 ▼                                                     │
//      │                                      ended ── 7 its parent starts it again, after a wait     │
//      └──────────────────────────────────────────────────────────────────────────────────────────────┘
// ```
// What changes the state of a service holds its lock (`changing`) meanwhile, its parent's first. It is work
// of the tree's own (`keep`): no end of a service ends it. Stopping is in `stopping.rs`, what a parent does
// when one has ended in `tending.rs`.
//
// # Invariants
// * `service` is absent only while it is called.
// * Each start has an owner of its own and a number; what is said with an older one is not heard.
// * In `Stopped` the last owner has nothing left.

use super::contract::Service;
use super::error::ServiceError;
use super::flag::Flag;
use super::late::Stop;
use super::limits::Drain;
use super::restart::{Backoff, Restart, RestartType, Restarts};
use super::running::Running;
use crate::deferred::{DeferredLock, Trigger, fail, maybe_deferred};
use crate::reactor::Owner;
use crate::{Deferred, Failure, Reactor, Result};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Where a service stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceState {
    /// Not started, or stopped again.
    Stopped,
    /// What needs privileges has begun.
    Privileged,
    /// It was started, and has not said yet that it is ready.
    Starting,
    /// It does its work.
    Ready,
    /// It finishes what is under way.
    Draining,
    /// It ends.
    Stopping,
    /// It ended by itself, and may be started again after a wait.
    Ended,
}

/// What all services of a tree share.
pub(super) struct Shared {
    pub(super) reactor: Reactor,
    /// Whose the work is that keeps the tree.
    keeper: Owner,
    pub(super) drain: Cell<Drain>,
}

pub(super) struct Life {
    pub(super) shared: Rc<Shared>,
    pub(super) name: Rc<str>,
    pub(super) parent: Weak<Life>,
    restart_type: RestartType,
    ready_within: Duration,
    service: Cell<Option<Box<dyn Service>>>,
    /// Of this start. Borrowed to clone and to replace.
    owner: RefCell<Owner>,
    /// Which start this is.
    start: Cell<u32>,
    pub(super) state: Cell<ServiceState>,
    /// In the order of their start. Borrowed to look and to change.
    children: RefCell<Vec<Rc<Life>>>,
    pub(super) changing: DeferredLock,
    /// It shall stop: no start of it goes on.
    pub(super) stop_asked: Rc<Flag>,
    /// It is to do so now: for the service itself.
    pub(super) stopping: Rc<Flag>,
    /// Of a start that waits for the service to say that it is ready.
    ready: Cell<Option<Trigger<()>>>,
    /// How it ended while it was started.
    broken: Cell<Option<Result>>,
    is_broken: Rc<Flag>,
    /// Who wants to know that it is over. Borrowed to add one and to take all.
    over: RefCell<Vec<Trigger<()>>>,
    /// The stop that was asked for and is under way. Borrowed to look and to replace.
    pub(super) stop_under_way: RefCell<Option<Rc<Stop>>>,
    /// How it keeps its children. Borrowed to look and to replace.
    pub(super) restart: RefCell<Restart>,
    pub(super) restarts: RefCell<Restarts>,
    pub(super) backoff: Cell<Backoff>,
    /// How often it was started again.
    pub(super) again: Cell<u64>,
    /// The first of the children from which all are to be started again.
    pub(super) again_from: Cell<Option<Rc<Life>>>,
    pub(super) is_again_asked: Rc<Flag>,
    /// A task starts its children again.
    pub(super) is_again_under_way: Cell<bool>,
    /// It was stopped with one before it, and is to be started with that.
    pub(super) is_due_again: Cell<bool>,
    /// It ended, and stays so.
    pub(super) is_retired: Cell<bool>,
    /// In this start.
    pub(super) has_begun_privileged: Cell<bool>,
    /// It was taken from its parent.
    is_disowned: Cell<bool>,
}

/// Nobody can reach it any more: what it began goes too.
impl Drop for Life {
    fn drop(&mut self) {
        drop(self.owner.get_mut().abort());
    }
}

impl Life {
    pub(super) fn root(reactor: &Reactor, name: &str, service: Box<dyn Service>) -> Rc<Life> {
        let keeper = Owner::new(reactor, "services");
        let shared = Shared { reactor: reactor.clone(), keeper, drain: Cell::default() };
        Life::new(Rc::new(shared), name.into(), Weak::new(), service)
    }

    fn new(
        shared: Rc<Shared>,
        name: Rc<str>,
        parent: Weak<Life>,
        service: Box<dyn Service>,
    ) -> Rc<Life> {
        Rc::new(Life {
            owner: RefCell::new(Owner::new(&shared.reactor, &*name)),
            restart_type: service.restart_type(),
            ready_within: service.ready_within(),
            shared,
            name,
            parent,
            service: Cell::new(Some(service)),
            start: Cell::new(0),
            state: Cell::new(ServiceState::Stopped),
            children: RefCell::default(),
            changing: DeferredLock::new(),
            stop_asked: Rc::default(),
            stopping: Rc::default(),
            ready: Cell::default(),
            broken: Cell::default(),
            is_broken: Rc::default(),
            over: RefCell::default(),
            stop_under_way: RefCell::default(),
            restart: RefCell::default(),
            restarts: RefCell::default(),
            backoff: Cell::default(),
            again: Cell::new(0),
            again_from: Cell::default(),
            is_again_asked: Rc::default(),
            is_again_under_way: Cell::new(false),
            is_due_again: Cell::new(false),
            is_retired: Cell::new(false),
            has_begun_privileged: Cell::new(false),
            is_disowned: Cell::new(false),
        })
    }

    pub(super) fn state(&self) -> ServiceState {
        self.state.get()
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner.borrow().clone()
    }

    pub(super) fn start_number(&self) -> u32 {
        self.start.get()
    }

    pub(super) fn restart_type(&self) -> RestartType {
        self.restart_type
    }

    pub(super) fn now(&self) -> Instant {
        self.shared.reactor.now()
    }

    /// Whether it and all below it are ready; one that ended and stays so is not asked.
    pub(super) fn is_ready(&self) -> bool {
        self.state.get() == ServiceState::Ready
            && self.children().iter().all(|child| child.is_ready() || child.is_retired.get())
    }

    /// Runs work of the tree's own, to its end: who waits for it may cancel the waiting only.
    pub(super) fn keep<T: 'static>(
        &self,
        work: impl Future<Output = Result<T>> + 'static,
    ) -> Deferred<T> {
        let (trigger, deferred) = Deferred::new();
        let kept = self.shared.keeper.spawn(work).add_both(move |outcome| {
            // Whoever cancelled wants to know no more.
            let _ = trigger.fire(outcome);
            Ok(())
        });
        drop(kept);
        deferred
    }

    // ---- the tree ----

    pub(super) fn children(&self) -> Vec<Rc<Life>> {
        self.children.borrow().clone()
    }

    /// It and all below it, parents first.
    pub(super) fn each(self: &Rc<Self>) -> Vec<Rc<Life>> {
        let below = self.children().into_iter().flat_map(|child| child.each());
        std::iter::once(self.clone()).chain(below).collect()
    }

    /// Adds a child that is not started yet.
    pub(super) fn adopt(self: &Rc<Self>, service: Box<dyn Service>) -> Result<Rc<Life>> {
        let name = service.name().map(str::to_owned);
        let is_taken = |name: &str| self.children().iter().any(|child| &*child.name == name);
        let name = match name {
            Some(name) if is_taken(&name) => return Err(ServiceError::NameTaken(name).into()),
            Some(name) => name,
            None => {
                let kind = service.kind().to_owned();
                let numbered = (2..).map(|n| format!("{kind}-{n}"));
                let mut names = std::iter::once(kind.clone()).chain(numbered);
                names.find(|name| !is_taken(name)).unwrap_or_default()
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
        child.is_disowned.set(true);
        drop(removed);
    }

    // ---- starting ----

    pub(super) async fn privileged_start(self: &Rc<Self>) -> Result {
        let _changing = self.changing.acquire().await?;
        self.leave_nothing_if_ended().await;
        self.begin()?;
        self.has_begun_privileged.set(true);
        let started = self.call(|service, up| service.privileged_start_service(up));
        self.settle(started, ServiceState::Privileged).await
    }

    /// 1. Fails with what the service fails with, and then leaves nothing behind.
    pub(super) async fn start(self: &Rc<Self>) -> Result {
        let _changing = self.changing.acquire().await?;
        self.leave_nothing_if_ended().await;
        match self.state.get() {
            ServiceState::Privileged => self.state.set(ServiceState::Starting),
            _ => self.begin()?,
        }
        let started = self.call(|service, up| service.start_service(up));
        self.settle(started, ServiceState::Ready).await
    }

    fn begin(self: &Rc<Self>) -> Result {
        if !matches!(self.state.get(), ServiceState::Stopped | ServiceState::Ended) {
            return Err(ServiceError::AlreadyStarted(self.name.to_string()).into());
        }
        if self.is_disowned.get() {
            return Err(ServiceError::Gone(self.name.to_string()).into());
        }
        if self.parent.upgrade().is_some_and(|parent| parent.stop_asked.is_set()) {
            return Err(ServiceError::Stopped(self.name.to_string()).into());
        }
        let owner = Owner::new(&self.shared.reactor, &*self.name);
        let former = self.owner.replace(owner);
        drop(former);
        self.start.set(self.start.get() + 1);
        self.stop_asked.clear();
        self.stopping.clear();
        self.is_broken.clear();
        drop(self.broken.take());
        self.is_retired.set(false);
        self.has_begun_privileged.set(false);
        self.state.set(ServiceState::Starting);
        Ok(())
    }

    async fn settle(self: &Rc<Self>, started: Deferred<()>, then: ServiceState) -> Result {
        let outcome = self.in_time(started).await;
        drop(self.ready.take());
        match outcome {
            Ok(()) => {
                self.state.set(then); // 2
                let mut backoff = self.backoff.get();
                backoff.note_ready(self.now());
                self.backoff.set(backoff);
                if let Some(outcome) = self.broken.take() {
                    // Right after it had said that it was ready.
                    self.ended(outcome);
                }
            }
            Err(_) => {
                self.state.set(ServiceState::Stopping); // 5
                let is_asked = self.stop_asked.is_set();
                // Nothing below it is started any more.
                self.stop_asked.set();
                self.stopping.set();
                self.roll_back().await;
                if !is_asked {
                    self.stop_asked.clear();
                }
                self.state.set(ServiceState::Stopped);
            }
        }
        outcome
    }

    async fn in_time(&self, started: Deferred<()>) -> Result {
        let name = || self.name.to_string();
        let late = self.shared.reactor.sleep(self.ready_within);
        let cut_short = select(self.stop_asked.wait(), self.is_broken.wait());
        match select(started, select(late, cut_short)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((Either::Left(_), _)) => {
                Err(ServiceError::NotReady(name(), self.ready_within).into())
            }
            Either::Right((Either::Right(_), _)) => {
                let early = ServiceError::EndedEarly(name()).into();
                let stopped = || Err(ServiceError::Stopped(name()).into());
                self.broken.take().map_or_else(stopped, |how| Err(how.err().unwrap_or(early)))
            }
        }
    }

    pub(super) fn call(
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

    // ---- the end ----

    /// 6. The service, or its parent's way with it, has ended it.
    pub(super) fn ended(self: &Rc<Self>, outcome: Result) {
        match self.state.get() {
            ServiceState::Ready => {
                self.state.set(ServiceState::Ended);
                let (life, parent) = (self.clone(), self.parent.upgrade());
                // It cannot fail: what does is handled within.
                drop(self.keep(async move {
                    match parent {
                        Some(parent) => parent.tend(life, outcome).await,
                        None => life.end_tree(outcome).await,
                    }
                    Ok(())
                }));
            }
            ServiceState::Privileged | ServiceState::Starting => {
                self.broken.set(Some(outcome));
                self.is_broken.set();
            }
            _ => {
                if let Err(failure) = outcome {
                    failure.report("a service failed while it was stopped");
                }
            }
        }
    }

    /// It ended, and stays so.
    pub(super) fn retire(&self, outcome: Result) {
        self.is_retired.set(true);
        self.tell_over(outcome);
    }

    pub(super) fn tell_over(&self, outcome: Result) {
        let waiting = self.over.take();
        if let (true, Err(failure)) = (waiting.is_empty(), &outcome) {
            failure.report("a service failed");
        }
        for trigger in waiting {
            // Whoever cancelled wants to know no more.
            let _ = trigger.fire(outcome.clone());
        }
    }

    pub(super) fn when_over(&self) -> Deferred<()> {
        let (trigger, deferred) = Deferred::new();
        self.over.borrow_mut().push(trigger);
        deferred
    }
}
