//! A spawned future is a Deferred. What becomes of it: `tasks.rs`.

use super::Reactor;
use crate::deferred::{Deferred, IntoDeferred};
use std::future::Future;

impl Reactor {
    /// Runs a future as a task of its own and gives its result as a Deferred.
    ///
    /// The future is first polled when it is the tasks' turn, never from inside this method. Dropping
    /// the Deferred lets the task run on; cancelling it drops the future. A panic in the future
    /// becomes a failure ([`Panicked`](crate::Panicked)).
    ///
    /// ```
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let sum = reactor.spawn(async { Ok(1 + 2) }).add_callback(|n| Ok(n * 2));
    /// assert_eq!(reactor.run_until(sum)?, 6);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "spawn_local")]
    #[doc(alias = "ensureDeferred")]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Deferred<<F::Output as IntoDeferred>::Output>
    where
        F: Future + 'static,
        F::Output: IntoDeferred + 'static,
    {
        self.inner().spawn(future)
    }
}
