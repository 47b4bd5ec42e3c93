//! What a chain of callbacks itself can say went wrong.

use std::error::Error;
use std::fmt;

/// A [`Trigger`](crate::Trigger) was used a second time; what it was given is dropped.
///
/// ```
/// use ropewalk::deferred::AlreadyCalled;
/// use ropewalk::Deferred;
///
/// let (trigger, _d) = Deferred::new();
/// trigger.callback(1).unwrap();
/// assert_eq!(trigger.callback(2), Err(AlreadyCalled));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "AlreadyCalledError")]
pub struct AlreadyCalled;

impl fmt::Display for AlreadyCalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this Deferred was fired before")
    }
}

impl Error for AlreadyCalled {}

/// Somebody cancelled, and whoever did the work had nothing better to say.
///
/// ```
/// use futures_util::FutureExt;
/// use ropewalk::deferred::Cancelled;
/// use ropewalk::Deferred;
///
/// let (_trigger, d) = Deferred::<u32>::new();
/// d.cancel();
/// assert!(d.now_or_never().unwrap().unwrap_err().is::<Cancelled>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "CancelledError")]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl Error for Cancelled {}

/// Every [`Trigger`](crate::Trigger) was dropped unused: the result will never come.
///
/// ```
/// use futures_util::FutureExt;
/// use ropewalk::deferred::NeverFired;
/// use ropewalk::Deferred;
///
/// let (trigger, d) = Deferred::<u32>::new();
/// drop(trigger);
/// assert!(d.now_or_never().unwrap().unwrap_err().is::<NeverFired>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeverFired;

impl fmt::Display for NeverFired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("every trigger of this Deferred was dropped before it fired")
    }
}

impl Error for NeverFired {}
