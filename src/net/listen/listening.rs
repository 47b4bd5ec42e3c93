//! A socket that listens: it accepts connections and hands each to whoever welcomes it.
//!
//! A bounded batch is accepted a turn. As each connection may open a descriptor of its own, as a proxy's
//! do, a batch ends where no more are left than it has connections, and the next comes a little later:
//! else the accepted would take each other's. When the process is out of descriptors it sheds: what
//! waits is accepted with a descriptor kept in reserve and closed, so that peers learn of it and the
//! loop does not spin; that is said once, until accepting works again.
//!
//! An error of accepting is one of three: what passes (no descriptor, no memory) is waited for, what is
//! the connection's own (it was reset, a filter forbids it) is skipped, and what lasts (another holder
//! of the socket shut it down) closes the port. A batch of nothing but skipped ones is taken for what
//! passes: no system promises that an error means one connection only.

use crate::address::Address;
use crate::driver::ByteStream;
use crate::driver::{AnyStream, Key, Listener, Readiness};
use crate::failure::{Failure, NO_PLACE, Report, Result, catch_panic, report, tell};
use crate::net::connection::Connection;
use crate::protocol::Factory;
use crate::reactor::{Loop, Source, run_reporting_panic};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

/// What a port does with a connection.
pub(crate) trait Acceptor {
    fn started(&mut self) {}
    /// A connection was accepted.
    fn accepted(&mut self, inner: &Rc<Loop>, stream: AnyStream, peer: Address);
    /// An accepted connection has got its layer, and has no face yet.
    fn serve(&mut self, connection: Rc<Connection>);
    /// Whether none is to be accepted now; it has the port look again when there is room.
    fn is_full(&self) -> bool {
        false
    }
    fn stopped(&mut self) {}
}

/// Welcomes each connection with a protocol of the factory's.
pub(crate) fn protocol_acceptor(factory: impl Factory + 'static) -> Box<dyn Acceptor> {
    Box::new(ProtocolAcceptor(factory))
}

struct ProtocolAcceptor<F>(F);

impl<F: Factory> Acceptor for ProtocolAcceptor<F> {
    fn started(&mut self) {
        self.0.started();
    }

    fn accepted(&mut self, inner: &Rc<Loop>, mut stream: AnyStream, peer: Address) {
        match catch_panic(NO_PLACE, || self.0.build_protocol(&peer)) {
            Ok(Some(protocol)) => Connection::open(inner, stream, peer).begin(Box::new(protocol)),
            // Without a protocol the stream is dropped, which closes it.
            Ok(None) => inner.counting.refused.add(1),
            Err(failure) => {
                let host = stream.as_dyn().host().ok();
                tell(&Report::new("panic in a factory", &failure, None).of(&peer, host.as_ref()));
                stream.as_dyn().set_abort();
            }
        }
    }

    fn serve(&mut self, connection: Rc<Connection>) {
        match catch_panic(NO_PLACE, || self.0.build_protocol(&connection.true_peer())) {
            Ok(Some(protocol)) => connection.begin(Box::new(protocol)),
            Ok(None) => {
                connection.inner.counting.refused.add(1);
                connection.begin_losing();
            }
            Err(failure) => {
                connection.report("panic in a factory", &failure);
                connection.abort(failure);
            }
        }
    }

    fn stopped(&mut self) {
        self.0.stopped();
    }
}

pub(super) struct Listening {
    inner: Rc<Loop>,
    key: Key,
    host: Address,
    /// Absent once closed. Borrowed for one call to it.
    listener: RefCell<Option<Box<dyn Listener>>>,
    /// Absent while it is called, and once dismissed.
    accepted: Cell<Option<Box<dyn Acceptor>>>,
    pace: Cell<Pace>,
}

#[derive(Clone, Copy, Default)]
struct Pace {
    /// Those accepted last may have the descriptors that are left; then accepting goes on.
    is_resting: bool,
    /// Accepting fails, and that was said.
    is_failing: bool,
    /// What events said while nothing was to be accepted: they do not repeat themselves.
    held_back: Readiness,
}

/// So many connections are one port's share of a turn.
const ACCEPTS_PER_TURN: usize = 64;
/// So many that wait for a port are accepted before it is closed to drain.
const BACKLOG_TAKEN: usize = 1024;
/// After an error that is not one connection's, accepting is tried again so much later.
const RETRY: Duration = Duration::from_millis(100);
/// What a socket that listens is never ready for.
const SHUT_DOWN: Readiness = Readiness::READ_CLOSED.and(Readiness::BROKEN);

