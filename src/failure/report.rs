//! Saying aloud what nobody handled: to the scopes that listen, to the user's hook, or on standard error.
//!
//! # Invariants
//! * No borrow is alive while a hook or a filter runs, and a panic in one ends there.

use super::{Failure, Line, NO_PLACE, Place, catch_panic, is_of_an_end};
use crate::address::Address;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::Write;
use std::panic::Location;
use std::rc::Rc;

/// A failure that nobody handled, as [`on_report`] hears of it.
///
/// Displayed, it is the line that standard error would get.
///
/// ```
/// ropewalk::on_report(|report| {
///     assert!(report.to_string().starts_with("unhandled failure in Deferred: lost, made at "));
///     assert_eq!(report.failure().to_string(), "lost");
/// });
/// drop(ropewalk::fail::<()>(ropewalk::Failure::msg("lost")));
/// ```
#[derive(Debug)]
pub struct Report<'a> {
    what: &'a str,
    failure: &'a Failure,
    made: Option<Place>,
    /// The peer's and this end's.
    addresses: (Option<&'a Address>, Option<&'a Address>),
}

impl<'a> Report<'a> {
    /// A report of what came to grief, why, and where that was made.
    ///
    /// For who runs code of others, and has nobody to give their failures to.
    ///
    /// ```
    /// use ropewalk::{Failure, Report};
    ///
    /// ropewalk::on_report(|report| assert_eq!(report.what(), "failure in a plugin"));
    /// let failure = Failure::msg("out of paper");
    /// Report::new("failure in a plugin", &failure, None).tell();
    /// ```
    pub fn new(
        what: &'a str,
        failure: &'a Failure,
        made: Option<&'static Location<'static>>,
    ) -> Report<'a> {
        Report { what, failure, made, addresses: (None, None) }
    }

    /// Says it aloud: to whoever [`on_report`] asked, or on standard error.
    pub fn tell(&self) {
        tell(self);
    }

    /// Names the connection that it is about, by the peer's address and this end's.
    #[must_use]
    pub fn of(self, peer: &'a Address, host: Option<&'a Address>) -> Report<'a> {
        Report { addresses: (Some(peer), host), ..self }
    }

    /// The peer, if it is about a connection.
    pub fn peer(&self) -> Option<&'a Address> {
        self.addresses.0
    }

    /// This end's address, if it is about a connection and known.
    pub fn host(&self) -> Option<&'a Address> {
        self.addresses.1
    }

    /// What came to grief: `unhandled failure in Deferred`, `panic in timer`.
    ///
    /// ```
    /// ropewalk::on_report(|report| assert_eq!(report.what(), "unhandled failure in Deferred"));
    /// drop(ropewalk::fail::<()>(ropewalk::Failure::msg("lost")));
    /// ```
    pub fn what(&self) -> &'a str {
        self.what
    }

    /// The failure.
    ///
    /// ```
    /// ropewalk::on_report(|report| assert!(report.failure().is::<std::fmt::Error>()));
    /// drop(ropewalk::fail::<()>(std::fmt::Error));
    /// ```
    pub fn failure(&self) -> &'a Failure {
        self.failure
    }

    /// Where the thing that failed was made, if it remembers.
    ///
    /// ```
    /// let line = line!() + 2;
    /// ropewalk::on_report(move |report| assert_eq!(report.made().unwrap().line(), line));
    /// drop(ropewalk::fail::<()>(std::fmt::Error));
    /// ```
    pub fn made(&self) -> Option<&'static Location<'static>> {
        self.made
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.failure)?;
        for source in self.failure.chain().skip(1) {
            write!(f, ": {source}")?;
        }
        if let Some(later) = self.failure.attached() {
            write!(f, ", and then: {later}")?;
        }
        if let Some(peer) = self.peer() {
            write!(f, ", peer {peer}")?;
        }
        if let Some(host) = self.host() {
            write!(f, ", host {host}")?;
        }
        if let Some(made) = self.made {
            write!(f, ", made at {}", Line(made))?;
        }
        match self.failure.location() {
            Some(location) => write!(f, ", arose at {}", Line(location)),
            None => Ok(()),
        }
    }
}

