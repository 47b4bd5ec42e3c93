//! Waiting for many Deferreds at once: who has come, who is to be cancelled.
//!
//! What it means that one of them came is for a [`Verdict`] to say; `list` and `race` have theirs.

mod list;
mod race;

pub use list::{DeferredList, FirstError, OneOrAll, gather_results};
pub use race::{FailureGroup, race};

use crate::deferred::tail::{Cancel, cancel};
use crate::deferred::{Cancelled, Deferred, Trigger};
use crate::failure::{Failure, Place, Result};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Hears of the outcomes one by one, and decides.
pub(super) trait Verdict<T> {
    /// What is decided.
    type Output: 'static;

    /// Keeps the outcome, or decides; not called again after that. Calls nobody.
    fn hear(&mut self, index: usize, outcome: Result<T>) -> Option<Result<Self::Output>>;

    /// Decides when there is nobody to wait for.
    fn of_nobody(&mut self) -> Result<Self::Output>;
}

/// Where each Deferred is to be cancelled; None for those that had fired.
#[derive(Clone)]
pub(super) struct Nodes(Rc<[Option<Rc<dyn Cancel>>]>);

impl Nodes {
    pub(super) fn of<T: 'static>(deferreds: &[Deferred<T>]) -> Nodes {
        Nodes(deferreds.iter().map(Deferred::node).collect())
    }

    /// Cancels those that have not fired, all but one perhaps.
    pub(super) fn cancel(&self, but: Option<usize>, place: Place) {
        for (index, node) in self.0.iter().enumerate() {
            if let (Some(node), true) = (node, but != Some(index)) {
                cancel(node.clone(), place);
            }
        }
    }
}

/// How the rest is treated once it is decided.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    /// Cancels those that have not come.
    pub(super) cancel_others: bool,
    /// Drops failures that come later, instead of reporting them.
    pub(super) consume_errors: bool,
}

impl Manners {
    /// Ends an outcome that came after the decision.
    fn too_late<T>(self, outcome: Result<T>) -> Result {
        match outcome {
            Err(failure) if self.consume_errors || self.is_our_doing(&failure) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    fn is_our_doing(self, failure: &Failure) -> bool {
        self.cancel_others && failure.is::<Cancelled>()
    }
}

/// What is shared by those who are waited for.
pub(super) struct Many<V, O: 'static> {
    /// Borrowed while it hears of an outcome: it calls nobody.
    verdict: RefCell<V>,
    decided: Cell<bool>,
    trigger: Trigger<O>,
    nodes: Nodes,
    manners: Manners,
    made: Place,
}

impl<V: 'static, O: 'static> Many<V, O> {
    pub(super) fn new(
        verdict: V,
        trigger: Trigger<O>,
        nodes: Nodes,
        manners: Manners,
        made: Place,
    ) -> Many<V, O> {
        let (verdict, decided) = (RefCell::new(verdict), Cell::new(false));
        Many { verdict, decided, trigger, nodes, manners, made }
    }

    /// Waits for `deferreds`; the trigger is fired with the verdict.
    pub(super) fn wait_for<T: 'static>(self, deferreds: Vec<Deferred<T>>)
    where
        V: Verdict<T, Output = O>,
    {
        let many = Rc::new(self);
        if deferreds.is_empty() {
            let verdict = many.verdict.borrow_mut().of_nobody();
            // Nobody else has the trigger, and nobody the Deferred: it has not fired.
            let _ = many.trigger.fire(verdict);
        }
        for (index, deferred) in deferreds.into_iter().enumerate() {
            let many = many.clone();
            deferred.add_both(move |outcome| many.hear(index, outcome));
        }
    }

    fn hear<T>(&self, index: usize, outcome: Result<T>) -> Result
    where
        V: Verdict<T, Output = O>,
    {
        if self.decided.get() {
            return self.manners.too_late(outcome);
        }
        let verdict = self.verdict.borrow_mut().hear(index, outcome);
        let Some(verdict) = verdict else { return Ok(()) };
        self.decided.set(true);
        if self.manners.cancel_others {
            self.nodes.cancel(Some(index), self.made);
        }
        // Fails if it was cancelled meanwhile and could not wait: then what came too late is reported.
        Ok(self.trigger.fire(verdict)?)
    }
}
