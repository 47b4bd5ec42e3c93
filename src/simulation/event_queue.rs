//! What will happen, in order of its time and then of its being planned.
//!
//! # Theory
//! A wheel of slots, an eighth of a millisecond each: what is planned is thrown into the slot of its
//! time, and sorted with the few others there when that is next. What is too far off for the wheel
//! waits in a heap. Entries are plain; what is the user's, or large, waits beside them, under a key.
//!
//! # Invariants
//! * `near` holds what lies in slot `reached` or before it, the earliest last; the wheel what lies
//!   less than its size after that; the heap anything later than `reached`.
//! * A bit of `full` is set exactly while its slot of the wheel holds something.

use super::udp::Datagram;
use crate::driver::Key;
use crate::failure::Place;
use crate::slots::Slots;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// One thing that happens at its time. Keys that went stale meanwhile make it nothing.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// The first segment that this socket sent reaches the other end.
    Arrive(Key),
    /// A connecting socket's request, sent so many times before, reaches the listener's host.
    Request(Key, u32),
    /// The answer that this accepted socket's host sent so many times before reaches the client.
    Answer(Key, u32),
    /// Nobody listens where this socket connects to.
    Refuse(Key),
    /// The other end knows nothing of this socket's connection.
    Reset(Key),
    /// A socket shall be named ready once more.
    Rise(Key),
    /// A listener shall be named ready once more.
    RiseListener(Key),
    /// A socket for datagrams shall be named ready once more.
    RiseUdp(Key),
    /// This socket's datagram came to a port that nobody has.
    DatagramRefused(Key),
    /// A request that nobody answers ends.
    GiveUp(Key),
    /// A socket looks whether its silent peer is there; so often it was not.
    Probe(Key, u32),
    /// What waits under this key of the queue's own.
    Job(Key),
}

/// What does not fit into an event.
pub(super) enum Job {
    /// A datagram arrives.
    Datagram(Datagram),
    /// Work that was offloaded, or a resolver's answer.
    Work(Box<dyn FnOnce()>),
    /// A scripted step, and where it was planned.
    Call(Box<dyn FnOnce()>, Place),
}

pub(super) struct EventQueue {
    near: Vec<Entry>,
    reached: u64,
    wheel: Box<[Vec<Entry>]>,
    full: [u64; SLOTS / 64],
    far: BinaryHeap<Reverse<Entry>>,
    jobs: Slots<Job>,
    sequence: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The time, and below it the place in the order of planning.
    order: u128,
    event: Event,
}

/// A power of two, and of whole words.
const SLOTS: usize = 256;
/// A slot is two to the power of so many nanoseconds long.
const WIDTH: u32 = 17;

impl Default for EventQueue {
    fn default() -> EventQueue {
        EventQueue {
            near: Vec::new(),
            reached: 0,
            wheel: (0..SLOTS).map(|_| Vec::new()).collect(),
            full: [0; SLOTS / 64],
            far: BinaryHeap::new(),
            jobs: Slots::new(),
            sequence: 0,
        }
    }
}

impl EventQueue {
    #[inline]
    pub(super) fn push(&mut self, time: u64, event: Event) {
        let order = u128::from(time) << 64 | u128::from(self.sequence);
        self.sequence += 1;
        let (entry, slot) = (Entry { order, event }, time >> WIDTH);
        if slot <= self.reached {
            self.push_near(entry);
        } else if slot - self.reached < SLOTS as u64 {
            let place = slot as usize % SLOTS;
            self.wheel[place].push(entry);
            self.full[place / 64] |= 1 << (place % 64);
        } else {
            self.far.push(Reverse(entry));
        }
    }

    fn push_near(&mut self, entry: Entry) {
        let place = self.near.partition_point(|other| other.order > entry.order);
        self.near.insert(place, entry);
    }

    pub(super) fn push_job(&mut self, time: u64, job: Job) {
        let key = self.jobs.insert_with(|_| job);
        self.push(time, Event::Job(key));
    }

