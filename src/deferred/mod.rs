//! Values that will come, and what is to be done with them: Deferreds.
//!
//! A Deferred has callbacks, called in order with the value when it comes, and errbacks, called with the
//! failure; what one returns is what the next is given, and another Deferred is waited for. It is also a
//! future. [The guide](crate::guide::deferreds_and_futures) tells which to use when.
//!
//! ```
//! use ropewalk::Deferred;
//!
//! let (trigger, answer) = Deferred::<u32>::new();
//! let told = answer.add_callback(|number| Ok(number * 2)).add_callback(|number| {
//!     assert_eq!(number, 42);
//!     Ok(())
//! });
//! trigger.callback(21)?; // calls both, now
//! # drop(told);
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! Waiting for several are [`gather_results`](crate::gather_results), [`race`](crate::race) and
//! [`DeferredList`]; waiting for one's turn [`DeferredLock`], [`DeferredSemaphore`] and [`DeferredQueue`];
//! doing something later or again and again, on any [`Clock`](crate::clock::Clock), [`LoopingCall`]. A
//! Deferred needs a reactor only if somebody awaits it; ends for other threads are the reactor's
//! [`Sendable`](crate::reactor::Sendable)s.
//!
//! # Where it departs from Twisted
//!
//! The rules are Twisted's, and the order of every call is (traces made by Twisted itself are compared), but for:

// # Theory
//
// A Deferred is a value that is here, or the end of a chain of nodes that will have it:
//
// ```text
//   Trigger ──▶ Root ──tail──▶ Link ──tail──▶ Link ──tail──▶ nobody yet ◀── Deferred
//                 ◀──upstream──   ◀──upstream──                ◀──source─────┘
// ```
//
// A node (`trigger`'s root, or a `link`) owns its `tail`: who gets its outcome, or the outcome
// while nobody asks. Firing the root hands the value down, link after link, until one has nobody
// below it or returns a Deferred that is not there yet; it *follows* that one then. Cancelling walks
// up to what is being waited for at this moment, and asks its canceller.
//
// Upstream and downstream hold each other: a cycle, which firing takes apart. Every chain fires,
// because losing the last trigger fires it too.
//
// Once the value is here nothing is shared any more: a step on it is a function call.

// # Invariants
//
// * One node per pending link, none on a value that is here. A node is one allocation, or one that
//   ended before (`node.rs`).
// * No walk recurses: not firing, not cancelling, not dropping, nor a drop that fires another chain
//   (`trampoline.rs`).
// * Every state is in a `Cell` from which it is taken before code of the user runs: callbacks,
//   cancellers, wakers, drops.
// * A failure ends in an errback, in an await, or in a report; so do panics.

#![doc = include_str!("deviations.md")]

pub(crate) mod chain;
mod downstream;
mod error;
mod future;
pub(crate) mod into;
mod link;
mod locks;
pub(crate) mod many;
mod node;
pub(crate) mod ready;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod timeout;
mod trampoline;
pub(crate) mod trigger;
mod walk;

pub(crate) use chain::Deferred;
pub(crate) use downstream::{Downstream, Source, forgo, in_place};
pub use error::{AlreadyCalled, Cancelled, NeverFired};
pub(crate) use into::IntoDeferred;
pub use locks::{
    DeferredFilesystemLock, DeferredLock, DeferredQueue, DeferredSemaphore, FilesystemPermit,
    NoTokensError, Permit, QueueClosed, QueueFull, QueueOverflow, QueueUnderflow,
};
pub use many::{DeferredList, FailureGroup, FirstError, OneOrAll};
pub use ready::{execute, maybe_deferred};
pub(crate) use ready::{fail, succeed};
pub(crate) use task::Grid;
pub use task::{
    AlreadyLoopingError, CooperativeTask, Cooperator, LoopingCall, NotLoopingError, NotPaused,
    TaskFinished, defer_later,
};
pub use timeout::TimedOut;
pub(crate) use trigger::Trigger;
pub(crate) use walk::{Cancel, Rest};

// Named by the table.
#[cfg(doc)]
use crate::{Failure, Panicked, Reactor, clock::Clock};
