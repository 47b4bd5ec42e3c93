//! A layer of the user's that panicked: its panic ends as an error of the call.

use crate::failure::{Failure, NO_PLACE, catch_panic};
use std::error::Error;
use std::fmt;
use std::io;

/// The error of a call in which a stream panicked; the connection reports it and ends with it.
#[derive(Debug)]
pub(crate) struct PanickedLayer(Failure);

impl PanickedLayer {
    /// Calls a stream, whose code may be the user's.
    pub(crate) fn catch_panic<R>(call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        catch_panic(NO_PLACE, call)
            .unwrap_or_else(|failure| Err(io::Error::other(PanickedLayer(failure))))
    }

    /// The panic, if that is what the error tells of.
    pub(crate) fn of(error: &io::Error) -> Option<&Failure> {
        Some(&error.get_ref()?.downcast_ref::<PanickedLayer>()?.0)
    }
}

impl fmt::Display for PanickedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for PanickedLayer {}
