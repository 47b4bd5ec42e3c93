//! The pushing face of a connection: a protocol, called with what arrives.
//!
//! The call with bytes, as an event leads to it, stands beside the event (`mod.rs`).

use crate::failure::{Failure, NO_PLACE, catch_panic};
use crate::net::connection::Connection;
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::rc::Rc;

impl Connection {
    /// A callback begins.
    #[inline]
    pub(super) fn cork(&self) {
        self.outbound.cork(self.exit(), !self.has_work());
    }

    /// Calls the protocol, if that is the face and it is not lost; a panic dooms the connection.
    pub(super) fn call_protocol<R>(
        self: &Rc<Self>,
        call: impl FnOnce(&mut dyn Protocol, &Transport) -> R,
    ) -> Option<R> {
        let mut face = self.face.take()?;
        let transport = self.transport();
        self.cork();
        let called = catch_panic(NO_PLACE, || call(face.protocol(), &transport));
        self.uncork();
        self.put_face_back(face);
        called.map_err(|failure| self.panicked(failure)).ok()
    }

    /// Calls the protocol with bytes, if that is the face and it is not lost.
    #[inline]
    pub(super) fn deliver(self: &Rc<Self>, data: &[u8]) {
        let Some(mut face) = self.face.take() else { return };
        face.receive(self, data);
        self.put_face_back(face);
    }

    /// Tells the protocol that it wants bytes again, if it still does.
    pub(super) fn tell_resumed(self: &Rc<Self>) {
        if !self.inbound.take_resumed() {
            return;
        }
        let call = |protocol: &mut dyn Protocol, transport: &Transport| {
            protocol.reading_resumed(transport)
        };
        if let Some(Err(failure)) = self.call_protocol(call) {
            self.data_refused("unhandled failure in reading_resumed", failure);
        }
    }

    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    pub(super) fn data_refused(&self, what: &str, failure: Failure) {
        self.uncork();
        self.report_end(what, &failure, None);
        self.application_failed(failure);
    }

    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    pub(super) fn panicked(&self, failure: Failure) {
        self.uncork();
        self.report("panic in a protocol", &failure);
        self.application_failed(failure);
    }
}
