//! Why a datagram was not sent, and which one.

use crate::address::Address;
use std::fmt;
use std::io;

/// A datagram was not sent.
#[derive(Debug)]
#[doc(alias = "MessageLengthError")]
pub struct SendError {
    pub(super) length: usize,
    pub(super) from: Address,
    pub(super) to: Option<Address>,
    pub(super) cause: io::Error,
}

impl SendError {
    /// What kind of error it was: `WouldBlock` when too much waits already.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SendError { length, from, to, cause } = self;
        write!(f, "cannot send a datagram of {length} bytes from {from} to ")?;
        match to {
            Some(to) => write!(f, "{to}: {cause}"),
            None => write!(f, "nobody in particular: {cause}"),
        }
    }
}

impl std::error::Error for SendError {}
