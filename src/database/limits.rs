//! What bounds a pool.

use std::time::Duration;

/// The bounds of a pool; those of connections are Twisted's.
///
/// ```
/// use ropewalk::database::PoolLimits;
///
/// let limits = PoolLimits { most: 1, ..PoolLimits::default() };
/// assert_eq!(limits.most_waiting, 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// So many connections stay open though there is nothing to do, once they were needed; 3 by default.
    #[doc(alias = "cp_min")]
    pub fewest: usize,
    /// So many there are at most, and never less than 1; 5 by default. No more calls run at once than the
    /// reactor has threads: [10](crate::Reactor::suggest_thread_pool_size).
    #[doc(alias = "cp_max")]
    pub most: usize,
    /// So long a call waits for a connection; 30 s by default.
    pub wait: Duration,
    /// So many calls may wait; 10 000 by default.
    pub most_waiting: usize,
    /// After so long without use a connection is tried before it is used, and closed if there are more
    /// than the fewest; 60 s by default.
    pub idle: Duration,
}

impl Default for PoolLimits {
    fn default() -> PoolLimits {
        PoolLimits {
            fewest: 3,
            most: 5,
            wait: Duration::from_secs(30),
            most_waiting: 10_000,
            idle: Duration::from_secs(60),
        }
    }
}
