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

use super::events::{Events, Stage, drive};
use super::lent::{Lent, Spare};
use crate::failure::{Failure, NO_PLACE, Report, Result, catch_panic, report, tell};
use crate::reactor::Reactor;
use crate::transport::Transport;
use std::cell::Cell;
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
    transport: T,
    events: Rc<Events<E>>,
    spare: Rc<Spare>,
    /// Absent while it is polled, and once it is over.
    driver: Cell<Option<Driver>>,
    /// Of the task that polls a handler that waits.
    waker: Cell<Option<Waker>>,
    has_task: Cell<bool>,
    /// The peer takes less than is written.
    is_full: Cell<bool>,
}

type Driver = Pin<Box<dyn Future<Output = ()>>>;

/// How far a poll came.
enum Progress {
    Done,
    Waits,
    Failed(Failure),
}

impl<T: Holds, E: 'static> Handling<T, E> {
    pub(crate) fn new<P: 'static>(
        protocol: P,
        transport: &T,
        handle: impl AsyncFn(&mut P, &T, &Events<E>) -> Result + 'static,
        lose: impl FnOnce(&mut P, &Failure) + 'static,
    ) -> Rc<Handling<T, E>> {
        let events = Rc::new(Events::new());
        let driver = drive(protocol, transport.clone(), events.clone(), handle, lose);
        Rc::new(Handling {
            transport: transport.clone(),
            events,
            spare: transport.reactor().local(),
            driver: Cell::new(Some(Box::pin(driver))),
            waker: Cell::default(),
            has_task: Cell::new(false),
            is_full: Cell::new(false),
        })
    }

    /// Has the event handled, now or after those that are; a failure that is known by now is returned.
    #[inline]
    pub(super) fn handle(self: &Rc<Self>, event: E) -> Result {
        match self.events.stage() {
            Stage::Idle => self.events.put(event),
            Stage::Called | Stage::Handling => {
                self.events.put_later(event);
                self.wait();
                return Ok(());
            }
            Stage::Failed | Stage::Lost => return Ok(()),
        }
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Progress::Done => Ok(()),
            Progress::Failed(failure) => Err(failure),
            Progress::Waits => {
                self.wait();
                Ok(())
            }
        }
    }

    #[inline]
    pub(super) fn lend(&self, data: &[u8]) -> Lent {
        Lent::new(&self.spare, data)
    }

    /// How many events wait for the handler that is awaited.
    pub(super) fn waiting(&self) -> usize {
        self.events.waiting()
    }

    #[inline(always)]
    fn poll(&self, context: &mut Context<'_>) -> Progress {
        let Some(mut driver) = self.driver.take() else { return Progress::Done };
        // Again, if the end was told meanwhile.
        while driver.as_mut().poll(context).is_pending() {
            if self.events.stage() != Stage::Lost {
                // Absent while it is polled: spares the drop of nothing.
                std::mem::forget(self.driver.replace(Some(driver)));
                break;
            }
        }
        match self.events.stage() {
            Stage::Idle => Progress::Done,
            Stage::Called | Stage::Handling => Progress::Waits,
            Stage::Failed | Stage::Lost => {
                self.events.take_failure().map_or(Progress::Done, Progress::Failed)
            }
        }
    }

    /// A handler waits: nothing is read, and a task goes on with it.
    #[cold]
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
        self.events.lose(Some(reason.clone()));
        let polled = catch_panic(NO_PLACE, || self.poll(&mut Context::from_waker(Waker::noop())));
        let told = match polled {
            Ok(Progress::Failed(panic)) => Err(panic),
            Ok(_) => Ok(()),
            Err(panic) => {
                report("panic in the drop of a handler", &panic);
                Ok(())
            }
        };
        let survivor = self.events.take_survivor();
        let told = told.and_then(|()| {
            catch_panic(NO_PLACE, || survivor.into_iter().for_each(|tell| tell(&reason)))
        });
        if let Err(panic) = told {
            self.transport.tell_last_panic(&panic);
        }
        self.wake();
    }

    /// Nobody will say that it is lost: the handler and the protocol are dropped.
    pub(super) fn abandon(&self) {
        if self.events.stage() != Stage::Lost {
            self.events.lose(None);
        }
        drop(self.driver.take());
        self.wake();
    }

    /// The task sees that it is over.
    fn wake(&self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}
