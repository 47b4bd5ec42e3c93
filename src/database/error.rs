//! What a pool itself fails with; a database's own errors are passed on as they are.

use crate::Failure;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The pool was closed, or its reactor stopped: it takes no calls any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolClosed;

impl fmt::Display for PoolClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the database pool is closed")
    }
}

impl Error for PoolClosed {}

/// As many calls wait for a connection as may.
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use ropewalk::database::{ConnectionPool, PoolFull, PoolLimits, PoolTimedOut, sqlite};
/// use std::time::Duration;
///
/// let reactor = ropewalk::Reactor::new()?;
/// let limits = PoolLimits { most: 1, most_waiting: 1, wait: Duration::ZERO, ..PoolLimits::default() };
/// let pool = ConnectionPool::with_limits(&reactor, sqlite::in_memory(), limits);
/// let endless = "with recursive n(n) as (select 1 union all select n from n) select count(*) from n";
/// let [first, second, third] = [(); 3].map(|()| pool.run_query::<(u32,), _>(endless, ()));
/// assert!(reactor.run_until(third).unwrap_err().is::<PoolFull>());
/// assert!(reactor.run_until(second).unwrap_err().is::<PoolTimedOut>());
/// first.cancel();
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolFull {
    pub(super) most_waiting: usize,
}

impl fmt::Display for PoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.most_waiting;
        write!(
            f,
            "{most} calls wait for a connection of the database pool already, which is its limit"
        )
    }
}

impl Error for PoolFull {}

/// No connection became free within the time that a call may wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolTimedOut {
    pub(super) waited: Duration,
    pub(super) most: usize,
}

impl fmt::Display for PoolTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waited, most) = (self.waited, self.most);
        write!(
            f,
            "none of the {most} connections of the database pool became free within {waited:?}"
        )
    }
}

impl Error for PoolTimedOut {}

/// No connection was to be had; the reason is its [`source`](Error::source).
#[derive(Debug)]
pub struct ConnectError {
    /// The database's name.
    pub(super) to: String,
    pub(super) reason: Failure,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.to)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.reason.error())
    }
}
