//! The end of a reactor: with the value that made it, whoever holds a handle; and what a run that is over
//! still sends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![allow(clippy::unit_arg, reason = "what comes to nothing is handed on in one line")]

#[path = "../kit/mod.rs"]
mod kit;

#[cfg(feature = "simulation")]
mod far;
#[cfg(feature = "simulation")]
mod flushing;
#[cfg(feature = "simulation")]
mod in_place;
#[cfg(feature = "simulation")]
mod owners;
#[cfg(target_os = "linux")]
mod refusals;
