//! A pool as a part of a program that is started and stopped in order.

use super::contract::Database;
use super::pool::ConnectionPool;
use crate::Deferred;
use crate::service::{Running, Service};

/// Started, it has connected once: a database that is not there is told before anything serves. Stopped, it
/// is closed, and it may be started again. Whoever needs it is added to the same
/// [`MultiService`](crate::service::MultiService) after it, and so is stopped before.
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use ropewalk::database::{ConnectionPool, sqlite};
/// use ropewalk::service::{MultiService, Running};
///
/// let reactor = ropewalk::Reactor::new()?;
/// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
/// let parts = MultiService::new("parts").add_service(pool.clone()); // .add_service(a site that asks it)
/// # let (running, root) = Running::root(&reactor, parts);
/// # reactor.run_until(running.start_service())?;
/// # assert_eq!(pool.idle(), 1);
/// # reactor.run_until(running.stop_service())?;
/// # assert_eq!(pool.idle(), 0);
/// # drop(root);
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
impl<D: Database> Service for ConnectionPool<D> {
    fn name(&self) -> Option<&str> {
        Some("database")
    }

    fn start_service(&mut self, _: &Running) -> Deferred<()> {
        self.0.open_again();
        self.run_with_connection(|_| Ok(()))
    }

    fn stop_service(&mut self, _: &Running) -> Deferred<()> {
        self.close()
    }
}
