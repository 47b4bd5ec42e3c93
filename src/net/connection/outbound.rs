//! The way out of a connection: collecting, sending, and what waits when the peer does not take.
//!
//! Knows no connection: it is given what bytes go out through, and tells what came of it.
//!
//! # Theory
//! What a callback writes, or a task's poll to its first stream, collects in the loop's one cork and goes
//! out with one system call when the callback or the poll returns. What the socket does not take then, and
//! what others write, waits in a buffer of the pool, which `flush` empties at the end of the turn or when
//! there is room again. A large write with nothing before it skips both.
//!
//! A layer of the user's may write to its own connection while it is called with bytes. Those wait, and
//! what the layer leaves over of the bytes it was called with goes before them.
//!
//! # Invariants
//! * While bytes wait in `buffer`, nothing is collected in the cork: it would pass them by.

use crate::buffer::{Buffer, CORKED, Corked, SMALL};
use crate::driver::{FastPathMiss, Key, StreamCell};
use crate::reactor::Loop;
use crate::transport::{Producer, Producing};
use std::cell::Cell;
use std::io;

/// More than this waits: the face is told to pause.
pub(super) const HIGH: usize = 64 * 1024;
/// No more than this waits: the face is told to resume.
pub(super) const LOW: usize = 16 * 1024;
/// A write of so much is not worth copying if the socket may take it at once.
const DIRECT: usize = CORKED;

/// What bytes go out through: the stream, and what its loop lends for the way.
#[derive(Clone, Copy)]
pub(super) struct Exit<'c> {
    pub(super) inner: &'c Loop,
    /// Names the connection as the cork's owner.
    pub(super) key: Key,
    pub(super) stream: &'c StreamCell,
}

/// What sending came to. But for `All`, what was not sent waits.
pub(super) enum Sent {
    All,
    /// The system takes nothing more now.
    Blocked,
    /// It was not asked, as there is no room, or was interrupted, or a call to the stream is in progress.
    Waits,
    /// It has no memory, and no edge will tell when it has.
    Short,
    Broken(io::Error),
}

pub(super) struct Outbound {
    /// What was written and not sent yet; absent when that is nothing.
    buffer: Cell<Option<Box<Buffer>>>,
    call: Cell<Call>,
    marks: Cell<Marks>,
}

/// Whether a callback of the connection's protocol, or a poll that writes to its stream, is in progress,
/// and where the writes go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    None,
    /// To the loop's cork, which this connection owns: nothing older waits, and this end is open.
    Corked,
    /// To `buffer`.
    Plain,
}

#[derive(Clone, Copy)]
struct Marks {
    /// The system may take bytes.
    has_room: bool,
    /// The protocol was told to pause writing, and not yet to resume.
    is_full: bool,
    /// The peer took something since this was asked last.
    has_taken: bool,
    /// The stream is not plain: it may take the rest the next time, and no edge tell of it.
    is_layered: bool,
    /// How often a layer was put on that shakes hands.
    upgrades: u8,
}

impl Outbound {
    pub(super) fn new(is_layered: bool) -> Outbound {
        let marks =
            Marks { has_room: true, is_full: false, has_taken: false, is_layered, upgrades: 0 };
        Outbound { buffer: Cell::default(), call: Cell::new(Call::None), marks: Cell::new(marks) }
    }

    // ---- the cork ----

    /// A callback begins. What it writes collects in the cork, if that is free and nothing older waits.
    #[inline]
    pub(super) fn cork(&self, exit: Exit<'_>, is_idle: bool) {
        if !is_idle || exit.inner.cork.owner() != Key::NONE {
            return self.call.set(Call::Plain);
        }
        exit.inner.cork.set_owner(exit.key);
        self.call.set(Call::Corked);
    }

    /// A poll writes. Until it returns its bytes collect in the cork, if that is free and nothing older waits.
    #[inline]
    pub(super) fn cork_for_poll(&self, exit: Exit<'_>, is_idle: bool) -> bool {
        let Exit { inner, key, .. } = exit;
        let is_free = self.call.get() == Call::None
            && is_idle
            && inner.cork.owner() == Key::NONE
            && inner.tasks.is_polling();
        if is_free {
            inner.cork.set_owner(key);
            self.call.set(Call::Corked);
        }
        is_free
    }

    #[inline]
    pub(super) fn is_corked(&self) -> bool {
        self.call.get() == Call::Corked
    }

    /// Whether a callback or a poll that writes is in progress.
    pub(super) fn is_called(&self) -> bool {
        self.call.get() != Call::None
    }

    /// Collects what a callback writes, or a poll. False: it goes another way.
    #[inline]
    pub(super) fn collect(&self, exit: Exit<'_>, data: &[u8]) -> bool {
        self.is_corked() && exit.inner.cork.collect(data)
    }

