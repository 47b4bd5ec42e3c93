// `codec` knows what may follow what; `frame` the head of a frame, `mask`, `utf8`, `close` and `violation`
// one question each. As in `h1`, what is told depends on the bytes alone, not on how they were cut.
//
// Above it `handshake` makes a connection of HTTP one of frames, `connection` reads it and calls a
// `protocol`, `socket` is what is said and when a peer is given up, `stream` the awaited face of that.
//
// Not here: compression, the client.

//! WebSocket, in both faces: RFC 6455.
//!
//! A handler [accepts](crate::http::Request::accept_websocket) it with a [`WebSocketProtocol`], or as a
//! [`WebSocket`] to be awaited. Either way the connection is looked after: pings are answered and sent, a
//! peer that is silent for two of them is cut off, a close is answered and has its time, a server that
//! drains says 1001.
//!
//! ```
//! use ropewalk::http::websocket::{Options, Socket, WebSocketProtocol};
//! use ropewalk::http::{Request, Site, leaf};
//! use ropewalk::Result;
//!
//! struct Echo;
//! impl WebSocketProtocol for Echo {
//!     fn text(&mut self, socket: &Socket, text: &str) -> Result {
//!         Ok(socket.send(text)?)
//!     }
//! }
//! let callbacks = Site::new(leaf(|request: &Request| {
//!     request.accept_websocket(&Options::new(), Echo)
//! }));
//! let awaited = Site::new(leaf(async |request: Request| {
//!     let mut socket = request.accept_websocket_stream(&Options::new())?;
//!     while let Some(message) = socket.next().await? {
//!         socket.send(message).await?;
//!     }
//!     Ok(())
//! }));
//! # let _ = (callbacks, awaited);
//! ```
//!
//! # Without a connection
//! A [`Codec`] is one end of a connection after its upgrade, a server's or a client's, as bytes:
//!
//! ```
//! use ropewalk::http::websocket::{CloseCode, Codec, Event, Limits};
//!
//! let mut client = Codec::client(Limits::default(), || 0x0102_0304); // random, in a program
//! let mut server = Codec::server(Limits::default());
//!
//! let mut wire = Vec::new();
//! client.send_text("Hello", &mut wire)?;
//! client.close(Some((CloseCode::NORMAL, "done")), &mut wire)?;
//!
//! let mut input = &mut wire[..];
//! let Some(Event::Text(piece)) = server.feed(&mut input) else { unreachable!() };
//! assert_eq!((piece.data, piece.is_last), (&b"Hello"[..], true));
//! let Some(Event::Close(close)) = server.feed(&mut input) else { unreachable!() };
//! assert_eq!(close.code(), Some(CloseCode::NORMAL));
//! # Ok::<(), ropewalk::http::websocket::SendError>(())
//! ```
//!
//! ## Rules of a codec
//! 1. Feed what arrived until there is no further event. The input is unmasked where it lies.
//! 2. A message comes in pieces as they arrive; the last one says so. Its length and the number of its
//!    frames are limited; gathering it, if that is wanted, is the caller's.
//! 3. Answer a ping with a pong, a close with a close, and what is refused with a close that has the code
//!    of the [`Violation`]; then end the connection.
//! 4. Behind a close of one's own nothing is sent; the peer's messages still come until its close.
//! 5. Text is refused at its first byte that is not UTF-8.

mod close;
mod codec;
mod connection;
mod event;
mod frame;
mod handshake;
mod mask;
mod message;
mod options;
mod protocol;
mod socket;
mod stream;
mod utf8;
mod violation;

pub use close::{Close, CloseCode};
pub use codec::{Codec, Limits};
pub use event::{Event, Payload, Piece, SendError};
pub use message::{Message, Prepared, broadcast};
pub use options::Options;
pub use protocol::{Closed, WebSocketProtocol};
pub use socket::Socket;
pub use stream::WebSocket;
pub use violation::Violation;

#[cfg(test)]
mod tests;
