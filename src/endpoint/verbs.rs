//! The five verbs: what a reactor does with an endpoint.

use super::listener::Listener;
use super::{ClientEndpoint, ServerEndpoint};
use crate::deferred::{Deferred, IntoDeferred};
use crate::failure::Result;
use crate::net::listen::protocol_acceptor;
use crate::net::{Connected, Port};
use crate::protocol::Factory;
use crate::reactor::Reactor;
use crate::stream::{Stream, service};

/// # Listening and connecting
/// | | callbacks | async |
/// |---|---|---|
/// | come in | [`listen`](Reactor::listen): a protocol for each connection | [`serve`](Reactor::serve): a task for each; [`accept`](Reactor::accept): one task asks for the next |
/// | go out | [`connect`](Reactor::connect): a protocol | [`open`](Reactor::open): a stream |
/// | datagrams | [`listen_udp`](Reactor::listen_udp) | [`bind_udp`](Reactor::bind_udp): a socket |
///
/// Where is an address or a description, or made in code: [`endpoint`](crate::endpoint).
impl Reactor {
    /// Accepts connections and gives each a protocol of the factory's.
    ///
    /// Port 0 lets the system choose; see [`Port::host`]. A host name is looked up while you wait; the
    /// first of its addresses that can be listened at is taken. Fails with
    /// [`ListenError`](crate::net::ListenError), also for a text that is no endpoint.
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
    /// let port = reactor.listen("127.0.0.1:0", |_: &Address| Echo)?;
    /// assert_ne!(port.host().port(), Some(0)); // the system chose one
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "bind")]
    #[doc(alias = "IStreamServerEndpoint")]
    #[track_caller]
    pub fn listen<F>(&self, at: impl Into<ServerEndpoint>, factory: F) -> Result<Port>
    where
        F: Factory + 'static,
    {
        at.into().open(self, protocol_acceptor(factory))
    }

    /// Accepts connections and runs `handler` for each, in a task of its own.
    ///
    /// A handler that fails or panics resets its connection, and the failure is reported unless it is
    /// the peer that went away. What it wrote before still goes out if the system takes it; to answer and
    /// then end, write and return `Ok`. Fails as [`listen`](Reactor::listen) does.
    ///
    /// A handler that uses what is outside of it is an `async move` closure; what all connections share
    /// is in an [`Rc`](std::rc::Rc).
    ///
    /// ```
    /// use ropewalk::prelude::*;
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// let reactor = Reactor::new()?;
    /// let all = Rc::new(Cell::new(0));
    /// reactor.serve("127.0.0.1:0", async move |mut stream| {
    ///     let mut buf = [0; 4096];
    ///     loop {
    ///         let n = stream.read(&mut buf).await?;
    ///         if n == 0 { return Ok(()) }
    ///         all.set(all.get() + n);
    ///         stream.write_all(&buf[..n]).await?;
    ///     }
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "bind")]
    #[doc(alias = "start_server")]
    #[track_caller]
    pub fn serve<H, R>(&self, at: impl Into<ServerEndpoint>, handler: H) -> Result<Port>
    where
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        at.into().open(self, service(handler))
    }

    /// Accepts connections and keeps each until a task asks for it; see [`Listener`].
    ///
    /// Fails as [`listen`](Reactor::listen) does.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// let mut listener = reactor.accept("127.0.0.1:0")?;
    /// let client = reactor.open(&listener.host());
    /// let accepted = reactor.run_until(async move { Ok(listener.next().await) })?;
    /// assert!(accepted.is_some());
    /// # drop(client);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "bind")]
    #[doc(alias = "TcpListener")]
    #[doc(alias = "incoming")]
    #[track_caller]
    pub fn accept(&self, at: impl Into<ServerEndpoint>) -> Result<Listener> {
        Listener::open(|accepted| at.into().open(self, accepted))
    }

    /// Connects, and gives a way to reach the protocol that the factory builds.
    ///
    /// Fires right after `connection_made`; fails with [`ConnectError`](crate::net::ConnectError), also for
    /// a text that is no endpoint. Cancelling gives up.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    ///
    /// struct Counter(usize);
    /// impl Protocol for Counter {
    ///     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
    ///         self.0 += data.len();
    ///         Ok(())
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async |_| Ok(()))?;
    /// let connecting = reactor.connect(&port.host(), |_: &Address| Counter(0));
    /// let connected = reactor.run_until(connecting)?;
    /// connected.call(|counter, transport| {
    ///     counter.0 = 0;
    ///     transport.lose_connection();
    /// });
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "connectProtocol")]
    #[doc(alias = "IStreamClientEndpoint")]
    #[track_caller]
    pub fn connect<F>(
        &self,
        to: impl Into<ClientEndpoint>,
        factory: F,
    ) -> Deferred<Connected<F::Protocol>>
    where
        F: Factory + 'static,
    {
        let connecting = to.into().reach(self);
        connecting.add_callback(move |connection| Connected::begin(&connection, factory))
    }

    /// Connects, and gives the stream.
    ///
    /// Fails with [`ConnectError`](crate::net::ConnectError), also for a text that is no endpoint.
    /// Cancelling gives up.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async |mut stream| {
    ///     Ok(stream.write_all(b"hello").await?)
    /// })?;
    /// let opening = reactor.open(&port.host());
    /// let greeting = reactor.run_until(async move {
    ///     let mut greeting = String::new();
    ///     opening.await?.read_to_string(&mut greeting).await?;
    ///     Ok(greeting)
    /// })?;
    /// assert_eq!(greeting, "hello");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "TcpStream")]
    #[doc(alias = "UnixStream")]
    #[doc(alias = "open_connection")]
    #[track_caller]
    pub fn open(&self, to: impl Into<ClientEndpoint>) -> Deferred<Stream> {
        to.into().reach(self).map(Stream::new)
    }
}
