// What goes wrong with services as such.

use crate::Failure;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A service was asked for what its state does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceError {
    /// A sibling has that name.
    NameTaken(String),
    /// It was started before, and not stopped since.
    AlreadyStarted(String),
    /// It was stopped before it was ready.
    Stopped(String),
    /// It was not ready in time.
    NotReady(String, Duration),
    /// It ended before it said that it was ready.
    EndedEarly(String),
    /// It is gone.
    Gone(String),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceError::NameTaken(name) => write!(f, "there is a service {name} there already"),
            ServiceError::AlreadyStarted(name) => write!(f, "{name} was started already"),
            ServiceError::Stopped(name) => write!(f, "{name} was stopped before it was ready"),
            ServiceError::NotReady(name, limit) => write!(f, "{name} was not ready in {limit:?}"),
            ServiceError::EndedEarly(name) => write!(f, "{name} ended before it was ready"),
            ServiceError::Gone(name) => write!(f, "{name} is gone"),
        }
    }
}

impl Error for ServiceError {}

/// A service failed, and is started again.
#[derive(Debug)]
pub struct FailedError {
    pub(super) name: String,
    pub(super) cause: Failure,
    pub(super) again_in: Duration,
}

impl FailedError {
    /// Which.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it failed with.
    pub fn cause(&self) -> &Failure {
        &self.cause
    }
}

impl fmt::Display for FailedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedError { name, cause, again_in } = self;
        write!(f, "{name} failed, and is started again in {again_in:.1?}: {cause}")
    }
}

impl Error for FailedError {}

/// A service ended more often than its parent starts it again: the parent has failed.
#[derive(Debug)]
pub struct TooManyRestartsError {
    pub(super) name: String,
    pub(super) most: u32,
    pub(super) period: Duration,
    /// Absent if it ended without a failure.
    pub(super) cause: Option<Failure>,
}

impl TooManyRestartsError {
    /// Which service ended last.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it ended with, if that was a failure.
    pub fn cause(&self) -> Option<&Failure> {
        self.cause.as_ref()
    }
}

impl fmt::Display for TooManyRestartsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooManyRestartsError { name, most, period, cause } = self;
        write!(f, "{name} ended again after {most} restarts in {period:?}")?;
        cause.as_ref().map_or(Ok(()), |cause| write!(f, ": {cause}"))
    }
}

impl Error for TooManyRestartsError {}

/// A failure that trying again does not mend: a password that is wrong, a host that nobody knows.
///
/// A [`ClientService`](super::ClientService) ends by it, and no service that fails with it is started again
/// unless it is [`Permanent`](super::RestartType::Permanent).
///
/// ```
/// use ropewalk::Failure;
/// use ropewalk::service::Permanent;
///
/// let failure = Permanent::of(Failure::msg("wrong password"));
/// assert!(failure.is::<Permanent>());
/// assert_eq!(failure.to_string(), "wrong password");
/// ```
#[derive(Debug)]
pub struct Permanent(Failure);

impl Permanent {
    /// Marks a failure; one that is marked stays as it is.
    #[track_caller]
    pub fn of(failure: impl Into<Failure>) -> Failure {
        let failure = failure.into();
        if failure.is::<Permanent>() { failure } else { Failure::from(Permanent(failure)) }
    }

    /// What is permanent.
    pub fn cause(&self) -> &Failure {
        &self.0
    }
}

impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Permanent {}
