//! One end of a simulated connection, as its host's system keeps it.
//!
//! ```text
//!              1 Answer                2 shut down, closed
//!   asking ──────────────► open ─────────────────────────────► gone (once all that was sent arrived)
//!     │ 3 Refuse, GiveUp     │ 4 Reset, no answer for too long
//!     └────────► failed      └────────► dead
//!   half_open (accepted from the net, not yet acknowledged) ──Ack──► open
//! ```
//! What the kernel does is done here: bytes that arrived before a reset can still be read, an error
//! is told once, a close with unread bytes resets, and writing after the peer's reset fails.

use super::pipe::{Inbox, Pipe};
use super::trace::Connection;
use crate::driver::{Key, Readiness};
use std::io;
use std::net::SocketAddr;

pub(super) struct Socket {
    pub(super) host: usize,
    pub(super) peer_host: usize,
    pub(super) connection: Connection,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// The other end; stale when it is gone.
    pub(super) peer: Option<Key>,
    pub(super) stage: Stage,
    /// What the reactor named it. Absent before it is registered.
    pub(super) key: Option<Key>,
    /// It stands in its host's ready list.
    pub(super) is_queued: bool,
    /// The reactor holds it. Otherwise it only sends what it has to.
    pub(super) is_held: bool,
    /// It waits to be acknowledged or accepted.
    pub(super) is_waiting: bool,
    pub(super) out: Pipe,
    pub(super) inbox: Inbox,
    /// The peer's end arrived.
    pub(super) has_ended: bool,
    /// This end was told to send no more.
    pub(super) has_shut: bool,
    /// Told to the next call, once.
    pub(super) error: Option<io::ErrorKind>,
    pub(super) resets_on_close: bool,
    /// Probes a silent peer after so many nanoseconds.
    pub(super) keepalive: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Asking,
    HalfOpen,
    Open,
    Failed(io::ErrorKind),
    Dead,
}

impl Socket {
    pub(super) fn new(
        stage: Stage,
        host: usize,
        peer_host: usize,
        connection: Connection,
        (local, remote): (SocketAddr, SocketAddr),
    ) -> Socket {
        Socket {
            host,
            peer_host,
            connection,
            local,
            remote,
            peer: None,
            stage,
            key: None,
            is_queued: false,
            is_held: stage == Stage::Asking,
            is_waiting: stage == Stage::HalfOpen,
            out: Pipe::default(),
            inbox: Inbox::default(),
            has_ended: false,
            has_shut: false,
            error: None,
            resets_on_close: false,
            keepalive: None,
        }
    }

    /// What it is ready for now.
    #[inline]
    pub(super) fn readiness(&self) -> Readiness {
        let is_plain =
            self.stage == Stage::Open && !(self.has_ended || self.has_shut) && self.error.is_none();
        if !is_plain {
            return self.last_readiness();
        }
        Readiness::READABLE
            .when(self.unread() > 0)
            .and(Readiness::WRITABLE.when(self.out.is_roomy()))
    }

    /// What it is ready for while it begins or ends.
    #[inline(never)]
    fn last_readiness(&self) -> Readiness {
        let is_over = matches!(self.stage, Stage::Failed(_) | Stage::Dead);
        if !is_over && self.stage != Stage::Open {
            return Readiness::NONE;
        }
        let has_ended = self.has_ended || is_over;
        let is_broken = is_over || self.error.is_some() || (self.has_ended && self.has_shut);
        Readiness::READABLE
            .when(self.unread() > 0 || has_ended)
            .and(Readiness::WRITABLE.when(is_over || self.has_shut || self.out.is_roomy()))
            .and(Readiness::READ_CLOSED.when(has_ended))
            .and(Readiness::BROKEN.when(is_broken))
    }

    /// Marks it as one that its host is to be told of; false if it is one already, or nobody asked.
    #[inline]
    pub(super) fn rises(&mut self) -> bool {
        self.key.is_some() && !std::mem::replace(&mut self.is_queued, true)
    }

    pub(super) fn unread(&self) -> usize {
        self.inbox.unread()
    }

    /// Whether a read would find the end, or a failure, and no bytes before it.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        if self.unread() > 0 {
            return Ok(false);
        }
        match self.end()? {
            Some(()) => Ok(true),
            None => Ok(false),
        }
    }

    /// Takes bytes out of the inbox.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.unread() == 0 && !buffer.is_empty() {
            return match self.end()? {
                Some(()) => Ok(0),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        Ok(self.inbox.read(buffer))
    }

    /// What a read finds behind the last byte: the error, the end, or nothing yet.
    fn end(&mut self) -> io::Result<Option<()>> {
        if let Some(kind) = self.error.take() {
            return Err(kind.into());
        }
        match self.stage {
            Stage::Failed(kind) => Err(kind.into()),
            Stage::Dead => Ok(Some(())),
            Stage::Open if self.has_ended => Ok(Some(())),
            _ => Ok(None),
        }
    }

    /// How many of `wanted` bytes may be sent now.
    #[inline]
    pub(super) fn may_send(&mut self, wanted: usize) -> io::Result<usize> {
        let is_plain = self.stage == Stage::Open && !self.has_shut && self.error.is_none();
        if is_plain && wanted > 0 && wanted <= self.out.room() {
            return Ok(wanted);
        }
        self.may_send_some(wanted)
    }

    #[inline(never)]
    fn may_send_some(&mut self, wanted: usize) -> io::Result<usize> {
        if let Some(kind) = self.error.take() {
            return Err(kind.into());
        }
        match self.stage {
            Stage::Failed(_) | Stage::Dead => return Err(io::ErrorKind::BrokenPipe.into()),
            Stage::Open if self.has_shut => return Err(io::ErrorKind::BrokenPipe.into()),
            Stage::Open => {}
            Stage::Asking | Stage::HalfOpen => return Err(io::ErrorKind::WouldBlock.into()),
        }
        let count = wanted.min(self.out.room());
        self.out.wants_room |= count < wanted;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }

    /// Ends the socket at once; what arrived can still be read.
    pub(super) fn die(&mut self, error: Option<io::ErrorKind>) {
        self.stage = Stage::Dead;
        self.error = error;
        self.out = Pipe { window: self.out.window, ..Pipe::default() };
    }

    /// Somebody holds it or will, and it lives.
    pub(super) fn can_hear(&self) -> bool {
        (self.is_held || self.is_waiting) && matches!(self.stage, Stage::Open | Stage::HalfOpen)
    }

    /// Nothing is left to do for it.
    pub(super) fn is_gone(&self) -> bool {
        !self.is_held
            && !self.is_waiting
            && (self.out.in_flight.is_empty() || self.stage == Stage::Dead)
    }
}
