//! Who hears of events, and from when on they matter.
//!
//! # Theory
//! Each thread has observers of its own, as it has a reactor of its own: an observer may hold what is no
//! other thread's. A thread without any (one of the pool's, say) tells the one observer of all of them,
//! and where there is none either, warnings and worse are lines on standard error.
//!
//! # Invariants
//! * No borrow is alive while an observer runs.
//! * What an observer logs itself is for standard error alone, or it would hear of that too, without end.

use super::format::text_line;
use super::{LogEvent, LogLevel};
use crate::failure::{on_peer_fault, on_report};
use crate::reactor::Reactor;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

type Observer = Rc<dyn Fn(&LogEvent)>;
type SharedObserver = Arc<dyn Fn(&LogEvent) + Send + Sync>;

thread_local! {
    /// In order of addition. Borrowed to copy, to push and to remove.
    static OBSERVERS: RefCell<Vec<Observer>> = const { RefCell::new(Vec::new()) };
    static IS_TELLING: Cell<bool> = const { Cell::new(false) };
    static LEVEL: Cell<LogLevel> = const { Cell::new(LogLevel::Info) };
}

/// For threads that have none of their own. Locked to copy and to replace.
static SHARED: Mutex<Option<SharedObserver>> = Mutex::new(None);

fn shared() -> MutexGuard<'static, Option<SharedObserver>> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hears, until what is returned is dropped, of every event that this thread logs.
///
/// ```
/// use ropewalk::application::log::{Logger, observe};
/// use std::{cell::Cell, rc::Rc};
///
/// let count = Rc::new(Cell::new(0));
/// let events = count.clone();
/// let observation = observe(move |_| events.set(events.get() + 1));
/// Logger::new("mail").info("started");
/// drop(observation);
/// Logger::new("mail").info("nobody hears of this");
/// assert_eq!(count.get(), 1);
/// ```
#[doc(alias = "addObserver")]
pub fn observe(observer: impl Fn(&LogEvent) + 'static) -> Observation {
    let observer: Observer = Rc::new(observer);
    OBSERVERS.with_borrow_mut(|observers| observers.push(observer.clone()));
    Observation(observer)
}

/// Hears from now on of the events of all threads that have no observer of their own.
///
/// Threads of the pool have none, for example, and so has a thread that a library started.
///
/// ```
/// use ropewalk::application::log::{Logger, observe_other_threads};
///
/// observe_other_threads(|event| println!("{}", event.text()));
/// std::thread::spawn(|| Logger::new("worker").info("started")).join().unwrap();
/// ```
pub fn observe_other_threads(observer: impl Fn(&LogEvent) + Send + Sync + 'static) {
    let former = shared().replace(Arc::new(observer));
    drop(former);
}

/// While it lives, its observer hears of this thread's events; see [`observe`].
#[must_use = "dropping it ends the observation"]
pub struct Observation(Observer);

impl Observation {
    /// Lets the observer hear for as long as the thread lives.
    ///
    /// ```
    /// ropewalk::application::log::observe(|event| println!("{}", event.text())).forever();
    /// ```
    pub fn forever(self) {
        std::mem::forget(self);
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation").finish_non_exhaustive()
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        // A thread that is ending has no observers any more.
        let _ = OBSERVERS.try_with(|observers| {
            let mut observers = observers.borrow_mut();
            if let Some(place) = observers.iter().position(|it| Rc::ptr_eq(it, &self.0)) {
                // Not the last: what the observer holds is dropped with `self`, after the borrow.
                observers.remove(place);
            }
        });
    }
}

/// Events below this level are not logged by this thread; [`LogLevel::Info`] unless set.
///
/// ```
/// use ropewalk::application::log::{Logger, LogLevel, captured_logs, level, set_level};
///
/// let logs = captured_logs();
/// set_level(LogLevel::Error);
/// Logger::new("mail").warn("not heard of");
/// assert!(logs.events().is_empty());
/// assert_eq!(level(), LogLevel::Error);
/// ```
pub fn set_level(level: LogLevel) {
    LEVEL.set(level);
}

/// The level that [`set_level`] set.
pub fn level() -> LogLevel {
    // A thread that is ending has the default again.
    LEVEL.try_with(Cell::get).unwrap_or_default()
}

/// Has this thread's failures that nobody handled be events of level error, of the namespace `ropewalk`,
/// and the faults of peers events of level debug.
///
/// It takes the place of [`on_report`] and [`on_peer_fault`].
///
/// ```
/// use ropewalk::application::log::{captured_logs, log_reports};
///
/// log_reports();
/// let logs = captured_logs();
/// drop(ropewalk::fail::<()>(ropewalk::Failure::msg("lost")));
/// assert_eq!(logs.events()[0].text(), "unhandled failure in Deferred");
/// assert_eq!(logs.events()[0].failure().unwrap().to_string(), "lost");
/// ```
pub fn log_reports() {
    on_report(|report| publish(&LogEvent::of_report(LogLevel::Error, report)));
    on_peer_fault(|report| {
        if level() <= LogLevel::Debug {
            publish(&LogEvent::of_report(LogLevel::Debug, report));
        }
    });
}

/// The time of the reactor whose turn it is, or else the system's.
pub(super) fn now() -> SystemTime {
    Reactor::current().map_or_else(SystemTime::now, |reactor| reactor.system_time())
}

/// Tells all who observe this thread.
pub(super) fn publish(event: &LogEvent) {
    let observers = OBSERVERS.try_with(|observers| observers.borrow().clone()).unwrap_or_default();
    let is_nested = IS_TELLING.try_with(|telling| telling.replace(true)).unwrap_or(false);
    if is_nested {
        return print(event);
    }
    for observer in &observers {
        tell(&**observer, event);
    }
    if observers.is_empty() {
        let shared = shared().clone();
        match shared {
            Some(observer) => tell(&*observer, event),
            None if event.level() >= LogLevel::Warn => print(event),
            None => {}
        }
    }
    let _ = IS_TELLING.try_with(|telling| telling.set(false));
}

fn tell(observer: &dyn Fn(&LogEvent), event: &LogEvent) {
    if catch_unwind(AssertUnwindSafe(|| observer(event))).is_err() {
        print(event);
    }
}

fn print(event: &LogEvent) {
    // Not `eprintln!`: that panics when standard error is closed.
    let _ = std::io::stderr().write_all(text_line(event).as_bytes());
}
