//! The downstream end of a node: who gets its outcome, or the outcome itself while nobody asks.

use crate::deferred::trampoline::after_drop;
use crate::deferred::walk::{Cancel, DIRECT, Rest, Step, cancel, drive};
use crate::deferred::{Cancelled, FailureGroup, FirstError, NeverFired};
use crate::failure::{Failure, Place, Result, is_of_an_end, report_made};
use std::cell::Cell;
use std::rc::Rc;
use std::task::Waker;

/// A link that waits for a `T`.
pub(super) trait Input<T> {
    /// Takes the input: goes on with it if `direct` allows, or keeps it for the step that it returns.
    fn accept(self: Rc<Self>, input: Result<T>, direct: u32) -> Option<Rc<dyn Step>>;
}

/// A link whose step returned a Deferred of `T`, which it now follows.
pub(super) trait Adopter<T> {
    /// Keeps the outcome of the Deferred that it follows; the caller runs the step.
    fn land(self: Rc<Self>, outcome: Result<T>) -> Rc<dyn Step>;
    /// Follows another Deferred from now on.
    fn follow(&self, source: Rc<dyn Source<T>>);
}

/// Anything that will have a `T` or a failure.
pub(crate) trait Source<T>: Cancel {
    /// Its downstream end.
    fn tail(&self) -> &Downstream<T>;
    /// Its outcome was taken, and nobody else holds it.
    fn end(self: Rc<Self>) {}
    /// Nobody will ask for the outcome; a Deferred did, if `awaited`.
    fn forgo(self: Rc<Self>, made: Place, awaited: bool);
}

/// What [`Source::forgo`] is for every source, each compiled for itself.
///
/// Whatever is rare ends it, so that the rest needs no frame.
#[inline]
pub(crate) fn forgo<T, S: Source<T> + 'static>(source: Rc<S>, made: Place, awaited: bool) {
    match source.tail().ask() {
        Some(Ok(value)) => {
            finish(source);
            drop(value);
        }
        Some(Err(failure)) => unhandled(failure, made),
        None if awaited => abandon(source, made),
        None => source.tail().put(Continuation::Detached(made)),
    }
}

/// The outcome is to come yet, and a task waited for it: the chain is cancelled.
#[inline(never)]
fn abandon<T>(source: Rc<dyn Source<T>>, made: Place) {
    source.tail().put(Continuation::Detached(made));
    let node: Rc<dyn Cancel> = source;
    after_drop(move || cancel(node, made));
}

/// Lets go of a source whose outcome was taken.
#[inline]
pub(super) fn finish<T, S: Source<T> + ?Sized>(source: Rc<S>) {
    if Rc::strong_count(&source) == 1 {
        source.end();
    }
}

/// A node made where it will stay.
///
/// Not `Rc::new`, which makes it on the stack and moves it in wide pieces: the processor stalls on
/// reading what it has just written in narrow ones, twice as long as all the rest of it takes.
#[inline]
pub(crate) fn in_place<N>(make: impl FnOnce() -> N) -> Rc<N> {
    Rc::new_cyclic(|_| make())
}

/// The downstream end of a node.
///
/// ```text
///            1 add step, return from callback, poll, drop
///   Open ──────────────────────────────────────────────────▶ Input, Adopter, Waker, Detached
///    │ 2 the node has its outcome                                │ 3 the node has its outcome: handed over
///    ▼                                                           ▼   (a Waker is woken, and it is kept: 2)
///   Outcome ────────────────────────────────────────────────▶ Spent
///            4 the Deferred takes it
/// ```
pub(crate) struct Downstream<T>(Cell<Continuation<T>>);

pub(super) enum Continuation<T> {
    /// A Deferred is held by somebody, without a step.
    Open,
    /// The next link.
    Input(Rc<dyn Input<T>>),
    /// The link that returned this Deferred from its step.
    Adopter(Rc<dyn Adopter<T>>),
    /// A task polled the Deferred.
    Waker(Waker),
    /// The Deferred was dropped, the chain runs on. It was made there.
    Detached(Place),
    /// Waits for a Deferred that asks.
    Outcome(Result<T>),
    /// Nothing more will come.
    Spent,
}

impl<T> Downstream<T> {
    pub(crate) const fn new() -> Downstream<T> {
        Downstream(Cell::new(Continuation::Open))
    }

    /// Of an ended node: ready for another one.
    #[inline]
    pub(super) fn reopen(&self) {
        self.put(Continuation::Open);
    }

    /// 4. What is there: the outcome, or whoever waits for it. Nothing is left.
    #[inline]
    pub(super) fn take(&self) -> Continuation<T> {
        self.0.replace(Continuation::Spent)
    }

    /// 1, 2. Puts something into a tail from which everything was taken.
    #[inline]
    pub(super) fn put(&self, end: Continuation<T>) {
        let empty = self.0.replace(end);
        debug_assert!(
            matches!(empty, Continuation::Open | Continuation::Spent),
            "a tail was overwritten"
        );
        // Not dropped: there is nothing in it, and the code that would find out costs a tenth of
        // firing a chain.
        std::mem::forget(empty);
    }

    /// Whether the outcome is there.
    pub(super) fn is_settled(&self) -> bool {
        let end = self.take();
        let settled = matches!(end, Continuation::Outcome(_));
        self.put(end);
        settled
    }

    /// Hands on the outcome of a root, and whatever follows from it.
    // With the four others so marked: new, fire and await takes 60 ns, not 80.
    #[inline(always)]
    pub(crate) fn fire(&self, outcome: Result<T>) {
        if let Some(step) = self.settle(outcome, DIRECT) {
            drive(step);
        }
    }

