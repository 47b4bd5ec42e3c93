// What counts as a result, of a step, a task, a timer or a handler.

use super::{Deferred, succeed};
use crate::failure::{Failure, Result};
use std::panic::Location;

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
