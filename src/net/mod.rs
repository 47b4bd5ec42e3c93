//! Moving bytes: connections, the ports that accept them, the connectors that make them.
//!
//! A connection (`connection.rs`) owns a stream of bytes from the driver, whatever kind it is, and
//! serves one of two faces: a protocol, which is pushed what arrives, or a stream, which pulls.

mod carrier;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod connector;
mod datagram;
pub(crate) mod layer;
mod outgoing;
pub(crate) mod port;
mod pull;
mod push;
mod racing;
mod reconnecting;

pub use client::{ClientFactory, Connected, Connector, NoProtocol, NotConnecting, NotDisconnected};
pub use connector::{ConnectError, ConnectTo};
pub use datagram::{CannotSend, DatagramProtocol, DatagramTransport, UdpSocket};
pub use port::{CannotListen, ListenUnix, Port};
pub use reconnecting::{ReconnectingClientFactory, Retrying};
