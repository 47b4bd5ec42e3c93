//! What will happen, in order of its time and then of its being planned.
//!
//! A heap of plain entries, four children to a node: an entry is half a cache line, so that the four
//! lie in two. What is the user's, or large, waits beside the heap, under a key.

use super::Simulation;
use super::datagram::Letter;
use crate::driver::Key;
use crate::slots::Slots;

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
    RiseLetterbox(Key),
    /// This socket's datagram came to a port that nobody has.
    LetterRefused(Key),
    /// A request that nobody answers ends.
    GiveUp(Key),
    /// A socket looks whether its silent peer is there; so often it was not.
    Probe(Key, u32),
    /// What waits under this key of the agenda's own.
    Errand(Key),
}

/// What does not fit into an event.
pub(super) enum Errand {
    /// A datagram arrives.
    Letter(Letter),
    /// Work that was offloaded, or a resolver's answer.
    Work(Box<dyn FnOnce()>),
    /// A scripted step.
    Call(Box<dyn FnOnce(&Simulation)>),
}

#[derive(Default)]
pub(super) struct Agenda {
    heap: Vec<Entry>,
    errands: Slots<Errand>,
    sequence: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The time, and below it the place in the order of planning.
    order: u128,
    event: Event,
}

const WIDTH: usize = 4;

impl Agenda {
    #[inline]
    pub(super) fn push(&mut self, time: u64, event: Event) {
        let order = u128::from(time) << 64 | u128::from(self.sequence);
        self.sequence += 1;
        let place = self.heap.len();
        let entry = Entry { order, event };
        self.heap.push(entry);
        self.rise(place, entry);
    }

    pub(super) fn push_errand(&mut self, time: u64, errand: Errand) {
        let key = self.errands.insert_with(|_| errand);
        self.push(time, Event::Errand(key));
    }

    pub(super) fn take_errand(&mut self, key: Key) -> Option<Errand> {
        self.errands.remove(key)
    }

    #[inline]
    pub(super) fn next_time(&self) -> Option<u64> {
        Some((self.heap.first()?.order >> 64) as u64)
    }

    #[inline]
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Event> {
        if self.next_time()? > now {
            return None;
        }
        let last = self.heap.pop()?;
        let Some(first) = self.heap.first() else { return Some(last.event) };
        let event = first.event;
        self.sink(last);
        Some(event)
    }

    fn rise(&mut self, mut place: usize, entry: Entry) {
        while place > 0 {
            let parent = (place - 1) / WIDTH;
            if self.heap[parent].order < entry.order {
                break;
            }
            self.heap[place] = self.heap[parent];
            place = parent;
        }
        self.heap[place] = entry;
    }

    /// Finds a place for an entry below the top, whose own is gone.
    #[inline]
    fn sink(&mut self, entry: Entry) {
        let mut place = 0;
        while let Some((child, least)) = self.least_child(place) {
            if entry.order < least.order {
                break;
            }
            self.heap[place] = least;
            place = child;
        }
        self.heap[place] = entry;
    }

    #[inline(always)]
    fn least_child(&self, place: usize) -> Option<(usize, Entry)> {
        let first = place * WIDTH + 1;
        if let Some(four) = self.heap.get(first..first + WIDTH) {
            let low = usize::from(four[1].order < four[0].order);
            let high = 2 + usize::from(four[3].order < four[2].order);
            let least = if four[high].order < four[low].order { high } else { low };
            return Some((first + least, four[least]));
        }
        let children = self.heap.get(first..)?.iter().copied().enumerate();
        let (number, least) = children.min_by_key(|(_, entry)| entry.order)?;
        Some((first + number, least))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn events_come_in_order_of_time_and_then_of_planning() {
        let (mut agenda, mut random) = (Agenda::default(), Random::new(1));
        let mut wanted: Vec<(u64, u32)> = Vec::new();
        for number in 0..2_000 {
            let time = random.below(200);
            agenda.push(time, Event::Probe(Key::NONE, number));
            wanted.push((time, number));
            if number % 3 == 0 {
                wanted.sort_unstable();
                assert_eq!(number_of(agenda.pop_due(u64::MAX)), Some(wanted.remove(0).1));
            }
        }
        wanted.sort_unstable();
        let rest = std::iter::from_fn(|| number_of(agenda.pop_due(u64::MAX)));
        assert!(rest.eq(wanted.into_iter().map(|(_, number)| number)));
    }

    fn number_of(event: Option<Event>) -> Option<u32> {
        match event? {
            Event::Probe(_, number) => Some(number),
            _ => None,
        }
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut agenda = Agenda::default();
        agenda.push(7, Event::Rise(Key::NONE));
        assert!(agenda.pop_due(6).is_none());
        assert!(agenda.pop_due(7).is_some());
        assert_eq!(agenda.next_time(), None);
    }
}