    /// As [`fire`](Downstream::fire), of a node that a walk has come to.
    pub(crate) fn fire_next(&self, outcome: Result<T>, rest: &mut Rest) {
        rest.run(self.settle(outcome, DIRECT));
    }

    /// 4. The outcome, if it is there, for the Deferred that holds this end.
    ///
    /// If it is not, the tail is empty now: the Deferred puts something into it.
    #[inline]
    pub(super) fn ask(&self) -> Option<Result<T>> {
        match self.take() {
            Continuation::Outcome(outcome) => Some(outcome),
            Continuation::Open => None,
            other => {
                self.put(other);
                self.ask_again()
            }
        }
    }

    /// A task asked before. It is forgotten first: the drop of its waker is not our code, and may fire.
    #[inline(never)]
    fn ask_again(&self) -> Option<Result<T>> {
        let former = self.0.replace(Continuation::Open);
        drop(former);
        self.ask()
    }

    /// 1, 2. A task asks for the outcome.
    pub(super) fn poll(&self, waker: &Waker) -> Option<Result<T>> {
        match self.take() {
            Continuation::Outcome(outcome) => return Some(outcome),
            Continuation::Waker(known) if known.will_wake(waker) => {
                self.put(Continuation::Waker(known))
            }
            other => {
                self.put(other);
                return self.wait(waker.clone());
            }
        }
        None
    }

    /// 1. From now on that waker is woken, unless making it has brought the outcome.
    fn wait(&self, waker: Waker) -> Option<Result<T>> {
        let outcome = self.ask();
        if outcome.is_none() {
            self.put(Continuation::Waker(waker));
        }
        outcome
    }

    /// 2, 3. The node has its outcome.
    // With the four others so marked: new, fire and await takes 60 ns, not 80.
    #[inline(always)]
    pub(super) fn settle(&self, outcome: Result<T>, direct: u32) -> Option<Rc<dyn Step>> {
        match self.take() {
            Continuation::Input(link) => return link.accept(outcome, direct),
            Continuation::Adopter(link) => return Some(link.land(outcome)),
            Continuation::Waker(waker) => {
                self.put(Continuation::Outcome(outcome));
                waker.wake();
            }
            // Each by its name, so that each arm moves its own pointers out: a catch-all would move the
            // whole, in wide pieces of what was written in narrow ones, for which the processor waits.
            Continuation::Detached(made) => unobserved(outcome, made),
            Continuation::Open | Continuation::Spent => self.put(Continuation::Outcome(outcome)),
            // Not so: a node has one outcome.
            Continuation::Outcome(first) => self.put(Continuation::Outcome(first)),
        }
        None
    }
}

/// Ends an outcome that nobody will ask for.
#[inline]
fn unobserved<T>(outcome: Result<T>, made: Place) {
    if let Err(failure) = outcome {
        unhandled(failure, made);
    }
}

/// Reports what nobody handled, unless there was nothing to handle.
#[inline(never)]
pub(super) fn unhandled(failure: Failure, made: Place) {
    if !is_quiet(&failure) {
        report_made("unhandled failure in Deferred", &failure, made);
    }
}

/// Whether it says only that the work was cancelled, which is what somebody asked for, or that both ends
/// of it or its reactor are gone, as at the end of a program.
///
/// Of several the same is said by all of them. A loop: they may lie deep within each other.
fn is_quiet(failure: &Failure) -> bool {
    let mut unseen = vec![failure];
    while let Some(failure) = unseen.pop() {
        if let Some(first) = failure.check::<FirstError>() {
            unseen.push(first.failure());
        } else if let Some(group) = failure.check::<FailureGroup>()
            && !group.failures().is_empty()
        {
            unseen.extend(group.failures());
        } else if !is_of_nobody(failure) {
            return false;
        }
    }
    true
}

fn is_of_nobody(failure: &Failure) -> bool {
    failure.is::<Cancelled>() || failure.is::<NeverFired>() || is_of_an_end(failure)
}

#[cfg(test)]
mod tests {
    use crate::{Deferred, Trigger};
    use futures_util::FutureExt;
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    thread_local!(static TRIGGER: RefCell<Option<Trigger<u8>>> = const { RefCell::new(None) });

    /// A waker that, dropped, fires the Deferred that it waits for.
    struct Last;

    impl Wake for Last {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Last {
        fn drop(&mut self) {
            let trigger = TRIGGER.take();
            trigger.into_iter().for_each(|trigger| trigger.callback(7).unwrap());
        }
    }

    /// A Deferred that has been polled by a task that fires it when it is forgotten.
    fn polled() -> Deferred<u8> {
        let (trigger, mut deferred) = Deferred::new();
        let waker = Waker::from(Arc::new(Last));
        assert!(deferred.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        TRIGGER.set(Some(trigger));
        deferred
    }

    #[test]
    fn a_step_added_where_a_task_waited_hears_what_the_drop_of_its_waker_fired() {
        let stepped = polled().map(|n| n + 1);
        assert_eq!(stepped.now_or_never().unwrap().unwrap(), 8);
    }

    #[test]
    fn a_task_that_replaces_another_gets_what_the_drop_of_its_waker_fired() {
        let mut deferred = polled();
        assert!(deferred.poll_unpin(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    #[test]
    fn a_returned_deferred_that_fires_when_its_task_is_forgotten_goes_on() {
        let inner = polled();
        let (trigger, outer) = Deferred::<()>::new();
        let outer = outer.add_callback(move |()| inner);
        trigger.callback(()).unwrap();
        assert_eq!(outer.now_or_never().unwrap().unwrap(), 7);
    }
}
