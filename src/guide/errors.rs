//! Failures: where they come from, how to ask them, and that none is lost.
//!
//! # Raising
//!
//! A [`Failure`] is any standard error, with the place where it arose. `?` makes one of every error, and
//! remembers its own line. [`Failure::msg`] makes one of a text, for what nobody will ask about.
//!
//! ```
//! use ropewalk::{Failure, Result};
//!
//! fn port(text: &str) -> Result<u16> {
//!     let port = text.parse()?; // a ParseIntError, from this line
//!     if port < 1024 {
//!         return Err(Failure::msg(format!("port {port} is not ours to take")));
//!     }
//!     Ok(port)
//! }
//!
//! assert_eq!(port("80").unwrap_err().to_string(), "port 80 is not ours to take");
//! assert!(port("x").unwrap_err().location().unwrap().file().ends_with(".rs"));
//! ```
//!
//! `data_received`, handlers, tasks, timers and callbacks of Deferreds all return [`Result`](crate::Result) or may: a `?`
//! in `data_received` or in a handler resets the connection with that reason. Who has an answer for the
//! peer first writes it, ends in order (`lose_connection`, or the end of the handler), and returns `Ok`.
//!
//! # Asking
//!
//! [`check`](Failure::check) gives the error if it is of that type, [`is`](Failure::is) tells whether it
//! is, [`trap`](Failure::trap) passes on all others. A clone is cheap and shares everything.
//!
//! ```
//! use ropewalk::{Deferred, fail};
//! use std::io;
//!
//! let d: Deferred<u32> = fail(io::Error::from(io::ErrorKind::ConnectionRefused));
//! d.add_errback(|failure| {
//!     let error = failure.trap::<io::Error>()?;
//!     assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
//!     Ok(0)
//! });
//! ```
//!
//! An errback *handles* the failure if it returns a value; it passes the failure on with `Err(failure)`.
//! Nothing returned handles it too: `|failure| println!("{failure}")` is an end.
//!
//! Printed with `{}` a failure says what its error says; with `{:?}`, as a `main` that returns it
//! prints it, it tells of its sources and its place, and shows the stack if `RUST_BACKTRACE` is set.
//!
//! # With other error types
//!
//! `?` turns any standard error into a failure, and a failure into a `Box<dyn Error>`, with `Send + Sync` or
//! without. Back again it is the same failure: [`Failure::from_boxed`], [`Failure::from_local`].
//!
//! ```
//! use ropewalk::{Failure, Result};
//! use std::error::Error;
//! use std::num::ParseIntError;
//!
//! fn theirs(text: &str) -> std::result::Result<u32, Box<dyn Error + Send + Sync>> {
//!     Ok(ours(text)?) // a failure in their box
//! }
//! fn ours(text: &str) -> Result<u32> {
//!     Ok(text.parse()?)
//! }
//! let failure = theirs("seven").map_err(Failure::from_boxed).unwrap_err();
//! assert!(failure.is::<ParseIntError>(), "what it was before, with its line");
//! ```
//!
//! An `anyhow::Error` goes the same ways: `Failure::from_boxed(error)` takes one, and
//! `anyhow::Error::from(failure.into_error())` makes one. An enum of thiserror's has a variant
//! `Ropewalk(#[from] FailureError)`; a [`FailureError`](crate::FailureError) is a failure that is a standard error.
//!
//! # Panics
//!
//! A panic in code of yours ends what it happened in and nothing else: the callback, the task, the
//! connection. It becomes a failure there, [`Panicked`](crate::Panicked), that an errback can see.
//!
//! # Nobody handled it
//!
//! A failure that reaches the end of a chain which nobody holds any more is reported, when it gets there:
//!
//! ```text
//! unhandled failure in Deferred: connection refused, made at src/main.rs:12, arose at src/net.rs:40
//! ```
//!
//! A report of a connection names its peer and this end's address. It says where the failure arose if that
//! is a line of yours; what arose in none, as the loss of a connection, says no line.
//!
//! That is one line on standard error, or whatever [`on_report`](crate::on_report) asks for: a test
//! fails, a service counts. Two kinds are not reported, because nobody could have handled them:
//! [`NeverFired`](crate::deferred::NeverFired), when both ends were dropped, and the
//! [`Cancelled`](crate::deferred::Cancelled) of a future that was dropped while it was awaited.
//!
//! What ends a connection and is its peer's fault is no report: that the connection was lost, that the peer
//! broke the rules of TLS or of a framing, or what you mark with [`Failure::of_peer`]. It is counted
//! ([`peer_faults`](crate::peer_faults)), and told to whoever asks for it
//! ([`on_peer_fault`](crate::on_peer_fault)).
//!
//! ```
//! use ropewalk::{Deferred, Failure, on_report};
//! use std::{cell::RefCell, rc::Rc};
//!
//! let heard = Rc::new(RefCell::new(Vec::new()));
//! let sink = heard.clone();
//! on_report(move |report| sink.borrow_mut().push(report.failure().to_string()));
//!
//! let (trigger, d) = Deferred::new();
//! d.map(|n: u32| println!("{n}")); // dropped: nobody looks at the end of it
//! trigger.errback(Failure::msg("no number")).unwrap();
//! assert_eq!(*heard.borrow(), ["no number"]);
//! ```

#[cfg(doc)]
use crate::Failure;
