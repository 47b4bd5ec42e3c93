//! Limits on how fast bytes pass.
//!
//! # Theory
//! A bucket fills at the rate allowed, up to a tenth of a second's worth; what passes is taken out of
//! it. A connection that finds too little in it, or others who wait, takes its place behind them. When
//! the bucket is full it is shared out, from the front on: to each an equal part, but a piece worth a
//! system call at least, so that where there are too many for one filling they have it in rounds. What
//! was given to somebody who had no use for it goes back with the next sharing.
//!
//! # Invariants
//! * A seat is in the queue at most once, and only while it has no allowance.
//! * While somebody is in the queue, the timer of the first one is set, on that one's reactor.

use super::Policy;
use super::layer::{Direction, Watch, put_under};
use crate::address::Address;
use crate::clock::DelayedCall;
use crate::driver::Readiness;
use crate::failure::Result;
use crate::transport::Transport;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Lets so many bytes a second pass, over all the connections that it is put under.
///
/// ```
/// use ropewalk::Reactor;
/// use ropewalk::policies::{self, Throttle};
/// use std::num::NonZeroU32;
///
/// let reactor = Reactor::new()?;
/// let slow = Throttle::new().writing(NonZeroU32::new(10_000).unwrap());
/// reactor.serve("127.0.0.1:0", policies::handler(slow, async |_stream| Ok(())))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Default)]
#[doc(alias = "ThrottlingFactory")]
pub struct Throttle {
    reading: Option<Rc<Bucket>>,
    writing: Option<Rc<Bucket>>,
}

impl Throttle {
    /// No limit yet.
    pub fn new() -> Throttle {
        Throttle::default()
    }

    /// So many bytes a second are read; the peers' own systems hold the others back.
    #[must_use]
    pub fn reading(mut self, bytes_per_second: NonZeroU32) -> Throttle {
        self.reading = Some(Rc::new(Bucket::new(bytes_per_second)));
        self
    }

    /// So many bytes a second are sent; the others wait, and count for `pause_writing`.
    #[must_use]
    pub fn writing(mut self, bytes_per_second: NonZeroU32) -> Throttle {
        self.writing = Some(Rc::new(Bucket::new(bytes_per_second)));
        self
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |bucket: &Option<Rc<Bucket>>| bucket.as_ref().map(|bucket| bucket.rate);
        f.debug_struct("Throttle")
            .field("reading", &rate(&self.reading))
            .field("writing", &rate(&self.writing))
            .finish()
    }
}

impl Policy for Throttle {
    type Pass = ();

    fn admit(&self, _: &Address) -> Option<()> {
        Some(())
    }

    fn apply(&self, transport: &Transport) -> Result {
        let valve = |bucket: &Option<Rc<Bucket>>, opens| {
            let bucket = bucket.clone()?;
            let (transport, allowance) = (transport.clone(), Cell::new(0));
            let seat = Seat { transport, opens, allowance, is_waiting: Cell::new(false) };
            Some(Valve { bucket, seat: Rc::new(seat) })
        };
        let reading = valve(&self.reading, Readiness::READABLE);
        let writing = valve(&self.writing, Readiness::WRITABLE);
        put_under(transport, Throttled { reading, writing })
    }
}

struct Throttled {
    reading: Option<Valve>,
    writing: Option<Valve>,
}

impl Throttled {
    fn valve(&self, direction: Direction) -> Option<&Valve> {
        match direction {
            Direction::Read => self.reading.as_ref(),
            Direction::Write => self.writing.as_ref(),
        }
    }
}

impl Watch for Throttled {
    fn allow(&mut self, direction: Direction) -> usize {
        self.valve(direction).map_or(usize::MAX, Valve::allow)
    }

    fn hold(&mut self, direction: Direction) {
        if let Some(valve) = self.valve(direction) {
            valve.bucket.queue_up(&valve.seat);
        }
    }

    fn passed(&mut self, direction: Direction, bytes: &[u8]) {
        if let Some(valve) = self.valve(direction) {
            valve.passed(bytes.len());
        }
    }
}

/// One direction of a connection at its bucket.
struct Valve {
    bucket: Rc<Bucket>,
    seat: Rc<Seat>,
}

/// Who waits at a bucket.
struct Seat {
    /// A circle until the connection ends, which drops its valves.
    transport: Transport,
    /// What the connection may do again when it has an allowance.
    opens: Readiness,
    /// So many bytes were taken out of the bucket for it.
    allowance: Cell<usize>,
    is_waiting: Cell<bool>,
}

impl Valve {
    fn allow(&self) -> usize {
        match self.seat.allowance.get() {
            0 if self.bucket.is_waited_for() => 0,
            0 => self.bucket.fill(self.seat.transport.reactor().now()),
            allowance => allowance,
        }
    }

    fn passed(&self, bytes: usize) {
        let allowance = self.seat.allowance.take();
        self.bucket.give_back(allowance);
        self.bucket.take(bytes);
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.bucket.leave(&self.seat);
    }
}

struct Bucket {
    /// Bytes a second.
    rate: f64,
    /// How much it holds at most: never less than a byte.
    capacity: f64,
    level: Cell<Level>,
    /// Borrowed for one change.
    seats: RefCell<Seats>,
    /// Shares the bucket out when it is full.
    sharing: Cell<Option<DelayedCall>>,
}

#[derive(Clone, Copy)]
struct Level {
    bytes: f64,
    /// When that was right; never before the first look.
    seen: Option<Instant>,
}

