//! What the system under a host does wrong: by chance at a rate, or at exactly one call.

use super::random::Random;
use std::error::Error;
use std::fmt;
use std::io;

/// How often the calls of a host fail; each rate is a share of all calls of its kind.
///
/// ```
/// use ropewalk::simulation::{Faults, Simulation};
///
/// let simulation = Simulation::new(1);
/// let server = simulation.host("server");
/// server.set_faults(Faults { short_reads: 0.5, ..Faults::none() });
/// server.set_faults(Faults::pedantic()); // nothing is lost, all is cut up
/// server.set_faults(Faults::rough()); // and connections break
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Reads that return one byte or a few although more is there.
    pub short_reads: f64,
    /// Writes that take one byte or a few although there is room for more.
    pub short_writes: f64,
    /// Reads, writes and accepts that would block although they would not; an edge follows.
    pub would_block: f64,
    /// Reads, writes and accepts that a signal interrupts.
    pub interrupted: f64,
    /// Accepts that fail because that connection was aborted.
    pub accepts: f64,
    /// Connects that fail at once because the network is unreachable.
    pub connects: f64,
    /// Reads and writes that find the connection reset; the other end sees a reset as well.
    pub resets: f64,
}

impl Faults {
    /// A system without faults.
    pub fn none() -> Faults {
        Faults {
            short_reads: 0.0,
            short_writes: 0.0,
            would_block: 0.0,
            interrupted: 0.0,
            accepts: 0.0,
            connects: 0.0,
            resets: 0.0,
        }
    }

    /// A system that keeps every promise of its manual and no other: nothing is lost, all is cut up.
    pub fn pedantic() -> Faults {
        Faults {
            short_reads: 0.3,
            short_writes: 0.3,
            would_block: 0.2,
            interrupted: 0.1,
            ..Faults::none()
        }
    }

    /// A pedantic system in a bad network: connections break, connecting and accepting fail.
    pub fn rough() -> Faults {
        Faults { accepts: 0.1, connects: 0.1, resets: 0.01, ..Faults::pedantic() }
    }

    pub(super) fn draw(&self, call: Call, random: &mut Random) -> Option<Fault> {
        let resets = Fault::Error(io::ErrorKind::ConnectionReset);
        let mut hits = |rate: f64, fault: Fault| random.chance(rate).then_some(fault);
        match call {
            Call::Read | Call::Write => {
                let short = if call == Call::Read { self.short_reads } else { self.short_writes };
                hits(self.resets, resets)
                    .or_else(|| hits(self.would_block, Fault::WouldBlock))
                    .or_else(|| hits(self.interrupted, Fault::Interrupted))
                    .or_else(|| hits(short, Fault::Short))
            }
            Call::Accept => hits(self.accepts, Fault::Error(io::ErrorKind::ConnectionAborted))
                .or_else(|| hits(self.would_block, Fault::WouldBlock))
                .or_else(|| hits(self.interrupted, Fault::Interrupted)),
            Call::Connect => hits(self.connects, Fault::Error(io::ErrorKind::NetworkUnreachable)),
            _ => None,
        }
    }
}

/// A call of the driver, as a fault names it.
///
/// ```
/// use ropewalk::simulation::{Call, Fault, Simulation};
/// use std::io::ErrorKind;
///
/// let simulation = Simulation::new(1);
/// let client = simulation.host("client");
/// client.fail_next(Call::Connect, Fault::Error(ErrorKind::NetworkUnreachable));
/// let failure = simulation.run_until(client.reactor().open("10.0.0.9:80")).unwrap_err();
/// assert!(failure.to_string().contains("unreachable"), "{failure}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Call {
    /// `Driver::connect`.
    Connect,
    /// `Driver::listen`.
    Listen,
    /// `Driver::resolve`.
    Resolve,
    /// `Listener::accept`.
    Accept,
    /// `ByteStream::register` and `Listener::register`.
    Register,
    /// `ByteStream::read`.
    Read,
    /// `ByteStream::write` and `write_vectored`.
    Write,
    /// `ByteStream::shutdown_write`.
    Shutdown,
    /// `ByteStream::is_at_end`.
    Peek,
    /// `ByteStream::finish_connecting`.
    Finish,
    /// `ByteStream::peer`, `host` and the host of a listener.
    Address,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It would block, it says; an edge follows.
    WouldBlock,
    /// A signal interrupted it.
    Interrupted,
    /// It moves one byte only; an edge follows.
    Short,
    /// It fails. `ConnectionReset` breaks the connection at both ends.
    Error(io::ErrorKind),
}

impl Fault {
    /// Every kind that [`sweep_faults`](super::sweep_faults) tries.
    pub const ALL: [Fault; 7] = [
        Fault::WouldBlock,
        Fault::Interrupted,
        Fault::Short,
        Fault::Error(io::ErrorKind::ConnectionReset),
        Fault::Error(io::ErrorKind::BrokenPipe),
        Fault::Error(io::ErrorKind::OutOfMemory),
        Fault::Error(io::ErrorKind::TimedOut),
    ];

    pub(super) fn to_error(self) -> io::Error {
        match self {
            Fault::WouldBlock | Fault::Short => io::ErrorKind::WouldBlock.into(),
            Fault::Interrupted => io::ErrorKind::Interrupted.into(),
            Fault::Error(kind) => Injected("", kind).into(),
        }
    }
}

/// An error that the simulation made: a fault, or a limit that it was given.
#[derive(Debug)]
pub(super) struct Injected(pub(super) &'static str, pub(super) io::ErrorKind);

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => self.1.fmt(f),
            text => f.write_str(text),
        }
    }
}

impl Error for Injected {}

impl From<Injected> for io::Error {
    fn from(injected: Injected) -> io::Error {
        io::Error::new(injected.1, injected)
    }
}
