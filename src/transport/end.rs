//! Why a connection ended: what `connection_lost` is told, unless the application has a failure of its own.

use crate::address::Address;
use std::borrow::Cow;
use std::fmt;
use std::io;

/// The connection was closed in order, by either end.
///
/// ```
/// use ropewalk::transport::ConnectionDone;
/// use ropewalk::Failure;
///
/// fn connection_lost(reason: &Failure) {
///     if !reason.is::<ConnectionDone>() {
///         eprintln!("{reason}");
///     }
/// }
/// connection_lost(&ConnectionDone.into());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionDone;

impl fmt::Display for ConnectionDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was closed in order")
    }
}

impl std::error::Error for ConnectionDone {}

/// The connection broke: the network failed, the peer reset it, or the reactor ended.
///
/// ```
/// use ropewalk::transport::ConnectionLost;
/// use ropewalk::Address;
/// use std::io::ErrorKind;
/// use std::net::SocketAddr;
///
/// let peer = Address::from(SocketAddr::from(([10, 0, 0, 1], 80)));
/// let lost = ConnectionLost::new(peer, ErrorKind::ConnectionReset.into());
/// assert_eq!(lost.to_string(), "the connection with 10.0.0.1:80 was lost: connection reset");
/// assert_eq!(lost.kind(), lost.cause().kind());
/// ```
#[derive(Debug)]
pub struct ConnectionLost {
    peer: Address,
    cause: io::Error,
}

impl ConnectionLost {
    /// The connection with `peer` was lost, by this error.
    pub fn new(peer: Address, cause: io::Error) -> ConnectionLost {
        ConnectionLost { peer, cause }
    }

    /// What kind of error the system named; `InvalidData` for a peer that broke a layer's rules.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }

    /// What happened.
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection with {} was lost: {}", self.peer, self.cause)
    }
}

impl std::error::Error for ConnectionLost {}

/// The connection was cut off at this end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionAborted {
    cause: Cow<'static, str>,
}

impl ConnectionAborted {
    pub(crate) fn new(cause: impl Into<Cow<'static, str>>) -> ConnectionAborted {
        ConnectionAborted { cause: cause.into() }
    }
}

impl fmt::Display for ConnectionAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection was aborted here: {}", self.cause)
    }
}

impl std::error::Error for ConnectionAborted {}
