//! At most so many at a time.

use super::Waiters;
use crate::deferred::trampoline::after_drop;
use crate::deferred::{Deferred, IntoDeferred, maybe_deferred, succeed};
use crate::failure::Result;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

/// A number of tokens; whoever wants one waits until one is free.
///
/// A token is held as a [`Permit`] and goes back when that is dropped, straight to who waits longest.
///
/// ```
/// use ropewalk::deferred::DeferredSemaphore;
/// use ropewalk::succeed;
///
/// let semaphore = DeferredSemaphore::new(2)?;
/// for page in 1..=3 {
///     // The third waits until one of the others is done.
///     semaphore.run(move || succeed(page)).map(|page| println!("fetched {page}"));
/// }
/// assert_eq!(semaphore.tokens(), 2);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "Semaphore")]
#[derive(Clone)]
pub struct DeferredSemaphore(Rc<Tokens>);

struct Tokens {
    /// Zero while anybody waits.
    free: Cell<usize>,
    limit: usize,
    waiters: Rc<Waiters<Permit>>,
}

impl DeferredSemaphore {
    /// A semaphore with that many tokens, all of them free.
    ///
    /// ```
    /// use ropewalk::deferred::DeferredSemaphore;
    ///
    /// assert!(DeferredSemaphore::new(0).is_err());
    /// assert_eq!(DeferredSemaphore::new(3)?.limit(), 3);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn new(tokens: usize) -> Result<DeferredSemaphore> {
        if tokens == 0 {
            return Err(NoTokensError.into());
        }
        Ok(DeferredSemaphore::with_tokens(tokens))
    }

    pub(super) fn with_tokens(limit: usize) -> DeferredSemaphore {
        let (free, waiters) = (Cell::new(limit), Waiters::new());
        DeferredSemaphore(Rc::new(Tokens { free, limit, waiters }))
    }

    /// Fires with a permit as soon as there is one; cancelling stops waiting for it.
    ///
    /// ```
    /// use futures_util::FutureExt;
    /// use ropewalk::deferred::DeferredSemaphore;
    ///
    /// let semaphore = DeferredSemaphore::new(1)?;
    /// let permit = semaphore.acquire().now_or_never().unwrap()?;
    /// assert_eq!(semaphore.tokens(), 0);
    /// permit.release();
    /// assert_eq!(semaphore.tokens(), 1);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> Deferred<Permit> {
        match self.try_acquire() {
            Some(permit) => succeed(permit),
            None => self.0.waiters.wait(),
        }
    }

    /// A permit, if there is one at this moment. Whoever waits in line has been given it before.
    ///
    /// ```
    /// let semaphore = ropewalk::deferred::DeferredSemaphore::new(1)?;
    /// let permit = semaphore.try_acquire().expect("all tokens are free");
    /// assert!(semaphore.try_acquire().is_none());
    /// permit.release();
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn try_acquire(&self) -> Option<Permit> {
        self.0.free.set(self.0.free.get().checked_sub(1)?);
        Some(Permit { of: self.clone() })
    }

    /// Does `work` while holding a permit: it goes back when the work is done, has failed or was
    /// cancelled. Cancelled while it waits, the work is never begun.
    ///
    /// ```
    /// use ropewalk::deferred::DeferredSemaphore;
    ///
    /// let semaphore = DeferredSemaphore::new(1)?;
    /// let d = semaphore.run(|| Ok("7".parse::<u32>()?));
    /// d.map(|n| assert_eq!(n, 7));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn run<R: IntoDeferred>(&self, work: impl FnOnce() -> R + 'static) -> Deferred<R::Output>
    where
        R::Output: 'static,
    {
        self.acquire().add_callback(move |permit| {
            maybe_deferred(work).add_both(move |result| {
                permit.release();
                result
            })
        })
    }

    /// How many tokens are free.
    ///
    /// ```
    /// assert_eq!(ropewalk::deferred::DeferredSemaphore::new(3)?.tokens(), 3);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn tokens(&self) -> usize {
        self.0.free.get()
    }

    /// How many tokens there are, free or not.
    ///
    /// ```
    /// assert_eq!(ropewalk::deferred::DeferredSemaphore::new(3)?.limit(), 3);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many wait for a token.
    ///
    /// ```
    /// let semaphore = ropewalk::deferred::DeferredSemaphore::new(1)?;
    /// let (_one, _two) = (semaphore.acquire(), semaphore.acquire());
    /// assert_eq!(semaphore.waiting(), 1);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn waiting(&self) -> usize {
        self.0.waiters.len()
    }

    /// A token comes back.
    fn take_back(&self) {
        let Some(waiter) = self.0.waiters.next() else {
            return self.0.free.set(self.0.free.get() + 1);
        };
        let permit = Permit { of: self.clone() };
        // Not from inside this drop, if it is caused by another: a thousand waiters who each let go
        // at once would stand on each other's shoulders. One who was cancelled meanwhile drops the
        // permit, and the next one gets it.
        after_drop(move || {
            let _ = waiter.callback(permit);
        });
    }
}

impl fmt::Debug for DeferredSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeferredSemaphore")
            .field("tokens", &self.tokens())
            .field("limit", &self.limit())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The right to go on, until it is dropped.
///
/// ```
/// use futures_util::FutureExt;
/// use ropewalk::deferred::DeferredLock;
///
/// let lock = DeferredLock::new();
/// let permit = lock.acquire().now_or_never().unwrap()?;
/// assert!(lock.is_locked());
/// drop(permit);
/// assert!(!lock.is_locked());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
#[must_use = "a permit that is dropped at once permits nothing"]
pub struct Permit {
    of: DeferredSemaphore,
}

