//! What happened, in order: the text of a run, and the number that two equal runs share.

use super::random::mix;
use super::{Call, Fault};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Counts connections in order of their first request; 0 is none.
pub(super) type Connection = u32;

/// One thing that happened in a simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceEvent {
    /// When, since the simulation began.
    pub at: Duration,
    /// At which host; empty for what concerns none.
    pub host: Rc<str>,
    /// The number of the connection, in order of connecting; 0 for what concerns none.
    pub connection: u32,
    /// What it was.
    pub what: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// A host asked another for a connection.
    Asked(Rc<str>),
    /// The connection is open at this end.
    Opened,
    /// No connection came about.
    Failed(std::io::ErrorKind),
    /// A connection was accepted.
    Accepted,
    /// So many bytes of a stream were sent.
    Sent(usize),
    /// A datagram was sent.
    SentTo {
        /// The address.
        to: Rc<str>,
        /// How many bytes it has.
        bytes: usize,
        /// How they begin.
        beginning: Rc<str>,
    },
    /// A datagram did not arrive: it was lost on the way, or nobody took it.
    Lost {
        /// The sender.
        from: Rc<str>,
        /// The address.
        to: Rc<str>,
        /// How many bytes it has.
        bytes: usize,
        /// Why.
        why: Loss,
    },
    /// Bytes arrived that another host sent at that time; their beginning is told.
    Arrived {
        /// The sender.
        from: Rc<str>,
        /// When they were sent.
        sent: Duration,
        /// How many they are.
        bytes: usize,
        /// How they begin.
        beginning: Rc<str>,
    },
    /// This end will send no more.
    EndSent,
    /// The other end will send no more.
    Ended {
        /// The sender.
        from: Rc<str>,
        /// When the end was sent.
        sent: Duration,
    },
    /// The connection was reset.
    Reset,
    /// This end was closed.
    Closed,
    /// What was sent found no way and is sent again later.
    Repeated,
    /// A call failed as the faults would have it.
    Failing(Call, Fault),
    /// Somebody did something to the network or to a host, or noted something.
    Noted(Rc<str>),
}

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// The link loses a share of what is sent.
    OnTheWay,
    /// The way is cut, or the host is down.
    Unreachable,
    /// No socket of the host has that port and address.
    NoPort,
    /// The socket is connected to somebody else.
    NotThePeer,
    /// So much waits to be read already.
    Full,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::OnTheWay => "lost on the way",
            Loss::Unreachable => "the host cannot be reached",
            Loss::NoPort => "nobody has that port",
            Loss::NotThePeer => "the socket is connected to another",
            Loss::Full => "the socket's queue is full",
        })
    }
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.6} {:<10}", self.at.as_secs_f64(), self.host)?;
        match self.connection {
            0 => write!(f, "      ")?,
            number => write!(f, " #{number:<4}")?,
        }
        write!(f, " {}", self.what)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventKind::Asked(whom) => write!(f, "connects to {whom}"),
            EventKind::Opened => f.write_str("is connected"),
            EventKind::Failed(kind) => write!(f, "does not connect: {kind}"),
            EventKind::Accepted => f.write_str("accepts"),
            EventKind::Sent(bytes) => write!(f, "sends {bytes} bytes"),
            EventKind::SentTo { to, bytes, beginning } => {
                write!(f, "sends {bytes} bytes to {to}: {beginning}")
            }
            EventKind::Lost { from, to, bytes, why } => {
                write!(f, "misses {bytes} bytes from {from} to {to}: {why}")
            }
            EventKind::Arrived { from, bytes, beginning, .. } => {
                write!(f, "gets {bytes} bytes from {from}: {beginning}")
            }
            EventKind::Ended { from, .. } => write!(f, "gets the end from {from}"),
            EventKind::EndSent => f.write_str("sends its end"),
            EventKind::Reset => f.write_str("is reset"),
            EventKind::Closed => f.write_str("closes"),
            EventKind::Repeated => f.write_str("gets no answer and repeats"),
            EventKind::Failing(call, fault) => write!(f, "{call:?} fails: {fault:?}"),
            EventKind::Noted(text) => f.write_str(text),
        }
    }
}

