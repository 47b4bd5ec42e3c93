//! One socket for datagrams as the loop serves it: out, in, and what its peer refused.

use super::{CannotSend, DatagramProtocol, DatagramTransport};
use crate::address::Address;
use crate::deferred::{Deferred, Trigger};
use crate::driver::{DatagramSocket, Key, Readiness};
use crate::failure::{Failure, Result, contain, report};
use crate::net::port::{CannotListen, own_addresses};
use crate::reactor::{Loop, Source, attempt};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

/// One socket, whatever its face.
pub(super) struct Datagrams {
    pub(super) inner: Rc<Loop>,
    key: Key,
    /// Absent once closed. Borrowed for one call to it.
    socket: RefCell<Option<Box<dyn DatagramSocket>>>,
    /// The pushing face. Absent while it is called, and once dismissed.
    protocol: Cell<Option<Box<dyn DatagramProtocol>>>,
    /// The tasks of the pulling face. Borrowed to push and to take.
    receivers: RefCell<Vec<Waker>>,
    senders: RefCell<Vec<Waker>>,
    host: Address,
    peer: RefCell<Option<Address>>,
    readiness: Cell<Readiness>,
    /// What the peer of a connected socket answered, to be told.
    refusal: Cell<Option<io::Error>>,
    /// Borrowed for one push or pop.
    queue: RefCell<VecDeque<Queued>>,
    queued_bytes: Cell<usize>,
    is_lingering: Cell<bool>,
    /// A timer will ask for room to send.
    is_retrying: Cell<bool>,
}

struct Queued {
    data: Box<[u8]>,
    to: Option<Address>,
}

/// So many datagrams, and so many bytes, are one socket's share of a turn.
const DATAGRAMS_PER_TURN: usize = 64;
const BYTES_PER_TURN: usize = 256 * 1024;
/// So many bytes may wait for the system to take them.
const MOST_QUEUED: usize = 256 * 1024;
/// A full receiver of a Unix socket is tried again so much later.
const RETRY: Duration = Duration::from_millis(10);

impl Loop {
    pub(super) fn bind_udp(
        self: &Rc<Self>,
        address: impl ToSocketAddrs + fmt::Debug,
        is_shared: bool,
    ) -> Result<Rc<Datagrams>> {
        let cannot = |cause| CannotListen::new(format!("{address:?}"), cause);
        let addresses = own_addresses(&*self.driver, &address).map_err(cannot)?;
        let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in addresses {
            outcome = self.bind(&address.into(), is_shared);
            if outcome.is_ok() {
                break;
            }
        }
        Ok(outcome.map_err(cannot)?)
    }

    pub(super) fn bind(
        self: &Rc<Self>,
        at: &Address,
        is_shared: bool,
    ) -> io::Result<Rc<Datagrams>> {
        let socket = self.driver.bind(at, is_shared)?;
        let host = socket.host()?;
        let datagrams = self.sources.insert_with(|key| {
            Rc::new(Datagrams {
                inner: self.clone(),
                key,
                socket: RefCell::new(Some(socket)),
                protocol: Cell::default(),
                receivers: RefCell::default(),
                senders: RefCell::default(),
                host,
                peer: RefCell::default(),
                readiness: Cell::new(Readiness::READABLE.and(Readiness::WRITABLE)),
                refusal: Cell::default(),
                queue: RefCell::default(),
                queued_bytes: Cell::new(0),
                is_lingering: Cell::new(false),
                is_retrying: Cell::new(false),
            })
        });
        let registered = datagrams.with_socket(|socket| socket.register(datagrams.key));
        registered.inspect_err(|_| datagrams.close())?;
        Ok(datagrams)
    }
}

impl Datagrams {
    pub(super) fn begin(self: Rc<Self>, protocol: Box<dyn DatagramProtocol>) -> DatagramTransport {
        self.protocol.set(Some(protocol));
        self.call_protocol("panic in started", |protocol, transport| protocol.started(transport));
        DatagramTransport::new(self)
    }

