//! The pool of connections: its rules on a database that fails as it is told, SQLite, and many that move
//! amounts while connections die.
#![cfg(feature = "database")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[cfg(feature = "sqlite")]
mod accounts;
mod ends;
mod fake;
#[path = "../kit/mod.rs"]
mod kit;
mod rules;
#[cfg(feature = "simulation")]
mod simulated;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod streams;
