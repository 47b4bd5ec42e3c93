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
//! # Life and death
//! A reactor ends with **the value that made it**, that of [`Reactor::new`] or [`Reactor::with_driver`]:
//! the owner. What `clone`, [`Reactor::current`], `transport.reactor()` and a simulated host give is a
//! handle; handles keep nothing alive, wherever they are kept, be it in what the reactor itself holds.
//!
//! When the owner is dropped everything goes, in this order:
//!
//! 1. From now on nothing begins: calls on a handle that give a `Result` or a Deferred say
//!    [`ReactorGone`], the others do nothing, and what they are given is dropped.
//! 2. Calls from other threads that were not made yet.
//! 3. Connections, ports, datagram sockets, descriptors and watches of signals, the oldest place first: each
//!    is told the end, closed, and its protocol or factory dropped. A connection whose own half has not
//!    ended in order is reset, so that its peer does not take half for all.
//! 4. Tasks and handlers; their Deferreds fail.
//! 5. Delayed calls, then system event triggers, then the resolver of names.
//! 6. Deferreds that wait for threads fail. What a thread is at goes on, and is reported.
//! 7. The values that [`local`](Reactor::local) made, the youngest first.
//! 8. What was refused meanwhile, the system's event queue and the idle threads.
//!
//! The loop makes no turn for that. Dropped inside one of its own turns, the owner ends all this at the
//! end of that turn, and the run that it was in fails with [`ReactorGone`], unless the future of its
//! `run_until` has its result. What fails because a reactor ended or was stopped is not reported.
//!
//! Do not move the owner into what its own reactor holds: it would end when that does, not before.
//!
//! # Ends of a run
//! | | ends | result | what lives on |
//! |---|---|---|---|
//! | [`run`](Reactor::run) | at `stop`, SIGINT, SIGTERM | `Ok` | tasks, timers |
//! | [`run_until`](Reactor::run_until) | when its future does | the future's | everything |
//! | | at `stop`, SIGINT, SIGTERM | [`ReactorStopped`] | tasks, timers |
//! | [`react`](crate::react) | when `main` does, or at a stop | an exit status: 0 at a stop | nothing |
//!
//! A stop shuts down: triggers are called, connections lost. Whoever returned from `run_until` without a
//! value could only go on as if there were one, so a stop is an error there; in `run` it is the one end in
//! order. All of them first let connections that are ending, and standard output, send what was written to
//! them, for [5 s at most](Reactor::set_flush_timeout).
//!
//! # Deviations from Twisted
//! | Twisted | here |
//! |---|---|
//! | There is one reactor, which lives as long as the process. | There are many; each ends with the value that made it. |
//! | `reactor.running` is true from the "during" of the startup to the "during" of the shutdown. | [`Reactor::is_running`] is true from before the first startup trigger until after the last of the shutdown. |
//! | `run` after a stop raises `ReactorNotRestartable`. | It runs again, with the tasks and timers that were left; triggers are to be added anew. |
//! | `stop` a second time raises `ReactorNotRunning`. | Changes nothing while it is under way. |
//! | During-shutdown triggers run beside the before-triggers that another one added. | They come after all before-triggers, and after connections were lost. |
//! | A stop cuts off what connections have still to send. | Those that are ending are flushed, for 5 s at most; what is cut off is reset. |
//! | Work in threads is waited for without a limit. | For a minute; then it is reported. |
//! | A Deferred that is cancelled and has no errback is logged. | Not reported: somebody asked for it. |

// # Invariants
// * No borrow of a table is alive while user code runs or while what the user gave us is dropped.
// * A panic in user code ends the call it happened in, is reported, and nothing else.
// * A reactor belongs to one thread. `Remote` is the piece that others may hold.
//
// # Not here
// Sockets (`driver/`), what a connection does (`net/`).

pub(crate) mod counters;
pub(crate) mod current;
mod descriptor;
mod ending;
mod flatten;
pub(crate) mod handle;
mod interval;
mod join;
mod lifecycle;
mod local;
mod mailbox;
mod names;
mod notify;
mod observed;
mod owned_tasks;
mod owner;
mod owners;
mod random;
pub(crate) mod react;
pub(crate) mod remote;
mod reports;
mod run;
#[cfg(any(feature = "signals", feature = "process"))]
mod signal;
#[cfg(feature = "signals")]
mod signals;
pub(crate) mod snapshot;
mod sources;
mod spawn;
mod tasks;
mod threads;
mod time;
mod turn;
mod waiter;
mod watch;

