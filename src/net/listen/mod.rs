//! Ports as they are asked for and held: where to listen, and how. What happens behind one is in
//! `listening.rs`.

mod listening;

use crate::address::{Address, UnixName};
use crate::deferred::Deferred;
use crate::driver::ByteStream;
use crate::driver::{Driver, Listener, UnixOptions};
use crate::failure::{Failure, Result};
use crate::net::connect::naming::literal;
#[cfg(feature = "tls")]
use crate::net::connection::layer::Layer;
use crate::net::connection::layer::{HandshakingAcceptor, LayerRef};
use crate::net::listen::listening::Already;
use crate::net::listen::listening::Listening;
pub(crate) use crate::net::listen::listening::{Acceptor, protocol_acceptor};
use crate::protocol::Factory;
use crate::reactor::{Loop, Reactor, ReactorGone};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::rc::Rc;

/// A socket that accepts connections; dropping this handle leaves it listening.
///
/// ```
/// use ropewalk::Reactor;
///
/// let reactor = Reactor::new()?;
/// let port = reactor.serve_tcp("127.0.0.1:0", async |_stream| Ok(()))?;
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
    /// let port = reactor.serve_tcp("127.0.0.1:0", async |_stream| Ok(()))?;
    /// println!("listening at {}", port.host()); // 127.0.0.1:43210, say
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "getHost")]
    pub fn host(&self) -> Address {
        self.listening.host()
    }

    /// Closes the port; connections that it accepted live on.
    ///
    /// Fires in a later turn, when the factory was told `stopped`; at once if it is closed already.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve_tcp("127.0.0.1:0", async |_stream| Ok(()))?;
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

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("host", &self.listening.host()).finish_non_exhaustive()
    }
}

impl Reactor {
    /// Accepts TCP connections at an address and gives each a protocol of the factory's.
    ///
    /// Port 0 lets the system choose; see [`Port::host`]. A host name is looked up while you wait;
    /// the first of its addresses that can be listened at is taken. Fails with [`ListenError`].
    ///
    /// ```
    /// use ropewalk::{Address, Protocol, Reactor, Result, Transport};
    ///
    /// struct Discard;
    /// impl Protocol for Discard {
    ///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
    ///         Ok(())
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// reactor.listen_tcp("127.0.0.1:0", |_: &Address| Discard)?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "listenTCP")]
    #[track_caller]
    pub fn listen_tcp<A, F>(&self, address: A, factory: F) -> Result<Port>
    where
        A: ToSocketAddrs + fmt::Debug,
        F: Factory + 'static,
    {
        self.inner().listen_tcp(address, protocol_acceptor(factory))
    }
}

impl Reactor {
    /// Accepts connections at a Unix socket and gives each a protocol of the factory's.
    ///
    /// Fails with [`ListenError`].
    ///
    /// ```
    /// use ropewalk::{Address, Protocol, Reactor, Result, Transport};
    ///
    /// struct Echo;
    /// impl Protocol for Echo {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         transport.write(data);
    ///         Ok(())
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// let path = std::env::temp_dir().join(format!("echo-{}", std::process::id()));
    /// let port = reactor.listen_unix(&path, |_: &Address| Echo)?;
    /// assert!(path.exists());
    /// reactor.run_until(port.stop_listening())?;
    /// assert!(!path.exists());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "listenUNIX")]
    #[track_caller]
    pub fn listen_unix<F>(&self, at: impl Into<ListenUnix>, factory: F) -> Result<Port>
    where
        F: Factory + 'static,
    {
        self.inner().listen_unix(&at.into(), protocol_acceptor(factory))
    }
}

/// A Unix socket's name to listen at, and how.
///
/// ```
/// use ropewalk::ListenUnix;
///
/// let at = ListenUnix::new("/run/bus").mode(0o660);
/// # let _ = at;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUnix {
    name: UnixName,
    backlog: u32,
    mode: Option<u32>,
    lock: bool,
    /// The outermost first.
    layers: Vec<LayerRef>,
}

impl ListenUnix {
    /// A path, or a name in Linux' abstract namespace.
    ///
    /// At a path, a file `PATH.lock` is locked for as long as the port is open, so that no two
    /// processes listen there; a socket that a process left behind is removed.
    pub fn new(name: impl Into<UnixName>) -> ListenUnix {
        let UnixOptions { backlog, mode, lock } = UnixOptions::default();
        ListenUnix { name: name.into(), backlog, mode, lock, layers: Vec::new() }
    }

