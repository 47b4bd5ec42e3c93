//! Whoever polls the handlers of one protocol: the callback that brings an event, and a task while a
//! handler waits.
//!
//! # Theory
//! An event is handled in its callback as far as that goes without waiting: most handlers are done
//! then, and neither a task nor a waker is needed. One that waits is polled again by a task, with the
//! task's waker, until nothing is left to handle; meanwhile the transport reads nothing.
//!
//! # Invariants
//! * The driver is out for one poll; no borrow is alive meanwhile. A handler may do what it likes: what
//!   comes back to it waits in the events.
//! * Reading is held exactly while a handler waits, or the peer takes too little.

use super::events::{Driven, Queue, Stage, Survivor};
use super::spare::Spare;
use crate::failure::{Failure, NO_PLACE, Report, Result, catch_panic, report, tell};
use crate::reactor::Reactor;
use crate::transport::Transport;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What handlers ask of their transport while one of them waits.
pub(crate) trait Holds: Clone + 'static {
    fn hold(&self);
    fn release(&self);
    /// A handler failed; given back if that ends it.
    fn take_failure(&self, failure: Failure) -> Option<Failure>;
    /// It ends by the failure of a handler that waited.
    fn fail(&self, failure: Failure);
    /// The protocol panicked when it was told of the end.
    fn tell_last_panic(&self, failure: &Failure);
    fn reactor(&self) -> Reactor;
}

impl Holds for Transport {
    fn hold(&self) {
        self.hold_reading();
    }

    fn release(&self) {
        self.release_reading();
    }

    fn take_failure(&self, failure: Failure) -> Option<Failure> {
        Some(failure)
    }

    fn fail(&self, failure: Failure) {
        Transport::fail(self, "unhandled failure in a handler", failure);
    }

    fn tell_last_panic(&self, failure: &Failure) {
        let (peer, host) = (self.peer(), self.host());
        tell(&Report::new("panic in connection_lost", failure, None).of(&peer, Some(&host)));
    }

    fn reactor(&self) -> Reactor {
        Transport::reactor(self)
    }
}

pub(crate) struct Handling<T, E> {
    pub(super) transport: T,
    pub(super) queue: Queue<E>,
    pub(super) spare: Rc<Spare>,
    /// Absent while it is polled, and once it is over. It has this in it, until it is dropped.
    driver: Cell<Option<Driver>>,
    /// The protocol, once its driver is gone, until it is told of its loss.
    survivor: Cell<Option<Survivor>>,
    /// Why the connection was lost, until the protocol is told.
    reason: Cell<Option<Failure>>,
    /// Of the task that polls a handler that waits.
    waker: Cell<Option<Waker>>,
    has_task: Cell<bool>,
    /// The peer takes less than is written.
    is_full: Cell<bool>,
}

type Driver = Pin<Box<dyn Future<Output = Infallible>>>;

/// How far a poll came.
enum Progress {
    Done,
    Waits,
    Failed(Failure),
}

