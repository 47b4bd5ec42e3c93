//! One at a time.

use super::semaphore::{DeferredSemaphore, Permit};
use crate::deferred::{Deferred, IntoDeferred};
use std::fmt;

/// A lock that is waited for with a Deferred; a semaphore with one token.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::deferred::{DeferredLock, defer_later};
/// use std::time::Duration;
///
/// let (clock, lock) = (TestClock::new(), DeferredLock::new());
/// for name in ["first", "second"] {
///     let clock = clock.clone();
///     lock.run(move || defer_later(&clock, Duration::from_secs(1), move || println!("{name}")));
/// }
/// clock.pump([Duration::from_secs(1); 2]); // prints one after each second
/// assert!(!lock.is_locked());
/// ```
#[doc(alias = "Mutex")]
#[derive(Clone)]
pub struct DeferredLock(DeferredSemaphore);

impl DeferredLock {
    /// A lock that is free.
    ///
    /// ```
    /// assert!(!ropewalk::deferred::DeferredLock::new().is_locked());
    /// ```
    pub fn new() -> DeferredLock {
        DeferredLock(DeferredSemaphore::with_tokens(1))
    }

    /// Fires with the permit when it is this one's turn; cancelling leaves the line.
    ///
    /// ```
    /// use ropewalk::deferred::DeferredLock;
    /// use ropewalk::Reactor;
    ///
    /// let (reactor, lock) = (Reactor::new()?, DeferredLock::new());
    /// reactor.run_until(async move {
    ///     let _permit = lock.acquire().await?;
    ///     Ok(println!("nobody else is here, until the permit is dropped"))
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> Deferred<Permit> {
        self.0.acquire()
    }

    /// The permit, if the lock is free.
    ///
    /// ```
    /// let lock = ropewalk::deferred::DeferredLock::new();
    /// let permit = lock.try_acquire();
    /// assert!(permit.is_some() && lock.try_acquire().is_none());
    /// ```
    #[doc(alias = "try_lock")]
    pub fn try_acquire(&self) -> Option<Permit> {
        self.0.try_acquire()
    }

    /// Does `work` while holding the lock; see [`DeferredSemaphore::run`].
    ///
    /// ```
    /// ropewalk::deferred::DeferredLock::new().run(|| println!("alone"));
    /// ```
    #[track_caller]
    pub fn run<R: IntoDeferred>(&self, work: impl FnOnce() -> R + 'static) -> Deferred<R::Output>
    where
        R::Output: 'static,
    {
        self.0.run(work)
    }

    /// Whether somebody has it.
    ///
    /// ```
    /// let lock = ropewalk::deferred::DeferredLock::new();
    /// let _mine = lock.acquire();
    /// assert!(lock.is_locked());
    /// ```
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.0.tokens() == 0
    }

    /// How many wait for it.
    ///
    /// ```
    /// let lock = ropewalk::deferred::DeferredLock::new();
    /// let (_mine, _other) = (lock.acquire(), lock.acquire());
    /// assert_eq!(lock.waiting(), 1);
    /// ```
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }
}

impl Default for DeferredLock {
    fn default() -> DeferredLock {
        DeferredLock::new()
    }
}

impl fmt::Debug for DeferredLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredLock")
            .field("is_locked", &self.is_locked())
            .field("waiting", &self.waiting())
            .finish()
    }
}
