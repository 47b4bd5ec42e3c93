// Services that connect by Twisted's client factories.

use super::contract::Service;
use super::running::Running;
use super::shared::SharedClientFactory;
use crate::deferred::succeed;
use crate::ported::{ClientFactory, Connector};
use crate::{ClientEndpoint, Deferred, UnixName};
use std::fmt;

/// Connects when it is started, for a client factory that hears how the connection fares, and disconnects
/// when it stops. One that comes back by itself is [`ClientService`](super::ClientService).
///
/// ```
/// use ropewalk::prelude::*;
/// use ropewalk::ported::ClientFactory;
/// use ropewalk::service::TcpClient;
///
/// struct Caller;
/// impl Protocol for Caller {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// struct Calls;
/// impl ClientFactory for Calls {
///     type Protocol = Caller;
///     fn build_protocol(&mut self, _: &Address) -> Option<Caller> {
///         Some(Caller)
///     }
/// }
/// let service = TcpClient::new("mailhost:25", Calls);
/// # let _ = service;
/// ```
#[doc(alias = "TCPClient")]
#[doc(alias = "GenericClient")]
pub struct TcpClient {
    kind: &'static str,
    to: ClientEndpoint,
    connect: Box<dyn FnMut(&Running) -> Connector>,
    connector: Option<Connector>,
}

impl TcpClient {
    /// To an endpoint; a host and a port are one.
    pub fn new<F>(to: impl Into<ClientEndpoint>, factory: F) -> TcpClient
    where
        F: ClientFactory + 'static,
    {
        TcpClient::of_kind("TcpClient", to.into(), factory)
    }

    fn of_kind<F>(kind: &'static str, to: ClientEndpoint, factory: F) -> TcpClient
    where
        F: ClientFactory + 'static,
    {
        let (at, factory) = (to.clone(), SharedClientFactory::new(factory));
        let connect = move |up: &Running| {
            let (to, factory) = (at.clone(), factory.clone());
            up.owner().enter(|| up.reactor().connect_tcp(to, factory))
        };
        TcpClient { kind, to, connect: Box::new(connect), connector: None }
    }
}

impl Service for TcpClient {
    fn kind(&self) -> &str {
        self.kind
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        self.connector = Some((self.connect)(up));
        succeed(())
    }

    fn stop_service(&mut self, _: &Running) -> Deferred<()> {
        if let Some(connector) = self.connector.take() {
            connector.disconnect();
        }
        succeed(())
    }
}

impl fmt::Debug for TcpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.kind).field("to", &self.to).finish_non_exhaustive()
    }
}

/// A [`TcpClient`] to a Unix socket.
#[doc(alias = "UNIXClient")]
#[derive(Debug)]
pub struct UnixClient(());

impl UnixClient {
    /// To the socket of that name.
    #[expect(clippy::new_ret_no_self, reason = "a kind of that service, as Twisted calls it")]
    pub fn new<F>(to: impl Into<UnixName>, factory: F) -> TcpClient
    where
        F: ClientFactory + 'static,
    {
        TcpClient::of_kind("UnixClient", ClientEndpoint::unix(to), factory)
    }
}

/// A [`TcpClient`] that speaks TLS.
#[cfg(feature = "tls")]
#[doc(alias = "SSLClient")]
#[derive(Debug)]
pub struct TlsClient(());

#[cfg(feature = "tls")]
impl TlsClient {
    /// To an endpoint, by that configuration.
    #[expect(clippy::new_ret_no_self, reason = "a kind of that service, as Twisted calls it")]
    pub fn new<F>(
        to: impl Into<ClientEndpoint>,
        config: &crate::tls::ClientConfig,
        factory: F,
    ) -> TcpClient
    where
        F: ClientFactory + 'static,
    {
        TcpClient::of_kind("TlsClient", to.into().tls(config), factory)
    }
}