/// What `mailbox.rs` is built of; its model test puts others in their place.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

pub use crate::failure::{ReactorGone, ReactorStopped};
pub use counters::Counters;
pub use descriptor::{Descriptor, ReadDescriptor, WriteDescriptor};
pub(crate) use handle::Reactor;
pub use interval::Interval;
pub use lifecycle::{Event, Phase, ReactorAlreadyRunning, ReactorNotRunning, SystemEventTrigger};
pub use names::Resolver;
pub use owner::{Draining, Left, Owner};
pub use react::ExitStatus;
pub(crate) use remote::Remote;
pub(crate) use reports::FailOnReport;
pub use reports::UnhandledFailure;
#[cfg(any(feature = "signals", feature = "process"))]
pub use signal::Signal;
#[cfg(feature = "signals")]
pub use signals::SignalWatch;
pub use snapshot::{ConnectionSnapshot, Snapshot, TaskSnapshot, TimerSnapshot};
pub(crate) use sources::Source;
pub use threads::{Sendable, WouldDeadlockError};
pub use time::{Sleep, YieldNow};
pub(crate) use waiter::Waiter;
pub use watch::{SlowCallback, Watch};

use crate::buffer::{Cork, Pool};
use crate::clock::Timers;
use crate::driver::Driver;
use crate::failure::{NO_PLACE, catch_panic, report};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What the handles share.
pub(crate) struct Loop {
    pub(crate) driver: Rc<dyn Driver>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) sources: sources::Sources,
    pub(crate) tasks: tasks::Tasks,
    owners: Rc<owners::Owners>,
    pub(crate) counting: counters::Counting,
    observed: Rc<observed::Observed>,
    pub(crate) pool: Pool,
    pub(crate) cork: Cork,
    names: names::Names,
    locals: local::Locals,
    remote: Arc<remote::RemoteShared>,
    life: lifecycle::Lifecycle,
    threads: threads::Threads,
    /// What a run fails with, if reports are errors here. Borrowed to clone and to replace.
    strict: RefCell<Option<Rc<FailOnReport>>>,
    #[cfg(feature = "signals")]
    signals: RefCell<signals::Watched>,
    ending: ending::Ending,
    /// How long a run that is over waits for those that are ending.
    flush_timeout: Cell<Duration>,
}

impl Loop {
    /// One that has nothing to do yet.
    fn new(driver: Rc<dyn Driver>) -> Loop {
        let clock = driver.clone();
        let owners = Rc::<owners::Owners>::default();
        let observed = Rc::<observed::Observed>::default();
        Loop {
            timers: Timers::new(move || clock.now()),
            sources: sources::Sources::new(owners.clone(), observed.clone()),
            tasks: tasks::Tasks::new(owners.clone(), observed.clone()),
            owners,
            counting: counters::Counting::default(),
            observed,
            pool: Pool::default(),
            cork: Cork::new(),
            names: names::Names::default(),
            locals: local::Locals::default(),
            remote: remote::RemoteShared::new(driver.nudge()),
            life: lifecycle::Lifecycle::default(),
            threads: threads::Threads::default(),
            strict: RefCell::default(),
            #[cfg(feature = "signals")]
            signals: RefCell::default(),
            ending: ending::Ending::default(),
            flush_timeout: Cell::new(FLUSH_TIMEOUT),
            driver,
        }
    }
}

/// Time enough for some megabytes over a slow line, and not so much that nobody waits for it.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

thread_local! {
    /// The loop whose turn is under way in this thread. Borrowed to look, never while user code runs.
    static CURRENT: RefCell<Option<Rc<Loop>>> = const { RefCell::new(None) };
}

/// Calls user code that nobody waits for; a panic in it is reported as `what`.
pub(crate) fn run_reporting_panic(what: &str, call: impl FnOnce()) {
    if let Err(failure) = catch_panic(NO_PLACE, call) {
        report(what, &failure);
    }
}