impl Listening {
    /// Has a socket listen from now on.
    pub(super) fn open(
        inner: &Rc<Loop>,
        listener: Box<dyn Listener>,
        mut accepted: Box<dyn Acceptor>,
    ) -> io::Result<Rc<Listening>> {
        let host = listener.host()?;
        run_reporting_panic("panic in the start of a factory", || accepted.started());
        let listening = inner.insert_source(|key| {
            Rc::new(Listening {
                inner: inner.clone(),
                key,
                host,
                listener: RefCell::new(Some(listener)),
                accepted: Cell::new(Some(accepted)),
                pace: Cell::default(),
            })
        });
        listening.register().inspect_err(|_| listening.close())?;
        Ok(listening)
    }

    pub(super) fn host(&self) -> Address {
        self.host.clone()
    }

    pub(super) fn is_open(&self) -> bool {
        self.listener.borrow().is_some()
    }

    pub(super) fn try_clone_descriptor(&self) -> io::Result<OwnedFd> {
        match &*self.listener.borrow() {
            Some(listener) => listener.try_clone_descriptor(),
            None => Err(io::Error::new(io::ErrorKind::NotConnected, "the port is closed")),
        }
    }

    pub(super) fn own_name(&self, is_owned: bool) {
        if let Some(listener) = &mut *self.listener.borrow_mut() {
            listener.own_name(is_owned);
        }
    }

    /// In a later turn; now, if none will come.
    pub(super) fn finish_later(&self, finish: Box<dyn FnOnce()>) {
        match self.inner.is_over() {
            true => finish(),
            false => drop(self.inner.timers.call_later(Duration::ZERO, finish)),
        }
    }

    /// Accepts in the next step, without an event.
    pub(super) fn requeue(&self) {
        self.inner.sources.requeue(self.key);
    }

    fn change(&self, change: impl FnOnce(&mut Pace)) {
        let mut pace = self.pace.get();
        change(&mut pace);
        self.pace.set(pace);
    }

    fn register(&self) -> io::Result<()> {
        match &mut *self.listener.borrow_mut() {
            Some(listener) => listener.register(self.key),
            None => Ok(()),
        }
    }

