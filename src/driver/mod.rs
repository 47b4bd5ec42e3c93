//! The one door to the outside world: time, readiness, sockets, names and blocking work.
//!
//! Whatever a program cannot compute by itself comes through a [`Driver`]. Behind it stands the
//! operating system ([`SystemDriver`]) or a seeded simulation of one; the reactor, its tasks, the
//! connections and the protocols are the same code above both. A driver makes sockets; each socket
//! is registered once, with a [`Key`], for both directions, and from then on [`Driver::wait`] names
//! the key whenever its readiness *rises* (edges, not levels).
//!
//! # A program
//!
//! A driver can be used by itself; a reactor is what most programs want above it
//! ([`Reactor::with_driver`](crate::Reactor::with_driver)).
//!
//! ```
//! use ropewalk::driver::{Driver, Ready, SystemDriver};
//! use ropewalk::Address;
//! use std::io::ErrorKind::WouldBlock;
//! use std::time::Duration;
//!
//! let driver = SystemDriver::new()?;
//! let at: Address = "127.0.0.1:0".parse::<std::net::SocketAddr>()?.into();
//! let mut listener = driver.listen(&at, 16)?;
//! assert_eq!(listener.accept().err().map(|error| error.kind()), Some(WouldBlock));
//!
//! let mut client = driver.connect(&listener.host()?, None)?;
//! client.register(ropewalk::driver::Key::from_token(1))?;
//! let mut ready: Vec<Ready> = Vec::new();
//! while ready.is_empty() {
//!     driver.wait(Some(Duration::from_secs(1)), &mut ready)?;
//! }
//! assert_eq!(ready[0].key.to_token(), 1);
//! client.finish_connecting()?;
//! let (mut server, peer) = listener.accept()?;
//! assert_eq!(peer, client.host()?);
//! client.write(b"hello")?;
//! # let mut heard = [0; 5];
//! # while let Err(error) = server.read(&mut heard) {
//! #     assert_eq!(error.kind(), WouldBlock);
//! # }
//! # assert_eq!(&heard, b"hello");
//! # Ok::<(), ropewalk::Failure>(())
//! ```

// # Invariants
// * Only `Driver::wait` blocks.
// * Every call that would block returns `std::io::ErrorKind::WouldBlock` instead, and an edge
//   follows when it no longer would.
// * A socket leaves the driver when it is dropped; events that name it may still be under way,
//   which is why a key has a generation.
//
// # Not here
// What a connection does with its bytes: `net/`. The order of a turn: `reactor/`.

mod any;
mod datagram;
mod forward;
mod handed;
mod panicked;
mod stream;
mod system;

pub use crate::slots::Key;
pub use any::AnyStream;
pub(crate) use any::{FastPathMiss, StreamCell};
pub use datagram::{DatagramOption, DatagramSocket, Interface, Train};
pub(crate) use handed::OWN_VARIABLES;
pub use handed::{HANDED_OVER, escape_name, inherited_names, take_inherited};
pub(crate) use panicked::PanickedLayer;
pub use stream::{ByteStream, Layer, Socket};
pub use system::{SystemDriver, read_in_memory};

use crate::address::{Address, UnixName};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use std::os::fd::{BorrowedFd, OwnedFd};

/// The outside world as one reactor sees it.
pub trait Driver {
    /// The current time; it never goes back.
    fn now(&self) -> Instant;

