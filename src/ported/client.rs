//! Clients: a connection for a protocol, once or as often as its factory wants.
//!
//! ```text
//!                 1 connect                       2 connected
//!   disconnected ───────────────► connecting ───────────────────► connected
//!        ▲                            │ 3 failed, stop_connecting     │ 4 lost
//!        └────────────────────────────┴───────────────────────────────┘
//! ```
//! The stage changes when something happens; the factory is told of it in order, one at a time: one
//! that calls its connector from inside a call is told the consequence after that call.

use crate::address::{Address, UnixName};
use crate::deferred::Deferred;
use crate::endpoint::ClientEndpoint;
use crate::failure::{Failure, NO_PLACE, Result, catch_panic, plain_error};
use crate::net::connection::Connection;
use crate::protocol::Protocol;
use crate::reactor::{Loop, Reactor, run_reporting_panic};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

/// Builds the protocol of an outgoing connection and hears how the connection fares.
///
/// ```
/// use ropewalk::ported::{ClientFactory, Connector};
/// use ropewalk::{Address, Failure, Protocol, Reactor, Result, Transport};
///
/// struct Caller;
/// impl Protocol for Caller {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// struct Calls(Reactor);
/// impl ClientFactory for Calls {
///     type Protocol = Caller;
///     fn build_protocol(&mut self, _: &Address) -> Option<Caller> {
///         Some(Caller)
///     }
///     fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
///         assert!(reason.to_string().starts_with("cannot connect to"));
///         let _ = self.0.stop();
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.connect_tcp("nowhere", Calls(reactor.clone()));
/// reactor.run()?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub trait ClientFactory {
    /// What it builds.
    type Protocol: Protocol + 'static;

    /// The connector begins to use this factory.
    #[doc(alias = "startFactory")]
    fn started(&mut self) {}

    /// An attempt begins.
    #[doc(alias = "startedConnecting")]
    fn started_connecting(&mut self, connector: &Connector) {
        let _ = connector;
    }

    /// The protocol for a connection that was made; `None` closes it.
    #[doc(alias = "buildProtocol")]
    fn build_protocol(&mut self, peer: &Address) -> Option<Self::Protocol>;

    /// The attempt failed, or was stopped. `connector.connect()` tries again.
    #[doc(alias = "clientConnectionFailed")]
    fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
        let _ = (connector, reason);
    }

    /// The connection has ended, and its protocol was told. `connector.connect()` makes another.
    #[doc(alias = "clientConnectionLost")]
    fn client_connection_lost(&mut self, connector: &Connector, reason: &Failure) {
        let _ = (connector, reason);
    }

    /// The connector is done with this factory, unless it connects again.
    #[doc(alias = "stopFactory")]
    fn stopped(&mut self) {}
}

impl Reactor {
    /// Connects by TCP for a factory, which hears of every step; `started_connecting` at once.
    ///
    /// Failures are told in a later turn, never from inside this method.
    #[doc(alias = "connectTCP")]
    pub fn connect_tcp<F>(&self, to: impl Into<ClientEndpoint>, factory: F) -> Connector
    where
        F: ClientFactory + 'static,
    {
        self.connect_for(to.into(), factory)
    }

    /// Connects to a Unix socket for a factory, as [`Reactor::connect_tcp`] does.
    #[doc(alias = "connectUNIX")]
    pub fn connect_unix<F>(&self, to: impl Into<UnixName>, factory: F) -> Connector
    where
        F: ClientFactory + 'static,
    {
        self.connect_tcp(ClientEndpoint::unix(to), factory)
    }

