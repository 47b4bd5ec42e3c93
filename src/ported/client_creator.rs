//! One client after the other, each with a protocol of the same kind.

use crate::address::{Address, UnixName};
use crate::deferred::Deferred;
use crate::endpoint::ClientEndpoint;
use crate::net::Connected;
use crate::protocol::Protocol;
use crate::reactor::Reactor;
#[cfg(feature = "tls")]
use crate::tls::ClientConfig;
use std::fmt;
use std::rc::Rc;

/// Connects clients of one kind, each for itself.
///
/// ```
/// use ropewalk::ported::ClientCreator;
/// use ropewalk::{Protocol, Reactor, Result, Transport};
///
/// struct Quiet;
/// impl Protocol for Quiet {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// let reactor = Reactor::new()?;
/// let port = reactor.serve("127.0.0.1:0", async |_| Ok(()))?;
/// let creator = ClientCreator::new(&reactor, || Quiet);
/// let connected = reactor.run_until(creator.connect_tcp(&port.host()))?;
/// assert_eq!(connected.transport().peer(), port.host());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub struct ClientCreator<B> {
    reactor: Reactor,
    build: Rc<B>,
}

impl<B, P> ClientCreator<B>
where
    B: Fn() -> P + 'static,
    P: Protocol + 'static,
{
    /// For protocols that `build` makes.
    pub fn new(reactor: &Reactor, build: B) -> ClientCreator<B> {
        ClientCreator { reactor: reactor.clone(), build: Rc::new(build) }
    }

    /// Connects to an endpoint; cancelling gives up.
    #[track_caller]
    pub fn connect(&self, to: impl Into<ClientEndpoint>) -> Deferred<Connected<P>> {
        let build = self.build.clone();
        self.reactor.connect(to, move |_: &Address| build())
    }

    /// Connects by TCP.
    #[track_caller]
    #[doc(alias = "connectTCP")]
    pub fn connect_tcp(&self, to: impl Into<ClientEndpoint>) -> Deferred<Connected<P>> {
        self.connect(to)
    }

    /// Connects to a Unix socket.
    #[track_caller]
    #[doc(alias = "connectUNIX")]
    pub fn connect_unix(&self, to: impl Into<UnixName>) -> Deferred<Connected<P>> {
        self.connect(ClientEndpoint::unix(to))
    }

    /// Connects by TCP and TLS; the protocol begins after the handshake.
    ///
    /// ```
    /// use ropewalk::ported::ClientCreator;
    /// use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
    /// use ropewalk::{ServerEndpoint, Protocol, Reactor, Result, Transport};
    ///
    /// struct Quiet;
    /// impl Protocol for Quiet {
    ///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
    ///         Ok(())
    ///     }
    /// }
    /// let identity = Identity::self_signed(&["127.0.0.1"])?;
    /// let trusting = ClientConfig::trusting(identity.certificate_pem());
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve(ServerEndpoint::from("127.0.0.1:0").tls(&ServerConfig::new(identity)), async |_| Ok(()))?;
    /// let creator = ClientCreator::new(&reactor, || Quiet);
    /// let connected = reactor.run_until(creator.connect_tls(&port.host(), &trusting))?;
    /// assert_eq!(connected.transport().peer(), port.host());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[cfg(feature = "tls")]
    #[track_caller]
    #[doc(alias = "connectSSL")]
    pub fn connect_tls(
        &self,
        to: impl Into<ClientEndpoint>,
        config: &ClientConfig,
    ) -> Deferred<Connected<P>> {
        self.connect(to.into().tls(config))
    }
}

impl<B> fmt::Debug for ClientCreator<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCreator").finish_non_exhaustive()
    }
}
