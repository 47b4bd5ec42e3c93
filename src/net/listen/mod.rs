//! Ports as they are asked for and held: where to listen, and how. What happens behind one is in
//! `listening.rs`.

mod listening;

use crate::address::{Address, UnixName};
use crate::deferred::Deferred;
use crate::driver::ByteStream;
use crate::driver::{Listener, UnixOptions};
use crate::failure::Failure;
use crate::net::listen::listening::Already;
use crate::net::listen::listening::Listening;
pub(crate) use crate::net::listen::listening::{Acceptor, protocol_acceptor};
use crate::reactor::{Loop, ReactorGone};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::rc::{Rc, Weak};

/// A socket that accepts connections; dropping this handle leaves it listening.
///
/// ```
/// use ropewalk::Reactor;
///
/// let reactor = Reactor::new()?;
/// let port = reactor.serve("127.0.0.1:0", async |_stream| Ok(()))?;
/// assert_ne!(port.host().port(), Some(0)); // the system chose one
/// reactor.run_until(port.stop_listening())?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
#[doc(alias = "IListeningPort")]
pub struct Port {
    listening: Rc<Listening>,
}

impl Port {
    /// The address that is listened at; the real port where 0 was asked for.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async |_stream| Ok(()))?;
    /// println!("listening at {}", port.host()); // 127.0.0.1:43210, say
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "getHost")]
    #[doc(alias = "local_addr")]
    pub fn host(&self) -> Address {
        self.listening.host()
    }

    /// Closes the port; connections that it accepted live on.
    ///
    /// Fires in a later turn, when the factory was told `stopped`; at once if it is closed already.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async |_stream| Ok(()))?;
    /// reactor.run_until(port.stop_listening())?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "stopListening")]
    pub fn stop_listening(&self) -> Deferred<()> {
        let (trigger, deferred) = Deferred::new();
        self.listening.close();
        let listening = self.listening.clone();
        let finish = Box::new(move || {
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.fire(listening.dismiss());
        });
        self.listening.finish_later(finish);
        deferred
    }
}

impl Port {
    /// Whether it still listens: nobody closed it, and nobody shut its socket down.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async |_stream| Ok(()))?;
    /// assert!(port.is_listening());
    /// reactor.run_until(port.stop_listening())?;
    /// assert!(!port.is_listening());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn is_listening(&self) -> bool {
        self.listening.is_open()
    }

    /// One more descriptor of the same socket, to be handed to another process or reactor, which then
    /// accepts connections as well; each gets those that it is faster at.
    ///
    /// Connections that wait to be accepted are lost only when the last descriptor is closed: so a program
    /// can be replaced without losing one. Fails where there is no such socket, as in a simulation.
    ///
    /// ```
    /// use ropewalk::{Reactor, ServerEndpoint};
    ///
    /// let (one, other) = (Reactor::new()?, Reactor::new()?);
    /// let port = one.serve("127.0.0.1:0", async |_stream| Ok(()))?;
    /// let same = ServerEndpoint::listener(port.try_clone_descriptor()?);
    /// assert_eq!(other.serve(same, async |_stream| Ok(()))?.host(), port.host());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn try_clone_descriptor(&self) -> io::Result<OwnedFd> {
        self.listening.try_clone_descriptor()
    }

    /// Leaves the path of a Unix socket, which closing the port would remove, to somebody else who has the
    /// socket.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async |_stream| Ok(()))?;
    /// port.leave_name(); // nothing: it has no path
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn leave_name(&self) {
        self.listening.own_name(false);
    }

    /// The path of a Unix socket that was handed over goes with this port.
    pub(crate) fn take_name(&self) {
        self.listening.own_name(true);
    }

    pub(crate) fn downgrade(&self) -> WeakPort {
        WeakPort(Rc::downgrade(&self.listening))
    }

    /// Looks for connections again that it was too full to accept.
    pub(crate) fn accept_again(&self) {
        self.listening.requeue();
    }
}

/// A port that may be gone.
pub(crate) struct WeakPort(Weak<Listening>);

