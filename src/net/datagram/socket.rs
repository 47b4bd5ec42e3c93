//! One socket for datagrams as the loop serves it, from its opening to its end.

use super::DatagramProtocol;
use super::at::UdpAddress;
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use crate::address::Address;
use crate::deferred::{Deferred, Trigger};
use crate::driver::{DatagramOption, DatagramSocket, Key, Readiness};
use crate::failure::{Failure, NO_PLACE, Result, catch_panic, report};
use crate::net::listen::ListenError;
use crate::reactor::{Loop, Source, run_reporting_panic};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

/// One socket, whatever its face.
pub(super) struct Datagrams {
    pub(super) inner: Rc<Loop>,
    pub(super) key: Key,
    /// Absent once closed. Borrowed for one call to it.
    socket: RefCell<Option<Box<dyn DatagramSocket>>>,
    /// The pushing face. Absent while it is called, and once dismissed.
    protocol: Cell<Option<Box<dyn DatagramProtocol>>>,
    /// The tasks of the pulling face. Borrowed to push and to take.
    waiting: RefCell<Waiting>,
    host: Address,
    pub(super) peer: RefCell<Option<Address>>,
    standing: Cell<Standing>,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
}

#[derive(Default)]
struct Waiting {
    receivers: Vec<Waker>,
    senders: Vec<Waker>,
}

#[derive(Clone, Copy)]
struct Standing {
    readiness: Readiness,
    is_requeued: bool,
    /// The protocol is called with what came; what it sends leaves when all of that was told.
    is_served: bool,
}

/// A handle on a socket for datagrams; clones speak to the same one.
#[derive(Clone)]
#[doc(alias = "IUDPTransport")]
#[doc(alias = "IMulticastTransport")]
pub struct DatagramTransport {
    // Made here, as a socket calls its protocol with one; what it does is `transport.rs`.
    pub(super) datagrams: Rc<Datagrams>,
}

impl DatagramTransport {
    pub(super) fn new(datagrams: Rc<Datagrams>) -> DatagramTransport {
        DatagramTransport { datagrams }
    }
}

impl Loop {
    #[track_caller]
    pub(super) fn bind_udp(
        self: &Rc<Self>,
        at: &UdpAddress,
        is_shared: bool,
    ) -> Result<Rc<Datagrams>> {
        let cannot = ListenError::at(at);
        let mut outcome = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in at.find_now(self).map_err(&cannot)? {
            outcome = self.bind(&address.into(), is_shared);
            if outcome.is_ok() {
                break;
            }
        }
        outcome.map_err(&cannot)
    }

    pub(super) fn bind(
        self: &Rc<Self>,
        at: &Address,
        is_shared: bool,
    ) -> io::Result<Rc<Datagrams>> {
        self.check_alive_io()?;
        self.serve_datagrams(self.driver.bind(at, is_shared)?)
    }

