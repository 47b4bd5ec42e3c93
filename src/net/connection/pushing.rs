//! The pushing face of a connection: a protocol, called with what arrives.
//!
//! # Theory
//! A connection keeps its protocol as a [`Push`], which every protocol is: the call with bytes is
//! compiled once for each type of protocol, together with `data_received` and the writes in it. All
//! other calls are rare, and made through `dyn Protocol`.

use crate::driver::FastPathMiss;
use crate::failure::{Failure, NO_PLACE, catch_panic};
use crate::net::connection::{Connection, Hold};
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::rc::Rc;

pub(super) trait Push {
    /// Serves a connection that has taken this face, as there is something to read: reads once, and
    /// if that came short, calls `data_received` with it. Puts the face back.
    fn ready(self: Box<Self>, connection: Rc<Connection>, scratch: &mut [u8]);

    /// Calls `data_received`, and sends what that wrote. An error or a panic dooms the connection.
    fn receive(&mut self, connection: &Rc<Connection>, data: &[u8]);

    fn protocol(&mut self) -> &mut dyn Protocol;

    fn into_protocol(self: Box<Self>) -> Box<dyn Protocol>;
}

impl<P: Protocol + 'static> Push for P {
    fn ready(mut self: Box<Self>, connection: Rc<Connection>, scratch: &mut [u8]) {
        match connection.stream.try_read(scratch) {
            Ok(count) if count > 0 && connection.is_short_read(count, scratch.len()) => {
                connection.forget_readable();
                self.receive(&connection, &scratch[..count]);
                connection.put_face_back(self);
                connection.advance_if_needed();
            }
            outcome => connection.receive_more(self, outcome, scratch),
        }
    }

    #[inline(always)]
    fn receive(&mut self, connection: &Rc<Connection>, data: &[u8]) {
        let transport = connection.transport();
        connection.cork();
        let call = || match self.data_received(&transport, data) {
            Ok(()) => {}
            Err(failure) => connection.data_refused("unhandled failure in data_received", failure),
        };
        match catch_panic(NO_PLACE, call) {
            Ok(()) => connection.uncork(),
            Err(failure) => connection.panicked(failure),
        }
    }

    fn protocol(&mut self) -> &mut dyn Protocol {
        self
    }

    fn into_protocol(self: Box<Self>) -> Box<dyn Protocol> {
        self
    }
}

impl Connection {
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
    #[inline(always)]
    pub(super) fn deliver(self: &Rc<Self>, data: &[u8]) {
        let Some(mut face) = self.face.take() else { return };
        face.receive(self, data);
        self.put_face_back(face);
    }

    /// After a first read that was more than a short one, brought nothing, or was not TCP's.
    #[cold]
    fn receive_more(
        self: Rc<Self>,
        mut face: Box<dyn Push>,
        outcome: Result<usize, FastPathMiss>,
        scratch: &mut [u8],
    ) {
        let outcome = outcome.or_else(|why| self.stream.read_slow(why, scratch));
        match outcome {
            Ok(count) if count > 0 && self.is_short_read(count, scratch.len()) => {
                self.forget_readable();
                face.receive(&self, &scratch[..count]);
                self.put_face_back(face);
                return self.advance_if_needed();
            }
            _ => self.put_face_back(face),
        }
        self.receive_on(outcome, scratch);
        self.after_reading();
    }

    #[inline(always)]
    fn put_face_back(&self, face: Box<dyn Push>) {
        // Nobody but who took the face puts one there: spares the drop of nothing.
        std::mem::forget(self.face.replace(Some(face)));
    }

    /// Tells the protocol that it wants bytes again, if it still does.
    pub(super) fn tell_resumed(self: &Rc<Self>) {
        if self.hold.get() != Hold::Resumed || self.is_awaited.get() {
            return;
        }
        self.hold.set(Hold::None);
        let call = |protocol: &mut dyn Protocol, transport: &Transport| {
            protocol.reading_resumed(transport)
        };
        if let Some(Err(failure)) = self.call_protocol(call) {
            self.data_refused("unhandled failure in reading_resumed", failure);
        }
    }

    #[cold]
    fn data_refused(&self, what: &str, failure: Failure) {
        self.uncork();
        self.report_end(what, &failure, None);
        self.application_failed(failure);
    }

    #[cold]
    fn panicked(&self, failure: Failure) {
        self.uncork();
        self.report("panic in a protocol", &failure);
        self.application_failed(failure);
    }
}
