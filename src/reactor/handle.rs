// A reactor as programs hold it: the owner, and handles on the same loop. What they share is in `mod.rs`.

use super::{CURRENT, Loop};
use crate::driver::{Driver, SystemDriver};
use crate::failure::Result;
use std::fmt;
use std::rc::Rc;

/// An event loop, or a handle on one: [`Reactor::new`] gives its owner, clones are handles.
///
/// The loop ends with its owner, and everything that it holds is dropped then; see
/// [the module](crate::reactor#life-and-death).
///
/// ```
/// use ropewalk::Reactor;
/// use std::time::Duration;
///
/// let reactor = Reactor::new()?;
/// let stopper = reactor.clone();
/// reactor.call_later(Duration::from_millis(1), move || stopper.stop());
/// reactor.run()?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "current_thread")]
#[doc(alias = "LocalSet")]
#[doc(alias = "Runtime")]
pub struct Reactor {
    inner: Rc<Loop>,
    /// The value that made the loop, which ends with it.
    is_owner: bool,
}

impl Reactor {
    /// A reactor on the operating system, which ends when what this gives is dropped.
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// reactor.call_when_running({
    ///     let reactor = reactor.clone();
    ///     move || reactor.stop()
    /// });
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn new() -> Result<Reactor> {
        Ok(Reactor::with_driver(SystemDriver::new()?))
    }

    /// A reactor on another driver, which ends when what this gives is dropped.
    pub fn with_driver(driver: impl Driver + 'static) -> Reactor {
        let inner = Rc::new(Loop::new(Rc::new(driver)));
        inner.mark_timers();
        Reactor { inner, is_owner: true }
    }

    /// A handle on the reactor whose turn is under way in this thread: inside callbacks, tasks, handlers.
    ///
    /// ```
    /// use ropewalk::Reactor;
    ///
    /// assert!(Reactor::current().is_none());
    /// let reactor = Reactor::new()?;
    /// let inside = reactor.run_until(async { Ok(Reactor::current().is_some()) })?;
    /// assert!(inside);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn current() -> Option<Reactor> {
        let current = CURRENT.try_with(|current| current.borrow().clone());
        current.ok().flatten().map(Reactor::from)
    }

    /// Whether it is one of a simulation: then what this machine has in memory or on its disk at the moment
    /// must decide nothing, or a seed's run would not come again.
    ///
    /// ```
    /// assert!(!ropewalk::Reactor::new()?.is_simulated());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn is_simulated(&self) -> bool {
        self.inner.driver.is_simulated()
    }

    pub(crate) fn inner(&self) -> &Rc<Loop> {
        &self.inner
    }
}

impl From<Rc<Loop>> for Reactor {
    fn from(inner: Rc<Loop>) -> Reactor {
        Reactor { inner, is_owner: false }
    }
}

impl Clone for Reactor {
    fn clone(&self) -> Reactor {
        Reactor::from(self.inner.clone())
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if self.is_owner {
            self.inner.end();
        }
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("is_running", &self.is_running())
            .field("sources", &self.inner.sources.len())
            .field("tasks", &self.inner.tasks.len())
            .finish()
    }
}
