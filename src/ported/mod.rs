//! Twisted's clients, for code that comes from there: a factory that hears how its connection fares.
//!
//! New code says [`Reactor::connect`](crate::Reactor::connect) or an endpoint.

mod client;
mod client_creator;
mod reconnecting;

pub use client::{ClientFactory, Connector, NotConnectingError, NotDisconnectedError};
pub use client_creator::ClientCreator;
pub use reconnecting::{ReconnectingClientFactory, Retrying};
