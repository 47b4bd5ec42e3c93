//! Places to listen at.

use super::given::{Given, Unusable};
use super::grammar::EndpointError;
use super::haproxy::behind_proxy;
use super::inherited::{Choice, passed};
use super::open_ports::{note_open, take_handed_over};
#[cfg(feature = "tls")]
use super::secure::ServerTls;
use super::server_text::{ONE_HEADER, parse};
use super::text::{Text, host_and_port};
use crate::address::UnixName;
use crate::driver::{Listener, UnixOptions};
#[cfg(feature = "tls")]
use crate::failure::Failure;
use crate::failure::Result;
use crate::net::connect::lookup::find_now;
use crate::net::listen::{Acceptor, BACKLOG};
use crate::net::{ListenError, Port};
use crate::reactor::{Loop, Reactor};
#[cfg(feature = "tls")]
use crate::tls::ServerConfig;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::str::FromStr;

/// Where to listen: an address, a description such as `tcp:8080:interface=127.0.0.1`, or made in code.
///
/// Whatever takes one takes all that one can be made of: see [the module](crate::endpoint).
///
/// ```
/// use ropewalk::prelude::*;
///
/// let reactor = Reactor::new()?;
/// for at in ["127.0.0.1:0", "tcp:0:interface=127.0.0.1"] {
///     let port = reactor.serve(at, async |_stream| Ok(()))?;
///     assert_ne!(port.host().port(), Some(0)); // the system chose one
/// }
/// let at = ServerEndpoint::tcp("127.0.0.1:0").backlog(16).reuse_port();
/// reactor.serve(&at, async |_stream| Ok(()))?;
/// let bad = reactor.serve("127.0.0.1:http", async |_stream| Ok(())).unwrap_err();
/// assert_eq!(
///     bad.to_string(),
///     "cannot listen at 127.0.0.1:http: bad endpoint: the port is a number from 0 to 65535\n  \
///      127.0.0.1:http\n            ^^^^"
/// );
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "serverFromString")]
#[doc(alias = "IStreamServerEndpoint")]
pub struct ServerEndpoint {
    text: String,
    pub(super) kind: Kind,
}

/// What a place to listen at is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Tcp {
        interface: String,
        port: u16,
        backlog: u32,
        is_shared: bool,
    },
    Unix(UnixName, UnixOptions),
    /// Absent once it is listened at.
    Given(Given),
    Custom(Given<Box<dyn Listener>>),
    /// What nobody can listen at.
    Bad(Unusable),
    Descriptor(u32),
    Passed(Choice),
    Behind(Box<Kind>),
    #[cfg(feature = "tls")]
    Tls(ServerTls, Box<Kind>),
    Stdio,
}

impl ServerEndpoint {
    /// An address or a description; what is wrong is kept for whoever uses it.
    pub(super) fn read(text: &str) -> ServerEndpoint {
        text.parse().unwrap_or_else(|error: EndpointError| ServerEndpoint {
            text: text.to_owned(),
            kind: Kind::Bad(error.into()),
        })
    }

    pub(super) fn bad(text: &str, why: impl Into<Unusable>) -> ServerEndpoint {
        ServerEndpoint { text: text.to_owned(), kind: Kind::Bad(why.into()) }
    }

    /// TCP at a host and a port, as `host:port`.
    ///
    /// The host is one even if it is called as a type of endpoint is.
    ///
    /// ```
    /// use ropewalk::{Reactor, ServerEndpoint};
    ///
    /// let reactor = Reactor::new()?;
    /// let at = ServerEndpoint::tcp("127.0.0.1:0").backlog(16).reuse_port();
    /// let one = reactor.serve(at, async |_stream| Ok(()))?;
    /// let same = ServerEndpoint::tcp(one.host()).reuse_port();
    /// reactor.serve(same, async |_stream| Ok(()))?; // the system spreads connections over both
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn tcp(at: impl fmt::Display) -> ServerEndpoint {
        let text = at.to_string();
        let kind = host_and_port(&text).map_or_else(|bad| Kind::Bad(bad.into()), Kind::tcp);
        ServerEndpoint { text, kind }
    }

