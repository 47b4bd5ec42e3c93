//! Whom the result of a task is for: a Deferred, or a function.

// # Invariants
// * A result goes out once at most: what it goes to is taken first.
// * A `JoinNode` knows the slot of its task exactly until the result is out, or the task cancelled: slots
//   are reused, and it must not cancel another's task.

use super::run_reporting_panic;
use crate::deferred::{self, Cancelled, Downstream, in_place};
use crate::failure::{Failure, Place, Result};
use std::cell::Cell;
use std::rc::Rc;

/// What a task's result goes to. After the first call the others do nothing.
pub(super) trait Join<T> {
    /// The task is done, or panicked.
    fn finish(&mut self, outcome: Result<T>);

    /// The task was dropped before it was done.
    fn abandon(&mut self, why: Failure);
}

/// The first node of the chain of Deferreds that waits for a task.
pub(super) struct JoinNode<T> {
    tail: Downstream<T>,
    slot: Cell<Option<Rc<dyn Slot>>>,
}

/// Where the task is, as far as its `JoinNode` knows.
pub(super) trait Slot {
    /// Drops the task: at once, or when its poll in progress returns.
    fn cancel(self: Rc<Self>);
}

impl<T> JoinNode<T> {
    pub(super) fn new(slot: Rc<dyn Slot>) -> Rc<JoinNode<T>> {
        in_place(|| JoinNode { tail: Downstream::new(), slot: Cell::new(Some(slot)) })
    }
}

impl<T> Join<T> for Rc<JoinNode<T>> {
    #[inline]
    fn finish(&mut self, outcome: Result<T>) {
        // Cancelled during its last poll: it has failed, and nobody waits any more.
        if self.slot.take().is_some() {
            self.tail.fire(outcome);
        }
    }

    fn abandon(&mut self, why: Failure) {
        self.finish(Err(why));
    }
}

impl<T: 'static> deferred::Source<T> for JoinNode<T> {
    fn tail(&self) -> &Downstream<T> {
        &self.tail
    }

    fn forgo(self: Rc<Self>, made: Place, awaited: bool) {
        deferred::forgo(self, made, awaited);
    }
}

impl<T> deferred::Cancel for JoinNode<T> {
    /// Drops the future: at once, or when its poll in progress returns.
    fn cancel(
        self: Rc<Self>,
        place: Place,
        rest: &mut deferred::Rest,
    ) -> Option<Rc<dyn deferred::Cancel>> {
        if let Some(slot) = self.slot.take() {
            slot.cancel();
            self.tail.fire_next(Err(Failure::at(place, Cancelled)), rest);
        }
        None
    }
}

/// A function that gets the result of a task that nobody can cancel.
pub(super) struct Callback<D>(pub(super) Option<D>);

impl<T, D: FnOnce(Result<T>)> Join<T> for Callback<D> {
    fn finish(&mut self, outcome: Result<T>) {
        if let Some(deliver) = self.0.take() {
            deliver(outcome);
        }
    }

    fn abandon(&mut self, _: Failure) {
        // That a handler was dropped with its reactor or its owner is no failure of the handler.
        let deliver = self.0.take();
        run_reporting_panic("drop of a task", || drop(deliver));
    }
}