    /// Connects by TCP and TLS for a factory, as [`Reactor::connect_tcp`] does; a handshake that
    /// fails is a connection that failed.
    ///
    /// ```
    /// use ropewalk::tls::ClientConfig;
    /// use ropewalk::ported::{ClientFactory, Connector};
    /// use ropewalk::{Address, Failure, Protocol, Reactor, Result, Transport};
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
    ///     fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
    ///         println!("{reason}"); // an endpoint needs a port
    ///         let _ = connector.reactor().stop();
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// reactor.connect_tls("nowhere", &ClientConfig::new(), Calls);
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[cfg(feature = "tls")]
    #[doc(alias = "connectSSL")]
    pub fn connect_tls<F>(
        &self,
        to: impl Into<ClientEndpoint>,
        config: &crate::tls::ClientConfig,
        factory: F,
    ) -> Connector
    where
        F: ClientFactory + 'static,
    {
        self.connect_tcp(to.into().tls(config), factory)
    }

    pub(crate) fn connect_for<F>(&self, to: ClientEndpoint, factory: F) -> Connector
    where
        F: ClientFactory + 'static,
    {
        let connector = Connector {
            shared: Rc::new(Shared {
                inner: self.inner().clone(),
                to,
                stage: RefCell::new(Stage::Disconnected),
                factory: Cell::new(Some(Box::new(Client { factory, is_started: false }))),
                events: RefCell::default(),
            }),
        };
        // Nobody would tell the factory of an attempt that a reactor refuses which is gone.
        if self.inner().check_alive().is_ok() {
            connector.begin();
        }
        connector
    }
}

/// A handle on an outgoing connection of a [`ClientFactory`]; clones speak of the same one.
#[derive(Clone)]
#[doc(alias = "IConnector")]
pub struct Connector {
    pub(super) shared: Rc<Shared>,
}

pub(super) struct Shared {
    pub(super) inner: Rc<Loop>,
    to: ClientEndpoint,
    /// Borrowed to look or to change, never while the factory is called.
    stage: RefCell<Stage>,
    /// Absent while it is told something.
    factory: Cell<Option<Box<dyn AnyFactory>>>,
    /// What the factory has still to be told.
    events: RefCell<VecDeque<ConnectorEvent>>,
}

enum Stage {
    Disconnected,
    Connecting(Deferred<()>),
    Connected(Rc<Connection>),
}

enum ConnectorEvent {
    Started,
    Failed(Failure),
    Made(Rc<Connection>),
    Lost(Failure),
}

impl Connector {
    /// Where it connects to.
    #[doc(alias = "getDestination")]
    pub fn destination(&self) -> &ClientEndpoint {
        &self.shared.to
    }

    /// The reactor that it connects with.
    pub fn reactor(&self) -> Reactor {
        Reactor::from(self.shared.inner.clone())
    }

    /// 1: connects again. Fails with [`NotDisconnectedError`] while it is connecting or connected.
    pub fn connect(&self) -> Result {
        if !matches!(*self.shared.stage.borrow(), Stage::Disconnected) {
            return Err(NotDisconnectedError.into());
        }
        self.shared.inner.check_alive()?;
        self.begin();
        Ok(())
    }

    /// 3: gives up the attempt; `client_connection_failed` will be told
    /// [`Cancelled`](crate::deferred::Cancelled). Fails with [`NotConnectingError`] when there is none.
    #[doc(alias = "stopConnecting")]
    pub fn stop_connecting(&self) -> Result {
        let stage = self.shared.stage.replace(Stage::Disconnected);
        match stage {
            Stage::Connecting(attempt) => {
                attempt.cancel();
                Ok(())
            }
            other => {
                self.shared.stage.replace(other);
                Err(NotConnectingError.into())
            }
        }
    }

    /// Ends whatever is under way: the attempt, or the connection, in order.
    pub fn disconnect(&self) {
        let connection = match &*self.shared.stage.borrow() {
            Stage::Connected(connection) => Some(connection.clone()),
            _ => None,
        };
        match connection {
            Some(connection) => connection.begin_losing(),
            // Nothing is under way: nothing is to be ended.
            None => drop(self.stop_connecting()),
        }
    }