    /// A Unix socket: a path, or a name in Linux' abstract namespace.
    ///
    /// At a path, a file `PATH.lock` is locked for as long as the port is open, so that no two
    /// processes listen there; a socket that a process left behind is removed.
    ///
    /// That a peer reads no more is told by the system only to who writes: while bytes wait because the
    /// peer's buffer is full, it may not be noticed before the close timeout.
    ///
    /// ```
    /// use ropewalk::ServerEndpoint;
    ///
    /// let at = ServerEndpoint::unix("/run/bus").mode(0o660);
    /// assert_eq!(at.to_string(), "unix:/run/bus");
    /// ```
    pub fn unix(name: impl Into<UnixName>) -> ServerEndpoint {
        let name = name.into();
        let text = name.to_string();
        ServerEndpoint { text, kind: Kind::Unix(name, UnixOptions::default()) }
    }

    /// Standard input and output: one connection, which is accepted at once.
    ///
    /// ```
    /// assert_eq!(ropewalk::ServerEndpoint::stdio().to_string(), "stdio");
    /// ```
    pub fn stdio() -> ServerEndpoint {
        ServerEndpoint { text: "stdio".into(), kind: Kind::Stdio }
    }

    /// A socket of your own that listens already: a `std::net::TcpListener`, say, or a `UnixListener`.
    ///
    /// It can be listened at once; clones of the endpoint have the same socket.
    ///
    /// Other holders may have it as well. Whether a call waits is a property of the open socket, and
    /// accepting has no flag against it: one who has it wait again is noticed before each connection that is
    /// accepted, but one who does so between that look and the call, while nobody is there to be accepted,
    /// has the reactor wait for the next connection. One who shuts it down closes the port.
    ///
    /// ```
    /// use ropewalk::{Reactor, ServerEndpoint};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve(ServerEndpoint::listener(listener), async |_stream| Ok(()))?;
    /// assert_eq!(port.host(), address.into());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "from_std")]
    #[doc(alias = "adoptStreamPort")]
    pub fn listener(listener: impl Into<OwnedFd>) -> ServerEndpoint {
        let kind = Kind::Given(Given::new(listener.into()));
        ServerEndpoint { text: "a listener of one's own".into(), kind }
    }

