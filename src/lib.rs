//! Twisted's model for Rust: a reactor, Deferreds, protocols and transports, with async/await as an
//! equal face of all of it.
#![forbid(unsafe_code)]

mod clock;
mod deferred;
mod failure;

pub use clock::{Clock, DelayedCall, NotPending, TestClock};
pub use deferred::{
    AlreadyCalled, Cancelled, Deferred, DeferredList, FailureGroup, FirstError, IntoDeferred,
    NeverFired, OneOrAll, TimedOut, Trigger, execute, fail, gather_results, maybe_deferred, race,
    succeed,
};
pub use failure::{Failure, Panicked, Report, Result, on_report};
