//! The firing end of a Deferred.

use crate::deferred::downstream::{Downstream, Source, forgo, in_place};
use crate::deferred::node;
use crate::deferred::trampoline::after_drop;
use crate::deferred::walk::{Cancel, DIRECT, Nodes, Rest, Step, within_a_canceller};
use crate::deferred::{AlreadyCalled, Cancelled, NeverFired};
use crate::failure::{Failure, Place, Result, catch_panic, report};
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// Fires a [`Deferred`](crate::Deferred), once.
///
/// Clones fire the same Deferred. When the last of them is dropped and none was used, the Deferred
/// fails with [`NeverFired`] instead of waiting forever.
///
/// ```
/// use futures_util::FutureExt;
/// use ropewalk::Deferred;
///
/// let (trigger, d) = Deferred::new();
/// let d = d.map(|n: u32| n + 1);
/// trigger.callback(1).unwrap();
/// assert_eq!(d.now_or_never().unwrap().unwrap(), 2);
/// ```
pub struct Trigger<T: 'static> {
    root: Rc<Root<T>>,
}

impl<T> Trigger<T> {
    /// Fires with a value; the chain's steps run before this returns.
    ///
    /// Fails if the Deferred was fired before. One call after a cancellation that no canceller heard
    /// is accepted and ignored: whoever does the work did not know.
    ///
    /// ```
    /// let (trigger, d) = ropewalk::Deferred::new();
    /// d.map(|name: &str| println!("hello, {name}"));
    /// trigger.callback("world").unwrap();
    /// assert!(trigger.callback("again").is_err());
    /// ```
    pub fn callback(&self, value: T) -> Result<(), AlreadyCalled> {
        self.fire(Ok(value))
    }

    /// Fires with a failure; otherwise as [`callback`](Trigger::callback).
    ///
    /// ```
    /// let (trigger, d) = ropewalk::Deferred::<u32>::new();
    /// let line = line!() + 5;
    /// d.add_errback(move |failure| {
    ///     assert_eq!(failure.location().unwrap().line(), line);
    ///     Ok(0)
    /// });
    /// trigger.errback(std::fmt::Error).unwrap(); // the line of this
    /// ```
    #[track_caller]
    pub fn errback(&self, failure: impl Into<Failure>) -> Result<(), AlreadyCalled> {
        self.fire(Err(failure.into()))
    }

    /// Fires with a result, be it a value or a failure.
    ///
    /// ```
    /// let (trigger, d) = ropewalk::Deferred::new();
    /// d.add_both(|result: ropewalk::Result<u32>| assert_eq!(result.unwrap(), 7));
    /// trigger.fire(Ok(7)).unwrap();
    /// ```
    pub fn fire(&self, result: Result<T>) -> Result<(), AlreadyCalled> {
        match self.root.stage.replace(Stage::Called) {
            Stage::Open | Stage::Cancelling => self.root.settle(result),
            Stage::Late => {} // 5
            Stage::Called => return Err(AlreadyCalled),
        }
        Ok(())
    }

    /// As [`fire`](Trigger::fire), for a walk that goes on with what is to be done next.
    pub(super) fn fire_next(
        &self,
        result: Result<T>,
    ) -> Result<Option<Rc<dyn Step>>, AlreadyCalled> {
        match self.root.stage.replace(Stage::Called) {
            Stage::Open | Stage::Cancelling => Ok(self.root.settle_next(result)),
            Stage::Late => Ok(None), // 5
            Stage::Called => Err(AlreadyCalled),
        }
    }

    /// Whether the Deferred has fired, be it by a trigger or by being cancelled.
    ///
    /// ```
    /// let (trigger, d) = ropewalk::Deferred::<u32>::new();
    /// assert!(!trigger.is_called());
    /// d.add_both(|_| ());
    /// trigger.callback(1).unwrap();
    /// assert!(trigger.is_called());
    /// ```
    pub fn is_called(&self) -> bool {
        matches!(self.root.stage.get(), Stage::Called | Stage::Late)
    }
}

