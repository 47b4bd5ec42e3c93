//! What nobody handled while a simulation ran: kept, and told as the failure of the run.
//!
//! # Theory
//! Whatever is reported on a thread while hosts take turns, or while a program is booted, crashed or
//! restarted, belongs to the simulation that does it; what is reported between runs, to the newest
//! simulation of the thread. The first report that nobody allowed fails the run under way and every
//! later one; one that no run has told panics when the simulation goes, so that no test passes over it.
//!
//! # Invariants
//! * No failure of a run: what the network did to a connection, a fault that the simulation injected,
//!   and what programs complain of while a crash takes them away, panics excepted.
//! * A predicate of the user's is called with no borrow alive.

use super::fault::Injected;
use super::run::World;
use crate::deferred::Cancelled;
use crate::failure::{
    Failure, Panicked, Place, Report, ReportScope, Result, catch_panic, tell_hook,
};
use crate::net::is_of_connection;
use crate::reactor::UnhandledFailure;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

type Predicate = Rc<dyn Fn(&Report<'_>) -> bool>;

/// What a simulation was told of failures that nobody handled.
#[derive(Default)]
pub(super) struct Reports {
    /// Borrowed to add one or to copy the list; predicates are called outside of that.
    allowed: RefCell<Vec<Predicate>>,
    /// The first report that nobody allowed.
    failure: RefCell<Option<Failure>>,
    standing: Cell<Standing>,
}

#[derive(Clone, Copy, Default)]
struct Standing {
    has_failed: bool,
    /// A run has returned it.
    is_told: bool,
    /// A host crashes, or the world ends: what programs complain of now, no real one would live to say.
    is_ending: bool,
}

/// A report as the failure of a run: it arose where what was reported did, or where that was made.
fn unhandled(when: fmt::Arguments<'_>, report: &Report<'_>) -> Failure {
    let failure = report.failure();
    let place = users_place(failure).or(report.made());
    let error = UnhandledFailure::new(format!("{when}{report}"), failure.clone());
    Failure::at(place.or(failure.location()), error)
}

/// The place, if it is not in this crate's own code.
pub(super) fn users_place(failure: &Failure) -> Option<Place> {
    let place = failure.location()?;
    const OWN: &str = file!();
    let own = OWN.strip_suffix("simulation/reports.rs").unwrap_or(OWN);
    (!place.file().starts_with(own)).then_some(place)
}

/// Whether a failure came from the network or from a fault that was asked for.
fn is_of_network(failure: &Failure) -> bool {
    is_of_connection(failure) || failure.chain().any(is_injected)
}

fn is_injected(error: &(dyn Error + 'static)) -> bool {
    if error.is::<Injected>() {
        return true;
    }
    // What an `io::Error` was made of is not its source: it stands for it.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.is_some_and(|inner| {
        let first: &(dyn Error + 'static) = inner;
        std::iter::successors(Some(first), |&error| error.source()).any(is_injected)
    })
}

impl Reports {
    pub(super) fn allow(&self, is_allowed: impl Fn(&Report<'_>) -> bool + 'static) {
        self.allowed.borrow_mut().push(Rc::new(is_allowed));
    }

    fn is_allowed(&self, report: &Report<'_>) -> bool {
        let allowed = self.allowed.borrow().clone();
        allowed.iter().any(|is_allowed| is_allowed(report))
    }

    /// Whether it is no failure of the program's, whatever a test allows.
    fn is_excused(&self, report: &Report<'_>) -> bool {
        let failure = report.failure();
        let is_last_word = self.standing.get().is_ending && !failure.is::<Panicked>();
        // A simulated host has too few descriptors only if a test wants it so.
        let is_wanted = report.what() == "port without descriptors" || is_of_network(failure);
        is_last_word || is_wanted || failure.is::<Cancelled>()
    }

    fn keep(&self, failure: Failure) {
        tell_judge(&failure);
        self.standing.set(Standing { has_failed: true, ..self.standing.get() });
        self.failure.borrow_mut().get_or_insert(failure);
    }

    /// What a host's end makes its program say, panics excepted, is nothing that would be said.
    pub(super) fn while_ending(&self, end: impl FnOnce()) {
        let was_ending = self.standing.get().is_ending;
        self.standing.set(Standing { is_ending: true, ..self.standing.get() });
        end();
        self.standing.set(Standing { is_ending: was_ending, ..self.standing.get() });
    }
}

impl World {
    /// Until what this returns is dropped, whatever is reported in this thread is this world's.
    pub(super) fn observe(self: &Rc<World>) -> ReportScope {
        let world = Rc::downgrade(self);
        ReportScope::new(move |report| {
            let Some(world) = world.upgrade() else { return false };
            world.hear(report);
            true
        })
    }

    fn hear(&self, report: &Report<'_>) {
        let is_excused = self.reports.is_excused(report);
        if !is_excused && self.reports.is_allowed(report) {
            return;
        }
        if !is_excused {
            let (seed, at) = (self.state.borrow().seed, Duration::from_nanos(self.time()));
            self.reports.keep(unhandled(format_args!("at {at:?} of seed {seed}, "), report));
        }
        tell_hook(report);
    }

    /// Fails if something was reported that nobody allowed.
    #[inline]
    pub(super) fn verdict(&self) -> Result {
        if self.reports.standing.get().has_failed { self.fail() } else { Ok(()) }
    }

    fn fail(&self) -> Result {
        let standing = &self.reports.standing;
        standing.set(Standing { is_told: true, ..standing.get() });
        self.reports.failure.borrow().clone().map_or(Ok(()), Err)
    }

    /// As `verdict`, for a reactor that runs by itself: its wait fails.
    pub(super) fn verdict_of_wait(&self) -> io::Result<()> {
        self.verdict().map_err(|failure| as_io_error(&failure))
    }

    /// What was reported and no run has told.
    pub(super) fn untold(&self) -> Option<Failure> {
        let failure = self.reports.failure.borrow().clone();
        failure.filter(|_| !self.reports.standing.get().is_told && !is_judged())
    }
}

pub(super) fn as_io_error(failure: &Failure) -> io::Error {
    match failure.check::<UnhandledFailure>() {
        Some(unhandled) => io::Error::other(unhandled.clone()),
        None => io::Error::other(failure.to_string()),
    }
}

// ---- many runs ----

type Heard = Rc<RefCell<Option<Failure>>>;

thread_local! {
    /// What the runs in progress hear of their simulations, the innermost last. Borrowed to look or to
    /// change.
    static JUDGED: RefCell<Vec<Heard>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, reports in this thread's simulations fail what is being judged.
struct Judging;

impl Drop for Judging {
    fn drop(&mut self) {
        let _ = JUDGED.try_with(|judged| judged.borrow_mut().pop());
    }
}

fn is_judged() -> bool {
    JUDGED.try_with(|judged| !judged.borrow().is_empty()).unwrap_or(false)
}

fn tell_judge(failure: &Failure) {
    let heard = JUDGED.try_with(|judged| judged.borrow().last().cloned());
    if let Ok(Some(heard)) = heard {
        heard.borrow_mut().get_or_insert_with(|| failure.clone());
    }
}

/// Runs a scenario or property: it fails by what it returns, by a panic, or by what was reported in a
/// simulation of its own or outside of any, even if it did not look.
pub(super) fn judge(place: Place, code: impl FnOnce() -> Result) -> Result {
    let heard = Heard::default();
    JUDGED.with(|judged| judged.borrow_mut().push(heard.clone()));
    let judging = Judging;
    let observing = ReportScope::new(|report| {
        if !(report.failure().is::<Cancelled>() || is_of_network(report.failure())) {
            tell_judge(&unhandled(format_args!(""), report));
        }
        tell_hook(report);
        true
    });
    let outcome = catch_panic(place, code).and_then(|outcome| outcome);
    drop((observing, judging));
    let heard = heard.take();
    outcome.and(heard.map_or(Ok(()), Err))
}

/// A place of the user's to blame: the failure's own, or the call's that failed with it.
pub(super) fn place_of(failure: &Failure, caller: &'static Location<'static>) -> Place {
    users_place(failure).unwrap_or(caller)
}