    /// What the calendar and the clock on the wall say; it may be set, and then jumps.
    fn system_time(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Waits until a registered socket becomes ready, the timeout passes, or somebody nudges;
    /// pushes what became ready to `ready`.
    ///
    /// `None` waits without limit. An interruption by a signal is a return without events, and so is
    /// what passes by itself; an error ends the run.
    fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()>;

    /// What ends the wait from another thread.
    fn nudge(&self) -> Arc<dyn Nudge>;

    /// Begins to connect; the stream becomes writable when that succeeded or failed.
    fn connect(&self, to: &Address, from: Option<&Address>) -> io::Result<Box<dyn ByteStream>>;

    /// Listens at an address; `backlog` connections may wait to be accepted.
    fn listen(&self, at: &Address, backlog: u32) -> io::Result<Box<dyn Listener>>;

    /// Listens at a Unix socket's name; what a driver does not know of the options it ignores.
    fn listen_unix(&self, at: &UnixName, options: &UnixOptions) -> io::Result<Box<dyn Listener>> {
        self.listen(&Address::Unix(at.clone()), options.backlog)
    }

    /// Listens at an address that others, who also share it, may have as well: the system spreads connections
    /// over all of them (SO_REUSEPORT).
    fn listen_shared(&self, at: &Address, backlog: u32) -> io::Result<Box<dyn Listener>> {
        let _ = backlog;
        let why = format!("this driver does not share the address {at}");
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Listens at a socket that somebody else made and had listen.
    fn adopt_listener(&self, socket: OwnedFd) -> io::Result<Box<dyn Listener>> {
        let _ = socket;
        let why = "this driver takes no sockets of the system's";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Makes a stream of a socket that somebody else made and connected.
    fn adopt_stream(&self, socket: OwnedFd) -> io::Result<Box<dyn ByteStream>> {
        let _ = socket;
        let why = "this driver takes no sockets of the system's";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Listens at a socket that the process was started with, by its descriptor's number, and takes it over:
    /// nothing is open under that number afterwards that anybody could use.
    fn listen_inherited(&self, number: u32) -> io::Result<Box<dyn Listener>> {
        let why = format!("this driver has no descriptor {number} to take over");
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Opens a socket for datagrams at an address; port 0, or no name, lets the system choose.
    ///
    /// `is_shared` lets several sockets have the same port, as listeners to one multicast group do.
    fn bind(&self, at: &Address, is_shared: bool) -> io::Result<Box<dyn DatagramSocket>> {
        let _ = (at, is_shared);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes a socket for datagrams that somebody else made, and says to whom it is connected.
    fn adopt_datagrams(
        &self,
        socket: OwnedFd,
    ) -> io::Result<(Box<dyn DatagramSocket>, Option<Address>)> {
        let _ = socket;
        let why = "this driver takes no sockets of the system's";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Makes a stream of descriptors that somebody else opened: pipes, terminals, files.
    fn adopt(&self, pipes: Pipes) -> io::Result<Box<dyn ByteStream>> {
        let why = format!("this driver has no use for {}", pipes.name);
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Fails where no child process can be started, before one is.
    fn check_processes(&self) -> io::Result<()> {
        Ok(())
    }

    /// Looks a host's addresses up, without blocking; `answer` is called from any thread.
    ///
    /// Whoever connects waits for the answer. Whoever listens takes one that is given before this returns, and
    /// no other: answer at once for names that nobody has to be asked for, such as `localhost`.
    fn resolve(&self, host: &str, port: u16, answer: Answer);

    /// The number of a network interface, which is what stands behind `%` in an address of IPv6.
    fn interface(&self, name: &str) -> io::Result<u32> {
        let why = format!("there is no network interface {name:?}");
        Err(io::Error::new(io::ErrorKind::NotFound, why))
    }

    /// The reactor has ended. What the driver holds of the system is given back, whoever holds a handle
    /// on that reactor still; no call but `now` and `entropy` comes any more.
    fn close(&self) {}

    /// Runs work that blocks, on another thread where there are threads.
    fn offload(&self, work: Box<dyn FnOnce() + Send>);

    /// Whether the world behind it is simulated: what this machine has in memory or on its disk at the
    /// moment must then decide nothing.
    fn is_simulated(&self) -> bool {
        false
    }

    /// Whether the process' signals are this driver's to tell.
    fn has_signals(&self) -> bool {
        true
    }

    /// How many threads `offload` may use; a driver without threads does not mind.
    fn size_pool(&self, size: PoolSize) {
        let _ = size;
    }

    /// A number that nobody can foresee; under a seeded driver, the next that its seed draws.
    fn entropy(&self) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0)
    }

    /// Watches a descriptor that somebody else made and keeps.
    ///
    /// `PermissionDenied` says that it cannot be watched because it is always ready: a file.
    fn watch(&self, descriptor: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()>;

    /// Asks for the readiness of a watched descriptor anew: it is named even if nothing changed.
    fn rewatch(&self, descriptor: BorrowedFd<'_>, key: Key, interest: Interest) -> io::Result<()>;

    /// Ends what `watch` began; call it before the descriptor is closed.
    fn unwatch(&self, descriptor: BorrowedFd<'_>) -> io::Result<()>;
}

/// How to listen at a Unix socket's name.
///
/// ```
/// use ropewalk::driver::UnixOptions;
///
/// let usual = UnixOptions::default();
/// assert_eq!(usual, UnixOptions { backlog: 1024, mode: None, lock: true });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixOptions {
    /// So many connections may wait to be accepted.
    pub backlog: u32,
    /// Who may connect, as the bits of a file's mode; `None` leaves that to the process' umask.
    pub mode: Option<u32>,
    /// Whether a locked file beside the socket keeps others away, and shows a stale socket to be one.
    pub lock: bool,
}

impl Default for UnixOptions {
    fn default() -> UnixOptions {
        UnixOptions { backlog: 1024, mode: None, lock: true }
    }
}

/// The size of the pool of threads that blocking work is given to.
///
/// The default is Twisted's: no thread at first, at most 10; an idle one ends after 10 s.
///
/// ```
/// use ropewalk::driver::PoolSize;
///
/// let reactor = ropewalk::Reactor::new()?;
/// reactor.adjust_thread_pool(PoolSize { most: 2, ..PoolSize::default() });
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// So many threads stay though there is nothing to do, once they were needed.
    pub fewest: usize,
    /// So many there are at most, and never less than 1.
    pub most: usize,
    /// After so long without work a thread ends.
    pub idle: Duration,
}

impl Default for PoolSize {
    fn default() -> PoolSize {
        PoolSize { fewest: 0, most: 10, idle: Duration::from_secs(10) }
    }
}

/// What takes the answer of [`Driver::resolve`].
pub type Answer = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>) + Send>;

/// Ends another thread's wait; to nudge a loop that does not wait ends its next wait at once.
pub trait Nudge: Send + Sync {
    /// Nudges.
    fn nudge(&self);
}

/// What [`Driver::adopt`] makes a stream of.
///
/// ```
/// use ropewalk::Address;
/// use ropewalk::driver::{Driver, Pipes, SystemDriver};
/// use std::io::Read;
///
/// let (mut reader, writer) = std::io::pipe()?;
/// let mut stream = SystemDriver::new()?.adopt(Pipes {
///     input: None,
///     output: Some(writer.into()),
///     name: Address::Pipe("the log".into()),
///     is_shared: false,
///     is_standard: false,
/// })?;
/// assert_eq!(stream.write(b"line")?, 4);
/// stream.shutdown_write()?;
/// let mut written = String::new();
/// reader.read_to_string(&mut written)?;
/// assert_eq!(written, "line");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
pub struct Pipes {
    /// Where bytes come from; without it none do.
    pub input: Option<OwnedFd>,
    /// Where bytes go; without it none do.
    pub output: Option<OwnedFd>,
    /// What the stream is called when it is spoken of.
    pub name: Address,
    /// Whether others may have open what they refer to, and may change how it behaves.
    pub is_shared: bool,
    /// Whether they are copies of the process' own standard input and output: to end the writing half,
    /// the original has to be given up too.
    pub is_standard: bool,
}

/// A socket that accepts connections, or whatever else brings them.
///
/// A driver makes them; one of your own is served by
/// [`ServerEndpoint::custom`](crate::ServerEndpoint::custom).
pub trait Listener {
    /// Asks the driver to name `key` when a connection waits. One of your own keeps the key, and tells the
    /// reactor itself: [`Reactor::notify_ready`](crate::Reactor::notify_ready).
    fn register(&mut self, key: Key) -> io::Result<()>;

    /// Accepts one connection; `WouldBlock` when none waits, `OutOfMemory` when there is nothing to
    /// have it with, be it memory or a descriptor, `InvalidInput` when this socket will never accept
    /// again. Any other error is that one connection's own.
    fn accept(&mut self) -> io::Result<(Box<dyn ByteStream>, Address)>;

    /// Accepts one connection as `accept` does; spares the box of a stream that needs none.
    fn accept_any(&mut self) -> io::Result<(AnyStream, Address)> {
        let (stream, peer) = self.accept()?;
        Ok((stream.into(), peer))
    }

    /// After `accept` found the process out of descriptors: accepts and closes what waits, with a
    /// descriptor kept in reserve. Returns how many it closed; an error if not even one could be. One that is
    /// never short of anything closes none.
    fn shed(&mut self) -> io::Result<usize> {
        Ok(0)
    }

    /// How many descriptors may be had after the last `accept`, as far as is known.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// The address that is listened at, with the real port where 0 was asked for.
    fn host(&self) -> io::Result<Address>;

    /// One more descriptor of the same socket: who has it may accept what waits here, too.
    fn try_clone_descriptor(&self) -> io::Result<OwnedFd> {
        let why = "what listens here is no socket of the system's";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    /// Says whether the name that the socket has in the file system, if it has one, goes with it.
    fn own_name(&mut self, is_owned: bool) {
        let _ = is_owned;
    }
}

/// One event of [`Driver::wait`].
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Whose readiness rose.
    pub key: Key,
    /// What it is ready for.
    pub readiness: Readiness,
}

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read.
    Reading,
    /// Room to write.
    Writing,
}

/// A set of directions that a socket is ready for.
///
/// ```
/// use ropewalk::driver::Readiness;
///
/// let both = Readiness::READABLE.and(Readiness::WRITABLE);
/// assert!(both.has(Readiness::READABLE) && !both.has(Readiness::READ_CLOSED));
/// assert_eq!(both.without(Readiness::WRITABLE), Readiness::READABLE);
/// assert_eq!(Readiness::BROKEN.when(false), Readiness::NONE);
/// assert_eq!(format!("{:?}", both.and(Readiness::URGENT)), r#"{"readable", "writable", "urgent"}"#);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    pub const NONE: Readiness = Readiness(0);
    /// There is something to read.
    pub const READABLE: Readiness = Readiness(1);
    /// The peer's end of stream, or worse, is behind what can be read.
    pub const READ_CLOSED: Readiness = Readiness(2);
    /// There is room to write.
    pub const WRITABLE: Readiness = Readiness(4);
    /// The socket failed, or both directions are closed. It comes with `READABLE` and `WRITABLE`: the
    /// call that fails tells why.
    pub const BROKEN: Readiness = Readiness(8);
    /// The peer marked a byte as urgent (TCP's urgent data, MSG_OOB): a read ends before it though more
    /// is there.
    pub const URGENT: Readiness = Readiness(16);
    /// No event, and raised by no driver: a bit for whoever keeps a readiness, to look at both at once.
    pub(crate) const OWN: Readiness = Readiness(128);

    /// Whether this set has anything in common with `other`.
    pub fn has(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }

    /// This set without what is in `other`.
    #[must_use]
    pub fn without(self, other: Readiness) -> Readiness {
        Readiness(self.0 & !other.0)
    }

    /// This set if `condition` holds, nothing otherwise.
    #[must_use]
    pub fn when(self, condition: bool) -> Readiness {
        if condition { self } else { Readiness::NONE }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Readiness::READABLE, "readable"),
            (Readiness::WRITABLE, "writable"),
            (Readiness::READ_CLOSED, "read closed"),
            (Readiness::BROKEN, "broken"),
            (Readiness::URGENT, "urgent"),
        ];
        let present = names.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| name);
        f.debug_set().entries(present).finish()
    }
}
