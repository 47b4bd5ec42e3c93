//! The downstream end of a node: who gets its outcome, or the outcome itself while nobody asks.

use crate::deferred::{Cancelled, NeverFired};
use crate::failure::{Failure, Place, Result, report_made};
use std::cell::Cell;
use std::rc::Rc;
use std::task::Waker;

/// A link whose turn it is. [`drive`] turns the crank.
pub(super) trait Step {
    /// Does one link's work and names the next link, if that can go on at once.
    fn run(self: Rc<Self>) -> Option<Rc<dyn Step>>;
}

/// Runs steps until one has nobody to hand on to.
///
/// A loop, not a recursion: a chain of a million links needs no more stack than one of two.
pub(super) fn drive(mut next: Option<Rc<dyn Step>>) {
    while let Some(step) = next {
        next = step.run();
    }
}

/// A link that waits for a `T`.
pub(super) trait Sink<T> {
    /// Keeps the input; the caller runs the step that it gets back.
    fn accept(self: Rc<Self>, input: Result<T>) -> Rc<dyn Step>;
}

/// A link whose step returned a Deferred of `T`, which it now follows.
pub(super) trait Follower<T> {
    /// Keeps the outcome of the Deferred that it follows; the caller runs the step.
    fn land(self: Rc<Self>, outcome: Result<T>) -> Rc<dyn Step>;
    /// Follows another Deferred from now on.
    fn follow(&self, source: Rc<dyn Source<T>>);
}

/// Anything that a cancellation may walk up to.
pub(super) trait Cancel {
    /// Cancels here, or names the node further up that should be.
    fn cancel(self: Rc<Self>, place: Place) -> Option<Rc<dyn Cancel>>;
}

/// Walks up from `node` to what is being waited for, and cancels that. Iterative, as [`drive`] is.
pub(super) fn cancel(node: Rc<dyn Cancel>, place: Place) {
    let mut next = Some(node);
    while let Some(node) = next {
        next = node.cancel(place);
    }
}

/// Anything that will have a `T` or a failure.
pub(super) trait Source<T>: Cancel {
    /// Its downstream end.
    fn tail(&self) -> &Tail<T>;
}

/// The downstream end of a node.
///
/// ```text
///            1 add step, return from callback, poll, drop
///   Open ──────────────────────────────────────────────────▶ Sink, Follower, Waker, Detached, Abandoned
///    │ 2 the node has its outcome                                │ 3 the node has its outcome: handed over
///    ▼                                                           ▼   (a Waker is woken, and it is kept: 2)
///   Outcome ────────────────────────────────────────────────▶ Spent
///            4 the Deferred takes it
/// ```
pub(super) struct Tail<T>(Cell<End<T>>);

pub(super) enum End<T> {
    /// A Deferred is held by somebody, without a step.
    Open,
    /// The next link.
    Sink(Rc<dyn Sink<T>>),
    /// The link that returned this Deferred from its step.
    Follower(Rc<dyn Follower<T>>),
    /// A task polled the Deferred.
    Waker(Waker),
    /// The Deferred was dropped, the chain runs on. It was made there.
    Detached(Place),
    /// As `Detached`, but the Deferred was polled before: dropping it meant to cancel.
    Abandoned(Place),
    /// Waits for a Deferred that asks.
    Outcome(Result<T>),
    /// Nothing more will come.
    Spent,
}

impl<T> Tail<T> {
    pub(super) const fn new() -> Tail<T> {
        Tail(Cell::new(End::Open))
    }

    /// Takes the outcome, if it is there.
    pub(super) fn take(&self) -> Option<Result<T>> {
        match self.0.replace(End::Spent) {
            End::Outcome(outcome) => Some(outcome),
            other => {
                self.0.set(other);
                None
            }
        }
    }

    /// 1. Says who gets the outcome. Only for a tail without an outcome.
    pub(super) fn set(&self, end: End<T>) {
        let old = self.0.replace(end);
        // A waker's Drop is not our code: the tail is whole again before it runs.
        drop(old);
    }

    /// Whoever waits there, so that another node can take its place.
    pub(super) fn release(&self) -> End<T> {
        self.0.replace(End::Spent)
    }

    /// 1. Registers a task; false if it is known already.
    pub(super) fn wake_by(&self, waker: &Waker) {
        let old = self.0.replace(End::Spent);
        let known = matches!(&old, End::Waker(old) if old.will_wake(waker));
        if known {
            return self.0.set(old);
        }
        self.0.set(End::Waker(waker.clone()));
        drop(old);
    }

    /// 2, 3. The node has its outcome.
    pub(super) fn settle(&self, outcome: Result<T>) -> Option<Rc<dyn Step>> {
        match self.0.replace(End::Spent) {
            End::Sink(link) => return Some(link.accept(outcome)),
            End::Follower(link) => return Some(link.land(outcome)),
            End::Waker(waker) => {
                self.0.set(End::Outcome(outcome));
                waker.wake();
            }
            End::Detached(made) => unobserved(outcome, made, false),
            End::Abandoned(made) => unobserved(outcome, made, true),
            End::Open | End::Outcome(_) | End::Spent => self.0.set(End::Outcome(outcome)),
        }
        None
    }
}

/// Ends an outcome that nobody will ask for.
pub(super) fn unobserved<T>(outcome: Result<T>, made: Place, abandoned: bool) {
    if let Err(failure) = outcome {
        unhandled(&failure, made, abandoned);
    }
}

#[cold]
fn unhandled(failure: &Failure, made: Place, abandoned: bool) {
    // Both ends are gone, as at the end of a program: nothing happened that anybody could handle.
    // And whoever dropped a future knows that it was cancelled.
    if failure.is::<NeverFired>() || (abandoned && failure.is::<Cancelled>()) {
        return;
    }
    report_made("unhandled failure in Deferred", failure, made);
}