type Hook = Rc<dyn Fn(&Report<'_>)>;
/// Hears of a report before the hook does; true: nobody else needs to.
type Filter = Rc<dyn Fn(&Report<'_>) -> bool>;

thread_local! {
    /// How many failures nobody handled, in this thread.
    static TOLD: Cell<u64> = const { Cell::new(0) };
    /// Borrowed only to clone or replace the hook.
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    /// The last is asked first. Borrowed to clone one, to push and to remove.
    static FILTERS: RefCell<Vec<Filter>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, its filter hears of the reports of this thread.
pub(crate) struct ReportScope(Filter);

impl ReportScope {
    pub(crate) fn new(filter: impl Fn(&Report<'_>) -> bool + 'static) -> ReportScope {
        let filter: Filter = Rc::new(filter);
        FILTERS.with_borrow_mut(|filters| filters.push(filter.clone()));
        ReportScope(filter)
    }
}

impl Drop for ReportScope {
    fn drop(&mut self) {
        // A thread that is ending has no filters any more.
        let _ = FILTERS.try_with(|filters| {
            let mut filters = filters.borrow_mut();
            if let Some(place) = filters.iter().rposition(|it| Rc::ptr_eq(it, &self.0)) {
                // Not the last: what the filter holds is dropped with `self`, after the borrow.
                filters.remove(place);
            }
        });
    }
}

fn is_filtered(report: &Report<'_>) -> bool {
    let count = FILTERS.try_with(|filters| filters.borrow().len()).unwrap_or(0);
    (0..count).rev().any(|place| {
        let filter = FILTERS.try_with(|filters| filters.borrow().get(place).cloned());
        let Ok(Some(filter)) = filter else { return false };
        // One that panics has seen to nothing.
        catch_panic(NO_PLACE, || filter(report)).unwrap_or(false)
    })
}

/// Hears, on this thread and from now on, of every failure that nobody handled.
///
/// Without a hook each is one line on standard error. A test makes it fail, a service counts it. What a
/// peer did wrong is none of these: see [`on_peer_fault`](crate::on_peer_fault).
///
/// ```
/// use std::{cell::Cell, rc::Rc};
///
/// let unhandled = Rc::new(Cell::new(0));
/// let count = unhandled.clone();
/// ropewalk::on_report(move |_| count.set(count.get() + 1));
/// drop(ropewalk::fail::<()>(ropewalk::Failure::msg("lost")));
/// assert_eq!(unhandled.get(), 1);
/// ```
pub fn on_report(hook: impl Fn(&Report<'_>) + 'static) {
    let old = HOOK.replace(Some(Rc::new(hook)));
    drop(old);
}

/// Says aloud that `failure` was handled by nobody; `what` names what came to grief.
pub(crate) fn report(what: &str, failure: &Failure) {
    tell(&Report::new(what, failure, None));
}

/// As [`report`], for a thing that knows where it was made.
pub(crate) fn report_made(what: &str, failure: &Failure, made: Place) {
    tell(&Report::new(what, failure, Some(made)));
}

pub(crate) fn tell(report: &Report<'_>) {
    if is_of_an_end(report.failure) || is_filtered(report) {
        return;
    }
    let _ = TOLD.try_with(|told| told.set(told.get() + 1));
    if !tell_hook(report) {
        print(&report.to_string());
    }
}

/// How many this thread was told of and nobody expected.
pub(crate) fn told() -> u64 {
    TOLD.try_with(Cell::get).unwrap_or(0)
}

/// Tells the user's hook, if there is one.
pub(crate) fn tell_hook(report: &Report<'_>) -> bool {
    // A thread that is ending has no hook any more: standard error then.
    let hook = HOOK.try_with(|hook| hook.borrow().clone()).ok().flatten();
    let Some(hook) = hook else { return false };
    if let Err(failure) = catch_panic(NO_PLACE, || hook(report)) {
        print(&format!("report hook: {failure}; it was told: {report}"));
    }
    true
}

/// Not `eprintln!`: that panics when standard error is closed.
pub(super) fn print(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_and_both_places() {
        let heard = Rc::new(RefCell::new(String::new()));
        let sink = heard.clone();
        on_report(move |report| *sink.borrow_mut() = report.to_string());
        let failure = Failure::msg("lost");
        report_made("unhandled failure in Deferred", &failure, Location::caller());
        let line = failure.location().unwrap().line();
        let want = format!(
            "unhandled failure in Deferred: lost, made at {0}:{1}, arose at {0}:{line}",
            file!(),
            line + 1
        );
        assert_eq!(*heard.borrow(), want);
    }

    #[test]
    fn a_panic_in_the_hook_ends_there() {
        on_report(|_| panic!("in the hook"));
        report("panic in timer", &Failure::msg("first"));
    }

    #[test]
    fn a_hook_may_replace_itself() {
        on_report(|_| on_report(|_| ()));
        report("panic in timer", &Failure::msg("first"));
    }
}