    pub(super) fn take_job(&mut self, key: Key) -> Option<Job> {
        self.jobs.remove(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.near.is_empty() && self.full == [0; SLOTS / 64] && self.far.is_empty()
    }

    #[inline]
    pub(super) fn next_time(&mut self) -> Option<u64> {
        if self.near.is_empty() {
            self.turn_wheel();
        }
        Some(self.near.last()?.time())
    }

    #[inline]
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Event> {
        if self.near.is_empty() {
            self.turn_wheel();
        }
        self.near.pop_if(|entry| entry.time() <= now).map(|entry| entry.event)
    }

    /// Goes on to the next slot that holds something; nothing is near.
    fn turn_wheel(&mut self) {
        let next_far = self.far.peek().map(|entry| entry.0.slot());
        let Some(next) = self.next_full().into_iter().chain(next_far).min() else { return };
        self.reached = next;
        let place = next as usize % SLOTS;
        self.full[place / 64] &= !(1 << (place % 64));
        std::mem::swap(&mut self.near, &mut self.wheel[place]);
        while self.far.peek().is_some_and(|entry| entry.0.slot() == next) {
            self.near.extend(self.far.pop().map(|entry| entry.0));
        }
        if self.near.len() > 1 {
            self.near.sort_unstable_by_key(|entry| Reverse(entry.order));
        }
    }

    /// The next slot of the wheel that holds something.
    #[inline]
    fn next_full(&self) -> Option<u64> {
        let start = (self.reached as usize + 1) % SLOTS;
        let mut word = start / 64;
        let mut bits = self.full[word] & (u64::MAX << (start % 64));
        // The first word twice: at last for its bits below the start.
        for _ in 0..self.full.len() {
            if bits != 0 {
                break;
            }
            word = (word + 1) % self.full.len();
            bits = self.full[word];
        }
        let place = word * 64 + bits.trailing_zeros() as usize;
        let ahead = place.wrapping_sub(start) % SLOTS;
        (bits != 0).then(|| self.reached + 1 + ahead as u64)
    }
}

impl Entry {
    #[inline]
    fn time(&self) -> u64 {
        (self.order >> 64) as u64
    }

    fn slot(&self) -> u64 {
        self.time() >> WIDTH
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        self.order.cmp(&other.order)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn events_come_in_order_of_time_and_then_of_planning() {
        let (mut queue, mut random) = (EventQueue::default(), Random::new(1));
        let mut wanted: Vec<(u64, u32)> = Vec::new();
        let mut now = 0;
        for number in 0..4_000 {
            // Soon, at once, at the same time, beyond the wheel: all of them.
            let most = [1, 1 << 10, 1 << 20, 1 << 24, 1 << 28][random.below(5) as usize];
            let time = now + random.below(most);
            queue.push(time, Event::Probe(Key::NONE, number));
            wanted.push((time, number));
            if random.below(2) == 0 {
                let first = *wanted.iter().min().expect("one was pushed");
                assert_eq!(queue.next_time(), Some(first.0));
                assert_eq!(number_of(queue.pop_due(first.0)), Some(first.1));
                wanted.retain(|it| *it != first);
                // Time may have passed all that was looked at.
                now = first.0 + random.below(3) * random.below(1 << 18);
                now = now.min(wanted.iter().min().map_or(now, |next| next.0));
            }
        }
        wanted.sort_unstable();
        let rest = std::iter::from_fn(|| number_of(queue.pop_due(u64::MAX)));
        assert!(rest.eq(wanted.into_iter().map(|(_, number)| number)));
        assert!(queue.is_empty());
    }

    fn number_of(event: Option<Event>) -> Option<u32> {
        match event? {
            Event::Probe(_, number) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut queue = EventQueue::default();
        queue.push(7, Event::Rise(Key::NONE));
        assert!(queue.pop_due(6).is_none());
        assert!(queue.pop_due(7).is_some());
        assert_eq!(queue.next_time(), None);
    }
}