    /// So many connections may wait to be accepted; 1024 unless set.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> ListenUnix {
        self.backlog = backlog;
        self
    }

    /// Who may connect, as the bits of a file's mode; the process' umask decides unless set.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> ListenUnix {
        self.mode = Some(mode);
        self
    }

    pub(crate) fn name(&self) -> &UnixName {
        &self.name
    }

    /// Puts a layer on each connection, before its face sees it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub(crate) fn through(mut self, layer: Rc<dyn Layer>) -> ListenUnix {
        self.layers.push(LayerRef(layer));
        self
    }

    /// Does without the lock, for directories where no file may be made beside the socket.
    #[doc(alias = "wantPID")]
    #[must_use]
    pub fn without_lock(mut self) -> ListenUnix {
        self.lock = false;
        self
    }
}

impl<N: Into<UnixName>> From<N> for ListenUnix {
    fn from(name: N) -> ListenUnix {
        ListenUnix::new(name)
    }
}

/// So many may wait to be accepted.
pub(crate) const BACKLOG: u32 = 1024;

/// The addresses to listen at. Where names are the driver's own, as in a simulation, it is asked; it also
/// knows the scopes of addresses, which the standard library does not.
pub(crate) fn own_addresses(
    driver: &dyn Driver,
    address: &(impl ToSocketAddrs + fmt::Debug),
) -> io::Result<Vec<SocketAddr>> {
    // All that tells a name from an address before the system is asked is how the two are written.
    let written = format!("{address:?}");
    if let Some((host, port)) = name_in(&written) {
        let found = match literal(driver, host, port) {
            Some(address) => Some(address.map(|address| vec![address])),
            None => driver.look_up(host, port),
        };
        if let Some(found) = found {
            return found;
        }
    }
    Ok(address.to_socket_addrs()?.collect())
}

/// An address as a failure names it: a string's quotes are not of it.
pub(crate) fn written(address: &impl fmt::Debug) -> String {
    format!("{address:?}").trim_matches('"').to_owned()
}

/// The host and the port in `"name:80"` and in `("name", 80)`, quotes included.
fn name_in(written: &str) -> Option<(&str, u16)> {
    let (host, port) = match written.strip_prefix("(\"") {
        Some(pair) => pair.strip_suffix(')')?.split_once("\", ")?,
        None => written.strip_prefix('"')?.strip_suffix('"')?.rsplit_once(':')?,
    };
    if host.is_empty() { None } else { Some((host, port.parse().ok()?)) }
}

impl Loop {
    #[track_caller]
    pub(crate) fn listen_tcp(
        self: &Rc<Self>,
        address: impl ToSocketAddrs + fmt::Debug,
        accepted: Box<dyn Acceptor>,
    ) -> Result<Port> {
        let cannot = ListenError::at(written(&address));
        let addresses = own_addresses(&*self.driver, &address).map_err(&cannot)?;
        self.listen_first(addresses, BACKLOG, false, accepted).map_err(&cannot)
    }

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

    #[track_caller]
    pub(crate) fn listen_unix(
        self: &Rc<Self>,
        at: &ListenUnix,
        accepted: Box<dyn Acceptor>,
    ) -> Result<Port> {
        let cannot = ListenError::at(Address::Unix(at.name.clone()));
        self.listen_at_unix(at, accepted).map_err(cannot)
    }

    pub(crate) fn listen_at_unix(
        self: &Rc<Self>,
        at: &ListenUnix,
        accepted: Box<dyn Acceptor>,
    ) -> io::Result<Port> {
        self.check_alive_io()?;
        let options = UnixOptions { backlog: at.backlog, mode: at.mode, lock: at.lock };
        let dress = |below, LayerRef(layer): &LayerRef| -> Box<dyn Acceptor> {
            Box::new(HandshakingAcceptor::new(layer.clone(), below))
        };
        let accepted = at.layers.iter().rev().fold(accepted, dress);
        self.listen_with(self.driver.listen_unix(&at.name, &options)?, accepted)
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

    fn listen_with(
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
/// let failure = reactor.serve_tcp("nonsense", async |_stream| Ok(())).unwrap_err();
/// assert_eq!(failure.to_string(), "cannot listen at nonsense: invalid socket address");
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
