//! The last events, and those of a test.

use super::LogEvent;
use super::publisher::{Observation, observe};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

/// The last events of this thread, for whoever comes to look later; clones share them.
///
/// ```
/// use ropewalk::application::log::{LimitedHistory, Logger};
///
/// let history = LimitedHistory::new(2);
/// for n in 0..5 {
///     Logger::new("mail").info(n);
/// }
/// let texts: Vec<_> = history.events().iter().map(|event| event.text().to_owned()).collect();
/// assert_eq!(texts, ["3", "4"]);
/// ```
#[derive(Clone)]
#[doc(alias = "LimitedHistoryLogObserver")]
pub struct LimitedHistory {
    ring: Rc<Ring>,
    /// Of the ring, which the observer holds weakly.
    _observation: Rc<Observation>,
}

struct Ring {
    limit: usize,
    /// The oldest first. Borrowed to copy all, to push one and to pop one.
    events: RefCell<VecDeque<LogEvent>>,
}

impl LimitedHistory {
    /// So many events are kept unless told otherwise.
    pub const LIMIT: usize = 1000;

    /// Begins to keep events, no more than `limit`.
    pub fn new(limit: usize) -> LimitedHistory {
        let ring = Rc::new(Ring { limit, events: RefCell::default() });
        let kept = Rc::downgrade(&ring);
        let observation = observe(move |event| {
            if let Some(ring) = kept.upgrade() {
                ring.add(event.clone());
            }
        });
        LimitedHistory { ring, _observation: Rc::new(observation) }
    }

    /// The events, the oldest first.
    #[doc(alias = "replayTo")]
    pub fn events(&self) -> Vec<LogEvent> {
        self.ring.events.borrow().iter().cloned().collect()
    }
}

impl Default for LimitedHistory {
    fn default() -> LimitedHistory {
        LimitedHistory::new(LimitedHistory::LIMIT)
    }
}

impl Ring {
    fn add(&self, event: LogEvent) {
        if self.limit == 0 {
            return;
        }
        let is_full = self.events.borrow().len() >= self.limit;
        let oldest = if is_full { self.events.borrow_mut().pop_front() } else { None };
        self.events.borrow_mut().push_back(event);
        // Last: a failure in it may hold a value of the user's.
        drop(oldest);
    }
}

impl fmt::Debug for LimitedHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.ring.events.borrow().len();
        f.debug_struct("LimitedHistory").field("kept", &kept).finish_non_exhaustive()
    }
}

/// Keeps the events that this thread logs from now on, all of them, for a test to look at.
///
/// ```
/// use ropewalk::application::log::{Logger, captured_logs};
///
/// let logs = captured_logs();
/// Logger::new("mail").info("started");
/// assert_eq!(logs.text(), "[mail#info] started\n");
/// ```
#[doc(alias = "capturedLogs")]
pub fn captured_logs() -> CapturedLogs {
    CapturedLogs(LimitedHistory::new(usize::MAX))
}

/// What [`captured_logs`] keeps.
#[derive(Clone, Debug)]
pub struct CapturedLogs(LimitedHistory);

impl CapturedLogs {
    /// The events, the oldest first.
    pub fn events(&self) -> Vec<LogEvent> {
        self.0.events()
    }

    /// Them as lines, without their times.
    pub fn text(&self) -> String {
        self.events().iter().map(super::format::untimed_line).collect()
    }
}