    fn begin(&self) {
        let connector = self.clone();
        let (to, reactor) = (self.shared.to.clone(), self.reactor());
        // As a task: what fails at once is told in a later turn all the same.
        let reaching = async move { to.reach(&reactor).await };
        let attempt = self.shared.inner.spawn(reaching).add_both(move |outcome| {
            let (stage, event) = match outcome {
                Ok(connection) => {
                    (Stage::Connected(connection.clone()), ConnectorEvent::Made(connection))
                }
                Err(failure) => (Stage::Disconnected, ConnectorEvent::Failed(failure)),
            };
            connector.set_stage(stage);
            connector.notify(event);
            Ok(())
        });
        // It has not fired yet: a task is not polled from inside `connect`.
        self.set_stage(Stage::Connecting(attempt));
        self.notify(ConnectorEvent::Started);
    }

    /// Queues what happened, and tells it unless the factory is in a call already.
    fn notify(&self, event: ConnectorEvent) {
        self.shared.events.borrow_mut().push_back(event);
        let Some(mut factory) = self.shared.factory.take() else { return };
        while let Some(event) = self.next_event() {
            factory.tell(self, event);
        }
        self.shared.factory.set(Some(factory));
    }

    fn next_event(&self) -> Option<ConnectorEvent> {
        self.shared.events.borrow_mut().pop_front()
    }

    fn set_stage(&self, stage: Stage) {
        let former = self.shared.stage.replace(stage);
        drop(former);
    }

    fn is_disconnected(&self) -> bool {
        matches!(*self.shared.stage.borrow(), Stage::Disconnected)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("to", &self.shared.to).finish_non_exhaustive()
    }
}

/// A client factory whatever its protocol.
trait AnyFactory {
    fn tell(&mut self, connector: &Connector, event: ConnectorEvent);
}

struct Client<F> {
    factory: F,
    is_started: bool,
}

impl<F: ClientFactory> AnyFactory for Client<F> {
    fn tell(&mut self, connector: &Connector, event: ConnectorEvent) {
        match event {
            ConnectorEvent::Started => self.start(connector),
            ConnectorEvent::Made(connection) => self.make(connector, connection),
            ConnectorEvent::Failed(reason) => {
                hook(|| self.factory.client_connection_failed(connector, &reason));
                self.stop_unless_connecting(connector);
            }
            ConnectorEvent::Lost(reason) => {
                hook(|| self.factory.client_connection_lost(connector, &reason));
                self.stop_unless_connecting(connector);
            }
        }
    }
}

impl<F: ClientFactory> Client<F> {
    fn start(&mut self, connector: &Connector) {
        if !std::mem::replace(&mut self.is_started, true) {
            hook(|| self.factory.started());
        }
        hook(|| self.factory.started_connecting(connector));
    }

    fn make(&mut self, connector: &Connector, connection: Rc<Connection>) {
        let lost = connector.clone();
        connection.set_on_lost(move |reason| {
            lost.set_stage(Stage::Disconnected);
            lost.notify(ConnectorEvent::Lost(reason.clone()));
        });
        let build = || self.factory.build_protocol(&connection.peer);
        match catch_panic(NO_PLACE, build) {
            Ok(Some(protocol)) => connection.begin(Box::new(protocol)),
            Ok(None) => connection.begin_losing(),
            Err(failure) => {
                connection.report("panic in a client factory", &failure);
                connection.abort(failure);
            }
        }
    }

    fn stop_unless_connecting(&mut self, connector: &Connector) {
        if connector.is_disconnected() && std::mem::take(&mut self.is_started) {
            hook(|| self.factory.stopped());
        }
    }
}

/// Calls a factory: one that panics there is told the rest all the same.
fn hook(call: impl FnOnce()) {
    run_reporting_panic("panic in a client factory", call);
}

plain_error! {
    /// A connector was told to stop connecting, but it was not.
    NotConnectingError, "the connector is not connecting"
}
plain_error! {
    /// A connector was told to connect while it was connecting or connected.
    NotDisconnectedError, "the connector is connecting or connected already"
}
