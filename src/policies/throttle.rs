//! Limits on how fast bytes pass.
//!
//! A bucket fills at the rate allowed, up to a tenth of a second's worth; what passes is taken out of
//! it. A connection that finds too little in it is stirred when there will be more.

use super::Policy;
use super::layer::{Direction, Watch, put_under};
use crate::address::Address;
use crate::clock::DelayedCall;
use crate::driver::Readiness;
use crate::failure::Result;
use crate::transport::Transport;
use std::cell::Cell;
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
/// reactor.serve_tcp("127.0.0.1:0", policies::handler(slow, async |_stream| Ok(())))?;
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
        let valve = |bucket: &Option<Rc<Bucket>>| {
            bucket.clone().map(|bucket| Valve { bucket, opening: None })
        };
        put_under(
            transport,
            Throttled {
                reading: valve(&self.reading),
                writing: valve(&self.writing),
                transport: transport.clone(),
            },
        )
    }
}

struct Throttled {
    reading: Option<Valve>,
    writing: Option<Valve>,
    /// A circle until the connection ends, which drops this.
    transport: Transport,
}

impl Throttled {
    fn valve(&mut self, direction: Direction) -> Option<&mut Valve> {
        match direction {
            Direction::Read => self.reading.as_mut(),
            Direction::Write => self.writing.as_mut(),
        }
    }
}

impl Watch for Throttled {
    fn allow(&mut self, direction: Direction) -> usize {
        let now = self.transport.reactor().now();
        self.valve(direction).map_or(usize::MAX, |valve| valve.bucket.fill(now))
    }

    fn hold(&mut self, direction: Direction) {
        let transport = self.transport.clone();
        if let Some(valve) = self.valve(direction) {
            valve.hold(direction, transport);
        }
    }

    fn passed(&mut self, direction: Direction, bytes: &[u8]) {
        if let Some(valve) = self.valve(direction) {
            valve.bucket.take(bytes.len());
        }
    }
}

struct Valve {
    bucket: Rc<Bucket>,
    /// Stirs the connection when the bucket has something for it.
    opening: Option<DelayedCall>,
}

impl Valve {
    fn hold(&mut self, direction: Direction, transport: Transport) {
        if self.opening.as_ref().is_some_and(DelayedCall::is_active) {
            return;
        }
        let readiness = match direction {
            Direction::Read => Readiness::READABLE,
            Direction::Write => Readiness::WRITABLE,
        };
        let (reactor, delay) = (transport.reactor(), self.bucket.delay());
        self.opening = Some(reactor.call_later(delay, move || transport.stir(readiness)));
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        if let Some(opening) = self.opening.take() {
            // It was made: there is nothing to take back.
            let _ = opening.cancel();
        }
    }
}

struct Bucket {
    /// Bytes a second.
    rate: f64,
    /// How much it holds at most: never less than a byte.
    capacity: f64,
    level: Cell<f64>,
    /// When `level` was right; never before the first look.
    seen: Cell<Option<Instant>>,
}

impl Bucket {
    fn new(rate: NonZeroU32) -> Bucket {
        let rate = f64::from(rate.get());
        let capacity = (rate / 10.0).max(1.0);
        Bucket { rate, capacity, level: Cell::new(capacity), seen: Cell::new(None) }
    }

    /// Whole bytes that may pass now: none while the bucket is not half full, so that bytes pass in
    /// pieces worth a system call.
    fn fill(&self, now: Instant) -> usize {
        let seen = self.seen.replace(Some(now)).unwrap_or(now);
        let gained = now.saturating_duration_since(seen).as_secs_f64() * self.rate;
        self.level.set((self.level.get() + gained).min(self.capacity));
        let enough = (self.capacity / 2.0).max(1.0);
        if self.level.get() < enough { 0 } else { self.level.get() as usize }
    }

    fn take(&self, bytes: usize) {
        self.level.set(self.level.get() - bytes as f64);
    }

    /// How long until it is full.
    fn delay(&self) -> Duration {
        Duration::from_secs_f64((self.capacity - self.level.get()).max(0.0) / self.rate)
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
