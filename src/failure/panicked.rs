//! The net under code of the user: a panic in it becomes a [`Failure`].

use super::{Failure, Place, Result};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Code of the user panicked; the panic was stopped and became this error.
///
/// ```
/// use futures_util::FutureExt;
/// use ropewalk::{Panicked, succeed};
///
/// let d = succeed(0).add_callback(|n: u32| Ok(1 / n));
/// let failure = d.now_or_never().unwrap().unwrap_err();
/// assert_eq!(failure.check::<Panicked>().unwrap().message(), "attempt to divide by zero");
/// ```
#[doc(alias = "JoinError")]
#[derive(Debug)]
pub struct Panicked {
    message: String,
}

impl Panicked {
    /// What the panic said.
    ///
    /// ```
    /// # use futures_util::FutureExt;
    /// # use ropewalk::{Panicked, succeed};
    /// let d = succeed(()).add_callback(|()| -> ropewalk::Result { panic!("oh") });
    /// let failure = d.now_or_never().unwrap().unwrap_err();
    /// assert_eq!(failure.check::<Panicked>().unwrap().message(), "oh");
    /// ```
    pub fn message(&self) -> &str {
        &self.message
    }

    fn from_payload(payload: &(dyn Any + Send)) -> Panicked {
        let text = payload.downcast_ref::<&'static str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Panicked { message: text.unwrap_or("a value that is not a text").to_owned() }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl Error for Panicked {}

/// Runs code of the user; a panic in it becomes a failure that arose at `location`.
#[inline]
pub(crate) fn catch_panic<T>(
    location: impl Into<Option<Place>>,
    code: impl FnOnce() -> T,
) -> Result<T> {
    catch_payload(code).map_err(|payload| panicked(location.into(), payload))
}

/// As [`catch_panic`], for whom a place costs too much before there is a panic: [`panicked`] makes the failure.
#[inline]
pub(crate) fn catch_payload<T>(code: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    // Unwind safe: what the code could leave half done is its own, and it is not run again.
    catch_unwind(AssertUnwindSafe(code))
}

#[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
pub(crate) fn panicked(location: Option<Place>, payload: Box<dyn Any + Send>) -> Failure {
    Failure::at(location, Panicked::from_payload(&*payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::Location;

    #[test]
    fn a_contained_panic_keeps_its_message() {
        let failure = catch_panic(Location::caller(), || panic!("at {}", 7)).unwrap_err();
        assert_eq!(failure.check::<Panicked>().unwrap().message(), "at 7");
    }
}
