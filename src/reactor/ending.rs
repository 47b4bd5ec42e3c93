//! The end of a loop: when it comes, what is dropped in which order, and what is refused afterwards.
//!
//! # Theory
//! ```text
//!             1 the owner is dropped                     3 all is dropped
//!   Alive ─────────────────────────────────────► Ending ─────────────────► Gone
//!     │                                            ▲
//!     └───────────────► Doomed ────────────────────┘
//!   1 inside its own turn        2 at the end of that turn
//! ```
//! What is dropped is the user's, and may do what it likes: most of all it may begin something new. So
//! from Ending on nothing begins any more. What a call was given is dropped, and its Deferred fails, but
//! not inside of that call, which may stand in the drop of another such thing, and that in a third one's:
//! both are put on a list that the outermost works off, in rounds. Whoever begins anew in each of them is
//! left to itself in the end.
//!
//! # Invariants
//! * In Gone the tables hold nothing: a handle keeps the empty loop alive, and nothing else.

use super::{Loop, ReactorGone, run_reporting_panic};
use crate::deferred::{self, Deferred};
use crate::failure::{Failure, Place};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

#[derive(Default)]
pub(super) struct Ending {
    /// And whether somebody works `refused` off.
    stage: Cell<(Stage, bool)>,
    /// What was refused: its drop, and the failing of its Deferred. Borrowed to push and to take.
    refused: RefCell<Vec<Box<dyn FnOnce()>>>,
}

impl Ending {
    fn stage(&self) -> Stage {
        self.stage.get().0
    }

    fn set_stage(&self, stage: Stage) {
        self.stage.set((stage, self.stage.get().1));
    }

    /// Says whether somebody works `refused` off, and returns whether somebody did.
    fn set_refusing(&self, is_refusing: bool) -> bool {
        self.stage.replace((self.stage(), is_refusing)).1
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Alive,
    Doomed,
    Ending,
    Gone,
}

/// What is begun in a round is ended in the next, for so long.
const ROUNDS: usize = 8;

impl Loop {
    /// 1: the owner is gone, or the host of a simulation.
    pub(super) fn end(self: &Rc<Self>) {
        if self.is_entered() {
            return self.ending.set_stage(Stage::Doomed);
        }
        self.tear_down();
    }

    /// 2: a turn has ended, or a run of them.
    pub(super) fn end_if_doomed(self: &Rc<Self>) {
        if self.is_doomed() {
            self.tear_down();
        }
    }

    /// Whether the turn that is under way is the last.
    #[inline]
    pub(super) fn is_doomed(&self) -> bool {
        self.ending.stage() == Stage::Doomed
    }

    /// Whether nothing begins here any more.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.ending.stage(), Stage::Ending | Stage::Gone)
    }

    /// Fails once nothing begins here any more.
    #[inline]
    pub(crate) fn check_alive(&self) -> Result<(), ReactorGone> {
        if self.is_over() { Err(ReactorGone) } else { Ok(()) }
    }

    /// As `check_alive`, where errors are the system's.
    pub(crate) fn check_alive_io(&self) -> io::Result<()> {
        self.check_alive().map_err(io::Error::other)
    }

    /// The order is public documentation.
    fn tear_down(self: &Rc<Self>) {
        self.ending.set_stage(Stage::Ending);
        self.stop_running();
        self.timers.close();
        for message in self.remote.close() {
            run_reporting_panic("drop of a call from a thread", || drop(message));
        }
        self.drop_all();
        self.names.forget();
        self.abandon_threads();
        let strict = self.strict.take();
        run_reporting_panic("drop of a predicate of reports", || drop(strict));
        self.locals.clear();
        self.drop_refused();
        self.driver.close();
        self.ending.set_stage(Stage::Gone);
    }

    fn drop_all(&self) {
        self.sources.lose_all(&Failure::without_backtrace(ReactorGone));
        self.tasks.cancel_all();
        for action in self.timers.clear() {
            run_reporting_panic("drop of a delayed call", || drop(action));
        }
        self.forget_triggers();
    }

    /// Drops what was given to a call that came too late.
    pub(crate) fn refuse<T: 'static>(&self, what: T) {
        self.refuse_by(move || drop(what));
    }

    /// What a call that came too late gives: a failure. `given` is dropped.
    pub(crate) fn refused<G: 'static, T: 'static>(&self, given: G, made: Place) -> Deferred<T> {
        if self.ending.stage() == Stage::Gone {
            self.refuse(given);
            return deferred::fail(Failure::at(made, ReactorGone));
        }
        // An errback that tries again would be called inside of each other without end.
        let (trigger, deferred) = Deferred::new();
        self.refuse_by(move || {
            drop(given);
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.errback(Failure::at(made, ReactorGone));
        });
        deferred
    }

    pub(super) fn refuse_by(&self, work: impl FnOnce() + 'static) {
        self.ending.refused.borrow_mut().push(Box::new(work));
        if self.ending.stage() == Stage::Gone {
            self.drop_refused();
        }
    }

    fn drop_refused(&self) {
        if self.ending.set_refusing(true) {
            return;
        }
        for _ in 0..ROUNDS {
            for work in self.ending.refused.take() {
                run_reporting_panic("drop of what came after the end of a reactor", work);
            }
        }
        // Not dropped: that would begin it once more.
        std::mem::forget(self.ending.refused.take());
        self.ending.set_refusing(false);
    }
}