    pub(super) fn serve_datagrams(
        self: &Rc<Self>,
        socket: Box<dyn DatagramSocket>,
    ) -> io::Result<Rc<Datagrams>> {
        let (host, longest) = (socket.host()?, socket.longest_in_train());
        let datagrams = self.insert_source(|key| {
            Rc::new(Datagrams {
                inner: self.clone(),
                key,
                socket: RefCell::new(Some(socket)),
                protocol: Cell::default(),
                waiting: RefCell::default(),
                host,
                peer: RefCell::default(),
                standing: Cell::new(Standing {
                    readiness: Readiness::READABLE.and(Readiness::WRITABLE),
                    is_requeued: false,
                    is_served: false,
                }),
                outgoing: Outgoing::new(longest),
                incoming: Incoming::new(),
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

    pub(super) fn is_closed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    pub(super) fn is_ready(&self, wanted: Readiness) -> bool {
        self.standing.get().readiness.has(wanted)
    }

    pub(super) fn note_readiness(&self, risen: Readiness) {
        let standing = self.standing.get();
        self.standing.set(Standing { readiness: standing.readiness.and(risen), ..standing });
    }

    pub(super) fn forget_readiness(&self, gone: Readiness) {
        let standing = self.standing.get();
        self.standing.set(Standing { readiness: standing.readiness.without(gone), ..standing });
    }

    pub(super) fn is_served(&self) -> bool {
        self.standing.get().is_served
    }

    fn set_served(&self, is_served: bool) {
        self.standing.set(Standing { is_served, ..self.standing.get() });
    }

    /// What it was connected to by whoever made it.
    pub(super) fn was_connected(&self, peer: Option<Address>) {
        self.peer.replace(peer);
    }

    #[track_caller]
    pub(super) fn connect(&self, peer: Address) -> Result {
        if let Some(former) = &*self.peer.borrow() {
            let host = &self.host;
            return Err(Failure::msg(format!("{host} is connected to {former} already")));
        }
        self.end_gathering();
        if let Err(cause) = self.with_socket(|socket| socket.connect(&peer)) {
            let why = format!("cannot connect {} to {peer}: {cause}", self.host);
            return Err(Failure::msg(why));
        }
        self.peer.replace(Some(peer));
        Ok(())
    }

    pub(super) fn set_option(&self, option: DatagramOption) -> io::Result<()> {
        // What was sent before leaves as it was meant.
        self.end_gathering();
        self.with_socket(|socket| socket.set_option(option))
    }

    pub(super) fn host(&self) -> Address {
        self.host.clone()
    }

    pub(super) fn peer(&self) -> Option<Address> {
        self.peer.borrow().clone()
    }

    pub(super) fn call_protocol<R>(
        self: &Rc<Self>,
        what: &str,
        call: impl FnOnce(&mut dyn DatagramProtocol, &DatagramTransport) -> R,
    ) -> Option<R> {
        let mut protocol = self.protocol.take()?;
        let transport = DatagramTransport::new(self.clone());
        let called = catch_panic(NO_PLACE, || call(&mut *protocol, &transport));
        self.protocol.set(Some(protocol));
        called.inspect_err(|failure| report(what, failure)).ok()
    }

    pub(super) fn wait_to_receive(&self, waker: &Waker) {
        enlist(&mut self.waiting.borrow_mut().receivers, waker);
    }

    pub(super) fn wait_to_send(&self, waker: &Waker) {
        enlist(&mut self.waiting.borrow_mut().senders, waker);
    }

    fn wake_tasks(&self) {
        if self.is_ready(Readiness::READABLE) {
            let receivers = std::mem::take(&mut self.waiting.borrow_mut().receivers);
            receivers.into_iter().for_each(Waker::wake);
        }
        if self.is_ready(Readiness::WRITABLE) {
            let senders = std::mem::take(&mut self.waiting.borrow_mut().senders);
            senders.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn requeue(&self) {
        let standing = self.standing.get();
        if !standing.is_requeued {
            self.standing.set(Standing { is_requeued: true, ..standing });
            self.inner.sources.requeue(self.key);
        }
    }

    /// What was gathered leaves first: who gave it believes that it was sent.
    pub(super) fn close(&self) {
        self.end_gathering();
        let socket = self.socket.take();
        drop(socket);
        self.outgoing.clear();
        self.forget_kept();
        self.inner.sources.remove(self.key);
        self.note_readiness(Readiness::READABLE.and(Readiness::WRITABLE));
        self.wake_tasks();
    }

    /// Closes, and tells the protocol in a later turn.
    pub(super) fn stop(self: &Rc<Self>) -> Deferred<()> {
        let (trigger, deferred) = Deferred::new();
        self.close();
        let datagrams = self.clone();
        let finish = Box::new(move || datagrams.dismiss(&trigger));
        match self.inner.is_over() {
            true => finish(),
            false => drop(self.inner.timers.call_later(Duration::ZERO, finish)),
        }
        deferred
    }

    /// Tells the protocol that this was all.
    fn dismiss(&self, done: &Trigger<()>) {
        let told = match self.protocol.take() {
            Some(mut protocol) => {
                let told = catch_panic(NO_PLACE, || protocol.stopped());
                run_reporting_panic("panic in the drop of a protocol", || drop(protocol));
                told
            }
            None => Ok(()),
        };
        // Cancelled meanwhile: nobody waits.
        let _ = done.fire(told);
    }
}

impl Source for Datagrams {
    fn name(&self) -> String {
        "a socket for datagrams".to_owned()
    }

    fn ready(self: Rc<Self>, readiness: Readiness, scratch: &mut [u8]) {
        self.note_readiness(readiness);
        if readiness == Readiness::NONE {
            self.standing.set(Standing { is_requeued: false, ..self.standing.get() });
        }
        if self.outgoing.stop_retrying() {
            self.note_readiness(Readiness::WRITABLE);
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
            self.set_served(true);
            self.tell_refusal();
            self.receive(scratch);
            self.set_served(false);
            self.end_gathering();
        }
    }

    fn flush(self: Rc<Self>) {
        self.flush_turn();
    }

    fn lose(self: Rc<Self>, _reason: &Failure) {
        self.close();
        if let Some(mut protocol) = self.protocol.take() {
            run_reporting_panic("panic in stopped", || protocol.stopped());
            run_reporting_panic("panic in the drop of a protocol", || drop(protocol));
        }
    }
}

fn enlist(waiting: &mut Vec<Waker>, waker: &Waker) {
    if !waiting.iter().any(|other| other.will_wake(waker)) {
        waiting.push(waker.clone());
    }
}

/// Whether an error speaks of an earlier datagram and its peer, not of the call that returned it.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    let kinds = [ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable];
    kinds.contains(&error.kind())
}
