//! The seeded generator: SplitMix64, whole numbers and divisions only, so that a seed means the same
//! run on every machine.

use std::time::Duration;

/// A stream of numbers that its seed determines.
///
/// ```
/// use ropewalk::simulation::Random;
/// use std::time::Duration;
///
/// let (mut one, mut other) = (Random::new(7), Random::new(7));
/// assert_eq!(one.below(100), other.below(100));
///
/// let wait = one.between(Duration::from_millis(1), Duration::from_millis(5));
/// assert!(wait >= Duration::from_millis(1) && wait < Duration::from_millis(5));
/// assert!(!one.chance(0.0));
/// assert!(["a", "b"].contains(one.pick(&["a", "b"]).expect("there are two")));
/// assert_ne!(one.bits(), one.bits());
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Random {
        Random { state: mix(seed) }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `limit`; 0 for a limit of 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// Whether something of this probability happens; never for 0, which draws no number.
    pub fn chance(&mut self, probability: f64) -> bool {
        const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
        probability > 0.0 && (self.bits() >> 11) as f64 * UNIT < probability
    }

    /// A duration from `least` to just below `most`.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least.saturating_add(Duration::from_nanos(self.below(nanos(most.saturating_sub(least)))))
    }

    /// One of the items, if there are any.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// A long-tailed number of nanoseconds with about this mean.
    ///
    /// The exponential distribution with straight lines between its halvings: a logarithm would
    /// differ in its last bit from machine to machine.
    pub(super) fn long_tailed(&mut self, mean: u64) -> u64 {
        let halvings = u64::from(self.bits().trailing_zeros().min(20));
        // Halvings have the mean 1, what is added one half: a and a half of these make the mean.
        let unit = mean.saturating_mul(2) / 3;
        halvings.saturating_mul(unit).saturating_add(self.below(unit.max(1)))
    }
}

pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Nanoseconds, the unit of everything in here; some five hundred years at most.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_numbers_on_every_machine() {
        let mut random = Random::new(1);
        let numbers: Vec<u64> = (0..3).map(|_| random.below(1000)).collect();
        assert_eq!(numbers, [749, 372, 438]);
    }

    #[test]
    fn long_tails_have_about_the_mean_that_was_asked_for() {
        let mut random = Random::new(5);
        let mean = (0..100_000).map(|_| random.long_tailed(1000)).sum::<u64>() / 100_000;
        assert!((950..1050).contains(&mean), "{mean}");
    }
}
