//! One task of a cooperator: paused, resumed, stopped, watched.
//!
//! It is in the ring at most once, and not while it runs or is paused.

use super::cooperator::Cooperator;
use crate::deferred::{Deferred, Trigger, fail, succeed};
use crate::failure::{Place, Result, catch_panic};
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::rc::Rc;

/// Work in a [`Cooperator`]; clones are the same task. Dropping it lets the work go on.
///
/// ```
/// use ropewalk::clock::TestClock;
/// use ropewalk::deferred::{Cooperator, TaskFinished};
///
/// let task = Cooperator::new(&TestClock::new()).cooperate(std::iter::repeat(()));
/// task.when_done().add_errback(|failure| {
///     failure.trap::<TaskFinished>()?;
///     Ok(println!("stopped"))
/// });
/// task.stop()?;
/// # Ok::<(), TaskFinished>(())
/// ```
#[derive(Clone)]
pub struct CooperativeTask(Rc<Task>);

struct Task {
    ring: Cooperator,
    /// None while it runs, and once it has finished.
    next: Cell<Option<Work>>,
    standing: Cell<Standing>,
    /// Empty once it has finished. Borrowed to push or take.
    watchers: RefCell<Vec<Trigger<()>>>,
    /// Why it failed, in a Deferred: reported unless somebody asks.
    failure: Cell<Option<Deferred<()>>>,
    made: Place,
}

#[derive(Clone, Copy, Default)]
struct Standing {
    pauses: usize,
    in_ring: bool,
    finished: Option<TaskFinished>,
}

pub(super) type Work = Box<dyn FnMut() -> Option<Deferred<()>>>;

impl CooperativeTask {
    pub(super) fn begin(ring: Cooperator, next: Work, made: Place) -> CooperativeTask {
        let task = CooperativeTask(Rc::new(Task {
            ring,
            next: Cell::new(Some(next)),
            standing: Cell::default(),
            watchers: RefCell::default(),
            failure: Cell::new(None),
            made,
        }));
        task.enter();
        task
    }

    /// Fires when the work is done, and fails if it failed or was stopped.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::Cooperator;
    /// let task = Cooperator::new(&TestClock::new()).cooperate([(), ()]);
    /// task.when_done().map(|()| println!("both pieces are done"));
    /// ```
    #[doc(alias = "whenDone")]
    #[track_caller]
    pub fn when_done(&self) -> Deferred<()> {
        match (self.standing().finished, self.0.failure.take()) {
            (None, _) => {
                let (trigger, deferred) = Deferred::new();
                self.0.watchers.borrow_mut().push(trigger);
                deferred
            }
            (Some(TaskFinished::Done), _) => succeed(()),
            (Some(_), Some(failure)) => failure,
            (Some(finished), None) => fail(finished),
        }
    }

    /// Does no more work until it is resumed as often as it was paused.
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::Cooperator;
    /// let task = Cooperator::new(&TestClock::new()).cooperate([(), ()]);
    /// task.pause()?;
    /// # Ok::<(), ropewalk::deferred::TaskFinished>(())
    /// ```
    pub fn pause(&self) -> Result<(), TaskFinished> {
        self.check()?;
        self.set_pauses(self.standing().pauses + 1);
        self.leave();
        Ok(())
    }

    /// Takes back one [`pause`](CooperativeTask::pause).
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::{Cooperator, NotPaused};
    /// let task = Cooperator::new(&TestClock::new()).cooperate([(), ()]);
    /// assert_eq!(task.resume(), Err(NotPaused));
    /// ```
    pub fn resume(&self) -> Result<(), NotPaused> {
        let pauses = self.standing().pauses.checked_sub(1).ok_or(NotPaused)?;
        self.set_pauses(pauses);
        self.enter();
        Ok(())
    }

    /// Ends it: those who wait for it hear [`TaskFinished::Stopped`].
    ///
    /// ```
    /// # use ropewalk::clock::TestClock;
    /// # use ropewalk::deferred::{Cooperator, TaskFinished};
    /// let task = Cooperator::new(&TestClock::new()).cooperate([(), ()]);
    /// task.stop()?;
    /// assert_eq!(task.stop(), Err(TaskFinished::Stopped));
    /// # Ok::<(), TaskFinished>(())
    /// ```
    #[track_caller]
    pub fn stop(&self) -> Result<(), TaskFinished> {
        self.check()?;
        self.end(TaskFinished::Stopped);
        Ok(())
    }