impl WeakPort {
    /// The port, if it still listens.
    pub(crate) fn upgrade(&self) -> Option<Port> {
        let port = Port { listening: self.0.upgrade()? };
        port.is_listening().then_some(port)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("host", &self.listening.host()).finish_non_exhaustive()
    }
}

/// So many may wait to be accepted.
pub(crate) const BACKLOG: u32 = 1024;

impl Loop {
    /// Listens at the first of several addresses that can be listened at.
    pub(crate) fn listen_first(
        self: &Rc<Self>,
        addresses: impl IntoIterator<Item = SocketAddr>,
        backlog: u32,
        is_shared: bool,
        accepted: Box<dyn Acceptor>,
    ) -> io::Result<Port> {
        self.check_alive_io()?;
        let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in addresses {
            outcome = match is_shared {
                true => self.driver.listen_shared(&address.into(), backlog),
                false => self.driver.listen(&address.into(), backlog),
            };
            if outcome.is_ok() {
                break;
            }
        }
        self.listen_with(outcome?, accepted)
    }

    pub(crate) fn listen_unix(
        self: &Rc<Self>,
        name: &UnixName,
        options: &UnixOptions,
        accepted: Box<dyn Acceptor>,
    ) -> io::Result<Port> {
        self.check_alive_io()?;
        self.listen_with(self.driver.listen_unix(name, options)?, accepted)
    }

    pub(crate) fn listen_inherited(
        self: &Rc<Self>,
        number: u32,
        accepted: Box<dyn Acceptor>,
    ) -> io::Result<Port> {
        self.check_alive_io()?;
        self.listen_with(self.driver.listen_inherited(number)?, accepted)
    }

    /// Listens at a socket that somebody else made.
    pub(crate) fn listen_adopted(
        self: &Rc<Self>,
        socket: OwnedFd,
        accepted: Box<dyn Acceptor>,
    ) -> io::Result<Port> {
        self.check_alive_io()?;
        self.listen_with(self.driver.adopt_listener(socket)?, accepted)
    }

    /// Welcomes one stream that is there already, as if a port had accepted it.
    pub(crate) fn welcome_one(
        self: &Rc<Self>,
        stream: Box<dyn ByteStream>,
        peer: Address,
        accepted: Box<dyn Acceptor>,
    ) -> io::Result<Port> {
        let port = self.listen_with(Box::new(Already::new(stream, peer)), accepted)?;
        // No event will tell that it waits.
        port.listening.requeue();
        Ok(port)
    }

    /// Listens at whatever brings connections.
    pub(crate) fn listen_with(
        self: &Rc<Self>,
        listener: Box<dyn Listener>,
        accepted: Box<dyn Acceptor>,
    ) -> io::Result<Port> {
        Ok(Port { listening: Listening::open(self, listener, accepted)? })
    }
}

/// An address could not be listened at.
///
/// ```
/// use ropewalk::net::ListenError;
/// use ropewalk::Reactor;
/// use std::io::ErrorKind;
///
/// let reactor = Reactor::new()?;
/// let failure = reactor.serve("nonsense", async |_stream| Ok(())).unwrap_err();
/// assert!(failure.to_string().starts_with("cannot listen at nonsense: bad endpoint: the port is missing"));
/// assert_eq!(failure.check::<ListenError>().unwrap().kind(), ErrorKind::InvalidInput);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
#[doc(alias = "CannotListenError")]
pub struct ListenError {
    address: String,
    cause: io::Error,
}

impl ListenError {
    pub(crate) fn new(address: impl Into<String>, cause: io::Error) -> ListenError {
        ListenError { address: address.into(), cause }
    }

    /// Says so, in the line that asked for it.
    #[track_caller]
    pub(crate) fn at(address: impl fmt::Display) -> impl Fn(io::Error) -> Failure {
        let place = Location::caller();
        move |cause| match cause.get_ref().and_then(|it| it.downcast_ref()) {
            Some(&gone @ ReactorGone) => Failure::at(place, gone),
            None => Failure::at(place, ListenError::new(address.to_string(), cause)),
        }
    }

    /// What kind of error the system named.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen at {}: {}", self.address, self.cause)
    }
}

impl std::error::Error for ListenError {}
