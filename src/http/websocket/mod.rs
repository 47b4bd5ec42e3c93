// `codec` knows what may follow what; `frame` the head of a frame, `mask`, `utf8`, `close` and `violation`
// one question each. As in `h1`, what is told depends on the bytes alone, not on how they were cut.
//
// Not here: the handshake, compression, deadlines, who handles a message.

//! WebSocket without a socket: frames in, events out, and the other way round.
//!
//! A [`Codec`] is one end of a connection after its upgrade, a server's or a client's (RFC 6455). So far
//! it is all that is here: the handshake, compression and what runs on a reactor are still to come.
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
//! # Rules
//! 1. Feed what arrived until there is no further event. The input is unmasked where it lies.
//! 2. A message comes in pieces as they arrive; the last one says so. Its length and the number of its
//!    frames are limited; gathering it, if that is wanted, is the caller's.
//! 3. Answer a ping with a pong, a close with a close, and what is refused with a close that has the code
//!    of the [`Violation`]; then end the connection.
//! 4. Behind a close of one's own nothing is sent; the peer's messages still come until its close.
//! 5. Text is refused at its first byte that is not UTF-8.

mod close;
mod codec;
mod event;
mod frame;
mod mask;
mod utf8;
mod violation;

pub use close::{Close, CloseCode};
pub use codec::{Codec, Limits};
pub use event::{Event, Payload, Piece, SendError};
pub use violation::Violation;

#[cfg(test)]
mod tests;