#[derive(Default)]
struct Seats {
    /// Who waits, in order.
    queue: VecDeque<Rc<Seat>>,
    /// Who got an allowance when the bucket was shared out last.
    served: Vec<Rc<Seat>>,
}

/// A piece worth a system call, where the rate allows for it.
const PIECE: f64 = 1500.0;

impl Bucket {
    fn new(rate: NonZeroU32) -> Bucket {
        let rate = f64::from(rate.get());
        let capacity = (rate / 10.0).max(1.0);
        let level = Cell::new(Level { bytes: capacity, seen: None });
        Bucket { rate, capacity, level, seats: RefCell::default(), sharing: Cell::default() }
    }

    /// Whole bytes that may pass now: none while the bucket is not half full, so that bytes pass in
    /// pieces worth a system call.
    fn fill(&self, now: Instant) -> usize {
        let Level { bytes, seen } = self.level.get();
        let gained = now.saturating_duration_since(seen.unwrap_or(now)).as_secs_f64() * self.rate;
        let bytes = (bytes + gained).min(self.capacity);
        self.level.set(Level { bytes, seen: Some(now) });
        if bytes < self.enough() { 0 } else { bytes as usize }
    }

    fn enough(&self) -> f64 {
        (self.capacity / 2.0).max(1.0)
    }

    fn take(&self, bytes: usize) {
        self.add(-(bytes as f64));
    }

    fn give_back(&self, bytes: usize) {
        self.add(bytes as f64);
    }

    fn add(&self, more: f64) {
        let level = self.level.get();
        self.level.set(Level { bytes: level.bytes + more, ..level });
    }

    /// How long until it is full, and a moment more: rounded down, the time would come too early.
    fn delay(&self) -> Duration {
        let missing = (self.capacity - self.level.get().bytes).max(0.0);
        Duration::from_secs_f64(missing / self.rate) + Duration::from_nanos(1)
    }

    fn is_waited_for(&self) -> bool {
        !self.seats.borrow().queue.is_empty()
    }

    fn queue_up(self: &Rc<Self>, seat: &Rc<Seat>) {
        if seat.allowance.get() == 0 && !seat.is_waiting.replace(true) {
            self.seats.borrow_mut().queue.push_back(seat.clone());
            self.set_timer();
        }
    }

    /// Gives up a place in the queue, or what was given.
    fn leave(self: &Rc<Self>, seat: &Rc<Seat>) {
        self.give_back(seat.allowance.take());
        self.seats.borrow_mut().served.retain(|served| !Rc::ptr_eq(served, seat));
        if !seat.is_waiting.replace(false) {
            return;
        }
        self.seats.borrow_mut().queue.retain(|waiting| !Rc::ptr_eq(waiting, seat));
        // It may have been this one's reactor that the timer was set on, and that is ending.
        if let Some(sharing) = self.sharing.take() {
            // It may have been called already, or dropped with its reactor.
            let _ = sharing.cancel();
        }
        self.set_timer();
    }

    fn set_timer(self: &Rc<Self>) {
        let sharing = self.sharing.take();
        if sharing.as_ref().is_some_and(DelayedCall::is_active) {
            return self.sharing.set(sharing);
        }
        let first = self.seats.borrow().queue.front().cloned();
        let Some(first) = first else { return };
        let (bucket, reactor) = (Rc::downgrade(self), first.transport.reactor());
        let share = move || {
            if let Some(bucket) = bucket.upgrade() {
                bucket.share_out(first.transport.reactor().now());
            }
        };
        self.sharing.set(Some(reactor.call_later(self.delay(), share)));
    }

    fn share_out(self: &Rc<Self>, now: Instant) {
        let served = std::mem::take(&mut self.seats.borrow_mut().served);
        for seat in served {
            self.give_back(seat.allowance.take());
        }
        self.fill(now);
        while let Some(seat) = self.next_to_serve() {
            seat.transport.retry_io(seat.opens);
            self.seats.borrow_mut().served.push(seat);
        }
        self.set_timer();
    }

    /// Takes the first one out of the queue, if there is enough for it, and gives it its part.
    fn next_to_serve(&self) -> Option<Rc<Seat>> {
        let queue = &mut self.seats.borrow_mut().queue;
        let level = self.level.get().bytes;
        let part = (level / queue.len() as f64).max(PIECE.min(self.enough()));
        let part = part.min(level).floor();
        if part < PIECE.min(self.enough()).floor() {
            return None;
        }
        let seat = queue.pop_front()?;
        seat.is_waiting.set(false);
        seat.allowance.set(part as usize);
        self.take(part as usize);
        Some(seat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_its_rate_pass_and_no_more() {
        let bucket = Bucket::new(NonZeroU32::new(1000).unwrap());
        let mut now = Instant::now();
        let mut passed = 0;
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            let allowed = bucket.fill(now);
            bucket.take(allowed);
            passed += allowed;
        }
        assert!((9_900..=10_100).contains(&passed), "{passed} in ten seconds");
    }

    #[test]
    fn a_bucket_is_full_after_the_delay_that_it_names() {
        let bucket = Bucket::new(NonZeroU32::new(7).unwrap());
        let start = Instant::now();
        assert_eq!(bucket.fill(start), 1);
        bucket.take(1);
        assert_eq!(bucket.fill(start), 0);
        assert_eq!(bucket.fill(start + bucket.delay() + Duration::from_nanos(2)), 1);
    }
}
