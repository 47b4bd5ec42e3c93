//! The two event loops under measurement, and the clock around both.

use std::future::Future;
use std::rc::Rc;
use std::time::Instant;

use ropewalk::{Reactor, Result};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

#[derive(Clone)]
pub(crate) struct Runtimes {
    pub(crate) reactor: Reactor,
    tokio: Rc<(LocalSet, Runtime)>,
}

impl Runtimes {
    pub(crate) fn new() -> Result<Runtimes> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Runtimes { reactor: Reactor::new()?, tokio: Rc::new((LocalSet::new(), runtime)) })
    }

    /// Runs a future to its end as the main future of our reactor.
    pub(crate) fn ours<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let output = self.reactor.run_until(async move { Ok(future.await) });
        output.expect("nothing stops the reactor of a bench")
    }

    /// The same on tokio, inside a `LocalSet` because our tasks are local too.
    pub(crate) fn theirs<T>(&self, future: impl Future<Output = T>) -> T {
        let (local, runtime) = &*self.tokio;
        local.block_on(runtime, future)
    }
}

/// Nanoseconds for each of so many operations.
pub(crate) fn each(operations: u64, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as f64 / operations as f64
}

/// [`each`] for work that awaits.
pub(crate) async fn each_of<F: Future>(operations: u64, work: F) -> f64 {
    let start = Instant::now();
    work.await;
    start.elapsed().as_nanos() as f64 / operations as f64
}
