//! The firing end of a Deferred.

use crate::deferred::canceller::{Heard, OnCancel};
use crate::deferred::later::after_drop;
use crate::deferred::tail::{Cancel, Source, Tail, in_place};
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
        if left == 0 && self.root.stage.get() == Stage::Open {
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

pub(super) fn root<T: 'static, C: OnCancel<T> + 'static>(
    canceller: C,
    made: Place,
) -> (Trigger<T>, Rc<dyn Source<T>>) {
    let (stage, triggers) = (Cell::new(Stage::Open), Cell::new(0));
    let root = in_place(|| Root { stage, triggers, tail: Tail::new(), made, canceller });
    (Trigger::new(root.clone()), root)
}

impl<T> Root<T> {
    /// 1, 4. The stage has changed already.
    fn settle(&self, outcome: Result<T>) {
        self.canceller.forget();
        self.tail.fire(outcome);
    }

    /// 2. Asks the canceller.
    fn ask_canceller(&self, trigger: &Trigger<T>) -> Heard {
        self.stage.set(Stage::Cancelling);
        contain(self.made, || self.canceller.call(trigger)).unwrap_or_else(|panic| {
            report("panic in canceller", &panic);
            Heard::Told
        })
    }
}

impl<T: 'static, C: OnCancel<T> + 'static> Source<T> for Root<T, C> {
    fn tail(&self) -> &Tail<T> {
        &self.tail
    }
}

impl<T: 'static, C: OnCancel<T> + 'static> Cancel for Root<T, C> {
    fn cancel(self: Rc<Self>, place: Place) -> Option<Rc<dyn Cancel>> {
        if self.stage.get() != Stage::Open {
            return None;
        }
        let root: Rc<Root<T>> = self;
        // Alive until the end: a canceller that drops the last other trigger means Cancelled, not
        // NeverFired.
        let trigger = Trigger::new(root.clone());
        let next = match root.ask_canceller(&trigger) {
            Heard::Nobody => Stage::Late,    // 3
            Heard::Told => Stage::Called,    // 4
            Heard::Forwarded => Stage::Open, // 6
        };
        if root.stage.get() == Stage::Cancelling {
            root.stage.set(next);
            if next != Stage::Open {
                root.settle(Err(Failure::at(place, Cancelled)));
            }
        }
        None
    }
}

/// What to do (1) when the last trigger is gone.
///
/// A trait, because a Drop does not know that `T` is `'static`; whoever made the root did.
pub(super) trait Orphan<T> {
    fn orphan(&self, root: Rc<Root<T>>);
}

impl<T: 'static, C> Orphan<T> for C {
    fn orphan(&self, root: Rc<Root<T>>) {
        after_drop(move || {
            if root.stage.get() == Stage::Open {
                root.stage.set(Stage::Called);
                root.settle(Err(Failure::at(root.made, NeverFired)));
            }
        });
    }
}