    /// Whatever brings connections: a [`Listener`] of your own, over which each of the verbs listens.
    ///
    /// It can be listened at once; clones of the endpoint have the same one.
    /// [The guide](crate::guide#joints) has a transport of one's own.
    ///
    /// ```
    /// use ropewalk::driver::{ByteStream, Key, Listener};
    /// use ropewalk::{Address, Reactor, ServerEndpoint};
    /// use std::io;
    ///
    /// /// Nobody ever comes.
    /// struct Deserted;
    /// impl Listener for Deserted {
    ///     fn register(&mut self, _: Key) -> io::Result<()> {
    ///         Ok(())
    ///     }
    ///     fn accept(&mut self) -> io::Result<(Box<dyn ByteStream>, Address)> {
    ///         Err(io::ErrorKind::WouldBlock.into())
    ///     }
    ///     fn host(&self) -> io::Result<Address> {
    ///         Ok(Address::Pipe("nowhere".into()))
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve(ServerEndpoint::custom(Deserted), async |_stream| Ok(()))?;
    /// assert_eq!(port.host().to_string(), "nowhere");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn custom(listener: impl Listener + 'static) -> ServerEndpoint {
        let kind = Kind::Custom(Given::new(Box::new(listener)));
        ServerEndpoint { text: "a listener of one's own".into(), kind }
    }

    /// So many connections may wait to be accepted; 1024 unless set.
    #[must_use]
    pub fn backlog(self, connections: u32) -> ServerEndpoint {
        self.with("backlog", |kind| match kind {
            Kind::Tcp { backlog, .. } => {
                *backlog = connections;
                true
            }
            Kind::Unix(_, options) => {
                options.backlog = connections;
                true
            }
            _ => false,
        })
    }

    /// Shares the address with other sockets, of this process or another of the same user, that share it too:
    /// the system spreads connections over all of them.
    #[must_use]
    pub fn reuse_port(self) -> ServerEndpoint {
        self.with("port to share", |kind| match kind {
            Kind::Tcp { is_shared, .. } => {
                *is_shared = true;
                true
            }
            _ => false,
        })
    }

    /// Who may connect to a Unix socket, as the bits of a file's mode; the process' umask decides unless
    /// set.
    #[must_use]
    pub fn mode(self, mode: u32) -> ServerEndpoint {
        self.with("mode", |kind| match kind {
            Kind::Unix(_, options) => {
                options.mode = Some(mode);
                true
            }
            _ => false,
        })
    }

    /// For this user alone, if it is a Unix socket that has the mode that all have (0666, or the umask's);
    /// anything else is as it was.
    ///
    /// ```
    /// use ropewalk::ServerEndpoint;
    ///
    /// let at = ServerEndpoint::unix("/run/mail.sock").private(); // mode 0600
    /// # let _ = at;
    /// ```
    #[must_use]
    pub fn private(self) -> ServerEndpoint {
        let is_asked_for = self.text.contains("mode=");
        self.with("mode", |kind| {
            if let Kind::Unix(_, options) = kind
                && matches!(options.mode, None | Some(0o666))
                && !is_asked_for
            {
                options.mode = Some(0o600);
            }
            true
        })
    }

    /// Does without the lock of a Unix socket, for directories where no file may be made beside it.
    #[doc(alias = "wantPID")]
    #[must_use]
    pub fn without_lock(self) -> ServerEndpoint {
        self.with("lock", |kind| match kind {
            Kind::Unix(_, options) => {
                options.lock = false;
                true
            }
            _ => false,
        })
    }

    /// Speaks TLS with whoever connects.
    ///
    /// Twice, it is TLS in TLS: the first one is the outer one.
    ///
    /// ```
    /// use ropewalk::tls::{Identity, ServerConfig};
    /// use ropewalk::{Reactor, ServerEndpoint};
    ///
    /// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?);
    /// let at = ServerEndpoint::tcp("127.0.0.1:0").tls(&config);
    /// assert_eq!(at.to_string(), "TLS over 127.0.0.1:0");
    /// Reactor::new()?.serve(at, async |_stream| Ok(()))?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[cfg(feature = "tls")]
    #[doc(alias = "wrapServerTLS")]
    #[must_use]
    pub fn tls(self, config: &ServerConfig) -> ServerEndpoint {
        let ServerEndpoint { text, kind } = self;
        let tls = ServerTls::Given(config.clone());
        ServerEndpoint { text: format!("TLS over {text}"), kind: Kind::Tls(tls, Box::new(kind)) }
    }

    /// Takes a PROXY header at the begin of each connection, which names the peer.
    ///
    /// Whoever can connect can say anything in one: listen where only the balancer can. TLS that the
    /// balancer passes on begins behind the header: `.behind_proxy().tls(&config)`.
    ///
    /// ```
    /// use ropewalk::{Reactor, ServerEndpoint};
    ///
    /// let at = ServerEndpoint::tcp("127.0.0.1:0").behind_proxy();
    /// assert_eq!(at.to_string(), "PROXY over 127.0.0.1:0");
    /// Reactor::new()?.serve(at, async |stream| Ok(println!("from {}", stream.peer())))?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "haproxy")]
    #[must_use]
    pub fn behind_proxy(self) -> ServerEndpoint {
        let ServerEndpoint { text, kind } = self;
        let kind = match kind {
            Kind::Behind(_) => Kind::Bad(ONE_HEADER.into()),
            kind => Kind::Behind(Box::new(kind)),
        };
        ServerEndpoint { text: format!("PROXY over {text}"), kind }
    }

    /// Changes what is below all layers; `change` says whether that has such an option.
    fn with(mut self, option: &str, change: impl Fn(&mut Kind) -> bool) -> ServerEndpoint {
        let kind = self.kind.below_layers();
        if !matches!(kind, Kind::Bad(_)) && !change(kind) {
            *kind = Kind::Bad(format!("it has no {option}").into());
        }
        self
    }

    /// Listens, and gives each connection to `accepted`.
    #[track_caller]
    pub(crate) fn open(&self, reactor: &Reactor, accepted: Box<dyn Acceptor>) -> Result<Port> {
        self.kind.open(reactor.inner(), accepted).map_err(ListenError::at(&self.text))
    }
}

