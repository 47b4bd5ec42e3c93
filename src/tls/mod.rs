//! TLS over any stream, in both roles: TCP, Unix sockets, TLS itself.
//!
//! A TLS connection is a [`Transport`] or a [`Stream`] as any other; what differs is
//! how it is made:
//!
//! | | server | client |
//! |---|---|---|
//! | new, over anything | [`ServerEndpoint::tls`](crate::ServerEndpoint::tls) | [`ClientEndpoint::tls`](crate::ClientEndpoint::tls) |
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
//! * Who ends first hears the peer out: waits for its close_notify or its end, and drops what comes, for 10 s
//!   and 4 MiB at most. A server sends tickets unasked, and a close_notify is bytes too: to close with those
//!   unread would have the system reset the connection and forget what was written last.
//! * Who has heard the peer's close_notify has heard all of it and ends in order, though its own
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
//! use ropewalk::{ClientEndpoint, ServerEndpoint};
//! use futures_util::{AsyncReadExt, AsyncWriteExt};
//! use ropewalk::Reactor;
//! use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
//!
//! let identity = Identity::self_signed(&["localhost"])?;
//! let client = ClientConfig::trusting(identity.certificate_pem()).server_name("localhost");
//! let reactor = Reactor::new()?;
//! let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&ServerConfig::new(identity)), async |mut stream| {
//!     Ok(stream.write_all(b"hello, whoever you are").await?)
//! })?;
//! let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
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
use crate::deferred::{Deferred, fail};
use crate::failure::{Failure, Result};
use crate::net::connect::naming::{ascii_name, without_scope};
use crate::net::connection::layer::{HandshakingAcceptor, Layer};
use crate::net::listen::Acceptor;
#[cfg(doc)]
use crate::stream::Stream;
use crate::transport::{Transport, Wrap};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;
use stream::TlsStream;

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
/// let port = reactor.serve("127.0.0.1:0", async move |mut stream| {
///     stream.write_all(b"go").await?;
///     start_tls(&stream.transport(), &server).await?;
///     stream.write_all(b"a secret").await?;
///     Ok(())
/// })?;
/// let opening = reactor.open(&port.host());
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
    let here = Location::caller();
    match config.wrap(&transport.peer()) {
        Ok((wrap, limit)) => transport.upgrade(wrap, limit),
        Err(failure) => fail(failure.arose_at(here)),
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
