//! TLS over any stream, in both roles: TCP, Unix sockets, TLS itself.
//!
//! A TLS connection is a [`Transport`] or a [`Stream`] as any other; what differs is
//! how it is made:
//!
//! | | server | client |
//! |---|---|---|
//! | new, over TCP | [`Reactor::listen_tls`], [`Reactor::serve_tls`] | [`Reactor::connect_tls`], [`Reactor::open_tls`] |
//! | new, over anything | [`ListenUnix::tls`] | [`ConnectTo::tls`] |
//! | on a live connection | [`start_tls`] | [`start_tls`] |
//!
//! # Rules
//! * The handshake comes first: `connection_made`, or the handler's start, comes after it, when the
//!   peer is known. A handshake that is not over within 10 s is given up.
//! * Servers are verified: by the system's certificates, for the name that was connected to.
//! * An end in order says so in TLS (close_notify), in both directions. A peer that ends the
//!   connection without a word may have been cut off by somebody else: that is
//!   [`ConnectionLost`](crate::transport::ConnectionLost).
//! * Half a connection can be ended, as over TCP.
//! * Who ends first hears the peer out: waits for its goodbye or its end, and drops what comes, for 10 s
//!   and 4 MiB at most. A server sends tickets unasked, and a goodbye is bytes too: to close with those
//!   unread would have the system reset the connection and forget what was written last.
//! * Who has heard the peer's goodbye has heard all of it and ends in order, though its own goodbye
//!   may find nobody any more.
//! * From [`start_tls`] on nothing leaves in the clear but what was written before, and nothing that
//!   came in the clear is given out as if it had come through TLS.
//!
//! # Deviations from Twisted
//! | Twisted | here |
//! |---|---|
//! | `connectionMade` before the handshake, `handshakeCompleted` after | `connection_made` after it |
//! | without a host name nothing is verified | always verified, unless [forbidden](ClientConfig::dangerously_trusting_anybody) |
//! | `loseWriteConnection` shuts the socket: both ends see a loss | close_notify, and reading goes on |
//! | `loseConnection` waits for the peer's close_notify for ever | for 10 s |
//! | an abort ends with `ConnectionLost` | `ConnectionAborted`, as everywhere |
//! | a line behind the one that calls `startTLS`, in the same segment, is delivered after it | [it fails the connection](start_tls): it came in the clear |
//!
//! # Example
//! ```
//! use futures_util::{AsyncReadExt, AsyncWriteExt};
//! use ropewalk::Reactor;
//! use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
//!
//! let identity = Identity::self_signed(&["localhost"])?;
//! let client = ClientConfig::trusting(identity.certificate_pem()).server_name("localhost");
//! let reactor = Reactor::new()?;
//! let port = reactor.serve_tls("127.0.0.1:0", &ServerConfig::new(identity), async |mut stream| {
//!     Ok(stream.write_all(b"hello, whoever you are").await?)
//! })?;
//! let opening = reactor.open_tls(&port.host(), &client);
//! let greeting = reactor.run_until(async move {
//!     let mut greeting = String::new();
//!     opening.await?.read_to_string(&mut greeting).await?;
//!     Ok(greeting)
//! })?;
//! assert_eq!(greeting, "hello, whoever you are");
//! # Ok::<(), ropewalk::Failure>(())
//! ```

// # Not here
// How a connection carries a layer and waits for its handshake: `net/connection/layer.rs`.

mod client;
mod config;
mod directory;
mod error;
mod identity;
mod no_verification;
mod roots;
mod self_signed;
mod server;
mod session;
mod stream;

pub use client::ClientConfig;
pub use error::TlsError;
pub use identity::Identity;
/// The library behind it, for configurations of one's own.
pub use rustls;
pub use server::ServerConfig;
pub use session::{Session, session};

use crate::address::Address;
use crate::deferred::{Deferred, IntoDeferred, fail};
use crate::failure::{Failure, Result};
use crate::net::connect::naming::{ascii_name, without_scope};
use crate::net::connection::layer::{HandshakingAcceptor, Layer};
use crate::net::listen::{Acceptor, protocol_acceptor};
use crate::net::{ConnectTo, ListenUnix, Port};
use crate::protocol::Factory;
use crate::reactor::Reactor;
use crate::stream::{Stream, service};
use crate::transport::{Transport, Wrap};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::rc::Rc;
use std::time::Duration;
use stream::TlsStream;

