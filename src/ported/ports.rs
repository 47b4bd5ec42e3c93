//! Listening by Twisted's names.

use crate::address::UnixName;
use crate::endpoint::ServerEndpoint;
use crate::failure::Result;
use crate::net::Port;
use crate::protocol::Factory;
use crate::reactor::Reactor;
#[cfg(feature = "tls")]
use crate::tls::ServerConfig;

/// # Ported code
/// Twisted's own names for [`listen`](Reactor::listen) and [`connect`](Reactor::connect); see
/// [`ported`](crate::ported).
impl Reactor {
    /// [`listen`](Reactor::listen), by Twisted's name.
    ///
    /// ```
    /// use ropewalk::prelude::*;
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
    pub fn listen_tcp<F>(&self, at: impl Into<ServerEndpoint>, factory: F) -> Result<Port>
    where
        F: Factory + 'static,
    {
        self.listen(at, factory)
    }

    /// [`listen`](Reactor::listen) at a Unix socket, by Twisted's name.
    ///
    /// ```
    /// use ropewalk::prelude::*;
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
    pub fn listen_unix<F>(&self, name: impl Into<UnixName>, factory: F) -> Result<Port>
    where
        F: Factory + 'static,
    {
        self.listen(ServerEndpoint::unix(name), factory)
    }

    /// [`listen`](Reactor::listen) with [TLS](ServerEndpoint::tls), by Twisted's name.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    /// use ropewalk::tls::{Identity, ServerConfig};
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
    #[cfg(feature = "tls")]
    #[doc(alias = "listenSSL")]
    #[track_caller]
    pub fn listen_tls<F>(
        &self,
        at: impl Into<ServerEndpoint>,
        config: &ServerConfig,
        factory: F,
    ) -> Result<Port>
    where
        F: Factory + 'static,
    {
        self.listen(at.into().tls(config), factory)
    }
}
