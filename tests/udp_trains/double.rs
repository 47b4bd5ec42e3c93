//! A driver that counts the calls to its sockets for datagrams, and refuses as it is told.

use ropewalk::Address;
use ropewalk::driver::{
    Answer, ByteStream, DatagramOption, DatagramSocket, Driver, Interest, Key, Listener, Nudge,
    Ready, SystemDriver, Train,
};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the sockets of one driver were asked for, and how they answer.
#[derive(Default)]
pub(crate) struct Calls {
    /// `1` for a datagram, `31x10` for a train of so many with so many bytes each, `option`.
    pub(crate) sends: RefCell<Vec<String>>,
    pub(crate) receives: Cell<usize>,
    /// Trains longer than this are refused for this reason.
    pub(crate) refuses: Cell<Option<(usize, ErrorKind)>>,
    /// The next train meets this.
    pub(crate) next_train: Cell<Option<ErrorKind>>,
    /// What single datagrams meet.
    pub(crate) singles: Cell<Option<ErrorKind>>,
    /// What the next single datagrams meet, the first of them last.
    pub(crate) next_singles: RefCell<Vec<ErrorKind>>,
    /// Trains are sent one by one, also where the system knows none.
    pub(crate) takes_apart: Cell<bool>,
}

impl Calls {
    pub(crate) fn sends(&self) -> Vec<String> {
        self.sends.take()
    }

    fn note(&self, what: impl ToString) {
        self.sends.borrow_mut().push(what.to_string());
    }
}

pub(crate) struct Double {
    system: SystemDriver,
    calls: Rc<Calls>,
}

impl Double {
    pub(crate) fn new() -> (Double, Rc<Calls>) {
        let calls = Rc::<Calls>::default();
        (Double { system: SystemDriver::new().unwrap(), calls: calls.clone() }, calls)
    }
}

impl Driver for Double {
    fn now(&self) -> Instant {
        self.system.now()
    }

    fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.system.wait(timeout, ready)
    }

    fn nudge(&self) -> Arc<dyn Nudge> {
        self.system.nudge()
    }

    fn connect(&self, to: &Address, from: Option<&Address>) -> io::Result<Box<dyn ByteStream>> {
        self.system.connect(to, from)
    }

    fn listen(&self, at: &Address, backlog: u32) -> io::Result<Box<dyn Listener>> {
        self.system.listen(at, backlog)
    }

    fn bind(&self, at: &Address, is_shared: bool) -> io::Result<Box<dyn DatagramSocket>> {
        let socket = self.system.bind(at, is_shared)?;
        Ok(Box::new(Socket { socket, calls: self.calls.clone() }))
    }

    fn resolve(&self, host: &str, port: u16, answer: Answer) {
        self.system.resolve(host, port, answer);
    }

    fn offload(&self, work: Box<dyn FnOnce() + Send>) {
        self.system.offload(work);
    }

    fn watch(&self, descriptor: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        self.system.watch(descriptor, key, interest)
    }

    fn rewatch(&self, descriptor: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        self.system.rewatch(descriptor, key, interest)
    }

    fn unwatch(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.system.unwatch(descriptor)
    }
}

struct Socket {
    socket: Box<dyn DatagramSocket>,
    calls: Rc<Calls>,
}

impl DatagramSocket for Socket {
    fn register(&mut self, key: Key) -> io::Result<()> {
        self.socket.register(key)
    }

    fn recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        self.calls.receives.set(self.calls.receives.get() + 1);
        self.socket.recv_from(buffer)
    }

    fn send_to(&mut self, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        self.calls.note("1");
        let next = self.calls.next_singles.borrow_mut().pop();
        match next.or(self.calls.singles.get()) {
            Some(kind) => Err(kind.into()),
            None => self.socket.send_to(data, to),
        }
    }

    fn expect_trains(&mut self) -> bool {
        self.socket.expect_trains()
    }

    fn recv_train(&mut self, buffer: &mut [u8]) -> io::Result<Train> {
        self.calls.receives.set(self.calls.receives.get() + 1);
        self.socket.recv_train(buffer)
    }

    fn longest_in_train(&self) -> usize {
        if self.calls.takes_apart.get() { 1000 } else { self.socket.longest_in_train() }
    }

    fn send_train(&mut self, data: &[u8], each: usize, to: Option<&Address>) -> io::Result<()> {
        self.calls.note(format!("{}x{each}", data.len().div_ceil(each)));
        if let Some(kind) = self.calls.next_train.take() {
            return Err(kind.into());
        }
        if let Some((most, kind)) = self.calls.refuses.get()
            && each > most
        {
            return Err(kind.into());
        }
        if self.calls.takes_apart.get() {
            return data.chunks(each).try_for_each(|data| self.socket.send_to(data, to));
        }
        self.socket.send_train(data, each, to)
    }

    fn connect(&mut self, to: &Address) -> io::Result<()> {
        self.socket.connect(to)
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    fn host(&self) -> io::Result<Address> {
        self.socket.host()
    }

    fn set_option(&mut self, option: DatagramOption) -> io::Result<()> {
        self.calls.note("option");
        self.socket.set_option(option)
    }
}
