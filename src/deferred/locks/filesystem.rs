//! One process at a time.

use crate::clock::{Clock, hold};
use crate::deferred::{Deferred, TimedOut, defer_later, fail, succeed};
use crate::failure::Result;
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a lock that is held elsewhere is tried again.
const INTERVAL: Duration = Duration::from_secs(1);

/// A lock that processes share through a file.
///
/// The file is made if it is not there, is locked with the system's own file lock, and stays when the
/// lock is released: removing it would let two processes in. The system releases the lock of a process
/// that dies. Several may wait through one value; each tries once a second.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::deferred::DeferredFilesystemLock;
/// use std::time::Duration;
///
/// # let file = std::env::temp_dir().join(format!("ropewalk-doc-{}", std::process::id()));
/// let clock = TestClock::new();
/// let lock = DeferredFilesystemLock::new(&file, &clock);
/// let mine = lock.try_lock()?.expect("nobody else has it");
/// lock.defer_until_locked(None).map(|_permit| println!("now it is ours"));
/// drop(mine);
/// clock.advance(Duration::from_secs(1)); // prints
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
pub struct DeferredFilesystemLock {
    path: Rc<Path>,
    clock: Rc<dyn Clock>,
}

impl DeferredFilesystemLock {
    /// A lock on the file at `path`; nothing is done yet.
    ///
    /// ```
    /// use ropewalk::clock::TestClock;
    /// use ropewalk::deferred::DeferredFilesystemLock;
    ///
    /// let lock = DeferredFilesystemLock::new("/run/service.lock", &TestClock::new());
    /// assert_eq!(lock.path().to_str(), Some("/run/service.lock"));
    /// ```
    pub fn new(
        path: impl Into<PathBuf>,
        clock: &(impl Clock + Clone + 'static),
    ) -> DeferredFilesystemLock {
        let path: PathBuf = path.into();
        DeferredFilesystemLock { path: path.into(), clock: hold(clock) }
    }

    /// The file.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::DeferredFilesystemLock;
    /// let lock = DeferredFilesystemLock::new("service.lock", &TestClock::new());
    /// assert!(lock.path().ends_with("service.lock"));
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock if nobody has it.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::DeferredFilesystemLock;
    /// # let file = std::env::temp_dir().join(format!("ropewalk-doc-try-{}", std::process::id()));
    /// let lock = DeferredFilesystemLock::new(&file, &TestClock::new());
    /// let mine = lock.try_lock()?.expect("nobody else has it");
    /// assert!(lock.try_lock()?.is_none());
    /// drop(mine);
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn try_lock(&self) -> Result<Option<FilesystemPermit>> {
        let file = File::options().create(true).write(true).truncate(false).open(&self.path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FilesystemPermit { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Fires with a permit as soon as the lock is free; after `limit`, fails with
    /// [`TimedOut`].
    ///
    /// At the end of the limit, and when it is cancelled, it tries once more, and may succeed.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::{DeferredFilesystemLock, TimedOut};
    /// # use std::time::Duration;
    /// # let file = std::env::temp_dir().join(format!("ropewalk-doc-until-{}", std::process::id()));
    /// # let clock = TestClock::new();
    /// let lock = DeferredFilesystemLock::new(&file, &clock);
    /// let _mine = lock.try_lock()?.expect("nobody else has it");
    /// lock.defer_until_locked(Some(Duration::from_secs(3))).map(drop).add_errback(|failure| {
    ///     failure.trap::<TimedOut>()?;
    ///     Ok(println!("another instance is running"))
    /// });
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "deferUntilLocked")]
    #[track_caller]
    pub fn defer_until_locked(&self, limit: Option<Duration>) -> Deferred<FilesystemPermit> {
        match self.try_lock() {
            Ok(Some(permit)) => succeed(permit),
            Ok(None) => {
                // A limit beyond all time is none.
                let end = |limit| Some((self.clock.now().checked_add(limit)?, limit));
                self.clone().keep_trying(limit.and_then(end))
            }
            Err(failure) => fail(failure),
        }
    }

    fn keep_trying(self, deadline: Option<(Instant, Duration)>) -> Deferred<FilesystemPermit> {
        let mut pause = INTERVAL;
        if let Some((deadline, limit)) = deadline {
            pause = pause.min(deadline.saturating_duration_since(self.clock.now()));
            if pause.is_zero() {
                return fail(TimedOut::new(limit));
            }
        }
        let paused = defer_later(&*self.clock, pause, || ());
        paused.add_both(move |paused| match (self.try_lock(), paused) {
            (Ok(Some(permit)), _) => succeed(permit),
            (Ok(None), Ok(())) => self.keep_trying(deadline),
            (Ok(None), Err(cancelled)) => fail(cancelled),
            (Err(failure), _) => fail(failure),
        })
    }
}

impl fmt::Debug for DeferredFilesystemLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeferredFilesystemLock").field(&self.path).finish()
    }
}

