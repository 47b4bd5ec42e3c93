//! The reactor: one thread's loop over sockets, timers, tasks and calls from other threads.
//!
//! # One turn
//! ```text
//!   1  how long may we sleep?   not at all if anything is ready, else until the next timer
//!   2  driver.wait              the only line that blocks
//!   3  ready sources            connections read and call their protocols, or poll the tasks that
//!                               wait for their bytes
//!   4  due timers               one batch, in order of deadline, then of call_later
//!   5  calls from threads       one batch, in order
//!   6  ready tasks              one batch of futures; if they are few, those too that they wake
//!   7  flush                    what was written meanwhile goes out, one send per connection
//! ```
//! Every step takes its batch first: what a step causes for itself waits for the next turn, so that
//! no step can starve another. Only the tasks may go on a little: tasks that others woke are polled in
//! the same turn until there were 64 polls, and the next turn sees to the rest. A task that wakes
//! itself, as `yield_now` does, always waits for the next turn. A task that waits for a stream's bytes is
//! polled once for each such stream that is ready, where a protocol would be called.
//!
//! # Invariants
//! * No borrow of a table is alive while user code runs or while what the user gave us is dropped.
//! * A panic in user code ends the call it happened in, is reported, and nothing else.
//! * A reactor belongs to one thread. [`Remote`] is the piece that others may hold.
//!
//! # Life and death
//! Handles ([`Reactor`] is `Clone`) are counted. When the last one goes, connections are lost, tasks
//! and timers are dropped. What the reactor holds for the user may hold a handle itself, and then
//! the reactor lives until that is gone; `Reactor::current()` avoids such a circle.
//!
//! # Not here
//! Sockets (`driver/`), what a connection does (`net/`).

mod descriptor;
mod interval;
mod lifecycle;
mod mailbox;
mod names;
mod random;
mod react;
mod remote;
mod reports;
#[cfg(all(unix, any(feature = "signals", feature = "process")))]
mod signal;
#[cfg(all(unix, feature = "signals"))]
mod signals;
mod sources;
mod spawn;
mod tasks;
mod threads;
mod time;
mod turn;

/// What `mailbox.rs` is built of; its model test puts others in their place.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

pub use descriptor::{Descriptor, ReadDescriptor, WriteDescriptor};
pub use interval::Interval;
pub use lifecycle::{
    Event, Phase, ReactorAlreadyRunning, ReactorNotRunning, ReactorStopped, SystemEventTrigger,
};
pub use names::Resolver;
pub use react::{ExitStatus, react};
pub use remote::{ReactorGone, Remote};
pub(crate) use reports::FailOnReport;
pub use reports::UnhandledFailure;
#[cfg(all(unix, any(feature = "signals", feature = "process")))]
pub use signal::Signal;
#[cfg(all(unix, feature = "signals"))]
pub use signals::SignalWatch;
pub(crate) use sources::Source;
pub(crate) use tasks::Waiter;
pub use threads::{Sendable, WouldDeadlock};
pub use time::{Sleep, YieldNow};

use crate::buffer::{Cork, Pool};
use crate::clock::Timers;
use crate::driver::{Driver, SystemDriver};
use crate::failure::{Failure, Result, contain, report};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// A handle on an event loop; clones speak to the same loop.
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
pub struct Reactor(Rc<Loop>);

/// What the handles share.
pub(crate) struct Loop {
    pub(crate) driver: Rc<dyn Driver>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) sources: sources::Sources,
    pub(crate) tasks: tasks::Tasks,
    pub(crate) pool: Pool,
    pub(crate) cork: Cork,
    names: names::Names,
    office: Arc<remote::Office>,
    life: lifecycle::Lifecycle,
    threads: threads::Threads,
    /// What a run fails with, if reports are errors here. Borrowed to clone and to replace.
    strict: RefCell<Option<Rc<FailOnReport>>>,
    #[cfg(all(unix, feature = "signals"))]
    signals: RefCell<signals::Watched>,
    /// How many `Reactor` values there are; the loop's own parts hold an `Rc<Loop>` instead.
    handles: Cell<usize>,
}

thread_local! {
    /// The loop whose turn is under way in this thread. Borrowed to look, never while user code runs.
    static CURRENT: RefCell<Option<Rc<Loop>>> = const { RefCell::new(None) };
}

impl Reactor {
    /// A reactor on the operating system.
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

    /// A reactor on another driver.
    pub fn with_driver(driver: impl Driver + 'static) -> Reactor {
        let driver: Rc<dyn Driver> = Rc::new(driver);
        let clock = driver.clone();
        let inner = Loop {
            timers: Timers::new(move || clock.now()),
            sources: sources::Sources::new(),
            tasks: tasks::Tasks::new(),
            pool: Pool::default(),
            cork: Cork::new(),
            names: names::Names::default(),
            office: remote::Office::new(driver.nudge()),
            life: lifecycle::Lifecycle::default(),
            threads: threads::Threads::default(),
            strict: RefCell::default(),
            #[cfg(all(unix, feature = "signals"))]
            signals: RefCell::default(),
            handles: Cell::new(0),
            driver,
        };
        Reactor::from(Rc::new(inner))
    }

    /// The reactor whose turn is under way in this thread: inside callbacks, tasks and handlers.
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

    pub(crate) fn inner(&self) -> &Rc<Loop> {
        &self.0
    }
}

impl From<Rc<Loop>> for Reactor {
    fn from(inner: Rc<Loop>) -> Reactor {
        inner.handles.set(inner.handles.get() + 1);
        Reactor(inner)
    }
}

impl Clone for Reactor {
    fn clone(&self) -> Reactor {
        Reactor::from(self.0.clone())
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.0.handles.set(self.0.handles.get() - 1);
        if self.0.handles.get() == 0 {
            self.0.tear_down();
        }
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("is_running", &self.is_running())
            .field("sources", &self.0.sources.len())
            .field("tasks", &self.0.tasks.len())
            .finish()
    }
}

impl Loop {
    /// Ends everything, because nobody is left who could run the loop, or its host crashed.
    pub(crate) fn tear_down(self: &Rc<Self>) {
        // User code that is called here may make handles and drop them: that must not start over.
        self.handles.set(self.handles.get() + 1);
        for letter in self.office.mailbox.close() {
            attempt("drop of a call from a thread", || drop(letter));
        }
        // What user code begins while it is ended is ended in the next round. Whoever begins anew
        // each time, as a client that connects again at once, is left to itself in the end.
        for _ in 0..ROUNDS {
            self.end_all();
            if self.sources.len() + self.tasks.len() == 0 && self.timers.until_next().is_none() {
                break;
            }
        }
        self.names.forget();
        self.abandon_threads();
    }

    fn end_all(&self) {
        self.sources.lose_all(&Failure::from(ReactorGone));
        self.tasks.cancel_all();
        for action in self.timers.clear() {
            attempt("drop of a delayed call", || drop(action));
        }
        self.life.forget_triggers();
    }
}

const ROUNDS: usize = 8;

/// Calls user code that nobody waits for; a panic in it is reported as `what`.
pub(crate) fn attempt(what: &str, call: impl FnOnce()) {
    if let Err(failure) = contain(Location::caller(), call) {
        report(what, &failure);
    }
}
