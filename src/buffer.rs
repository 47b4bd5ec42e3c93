//! Bytes on their way: a queue in one block of memory, and the pool that lends such blocks.
//!
//! # Theory
//! A [`Buffer`] is written at its end and read at its start. One of the pool's is initialised once, so
//! that sockets can read straight into it; where a buffer grows beyond that, its memory is touched by
//! what is written there and by nothing else. A connection borrows one from the [`Pool`] while it
//! holds bytes and gives it back when it is empty: an idle connection owns none. What goes out at once
//! never needs one: it passes through the [`Cork`].
//!
//! # Invariants
//! * `start <= end <= bytes.len()`; both are 0 when the buffer is empty.
//! * A buffer in the pool is empty and of exactly one of the two sizes.

use crate::recycler::Recycler;
use crate::slots::Key;
use std::cell::Cell;

/// A first-in first-out queue of bytes.
#[derive(Default)]
pub(crate) struct Buffer {
    /// Its length is what is initialised, its capacity what there is.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    #[inline(never)]
    fn boxed(size: usize) -> Box<Buffer> {
        Box::new(Buffer { bytes: vec![0; size], start: 0, end: 0 })
    }

    #[inline]
    pub(crate) fn append(&mut self, data: &[u8]) {
        self.make_room(data.len());
        let (over, beyond) = data.split_at(data.len().min(self.bytes.len() - self.end));
        self.bytes[self.end..self.end + over.len()].copy_from_slice(over);
        self.bytes.extend_from_slice(beyond);
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
        debug_assert!(count <= self.bytes.len(), "more than there is room for");
        (self.start, self.end) = (0, count);
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
        if self.bytes.capacity() - self.end >= count {
            return;
        }
        // Moving what is left to the front is worth it once at least half of the memory is behind it:
        // then each byte is moved at most once for each byte that went out.
        if self.start >= self.bytes.capacity() / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        self.bytes.reserve((self.end + count).saturating_sub(self.bytes.len()));
    }
}

/// The size of a buffer for answers and lines.
pub(crate) const SMALL: usize = 4 * 1024;
/// The size of a buffer for streams that move much.
pub(crate) const LARGE: usize = 64 * 1024;

/// Keeps empty buffers for the next connection that needs one; each a box, as connections hold them.
///
/// Saves nine tenths of an echo by a stream: 400 instructions, 5000 without, most of them to zero the memory.
pub(crate) struct Pool {
    small: Recycler<Box<Buffer>>,
    large: Recycler<Box<Buffer>>,
}

/// How many bytes of each size the pool keeps for later.
const KEPT: usize = 1024 * 1024;

impl Default for Pool {
    fn default() -> Pool {
        Pool { small: Recycler::new(KEPT / SMALL), large: Recycler::new(KEPT / LARGE) }
    }
}

impl Pool {
    #[inline]
    pub(crate) fn small(&self) -> Box<Buffer> {
        self.small.take().unwrap_or_else(|| Buffer::boxed(SMALL))
    }

    #[inline]
    pub(crate) fn large(&self) -> Box<Buffer> {
        self.large.take().unwrap_or_else(|| Buffer::boxed(LARGE))
    }

    /// Takes a buffer back, whatever it still holds; one that grew beyond the sizes is freed.
    #[inline]
    pub(crate) fn give(&self, mut buffer: Box<Buffer>) {
        (buffer.start, buffer.end) = (0, 0);
        let refused = match buffer.bytes.capacity() {
            // Of all that the pool lends none grows to this: all of it is initialised.
            SMALL => self.small.give(buffer),
            LARGE if buffer.bytes.len() == LARGE => self.large.give(buffer),
            _ => Some(buffer),
        };
        drop(refused);
    }
}

/// The one buffer in which whoever runs right now collects what it writes to its own connection.
///
/// # Invariants
/// * It is empty while it has no owner.
/// * It never grows: what it has no room for goes another way.
pub(crate) struct Cork {
    owner: Cell<Key>,
    /// Taken out to collect and for one send: code of the user may run meanwhile, and finds no room.
    bytes: Cell<Option<Corked>>,
}

/// In a box, so that to take it out is to look at one word, not at three.
#[allow(clippy::box_collection, reason = "allocated once, taken out twice a write")]
pub(crate) type Corked = Box<Vec<u8>>;

/// So many bytes are collected at once.
pub(crate) const CORKED: usize = 16 * 1024;

impl Cork {
    pub(crate) fn new() -> Cork {
        let bytes = Cell::new(Some(Box::new(Vec::with_capacity(CORKED))));
        Cork { owner: Cell::new(Key::NONE), bytes }
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

    /// Collects all of `data`, if there is room. False: there is none, or the bytes are being sent.
    #[inline]
    pub(crate) fn collect(&self, data: &[u8]) -> bool {
        let Some(mut bytes) = self.take() else { return false };
        let has_room = data.len() <= bytes.capacity() - bytes.len();
        if has_room {
            bytes.extend_from_slice(data);
        }
        self.put_back(bytes);
        has_room
    }

    /// Takes out what was collected, to be put back when it is sent, or to be given room again. `None`: it
    /// is being sent.
    #[inline]
    pub(crate) fn take(&self) -> Option<Corked> {
        self.bytes.take()
    }

    #[inline]
    pub(crate) fn put_back(&self, bytes: Corked) {
        // Nothing stands in for it: spares the drop of that.
        std::mem::forget(self.bytes.replace(Some(bytes)));
    }

    pub(crate) fn len(&self) -> usize {
        let bytes = self.take();
        let length = bytes.as_ref().map_or(0, |bytes| bytes.len());
        self.bytes.set(bytes);
        length
    }

    /// Forgets what was collected. What is being sent is emptied by whoever sends it.
    pub(crate) fn empty(&self) {
        if let Some(mut bytes) = self.take() {
            bytes.clear();
            self.put_back(bytes);
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
    fn memory_that_a_buffer_grows_by_is_not_written_before_it_is_needed() {
        let mut buffer = Buffer::boxed(SMALL);
        buffer.append(&[1; SMALL + 1]);
        assert_eq!(buffer.bytes.len(), SMALL + 1);
        assert!(buffer.bytes.capacity() >= 2 * SMALL, "it grows by more than it needs");
        buffer.consume(SMALL);
        buffer.append(&[2; SMALL]);
        buffer.append(&[3; SMALL]);
        let expected = [vec![1], vec![2; SMALL], vec![3; SMALL]].concat();
        assert!(buffer.as_slice() == expected);
    }

    #[test]
    fn a_cork_whose_bytes_are_being_sent_has_no_room_and_gets_them_back() {
        let cork = Cork::new();
        assert!(cork.collect(b"under way"));
        let mut bytes = cork.take().unwrap();
        assert!(!cork.collect(b"meanwhile"));
        assert_eq!((bytes.as_slice(), cork.len()), (&b"under way"[..], 0));
        cork.empty();
        bytes.clear();
        cork.put_back(bytes);
        assert!(cork.collect(&[0; CORKED]), "there is room again");
        assert!(!cork.collect(b"x"), "and no more than that");
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
        assert_eq!((pool.small.len(), pool.large.len()), (0, 0));
    }
}
