//! What will happen, in order of its time and then of its being planned.

use super::Simulation;
use super::datagram::Letter;
use crate::driver::Key;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// One thing that happens at its time. Keys that went stale meanwhile make it nothing.
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
    RiseLetterbox(Key),
    /// A datagram arrives.
    Letter(Box<Letter>),
    /// This socket's datagram came to a port that nobody has.
    LetterRefused(Key),
    /// A request that nobody answers ends.
    GiveUp(Key),
    /// A socket looks whether its silent peer is there; so often it was not.
    Probe(Key, u32),
    /// Work that was offloaded, or a resolver's answer.
    Work(Box<dyn FnOnce()>),
    /// A scripted step.
    Call(Box<dyn FnOnce(&Simulation)>),
}

#[derive(Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
}

struct Entry {
    time: u64,
    sequence: u64,
    event: Event,
}

impl Agenda {
    pub(super) fn push(&mut self, time: u64, event: Event) {
        let sequence = self.sequence;
        self.sequence += 1;
        self.heap.push(Reverse(Entry { time, sequence, event }));
    }

    pub(super) fn next_time(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.0.time)
    }

    pub(super) fn pop_due(&mut self, now: u64) -> Option<Event> {
        if self.next_time()? > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.0.event)
    }
}

impl Entry {
    fn key(&self) -> (u64, u64) {
        (self.time, self.sequence)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key() == other.key()
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
        self.key().cmp(&other.key())
    }
}
