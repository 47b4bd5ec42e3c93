//! Failures of several Deferreds as one.

use crate::failure::Failure;
use std::error::Error;
use std::fmt;

/// One Deferred of a list failed, and that ended the waiting for all.
///
/// Its source is the error of that one.
///
/// ```
/// use futures_util::FutureExt;
/// use ropewalk::deferred::FirstError;
/// use ropewalk::{fail, gather_results, succeed};
///
/// let all = gather_results([succeed(1), fail(std::fmt::Error)]);
/// let failure = all.now_or_never().unwrap().unwrap_err();
/// let first = failure.check::<FirstError>().unwrap();
/// assert_eq!(first.index(), 1);
/// assert!(first.failure().is::<std::fmt::Error>());
/// ```
#[derive(Debug)]
pub struct FirstError {
    pub(super) index: usize,
    pub(super) failure: Failure,
}

impl FirstError {
    /// Which of the list it was.
    ///
    /// ```
    /// use ropewalk::deferred::FirstError;
    /// use ropewalk::{fail, gather_results};
    ///
    /// let all = gather_results([fail::<()>(std::fmt::Error)]);
    /// all.add_errback(|failure| {
    ///     assert_eq!(failure.trap::<FirstError>()?.index(), 0);
    ///     Ok(vec![])
    /// });
    /// ```
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its failure.
    ///
    /// ```
    /// use ropewalk::deferred::FirstError;
    /// use ropewalk::{Failure, fail, gather_results};
    ///
    /// let all = gather_results([fail::<()>(Failure::msg("no"))]);
    /// all.add_errback(|failure| {
    ///     assert_eq!(failure.trap::<FirstError>()?.failure().to_string(), "no");
    ///     Ok(vec![])
    /// });
    /// ```
    #[doc(alias = "subFailure")]
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}

impl fmt::Display for FirstError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deferred {} of the list failed", self.index)
    }
}

impl Error for FirstError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.failure.error())
    }
}

/// Everybody in a [`race`](crate::race) failed.
///
/// ```
/// use futures_util::FutureExt;
/// use ropewalk::deferred::FailureGroup;
/// use ropewalk::{Failure, fail, race};
///
/// let lost = race([fail::<()>(Failure::msg("one")), fail(Failure::msg("two"))]);
/// let failure = lost.now_or_never().unwrap().unwrap_err();
/// let group = failure.check::<FailureGroup>().unwrap();
/// assert_eq!(group.failures()[1].to_string(), "two");
/// assert_eq!(failure.to_string(), "all failed: one; two");
/// ```
#[derive(Debug)]
pub struct FailureGroup {
    pub(super) failures: Vec<Failure>,
}

impl FailureGroup {
    /// The failures, in the order in which the Deferreds were given.
    ///
    /// ```
    /// let lost = ropewalk::race([ropewalk::fail::<()>(std::fmt::Error)]);
    /// lost.add_both(|result| {
    ///     let failure = result.unwrap_err();
    ///     let group = failure.check::<ropewalk::deferred::FailureGroup>().unwrap();
    ///     assert_eq!(group.failures().len(), 1);
    /// });
    /// ```
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

impl fmt::Display for FailureGroup {
    /// A loop: groups may lie within each other as deep as races do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut open = Vec::new();
        let mut group = Some(self);
        loop {
            if let Some(inner) = group.take() {
                f.write_str(if inner.failures.is_empty() { "nobody raced" } else { "all failed" })?;
                open.push(inner.failures.iter().enumerate());
            }
            let Some(failures) = open.last_mut() else { return Ok(()) };
            let Some((index, failure)) = failures.next() else {
                open.pop();
                continue;
            };
            f.write_str(if index == 0 { ": " } else { "; " })?;
            group = failure.check::<FailureGroup>();
            if group.is_none() {
                write!(f, "{failure}")?;
            }
        }
    }
}

impl Error for FailureGroup {}
