//! The sockets that a reactor listens at, by the names under which another process can take them over.

use crate::driver::take_inherited;
use crate::net::Port;
use crate::net::listen::WeakPort;
use crate::reactor::{Loop, Reactor};
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// In the order in which they were opened. Borrowed to copy, to push and to leave the closed ones out.
#[derive(Default)]
struct OpenPorts(RefCell<Vec<(String, WeakPort)>>);

impl Reactor {
    /// The sockets of the system that are listened at, each with the name of where.
    ///
    /// Another process that is given the socket under this name ([`ProcessOptions::hand_over`]) and listens
    /// at the same endpoint takes it instead of a new one. That is how a program is replaced by another
    /// without losing a connection: the other one is started, and when it listens, this one's ports are
    /// closed. Layers (TLS, PROXY) belong to the endpoint, not to the socket.
    ///
    /// [`ProcessOptions::hand_over`]: crate::process::ProcessOptions::hand_over
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async |_stream| Ok(()))?;
    /// let (name, same) = reactor.open_ports().remove(0);
    /// assert_eq!((name.as_str(), same.host()), ("tcp:127.0.0.1:0", port.host()));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn open_ports(&self) -> Vec<(String, Port)> {
        let open = self.local::<OpenPorts>();
        let open = open.0.borrow();
        let port = |(name, port): &(String, WeakPort)| Some((name.clone(), port.upgrade()?));
        open.iter().filter_map(port).collect()
    }
}

pub(super) fn note_open(inner: &Rc<Loop>, name: String, port: &Port) {
    let open = Reactor::from(inner.clone()).local::<OpenPorts>();
    let mut open = open.0.borrow_mut();
    open.retain(|(_, port)| port.upgrade().is_some());
    open.push((name, port.downgrade()));
}

/// The socket of this name that the process was started with, and that nobody has taken yet.
pub(super) fn take_handed_over(inner: &Rc<Loop>, name: &str) -> io::Result<Option<OwnedFd>> {
    // What is the process' own is no simulated host's.
    if !inner.driver.has_signals() {
        return Ok(None);
    }
    take_inherited(name)
}
