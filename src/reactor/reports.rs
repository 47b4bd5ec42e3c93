//! Reports as errors: a run in a test fails with what nobody handled.
//!
//! # Theory
//! A failure that reaches nobody ends in a report, and a report is a line that a test does not look at.
//! While a loop that is strict is entered, its [`FailOnReport`] hears of every report of the thread; the
//! run looks there after each turn, and ends with the first that was not expected.
//!
//! # Not here
//! What is reported, and by whom: each room says so itself. Reports between the runs are nobody's error:
//! they go where they always go.

use super::{Loop, Reactor};
use crate::failure::{Failure, Report, ReportScope, Result};
use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

impl Reactor {
    /// Makes every report that is not expected the error of the run in which it comes.
    ///
    /// For tests. A task that panicked, a failure that no errback handled, a protocol's error: whatever
    /// [`on_report`](crate::on_report) would hear of ends the run after that turn, and `run`, `run_until`
    /// and `turn` fail with an [`UnhandledFailure`]. What `is_expected` is true of is neither an error nor
    /// reported. Holds from the next run on; the last call counts.
    ///
    /// ```
    /// use ropewalk::reactor::UnhandledFailure;
    /// use ropewalk::{Failure, Reactor};
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.fail_on_report(|report| report.failure().is::<std::fmt::Error>());
    /// drop(reactor.spawn(async { Err::<(), Failure>(std::fmt::Error.into()) })); // expected
    /// reactor.run_until(async { Ok(()) })?;
    ///
    /// drop(reactor.spawn(async { Err::<(), Failure>(Failure::msg("nobody looks at this")) }));
    /// let failure = reactor.run_until(std::future::pending::<ropewalk::Result>()).unwrap_err();
    /// let unhandled = failure.check::<UnhandledFailure>().unwrap();
    /// assert_eq!(unhandled.failure().to_string(), "nobody looks at this");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn fail_on_report(&self, is_expected: impl Fn(&Report<'_>) -> bool + 'static) {
        let former = self.inner().strict.replace(Some(FailOnReport::new(is_expected)));
        drop(former);
    }
}

/// A failure that nobody handled, as the error of the run in which it was reported; see
/// [`Reactor::fail_on_report`] and [`Simulation::allow_reports`](crate::simulation::Simulation::allow_reports).
#[derive(Clone, Debug)]
pub struct UnhandledFailure {
    line: String,
    failure: Failure,
}

impl UnhandledFailure {
    /// `line` is what it says of itself: the report's line, and when it came.
    pub(crate) fn new(line: String, failure: Failure) -> UnhandledFailure {
        UnhandledFailure { line, failure }
    }

    /// The failure.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

/// The line that standard error would get.
impl fmt::Display for UnhandledFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Without a source: the line tells all of them.
impl Error for UnhandledFailure {}

/// Keeps the first report that nobody expected.
pub(crate) struct FailOnReport {
    is_expected: Box<dyn Fn(&Report<'_>) -> bool>,
    /// Borrowed to put one in and to take it.
    first: RefCell<Option<UnhandledFailure>>,
}

impl FailOnReport {
    pub(crate) fn new(is_expected: impl Fn(&Report<'_>) -> bool + 'static) -> Rc<FailOnReport> {
        Rc::new(FailOnReport { is_expected: Box::new(is_expected), first: RefCell::default() })
    }

    /// Hears of every report of this thread until what is returned is dropped.
    pub(crate) fn listen(self: &Rc<Self>) -> ReportScope {
        let own = self.clone();
        ReportScope::new(move |report| own.hear(report))
    }

    /// Whether the report was expected, and needs to go nowhere else.
    fn hear(&self, report: &Report<'_>) -> bool {
        let is_expected = (self.is_expected)(report);
        if !is_expected {
            let (line, failure) = (report.to_string(), report.failure().clone());
            self.first.borrow_mut().get_or_insert(UnhandledFailure { line, failure });
        }
        is_expected
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.first.borrow().is_some()
    }

    /// Fails with the first that nobody expected, once; it arose where that did.
    pub(crate) fn outcome(&self) -> Result {
        let first = self.first.take();
        first.map_or(Ok(()), |first| Err(Failure::at(first.failure.location(), first)))
    }
}

impl Loop {
    /// Hears of reports while the loop is entered, if they are errors here.
    pub(super) fn listen_for_reports(&self) -> Option<ReportScope> {
        let strict = self.strict.borrow().clone()?;
        // One that came in a run that failed by itself is that run's.
        strict.first.take();
        Some(strict.listen())
    }

