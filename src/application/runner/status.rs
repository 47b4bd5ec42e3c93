//! How a program ends, as a number and a line.

use crate::endpoint::EndpointError;
use crate::failure::Failure;
use crate::net::ListenError;
use crate::reactor::Signal;
use std::fmt;
use std::io;

/// What the system is told of a program that did not do what it was to do, in the numbers of BSD's
/// `sysexits.h`.
///
/// ```
/// use ropewalk::application::runner::Status;
///
/// assert_eq!(Status::Usage.code(), 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// 1: something failed.
    Failed,
    /// 64: it was called in a way that it does not know.
    Usage,
    /// 77: it may not do what it is to do.
    Permission,
    /// 78: what it was configured by cannot be used.
    Configuration,
    /// 128 and the number of the signal that cut it short.
    Signal(u8),
}

impl Status {
    /// Of a program that a signal cut short.
    pub(super) fn of_signal(signal: Signal) -> Status {
        Status::Signal(u8::try_from(signal.number()).unwrap_or(0))
    }

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Status::Failed => 1,
            Status::Usage => 64,
            Status::Permission => 77,
            Status::Configuration => 78,
            Status::Signal(number) => 128 + (number & 0x7f),
        }
    }
}

/// Why a program was not started, or ended before its time: one line and a status.
///
/// What makes a service of options ([`ServiceMaker`](super::ServiceMaker)) may fail with one, to have a
/// status of its own.
///
/// ```
/// use ropewalk::Failure;
/// use ropewalk::application::runner::{StartError, Status};
///
/// let bad = StartError::new(Status::Configuration, "zones.conf: line 3: no such zone");
/// assert_eq!(bad.status(), Status::Configuration);
/// let failure = Failure::from(bad);
/// # drop(failure);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    status: Status,
    text: String,
}

impl StartError {
    /// One with this status; of a longer text the first line is told.
    pub fn new(status: Status, text: impl fmt::Display) -> StartError {
        let text = text.to_string();
        StartError { status, text: text.lines().next().unwrap_or_default().trim_end().to_owned() }
    }

    /// What the system is told.
    pub fn status(&self) -> Status {
        self.status
    }

    /// A step that the system refused.
    pub(super) fn of_system(what: impl fmt::Display, error: &io::Error) -> StartError {
        let status = match error.kind() {
            io::ErrorKind::PermissionDenied => Status::Permission,
            _ => Status::Failed,
        };
        StartError::new(status, format_args!("{what}: {error}"))
    }

    /// What was configured, and cannot be used.
    pub(super) fn of_configuration(what: impl fmt::Display, error: &io::Error) -> StartError {
        match error.kind() {
            io::ErrorKind::PermissionDenied => StartError::of_system(what, error),
            _ => StartError::new(Status::Configuration, format_args!("{what}: {error}")),
        }
    }

    /// What a service failed with; `otherwise` is the status of what says nothing of its own.
    pub(super) fn of_failure(failure: &Failure, otherwise: Status) -> StartError {
        if let Some(own) = failure.check::<StartError>() {
            return own.clone();
        }
        let mut text = failure.to_string();
        for source in failure.chain().skip(1) {
            text.push_str(&format!(": {source}"));
        }
        let kind = |error: &(dyn std::error::Error + 'static)| {
            let listen = error.downcast_ref::<ListenError>().map(ListenError::kind);
            listen.or_else(|| error.downcast_ref::<io::Error>().map(io::Error::kind))
        };
        let kind = failure.chain().find_map(kind);
        let status = match kind {
            Some(io::ErrorKind::PermissionDenied) => Status::Permission,
            Some(io::ErrorKind::InvalidInput) => Status::Configuration,
            _ if failure.is::<EndpointError>() => Status::Configuration,
            _ => otherwise,
        };
        StartError::new(status, text)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StartError {}
