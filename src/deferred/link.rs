//! One step of a chain that waits for the step before it.

use crate::deferred::Deferred;
use crate::deferred::chain::State;
use crate::deferred::tail::{Cancel, End, Follower, Sink, Source, Step, Tail};
use crate::failure::{Place, Result, contain};
use std::cell::Cell;
use std::rc::Rc;

/// A step with its place in the chain: one allocation, from `add_callback` to the outcome.
///
/// Upstream's tail holds it, and it holds upstream, so that a cancellation finds its way: a cycle,
/// which 1 breaks. Nothing waits forever, because a chain without triggers fails.
pub(super) struct Link<T, U, F> {
    stage: Cell<Stage<T, U>>,
    /// None once it runs.
    step: Cell<Option<F>>,
    tail: Tail<U>,
    /// Where the step was added: a panic in it arose there.
    place: Place,
}

/// ```text
///          1 accept          2 run                    5 settle
///  Waiting ────────▶ Ready ────────▶ Running ─────────────────────────▶ Done
///                                      │ 3 returned a Deferred            ▲
///                                      ▼                 4 land           │ 5 run
///                                   Following ─────────────────────────▶ Landed
/// ```
enum Stage<T, U> {
    Waiting(Rc<dyn Source<T>>),
    Ready(Result<T>),
    Running,
    Following(Rc<dyn Source<U>>),
    Landed(Result<U>),
    Done,
}

/// Adds `step` below `source`, which has no outcome yet.
pub(super) fn attach<T: 'static, U: 'static, F>(
    source: Rc<dyn Source<T>>,
    step: F,
    place: Place,
) -> Rc<dyn Source<U>>
where
    F: FnOnce(Result<T>) -> Deferred<U> + 'static,
{
    let link = Rc::new(Link {
        stage: Cell::new(Stage::Done),
        step: Cell::new(Some(step)),
        tail: Tail::new(),
        place,
    });
    source.tail().set(End::Sink(link.clone()));
    link.stage.set(Stage::Waiting(source));
    link
}

impl<T: 'static, U: 'static, F> Link<T, U, F>
where
    F: FnOnce(Result<T>) -> Deferred<U> + 'static,
{
    /// 2. Runs the step.
    fn call(self: Rc<Self>, input: Result<T>) -> Option<Rc<dyn Step>> {
        let step = self.step.take()?;
        match contain(self.place, || step(input)) {
            Err(panic) => self.settle(Err(panic)),
            Ok(mut deferred) => match deferred.take_state() {
                State::Fired(outcome) => self.settle(outcome),
                State::Pending(source) | State::Awaited(source) => self.wait_for(source),
                State::Taken => self.settle(Err(super::chain::taken(self.place))),
            },
        }
    }

    /// 3. The step returned a Deferred: its outcome will be this link's.
    fn wait_for(self: Rc<Self>, source: Rc<dyn Source<U>>) -> Option<Rc<dyn Step>> {
        if let Some(outcome) = source.tail().take() {
            return self.settle(outcome);
        }
        match self.tail.release() {
            // This link itself was returned from a step. Its follower follows the newcomer directly:
            // a step that returns a chain that returns a chain, without end, needs constant memory.
            End::Follower(follower) => {
                self.stage.set(Stage::Done);
                follower.follow(source.clone());
                source.tail().set(End::Follower(follower));
            }
            end => {
                self.tail.set(end);
                self.stage.set(Stage::Following(source.clone()));
                source.tail().set(End::Follower(self));
            }
        }
        None
    }

    /// 5. Hands the outcome on.
    fn settle(&self, outcome: Result<U>) -> Option<Rc<dyn Step>> {
        self.stage.set(Stage::Done);
        self.tail.settle(outcome)
    }
}

impl<T: 'static, U: 'static, F> Step for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> Deferred<U> + 'static,
{
    fn run(self: Rc<Self>) -> Option<Rc<dyn Step>> {
        match self.stage.replace(Stage::Running) {
            Stage::Ready(input) => self.call(input),
            Stage::Landed(outcome) => self.settle(outcome),
            // Only accept and land give out steps, and each does so once.
            Stage::Waiting(_) | Stage::Running | Stage::Following(_) | Stage::Done => None,
        }
    }
}

impl<T: 'static, U: 'static, F> Sink<T> for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> Deferred<U> + 'static,
{
    /// 1. Upstream has an outcome; upstream is let go.
    fn accept(self: Rc<Self>, input: Result<T>) -> Rc<dyn Step> {
        self.stage.set(Stage::Ready(input));
        self
    }
}

impl<T: 'static, U: 'static, F> Follower<U> for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> Deferred<U> + 'static,
{
    /// 4. The Deferred that the step returned has an outcome.
    fn land(self: Rc<Self>, outcome: Result<U>) -> Rc<dyn Step> {
        self.stage.set(Stage::Landed(outcome));
        self
    }

    fn follow(&self, source: Rc<dyn Source<U>>) {
        self.stage.set(Stage::Following(source));
    }
}

impl<T: 'static, U: 'static, F> Source<U> for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> Deferred<U> + 'static,
{
    fn tail(&self) -> &Tail<U> {
        &self.tail
    }
}

impl<T: 'static, U: 'static, F> Cancel for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> Deferred<U> + 'static,
{
    /// Whatever the link waits for is cancelled; a step that is running is not.
    fn cancel(self: Rc<Self>, _place: Place) -> Option<Rc<dyn Cancel>> {
        let stage = self.stage.replace(Stage::Done);
        let next: Option<Rc<dyn Cancel>> = match &stage {
            Stage::Waiting(source) => Some(source.clone()),
            Stage::Following(source) => Some(source.clone()),
            Stage::Ready(_) | Stage::Running | Stage::Landed(_) | Stage::Done => None,
        };
        self.stage.set(stage);
        next
    }
}
