//! What the handlers of one protocol wait for: events, one after the other, and at last the loss.
//!
//! # Theory
//! One future has the protocol and awaits a handler for each event. Between events it is pending, and
//! so it is while a handler is; the stage tells which.
//!
//! ```text
//!     1 event, a poll          3 the handler failed
//!   idle ────────► handling ──────────────────────► failed
//!    │ ▲───────────────┤                              │
//!    │   2 it is done  │ 4 the connection is lost     │ 4
//!    └─────────────────┴──────────► lost ◄────────────┘
//! ```
//!
//! # Invariants
//! * `next` and `later` are empty in failed and lost; `later` is empty in idle.
//! * `reason` is there in lost, unless nobody told it.

use super::handling::Holds;
use super::lent::Lent;
use crate::failure::{Failure, NO_PLACE, Result, catch_panic};
use crate::reactor::run_reporting_panic;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::thread;

/// What a handler is called for.
pub(crate) enum Event {
    Made,
    /// Those of a stream, of a line, of a string.
    Bytes(Lent),
    ReadClosed,
    WriteClosed,
    Descriptor(OwnedFd),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    /// An event was put, and the next poll handles it.
    Called,
    Handling,
    Failed,
    Lost,
}

pub(crate) struct Events<E> {
    next: Cell<Option<E>>,
    /// What came while one was handled. Borrowed for one push or pop.
    later: RefCell<VecDeque<E>>,
    stage: Cell<Stage>,
    /// The handler's, until somebody takes it.
    failure: Cell<Option<Failure>>,
    reason: Cell<Option<Failure>>,
    survivor: Cell<Option<Survivor>>,
}

impl<E> Events<E> {
    pub(super) fn new() -> Events<E> {
        Events {
            next: Cell::new(None),
            later: RefCell::default(),
            stage: Cell::new(Stage::Idle),
            failure: Cell::default(),
            reason: Cell::default(),
            survivor: Cell::default(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    #[inline(always)]
    pub(super) fn put(&self, event: E) {
        self.stage.set(Stage::Called);
        // Its handler took the one before: spares the drop of nothing.
        std::mem::forget(self.next.replace(Some(event)));
    }

    pub(super) fn put_later(&self, event: E) {
        self.later.borrow_mut().push_back(event);
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.later.borrow().len()
    }

    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// 4: the connection is lost, for a reason that the protocol is to be told, if any.
    pub(super) fn lose(&self, reason: Option<Failure>) {
        self.stage.set(Stage::Lost);
        self.reason.set(reason);
        drop((self.next.take(), self.later.take()));
    }

    /// 1: ready when there is an event to take; false once the connection is lost.
    #[inline(always)]
    fn poll_next(&self) -> Poll<bool> {
        match self.stage.get() {
            // It was put before this poll.
            Stage::Called => {
                self.stage.set(Stage::Handling);
                Poll::Ready(true)
            }
            Stage::Idle | Stage::Failed => Poll::Pending,
            Stage::Lost => Poll::Ready(false),
            Stage::Handling => self.poll_later(),
        }
    }

    /// 2: a handler is done: whatever came meanwhile is next.
    #[inline(always)]
    fn poll_later(&self) -> Poll<bool> {
        let later = self.later.borrow_mut().pop_front();
        if later.is_none() {
            self.stage.set(Stage::Idle);
            return Poll::Pending;
        }
        self.next.set(later);
        Poll::Ready(true)
    }

    /// The event that a handler is called for; its handler takes it, once.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<E> {
        self.next.take()
    }

    /// 3: the handler failed.
    fn fail(&self, failure: Failure) {
        if self.stage.get() != Stage::Lost {
            self.stage.set(Stage::Failed);
            drop((self.next.take(), self.later.take()));
        }
        drop(self.failure.replace(Some(failure)));
    }

    /// What a panic left of the driver: tells the protocol of its loss.
    pub(super) fn take_survivor(&self) -> Option<Survivor> {
        self.survivor.take()
    }
}

pub(super) type Survivor = Box<dyn FnOnce(&Failure)>;

/// The protocol; if a handler panics, it survives the driver, for it is still to be told.
struct Kept<P: 'static, E: 'static, L: FnOnce(&mut P, &Failure) + 'static> {
    protocol: Option<(P, L)>,
    events: Rc<Events<E>>,
}

impl<P, E, L: FnOnce(&mut P, &Failure)> Drop for Kept<P, E, L> {
    fn drop(&mut self) {
        let Some((mut protocol, lose)) = self.protocol.take() else { return };
        if !thread::panicking() {
            return;
        }
        if self.events.stage.get() != Stage::Lost {
            self.events.stage.set(Stage::Failed);
        }
        let survivor = Box::new(move |reason: &Failure| lose(&mut protocol, reason));
        drop(self.events.survivor.replace(Some(survivor)));
    }
}

/// Has every event handled, one after the other, and at last tells the protocol of the loss.
pub(super) async fn drive<P: 'static, T: Holds, E: 'static, L>(
    protocol: P,
    transport: T,
    events: Rc<Events<E>>,
    handle: impl AsyncFn(&mut P, &T, &Events<E>) -> Result,
    lose: L,
) where
    L: FnOnce(&mut P, &Failure) + 'static,
{
    let mut kept = Kept { protocol: Some((protocol, lose)), events: events.clone() };
    while poll_fn(|_| events.poll_next()).await {
        let Some((protocol, _)) = &mut kept.protocol else { return };
        // Here, not in a function of its own: to move a handler is 40 instructions.
        let mut handler = pin!(handle(protocol, &transport, &events));
        let outcome = poll_fn(|context| match events.stage.get() {
            Stage::Lost => Poll::Ready(None),
            _ => handler.as_mut().poll(context).map(Some),
        });
        match outcome.await {
            Some(Ok(())) => {}
            Some(Err(failure)) => {
                if let Some(failure) = transport.take_failure(failure) {
                    events.fail(failure);
                }
            }
            None => break,
        }
    }
    let (Some((mut protocol, lose)), Some(reason)) = (kept.protocol.take(), events.reason.take())
    else {
        return;
    };
    if let Err(panic) = catch_panic(NO_PLACE, || lose(&mut protocol, &reason)) {
        drop(events.failure.replace(Some(panic)));
    }
    run_reporting_panic("panic in the drop of a protocol", || drop(protocol));
}
