// What goes wrong with services as such.

use crate::reactor::Left;
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

/// Some services did not stop in time, and were cut off.
#[derive(Debug)]
pub struct LateError(pub(super) Vec<Late>);

/// One that was cut off.
#[derive(Clone, Debug)]
pub struct Late {
    pub(super) name: String,
    pub(super) limit: Duration,
    pub(super) left: Left,
}

impl Late {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it had still.
    pub fn left(&self) -> &Left {
        &self.left
    }
}

impl LateError {
    /// Who was late, in the order in which that was seen.
    pub fn late(&self) -> &[Late] {
        &self.0
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Late { name, limit, left } = self;
        match left.is_empty() {
            true => write!(f, "{name}: its stop (after {limit:?})"),
            false => write!(f, "{name}: {left} (after {limit:?})"),
        }
    }
}

impl fmt::Display for LateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut off: ")?;
        for (i, late) in self.0.iter().enumerate() {
            write!(f, "{}{late}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl Error for LateError {}
