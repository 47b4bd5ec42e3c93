// Values that both directions and all versions share stand here, one file each; `h1/` is HTTP/1 as bytes,
// `websocket/` its frames. A head is one block of bytes with spans into it (`block`), which `Headers` and
// the heads of `h1` read and write. Which bytes may stand where is asked of `syntax` alone.
//
// Nothing here needs a reactor: what will, stands beside it later and uses public paths only.

//! HTTP: so far the part that needs no connection.
//!
//! What is here reads and writes HTTP/1 as bytes, for both ends: [`h1::Machine`], and the values that it
//! speaks of; with the feature `websocket` the module of that name does the same for frames. There is no server and no client yet that runs on a reactor; who wants one now feeds a
//! machine from [`Protocol::data_received`](crate::Protocol::data_received) and writes what it says to
//! the [`Transport`](crate::Transport):
//!
//! ```
//! # #[cfg(feature = "simulation")] {
//! use ropewalk::http::h1::{Event, Length, Machine, ResponseHead};
//! use ropewalk::http::{Headers, Limits, Status};
//! use ropewalk::simulation::RecordingTransport;
//! use ropewalk::{Protocol, Result, Transport};
//!
//! struct Hello(Machine);
//!
//! impl Protocol for Hello {
//!     fn data_received(&mut self, transport: &Transport, mut data: &[u8]) -> Result {
//!         let Hello(machine) = self;
//!         let mut out = Vec::new();
//!         while let Some(event) = machine.feed(&mut data) {
//!             match event {
//!                 Event::End(_) => {
//!                     machine.send_response(&ResponseHead::new(Status::OK), Length::Known(6), &mut out)?;
//!                     machine.send_body("Hello\n", &mut out)?;
//!                     machine.finish(&mut out)?;
//!                 }
//!                 Event::Refused(refusal) => {
//!                     machine.refuse(&refusal, &Headers::new(), &mut out);
//!                 }
//!                 _ => {}
//!             }
//!         }
//!         transport.write(out);
//!         if machine.must_close() {
//!             transport.lose_connection();
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let recording = RecordingTransport::new();
//! let mut hello = Hello(Machine::server(Limits::default()));
//! hello.data_received(&recording.transport(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
//! assert_eq!(recording.take(), b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nHello\n");
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # Rules
//! * Strict: what two readers could read in two ways is refused, with a sentence and the place; the
//!   table of all refusals stands at [`h1`].
//! * Fields keep their order and case; [`Headers`].
//! * Every size that a peer decides has its limit, on by default; [`Limits`].

mod block;
pub mod h1;
mod headers;
mod limits;
mod method;
mod status;
mod syntax;
mod target;
mod version;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use headers::{Headers, InvalidHeader};
pub use limits::Limits;
pub use method::{InvalidMethod, Method, MethodName};
pub use status::Status;
pub use target::{Form, InvalidEscape, InvalidTarget, Target};
pub use version::Version;
