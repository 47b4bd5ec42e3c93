//! Whether it is a layer of this end's that holds bytes back: what `refusals.rs` notes, seen from the connection.

use crate::driver::{ByteStream, Readiness};
use crate::net::connection::Connection;
use crate::net::connection::refusals::{Noted, Refusals};
use std::io;
use std::rc::Rc;

impl Connection {
    /// Puts what notes the system's refusals under the first layer.
    pub(super) fn note_below(&self, stream: Box<dyn ByteStream>) -> Box<dyn ByteStream> {
        if self.refusals().is_some() {
            return stream;
        }
        let refusals: Rc<Refusals> = Rc::default();
        self.with_extras(|extras| extras.refusals = Some(refusals.clone()));
        Box::new(Noted::new(stream, refusals))
    }

    pub(super) fn refusals(&self) -> Option<Rc<Refusals>> {
        self.look_at_extras(|extras| extras.refusals.clone())
    }

    pub(super) fn read_was_refused(&self) {
        if let Some(refusals) = self.refusals() {
            refusals.read_refused();
        }
    }

    pub(super) fn write_was_refused(&self) {
        if let Some(refusals) = self.refusals() {
            refusals.write_refused();
        }
    }

    /// A handshake waits for bytes, and may have some to send.
    pub(super) fn handshake_was_refused(&self) {
        self.read_was_refused();
        let flushed = self.with_stream(|stream| stream.flush());
        if flushed.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            self.write_was_refused();
        }
    }

    /// Whether a layer of this end's holds back what was written.
    pub(super) fn is_held_in_writing(&self) -> bool {
        self.refusals().is_some_and(|refusals| refusals.is_held_in_writing())
    }

    /// Whether a layer of this end's holds bytes back, in either direction.
    pub(super) fn is_held_by_layer(&self) -> bool {
        let is_readable = self.inbound.is(Readiness::READABLE);
        self.refusals().is_some_and(|refusals| refusals.is_held(is_readable))
    }
}