    fn accept(&self) -> io::Result<(AnyStream, Address)> {
        match &mut *self.listener.borrow_mut() {
            Some(listener) => listener.accept_any(),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// How many descriptors there are left. Each connection accepted in this turn may open one more.
    fn room(&self) -> usize {
        self.listener.borrow().as_ref().map_or(0, |listener| listener.room())
    }

    fn accepted(&self, stream: AnyStream, peer: Address) {
        self.change(|pace| pace.is_failing = false);
        self.inner.counting.accepted.add(1);
        let Some(mut accepted) = self.accepted.take() else { return };
        run_reporting_panic("panic in a factory", || accepted.accepted(&self.inner, stream, peer));
        self.accepted.set(Some(accepted));
    }

    fn is_full(&self) -> bool {
        let Some(accepted) = self.accepted.take() else { return false };
        let is_full = accepted.is_full();
        self.accepted.set(Some(accepted));
        is_full
    }

    fn shed(self: &Rc<Self>, error: &io::Error) {
        let closed = match &mut *self.listener.borrow_mut() {
            Some(listener) => listener.shed(),
            None => return,
        };
        match closed {
            // All descriptors are taken, but nobody was turned away.
            Ok(0) => self.retry(),
            Ok(closed) => {
                self.inner.counting.refused.add(closed);
                self.say_short(format_args!("closed {closed} connections: {error}"));
            }
            Err(error) => {
                self.say_short(format_args!("leaves connections waiting: {error}"));
                self.retry();
            }
        }
    }

    fn say_short(&self, what: fmt::Arguments<'_>) {
        self.say_once("port without descriptors", what);
    }

    /// Once, until accepting works again.
    fn say_once(&self, whose: &str, what: fmt::Arguments<'_>) {
        if !self.pace.get().is_failing {
            self.change(|pace| pace.is_failing = true);
            report(whose, &Failure::in_loop_msg(format_args!("{} {what}", self.host)));
        }
    }

    /// The socket will never accept again.
    fn give_up(&self, why: &dyn fmt::Display) {
        self.close();
        let failure = Failure::in_loop_msg(format_args!("{} accepts no more: {why}", self.host));
        report("port closed", &failure);
        self.dismiss_for_nobody();
    }

    /// Edges do not repeat themselves: what waits is asked for again after a while.
    fn retry(self: &Rc<Self>) {
        let listening = Rc::downgrade(self);
        let again = move || {
            if let Some(listening) = listening.upgrade() {
                listening.change(|pace| pace.is_resting = false);
                listening.requeue();
            }
        };
        self.inner.timers.call_later(RETRY, Box::new(again));
    }

    pub(super) fn close(&self) {
        let listener = self.listener.take();
        drop(listener);
        self.inner.sources.remove(self.key);
    }

    /// Tells the factory that this was all, and drops it.
    pub(super) fn dismiss(&self) -> Result {
        let Some(mut accepted) = self.accepted.take() else { return Ok(()) };
        let told = catch_panic(NO_PLACE, || accepted.stopped());
        run_reporting_panic("panic in the drop of a factory", || drop(accepted));
        told
    }

    fn dismiss_for_nobody(&self) {
        if let Err(failure) = self.dismiss() {
            report("panic in the stop of a factory", &failure);
        }
    }
}

impl Source for Listening {
    fn name(&self) -> String {
        format!("port {}", self.host)
    }

    fn ready(self: Rc<Self>, readiness: Readiness, _scratch: &mut [u8]) {
        let Pace { is_resting, held_back, .. } = self.pace.get();
        if is_resting && !readiness.has(SHUT_DOWN) {
            return;
        }
        self.inner.serve_accepted();
        let readiness = readiness.and(held_back);
        self.change(|pace| pace.held_back = Readiness::NONE);
        let mut skipped = 0;
        for accepted in 1..=ACCEPTS_PER_TURN {
            if self.is_full() {
                return self.change(|pace| pace.held_back = readiness);
            }
            match self.accept() {
                Ok((stream, peer)) => {
                    self.accepted(stream, peer);
                    if self.room() <= accepted {
                        self.change(|pace| pace.is_resting = true);
                        return self.retry();
                    }
                }
                Err(error) => match error.kind() {
                    // A Unix socket that was shut down says no more than that nobody waits.
                    io::ErrorKind::WouldBlock if readiness.has(SHUT_DOWN) => {
                        return self.give_up(&"it was shut down");
                    }
                    io::ErrorKind::WouldBlock => return,
                    io::ErrorKind::OutOfMemory => return self.shed(&error),
                    io::ErrorKind::InvalidInput => return self.give_up(&error),
                    _ => {
                        skipped += 1;
                        if skipped == ACCEPTS_PER_TURN {
                            self.say_once("port", format_args!("cannot accept: {error}"));
                            return self.retry();
                        }
                    }
                },
            }
        }
        self.requeue();
    }

    fn notify(&self, _readiness: Readiness) {
        self.requeue();
    }

    fn lose(self: Rc<Self>, _reason: &Failure) {
        self.close();
        self.dismiss_for_nobody();
    }

    fn drain(self: Rc<Self>) {
        // Who waits in the system's backlog has connected, as far as he knows.
        self.inner.serve_accepted();
        for _ in 0..BACKLOG_TAKEN {
            match self.is_full() {
                true => break,
                false => match self.accept() {
                    Ok((stream, peer)) => self.accepted(stream, peer),
                    Err(_) => break,
                },
            }
        }
        self.close();
        self.dismiss_for_nobody();
    }
}

/// The reactor went before the factory of a closed port was told.
impl Drop for Listening {
    fn drop(&mut self) {
        self.dismiss_for_nobody();
    }
}

/// What stands in for a listening socket where the only connection is there already.
pub(super) struct Already {
    stream: Option<Box<dyn ByteStream>>,
    peer: Address,
}

impl Already {
    pub(super) fn new(stream: Box<dyn ByteStream>, peer: Address) -> Already {
        Already { stream: Some(stream), peer }
    }
}

impl Listener for Already {
    fn register(&mut self, _: Key) -> io::Result<()> {
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(Box<dyn ByteStream>, Address)> {
        let stream = self.stream.take().ok_or(io::ErrorKind::WouldBlock)?;
        Ok((stream, self.peer.clone()))
    }

    fn shed(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    fn host(&self) -> io::Result<Address> {
        Ok(self.peer.clone())
    }
}
