//! A connection as its transport sees it: wishes are noted here, and the loop sees to them.

use crate::address::Address;
use crate::deferred::{Deferred, fail, succeed};
use crate::driver::Readiness;
use crate::failure::{Failure, Result};
use crate::net::connection::Connection;
use crate::net::connection::state::Event;
use crate::reactor::Reactor;
use crate::transport::{ConnectionAborted, RawTransport, Wrap};
use crate::transport::{Producer, Producing};
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

impl RawTransport for Connection {
    #[inline]
    fn write(&self, data: &[u8]) {
        if !self.outbound.collect(self.exit(), data) {
            self.append(data);
        }
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) {
        slices.iter().for_each(|slice| self.write(slice));
    }

    fn lose_connection(&self) {
        self.begin_losing();
    }

    fn abort_connection(&self) {
        let reason = ConnectionAborted::new("abort_connection was called");
        self.abort(Failure::without_backtrace(reason));
    }

    fn lose_write_connection(&self) {
        self.begin_losing_write();
    }

    fn pause_reading(&self) {
        self.inbound.hold();
        self.note(Event::Pause);
    }

    fn resume_reading(&self) {
        if self.inbound.resume() {
            self.read_again();
        }
    }

    fn hold_reading(&self) {
        self.inbound.await_handler();
        self.note(Event::Pause);
    }

    fn release_reading(&self) {
        if self.inbound.end_await() {
            self.read_again();
        }
    }

    fn is_reading(&self) -> bool {
        !self.inbound.is_held() && self.state.get().is_open()
    }

    fn is_connected(&self) -> bool {
        self.state.get().is_open()
    }

    fn peer(&self) -> Address {
        self.true_peer()
    }

    fn host(&self) -> Address {
        self.known_host().unwrap_or_else(|| self.peer.clone())
    }

    fn waiting(&self) -> usize {
        Connection::waiting(self)
    }

    fn drained(&self) -> Deferred<()> {
        if let Some(reason) = self.clone_reason() {
            return fail(reason);
        }
        if self.is_drained() && !self.is_in_stream() {
            return succeed(());
        }
        let (trigger, deferred) = Deferred::new();
        self.with_extras(|extras| extras.drained.push(trigger));
        self.mark_dirty();
        deferred
    }

    fn set_close_timeout(&self, timeout: Duration) {
        self.with_extras(|extras| extras.close_timeout = Some(timeout));
    }

    fn set_nodelay(&self, on: bool) -> Result {
        Ok(self.with_stream(|stream| stream.set_nodelay(on))?)
    }

    fn set_keepalive(&self, idle: Option<Duration>) -> Result {
        Ok(self.with_stream(|stream| stream.set_keepalive(idle))?)
    }

    fn replace_stream(&self, wrap: Wrap) -> Result {
        self.put_layer_on(wrap)
    }

    fn keep_host(&self) {
        if let Ok(host) = self.with_stream(|stream| stream.host()) {
            self.with_extras(|extras| extras.host = Some(host));
        }
    }

    fn shake_hands(self: std::rc::Rc<Self>, wrap: Wrap, limit: Duration) -> Deferred<()> {
        self.dress(wrap, limit)
    }

    fn layers(&self) -> u8 {
        self.outbound.upgrades()
    }

    fn look_at_stream(&self, look: &mut dyn FnMut(&dyn std::any::Any)) {
        // Nothing to be seen once the connection is lost.
        let _ = self.with_stream(|stream| Ok(stream.as_any().map(look)));
    }

    fn send_file_descriptor(&self, descriptor: OwnedFd) -> Result {
        self.send_all();
        Ok(self.with_stream(|stream| stream.send_descriptor(descriptor))?)
    }

    fn send_file(&self, file: BorrowedFd<'_>, offset: &mut u64, count: usize) -> io::Result<usize> {
        self.move_file(file, offset, count)
    }

    fn is_held_back(&self) -> bool {
        self.is_held_by_layer()
    }

    fn retry_io(&self, readiness: Readiness) {
        self.raise(readiness);
        self.requeue();
    }

    fn register_producer(&self, producer: Box<dyn Producer>, producing: Producing) -> Result {
        self.set_producer(producer, producing)
    }

    fn unregister_producer(&self) {
        self.forget_producer();
    }

    fn fail(&self, what: &str, failure: Failure) {
        self.report_end(what, &failure, None);
        self.application_failed(failure);
    }

    fn reactor(&self) -> Reactor {
        Connection::reactor(self)
    }
}

impl Connection {
    /// Nobody is left who wants no bytes.
    fn read_again(&self) {
        self.note(Event::Resume);
        self.requeue();
    }

    /// The peer's address, as a layer under this connection knows it.
    pub(crate) fn true_peer(&self) -> Address {
        let told = self.look_at_extras(|extras| extras.peer.clone());
        told.unwrap_or_else(|| self.peer.clone())
    }

    /// This end's address; also after the end, if somebody was left then who might ask.
    pub(super) fn known_host(&self) -> Option<Address> {
        let kept = || self.look_at_extras(|extras| extras.host.clone());
        self.with_stream(|stream| stream.host()).ok().or_else(kept)
    }

    /// Has the stream say who the peer is, now that its layer knows.
    pub(crate) fn ask_for_peer(&self) {
        let peer = self.with_stream(|stream| stream.peer()).ok();
        let former = self.with_extras(|extras| std::mem::replace(&mut extras.peer, peer));
        drop(former);
    }
}