    #[inline]
    pub(super) fn has_unexpected_report(&self) -> bool {
        self.strict.borrow().as_ref().is_some_and(|strict| strict.has_failed())
    }

    /// The report that ends the run, if reports do here and one came.
    pub(super) fn unexpected_report(&self) -> Result {
        let strict = self.strict.borrow().clone();
        strict.map_or(Ok(()), |strict| strict.outcome())
    }
}

#[cfg(test)]
mod tests {
    use crate::reactor::UnhandledFailure;
    use crate::{Failure, Reactor, Result, fail, on_report};
    use std::cell::Cell;
    use std::future::pending;
    use std::rc::Rc;
    use std::time::Duration;

    fn strict() -> Reactor {
        on_report(|_| ());
        let reactor = Reactor::new().unwrap();
        reactor.fail_on_report(|_| false);
        reactor
    }

    fn is_unhandled(outcome: Result, text: &str) -> bool {
        let failure = outcome.unwrap_err();
        failure.check::<UnhandledFailure>().is_some_and(|it| it.to_string().contains(text))
    }

    #[test]
    fn a_task_that_panicked_fails_the_run_until() {
        let reactor = strict();
        drop(reactor.spawn(async {
            if true {
                panic!("on purpose")
            }
        }));
        assert!(is_unhandled(reactor.run_until(pending::<Result>()), "on purpose"));
    }

    #[test]
    fn a_timer_that_panicked_fails_the_run_after_a_shutdown_in_order() {
        let reactor = strict();
        let shut_down = Rc::new(Cell::new(false));
        let flag = shut_down.clone();
        reactor.on_shutdown(move || flag.set(true));
        reactor.call_later(Duration::ZERO, || {
            if true {
                panic!("on purpose")
            }
        });
        assert!(is_unhandled(reactor.run(), "on purpose"));
        assert!(shut_down.get());
    }

    #[test]
    fn a_failure_that_nobody_handles_fails_the_turn_with_its_own_place() {
        let reactor = strict();
        let line = line!() + 1;
        drop(reactor.spawn(async { Err::<(), _>(Failure::msg("lost")) }));
        let failure = reactor.turn(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(
            (failure.location().unwrap().file(), failure.location().unwrap().line()),
            (file!(), line)
        );
        reactor.turn(Some(Duration::ZERO)).unwrap();
    }

    #[test]
    fn what_is_expected_is_neither_an_error_nor_reported() {
        let reports = Rc::new(Cell::new(0));
        let count = reports.clone();
        let reactor = strict();
        on_report(move |_| count.set(count.get() + 1));
        reactor.fail_on_report(|report| report.failure().to_string() == "expected");
        drop(reactor.spawn(async { Err::<(), _>(Failure::msg("expected")) }));
        reactor.run_until(async { Ok(()) }).unwrap();
        assert_eq!(reports.get(), 0);
    }

    #[test]
    fn a_report_between_the_runs_and_one_of_another_reactor_fail_no_run() {
        let (reactor, other) = (strict(), Reactor::new().unwrap());
        drop(fail::<()>(Failure::msg("between")));
        drop(other.spawn(async { Err::<(), _>(Failure::msg("elsewhere")) }));
        other.run_until(async { Ok(()) }).unwrap();
        reactor.run_until(async { Ok(()) }).unwrap();
    }

    #[test]
    fn the_last_report_of_a_future_that_succeeds_fails_it_all_the_same() {
        let reactor = strict();
        let outcome = reactor.run_until(async {
            drop(fail::<()>(Failure::msg("in passing")));
            Ok(())
        });
        assert!(is_unhandled(outcome, "in passing"));
    }
}
