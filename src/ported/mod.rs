//! For code that comes from Twisted: its clients' factories, which hear how their connection fares, and its
//! names for listening and connecting.
//!
//! New code says [`Reactor::listen`], [`serve`](Reactor::serve) and [`accept`](Reactor::accept),
//! [`Reactor::connect`] and [`open`](Reactor::open).
//!
//! | Twisted | here |
//! |---|---|
//! | `listenTCP listenUNIX listenSSL` | [`Reactor::listen_tcp`], [`listen_unix`](Reactor::listen_unix), `listen_tls` (feature `tls`) |
//! | `connectTCP connectUNIX connectSSL` | [`Reactor::connect_tcp`], [`connect_unix`](Reactor::connect_unix), `connect_tls` (feature `tls`) |
//! | `ClientFactory`, `ReconnectingClientFactory` | [`ClientFactory`], [`ReconnectingClientFactory`] |
//! | `Connector` | [`Connector`] |
//! | `ClientCreator` | [`ClientCreator`] |
//! | `connectProtocol` | [`connect_protocol`] |

mod client;
mod client_creator;
mod connect_protocol;
mod ports;
mod reconnecting;

pub use client::{ClientFactory, Connector, NotConnectingError, NotDisconnectedError};
pub use client_creator::ClientCreator;
pub use connect_protocol::connect_protocol;
pub use reconnecting::{ReconnectingClientFactory, Retrying};

#[cfg(doc)]
use crate::reactor::Reactor;