impl Reactor {
    /// Accepts TLS connections and gives each a protocol of the factory's, once its handshake is over.
    ///
    /// The address is as in [`Reactor::listen_tcp`]. Fails with what is wrong with the configuration,
    /// or with [`ListenError`](crate::net::ListenError).
    ///
    /// ```
    /// use ropewalk::tls::{Identity, ServerConfig};
    /// use ropewalk::{Address, Protocol, Reactor, Result, Transport};
    ///
    /// struct Echo;
    /// impl Protocol for Echo {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         transport.write(data);
    ///         Ok(())
    ///     }
    /// }
    /// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?);
    /// let reactor = Reactor::new()?;
    /// reactor.listen_tls("127.0.0.1:0", &config, |_: &Address| Echo)?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "listenSSL")]
    #[track_caller]
    pub fn listen_tls<A, F>(&self, address: A, config: &ServerConfig, factory: F) -> Result<Port>
    where
        A: ToSocketAddrs + fmt::Debug,
        F: Factory + 'static,
    {
        self.listen_dressed(address, config, protocol_acceptor(factory))
    }

    /// Accepts TLS connections and runs `handler` for each, once its handshake is over.
    ///
    /// ```
    /// use ropewalk::tls::{Identity, ServerConfig};
    ///
    /// let config = ServerConfig::new(Identity::self_signed(&["localhost"])?);
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve_tls("127.0.0.1:0", &config, async |_stream| Ok(()))?;
    /// assert_ne!(port.host().port(), Some(0)); // the system chose one
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn serve_tls<A, H, R>(&self, address: A, config: &ServerConfig, handler: H) -> Result<Port>
    where
        A: ToSocketAddrs + fmt::Debug,
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        self.listen_dressed(address, config, service(handler))
    }

    #[track_caller]
    fn listen_dressed(
        &self,
        address: impl ToSocketAddrs + fmt::Debug,
        config: &ServerConfig,
        below: Box<dyn Acceptor>,
    ) -> Result<Port> {
        self.inner().listen_tcp(address, config.dressed(below)?)
    }

    /// Connects by TCP and TLS and gives the stream.
    ///
    /// Fails with [`ConnectError`](crate::net::ConnectError), which says what is wrong with the peer.
    ///
    /// ```
    /// use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
    ///
    /// let identity = Identity::self_signed(&["127.0.0.1"])?;
    /// let trusting = ClientConfig::trusting(identity.certificate_pem());
    /// let reactor = ropewalk::Reactor::new()?;
    /// let port = reactor.serve_tls("127.0.0.1:0", &ServerConfig::new(identity), async |_| Ok(()))?;
    /// let stream = reactor.run_until(reactor.open_tls(&port.host(), &trusting))?;
    /// assert_eq!(stream.peer(), port.host());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn open_tls(&self, to: impl Into<ConnectTo>, config: &ClientConfig) -> Deferred<Stream> {
        self.open_tcp(to.into().tls(config))
    }
}

impl ConnectTo {
    /// Speaks TLS there. Twice, it speaks TLS in TLS: the first one is the outer one.
    ///
    /// ```
    /// use ropewalk::ConnectTo;
    /// use ropewalk::tls::ClientConfig;
    ///
    /// let to = ConnectTo::unix("/run/bus").tls(&ClientConfig::new().server_name("bus"));
    /// # let _ = to;
    /// ```
    #[must_use]
    pub fn tls(self, config: &ClientConfig) -> ConnectTo {
        self.through(Rc::new(config.clone()))
    }
}

impl ListenUnix {
    /// Speaks TLS there.
    ///
    /// ```
    /// use ropewalk::ListenUnix;
    /// use ropewalk::tls::{Identity, ServerConfig};
    ///
    /// let config = ServerConfig::new(Identity::self_signed(&["bus"])?);
    /// let at = ListenUnix::new("/run/bus").tls(&config);
    /// # let _ = at;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[must_use]
    pub fn tls(self, config: &ServerConfig) -> ListenUnix {
        self.through(Rc::new(config.clone()))
    }
}

