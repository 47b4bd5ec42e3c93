//! Why something ended: a cheap, shareable error that knows where it arose, and the one place where
//! errors that nobody handled are said aloud.
//!
//! # Theory
//!
//! A [`Failure`] is to this crate what an exception is to Twisted. Any standard error becomes one by
//! `?`, and the line of that `?` is remembered. It is one pointer wide, so `Result<T>` stays small, and
//! a clone shares: the same failure may reach an errback, a `connection_lost` and a log.
//!
//! A panic in code that the user gave us becomes a failure too ([`Panicked`]), by [`catch_panic`].
//!
//! A failure that reaches the end of the road ends in [`report`]: one line on standard error, or
//! whatever [`on_report`] asked for on this thread. Deferreds, tasks, timers and connections all report
//! here, so a test or a service has a single place to listen.
//!
//! # Invariants
//!
//! * The location never changes: passing a failure on, cloning it or wrapping it keeps the place where
//!   it arose.
//! * No borrow is alive while a hook runs, and a panic in a hook ends there.
//!
//! # What is not here
//!
//! The errors themselves: each stands in the room that makes it. A `Failure` is not an
//! [`std::error::Error`], or the conversion from every error could not be written; it derefs to one, and
//! becomes one as [`FailureError`].

mod attached;
mod boxed;
mod nested;
mod panicked;
mod peers;
mod report;

pub use boxed::FailureError;
pub use panicked::Panicked;
pub(crate) use panicked::{catch_panic, catch_payload, panicked};
pub(crate) use peers::tell_peer_fault;
pub use peers::{on_peer_fault, peer_faults};
pub use report::{Report, on_report};
pub(crate) use report::{ReportScope, report, report_made, tell, tell_hook, told};

use std::any::TypeId;
use std::backtrace::Backtrace;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A result whose error is a [`Failure`], unless told otherwise.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// A line of source code.
pub(crate) type Place = &'static Location<'static>;

/// Where our own code was called from nobody's: a line of ours would tell a user nothing.
pub(crate) const NO_PLACE: Option<Place> = None;

/// Any error, with the place where it arose.
///
/// `?` and [`into`](Into::into) make one of any standard error, [`Failure::msg`] of a text, and
/// [`Failure::from_boxed`] of an error in a box.
///
/// `?` makes a `Box<dyn Error>` of a failure as well, and with `thiserror` any error with a variant
/// `#[from] Failure`. For `anyhow` there is a word in between: `.map_err(Failure::into_error)?`.
///
/// ```
/// use std::num::ParseIntError;
///
/// fn parse(text: &str) -> ropewalk::Result<u32> {
///     Ok(text.parse()?)
/// }
/// let failure = parse("seven").unwrap_err();
/// assert!(failure.is::<ParseIntError>());
/// assert_eq!(failure.to_string(), "invalid digit found in string");
/// assert!(failure.location().unwrap().line() < line!()); // the line of the `?`
/// ```
#[derive(Clone)]
pub struct Failure(Arc<Arisen>);

struct Arisen {
    error: Box<dyn Error + Send + Sync>,
    /// A line of the user's, if it arose in one.
    location: Option<Place>,
    backtrace: Backtrace,
    /// It says that the reactor ended, or was stopped.
    is_of_an_end: bool,
    /// It says what a peer did wrong.
    is_of_peer: AtomicBool,
    /// What went wrong because of it.
    attached: OnceLock<Failure>,
}

impl Failure {
    /// Makes a failure of a text alone.
    ///
    /// ```
    /// let failure = ropewalk::Failure::msg("the peer sent no greeting");
    /// assert_eq!(failure.to_string(), "the peer sent no greeting");
    /// ```
    #[track_caller]
    pub fn msg(text: impl fmt::Display) -> Failure {
        Failure::at(Location::caller(), Message(text.to_string()))
    }

