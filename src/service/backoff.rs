// How long a client waits before it tries again.

use std::time::Duration;

/// The waits between the attempts of a [`ClientService`](super::ClientService): from a second and a half,
/// half as long again each time, up to a minute, and up to a second more by chance. Twisted's numbers.
///
/// ```
/// use ropewalk::service::BackoffPolicy;
/// use std::time::Duration;
///
/// let policy = BackoffPolicy::new().initial_delay(Duration::from_secs(10)).jitter(Duration::ZERO);
/// assert_eq!(policy.delay(1, 0), Duration::from_secs(15));
/// assert_eq!(policy.delay(9, 0), Duration::from_secs(60));
/// ```
#[doc(alias = "backoffPolicy")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffPolicy {
    initial_delay: Duration,
    max_delay: Duration,
    factor: f64,
    jitter: Duration,
}

/// After so many attempts the wait grows no more, whatever the factor.
const MOST: u32 = 100;

impl BackoffPolicy {
    /// Twisted's numbers.
    pub fn new() -> BackoffPolicy {
        BackoffPolicy {
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
            factor: 1.5,
            jitter: Duration::from_secs(1),
        }
    }

    /// What is multiplied.
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> BackoffPolicy {
        self.initial_delay = delay;
        self
    }

    /// The longest wait, chance apart.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> BackoffPolicy {
        self.max_delay = delay;
        self
    }

    /// By how much, with each attempt. One that is no number, or less than 1, is taken for 1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> BackoffPolicy {
        self.factor = factor.max(1.0);
        self
    }

    /// So much longer at most, by chance.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> BackoffPolicy {
        self.jitter = jitter;
        self
    }

    /// The wait after so many attempts that failed one after the other; `chance` is any number.
    pub fn delay(&self, failed: u32, chance: u64) -> Duration {
        let factor = self.factor.powf(f64::from(failed.min(MOST)));
        let grown = self.initial_delay.as_secs_f64() * factor;
        // What is too much for a duration, or no number, is more than the most.
        let grown = Duration::try_from_secs_f64(grown).unwrap_or(self.max_delay);
        let unit = (chance >> 11) as f64 / (1_u64 << 53) as f64;
        grown.min(self.max_delay).saturating_add(self.jitter.mul_f64(unit))
    }
}

impl Default for BackoffPolicy {
    fn default() -> BackoffPolicy {
        BackoffPolicy::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_are_those_of_twisted() {
        let policy = BackoffPolicy::new();
        let waits: Vec<_> = (1..12).map(|n| policy.delay(n, 0).as_secs_f64()).collect();
        let want = [1.5, 2.25, 3.375, 5.0625, 7.59375, 11.390625];
        assert_eq!(waits[..6], want);
        assert_eq!(waits[9..], [57.665_039_062, 60.0], "in whole nanoseconds");
        assert_eq!(policy.delay(u32::MAX, 0), Duration::from_secs(60));
        let most = policy.delay(1, u64::MAX);
        // All of the jitter but for less than a nanosecond, which is rounded.
        assert!(most > Duration::from_millis(2499) && most <= Duration::from_millis(2500));
    }

    #[test]
    fn odd_numbers_give_waits_as_well() {
        let policy = BackoffPolicy::new().factor(f64::NAN).jitter(Duration::ZERO);
        assert_eq!(policy.delay(7, 0), Duration::from_secs(1));
        let policy = policy.factor(f64::INFINITY).max_delay(Duration::MAX);
        assert_eq!(policy.delay(1, 0), Duration::MAX);
        let policy = policy.initial_delay(Duration::MAX).jitter(Duration::MAX);
        assert!(policy.delay(1, u64::MAX) > Duration::from_secs(60));
    }
}