    /// The callback or the poll is over: what it wrote goes out.
    #[inline]
    pub(super) fn uncork(&self, exit: Exit<'_>) -> Sent {
        if self.call.replace(Call::None) != Call::Corked && exit.inner.cork.owner() != exit.key {
            return Sent::All;
        }
        exit.inner.cork.set_owner(Key::NONE);
        self.send_cork(exit)
    }

    /// What is written from now on goes behind what the cork holds, which is sent.
    pub(super) fn leave_cork(&self, exit: Exit<'_>) -> Sent {
        if !self.is_corked() {
            return Sent::All;
        }
        self.call.set(Call::Plain);
        self.send_cork(exit)
    }

    /// What is written from now on is no more collected.
    pub(super) fn close_cork(&self) {
        if self.is_corked() {
            self.call.set(Call::Plain);
        }
    }

    /// Sends what the cork holds, if that is this connection's: also from inside a callback.
    pub(super) fn empty_cork(&self, exit: Exit<'_>) -> Sent {
        self.close_cork();
        // Another connection's callback may be in progress, and what the cork holds be its.
        if exit.inner.cork.owner() == exit.key { self.send_cork(exit) } else { Sent::All }
    }

    #[inline]
    fn send_cork(&self, exit: Exit<'_>) -> Sent {
        let Some(mut bytes) = exit.inner.cork.take() else { return Sent::All };
        if !bytes.is_empty() {
            let may = self.marks.get().has_room;
            match if may { exit.stream.try_write(&bytes) } else { Ok(0) } {
                Ok(count) if count == bytes.len() => {
                    exit.inner.counting.bytes_out.add(count);
                    bytes.clear();
                }
                outcome => return self.cork_was_cut(exit, outcome, bytes),
            }
        }
        exit.inner.cork.put_back(bytes);
        Sent::All
    }

    /// What the system did not take waits, and the cork gets its memory back.
    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    fn cork_was_cut(
        &self,
        exit: Exit<'_>,
        outcome: Result<usize, FastPathMiss>,
        mut bytes: Corked,
    ) -> Sent {
        let outcome = outcome.or_else(|why| exit.stream.write_slow(why, &bytes));
        let taken = *outcome.as_ref().unwrap_or(&0);
        let sent = self.learn(exit, outcome, bytes.len());
        self.keep_ahead(exit, &bytes[taken..]);
        bytes.clear();
        exit.inner.cork.put_back(bytes);
        sent
    }

    // ---- what waits ----

    /// Sends at once if that is much, and nothing waits before it; what is left waits.
    pub(super) fn write(&self, exit: Exit<'_>, data: &[u8]) -> Sent {
        if data.len() < DIRECT || self.len(exit) > 0 || !self.has_room() {
            self.keep(exit, data);
            return Sent::Waits;
        }
        let outcome = exit.stream.write(data);
        let taken = *outcome.as_ref().unwrap_or(&0);
        let sent = self.learn(exit, outcome, data.len());
        self.keep_ahead(exit, &data[taken..]);
        sent
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&self, exit: Exit<'_>) -> Sent {
        let Some(mut buffer) = self.buffer.take() else { return Sent::All };
        let mut sent = Sent::Waits;
        // While a call to the stream is in progress a layer is at work, and asks for this itself.
        while self.has_room() && !exit.stream.is_out() {
            let outcome = exit.stream.write(buffer.as_slice());
            let (taken, wanted) = (*outcome.as_ref().unwrap_or(&0), buffer.len());
            buffer.consume(taken);
            sent = self.learn(exit, outcome, wanted);
            if buffer.is_empty() || matches!(sent, Sent::Broken(_)) {
                exit.inner.pool.give(buffer);
                return sent;
            }
        }
        if let Some(later) = self.buffer.take() {
            buffer.append(later.as_slice());
            exit.inner.pool.give(later);
        }
        self.buffer.set(Some(buffer));
        sent
    }

    /// Learns from a write whether there is room for more.
    fn learn(&self, exit: Exit<'_>, outcome: io::Result<usize>, wanted: usize) -> Sent {
        match outcome {
            Ok(count) => {
                if count > 0 {
                    exit.inner.counting.bytes_out.add(count);
                    self.note_taken();
                }
                if count == wanted {
                    return Sent::All;
                }
                if count == 0 || !self.marks.get().is_layered {
                    self.forget_room();
                    return Sent::Blocked;
                }
                Sent::Waits
            }
            Err(error) => self.sort(exit, error),
        }
    }