    /// Makes a failure that arose elsewhere than in the caller.
    pub(crate) fn at(
        location: impl Into<Option<Place>>,
        error: impl Error + Send + Sync + 'static,
    ) -> Failure {
        Failure::arisen(location.into(), error, Backtrace::capture())
    }

    /// Makes a failure that arose in the loop, of no call of the user's.
    ///
    /// Without a place and a backtrace: they would tell of the loop alone, and a server that is asked for
    /// backtraces would make one for every peer that hangs up.
    pub(crate) fn without_backtrace(error: impl Error + Send + Sync + 'static) -> Failure {
        Failure::arisen(NO_PLACE, error, Backtrace::disabled())
    }

    /// As `without_backtrace`, of a text alone.
    pub(crate) fn in_loop_msg(text: impl fmt::Display) -> Failure {
        Failure::without_backtrace(Message(text.to_string()))
    }

    /// Says that it arose elsewhere than where it was made, which was just now: in a call of the user's, for
    /// whoever reports on that call's behalf.
    ///
    /// ```
    /// use ropewalk::Failure;
    /// use std::panic::Location;
    ///
    /// let line = Location::caller();
    /// assert_eq!(Failure::msg("nobody answers").arose_at(line).location(), Some(line));
    /// ```
    #[must_use]
    pub fn arose_at(mut self, place: &'static Location<'static>) -> Failure {
        if let Some(arisen) = Arc::get_mut(&mut self.0) {
            arisen.location = Some(place);
        }
        self
    }

    fn arisen(
        location: Option<Place>,
        error: impl Error + Send + Sync + 'static,
        backtrace: Backtrace,
    ) -> Failure {
        Failure::whole(location, Box::new(error), backtrace)
    }

    fn whole(
        location: Option<Place>,
        error: Box<dyn Error + Send + Sync>,
        backtrace: Backtrace,
    ) -> Failure {
        let (is_of_an_end, is_of_peer) = (false, AtomicBool::new(false));
        let attached = OnceLock::new();
        Failure(Arc::new(Arisen { error, location, backtrace, is_of_an_end, is_of_peer, attached }))
    }

    /// Marks it as one that the end of a reactor is the reason of: nobody is told that nobody handled it.
    pub(crate) fn of_an_end(mut self) -> Failure {
        if let Some(arisen) = Arc::get_mut(&mut self.0) {
            arisen.is_of_an_end = true;
        }
        self
    }

    /// Tells it as one that nobody handled: a line on standard error, or what [`on_report`] makes of it.
    /// `what` names what came to grief.
    ///
    /// ```
    /// use ropewalk::Failure;
    ///
    /// if let Err(error) = std::fs::read("/etc/no-such-file") {
    ///     Failure::from(error).report("settings not read"); // and goes on without
    /// }
    /// ```
    pub fn report(&self, what: &str) {
        report::report(what, self);
    }