/// Speaks TLS from now on, on a connection that is there; fires when the handshake is over.
///
/// The role is that of the configuration. What was written before leaves unencrypted first; what is
/// written from now on waits for the handshake. If that fails, so does the connection. A client
/// verifies the name that its configuration gives, or else the peer's IP address.
///
/// What came before was not protected, be it in the same segment as the word that starts TLS: whoever
/// is on the way may have written it. A [`Stream`] that has read such bytes ahead, and a framing of
/// [`framing`](crate::framing) that keeps some, fail the connection with
/// [`ConnectionLost`](crate::transport::ConnectionLost) instead of giving them out as if they had come through TLS.
/// A protocol that cuts `data` up by itself has to do the same with what is behind that word; and what
/// was learned before TLS is best forgotten, by all.
///
/// ```
/// use futures_util::{AsyncReadExt, AsyncWriteExt};
/// use ropewalk::Reactor;
/// use ropewalk::tls::{ClientConfig, Identity, ServerConfig, start_tls};
///
/// let identity = Identity::self_signed(&["127.0.0.1"])?;
/// let client = ClientConfig::trusting(identity.certificate_pem());
/// let server = ServerConfig::new(identity);
/// let reactor = Reactor::new()?;
/// let port = reactor.serve_tcp("127.0.0.1:0", async move |mut stream| {
///     stream.write_all(b"go").await?;
///     start_tls(&stream.transport(), &server).await?;
///     stream.write_all(b"a secret").await?;
///     Ok(())
/// })?;
/// let opening = reactor.open_tcp(&port.host());
/// let secret = reactor.run_until(async move {
///     let mut stream = opening.await?;
///     stream.read_exact(&mut [0; 2]).await?;
///     start_tls(&stream.transport(), &client).await?;
///     let mut secret = String::new();
///     stream.read_to_string(&mut secret).await?;
///     Ok(secret)
/// })?;
/// assert_eq!(secret, "a secret");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "startTLS")]
#[track_caller]
pub fn start_tls(transport: &Transport, config: &dyn Role) -> Deferred<()> {
    match config.wrap(&transport.peer()) {
        Ok((wrap, limit)) => transport.upgrade(wrap, limit),
        Err(failure) => fail(failure),
    }
}

/// Which end of TLS a configuration makes: a [`ServerConfig`] or a [`ClientConfig`].
pub trait Role: sealed::Wraps {}

impl Role for ServerConfig {}
impl Role for ClientConfig {}

mod sealed {
    use crate::address::Address;
    use crate::failure::Result;
    use crate::transport::Wrap;
    use std::time::Duration;

    pub trait Wraps {
        fn wrap(&self, peer: &Address) -> Result<(Wrap, Duration)>;
    }
}

impl sealed::Wraps for ServerConfig {
    fn wrap(&self, _peer: &Address) -> Result<(Wrap, Duration)> {
        Ok((self.prepare(None)?, self.limit))
    }
}

impl sealed::Wraps for ClientConfig {
    fn wrap(&self, peer: &Address) -> Result<(Wrap, Duration)> {
        let host = peer.ip().map(|ip| ip.to_string());
        Ok((self.prepare(host.as_deref())?, self.limit))
    }
}

impl ServerConfig {
    /// What a port does that speaks TLS, and then what the welcome below does.
    pub(crate) fn dressed(&self, below: Box<dyn Acceptor>) -> Result<Box<dyn Acceptor>> {
        self.build()?;
        Ok(Box::new(HandshakingAcceptor::new(Rc::new(self.clone()), below)))
    }
}

impl Layer for ServerConfig {
    fn prepare(&self, _host: Option<&str>) -> io::Result<Wrap> {
        let session = ServerConnection::new(self.build().map_err(bad_config)?);
        let session = session.map_err(io::Error::other)?;
        Ok(Box::new(|below| Box::new(TlsStream::new(below, session.into()))))
    }

    fn limit(&self) -> Duration {
        self.limit
    }
}

impl Layer for ClientConfig {
    fn prepare(&self, host: Option<&str>) -> io::Result<Wrap> {
        let name = self.server_name.as_deref().or(host).ok_or_else(nameless)?;
        let ascii = ascii_name(without_scope(name))?.into_owned();
        let name = ServerName::try_from(ascii).map_err(|_| bad_name(name))?;
        let session = ClientConnection::new(self.build().map_err(bad_config)?, name);
        let session = session.map_err(io::Error::other)?;
        Ok(Box::new(|below| Box::new(TlsStream::new(below, session.into()))))
    }

    fn limit(&self) -> Duration {
        self.limit
    }
}

fn bad_config(failure: Failure) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, failure.to_string())
}

fn nameless() -> io::Error {
    let why = "a TLS client has to know the server's name: set `server_name`";
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

fn bad_name(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name of a TLS server"))
}
