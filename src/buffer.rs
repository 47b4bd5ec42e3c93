//! Bytes on their way: a queue in one block of memory, and the pool that lends such blocks.
//!
//! # Theory
//! A [`Buffer`] is written at its end and read at its start. All of its memory is initialised once,
//! so that sockets can read straight into it. A connection borrows one from the [`Pool`] while it
//! holds bytes and gives it back when it is empty: an idle connection owns none. What goes out at once
//! never needs one: it passes through the [`Cork`].
//!
//! # Invariants
//! * `start <= end <= bytes.len()`; both are 0 when the buffer is empty.
//! * A buffer in the pool is empty and of exactly one of the two sizes.

use crate::slots::Key;
use std::cell::{Cell, RefCell};

/// A first-in first-out queue of bytes.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn with_size(size: usize) -> Buffer {
        Buffer { bytes: vec![0; size], start: 0, end: 0 }
    }

    #[inline]
    pub(crate) fn append(&mut self, data: &[u8]) {
        self.make_room(data.len());
        self.bytes[self.end..self.end + data.len()].copy_from_slice(data);
        self.end += data.len();
    }

    /// Forgets the first `count` bytes.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// All the memory of an empty buffer, to read into; [`Buffer::fill`] says how much of it.
    #[inline]
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `count` bytes of the memory are the buffer's content now.
    #[inline]
    pub(crate) fn fill(&mut self, count: usize) {
        (self.start, self.end) = (0, count.min(self.bytes.len()));
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn make_room(&mut self, count: usize) {
        if self.bytes.len() - self.end >= count {
            return;
        }
        // Moving what is left to the front is worth it once at least half of the memory is behind it:
        // then each byte is moved at most once for each byte that went out.
        if self.start >= self.bytes.len() / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        let needed = self.end + count;
        if needed > self.bytes.len() {
            self.bytes.resize(needed.next_power_of_two(), 0);
        }
    }
}

/// The size of a buffer for answers and lines.
pub(crate) const SMALL: usize = 4 * 1024;
/// The size of a buffer for streams that move much.
pub(crate) const LARGE: usize = 64 * 1024;

/// Keeps empty buffers for the next connection that needs one.
#[derive(Default)]
pub(crate) struct Pool {
    small: Shelf<SMALL>,
    large: Shelf<LARGE>,
}

/// Empty buffers of one size; each a box, as connections hold them.
#[derive(Default)]
struct Shelf<const SIZE: usize> {
    /// The one that came back last, if it is not lent again.
    last: Cell<Option<Box<Buffer>>>,
    /// Borrowed for one push or pop.
    #[expect(clippy::vec_box, reason = "lent and given back as boxes")]
    kept: RefCell<Vec<Box<Buffer>>>,
}

/// How many bytes of each size the pool keeps for later.
const KEPT: usize = 1024 * 1024;

impl Pool {
    #[inline]
    pub(crate) fn small(&self) -> Box<Buffer> {
        self.small.take()
    }

    #[inline]
    pub(crate) fn large(&self) -> Box<Buffer> {
        self.large.take()
    }

    /// Takes a buffer back, whatever it still holds; one that grew beyond the sizes is freed.
    #[inline(always)]
    pub(crate) fn give(&self, mut buffer: Box<Buffer>) {
        (buffer.start, buffer.end) = (0, 0);
        match buffer.bytes.len() {
            SMALL => self.small.put(buffer),
            LARGE => self.large.put(buffer),
            _ => {}
        }
    }
}

impl<const SIZE: usize> Shelf<SIZE> {
    #[inline(always)]
    fn take(&self) -> Box<Buffer> {
        self.last.take().unwrap_or_else(|| self.take_kept())
    }

    #[cold]
    fn take_kept(&self) -> Box<Buffer> {
        let kept = self.kept.borrow_mut().pop();
        kept.unwrap_or_else(|| Box::new(Buffer::with_size(SIZE)))
    }

    #[inline(always)]
    fn put(&self, buffer: Box<Buffer>) {
        if let Some(former) = self.last.replace(Some(buffer)) {
            self.keep(former);
        }
    }

    #[cold]
    fn keep(&self, buffer: Box<Buffer>) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() < KEPT / SIZE {
            kept.push(buffer);
        }
    }
}

/// The one buffer in which whoever runs right now collects what it writes to its own connection.
///
/// # Invariants
/// * It is empty while it has no owner.
pub(crate) struct Cork {
    owner: Cell<Key>,
    /// Borrowed to append, or for one send.
    pub(crate) bytes: RefCell<Vec<u8>>,
}

impl Cork {
    pub(crate) fn new() -> Cork {
        Cork { owner: Cell::new(Key::NONE), bytes: RefCell::default() }
    }

    #[inline]
    pub(crate) fn owner(&self) -> Key {
        self.owner.get()
    }

    #[inline]
    pub(crate) fn set_owner(&self, owner: Key) {
        self.owner.set(owner);
    }

    /// Forgets what was collected, and for whom.
    #[inline]
    pub(crate) fn release(&self) {
        self.owner.set(Key::NONE);
        self.empty();
    }

    /// Forgets what was collected.
    pub(crate) fn empty(&self) {
        // If it is being sent, whoever sends empties it.
        if let Ok(mut bytes) = self.bytes.try_borrow_mut() {
            bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_however_they_went_in() {
        let (mut buffer, mut expected, mut got) = (Buffer::default(), Vec::new(), Vec::new());
        for round in 0..2000usize {
            let data: Vec<u8> = (0..round % 97).map(|n| (n * round) as u8).collect();
            buffer.append(&data);
            expected.extend_from_slice(&data);
            let count = (round * 31 % 101).min(buffer.len());
            got.extend_from_slice(&buffer.as_slice()[..count]);
            buffer.consume(count);
        }
        got.extend_from_slice(buffer.as_slice());
        assert_eq!(got, expected);
    }

    #[test]
    fn a_queue_that_never_empties_does_not_grow_without_end() {
        let mut buffer = Buffer::default();
        buffer.append(&[1; 10]);
        for _ in 0..100_000 {
            buffer.append(&[2; 10]);
            buffer.consume(10);
        }
        assert!(buffer.bytes.len() <= 64, "{} bytes for 10", buffer.bytes.len());
    }

    #[test]
    fn a_buffer_comes_back_from_the_pool_empty() {
        let pool = Pool::default();
        let mut buffer = pool.small();
        buffer.append(b"left over");
        pool.give(buffer);
        assert!(pool.small().is_empty());
    }

    #[test]
    fn a_buffer_that_grew_is_not_kept() {
        let pool = Pool::default();
        let mut buffer = pool.small();
        buffer.append(&[0; SMALL + 1]);
        pool.give(buffer);
        assert!(pool.small.last.take().is_none() && pool.large.last.take().is_none());
    }
}
