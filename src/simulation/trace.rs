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
pub struct Happening {
    /// When, since the simulation began.
    pub at: Duration,
    /// At which host; empty for what concerns none.
    pub host: Rc<str>,
    /// The number of the connection, in order of connecting; 0 for what concerns none.
    pub connection: u32,
    /// What it was.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// A host asked another for a connection.
    Asked(Rc<str>),
    /// The connection is open at this end.
    Opened,
    /// No connection came about.
    Failed(std::io::ErrorKind),
    /// A connection was accepted.
    Accepted,
    /// So many bytes were sent.
    Sent(usize),
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

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.6} {:<10}", self.at.as_secs_f64(), self.host)?;
        match self.connection {
            0 => write!(f, "      ")?,
            number => write!(f, " #{number:<4}")?,
        }
        write!(f, " {}", self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Asked(whom) => write!(f, "connects to {whom}"),
            What::Opened => f.write_str("is connected"),
            What::Failed(kind) => write!(f, "does not connect: {kind}"),
            What::Accepted => f.write_str("accepts"),
            What::Sent(bytes) => write!(f, "sends {bytes} bytes"),
            What::Arrived { from, bytes, beginning, .. } => {
                write!(f, "gets {bytes} bytes from {from}: {beginning}")
            }
            What::Ended { from, .. } => write!(f, "gets the end from {from}"),
            What::Reset => f.write_str("is reset"),
            What::Closed => f.write_str("closes"),
            What::Repeated => f.write_str("gets no answer and repeats"),
            What::Failing(call, fault) => write!(f, "{call:?} fails: {fault:?}"),
            What::Noted(text) => f.write_str(text),
        }
    }
}

/// A run's history: always as a number, on demand in full.
#[derive(Default)]
pub(super) struct Trace {
    digest: u64,
    /// Absent: nobody asked for it.
    happenings: Option<Vec<Happening>>,
}

/// So many are kept at most; what comes later only changes the number.
const MOST: usize = 1_000_000;

impl Trace {
    pub(super) fn begin(&mut self) {
        self.happenings.get_or_insert_default();
    }

    pub(super) fn is_kept(&self) -> bool {
        self.happenings.is_some()
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn happenings(&self) -> &[Happening] {
        self.happenings.as_deref().unwrap_or_default()
    }

    /// Enters what happened into the number, and what `make` says of it into the text.
    #[inline]
    pub(super) fn note(&mut self, mark: u64, make: impl FnOnce() -> Happening) {
        self.digest = mix(self.digest ^ mark);
        if let Some(happenings) = &mut self.happenings
            && happenings.len() < MOST
        {
            happenings.push(make());
        }
    }
}

/// The beginning of some bytes as a line of text.
pub(super) fn beginning(data: &[u8]) -> Rc<str> {
    const SHOWN: usize = 32;
    let text = data[..data.len().min(SHOWN)].escape_ascii().to_string();
    Rc::from(if data.len() > SHOWN { text + "..." } else { text })
}
