//! Twisted's model for Rust: a reactor, Deferreds, protocols and transports, with async/await as an
//! equal face of all of it.
#![forbid(unsafe_code)]

mod clock;

pub use clock::{Clock, DelayedCall, NotPending, TestClock};
