// Services that listen.

use super::contract::Service;
use super::running::Running;
use super::shared::Lent;
use crate::deferred::{fail, succeed};
use crate::{Deferred, Factory, IntoDeferred, Port, Result, ServerEndpoint, Stream, UnixName};
use std::fmt;
use std::rc::Rc;

/// Listens at an endpoint for as long as it runs; Twisted's `strports.service` as well, for an endpoint is
/// also a text.
///
/// It begins to listen before privileges are given up, or when it is started; a port that it does not get is
/// a failure of its start. When it stops, the port is closed, and the connections are drained.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::application::Application;
/// use ropewalk::prelude::*;
/// use ropewalk::service::StreamServerEndpointService;
/// use ropewalk::simulation::Simulation;
///
/// struct Echo;
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
/// let callbacks = StreamServerEndpointService::new("tcp:7", |_: &Address| Echo);
/// let greeter = StreamServerEndpointService::serve("tcp:17", async |mut stream| {
///     Ok(stream.write_all(b"a quote a day\r\n").await?)
/// });
/// let simulation = Simulation::new(1);
/// let host = simulation.host("host");
/// let application = Application::new("all").add_service(callbacks).add_service(greeter);
/// let running = simulation.run_until(application.run_on(&host.reactor()))?;
/// simulation.run_until(running.stop_service())?;
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "strports")]
pub struct StreamServerEndpointService {
    kind: &'static str,
    listen: Listen,
    on_listening: Option<OnListening>,
    port: Option<Port>,
}

type Listen = Box<dyn FnMut(&Running) -> Result<Port>>;
type OnListening = Rc<dyn Fn(&Port)>;

impl StreamServerEndpointService {
    /// Gives each connection a protocol of the factory's.
    pub fn new<F>(at: impl Into<ServerEndpoint>, factory: F) -> StreamServerEndpointService
    where
        F: Factory + 'static,
    {
        let (at, factory) = (at.into(), Lent::new(factory));
        StreamServerEndpointService::with(move |up| up.listen(at.clone(), factory.clone()))
    }

    /// Runs `handler` for each connection, in a task of its own.
    pub fn serve<H, R>(at: impl Into<ServerEndpoint>, handler: H) -> StreamServerEndpointService
    where
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        let (at, handler) = (at.into(), Rc::new(handler));
        StreamServerEndpointService::with(move |up| {
            let handler = handler.clone();
            up.serve(at.clone(), async move |stream| handler(stream).await)
        })
    }

    fn with(listen: impl FnMut(&Running) -> Result<Port> + 'static) -> StreamServerEndpointService {
        let listen = Box::new(listen);
        StreamServerEndpointService {
            kind: "StreamServerEndpointService",
            listen,
            on_listening: None,
            port: None,
        }
    }

    /// Calls `call` with the port each time that it listens: for one that the system chose.
    ///
    /// ```
    /// use ropewalk::service::TcpServer;
    ///
    /// let server = TcpServer::serve("127.0.0.1:0", async |_| Ok(()));
    /// let server = server.on_listening(|port| println!("listening at {}", port.host()));
    /// # let _ = server;
    /// ```
    #[must_use]
    pub fn on_listening(mut self, call: impl Fn(&Port) + 'static) -> StreamServerEndpointService {
        self.on_listening = Some(Rc::new(call));
        self
    }

    fn listen(&mut self, up: &Running) -> Deferred<()> {
        if self.port.is_some() {
            return succeed(());
        }
        match (self.listen)(up) {
            Ok(port) => {
                if let Some(call) = self.on_listening.clone() {
                    call(&port);
                }
                self.port = Some(port);
                succeed(())
            }
            Err(failure) => fail(failure),
        }
    }
}

impl Service for StreamServerEndpointService {
    fn kind(&self) -> &str {
        self.kind
    }

    fn privileged_start_service(&mut self, up: &Running) -> Deferred<()> {
        self.port = None;
        self.listen(up)
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        // At a restart the port of the former start is closed.
        if !up.has_begun_privileged() {
            self.port = None;
        }
        self.listen(up)
    }

    fn stop_service(&mut self, up: &Running) -> Deferred<()> {
        up.drain(self.port.take())
    }
}

impl fmt::Debug for StreamServerEndpointService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("StreamServerEndpointService");
        f.field("kind", &self.kind).field("port", &self.port).finish_non_exhaustive()
    }
}

/// A [`StreamServerEndpointService`] at a TCP port.
///
/// ```
/// use ropewalk::service::TcpServer;
///
/// let service = TcpServer::serve("127.0.0.1:8000", async |_stream| Ok(()));
/// # let _ = service;
/// ```
#[doc(alias = "TCPServer")]
#[derive(Debug)]
pub struct TcpServer(());

impl TcpServer {
    /// With a protocol for each connection.
    #[expect(clippy::new_ret_no_self, reason = "a kind of that service, as Twisted calls it")]
    pub fn new<F>(at: impl Into<ServerEndpoint>, factory: F) -> StreamServerEndpointService
    where
        F: Factory + 'static,
    {
        named("TcpServer", StreamServerEndpointService::new(at, factory))
    }

    /// With a task for each connection.
    pub fn serve<H, R>(at: impl Into<ServerEndpoint>, handler: H) -> StreamServerEndpointService
    where
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        named("TcpServer", StreamServerEndpointService::serve(at, handler))
    }
}

/// A [`StreamServerEndpointService`] at a Unix socket.
///
/// ```
/// use ropewalk::service::UnixServer;
///
/// let service = UnixServer::serve("/run/mail.sock", async |_stream| Ok(()));
/// # let _ = service;
/// ```
#[doc(alias = "UNIXServer")]
#[derive(Debug)]
pub struct UnixServer(());

impl UnixServer {
    /// With a protocol for each connection.
    #[expect(clippy::new_ret_no_self, reason = "a kind of that service, as Twisted calls it")]
    pub fn new<F>(at: impl Into<UnixName>, factory: F) -> StreamServerEndpointService
    where
        F: Factory + 'static,
    {
        let at = ServerEndpoint::unix(at);
        named("UnixServer", StreamServerEndpointService::new(at, factory))
    }

    /// With a task for each connection.
    pub fn serve<H, R>(at: impl Into<UnixName>, handler: H) -> StreamServerEndpointService
    where
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        let at = ServerEndpoint::unix(at);
        named("UnixServer", StreamServerEndpointService::serve(at, handler))
    }
}

/// A [`StreamServerEndpointService`] that speaks TLS.
#[cfg(feature = "tls")]
#[doc(alias = "SSLServer")]
#[derive(Debug)]
pub struct TlsServer(());

#[cfg(feature = "tls")]
impl TlsServer {
    /// With a protocol for each connection.
    #[expect(clippy::new_ret_no_self, reason = "a kind of that service, as Twisted calls it")]
    pub fn new<F>(
        at: impl Into<ServerEndpoint>,
        config: &crate::tls::ServerConfig,
        factory: F,
    ) -> StreamServerEndpointService
    where
        F: Factory + 'static,
    {
        let at = at.into().tls(config);
        named("TlsServer", StreamServerEndpointService::new(at, factory))
    }

    /// With a task for each connection.
    pub fn serve<H, R>(
        at: impl Into<ServerEndpoint>,
        config: &crate::tls::ServerConfig,
        handler: H,
    ) -> StreamServerEndpointService
    where
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        let at = at.into().tls(config);
        named("TlsServer", StreamServerEndpointService::serve(at, handler))
    }
}

fn named(
    kind: &'static str,
    mut service: StreamServerEndpointService,
) -> StreamServerEndpointService {
    service.kind = kind;
    service
}