    /// Marks it as the fault of the peer: one that `data_received` or a handler ends its connection with
    /// is counted, and told to [`on_peer_fault`], instead of being reported. Clones are marked as well.
    ///
    /// ```
    /// use ropewalk::{Failure, Protocol, Result, Transport};
    ///
    /// struct Greeted;
    /// impl Protocol for Greeted {
    ///     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
    ///         if data.starts_with(b"EHLO") { Ok(()) } else { Err(Failure::msg("no greeting").of_peer()) }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn of_peer(self) -> Failure {
        self.0.is_of_peer.store(true, Ordering::Relaxed);
        self
    }

    /// Whether it, or a failure that lies under it, was marked with [`of_peer`](Failure::of_peer).
    ///
    /// ```
    /// # use ropewalk::Failure;
    /// assert!(Failure::msg("no greeting").of_peer().is_of_peer());
    /// assert!(!Failure::msg("no disk").is_of_peer());
    /// ```
    pub fn is_of_peer(&self) -> bool {
        let is_marked = |failure: &Failure| failure.0.is_of_peer.load(Ordering::Relaxed);
        is_marked(self)
            || self.chain().any(|error| {
                let inside = error.downcast_ref().and_then(std::io::Error::get_ref);
                let inside = inside.and_then(|inside| inside.downcast_ref::<FailureError>());
                let under = error.downcast_ref::<FailureError>().or(inside);
                under.is_some_and(|under| under.failure().is_of_peer())
            })
    }

    /// The error, if it is an `E`.
    ///
    /// Twisted's `check` takes several types and returns the one that matched; here each question is
    /// its own call, and the answer is the error.
    ///
    /// ```
    /// use std::io;
    ///
    /// let failure = ropewalk::Failure::from(io::Error::from(io::ErrorKind::TimedOut));
    /// assert_eq!(failure.check::<io::Error>().unwrap().kind(), io::ErrorKind::TimedOut);
    /// assert!(failure.check::<std::fmt::Error>().is_none());
    /// ```
    pub fn check<E: Error + 'static>(&self) -> Option<&E> {
        self.0.error.downcast_ref()
    }

    /// Whether the error is an `E`.
    ///
    /// ```
    /// assert!(ropewalk::Failure::from(std::fmt::Error).is::<std::fmt::Error>());
    /// ```
    pub fn is<E: Error + 'static>(&self) -> bool {
        self.0.error.is::<E>()
    }

    /// The error if it is an `E`, or this same failure again, ready for `?`.
    ///
    /// The first line of an errback that handles one kind of error and passes on the others.
    ///
    /// ```
    /// use futures_util::FutureExt;
    /// use ropewalk::{Deferred, fail};
    /// use std::num::ParseIntError;
    ///
    /// let d: Deferred<u32> = fail("x".parse::<u32>().unwrap_err());
    /// let d = d.add_errback(|failure| {
    ///     failure.trap::<ParseIntError>()?;
    ///     Ok(0)
    /// });
    /// assert_eq!(d.now_or_never().unwrap().unwrap(), 0);
    /// ```
    pub fn trap<E: Error + 'static>(&self) -> Result<&E> {
        self.check().ok_or_else(|| self.clone())
    }

    /// The error itself, whatever its type.
    ///
    /// ```
    /// let failure = ropewalk::Failure::from(std::fmt::Error);
    /// assert_eq!(failure.error().to_string(), std::fmt::Error.to_string());
    /// ```
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0.error
    }

    /// What lies under the error, if it says so.
    ///
    /// ```
    /// assert!(ropewalk::Failure::msg("no deeper").source().is_none());
    /// ```
    pub fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.error.source()
    }

    /// The error, what lies under it, and so on down.
    ///
    /// ```
    /// assert_eq!(ropewalk::Failure::msg("alone").chain().count(), 1);
    /// ```
    pub fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let first: &(dyn Error + 'static) = self.error();
        std::iter::successors(Some(first), |&error| error.source())
    }

    /// Where the failure arose: the line of the `?`, of the `errback`, of the [`Failure::msg`]. `None` if
    /// it arose in no line of yours, as the end of a connection does, or a panic, which tells its place
    /// itself.
    ///
    /// ```
    /// let failure = ropewalk::Failure::msg("here");
    /// assert!(failure.location().unwrap().file().ends_with(".rs"));
    /// ```
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.0.location
    }

    /// The stack at the time, if `RUST_BACKTRACE` asked for it; that a connection ended has none.
    ///
    /// ```
    /// use std::backtrace::BacktraceStatus;
    ///
    /// let failure = ropewalk::Failure::msg("here");
    /// assert_ne!(failure.backtrace().status(), BacktraceStatus::Unsupported);
    /// ```
    pub fn backtrace(&self) -> &Backtrace {
        &self.0.backtrace
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Failure {
        // Settled when it is compiled.
        if TypeId::of::<E>() == TypeId::of::<FailureError>() {
            return Failure::from_boxed(Box::<dyn Error + Send + Sync>::from(error));
        }
        Failure::at(Location::caller(), error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

/// The whole story, for a `main` that returns it: the error, its sources, its place.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        for source in self.chain().skip(1) {
            write!(f, "\n  because: {source}")?;
        }
        if let Some(later) = self.attached() {
            write!(f, "\n  and then: {later}")?;
        }
        if let Some(location) = self.location() {
            write!(f, "\n  arose at {}", Line(location))?;
        }
        if self.backtrace().status() == std::backtrace::BacktraceStatus::Captured {
            write!(f, "\n{}", self.backtrace())?;
        }
        Ok(())
    }
}