/// A run's history: always as a number, on demand in full.
#[derive(Default)]
pub(super) struct Trace {
    digest: Digest,
    /// Absent: nobody asked for it.
    kept: Option<Kept>,
    /// Of bytes that were sent, only how many counts.
    ignores_contents: bool,
}

#[derive(Default)]
struct Kept {
    events: Vec<TraceEvent>,
    /// By event: the number of all that had happened then.
    digests: Vec<u64>,
}

/// So many are kept at most; what comes later only changes the number.
const MOST: usize = 1_000_000;

impl Trace {
    pub(super) fn begin(&mut self) {
        self.kept.get_or_insert_default();
    }

    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    pub(super) fn ignore_contents(&mut self) {
        self.ignores_contents = true;
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn events(&self) -> &[TraceEvent] {
        self.kept.as_ref().map_or(&[], |kept| &kept.events)
    }

    pub(super) fn digests(&self) -> &[u64] {
        self.kept.as_ref().map_or(&[], |kept| &kept.digests)
    }

    /// Enters something into the number of which the text says nothing.
    #[inline]
    pub(super) fn count(&mut self, mark: u64) {
        self.digest.enter(mark);
    }

    /// Enters a name or an address into the number.
    pub(super) fn count_text(&mut self, text: &str) {
        self.digest.enter_bytes(text.as_bytes());
    }

    /// Enters bytes that were sent into the number.
    #[inline]
    pub(super) fn count_bytes(&mut self, data: &[u8]) {
        if !self.ignores_contents {
            self.digest.enter_bytes(data);
        }
    }

    /// Enters what happened at this time and place into number and text.
    pub(super) fn note(&mut self, mark: u64, event: TraceEvent) {
        self.digest.enter(mark);
        event.what.enter(&mut self.digest);
        self.keep(|| event);
    }

    /// As `note`, of what happens all the time: `mark` tells all of it, `make` is called if it is kept.
    #[inline]
    pub(super) fn note_often(&mut self, mark: u64, make: impl FnOnce() -> TraceEvent) {
        self.digest.enter(mark);
        self.keep(make);
    }

    #[inline]
    fn keep(&mut self, make: impl FnOnce() -> TraceEvent) {
        if let Some(kept) = &mut self.kept
            && kept.events.len() < MOST
        {
            kept.events.push(make());
            kept.digests.push(self.digest.0);
        }
    }
}

/// A number that depends on all that was entered, and on its order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Digest {
    #[inline]
    pub(super) fn enter(&mut self, mark: u64) {
        self.0 = mix(self.0 ^ mark);
    }

    #[inline]
    pub(super) fn enter_bytes(&mut self, data: &[u8]) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let (words, rest) = data.as_chunks::<8>();
        let mut number = self.0;
        for word in words {
            number = (number.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(ODD);
        }
        self.0 = number;
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(byte, left)| *byte = *left);
        self.enter(u64::from_le_bytes(last) ^ (data.len() as u64) << 56);
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }
}

impl EventKind {
    /// Enters what tells it from everything else.
    fn enter(&self, digest: &mut Digest) {
        match self {
            EventKind::Opened => digest.enter(2),
            EventKind::Repeated => digest.enter(4),
            EventKind::Reset => digest.enter(5),
            EventKind::EndSent => digest.enter(7),
            EventKind::Closed => digest.enter(8),
            EventKind::Accepted => digest.enter(10),
            EventKind::Asked(text) | EventKind::Noted(text) => digest.enter_bytes(text.as_bytes()),
            other => digest.enter_bytes(other.to_string().as_bytes()),
        }
    }
}

/// The beginning of some bytes as a line of text.
pub(super) fn beginning(data: &[u8]) -> Rc<str> {
    const SHOWN: usize = 32;
    let text = data[..data.len().min(SHOWN)].escape_ascii().to_string();
    Rc::from(if data.len() > SHOWN { text + "..." } else { text })
}