/// The lock on a file, held until this is dropped.
///
/// ```
/// # use ropewalk::clock::TestClock;
/// # use ropewalk::deferred::{DeferredFilesystemLock, FilesystemPermit};
/// # let file = std::env::temp_dir().join(format!("ropewalk-doc-permit-{}", std::process::id()));
/// let lock = DeferredFilesystemLock::new(&file, &TestClock::new());
/// let mine: Option<FilesystemPermit> = lock.try_lock()?;
/// mine.expect("nobody else has it").release();
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
#[must_use = "a permit that is dropped at once permits nothing"]
pub struct FilesystemPermit {
    /// Closing it releases the lock.
    _file: File,
}

impl FilesystemPermit {
    /// Gives the lock back. Dropping the permit does the same; this says so.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::DeferredFilesystemLock;
    /// # let file = std::env::temp_dir().join(format!("ropewalk-doc-release-{}", std::process::id()));
    /// let lock = DeferredFilesystemLock::new(&file, &TestClock::new());
    /// lock.defer_until_locked(None).map(|permit| permit.release());
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "unlock")]
    pub fn release(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::deferred::Cancelled;
    use futures_util::FutureExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A file of this test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn lock(clock: &TestClock) -> (Scratch, DeferredFilesystemLock) {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("ropewalk-lock-{}-{number}", std::process::id());
            let scratch = Scratch(std::env::temp_dir().join(name));
            let lock = DeferredFilesystemLock::new(&scratch.0, clock);
            (scratch, lock)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_is_tried_once_a_second() {
        let clock = TestClock::new();
        let (_scratch, lock) = Scratch::lock(&clock);
        let held = lock.try_lock().unwrap().unwrap();
        let mut waiting = lock.defer_until_locked(None);
        clock.pump([SECOND; 3]);
        assert!((&mut waiting).now_or_never().is_none());
        held.release();
        clock.advance(SECOND / 2);
        assert!((&mut waiting).now_or_never().is_none());
        clock.advance(SECOND / 2);
        assert!(waiting.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn after_the_limit_it_fails() {
        let clock = TestClock::new();
        let (_scratch, lock) = Scratch::lock(&clock);
        let _held = lock.try_lock().unwrap().unwrap();
        let waiting = lock.defer_until_locked(Some(SECOND * 5 / 2));
        clock.pump([SECOND; 3]);
        assert!(waiting.now_or_never().unwrap().unwrap_err().is::<TimedOut>());
        assert!(clock.delayed_calls().is_empty());
    }

    #[test]
    fn cancelled_it_tries_a_last_time() {
        let clock = TestClock::new();
        let (_scratch, lock) = Scratch::lock(&clock);
        let held = lock.try_lock().unwrap().unwrap();
        let (lucky, unlucky) = (lock.defer_until_locked(None), lock.defer_until_locked(None));
        unlucky.cancel();
        assert!(unlucky.now_or_never().unwrap().unwrap_err().is::<Cancelled>());
        held.release();
        lucky.cancel();
        assert!(lucky.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn a_file_that_cannot_be_made_is_a_failure() {
        let lock = DeferredFilesystemLock::new("/no such folder/lock", &TestClock::new());
        assert!(lock.defer_until_locked(None).now_or_never().unwrap().is_err());
    }
}
