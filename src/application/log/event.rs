//! One event of a log, before it is written anywhere.

use super::LogLevel;
use crate::failure::{Failure, Report};
use crate::reactor::Owner;
use std::borrow::Cow;
use std::fmt::Display;
use std::time::SystemTime;

/// Something that happened, as observers are told of it.
///
/// Texts and fields are kept as they came; whoever writes them out escapes them.
///
/// ```
/// use ropewalk::application::log::{LogLevel, Logger, captured_logs};
///
/// let logs = captured_logs();
/// Logger::new("mail").event(LogLevel::Warn, "refused").with("peer", "10.0.0.7:4312").emit();
/// let event = &logs.events()[0];
/// assert_eq!((event.namespace(), event.text()), ("mail", "refused"));
/// assert_eq!(event.field("peer"), Some("10.0.0.7:4312"));
/// ```
#[derive(Clone, Debug)]
pub struct LogEvent {
    time: SystemTime,
    level: LogLevel,
    namespace: Cow<'static, str>,
    text: String,
    failure: Option<Failure>,
    fields: Vec<(Cow<'static, str>, String)>,
}

impl LogEvent {
    pub(super) fn new(
        level: LogLevel,
        namespace: Cow<'static, str>,
        text: impl Display,
    ) -> LogEvent {
        let (text, time) = (text.to_string(), super::publisher::now());
        let mut event =
            LogEvent { time, level, namespace, text, failure: None, fields: Vec::new() };
        // What a service says of itself in its own namespace needs no second word.
        if let Some(owner) = Owner::current().filter(|owner| owner.name() != event.namespace) {
            event.add("service".into(), owner.name().to_owned());
        }
        event
    }

    /// What `on_report` tells of.
    pub(super) fn of_report(level: LogLevel, report: &Report<'_>) -> LogEvent {
        let mut event = LogEvent::new(level, "ropewalk".into(), report.what());
        event.failure = Some(report.failure().clone());
        let places = [
            ("peer", report.peer().map(ToString::to_string)),
            ("host", report.host().map(ToString::to_string)),
            ("made", report.made().map(line_of)),
        ];
        for (name, value) in places {
            event.fields.extend(value.map(|value| (name.into(), value)));
        }
        event
    }

    /// When it happened, by the clock of the reactor whose turn it was.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// How much it matters.
    pub fn level(&self) -> LogLevel {
        self.level
    }

    /// Of which part of the program it is.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What happened.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The failure that it tells of.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Names and values, in the order in which they were given.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of the first field of a name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    pub(super) fn add(&mut self, name: Cow<'static, str>, value: String) {
        self.fields.push((name, value));
    }

    pub(super) fn set_failure(&mut self, failure: &Failure) {
        self.failure = Some(failure.clone());
    }
}

/// File and line, without the column.
pub(super) fn line_of(place: &std::panic::Location<'_>) -> String {
    format!("{}:{}", place.file(), place.line())
}
