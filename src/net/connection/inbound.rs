//! The way in of a connection: what its stream is ready for, what a read came to, and who wants no bytes.
//!
//! Knows no connection: it is given the stream, and tells what came of it.
//!
//! # Theory
//! An event raises bits; a read that found nothing, or all that there was, clears one. That is learned in
//! [`Inbound::read`] and nowhere else. A read of a plain stream that came short is its end: the next would
//! bring nothing. The peer's end, once announced, is behind a short read too, an urgent mark cuts one
//! short, and what is not plain may hold more than it gives; then only `WouldBlock` ends it.

use crate::driver::{FastPathMiss, Readiness, StreamCell};
use crate::reactor::counters::Count;
use std::cell::Cell;
use std::io;

/// So many reads in a row are one connection's share of a turn.
pub(super) const READS_PER_TURN: usize = 4;
/// With any of these a short read does not mean that nothing is left, whatever the stream.
const HIDING: Readiness = Readiness::READ_CLOSED.and(Readiness::BROKEN).and(Readiness::URGENT);
/// Marks a stream that has more to say than bytes. It stands beside the readiness, so that a read that
/// came short looks at one byte for all that it must know.
pub(super) const LAYERED: Readiness = Readiness::OWN;
/// Nor does it with one of these, unless the stream is asked.
const UNCERTAIN: Readiness = HIDING.and(LAYERED);

/// What a read came to.
pub(super) enum Read {
    /// So many bytes; readiness tells whether there may be more.
    Bytes(usize),
    End,
    /// Nothing is there now.
    Nothing,
    Failed(io::Error),
}

/// A read of which nothing was learned yet.
pub(crate) struct Unlearned(Result<usize, FastPathMiss>);

pub(super) struct Inbound {
    readiness: Cell<Readiness>,
    wishes: Cell<Wishes>,
}

/// Who wants no bytes; kept beside the connection's state, which forgets it at the end.
#[derive(Clone, Copy)]
struct Wishes {
    hold: Hold,
    /// A handler of the protocol's is awaited: nothing is read meanwhile, whatever the application wants.
    is_awaited: bool,
}

/// What the application said of reading.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    None,
    /// It wants no bytes for now.
    Held,
    /// It wants them again, and the protocol is to be told.
    Resumed,
}

impl Inbound {
    /// Data often comes with the connection: the first read is tried without an event.
    pub(super) fn new(marks: Readiness) -> Inbound {
        let wishes = Wishes { hold: Hold::None, is_awaited: false };
        let readiness = Cell::new(Readiness::READABLE.and(marks));
        Inbound { readiness, wishes: Cell::new(wishes) }
    }

    /// One read; learns from it whether more is there.
    pub(super) fn read(&self, stream: &StreamCell, buffer: &mut [u8], bytes: &Count) -> Read {
        match self.read_short(stream, buffer, bytes) {
            Ok(count) => Read::Bytes(count),
            Err(unlearned) => self.learn(stream, unlearned, buffer, bytes),
        }
    }

    /// As `read`, if it brings all that is there, of a plain stream; else `learn` makes a [`Read`] of it.
    // Apart, so that the usual case is not told once more from the others: 7 instructions an echo.
    #[inline]
    pub(super) fn read_short(
        &self,
        stream: &StreamCell,
        buffer: &mut [u8],
        bytes: &Count,
    ) -> Result<usize, Unlearned> {
        match stream.try_read(buffer) {
            Ok(count) if count > 0 && count < buffer.len() && !self.is(UNCERTAIN) => {
                bytes.add(count);
                self.forget(Readiness::READABLE);
                Ok(count)
            }
            outcome => Err(Unlearned(outcome)),
        }
    }

    /// Learns from a read that was no short one of TCP's.
    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    pub(super) fn learn(
        &self,
        stream: &StreamCell,
        read: Unlearned,
        buffer: &mut [u8],
        bytes: &Count,
    ) -> Read {
        match read.0.or_else(|why| stream.read_slow(why, buffer)) {
            Ok(count) => {
                bytes.add(count);
                if count < buffer.len() && self.holds_no_more(stream) {
                    self.forget(Readiness::READABLE);
                }
                if count > 0 { Read::Bytes(count) } else { Read::End }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Another mark comes with another event.
                self.forget(Readiness::READABLE.and(Readiness::URGENT));
                Read::Nothing
            }
            Err(error) => Read::Failed(error),
        }
    }

    /// Whether nothing is left behind a read that came short.
    fn holds_no_more(&self, stream: &StreamCell) -> bool {
        if self.is(HIDING) {
            return false;
        }
        let has_pending = || stream.with(|stream| Ok(stream.has_pending())).unwrap_or(false);
        !self.is(LAYERED) || !has_pending()
    }

    #[inline]
    pub(super) fn is(&self, readiness: Readiness) -> bool {
        self.readiness.get().has(readiness)
    }

    #[inline]
    pub(super) fn raise(&self, readiness: Readiness) {
        self.readiness.set(self.readiness.get().and(readiness));
    }

    pub(super) fn forget(&self, gone: Readiness) {
        self.readiness.set(self.readiness.get().without(gone));
    }

    /// The application wants no bytes for now.
    pub(super) fn hold(&self) {
        self.wishes.set(Wishes { hold: Hold::Held, ..self.wishes.get() });
    }

    /// It wants them again. Whether that lets reading go on.
    pub(super) fn resume(&self) -> bool {
        let wishes = self.wishes.get();
        wishes.hold == Hold::Held && self.want(Wishes { hold: Hold::None, ..wishes })
    }

    /// A handler is awaited.
    pub(super) fn await_handler(&self) {
        self.wishes.set(Wishes { is_awaited: true, ..self.wishes.get() });
    }

    /// It is awaited no more. Whether that lets reading go on.
    pub(super) fn end_await(&self) -> bool {
        let wishes = self.wishes.get();
        wishes.is_awaited && self.want(Wishes { is_awaited: false, ..wishes })
    }

    fn want(&self, wishes: Wishes) -> bool {
        let goes_on = !wishes.is_awaited && wishes.hold != Hold::Held;
        let hold = if goes_on { Hold::Resumed } else { wishes.hold };
        self.wishes.set(Wishes { hold, ..wishes });
        goes_on
    }

    /// Whether somebody wants no bytes.
    pub(super) fn is_held(&self) -> bool {
        let wishes = self.wishes.get();
        wishes.is_awaited || wishes.hold == Hold::Held
    }

    /// Whether the protocol is to be told that reading goes on; once.
    pub(super) fn take_resumed(&self) -> bool {
        let wishes = self.wishes.get();
        let is_resumed = wishes.hold == Hold::Resumed && !wishes.is_awaited;
        if is_resumed {
            self.wishes.set(Wishes { hold: Hold::None, ..wishes });
        }
        is_resumed
    }
}