    /// What a call that writes failed for.
    pub(super) fn sort(&self, exit: Exit<'_>, error: io::Error) -> Sent {
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                self.forget_room();
                Sent::Blocked
            }
            io::ErrorKind::Interrupted => Sent::Waits,
            io::ErrorKind::OutOfMemory => {
                self.forget_room();
                Sent::Short
            }
            _ if exit.stream.is_out() => Sent::Waits,
            _ => {
                self.forget_room();
                Sent::Broken(error)
            }
        }
    }

    /// Keeps bytes until they are sent.
    fn keep(&self, exit: Exit<'_>, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let pool = &exit.inner.pool;
        let lend = || if data.len() > SMALL { pool.large() } else { pool.small() };
        let mut buffer = self.buffer.take().unwrap_or_else(lend);
        buffer.append(data);
        self.buffer.set(Some(buffer));
    }

    /// Keeps what a call to the stream left over, before what a layer wrote during the call.
    fn keep_ahead(&self, exit: Exit<'_>, unsent: &[u8]) {
        if unsent.is_empty() {
            return;
        }
        let later = self.buffer.take();
        self.keep(exit, unsent);
        if let Some(later) = later {
            self.keep(exit, later.as_slice());
            exit.inner.pool.give(later);
        }
    }

    /// How many bytes wait to be sent.
    pub(super) fn len(&self, exit: Exit<'_>) -> usize {
        let buffer = self.buffer.take();
        let waiting = buffer.as_ref().map_or(0, |buffer| buffer.len());
        self.buffer.set(buffer);
        let cork = &exit.inner.cork;
        if cork.owner() == exit.key { waiting + cork.len() } else { waiting }
    }

    pub(super) fn discard(&self, exit: Exit<'_>) {
        if exit.inner.cork.owner() == exit.key {
            // It stays this connection's until the call in progress is over.
            exit.inner.cork.empty();
        }
        if let Some(buffer) = self.buffer.take() {
            exit.inner.pool.give(buffer);
        }
    }

    /// What waits, to go another way.
    pub(super) fn take(&self) -> Option<Box<Buffer>> {
        self.buffer.take()
    }

    // ---- room and marks ----

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.marks.get().has_room
    }

    #[inline]
    pub(super) fn raise(&self) {
        self.marks.set(Marks { has_room: true, ..self.marks.get() });
    }

    pub(super) fn upgrades(&self) -> u8 {
        self.marks.get().upgrades
    }

    /// A layer that shakes hands was put on.
    pub(super) fn count_upgrade(&self) {
        let marks = self.marks.get();
        self.marks.set(Marks { upgrades: marks.upgrades.wrapping_add(1), ..marks });
    }

    /// The stream is not plain from now on.
    pub(super) fn set_layered(&self) {
        self.marks.set(Marks { is_layered: true, ..self.marks.get() });
    }

    pub(super) fn forget_room(&self) {
        self.marks.set(Marks { has_room: false, ..self.marks.get() });
    }

    /// The peer took something.
    pub(super) fn note_taken(&self) {
        self.marks.set(Marks { has_taken: true, ..self.marks.get() });
    }

    /// Whether the peer took something since this was asked last.
    pub(super) fn has_taken(&self) -> bool {
        let marks = self.marks.get();
        self.marks.set(Marks { has_taken: false, ..marks });
        marks.has_taken
    }

    /// Which mark was crossed, with so much waiting. Between them nothing is said, so that a peer at the
    /// edge does not make it flutter.
    pub(super) fn crossed(&self, waiting: usize) -> Option<Mark> {
        let marks = self.marks.get();
        let crossed = match marks.is_full {
            false if waiting > HIGH => Mark::High,
            true if waiting <= LOW => Mark::Low,
            _ => return None,
        };
        self.marks.set(Marks { is_full: !marks.is_full, ..marks });
        Some(crossed)
    }
}

/// What the face is told of: to pause writing, or to resume.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    High,
    Low,
}

/// Where a connection keeps its producer.
pub(super) struct ProducerSlot {
    /// Absent while it is called.
    pub(super) producer: Option<Box<dyn Producer>>,
    producing: Producing,
    is_paused: bool,
}

/// What a producer is told.
#[derive(Clone, Copy)]
pub(super) enum Told {
    Resume,
    Pause,
}

impl ProducerSlot {
    pub(super) fn new(producer: Box<dyn Producer>, producing: Producing) -> ProducerSlot {
        ProducerSlot { producer: Some(producer), producing, is_paused: false }
    }

    /// What the producer has to be told, with so much waiting to be sent.
    pub(super) fn next(&mut self, waiting: usize) -> Option<Told> {
        match self.producing {
            Producing::Pull => (waiting == 0).then_some(Told::Resume),
            Producing::Push if waiting > HIGH && !self.is_paused => {
                self.is_paused = true;
                Some(Told::Pause)
            }
            Producing::Push if waiting <= LOW && self.is_paused => {
                self.is_paused = false;
                Some(Told::Resume)
            }
            Producing::Push => None,
        }
    }
}
