//! What a protocol sees of its connection: the handle to write to it and to end it.
//!
//! A transport's methods never call a protocol's: a write is collected, an end is noted, and the
//! loop does the rest once the callback in progress has returned. After the end they do nothing.

mod end;
mod file;
pub(crate) mod handle;
mod layers;
mod producer;

pub use end::{ConnectionAborted, ConnectionDone, ConnectionLost};
pub(crate) use handle::{RawTransport, Transport, Wrap};
pub use producer::{Producer, ProducerStopped, Producing};
