//! Sockets of a program's own, in the place of a text that says where one is to be made.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Shared by the clones of an endpoint; absent once it is in use.
#[derive(Clone)]
pub(super) struct Given(Rc<Cell<Option<OwnedFd>>>);

impl Given {
    pub(super) fn new(socket: OwnedFd) -> Given {
        Given(Rc::new(Cell::new(Some(socket))))
    }

    pub(super) fn take(&self) -> io::Result<OwnedFd> {
        let used = || io::Error::new(io::ErrorKind::InvalidInput, "it is in use already");
        self.0.take().ok_or_else(used)
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a socket")
    }
}
