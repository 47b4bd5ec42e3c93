//! Moving bytes: connections (`connection/`), the ports that accept them (`listen/`), the attempts that
//! make them (`connect/`), and datagrams (`datagram/`).
//!
//! A connection owns a stream of bytes from the driver, whatever kind it is, and serves one of two
//! faces: a protocol, which is pushed what arrives, or a stream, which pulls.

pub(crate) mod connect;
pub(crate) mod connected;
pub(crate) mod connection;
pub(crate) mod datagram;
pub(crate) mod listen;
mod reachable;

pub use connect::ConnectError;
pub(crate) use connected::Connected;
pub use connected::NoProtocolError;
pub(crate) use connection::is_of_connection;
pub use datagram::{DatagramProtocol, DatagramTransport, SendError, UdpAddress};
pub use listen::ListenError;
pub(crate) use listen::Port;
pub use reachable::Reachable;
