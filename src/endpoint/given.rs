//! What stands in an endpoint beside kinds that make a socket: a socket of a program's own, or why there is none.

use super::grammar::EndpointError;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Shared by the clones of an endpoint; absent once it is in use.
pub(super) struct Given<T = OwnedFd>(Rc<Cell<Option<T>>>);

impl<T> Given<T> {
    pub(super) fn new(it: T) -> Given<T> {
        Given(Rc::new(Cell::new(Some(it))))
    }

    pub(super) fn take(&self) -> io::Result<T> {
        let used = || io::Error::new(io::ErrorKind::InvalidInput, "it is in use already");
        self.0.take().ok_or_else(used)
    }
}

impl<T> Clone for Given<T> {
    fn clone(&self) -> Given<T> {
        Given(self.0.clone())
    }
}

impl<T> fmt::Debug for Given<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one's own")
    }
}

/// Why nobody can use an endpoint.
#[derive(Clone, Debug)]
pub(super) enum Unusable {
    /// Its text is none.
    Text(EndpointError),
    /// It was asked for what it does not have.
    Option(String),
}

impl From<EndpointError> for Unusable {
    fn from(error: EndpointError) -> Unusable {
        Unusable::Text(error)
    }
}

impl From<String> for Unusable {
    fn from(why: String) -> Unusable {
        Unusable::Option(why)
    }
}

impl From<&str> for Unusable {
    fn from(why: &str) -> Unusable {
        Unusable::Option(why.to_owned())
    }
}

impl From<&Unusable> for io::Error {
    fn from(why: &Unusable) -> io::Error {
        match why {
            Unusable::Text(error) => io::Error::new(io::ErrorKind::InvalidInput, error.clone()),
            Unusable::Option(why) => io::Error::new(io::ErrorKind::InvalidInput, why.clone()),
        }
    }
}