impl<T: Holds, E: 'static> Handling<T, E> {
    pub(super) fn new<P: 'static, F: Future<Output = Infallible> + 'static>(
        protocol: P,
        transport: &T,
        tell_lost: fn(&mut P, &Failure),
        drive: impl FnOnce(Driven<P, T, E>) -> F,
    ) -> Rc<Handling<T, E>> {
        let handling = Rc::new(Handling {
            transport: transport.clone(),
            queue: Queue::new(),
            spare: transport.reactor().local(),
            driver: Cell::default(),
            survivor: Cell::default(),
            reason: Cell::default(),
            waker: Cell::default(),
            has_task: Cell::new(false),
            is_full: Cell::new(false),
        });
        let driver = drive(Driven::new(protocol, tell_lost, handling.clone()));
        handling.driver.set(Some(Box::pin(driver)));
        handling
    }

    /// Has the event handled, now or after those that are; a failure that is known by now is returned.
    // Five instructions an echo by async callbacks.
    #[inline(always)]
    pub(super) fn handle(self: &Rc<Self>, event: E, data: &[u8]) -> Result {
        if self.queue.stage() != Stage::Idle {
            return self.handle_later(event, data);
        }
        self.queue.put(event, self.spare.copy(data));
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Progress::Done => Ok(()),
            Progress::Failed(failure) => Err(failure),
            Progress::Waits => {
                self.wait();
                Ok(())
            }
        }
    }

    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    fn handle_later(self: &Rc<Self>, event: E, data: &[u8]) -> Result {
        if matches!(self.queue.stage(), Stage::Handling | Stage::Behind) {
            self.queue.put_later(event, data.to_vec());
            self.wait();
        }
        Ok(())
    }

    /// How many events wait for the handler that is awaited.
    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    #[inline]
    fn poll(&self, context: &mut Context<'_>) -> Progress {
        let Some(mut driver) = self.driver.take() else { return Progress::Done };
        let Poll::Pending = driver.as_mut().poll(context);
        let stage = self.queue.stage();
        if stage == Stage::Lost {
            // The end was told meanwhile.
            self.end(Some(driver));
            return Progress::Done;
        }
        // Absent while it is polled: spares the drop of nothing.
        std::mem::forget(self.driver.replace(Some(driver)));
        match stage {
            Stage::Idle | Stage::Lost => Progress::Done,
            Stage::Handling | Stage::Behind => Progress::Waits,
            Stage::Failed => self.queue.take_failure().map_or(Progress::Done, Progress::Failed),
        }
    }

    /// A handler waits: nothing is read, and a task goes on with it.
    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    fn wait(self: &Rc<Self>) {
        self.transport.hold();
        if self.has_task.replace(true) {
            return;
        }
        let handling = self.clone();
        let waiting = async move {
            let failed = poll_fn(|context| handling.poll_in_task(context)).await;
            handling.has_task.set(false);
            match failed {
                Some(failure) => handling.transport.fail(failure),
                None if handling.is_full.get() => {}
                None => handling.transport.release(),
            }
        };
        drop(self.transport.reactor().spawn(waiting));
    }

    fn poll_in_task(&self, context: &mut Context<'_>) -> Poll<Option<Failure>> {
        match catch_panic(NO_PLACE, || self.poll(context)).unwrap_or_else(Progress::Failed) {
            Progress::Done => Poll::Ready(None),
            Progress::Failed(failure) => Poll::Ready(Some(failure)),
            Progress::Waits => {
                drop(self.waker.replace(Some(context.waker().clone())));
                Poll::Pending
            }
        }
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.set(is_full);
        if is_full {
            self.transport.hold();
        } else if !self.has_task.get() {
            self.transport.release();
        }
    }

    /// The connection is lost: the handler that waits is dropped, and the protocol is told.
    pub(super) fn lose(&self, reason: Failure) {
        self.reason.set(Some(reason));
        self.abandon();
    }

    /// As `lose`, but nobody says that it is lost: the handler and the protocol are dropped.
    pub(super) fn abandon(&self) {
        self.queue.lose();
        self.end(self.driver.take());
        // The task sees that it is over.
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    /// Drops the handler where it waits; what survives is told. Nothing, while a handler is polled: that
    /// poll will do it.
    fn end(&self, driver: Option<Driver>) {
        if let Err(panic) = catch_panic(NO_PLACE, || drop(driver)) {
            report("panic in the drop of a handler", &panic);
        }
        let Some(survivor) = self.survivor.take() else { return };
        if let Err(panic) = survivor(self.reason.take().as_ref()) {
            self.transport.tell_last_panic(&panic);
        }
    }

    /// The driver is dropped, after its handler, by a panic of that or at the end.
    pub(super) fn survive(&self, survivor: Survivor) {
        self.queue.fail(None);
        self.survivor.set(Some(survivor));
    }
}
