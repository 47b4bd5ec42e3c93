//! Deferreds are futures and futures become Deferreds; what dropping and cancelling mean.
//!
//! # Which to use
//!
//! Whichever reads better, line by line. Callbacks suit a protocol that gets a call anyway, and a result
//! that two lines handle. `async` suits whatever happens one after the other, and loops.
//!
//! | you have | you want | write |
//! |---|---|---|
//! | a [`Deferred`] | its value in async code | `d.await?` |
//! | a future, an `async fn` | a Deferred | [`reactor.spawn(future)`](crate::Reactor::spawn) |
//! | a Deferred | to block `main` for it | [`reactor.run_until(d)`](crate::Reactor::run_until) |
//! | a value, a failure | a Deferred | [`succeed`](crate::succeed), [`fail`](crate::fail) |
//! | code that may or may not be done | a Deferred | [`maybe_deferred`](crate::deferred::maybe_deferred) |
//! | a future that borrows | a time limit | [`reactor.timeout(limit, future)`](crate::Reactor::timeout) |
//! | a result in another thread | a Deferred here | [`reactor.sendable(trigger)`](crate::Reactor::sendable), or [`defer_to_thread`](crate::Reactor::defer_to_thread) |
//!
//! ```
//! use ropewalk::{Deferred, Reactor, Result};
//!
//! async fn double(n: Deferred<u32>) -> Result<u32> {
//!     Ok(n.await? * 2)
//! }
//!
//! let reactor = Reactor::new()?;
//! let (trigger, n) = Deferred::new();
//! let answer = reactor.spawn(double(n)).map(|n| n + 2); // a Deferred, of a future, of a Deferred
//! trigger.callback(20)?;
//! assert_eq!(reactor.run_until(answer)?, 42);
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # When steps run
//!
//! At once and in order: inside `trigger.callback` if they were added before, inside `add_callback` if
//! the value is here. So a step may run before the next line of yours does; where that would be a
//! surprise, put the next line into the step. A task goes on in the reactor's next batch instead,
//! never inside the call that woke it.
//!
//! A step that fires the trigger of another chain runs that chain before it goes on itself.
//!
//! # What dropping means
//!
//! A chain of callbacks that nobody holds runs on, as in Twisted: somebody wants those callbacks called.
//! A future that nobody holds is over, as in Rust: `select!`, time limits and dropped tasks count on it.
//! The first poll tells which of the two a Deferred is:
//!
//! | the Deferred was | then dropped before it fired |
//! |---|---|
//! | never polled | its chain runs on; a failure that reaches the end is reported |
//! | polled | it is cancelled, quietly |
//! | polled, and had a step added after | that step is a new Deferred: never polled |
//!
//! ```
//! use futures_util::FutureExt;
//! use ropewalk::{Deferred, Trigger};
//! use std::{cell::Cell, rc::Rc};
//!
//! let cancelled = Rc::new(Cell::new(0));
//! let work = || {
//!     let count = cancelled.clone();
//!     Deferred::with_canceller(move |_: &Trigger<()>| count.set(count.get() + 1))
//! };
//! let (_trigger, callbacks) = work();
//! drop(callbacks.map(|()| println!("done"))); // runs on
//! assert_eq!(cancelled.get(), 0);
//!
//! let (_trigger, awaited) = work();
//! assert!(awaited.now_or_never().is_none()); // polled once and dropped
//! assert_eq!(cancelled.get(), 1);
//! ```
//!
//! A task that is cancelled before its first poll has polled nothing: what it would have awaited runs on.
//!
//! And the other end: when the last trigger is dropped unused, the Deferred fails with
//! [`NeverFired`](crate::deferred::NeverFired). Nothing waits forever for what cannot come.
//!
//! # Cancelling
//!
//! [`Deferred::cancel`] asks what is being waited for *now* to stop: it walks up the chain, into a
//! Deferred that a step returned, into the task that a spawned Deferred stands for, and calls the
//! canceller there. A task is cancelled by dropping its future, which cancels what that awaited: so a
//! cancellation goes through as many layers as there are.
//!
//! The failure, [`Cancelled`](crate::deferred::Cancelled) unless the canceller has something better, runs
//! down the chain like any other; an errback may handle it, and the chain goes on. A canceller that is
//! not there lets the work go on, and its late result is ignored, once.
//!
//! ```
//! use ropewalk::deferred::{Cancelled, TimedOut};
//! use ropewalk::Reactor;
//! use std::time::Duration;
//!
//! let reactor = Reactor::new()?;
//! let nap = reactor.sleep(Duration::from_secs(3600));
//! let slow = reactor.spawn(async move { Ok(nap.await) });
//! let limited = slow.add_timeout(Duration::from_millis(5), &reactor);
//! assert!(reactor.run_until(limited).unwrap_err().is::<TimedOut>()); // and the sleep is gone
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # Several at once
//!
//! [`gather_results`](crate::gather_results) for all values, [`DeferredList`](crate::deferred::DeferredList) for
//! all results, [`race`](crate::race) for the first. The combinators for futures work as well; they
//! poll, so that what they leave behind is cancelled.
//!
//! ```
//! use futures_util::future::join;
//! use ropewalk::{Reactor, gather_results, succeed};
//!
//! let reactor = Reactor::new()?;
//! gather_results([succeed(1), succeed(2)]).map(|both| assert_eq!(both, [1, 2]));
//! reactor.run_until(async {
//!     let (one, two) = join(succeed(1), succeed(2)).await;
//!     Ok(assert_eq!((one?, two?), (1, 2)))
//! })?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```

#[cfg(doc)]
use crate::Deferred;
