//! How much an event matters.

use std::fmt;
use std::str::FromStr;

/// How much an event matters; the later, the more.
///
/// ```
/// use ropewalk::application::log::LogLevel;
///
/// assert!(LogLevel::Debug < LogLevel::Critical);
/// assert_eq!("warn".parse(), Ok(LogLevel::Warn));
/// assert_eq!(LogLevel::Warn.to_string(), "warn");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// For whoever looks for a fault.
    Debug,
    /// What happens in the course of things.
    #[default]
    Info,
    /// It may become a fault.
    Warn,
    /// Something failed, and the rest goes on.
    Error,
    /// Somebody has to look at it now.
    Critical,
}

impl LogLevel {
    const ALL: [LogLevel; 5] =
        [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Critical];

    fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        }
    }

    /// As syslog counts them, where 0 is the worst.
    pub(super) fn severity(self) -> u8 {
        match self {
            LogLevel::Debug => 7,
            LogLevel::Info => 6,
            LogLevel::Warn => 4,
            LogLevel::Error => 3,
            LogLevel::Critical => 2,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLogLevelError;

impl fmt::Display for InvalidLogLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a level is one of debug, info, warn, error, critical")
    }
}

impl std::error::Error for InvalidLogLevelError {}

impl FromStr for LogLevel {
    type Err = InvalidLogLevelError;

    fn from_str(text: &str) -> Result<LogLevel, InvalidLogLevelError> {
        let named = |level: &LogLevel| level.name().eq_ignore_ascii_case(text);
        LogLevel::ALL.into_iter().find(named).ok_or(InvalidLogLevelError)
    }
}
