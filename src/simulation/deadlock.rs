//! Why a run came to nothing: who waits for what.

use super::link::Link;
use super::socket::{Socket, Stage};
use super::world::{HostState, State};
use crate::reactor::Loop;
use std::fmt::{self, Write};
use std::rc::Rc;
use std::time::Duration;

/// A simulation can go on no longer, or has gone on for too long; says who waits for what.
///
/// ```
/// use ropewalk::simulation::{Deadlock, Simulation, Why};
/// use ropewalk::Deferred;
/// use std::time::Duration;
///
/// let simulation = Simulation::new(3);
/// let (_trigger, never) = Deferred::<()>::new();
/// let failure = simulation.run_until(never).unwrap_err();
/// let deadlock = failure.check::<Deadlock>().unwrap();
/// assert_eq!((deadlock.why(), deadlock.seed()), (Why::NothingLeft, 3));
/// assert_eq!(deadlock.at(), Duration::ZERO);
/// ```
#[derive(Clone, Debug)]
pub struct Deadlock {
    why: Why,
    seed: u64,
    at: Duration,
    explanation: String,
}

/// Why a run ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No host has anything to do, nothing is under way, and no timer is set: a deadlock.
    NothingLeft,
    /// The limit of virtual time has passed.
    LimitPassed,
}

impl Deadlock {
    /// Which of the two it is.
    pub fn why(&self) -> Why {
        self.why
    }

    /// The seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// When it was found, since the simulation began.
    pub fn at(&self) -> Duration {
        self.at
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::NothingLeft => "deadlock: nothing is left to happen",
            Why::LimitPassed => "the limit of virtual time has passed",
        };
        let Deadlock { seed, at, explanation, .. } = self;
        write!(f, "{why}, at {at:?} of seed {seed}{explanation}")
    }
}

impl std::error::Error for Deadlock {}

/// So many connections of a host are told; the others are counted.
const SHOWN: usize = 10;

impl State {
    pub(super) fn explain(&self, why: Why, loops: &[Option<Rc<Loop>>]) -> Deadlock {
        let mut text = String::new();
        for (host, machine) in self.machines.iter().enumerate() {
            let inner = loops.get(host).and_then(Option::as_ref);
            // Writing into a String does not fail.
            let _ = self.explain_host(&mut text, host, machine, inner);
        }
        for (ends, link) in self.links.all() {
            let _ = self.explain_link(&mut text, ends, link);
        }
        let at = Duration::from_nanos(self.now);
        Deadlock { why, seed: self.seed, at, explanation: text }
    }

    fn explain_host(
        &self,
        text: &mut String,
        host: usize,
        machine: &HostState,
        inner: Option<&Rc<Loop>>,
    ) -> fmt::Result {
        let state = match (machine.is_up, machine.is_paused) {
            (false, _) => "is down",
            (true, true) => "is paused",
            (true, false) => "is up",
        };
        write!(text, "\n  {} {state}", machine.name)?;
        if let Some(inner) = inner {
            let timer = match inner.timers.until_next() {
                Some(time) => format!("next timer in {time:?}"),
                None => "no timer".into(),
            };
            write!(text, ", {} tasks wait, {timer}", inner.tasks.len())?;
        }
        let sockets = self.sockets.keys().into_iter().filter_map(|key| self.sockets.get(key));
        let own: Vec<_> = sockets.filter(|socket| socket.host == host).collect();
        for socket in own.iter().take(SHOWN) {
            self.explain_socket(text, socket)?;
        }
        match own.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(text, "\n    and {more} more connections"),
        }
    }

    fn explain_socket(&self, text: &mut String, socket: &Socket) -> fmt::Result {
        let peer = &self.machines[socket.peer_host].name;
        let stage = match socket.stage {
            Stage::Asking => "asks to connect",
            Stage::HalfOpen => "waits for the acknowledgement",
            Stage::Failed(_) => "did not connect",
            Stage::Dead => "is dead",
            Stage::Open if socket.is_waiting => "waits to be accepted",
            Stage::Open if !socket.is_held => "is closed here and still sends",
            Stage::Open => "is open",
        };
        write!(text, "\n    #{} with {peer} {stage}", socket.connection)?;
        match (socket.unread(), socket.has_ended) {
            (0, false) if socket.stage == Stage::Open => write!(text, ", waits for bytes")?,
            (0, _) => {}
            (unread, _) => write!(text, ", {unread} bytes are not read")?,
        }
        if socket.has_ended {
            text.push_str(", the peer has ended");
        }
        if socket.out.wants_room {
            text.push_str(", waits until the peer reads");
        }
        Ok(())
    }

    fn explain_link(
        &self,
        text: &mut String,
        (from, to): (usize, usize),
        link: &Link,
    ) -> fmt::Result {
        if !link.is_cut {
            return Ok(());
        }
        let name = |host: usize| &self.machines[host].name;
        write!(text, "\n  the way from {} to {} is cut", name(from), name(to))
    }
}
