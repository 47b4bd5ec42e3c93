//! What is between the two ends of a connection: segments under way one way, bytes to be read at its end.
//!
//! # Theory
//! Bytes are copied once when they are sent, to the end of the receiver's [`Inbox`], and once when
//! they are read. What flies is their number; when that arrives, so many more of the inbox' bytes may
//! be read. An inbox whose sender died keeps what never arrived until it goes itself.

use std::collections::VecDeque;

/// What one end sent and the other has not read.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) in_flight: Flights,
    /// Nothing arrives before this.
    pub(super) last_arrival: u64,
    /// Bytes under way or unread.
    pub(super) taken: usize,
    /// Bytes that were read, but the way back is cut: this end does not know.
    pub(super) withheld: usize,
    /// How often the first segment was sent in vain.
    pub(super) tries: u32,
    /// A write was refused or cut: an edge follows when there is room.
    pub(super) wants_room: bool,
    pub(super) window: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Flight {
    pub(super) left: u64,
    pub(super) arrival: u64,
    pub(super) segment: Segment,
}

/// What travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment {
    /// The connection is open at both ends.
    Ack,
    /// So many bytes, which lie in the receiver's inbox already.
    Data(usize),
    End,
    Reset,
}

impl Pipe {
    /// A segment leaves; when to look for its arrival, if that of none before it is waited for.
    #[inline]
    pub(super) fn depart(&mut self, left: u64, arrival: u64, segment: Segment) -> Option<u64> {
        let arrival = arrival.max(self.last_arrival);
        self.last_arrival = arrival;
        let is_first = self.in_flight.is_empty();
        self.in_flight.push(Flight { left, arrival, segment });
        is_first.then_some(arrival)
    }

    pub(super) fn room(&self) -> usize {
        self.window.saturating_sub(self.taken)
    }

    /// The kernel calls a socket writable from a third of its buffer on.
    pub(super) fn is_roomy(&self) -> bool {
        self.room() * 3 >= self.window
    }
}

/// Flights in order of departure; a single one needs no memory of its own.
#[derive(Default)]
pub(super) struct Flights {
    first: Option<Flight>,
    /// Empty while there is no first.
    others: VecDeque<Flight>,
}

impl Flights {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(super) fn first(&self) -> Option<&Flight> {
        self.first.as_ref()
    }

    #[inline]
    pub(super) fn push(&mut self, flight: Flight) {
        match self.first {
            None => self.first = Some(flight),
            Some(_) => self.others.push_back(flight),
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Flight> {
        let first = self.first.take();
        if !self.others.is_empty() {
            self.first = self.others.pop_front();
        }
        first
    }
}

/// Bytes that were sent to a socket: first those that arrived, then those under way.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Those before were read.
    start: usize,
    /// So many may be read.
    arrived: usize,
}

/// An empty inbox keeps no more memory than this.
const KEPT: usize = 16 * 1024;

impl Inbox {
    /// Bytes are on their way.
    #[inline]
    pub(super) fn expect(&mut self, data: &[u8]) {
        // Each byte is moved at most once for each byte that was read.
        if self.start >= KEPT && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    /// The next of those under way are there; returns them.
    #[inline]
    pub(super) fn arrive(&mut self, count: usize) -> &[u8] {
        let start = self.start + self.arrived;
        let end = (start + count).min(self.bytes.len());
        self.arrived = end - self.start;
        &self.bytes[start..end]
    }

    #[inline]
    pub(super) fn unread(&self) -> usize {
        self.arrived
    }

    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.arrived.min(buffer.len());
        buffer[..count].copy_from_slice(&self.bytes[self.start..self.start + count]);
        self.start += count;
        self.arrived -= count;
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_arrived_can_be_read_and_in_order() {
        let mut inbox = Inbox::default();
        inbox.expect(b"hello");
        inbox.expect(b", world");
        assert_eq!(inbox.arrive(5), b"hello");
        let mut buffer = [0; 64];
        assert_eq!(inbox.read(&mut buffer[..2]), 2);
        assert_eq!((inbox.read(&mut buffer[2..]), inbox.read(&mut buffer[5..])), (3, 0));
        assert_eq!(inbox.arrive(7), b", world");
        assert_eq!(inbox.read(&mut buffer[5..]), 7);
        assert_eq!(&buffer[..12], b"hello, world");
    }

    #[test]
    fn a_stream_that_never_runs_dry_does_not_grow_for_ever() {
        let mut inbox = Inbox::default();
        let mut buffer = [0; 1000];
        inbox.expect(&[7; 500]);
        for _ in 0..1000 {
            inbox.expect(&[7; 1000]);
            inbox.arrive(1000);
            assert_eq!(inbox.read(&mut buffer), 1000);
        }
        assert!(inbox.bytes.len() < 3 * KEPT, "{}", inbox.bytes.len());
    }

    #[test]
    fn flights_land_in_order_of_departure() {
        let mut flights = Flights::default();
        let flight = |left| Flight { left, arrival: 0, segment: Segment::End };
        (0..3).for_each(|left| flights.push(flight(left)));
        assert_eq!(flights.pop().map(|flight| flight.left), Some(0));
        flights.push(flight(3));
        let rest: Vec<u64> = std::iter::from_fn(|| flights.pop()).map(|it| it.left).collect();
        assert_eq!(rest, [1, 2, 3]);
        assert!(flights.is_empty());
    }
}
