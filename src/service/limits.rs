// How long things may take.

use std::time::Duration;

/// How long a stop may take, and its parts.
///
/// ```
/// use ropewalk::service::Drain;
/// use std::time::Duration;
///
/// // Five seconds for a load balancer to look elsewhere.
/// let drain = Drain { lame_duck: Duration::from_secs(5), ..Drain::default() };
/// assert_eq!(drain.total, Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// So long it goes on as before, but says that it is not ready. 0 unless told otherwise.
    pub lame_duck: Duration,
    /// So long the connections that were accepted, and the tasks that began for them, may finish what
    /// is under way: 20 s.
    pub connections: Duration,
    /// So long each service may take to stop after that: 5 s.
    pub service: Duration,
    /// So long all of it may take: 30 s.
    pub total: Duration,
}

impl Default for Drain {
    fn default() -> Drain {
        Drain {
            lame_duck: Duration::ZERO,
            connections: Duration::from_secs(20),
            service: Duration::from_secs(5),
            total: Duration::from_secs(30),
        }
    }
}

/// So long a service may take to become ready.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(60);
