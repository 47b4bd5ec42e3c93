//! Waiting for many Deferreds at once: who has come, who is to be cancelled.
//!
//! What it means that one of them came is for a [`Verdict`] to say; `list` and `race` have theirs.

mod error;
mod list;
mod race;

pub use error::{FailureGroup, FirstError};
pub use list::{DeferredList, OneOrAll, gather_results};
pub use race::race;

use crate::deferred::downstream::{Input, unhandled};
use crate::deferred::walk::{Nodes, Rest, Step};
use crate::deferred::{Deferred, Trigger};
use crate::failure::{Place, Result, catch_panic};
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
            Err(_) if self.consume_errors => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

/// What is shared by those who are waited for.
pub(super) struct Many<V, O: 'static> {
    /// Borrowed while it hears of an outcome: it calls nobody.
    verdict: RefCell<V>,
    decided: Cell<bool>,
    /// What was decided, while the others are cancelled.
    decision: Cell<Option<Result<O>>>,
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
        Many { verdict, decided, decision: Cell::new(None), trigger, nodes, manners, made }
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
            let (many, made) = (many.clone(), deferred.made);
            deferred.hand_to(Rc::new(Member { many, index, outcome: Cell::new(None), made }));
        }
    }

    /// Hears of an outcome; says whether that decides it.
    fn hear<T>(&self, index: usize, outcome: Result<T>) -> Result<bool>
    where
        V: Verdict<T, Output = O>,
    {
        if self.decided.get() {
            return self.manners.too_late(outcome).map(|()| false);
        }
        let verdict = self.verdict.borrow_mut().hear(index, outcome);
        self.decided.set(verdict.is_some());
        self.decision.set(verdict);
        Ok(self.decided.get())
    }
}

/// One who is waited for, as whoever waits knows it.
struct Member<T, V, O: 'static> {
    many: Rc<Many<V, O>>,
    index: usize,
    /// None before it has come, and once it was heard.
    outcome: Cell<Option<Result<T>>>,
    /// Where its Deferred was made.
    made: Place,
}

impl<T: 'static, V, O: 'static> Input<T> for Member<T, V, O>
where
    V: Verdict<T, Output = O> + 'static,
{
    /// Keeps it: a list in a list in a list must not decide one inside the other.
    fn accept(self: Rc<Self>, outcome: Result<T>, _direct: u32) -> Option<Rc<dyn Step>> {
        self.outcome.set(Some(outcome));
        Some(self)
    }
}

impl<T: 'static, V, O: 'static> Step for Member<T, V, O>
where
    V: Verdict<T, Output = O> + 'static,
{
    fn run(self: Rc<Self>, _direct: u32, rest: &mut Rest) -> Option<Rc<dyn Step>> {
        let Some(outcome) = self.outcome.take() else { return self.announce() };
        let heard = catch_panic(self.made, || self.many.hear(self.index, outcome));
        match heard.and_then(|heard| heard) {
            Ok(true) if self.many.manners.cancel_others => {
                let many = self.many.clone();
                rest.run(Some(self.clone()));
                rest.cancel(many.nodes.iter(Some(self.index)), many.made);
                None
            }
            Ok(true) => self.announce(),
            Ok(false) => None,
            Err(failure) => {
                unhandled(failure, self.made);
                None
            }
        }
    }
}

impl<T, V, O: 'static> Member<T, V, O> {
    /// Fires with what was decided.
    fn announce(&self) -> Option<Rc<dyn Step>> {
        let decision = self.many.decision.take()?;
        // Fails if it was cancelled meanwhile and could not wait: then what came too late is reported.
        match self.many.trigger.fire_next(decision) {
            Ok(next) => next,
            Err(already_called) => {
                unhandled(already_called.into(), self.made);
                None
            }
        }
    }
}