impl Permit {
    /// Gives it back. Dropping it does the same; this says so.
    ///
    /// ```
    /// use ropewalk::deferred::DeferredLock;
    ///
    /// DeferredLock::new().acquire().map(|permit| permit.release());
    /// ```
    pub fn release(self) {}
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.take_back();
    }
}

/// A semaphore without tokens would let nobody pass, ever.
///
/// ```
/// use ropewalk::deferred::{DeferredSemaphore, NoTokensError};
///
/// assert!(DeferredSemaphore::new(0).unwrap_err().is::<NoTokensError>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTokensError;

impl fmt::Display for NoTokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a semaphore needs at least one token")
    }
}

impl Error for NoTokensError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deferred::Cancelled;
    use crate::{Deferred, Failure, Trigger};
    use futures_util::FutureExt;
    use std::cell::RefCell;

    fn taken(semaphore: &DeferredSemaphore) -> Permit {
        semaphore.acquire().now_or_never().unwrap().unwrap()
    }

    #[test]
    fn waiters_are_served_in_order_of_arrival() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        let (first, order) = (taken(&semaphore), Rc::new(RefCell::new(vec![])));
        for n in 1..=3 {
            let order = order.clone();
            semaphore.acquire().map(move |_permit| order.borrow_mut().push(n));
        }
        assert!(order.borrow().is_empty());
        first.release();
        assert_eq!(*order.borrow(), [1, 2, 3]);
        assert_eq!(semaphore.tokens(), 1);
    }

    #[test]
    fn trying_takes_a_token_only_when_one_is_free_and_nobody_was_before() {
        let semaphore = DeferredSemaphore::new(2).unwrap();
        let (one, two) = (semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap());
        assert!(semaphore.try_acquire().is_none());
        let waiting = semaphore.acquire();
        drop(one);
        assert!(semaphore.try_acquire().is_none(), "it went to who waits");
        drop((two, waiting));
        assert_eq!(semaphore.tokens(), 2);
    }

    #[test]
    fn a_permit_is_handed_over_without_becoming_free() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        let first = taken(&semaphore);
        let mut second = semaphore.acquire();
        drop(first);
        assert_eq!(semaphore.tokens(), 0);
        assert!((&mut second).now_or_never().unwrap().is_ok());
        assert_eq!(semaphore.tokens(), 1);
    }

    #[test]
    fn a_cancelled_waiter_leaves_the_line() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        let first = taken(&semaphore);
        let (second, third) = (semaphore.acquire(), semaphore.acquire());
        second.cancel();
        assert_eq!(semaphore.waiting(), 1);
        drop(first);
        assert!(second.now_or_never().unwrap().unwrap_err().is::<Cancelled>());
        assert!(third.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn cancelling_after_the_permit_came_changes_nothing() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        let acquired = semaphore.acquire();
        acquired.cancel();
        assert_eq!(semaphore.tokens(), 0);
        assert!(acquired.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn a_permit_that_nobody_took_goes_to_the_next() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        let first = taken(&semaphore);
        drop(semaphore.acquire()); // stays in line: nobody awaited it
        let third = semaphore.acquire();
        drop(first);
        assert!(third.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn run_gives_the_permit_back_when_the_work_is_done_fails_or_panics() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        assert!(semaphore.run(|| Ok(1)).now_or_never().unwrap().is_ok());
        let failed = semaphore.run(|| Err::<(), _>(Failure::msg("no")));
        assert!(failed.now_or_never().unwrap().is_err());
        let panicked = semaphore.run(|| -> Result { panic!("oh") });
        assert!(panicked.now_or_never().unwrap().is_err());
        assert_eq!(semaphore.tokens(), 1);
    }

    #[test]
    fn run_gives_the_permit_back_when_the_work_is_cancelled() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        let running = semaphore.run(|| Deferred::<()>::with_canceller(|_: &Trigger<()>| ()).1);
        assert!(running.now_or_never().is_some(), "its trigger was dropped");
        let (_trigger, work) = Deferred::<()>::new();
        let running = semaphore.run(move || work);
        assert_eq!(semaphore.tokens(), 0);
        running.cancel();
        assert_eq!(semaphore.tokens(), 1);
        assert!(running.now_or_never().unwrap().unwrap_err().is::<Cancelled>());
    }

    #[test]
    fn work_that_is_cancelled_in_line_is_never_begun() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        let first = taken(&semaphore);
        let waiting = semaphore.run(|| -> Result { unreachable!("it was cancelled") });
        waiting.cancel();
        drop(first);
        assert!(waiting.now_or_never().unwrap().unwrap_err().is::<Cancelled>());
        assert_eq!(semaphore.tokens(), 1);
    }

    #[test]
    fn an_awaited_acquire_that_is_dropped_leaves_the_line() {
        let semaphore = DeferredSemaphore::new(1).unwrap();
        let _first = taken(&semaphore);
        assert!(semaphore.acquire().now_or_never().is_none());
        assert_eq!(semaphore.waiting(), 0);
    }

    #[test]
    fn a_long_line_of_those_who_let_go_at_once_passes_in_a_small_stack() {
        let pass = || {
            let semaphore = DeferredSemaphore::new(1).unwrap();
            let first = taken(&semaphore);
            (0..100_000).for_each(|_| drop(semaphore.acquire().map(Permit::release)));
            drop(first);
            assert_eq!(semaphore.tokens(), 1);
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(pass).unwrap().join().unwrap();
    }
}
