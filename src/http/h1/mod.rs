// One file for each question: what is a head (`head`, `start_line`), where does a body end (`framing`,
// `chunked`), what may follow what (`machine`), what is refused and with which words (`refusal`), how a
// head becomes bytes (`encode`). `messages` are the heads as values.
//
// Nothing here knows a connection, a clock or a task. What a message says is found in two passes that
// each look at a byte once: the parser, which knows lines, and `framing`, which knows the six fields that
// matter here. Whatever is decided, is decided by the bytes alone and at one of them: the tests send
// everything in every split and want the same.
//
// Deviations from Twisted: heads are refused where Twisted mends them (folded lines, bare LF, no Host,
// whitespace before a colon); HTTP/1.0 keeps its connection where both ends ask for it; a body's rest is
// dropped up to a limit instead of being read whole; an answer to a refused head has a sentence.
//
// Not here: deadlines, dates, who handles a request; the server and the client.

//! HTTP/1 without a socket: bytes in, events out, and the other way round.
//!
//! A [`Machine`] is one end of one connection, a server's or a client's. It is given what arrives and
//! says what it means; it is told what to say and writes the bytes into a `Vec`. It opens nothing, waits
//! for nothing and has no clock, so it runs on any transport, in a simulation, and in a test that is one
//! function long:
//!
//! ```
//! use ropewalk::http::h1::{Event, Length, Machine, RequestHead, ResponseHead};
//! use ropewalk::http::{Limits, Method, Status};
//!
//! let mut client = Machine::client(Limits::default());
//! let mut server = Machine::server(Limits::default());
//!
//! // The client asks.
//! let mut head = RequestHead::new(Method::Get, "/greeting")?;
//! head.set_header("Host", "example.com")?;
//! let mut wire = Vec::new();
//! client.send_request(&head, Length::Known(0), &mut wire)?;
//! client.finish(&mut wire)?;
//! assert_eq!(wire, b"GET /greeting HTTP/1.1\r\nHost: example.com\r\n\r\n");
//!
//! // The server hears it, and answers.
//! let mut input = &wire[..];
//! let Some(Event::Request(head)) = server.feed(&mut input) else { unreachable!() };
//! assert_eq!(head.target().path(), "/greeting");
//! assert!(matches!(server.feed(&mut input), Some(Event::End(_))));
//! let mut head = ResponseHead::new(Status::OK);
//! head.set_header("Content-Type", "text/plain")?;
//! let mut wire = Vec::new();
//! server.send_response(&head, Length::Known(5), &mut wire)?;
//! server.send_body("Hello", &mut wire)?;
//! server.finish(&mut wire)?;
//!
//! // The client hears the answer: its head, its body in pieces, its end.
//! let mut input = &wire[..];
//! let Some(Event::Response(head)) = client.feed(&mut input) else { unreachable!() };
//! assert_eq!(head.status(), Status::OK);
//! assert!(matches!(client.feed(&mut input), Some(Event::Body(b"Hello"))));
//! assert!(matches!(client.feed(&mut input), Some(Event::End(_))));
//! assert!(client.is_idle() && server.is_idle()); // both are ready for the next
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rules
//! 1. Feed what arrived until there is no further event. What is left of the input then belongs to a
//!    request that waits for its turn: keep it, and feed it when the answer is finished. Behind
//!    [`Event::Upgraded`] it belongs to the other protocol.
//! 2. Every message that begins with a head ends with [`Event::End`], [`Event::Upgraded`] or
//!    [`Event::Refused`].
//! 3. A server answers each request once and in order, whether or not it has read the body. A client may
//!    send the next request before the answer to the last.
//! 4. Framing is the machine's: `Content-Length`, `Transfer-Encoding` and what `Connection` must say are
//!    written by it, and left out where a head brings its own. Answers to HEAD, and 1xx, 204, 205 and
//!    304, get no body whatever is sent.
//! 5. When [`Machine::must_close`] says so, close the connection once everything is written.
//!
//! # What is refused
//! The offset counts the bytes of the message from 0. `{x*3}` stands for `xxx`.
//!
#![doc = include_str!("refusals.md")]

mod chunked;
mod encode;
mod framing;
mod head;
mod machine;
mod messages;
mod refusal;
mod start_line;
mod usual;

pub use framing::Framing;
pub(crate) use machine::FirstLines;
pub use machine::{Event, Length, Machine, SendError};
pub use messages::{RequestHead, ResponseHead};
pub use refusal::{Reason, Refusal};

#[cfg(test)]
mod tests;