    pub(super) fn with_socket<R>(
        &self,
        call: impl FnOnce(&mut dyn DatagramSocket) -> io::Result<R>,
    ) -> io::Result<R> {
        match &mut *self.socket.borrow_mut() {
            Some(socket) => call(&mut **socket),
            None => Err(io::Error::new(io::ErrorKind::NotConnected, "the socket is closed")),
        }
    }

    fn is_closed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    pub(super) fn is_ready(&self, wanted: Readiness) -> bool {
        self.readiness.get().has(wanted)
    }

    fn forget_readiness(&self, gone: Readiness) {
        self.readiness.set(self.readiness.get().without(gone));
    }

    pub(super) fn connect(&self, peer: Address) -> Result {
        if let Some(former) = &*self.peer.borrow() {
            let host = &self.host;
            return Err(Failure::msg(format!("{host} is connected to {former} already")));
        }
        let connected = self.with_socket(|socket| socket.connect(&peer));
        connected.map_err(|cause| {
            Failure::msg(format!("cannot connect {} to {peer}: {cause}", self.host))
        })?;
        self.peer.replace(Some(peer));
        Ok(())
    }

    // ---- the way out ----

    pub(super) fn write(&self, data: &[u8], to: Option<&Address>) -> Result<(), CannotSend> {
        let is_first = self.queue.borrow().is_empty();
        let outcome = match is_first {
            true => self.try_send(data, to),
            // In order: it waits behind the others.
            false => Err(io::ErrorKind::WouldBlock.into()),
        };
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.enqueue(data, to),
            outcome => outcome.map_err(|cause| self.cannot_send(data.len(), to, cause)),
        }
    }

    /// Sends now, or `WouldBlock`.
    pub(super) fn try_send(&self, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        let to = self.destination(to)?;
        let send = || self.with_socket(|socket| socket.send_to(data, to));
        let mut outcome = send();
        if let Err(first) = outcome {
            outcome = match is_refusal(&first) {
                // That may be the answer to an earlier datagram, and this one not even looked at.
                true => send().inspect(|()| self.note_refusal(first)),
                false => Err(first),
            };
        }
        if let Err(error) = &outcome
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.wait_for_room(to);
        }
        outcome
    }

    fn wait_for_room(&self, to: Option<&Address>) {
        self.forget_readiness(Readiness::WRITABLE);
        if !matches!(to, Some(Address::Unix(_))) || self.is_retrying.replace(true) {
            return;
        }
        // It is the receiver's queue that is full, and without a connection to it no event says when
        // that is over.
        let (inner, key) = (Rc::downgrade(&self.inner), self.key);
        let again = move || {
            if let Some(inner) = inner.upgrade() {
                inner.sources.linger(key);
            }
        };
        self.inner.timers.call_later(RETRY, Box::new(again));
    }

    /// Where the system is to be told to send to; a connected socket knows by itself.
    fn destination<'a>(&self, to: Option<&'a Address>) -> io::Result<Option<&'a Address>> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        match (&*self.peer.borrow(), to) {
            (None, None) => {
                Err(invalid("the socket is not connected, and no address given".into()))
            }
            (Some(peer), Some(to)) if peer != to => {
                Err(invalid(format!("the socket is connected to {peer}")))
            }
            (Some(_), _) => Ok(None),
            (None, to) => Ok(to),
        }
    }

    fn enqueue(&self, data: &[u8], to: Option<&Address>) -> Result<(), CannotSend> {
        if self.queued_bytes.get() + data.len() > MOST_QUEUED {
            let why = format!("{} bytes wait to be sent already", self.queued_bytes.get());
            let cause = io::Error::new(io::ErrorKind::WouldBlock, why);
            return Err(self.cannot_send(data.len(), to, cause));
        }
        self.queued_bytes.set(self.queued_bytes.get() + data.len());
        self.queue.borrow_mut().push_back(Queued { data: data.into(), to: to.cloned() });
        Ok(())
    }

    fn send_queue(&self) {
        while self.is_ready(Readiness::WRITABLE) {
            let Some(queued) = self.queue.borrow_mut().pop_front() else { return };
            let outcome = self.try_send(&queued.data, queued.to.as_ref());
            let Err(error) = outcome else {
                self.queued_bytes.set(self.queued_bytes.get() - queued.data.len());
                continue;
            };
            if error.kind() == io::ErrorKind::WouldBlock {
                return self.queue.borrow_mut().push_front(queued);
            }
            self.queued_bytes.set(self.queued_bytes.get() - queued.data.len());
            let cannot = self.cannot_send(queued.data.len(), queued.to.as_ref(), error);
            report("a datagram that waited", &cannot.into());
        }
    }

    pub(super) fn cannot_send(
        &self,
        length: usize,
        to: Option<&Address>,
        cause: io::Error,
    ) -> CannotSend {
        let to = to.cloned().or_else(|| self.peer.borrow().clone());
        CannotSend { length, from: self.host.clone(), to, cause }
    }

    // ---- the way in ----

    /// Receives one datagram, or `WouldBlock`.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        let outcome = self.with_socket(|socket| socket.recv_from(buffer));
        if let Err(error) = &outcome
            && error.kind() == io::ErrorKind::WouldBlock
        {
            self.forget_readiness(Readiness::READABLE);
        }
        outcome
    }

    fn receive(self: &Rc<Self>, scratch: &mut [u8]) {
        let mut bytes = 0;
        for _ in 0..DATAGRAMS_PER_TURN {
            if self.is_closed() {
                return;
            }
            if !self.is_ready(Readiness::READABLE) || bytes >= BYTES_PER_TURN {
                break;
            }
            match self.try_receive(scratch) {
                Ok((length, from)) => {
                    bytes += length;
                    self.deliver(scratch, length, &from);
                }
                Err(error) => self.receive_failed(error),
            }
        }
        if self.is_ready(Readiness::READABLE) {
            self.linger();
        }
    }

    fn deliver(self: &Rc<Self>, scratch: &[u8], length: usize, from: &Address) {
        let Some(data) = scratch.get(..length) else {
            let (most, host) = (scratch.len(), &self.host);
            let why = format!("{from} sent {host} a datagram of {length} bytes, over {most}");
            return report("datagram dropped", &Failure::msg(why));
        };
        let outcome = self.call_protocol("panic in datagram_received", |protocol, transport| {
            protocol.datagram_received(transport, data, from)
        });
        if let Some(Err(failure)) = outcome {
            report("unhandled failure in datagram_received", &failure);
        }
    }

    fn receive_failed(self: &Rc<Self>, error: io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
            _ if is_refusal(&error) => {
                self.note_refusal(error);
                self.tell_refusal();
            }
            // Nothing more can be had for now; the next event asks again.
            _ => {
                self.forget_readiness(Readiness::READABLE);
                report("datagram socket", &Failure::from(error));
            }
        }
    }

    /// Keeps what a peer answered, for the face to be told.
    fn note_refusal(&self, error: io::Error) {
        if self.peer.borrow().is_some() {
            self.refusal.set(Some(error));
            // Whoever waits to receive is told.
            self.readiness.set(self.readiness.get().and(Readiness::READABLE));
            self.linger();
        }
    }

    pub(super) fn take_refusal(&self) -> Option<io::Error> {
        self.refusal.take()
    }

    fn tell_refusal(self: &Rc<Self>) {
        let Some(error) = self.refusal.take() else { return };
        let peer = self.peer.borrow().clone();
        let to = peer.map_or_else(String::new, |peer| peer.to_string());
        let reason = Failure::from(io::Error::new(error.kind(), format!("{to}: {error}")));
        self.call_protocol("panic in connection_refused", |protocol, transport| {
            protocol.connection_refused(transport, &reason);
        });
    }

    // ---- both ----

    pub(super) fn host(&self) -> Address {
        self.host.clone()
    }

    pub(super) fn peer(&self) -> Option<Address> {
        self.peer.borrow().clone()
    }

    fn call_protocol<R>(
        self: &Rc<Self>,
        what: &str,
        call: impl FnOnce(&mut dyn DatagramProtocol, &DatagramTransport) -> R,
    ) -> Option<R> {
        let mut protocol = self.protocol.take()?;
        let transport = DatagramTransport::new(self.clone());
        let called = contain(Location::caller(), || call(&mut *protocol, &transport));
        self.protocol.set(Some(protocol));
        called.inspect_err(|failure| report(what, failure)).ok()
    }

    pub(super) fn wait_to_receive(&self, waker: &Waker) {
        enlist(&mut self.receivers.borrow_mut(), waker);
    }

    pub(super) fn wait_to_send(&self, waker: &Waker) {
        enlist(&mut self.senders.borrow_mut(), waker);
    }

    fn wake_tasks(&self) {
        if self.is_ready(Readiness::READABLE) {
            self.receivers.take().into_iter().for_each(Waker::wake);
        }
        if self.is_ready(Readiness::WRITABLE) {
            self.senders.take().into_iter().for_each(Waker::wake);
        }
    }

    fn linger(&self) {
        if !self.is_lingering.replace(true) {
            self.inner.sources.linger(self.key);
        }
    }

    pub(super) fn close(&self) {
        let socket = self.socket.take();
        drop(socket);
        self.queue.take();
        self.queued_bytes.set(0);
        self.inner.sources.remove(self.key);
        self.readiness.set(Readiness::READABLE.and(Readiness::WRITABLE));
        self.wake_tasks();
    }

    /// Closes, and tells the protocol in a later turn.
    pub(super) fn stop(self: &Rc<Self>) -> Deferred<()> {
        let (trigger, deferred) = Deferred::new();
        self.close();
        let datagrams = self.clone();
        let finish = Box::new(move || datagrams.dismiss(&trigger));
        self.inner.timers.call_later(Duration::ZERO, finish);
        deferred
    }

    /// Tells the protocol that this was all.
    fn dismiss(&self, done: &Trigger<()>) {
        let told = match self.protocol.take() {
            Some(mut protocol) => {
                let told = contain(Location::caller(), || protocol.stopped());
                attempt("panic in the drop of a protocol", || drop(protocol));
                told
            }
            None => Ok(()),
        };
        // Cancelled meanwhile: nobody waits.
        let _ = done.fire(told);
    }
}