impl Kind {
    fn tcp((interface, port): (String, u16)) -> Kind {
        Kind::Tcp { interface, port, backlog: BACKLOG, is_shared: false }
    }

    fn below_layers(&mut self) -> &mut Kind {
        match self {
            Kind::Behind(within) => within.below_layers(),
            #[cfg(feature = "tls")]
            Kind::Tls(_, within) => within.below_layers(),
            kind => kind,
        }
    }

    fn open(&self, inner: &Rc<Loop>, accepted: Box<dyn Acceptor>) -> io::Result<Port> {
        let Some(name) = self.name() else { return self.open_anew(inner, accepted) };
        let port = match take_handed_over(inner, &name)? {
            Some(socket) => self.adopt(inner, socket, accepted)?,
            None => self.open_anew(inner, accepted)?,
        };
        note_open(inner, name, &port);
        Ok(port)
    }

    /// What a socket is called that one process hands to the next; none of what is no socket by itself.
    fn name(&self) -> Option<String> {
        match self {
            Kind::Tcp { interface, port, .. } => Some(format!("tcp:{interface}:{port}")),
            Kind::Unix(name, _) => Some(format!("unix:{name}")),
            Kind::Descriptor(number) => Some(format!("fd:{number}")),
            Kind::Passed(choice) => Some(choice.name()),
            _ => None,
        }
    }

    /// Listens at a socket that this process was started with.
    fn adopt(
        &self,
        inner: &Rc<Loop>,
        socket: OwnedFd,
        accepted: Box<dyn Acceptor>,
    ) -> io::Result<Port> {
        let port = inner.listen_adopted(socket, accepted)?;
        if let Kind::Unix(..) = self {
            port.take_name();
        }
        Ok(port)
    }

    fn open_anew(&self, inner: &Rc<Loop>, accepted: Box<dyn Acceptor>) -> io::Result<Port> {
        match self {
            Kind::Tcp { interface, port, backlog, is_shared } => {
                let addresses = find_now(inner, interface, *port)?;
                inner.listen_first(addresses, *backlog, *is_shared, accepted)
            }
            Kind::Unix(name, options) => inner.listen_unix(name, options, accepted),
            Kind::Given(listener) => inner.listen_adopted(listener.take()?, accepted),
            Kind::Custom(listener) => inner.listen_with(listener.take()?, accepted),
            Kind::Bad(why) => Err(why.into()),
            Kind::Descriptor(number) => inner.listen_inherited(*number, accepted),
            Kind::Passed(choice) => inner.listen_inherited(passed(choice)?, accepted),
            Kind::Behind(kind) => kind.open(inner, behind_proxy(accepted)),
            #[cfg(feature = "tls")]
            Kind::Tls(tls, kind) => {
                let dressed = tls.config().and_then(|config| config.dressed(accepted));
                let bad = |failure: Failure| io::Error::other(failure.to_string());
                kind.open(inner, dressed.map_err(bad)?)
            }
            Kind::Stdio => {
                let standard = crate::process::standard_stream(inner);
                let (stream, name) =
                    standard.map_err(|failure| io::Error::other(failure.to_string()))?;
                inner.welcome_one(stream, name, accepted)
            }
        }
    }
}

impl FromStr for ServerEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<ServerEndpoint, EndpointError> {
        let kind = match Text::read(text)? {
            Text::Address(host, port) => Kind::tcp((host, port)),
            Text::Description => parse(text)?,
        };
        Ok(ServerEndpoint { text: text.to_owned(), kind })
    }
}

impl fmt::Display for ServerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
