//! Values that will come, and what is to be done with them: Deferreds.
//!
//! # Theory
//!
//! A Deferred is a value that is here, or the end of a chain of nodes that will have it:
//!
//! ```text
//!   Trigger ──▶ Root ──tail──▶ Link ──tail──▶ Link ──tail──▶ nobody yet ◀── Deferred
//!                 ◀──upstream──   ◀──upstream──                ◀──source─────┘
//! ```
//!
//! A node (`trigger`'s root, or a `link`) owns its `tail`: who gets its outcome, or the outcome
//! while nobody asks. Firing the root hands the value down, link after link, until one has nobody
//! below it or returns a Deferred that is not there yet; it *follows* that one then. Cancelling walks
//! up to what is being waited for at this moment, and asks its `canceller`.
//!
//! Upstream and downstream hold each other: a cycle, which firing takes apart. Every chain fires,
//! because losing the last trigger fires it too.
//!
//! Once the value is here nothing is shared any more: a step on it is a function call.
//!
//! # Invariants
//!
//! * One node per pending link, none on a value that is here. A node is one allocation, or one that
//!   ended before (`spare`).
//! * No walk recurses: not firing, not cancelling, not dropping, nor a drop that fires another chain
//!   (`later`).
//! * Every state is in a `Cell` from which it is taken before code of the user runs: callbacks,
//!   cancellers, wakers, drops.
//! * A failure ends in an errback, in an await, or in a report; so do panics.
//!
//! # What is built on it
//!
//! `many`: waiting for several. `locks`: waiting for one's turn. `task`: doing something later or
//! again and again, on any [`Clock`](crate::Clock).
//!
//! # What is not here
//!
//! Whoever runs tasks: a Deferred is a future, and needs a reactor only if somebody awaits it. Ends for
//! other threads: the reactor's [`Sendable`](crate::Sendable).
//!
//! # Where it departs from Twisted
//!
//! The rules are Twisted's, and the order of every call is (the traces of `tests/parity` say so), but for:
//!
#![doc = include_str!("deviations.md")]

mod canceller;
mod chain;
mod downstream;
mod error;
mod future;
mod link;
mod locks;
mod many;
mod ready;
mod spare;
mod task;
#[cfg(test)]
mod tests;
mod timeout;
mod trampoline;
mod trigger;
mod walk;

pub use chain::Deferred;
pub(crate) use downstream::{Downstream, Source, forgo, in_place};
pub use error::{AlreadyCalled, Cancelled, NeverFired};
pub use locks::{
    DeferredFilesystemLock, DeferredLock, DeferredQueue, DeferredSemaphore, FilesystemPermit,
    NoTokensError, Permit, QueueClosed, QueueFull, QueueOverflow, QueueUnderflow,
};
pub use many::{DeferredList, FailureGroup, FirstError, OneOrAll, gather_results, race};
pub use ready::{execute, fail, maybe_deferred, succeed};
pub(crate) use task::Grid;
pub use task::{
    AlreadyLoopingError, CooperativeTask, Cooperator, LoopingCall, NotLoopingError, NotPaused,
    TaskFinished, defer_later,
};
pub use timeout::TimedOut;
pub use trigger::Trigger;
pub(crate) use walk::{Cancel, Rest};

use crate::failure::{Failure, Result};
#[cfg(doc)]
use crate::{Clock, Panicked, Reactor};
use std::panic::Location; // Named by the table.

/// What a step may return: a `Result`, a `Deferred`, or nothing; or it never returns.
///
/// The output is an associated type and the implementations are exactly these, so that closures
/// need no annotations: in `|s| Ok(s.parse::<u32>()?)` there is only one error type that it can be.
///
/// ```
/// use ropewalk::{Deferred, IntoDeferred, Result};
///
/// fn start<R: IntoDeferred>(work: impl FnOnce() -> R) -> Deferred<R::Output> {
///     work().into_deferred()
/// }
/// start(|| Ok("7".parse::<u32>()?)).map(|n| assert_eq!(n, 7));
/// start(|| println!("nothing to return"));
/// ```
#[diagnostic::on_unimplemented(
    message = "a step returns a `Result`, a `Deferred` or nothing, not `{Self}`",
    note = "write `Ok(value)`, or use `map` for a step that cannot fail",
    note = "of a `Result` with another error write `Ok(result?)`: `?` makes a `Failure` of any"
)]
pub trait IntoDeferred {
    /// The value that is hoped for.
    type Output;

    /// Makes the Deferred, fired already if the value is here.
    fn into_deferred(self) -> Deferred<Self::Output>;
}

impl<T> IntoDeferred for Result<T, Failure> {
    type Output = T;

    #[inline]
    #[track_caller]
    fn into_deferred(self) -> Deferred<T> {
        Deferred::fired(self, Location::caller())
    }
}

impl<T> IntoDeferred for Deferred<T> {
    type Output = T;

    #[inline]
    fn into_deferred(self) -> Deferred<T> {
        self
    }
}

/// What an `async` block with an endless loop gives, which is nothing ever: it may be spawned as any.
impl IntoDeferred for Never {
    type Output = ();

    fn into_deferred(self) -> Deferred<()> {
        self
    }
}

impl IntoDeferred for () {
    type Output = ();

    #[inline]
    #[track_caller]
    fn into_deferred(self) -> Deferred<()> {
        succeed(())
    }
}

/// The type `!`, which has no name of its own in stable Rust.
type Never = <fn() -> ! as returns::Returns>::Value;

mod returns {
    /// Names what a function returns. Public, as whatever an implementation is for has to be.
    #[allow(unreachable_pub)]
    pub trait Returns {
        type Value;
    }

    impl<R> Returns for fn() -> R {
        type Value = R;
    }
}
