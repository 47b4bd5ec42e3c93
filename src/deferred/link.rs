//! One step of a chain that waits for the step before it.

use crate::deferred::downstream::{
    Adopter, Continuation, Downstream, Input, Source, finish, forgo, in_place,
};
use crate::deferred::node;
use crate::deferred::state::{State, run, taken};
use crate::deferred::walk::{Cancel, Rest, Step};
use crate::failure::{Place, Result, catch_panic};
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
    tail: Downstream<U>,
    /// Where the step was added: a panic in it arose there.
    place: Cell<Place>,
}

/// ```text
///          1 accept, too deep           2 run
///  Waiting ─────────────────▶ Ready ───────────▶ Running
///     └───────────────────────────────────────────▲ │ │ 3 returned a Deferred
///                    1, 2 accept                  │ │ └─────────────────────▶ Following
///  Landed ────────────────────────────────────────┘ ▼ 5 settle                 │ 4 land
///     ▲      5 run                             tail has it                     │
///     └────────────────────────────────────────────────────────────────────────┘
/// ```
enum Stage<T, U> {
    Waiting(Rc<dyn Source<T>>),
    Ready(Result<T>),
    /// The step runs, or has run. A step runs once, so that nobody needs to know which.
    Running,
    Following(Rc<dyn Source<U>>),
    Landed(Result<U>),
}

/// Adds `step` below `source`, or runs it at once if the outcome is there.
#[inline]
pub(super) fn attach<T: 'static, U: 'static, F>(
    source: Rc<dyn Source<T>>,
    step: F,
    place: Place,
) -> State<U>
where
    F: FnOnce(Result<T>) -> State<U> + 'static,
{
    let above = source.tail();
    if let Some(input) = above.ask() {
        finish(source);
        return run(input, step, place); // 2 of the Deferred
    }
    let link = match node::take::<Link<T, U, F>>() {
        Some(link) => link.again(step, place),
        None => in_place(|| Link {
            stage: Cell::new(Stage::Running),
            step: Cell::new(Some(step)),
            tail: Downstream::new(),
            place: Cell::new(place),
        }),
    };
    above.put(Continuation::Input(link.clone()));
    std::mem::forget(link.stage.replace(Stage::Waiting(source)));
    State::Pending(link)
}

impl<T: 'static, U: 'static, F> Link<T, U, F>
where
    F: FnOnce(Result<T>) -> State<U> + 'static,
{
    /// An ended link, for another step.
    #[inline]
    fn again(self: Rc<Self>, step: F, place: Place) -> Rc<Self> {
        self.step.set(Some(step));
        self.place.set(place);
        self.tail.reopen();
        self
    }

    /// 5. Hands the outcome down; the link has ended, unless a Deferred is to ask for it.
    // With the four others so marked: new, fire and await takes 60 ns, not 80.
    #[inline(always)]
    fn settle(self: Rc<Self>, outcome: Result<U>, direct: u32) -> Option<Rc<dyn Step>> {
        let next = self.tail.settle(outcome, direct);
        if Rc::strong_count(&self) == 1 {
            node::keep(self);
        }
        next
    }

    /// 2. Runs the step.
    // With the four others so marked: new, fire and await takes 60 ns, not 80.
    #[inline(always)]
    fn call(self: Rc<Self>, input: Result<T>, direct: u32) -> Option<Rc<dyn Step>> {
        let step = self.step.take()?;
        let place = self.place.get();
        let outcome = match catch_panic(place, || step(input)) {
            Ok(State::Fired(outcome)) => outcome,
            Ok(State::Pending(source) | State::Awaited(source)) => {
                return self.wait_for(source, direct);
            }
            Ok(State::Taken) => Err(taken(place)),
            Err(panic) => Err(panic),
        };
        self.settle(outcome, direct)
    }

    /// 3. The step returned a Deferred: its outcome will be this link's.
    fn wait_for(self: Rc<Self>, source: Rc<dyn Source<U>>, direct: u32) -> Option<Rc<dyn Step>> {
        if let Some(outcome) = source.tail().ask() {
            return self.settle(outcome, direct);
        }
        match self.tail.take() {
            // This link itself was returned from a step. Its follower follows the newcomer directly:
            // a step that returns a chain that returns a chain, without end, needs constant memory.
            Continuation::Adopter(follower) => {
                follower.follow(source.clone());
                source.tail().put(Continuation::Adopter(follower));
            }
            end => {
                self.tail.put(end);
                self.stage.set(Stage::Following(source.clone()));
                source.tail().put(Continuation::Adopter(self));
            }
        }
        None
    }
}

impl<T: 'static, U: 'static, F> Step for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> State<U> + 'static,
{
    fn run(self: Rc<Self>, direct: u32, _rest: &mut Rest) -> Option<Rc<dyn Step>> {
        match self.stage.replace(Stage::Running) {
            Stage::Ready(input) => self.call(input, direct),
            Stage::Landed(outcome) => self.settle(outcome, direct), // 5
            // Only accept and land give out steps, and each does so once.
            Stage::Waiting(_) | Stage::Running | Stage::Following(_) => None,
        }
    }
}

impl<T: 'static, U: 'static, F> Input<T> for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> State<U> + 'static,
{
    /// 1. Upstream has an outcome; upstream is let go.
    fn accept(self: Rc<Self>, input: Result<T>, direct: u32) -> Option<Rc<dyn Step>> {
        if direct == 0 {
            self.stage.set(Stage::Ready(input));
            return Some(self);
        }
        match self.stage.replace(Stage::Running) {
            Stage::Waiting(upstream) => drop(upstream),
            // Not so: a link accepts once. Named one by one so that no arm moves the whole enum.
            Stage::Following(source) => unlikely(source),
            Stage::Ready(first) => unlikely(first),
            Stage::Landed(outcome) => unlikely(outcome),
            Stage::Running => {}
        }
        self.call(input, direct - 1)
    }
}

/// Lets the compiler know which arm is not taken.
#[inline(never)]
fn unlikely<S>(part_of_a_stage: S) {
    drop(part_of_a_stage);
}

impl<T: 'static, U: 'static, F> Adopter<U> for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> State<U> + 'static,
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
    F: FnOnce(Result<T>) -> State<U> + 'static,
{
    fn tail(&self) -> &Downstream<U> {
        &self.tail
    }

    #[inline]
    fn end(self: Rc<Self>) {
        node::keep(self);
    }

    fn forgo(self: Rc<Self>, made: Place, awaited: bool) {
        forgo(self, made, awaited);
    }
}

impl<T: 'static, U: 'static, F> Cancel for Link<T, U, F>
where
    F: FnOnce(Result<T>) -> State<U> + 'static,
{
    /// Whatever the link waits for is cancelled; a step that is running is not.
    fn cancel(self: Rc<Self>, _place: Place, _rest: &mut Rest) -> Option<Rc<dyn Cancel>> {
        let stage = self.stage.replace(Stage::Running);
        let next: Option<Rc<dyn Cancel>> = match &stage {
            Stage::Waiting(source) => Some(source.clone()),
            Stage::Following(source) => Some(source.clone()),
            Stage::Ready(_) | Stage::Running | Stage::Landed(_) => None,
        };
        self.stage.set(stage);
        next
    }
}
