//! Values that will come, and what is to be done with them: Deferreds.

mod canceller;
mod chain;
mod error;
mod fired;
mod future;
mod later;
mod link;
mod list;
mod many;
mod race;
mod tail;
#[cfg(test)]
mod tests;
mod timeout;
mod trigger;

pub use chain::Deferred;
pub use error::{AlreadyCalled, Cancelled, NeverFired};
pub use fired::{execute, fail, maybe_deferred, succeed};
pub use list::{DeferredList, FirstError, OneOrAll, gather_results};
pub use race::{FailureGroup, race};
pub(crate) use tail::{Cancel, Source, Tail, in_place};
pub use timeout::TimedOut;
pub use trigger::Trigger;

use crate::failure::{Failure, Result};
use std::panic::Location;

/// What a step may return: a `Result`, a `Deferred`, or nothing.
///
/// The output is an associated type and the implementations are exactly these three, so that closures
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
    note = "write `Ok(value)`, or use `map` for a step that cannot fail"
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

impl IntoDeferred for () {
    type Output = ();

    #[inline]
    #[track_caller]
    fn into_deferred(self) -> Deferred<()> {
        succeed(())
    }
}
