//! Moving bytes: connections, the ports that accept them, the connectors that make them.
//!
//! A connection (`connection.rs`) owns a stream of bytes from the driver, whatever kind it is, and
//! serves one of two faces: a protocol, which is pushed what arrives, or a stream, which pulls.

mod ahead;
mod carrier;
pub(crate) mod client;
mod connected;
pub(crate) mod connection;
pub(crate) mod connector;
mod ending;
mod faults;
pub(crate) use faults::is_of_connection;
mod datagram;
mod incoming;
pub(crate) mod layer;
mod listening;
mod lookup;
pub(crate) mod naming;
mod outgoing;
mod parting;
pub(crate) mod port;
mod producing;
mod pull;
mod push;
mod racing;
mod rare;
mod reconnecting;
mod refusals;

pub use client::{ClientFactory, Connector, NoProtocol, NotConnecting, NotDisconnected};
pub use connected::Connected;
pub use connector::{ConnectError, ConnectTo};
pub use datagram::{CannotSend, DatagramProtocol, DatagramTransport, UdpSocket};
pub use port::{CannotListen, ListenUnix, Port};
pub use reconnecting::{ReconnectingClientFactory, Retrying};