impl Source for Datagrams {
    fn ready(self: Rc<Self>, readiness: Readiness, scratch: &mut [u8]) {
        self.readiness.set(self.readiness.get().and(readiness));
        if readiness == Readiness::NONE {
            self.is_lingering.set(false);
        }
        if self.is_retrying.take() {
            self.readiness.set(self.readiness.get().and(Readiness::WRITABLE));
        }
        if readiness.has(Readiness::BROKEN)
            && let Ok(Some(error)) = self.with_socket(|socket| socket.take_error())
        {
            // The bit alone says nothing: the system names the error, and forgets it.
            self.note_refusal(error);
        }
        self.send_queue();
        self.wake_tasks();
        let protocol = self.protocol.take();
        if protocol.is_some() {
            self.protocol.set(protocol);
            self.tell_refusal();
            self.receive(scratch);
        }
    }

    fn lose(self: Rc<Self>, _reason: &Failure) {
        self.close();
        if let Some(mut protocol) = self.protocol.take() {
            attempt("panic in stopped", || protocol.stopped());
            attempt("panic in the drop of a protocol", || drop(protocol));
        }
    }
}

fn enlist(waiting: &mut Vec<Waker>, waker: &Waker) {
    if !waiting.iter().any(|other| other.will_wake(waker)) {
        waiting.push(waker.clone());
    }
}

/// Whether an error speaks of an earlier datagram and its peer, not of the call that returned it.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    let kinds = [ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable];
    kinds.contains(&error.kind())
}