impl<T> Trigger<T> {
    fn new(root: Rc<Root<T>>) -> Trigger<T> {
        root.triggers.set(root.triggers.get() + 1);
        Trigger { root }
    }
}

impl<T> Clone for Trigger<T> {
    fn clone(&self) -> Trigger<T> {
        Trigger::new(self.root.clone())
    }
}

impl<T> fmt::Debug for Trigger<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger").field("stage", &self.root.stage.get()).finish()
    }
}

impl<T> Drop for Trigger<T> {
    #[inline]
    fn drop(&mut self) {
        let left = self.root.triggers.get() - 1;
        self.root.triggers.set(left);
        if left == 0 {
            self.root.orphaned();
        }
    }
}

/// The first node of a chain: what a Trigger fires.
pub(super) struct Root<T: 'static> {
    stage: Cell<Stage>,
    /// How many Triggers there are; when it falls to zero in `Open`, the chain fails.
    triggers: Cell<usize>,
    tail: Downstream<T>,
    made: Cell<Place>,
    /// In a box: most have none, and to look for one costs a word instead of three.
    on_cancel: Cell<Option<Box<OnCancel<T>>>>,
}

/// Code of the user that stops the work, and may fire with what there is.
pub(super) type Canceller<T> = Box<dyn FnOnce(&Trigger<T>)>;

/// What a cancellation does at the head of a chain that has not fired.
pub(super) enum OnCancel<T: 'static> {
    /// A canceller: called once, it has its chance to fire.
    Tell(Canceller<T>),
    /// Other Deferreds are cancelled from that place, whose outcome will decide; may be called again.
    Forward(Nodes, Place),
    /// As `Forward`, but once: if they do not decide at once, that is a failure.
    ForwardOnce(Nodes, Place),
}

/// ```text
///         1 callback, errback, the last trigger is dropped
///  Open ───────────────────────────────────────────────────▶ Called ◀─┐
///   │ 2 cancel, with a canceller                               ▲      │ 5 one late call, ignored
///   ├────────────────────▶ Cancelling ─────────────────────────┘      │
///   ◀────────────────────────┘        4 it fired, or Cancelled        │
///   │ 6 it will fire when those fire to which it forwarded            │
///   │ 3 cancel, without                                               │
///   └───────────────────────────────────────────────────────▶ Late ───┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Open,
    Cancelling,
    Late,
    Called,
}

/// A root that no cancellation is heard by, for one trigger.
#[inline]
fn root<T: 'static>(made: Place) -> Rc<Root<T>> {
    match node::take::<Root<T>>() {
        Some(root) => root.again(made),
        None => fresh(made),
    }
}

#[inline(never)]
fn fresh<T: 'static>(made: Place) -> Rc<Root<T>> {
    in_place(|| Root {
        stage: Cell::new(Stage::Open),
        triggers: Cell::new(1),
        tail: Downstream::new(),
        made: Cell::new(made),
        on_cancel: Cell::new(None),
    })
}

impl<T> Trigger<T> {
    /// The two ends of a new chain.
    #[inline]
    pub(super) fn rooted(made: Place) -> (Trigger<T>, Rc<dyn Source<T>>) {
        let root = root(made);
        (Trigger { root: root.clone() }, root)
    }

    /// Who hears of a cancellation from now on.
    pub(super) fn on_cancel(&self, on_cancel: OnCancel<T>) {
        self.root.on_cancel.set(Some(Box::new(on_cancel)));
    }
}

