//! The operating system behind the driver's door, through mio.
//!
//! Linux' epoll takes timeouts in nanoseconds, mio in milliseconds, rounded up. Where a timeout has
//! a fraction of a millisecond that matters, `precise.rs` waits on mio's own epoll instead.

mod adopted;
mod dialect;
mod file;
#[cfg(target_os = "linux")]
mod inherited;
mod pipe;
#[cfg(target_os = "linux")]
mod precise;
mod socket_path;
mod tcp;
mod threaded;
#[cfg(target_os = "linux")]
mod trains;
mod udp;
mod unix;
mod unix_datagram;
mod unix_name;
mod watched;
mod workers;

use super::{
    Answer, ByteStream, DatagramSocket, Driver, Interest, Key, Listener, Nudge, Pipes, PoolSize,
    Readiness, Ready, UnixOptions,
};
use crate::address::{Address, UnixName};
use crate::failure::report;
use dialect::{AT_ONCE, QUIETLY};
pub use file::read_in_memory;
#[cfg(target_os = "linux")]
pub(super) use inherited::take_over;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Poll, Registry, Token, Waker};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, sendmsg};
use rustix::process::{Resource, getrlimit};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub(super) use tcp::{SharedRegistry, TcpByteStream, TcpSocket};
use workers::Workers;

/// The driver of every ordinary reactor: real time, real sockets, real threads.
pub struct SystemDriver {
    /// Absent once closed. Borrowed for the length of one wait; sockets register through `registry`.
    poll: RefCell<Option<(Poll, Events)>>,
    /// Absent once closed. Borrowed to clone and to take it.
    doors: RefCell<Option<(Rc<Registry>, Arc<Waker>)>>,
    workers: Workers,
    /// When it was said last that a wait failed.
    complained: Cell<Option<Instant>>,
    #[cfg(target_os = "linux")]
    precise: precise::Precise,
}

const EVENTS_PER_WAIT: usize = 1024;
/// So long a wait that failed is over.
const BREATH: Duration = Duration::from_millis(10);
/// So long it is not said again that a wait failed.
const SILENCE: Duration = Duration::from_secs(60);
const NUDGED: Token = Token(usize::MAX);
const NOTHING: Ready = Ready { key: Key::NONE, readiness: Readiness::NONE };

impl SystemDriver {
    /// Opens the system's event queue.
    pub fn new() -> io::Result<SystemDriver> {
        let poll = Poll::new()?;
        let registry = Rc::new(poll.registry().try_clone()?);
        let waker = Arc::new(Waker::new(&registry, NUDGED)?);
        Ok(SystemDriver {
            poll: RefCell::new(Some((poll, Events::with_capacity(EVENTS_PER_WAIT)))),
            doors: RefCell::new(Some((registry, waker))),
            workers: Workers::new(),
            complained: Cell::default(),
            #[cfg(target_os = "linux")]
            precise: precise::Precise::new(EVENTS_PER_WAIT),
        })
    }
}

impl SystemDriver {
    fn registry(&self) -> io::Result<Rc<Registry>> {
        let doors = self.doors.borrow();
        doors.as_ref().map(|(registry, _)| registry.clone()).ok_or_else(closed)
    }

    #[inline]
    fn wait_once(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        // Room for all at once: growing by one is measurably slower.
        ready.reserve(EVENTS_PER_WAIT);
        #[cfg(target_os = "linux")]
        if let Some(timeout) = timeout.filter(|&timeout| self.precise.serves(timeout)) {
            return self.precise.wait(&*self.registry()?, timeout, ready);
        }
        let mut queue = self.poll.borrow_mut();
        let (poll, events) = queue.as_mut().ok_or_else(closed)?;
        match poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        // A nudge is among them: its key is nobody's.
        let first = ready.len();
        ready.resize(first + events.iter().count(), NOTHING);
        translate_all(events, &mut ready[first..]);
        Ok(())
    }

    /// A shortage passes: it is reported, once a minute, and waiting is tried again a little later.
    /// Everything else is the end.
    fn wait_failed(&self, error: io::Error, timeout: Option<Duration>) -> io::Result<()> {
        if !Errno::from_io_error(&error).is_some_and(is_shortage) {
            return Err(error);
        }
        std::thread::sleep(timeout.map_or(BREATH, |timeout| timeout.min(BREATH)));
        if self.complained.get().is_none_or(|said| said.elapsed() > SILENCE) {
            self.complained.set(Some(Instant::now()));
            report("the system cannot wait for events; trying again", &error.into());
        }
        Ok(())
    }
}

