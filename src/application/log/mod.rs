//! Logs: events with a level and a place in the program, and those who hear of them.
//!
//! ```
//! use ropewalk::application::log::{LogFile, LogFormat, LogLevel, Logger, Rotation, write_to};
//!
//! const LOG: Logger = Logger::new("mail");
//!
//! # let folder = std::env::temp_dir().join(format!("ropewalk-log-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("mail.log");
//! let file = LogFile::open(&path, Rotation::default())?;
//! let writing = write_to(file, LogFormat::Text); // until this is dropped
//! LOG.info("started");
//! LOG.event(LogLevel::Warn, "refused").with("peer", "10.0.0.7:4312").emit();
//! drop(writing);
//! let lines = std::fs::read_to_string(&path)?;
//! assert!(lines.ends_with("Z [mail#warn] refused, peer 10.0.0.7:4312\n"));
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! * Each thread has its observers ([`observe`], [`write_to`], [`LimitedHistory`], [`Syslog`]); threads
//!   without any tell [`observe_other_threads`]'. Without an observer at all, warnings and worse are lines
//!   on standard error.
//! * An event that is logged by what a [`Service`](crate::service::Service) began has a field `service`.
//! * An event's time is that of the reactor whose turn it is. In a simulation that is virtual time: the log
//!   of a seed is the same byte for byte, whenever and wherever it is run.
//! * Lines of one turn leave in one write, at its end; [`LogLevel::Critical`] leaves at once.
//! * Texts may come from anybody: what could end a line, or command a terminal, is written as an escape.
//! * A disk that is full, or a reader that is too slow, never stops the program: lines are lost, counted, and
//!   the count is the first line that can be written again.
//! * [`log_reports`] has what [`on_report`](crate::on_report) hears of be events, too.
//!
//! | Twisted | here |
//! |---|---|
//! | `Logger(namespace)`, `log.info("..")`, `log.failure("..")` | [`Logger::new`], [`Logger::info`], [`Logger::failure`] |
//! | `globalLogPublisher.addObserver` | [`observe`], of one thread |
//! | `LogLevelFilterPredicate` | [`set_level`] |
//! | `textFileLogObserver`, `jsonFileLogObserver` | [`write_to`] with a [`LogFormat`] |
//! | `LogFile`, `DailyLogFile` | [`LogFile`] with a [`Rotation`] |
//! | `LimitedHistoryLogObserver`, `capturedLogs` | [`LimitedHistory`], [`captured_logs`] |
//! | `critical` for each failure that nobody handled | [`LogLevel::Error`]: it is one connection's, and the rest goes on |

// # Not here
// Which of these a program has, and when its files are reopened: the runner.

mod event;
mod file;
mod format;
mod history;
mod level;
mod publisher;
mod syslog;
mod thread;
#[cfg(feature = "tracing")]
mod tracing;
mod writing;

pub use event::LogEvent;
pub use file::{LogFile, Rotation};
pub use format::{LogFormat, timestamp};
pub(super) use format::{escape, push_string};
pub use history::{CapturedLogs, LimitedHistory, captured_logs};
pub use level::{InvalidLogLevelError, LogLevel};
pub use publisher::{Observation, level, log_reports, observe, observe_other_threads, set_level};
pub use syslog::Syslog;
pub use thread::LogThread;
#[cfg(feature = "tracing")]
pub use tracing::{TracingLayer, log_to_tracing};
pub use writing::{LogSink, Written, write_to};

use crate::failure::Failure;
use std::borrow::Cow;
use std::fmt::Display;

/// Logs the events of one part of a program, which its namespace names.
///
/// ```
/// use ropewalk::application::log::{Logger, captured_logs};
///
/// const LOG: Logger = Logger::new("mail");
/// let logs = captured_logs();
/// LOG.warn(format_args!("{} messages wait", 3));
/// assert_eq!(logs.text(), "[mail#warn] 3 messages wait\n");
/// ```
#[derive(Clone, Debug)]
pub struct Logger {
    namespace: Cow<'static, str>,
}

impl Logger {
    /// A logger of this namespace.
    pub const fn new(namespace: &'static str) -> Logger {
        Logger { namespace: Cow::Borrowed(namespace) }
    }

    /// A logger whose namespace was made at run time.
    ///
    /// ```
    /// use ropewalk::application::log::Logger;
    ///
    /// let loggers: Vec<_> = (0..3).map(|n| Logger::named(format!("worker {n}"))).collect();
    /// # drop(loggers);
    /// ```
    pub fn named(namespace: impl Into<String>) -> Logger {
        Logger { namespace: Cow::Owned(namespace.into()) }
    }

    /// Logs what only whoever looks for a fault wants to know.
    pub fn debug(&self, text: impl Display) {
        self.log(LogLevel::Debug, text);
    }

    /// Logs what happens in the course of things.
    pub fn info(&self, text: impl Display) {
        self.log(LogLevel::Info, text);
    }

    /// Logs what may become a fault.
    pub fn warn(&self, text: impl Display) {
        self.log(LogLevel::Warn, text);
    }

    /// Logs that something failed, and the rest goes on.
    pub fn error(&self, text: impl Display) {
        self.log(LogLevel::Error, text);
    }

    /// Logs what somebody has to look at now; it is written out at once.
    pub fn critical(&self, text: impl Display) {
        self.log(LogLevel::Critical, text);
    }

    /// Logs a failure, of level error; `text` says what it came in the way of.
    ///
    /// ```
    /// use ropewalk::Failure;
    /// use ropewalk::application::log::{Logger, captured_logs};
    ///
    /// let logs = captured_logs();
    /// Logger::new("mail").failure("cannot deliver", &Failure::msg("no such mailbox"));
    /// assert!(logs.text().starts_with("[mail#error] cannot deliver: no such mailbox, arose "));
    /// ```
    pub fn failure(&self, text: impl Display, failure: &Failure) {
        self.event(LogLevel::Error, text).failure(failure).emit();
    }

    /// An event to give more to, and to emit; nothing is made of it if its level does not matter.
    #[must_use = "an event is logged by `emit`"]
    pub fn event(&self, level: LogLevel, text: impl Display) -> UnloggedEvent {
        let matters = level >= publisher::level();
        UnloggedEvent(matters.then(|| LogEvent::new(level, self.namespace.clone(), text)))
    }

    /// Whether an event of this level would be heard of.
    ///
    /// ```
    /// use ropewalk::application::log::{LogLevel, Logger};
    ///
    /// assert!(!Logger::new("mail").is_enabled(LogLevel::Debug));
    /// ```
    pub fn is_enabled(&self, level: LogLevel) -> bool {
        level >= publisher::level()
    }

    fn log(&self, level: LogLevel, text: impl Display) {
        self.event(level, text).emit();
    }
}

/// An event that is being made; see [`Logger::event`].
#[derive(Debug)]
#[must_use = "an event is logged by `emit`"]
pub struct UnloggedEvent(Option<LogEvent>);

impl UnloggedEvent {
    /// Gives it a field.
    pub fn with(mut self, name: &'static str, value: impl Display) -> UnloggedEvent {
        if let Some(event) = &mut self.0 {
            event.add(name.into(), value.to_string());
        }
        self
    }

    /// Gives it the failure that it tells of.
    pub fn failure(mut self, failure: &Failure) -> UnloggedEvent {
        if let Some(event) = &mut self.0 {
            event.set_failure(failure);
        }
        self
    }

    /// Tells those who observe this thread.
    pub fn emit(self) {
        if let Some(event) = self.0 {
            publisher::publish(&event);
        }
    }
}