/// The error of [`Failure::msg`].
#[derive(Debug)]
struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Message {}

/// A location without its column.
struct Line(Place);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

/// That a reactor has ended, or was stopped, is nobody's failure.
pub(crate) fn is_of_an_end(failure: &Failure) -> bool {
    let is_end =
        |error: &(dyn Error + 'static)| error.is::<ReactorGone>() || error.is::<ReactorStopped>();
    failure.0.is_of_an_end
        || failure.chain().any(|error| {
            let inside = error.downcast_ref().and_then(std::io::Error::get_ref);
            is_end(error) || inside.is_some_and(|inside| is_end(inside))
        })
}

/// An error that is its text and nothing more.
macro_rules! plain_error {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($text)
            }
        }

        impl std::error::Error for $name {}
    };
}
pub(crate) use plain_error;

plain_error! {
    /// The reactor has ended, with the value that made it.
    ReactorGone, "the reactor is gone"
}
plain_error! {
    /// The reactor stopped before what was waited for had happened.
    ReactorStopped, "the reactor was stopped"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::backtrace::BacktraceStatus;
    use std::num::ParseIntError;
    use std::process::Command;

    fn parse(text: &str) -> Result<u32> {
        Ok(text.parse()?)
    }

    #[test]
    fn a_failure_is_one_pointer_wide() {
        assert_eq!(size_of::<Failure>(), 8);
        assert_eq!(size_of::<Result>(), 8);
    }

    #[test]
    fn the_question_mark_records_its_own_line() {
        let failure = parse("x").unwrap_err();
        assert_eq!(failure.location().unwrap().file(), file!());
        assert_eq!(failure.location().unwrap().line(), line!() - 13);
    }

    /// Whether backtraces are made is settled once for a process: this one asks for them in its own.
    #[test]
    fn what_arises_in_the_loop_has_no_backtrace_where_the_users_own_has_one() {
        const NAME: &str = "what_arises_in_the_loop_has_no_backtrace_where_the_users_own_has_one";
        if std::env::var("RUST_LIB_BACKTRACE").as_deref() != Ok("1") {
            let mut test = Command::new(std::env::current_exe().unwrap());
            test.env("RUST_LIB_BACKTRACE", "1").args([NAME, "--nocapture"]);
            return assert!(test.status().unwrap().success());
        }
        assert_eq!(parse("x").unwrap_err().backtrace().status(), BacktraceStatus::Captured);
        assert_eq!(
            Failure::without_backtrace(fmt::Error).backtrace().status(),
            BacktraceStatus::Disabled
        );
    }

    #[test]
    fn check_and_trap_know_the_type() {
        let failure = parse("x").unwrap_err();
        assert!(failure.is::<ParseIntError>() && failure.trap::<ParseIntError>().is_ok());
        assert!(failure.check::<fmt::Error>().is_none());
        let same = failure.trap::<fmt::Error>().unwrap_err();
        assert_eq!(same.location(), failure.location());
    }

    #[test]
    fn debug_tells_the_whole_story() {
        let deep = std::io::Error::other(fmt::Error);
        let text = format!("{:?}", Failure::from(deep));
        assert!(text.contains("arose at src/failure/mod.rs:"), "{text}");
    }
}
