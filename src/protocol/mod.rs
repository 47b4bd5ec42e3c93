//! What a connection calls: the meaning of its bytes, written as callbacks.
//!
//! # A connection's life
//! 1. A factory builds the protocol for the peer's address, and `connection_made` is called.
//! 2. `data_received` is called with whatever bytes arrived, in any cut.
//! 3. If the peer ends its half, `read_closed` is called; the default ends the other half too.
//! 4. `connection_lost` is called, exactly once and last, and the protocol is dropped.
//!
//! None of these is ever called from inside a method of [`Transport`]: a protocol is not entered
//! twice. An error or a panic resets the connection with that reason, and no other.
//!
//! # Deviations from Twisted
//! | Twisted | here |
//! |---|---|
//! | Half-close is for protocols that declare `IHalfCloseableProtocol`; for others the peer's end is the end, even of what they have still to send. | Every protocol has [`read_closed`](Protocol::read_closed), whose default ends the other half after what was written. |
//! | With both halves closed a connection stays until `loseConnection`. | Both halves ended is an end in order: `connection_lost` says [`ConnectionDone`](crate::transport::ConnectionDone) by itself. |
//! | `loseConnection` after `loseWriteConnection` calls `connectionLost` from inside. | No method of a transport calls a protocol: it is told in the same turn. |
//! | `connectTCP` with a factory that builds `None`: `clientConnectionLost(ConnectionDone)` once the socket is closed. | The same; it is told after the end in order, as of any connection. [`Reactor::connect`](crate::Reactor::connect) fails with [`NoProtocolError`](crate::net::NoProtocolError) at once. |
//! | A server's factory that builds `None`: the socket is closed. | The same; behind a layer (TLS) once the handshake is done, and then in order. |
//! | An exception in `dataReceived` closes in order, which the peer takes for success. | It resets. |

pub(crate) mod contract;
mod forward;

pub(crate) use contract::{Factory, Protocol};

#[cfg(doc)]
use crate::Transport;
