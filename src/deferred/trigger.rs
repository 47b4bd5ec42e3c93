//! The firing end of a Deferred.

use crate::deferred::later::after_drop;
use crate::deferred::tail::{Cancel, Source, Tail};
use crate::deferred::{AlreadyCalled, Cancelled, NeverFired};
use crate::failure::{Failure, Place, Result, contain, report};
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
pub struct Trigger<T> {
    root: Rc<Root<T>>,
}

impl<T: 'static> Trigger<T> {
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
    ///     assert_eq!(failure.location().line(), line);
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
    fn drop(&mut self) {
        let left = self.root.triggers.get() - 1;
        self.root.triggers.set(left);
        if left == 0 && matches!(self.root.stage.get(), Stage::Open) {
            self.root.canceller.orphan(self.root.clone());
        }
    }
}

/// The first node of a chain: what a Trigger fires.
///
/// With its canceller inside, if it has one: that too is part of the one allocation.
pub(super) struct Root<T, C: ?Sized = dyn OnCancel<T>> {
    stage: Cell<Stage>,
    /// How many Triggers there are; when it falls to zero in `Open`, the chain fails.
    triggers: Cell<usize>,
    tail: Tail<T>,
    made: Place,
    canceller: C,
}

/// ```text
///         1 callback, errback, the last trigger is dropped
///  Open ───────────────────────────────────────────────────▶ Called ◀─┐
///   │ 2 cancel, with a canceller                               ▲      │ 5 one late call, ignored
///   ├────────────────────▶ Cancelling ─────────────────────────┘      │
///   │ 3 cancel, without               4 it fired, or Cancelled        │
///   └───────────────────────────────────────────────────────▶ Late ───┘
/// ```
#[derive(Clone, Copy, Debug)]
enum Stage {
    Open,
    Cancelling,
    Late,
    Called,
}

pub(super) fn root<T: 'static, C: OnCancel<T> + 'static>(
    canceller: C,
    made: Place,
) -> (Trigger<T>, Rc<dyn Source<T>>) {
    let (stage, triggers) = (Cell::new(Stage::Open), Cell::new(0));
    let root = Rc::new(Root { stage, triggers, tail: Tail::new(), made, canceller });
    (Trigger::new(root.clone()), root)
}

impl<T> Root<T> {
    /// 1, 4. The stage has changed already.
    fn settle(&self, outcome: Result<T>) {
        self.canceller.forget();
        self.tail.fire(outcome);
    }

    /// 2, 4. Asks the canceller; true if there is one.
    fn ask_canceller(self: &Rc<Self>, trigger: &Trigger<T>) -> bool {
        self.stage.set(Stage::Cancelling);
        match contain(self.made, || self.canceller.call(trigger)) {
            Ok(asked) => asked,
            Err(panic) => {
                report("panic in canceller", &panic);
                true
            }
        }
    }
}

impl<T: 'static, C: OnCancel<T> + 'static> Source<T> for Root<T, C> {
    fn tail(&self) -> &Tail<T> {
        &self.tail
    }
}

impl<T: 'static, C: OnCancel<T> + 'static> Cancel for Root<T, C> {
    fn cancel(self: Rc<Self>, place: Place) -> Option<Rc<dyn Cancel>> {
        if !matches!(self.stage.get(), Stage::Open) {
            return None;
        }
        let root: Rc<Root<T>> = self;
        // Alive until the end: a canceller that drops the last other trigger means Cancelled, not
        // NeverFired.
        let trigger = Trigger::new(root.clone());
        let asked = root.ask_canceller(&trigger);
        if matches!(root.stage.get(), Stage::Cancelling) {
            root.stage.set(if asked { Stage::Called } else { Stage::Late }); // 4, 3
            root.settle(Err(Failure::at(place, Cancelled)));
        }
        None
    }
}

/// What stands at the end of a [`Root`]: a canceller, or none.
pub(super) trait OnCancel<T> {
    /// Calls the canceller; false if there is none.
    fn call(&self, trigger: &Trigger<T>) -> bool;
    /// Drops it: the Deferred has fired.
    fn forget(&self);
    /// 1. The last trigger is gone. Here because only here is it known that `T` is `'static`.
    fn orphan(&self, root: Rc<Root<T>>);
}

/// Without a canceller.
pub(super) struct Uncaring;

impl<T: 'static> OnCancel<T> for Uncaring {
    fn call(&self, _trigger: &Trigger<T>) -> bool {
        false
    }

    fn forget(&self) {}

    fn orphan(&self, root: Rc<Root<T>>) {
        orphan(root);
    }
}

/// A canceller that has not been called yet.
pub(super) struct Canceller<F>(pub(super) Cell<Option<F>>);

impl<T: 'static, F: FnOnce(&Trigger<T>)> OnCancel<T> for Canceller<F> {
    fn call(&self, trigger: &Trigger<T>) -> bool {
        if let Some(canceller) = self.0.take() {
            canceller(trigger);
        }
        true
    }

    fn forget(&self) {
        drop(self.0.take());
    }

    fn orphan(&self, root: Rc<Root<T>>) {
        orphan(root);
    }
}

fn orphan<T: 'static>(root: Rc<Root<T>>) {
    after_drop(move || {
        if matches!(root.stage.get(), Stage::Open) {
            root.stage.set(Stage::Called); // 1
            root.settle(Err(Failure::at(root.made, NeverFired)));
        }
    });
}