impl Driver for SystemDriver {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.wait_once(timeout, ready).or_else(|error| self.wait_failed(error, timeout))
    }

    fn nudge(&self) -> Arc<dyn Nudge> {
        match &*self.doors.borrow() {
            Some((_, waker)) => waker.clone(),
            None => Arc::new(Nobody),
        }
    }

    fn connect(&self, to: &Address, from: Option<&Address>) -> io::Result<Box<dyn ByteStream>> {
        match to {
            Address::Ip(to) => tcp::connect(&self.registry()?, *to, from),
            Address::Unix(to) => unix::connect(&self.registry()?, to),
            Address::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn listen(&self, at: &Address, backlog: u32) -> io::Result<Box<dyn Listener>> {
        match at {
            Address::Ip(at) => tcp::listen(&self.registry()?, *at, backlog, false),
            Address::Unix(at) => {
                self.listen_unix(at, &UnixOptions { backlog, ..UnixOptions::default() })
            }
            Address::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn listen_unix(&self, at: &UnixName, options: &UnixOptions) -> io::Result<Box<dyn Listener>> {
        unix::listen(&self.registry()?, at, options)
    }

    #[cfg(target_os = "linux")]
    fn listen_inherited(&self, number: u32) -> io::Result<Box<dyn Listener>> {
        inherited::listen(&self.registry()?, number)
    }

    fn listen_shared(&self, at: &Address, backlog: u32) -> io::Result<Box<dyn Listener>> {
        let at = at.socket_addr().ok_or(io::ErrorKind::Unsupported)?;
        tcp::listen(&self.registry()?, at, backlog, true)
    }

    fn adopt_listener(&self, socket: OwnedFd) -> io::Result<Box<dyn Listener>> {
        adopted::listener(&self.registry()?, socket.into(), "what was given")
    }

    fn adopt_stream(&self, socket: OwnedFd) -> io::Result<Box<dyn ByteStream>> {
        adopted::stream(&self.registry()?, socket.into(), "what was given")
    }

    fn bind(&self, at: &Address, is_shared: bool) -> io::Result<Box<dyn DatagramSocket>> {
        match at {
            Address::Ip(at) => udp::bind(&self.registry()?, *at, is_shared),
            Address::Unix(name) => unix_datagram::bind(&self.registry()?, name),
            Address::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn adopt_datagrams(
        &self,
        socket: OwnedFd,
    ) -> io::Result<(Box<dyn DatagramSocket>, Option<Address>)> {
        adopted::datagrams(&self.registry()?, socket.into(), "what was given")
    }

    fn adopt(&self, pipes: Pipes) -> io::Result<Box<dyn ByteStream>> {
        pipe::adopt(&self.registry()?, pipes)
    }

    fn resolve(&self, host: &str, port: u16, answer: Answer) {
        if host.eq_ignore_ascii_case("localhost") {
            // That it is this machine, and nobody has to be asked, is settled (RFC 6761, 6.3).
            let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return answer(Ok(both.map(|ip| SocketAddr::new(ip, port)).to_vec()));
        }
        let host = host.to_owned();
        self.offload(Box::new(move || {
            answer((host.as_str(), port).to_socket_addrs().map(Iterator::collect));
        }));
    }

    fn close(&self) {
        let (poll, doors) = (self.poll.take(), self.doors.take());
        drop((poll, doors));
        self.workers.close();
    }

    fn interface(&self, name: &str) -> io::Result<u32> {
        dialect::interface(name).map_err(|error| {
            let why = format!("there is no network interface {name:?}: {error}");
            io::Error::new(io::ErrorKind::NotFound, why)
        })
    }

    fn offload(&self, work: Box<dyn FnOnce() + Send>) {
        self.workers.give(work);
    }

    fn size_pool(&self, size: PoolSize) {
        self.workers.resize(size);
    }

    fn watch(&self, descriptor: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        let (raw, token) = (descriptor.as_raw_fd(), Token(key.to_token()));
        self.registry()?.register(&mut SourceFd(&raw), token, one_way(interest))
    }

    fn rewatch(&self, descriptor: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()> {
        let (raw, token) = (descriptor.as_raw_fd(), Token(key.to_token()));
        self.registry()?.reregister(&mut SourceFd(&raw), token, one_way(interest))
    }

    fn unwatch(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.registry()?.deregister(&mut SourceFd(&descriptor.as_raw_fd()))
    }
}

impl Nudge for Waker {
    fn nudge(&self) {
        // It fails only once the reactor is gone, and then there is nobody left to wake.
        let _ = self.wake();
    }
}

/// Whom to nudge once the reactor has ended.
struct Nobody;

impl Nudge for Nobody {
    fn nudge(&self) {}
}

fn closed() -> io::Error {
    io::Error::other("the reactor's driver is closed")
}

impl std::fmt::Debug for SystemDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemDriver").finish_non_exhaustive()
    }
}

/// A function of its own, so that it is plain that writing one does not change the other.
fn translate_all(events: &Events, places: &mut [Ready]) {
    places.iter_mut().zip(events).for_each(|(place, event)| *place = translate(event));
}

fn translate(event: &Event) -> Ready {
    let mut readiness = Readiness::READABLE
        .when(event.is_readable())
        .and(Readiness::WRITABLE.when(event.is_writable()));
    // Both are rare: one question for all kinds of them.
    if event.is_read_closed() || event.is_error() || is_urgent(event) {
        let broken = event.is_error() || event.is_write_closed();
        readiness = readiness
            .and(Readiness::URGENT.when(is_urgent(event)))
            .and(end_of(event.is_read_closed(), broken));
    }
    Ready { key: Key::from_token(event.token().0), readiness }
}

/// What an end makes a descriptor ready for. A pipe's comes alone: a read finds it; nor is there room in a
/// full one whose reader is gone: a write finds that.
fn end_of(is_read_closed: bool, is_broken: bool) -> Readiness {
    let broken = Readiness::BROKEN.and(Readiness::READABLE).and(Readiness::WRITABLE);
    let closed = Readiness::READ_CLOSED.and(Readiness::READABLE);
    closed.when(is_read_closed).and(broken.when(is_broken))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_urgent(event: &Event) -> bool {
    event.is_priority()
}

/// Elsewhere no event tells of an urgent mark.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_urgent(_event: &Event) -> bool {
    false
}

fn one_way(interest: Interest) -> mio::Interest {
    match interest {
        Interest::Reading => mio::Interest::READABLE,
        Interest::Writing => mio::Interest::WRITABLE,
    }
}

/// Why a socket did not accept, as [`Listener::accept`] tells it: that descriptors or memory ran out, or
/// that the socket accepts no more, is no connection's own trouble and has a name of its own.
fn name_refusal(socket: impl AsFd, error: io::Error) -> io::Error {
    let kind = match Errno::from_io_error(&error) {
        Some(errno) if is_shortage(errno) => io::ErrorKind::OutOfMemory,
        Some(Errno::INVAL | Errno::BADF | Errno::NOTSOCK) => io::ErrorKind::InvalidInput,
        // Linux says so of a connection as well, when its network failed before it was accepted.
        Some(Errno::OPNOTSUPP) if !is_listening(socket) => io::ErrorKind::InvalidInput,
        _ => return error,
    };
    io::Error::new(kind, error)
}

/// Apple does not say.
#[cfg(target_vendor = "apple")]
fn is_listening(_: impl AsFd) -> bool {
    false
}

#[cfg(not(target_vendor = "apple"))]
fn is_listening(socket: impl AsFd) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// Whether the system ran out of something, which passes.
fn is_shortage(errno: Errno) -> bool {
    use Errno as E;
    // The last is of descriptors that are under way through Unix sockets.
    [E::MFILE, E::NFILE, E::NOBUFS, E::NOMEM, E::TOOMANYREFS].contains(&errno)
}

/// What a send met. That the system had no memory for it, or no room in a device's queue, is no trouble
/// of the connection's, and has a name of its own.
pub(super) fn name_shortage(error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    match Errno::from_io_error(&error) {
        Some(errno) if is_shortage(errno) => io::Error::new(io::ErrorKind::OutOfMemory, error),
        _ => error,
    }
}

/// Whether it blocks is a property of an open file, so that another holder of a socket can change it at
/// any time. One who does it between this call and the next has this thread wait in that.
fn keep_from_blocking(socket: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&socket)?;
    if flags.contains(OFlags::NONBLOCK) {
        return Ok(());
    }
    Ok(rustix::fs::fcntl_setfl(&socket, flags | OFlags::NONBLOCK)?)
}

/// How many descriptors a process may have yet, told from the number of its latest: the system gives the
/// lowest one that is free.
struct Room {
    most: usize,
    left: Cell<usize>,
}

impl Room {
    fn new() -> Room {
        let limit = getrlimit(Resource::Nofile).current;
        let most = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        Room { most, left: Cell::new(usize::MAX) }
    }

    fn after(&self, latest: &impl AsRawFd) {
        let taken = usize::try_from(latest.as_raw_fd()).map_or(0, |number| number + 1);
        self.left.set(self.most.saturating_sub(taken));
    }
}

/// A descriptor to give up when there are no others; see `Listener::shed`.
fn open_reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Accepts and closes what waits.
fn close_waiting<T>(mut accept: impl FnMut() -> io::Result<T>) -> io::Result<usize> {
    let mut closed = 0;
    loop {
        match accept() {
            Ok(_) => closed += 1,
            Err(error) if closed > 0 || error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(closed);
            }
            Err(error) => return Err(error),
        }
    }
}

fn register<S: mio::event::Source>(
    registry: &Registry,
    socket: &mut S,
    key: Key,
) -> io::Result<()> {
    let both = mio::Interest::READABLE | mio::Interest::WRITABLE;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let both = both | mio::Interest::PRIORITY;
    registry.register(socket, Token(key.to_token()), both)
}

/// Sends from several slices, in order.
fn send_vectored(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut nothing_beside = SendAncillaryBuffer::default();
    sendmsg(socket, slices, &mut nothing_beside, QUIETLY).map_err(name_shortage)
}

/// How many bytes, up to one, are the next thing to read; `None` if nothing is.
fn look_ahead<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<Option<usize>> {
    let mut byte = [MaybeUninit::uninit(); 1];
    match rustix::net::recv(&*socket.into(), &mut byte, AT_ONCE | RecvFlags::PEEK) {
        Err(Errno::AGAIN) => Ok(None),
        outcome => Ok(Some(outcome?.1)),
    }
}

fn has_unread<'s>(socket: impl Into<SockRef<'s>>) -> bool {
    matches!(look_ahead(socket), Ok(Some(1..)))
}
