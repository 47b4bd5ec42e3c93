//! Deferreds that have fired already.

use crate::deferred::{Deferred, IntoDeferred};
use crate::failure::{Failure, catch_panic};
use std::panic::Location;

/// A Deferred that has its value already.
///
/// ```
/// ropewalk::succeed(7).map(|n| assert_eq!(n, 7));
/// ```
#[inline]
#[track_caller]
pub fn succeed<T>(value: T) -> Deferred<T> {
    Deferred::fired(Ok(value), Location::caller())
}

/// A Deferred that has failed already.
///
/// ```
/// let d = ropewalk::fail::<u32>(std::fmt::Error);
/// d.add_errback(|failure| Ok(failure.to_string().len() as u32));
/// ```
#[inline]
#[track_caller]
pub fn fail<T>(failure: impl Into<Failure>) -> Deferred<T> {
    Deferred::fired(Err(failure.into()), Location::caller())
}

/// Calls `work` now; what it returns, or waits for, or its panic, is the Deferred.
///
/// For code that may be done at once or later: whoever calls need not know.
///
/// ```
/// use ropewalk::deferred::maybe_deferred;
/// use ropewalk::{Deferred, succeed};
///
/// maybe_deferred(|| Ok(7)).map(|n| assert_eq!(n, 7));
/// maybe_deferred(|| succeed(7)).map(|n| assert_eq!(n, 7));
/// let d: Deferred<u32> = maybe_deferred(|| Ok("x".parse()?));
/// d.add_errback(|failure| Ok(failure.to_string().len() as u32));
/// ```
#[doc(alias = "maybeDeferred")]
#[track_caller]
pub fn maybe_deferred<R: IntoDeferred>(work: impl FnOnce() -> R) -> Deferred<R::Output> {
    catch_panic(Location::caller(), || work().into_deferred()).unwrap_or_else(fail)
}

/// Calls `work` now; its value, whatever it is, or its panic, is the result.
///
/// ```
/// ropewalk::deferred::execute(|| 3 + 4).map(|n| assert_eq!(n, 7));
/// ```
#[track_caller]
pub fn execute<T>(work: impl FnOnce() -> T) -> Deferred<T> {
    Deferred::fired(catch_panic(Location::caller(), work), Location::caller())
}
