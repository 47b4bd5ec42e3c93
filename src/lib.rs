//! Twisted's model for Rust: a reactor, Deferreds, protocols and transports, with async/await as an
//! equal face of all of it.
#![forbid(unsafe_code)]

pub mod clock;
mod failure;

pub use failure::{Failure, Result};