impl<T: 'static> Root<T> {
    /// 1, 4. The stage has changed already.
    // With the four others so marked: new, fire and await takes 60 ns, not 80.
    #[inline(always)]
    fn settle(&self, outcome: Result<T>) {
        if let Some(on_cancel) = self.on_cancel.take() {
            unneeded(on_cancel);
        }
        self.tail.fire(outcome);
    }

    /// As [`settle`](Root::settle), for a walk that goes on with what is to be done next.
    fn settle_next(&self, outcome: Result<T>) -> Option<Rc<dyn Step>> {
        drop(self.on_cancel.take());
        self.tail.settle(outcome, DIRECT)
    }

    /// 2. Asks whoever hears of it.
    fn ask(&self, trigger: Trigger<T>, place: Place, rest: &mut Rest) {
        self.stage.set(Stage::Cancelling);
        let asked = |next| Some(Rc::new(Asked { trigger: trigger.clone(), next, place }) as _);
        match self.on_cancel.take().map(|on_cancel| *on_cancel) {
            None => rest.run(asked(Stage::Late)), // 3
            Some(OnCancel::Tell(canceller)) => {
                rest.run(asked(Stage::Called)); // 4
                within_a_canceller(rest, || self.call(|| canceller(&trigger)));
            }
            Some(OnCancel::Forward(others, from)) => {
                self.on_cancel.set(Some(Box::new(OnCancel::Forward(others.clone(), from))));
                rest.run(asked(Stage::Open)); // 6
                rest.cancel(others.iter(None), from);
            }
            Some(OnCancel::ForwardOnce(others, from)) => {
                rest.run(asked(Stage::Called)); // 4
                rest.cancel(others.iter(None), from);
            }
        }
    }

    fn call(&self, canceller: impl FnOnce()) {
        if let Err(panic) = catch_panic(self.made.get(), canceller) {
            report("panic in canceller", &panic);
        }
    }
}

/// A root that was cancelled, when whoever hears of it has been asked.
struct Asked<T: 'static> {
    /// Alive until the end: a canceller that drops the last other trigger means Cancelled, not
    /// NeverFired.
    trigger: Trigger<T>,
    /// Its stage, if nothing was fired.
    next: Stage,
    place: Place,
}

impl<T: 'static> Step for Asked<T> {
    fn run(self: Rc<Self>, _direct: u32, _rest: &mut Rest) -> Option<Rc<dyn Step>> {
        let root = &self.trigger.root;
        if root.stage.get() != Stage::Cancelling {
            return None;
        }
        root.stage.set(self.next);
        match self.next {
            Stage::Open => None,
            _fired => root.settle_next(Err(Failure::at(self.place, Cancelled))),
        }
    }
}

impl<T: 'static> Root<T> {
    /// An ended root, for another chain.
    #[inline]
    fn again(self: Rc<Self>, made: Place) -> Rc<Self> {
        self.stage.set(Stage::Open);
        self.triggers.set(1);
        self.tail.reopen();
        self.made.set(made);
        self
    }

    /// 1. The last trigger is gone.
    #[inline]
    fn orphaned(self: &Rc<Self>) {
        if self.stage.get() == Stage::Open {
            self.clone().forsaken();
        } else if Rc::strong_count(self) == 1 {
            node::keep(self.clone());
        }
    }

    #[inline(never)]
    fn forsaken(self: Rc<Self>) {
        after_drop(move || {
            if self.stage.get() == Stage::Open {
                self.stage.set(Stage::Called);
                self.settle(Err(Failure::at(self.made.get(), NeverFired)));
            }
        });
    }
}

/// A canceller that will not be called any more.
#[inline(never)]
fn unneeded<T>(on_cancel: Box<OnCancel<T>>) {
    drop(on_cancel);
}

impl<T: 'static> Source<T> for Root<T> {
    fn tail(&self) -> &Downstream<T> {
        &self.tail
    }

    fn end(self: Rc<Self>) {
        node::keep(self);
    }

    fn forgo(self: Rc<Self>, made: Place, awaited: bool) {
        forgo(self, made, awaited);
    }
}

impl<T: 'static> Cancel for Root<T> {
    fn cancel(self: Rc<Self>, place: Place, rest: &mut Rest) -> Option<Rc<dyn Cancel>> {
        if self.stage.get() == Stage::Open {
            self.ask(Trigger::new(self.clone()), place, rest);
        }
        None
    }
}