    pub(super) fn is(&self, other: &CooperativeTask) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The ring has given it out.
    pub(super) fn left(&self) {
        self.0.standing.set(Standing { in_ring: false, ..self.standing() });
    }

    fn standing(&self) -> Standing {
        self.0.standing.get()
    }

    fn set_pauses(&self, pauses: usize) {
        self.0.standing.set(Standing { pauses, ..self.standing() });
    }

    fn check(&self) -> Result<(), TaskFinished> {
        self.standing().finished.map_or(Ok(()), Err)
    }

    /// Into the ring, if there is work to do and it is not there.
    fn enter(&self) {
        if self.standing().pauses > 0 || self.standing().finished.is_some() {
            return;
        }
        if !self.0.ring.is_running() {
            return self.end(TaskFinished::SchedulerStopped);
        }
        if !self.standing().in_ring {
            self.0.standing.set(Standing { in_ring: true, ..self.standing() });
            self.0.ring.0.push(self.clone());
        }
    }

    fn leave(&self) {
        if self.standing().in_ring {
            self.left();
            self.0.ring.0.remove(self);
        }
    }

    /// Does one piece of its work.
    pub(super) fn piece(&self) {
        let Some(mut next) = self.0.next.take() else { return };
        match catch_panic(self.0.made, &mut next) {
            Err(panic) => self.finish(TaskFinished::Failed, Err(panic)),
            Ok(None) => self.finish(TaskFinished::Done, Ok(())),
            Ok(Some(piece)) => {
                // Stopped by its own work, it has no use for the rest.
                let rest = self.standing().finished.is_none().then_some(next);
                self.0.next.set(rest);
                self.wait_for(piece);
            }
        }
    }

    /// Goes on when the piece is done.
    fn wait_for(&self, piece: Deferred<()>) {
        self.set_pauses(self.standing().pauses + 1);
        let task = self.clone();
        piece.add_both(move |done| match done {
            // Not paused only if it was resumed too often, and then goes on already.
            Ok(()) => drop(task.resume()),
            Err(failure) => task.finish(TaskFinished::Failed, Err(failure)),
        });
    }

    /// Somebody ended it.
    #[track_caller]
    pub(super) fn end(&self, how: TaskFinished) {
        self.finish(how, Err(how.into()));
    }

    /// The end, for all who watch; the first one counts.
    fn finish(&self, how: TaskFinished, result: Result) {
        if self.standing().finished.is_some() {
            return;
        }
        self.0.standing.set(Standing { finished: Some(how), ..self.standing() });
        self.leave();
        drop(self.0.next.take());
        let watchers = self.0.watchers.take();
        if let (TaskFinished::Failed, Err(failure), true) = (how, &result, watchers.is_empty()) {
            self.0.failure.set(Some(Deferred::fired(Err(failure.clone()), self.0.made)));
        }
        for watcher in watchers {
            // Fired before if who watched has given up.
            let _ = watcher.fire(result.clone());
        }
    }
}

impl fmt::Debug for CooperativeTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CooperativeTask")
            .field("pauses", &self.standing().pauses)
            .field("finished", &self.standing().finished)
            .finish()
    }
}

/// The task has ended, and how.
///
/// ```
/// assert_eq!(ropewalk::deferred::TaskFinished::Stopped.to_string(), "the task was stopped");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskFinished {
    /// All of its work was done.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// Its work failed.
    Failed,
    /// The cooperator was stopped.
    SchedulerStopped,
}

impl fmt::Display for TaskFinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TaskFinished::Done => "the task is done",
            TaskFinished::Stopped => "the task was stopped",
            TaskFinished::Failed => "the task has failed",
            TaskFinished::SchedulerStopped => "the cooperator was stopped",
        })
    }
}

impl Error for TaskFinished {}

/// The task is not paused, so that it cannot be resumed.
///
/// ```
/// assert_eq!(ropewalk::deferred::NotPaused.to_string(), "the task is not paused");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPaused;

impl fmt::Display for NotPaused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task is not paused")
    }
}

impl Error for NotPaused {}
