//! Events as bytes: lines of text, and lines of JSON.
//!
//! # Invariants
//! * An event is one line, whatever it tells: what could end it, or have a terminal do something, is
//!   written as an escape. So are the marks that change the direction of writing, which make a line read
//!   otherwise than it is.
//! * Times are UTC: the zone of the machine is known to no safe code, and would repeat an hour once a year.

use super::event::line_of;
use super::{LogEvent, LogLevel};
use crate::failure::Failure;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `2026-11-28T16:26:12.123456Z [mail#info] started`, fields and places behind.
    #[default]
    Text,
    /// An object with Twisted's keys: `log_time` (seconds since 1970), `log_level`, `log_namespace`,
    /// `log_text`, `log_failure`, then the fields.
    Json,
}

impl LogFormat {
    /// The event as one line, with its end.
    ///
    /// ```
    /// use ropewalk::application::log::{LogFormat, Logger, captured_logs};
    ///
    /// let logs = captured_logs();
    /// Logger::new("mail").info("a\nb");
    /// let event = &logs.events()[0];
    /// assert!(LogFormat::Text.line(event).ends_with("Z [mail#info] a\\nb\n"));
    /// assert!(LogFormat::Json.line(event).contains(r#""log_text":"a\nb""#));
    /// ```
    pub fn line(self, event: &LogEvent) -> String {
        match self {
            LogFormat::Text => text_line(event),
            LogFormat::Json => json_line(event),
        }
    }
}

pub(super) fn text_line(event: &LogEvent) -> String {
    let mut line = timestamp(event.time());
    line.push(' ');
    push_untimed(&mut line, event);
    line
}

pub(super) fn untimed_line(event: &LogEvent) -> String {
    let mut line = String::new();
    push_untimed(&mut line, event);
    line
}

fn push_untimed(line: &mut String, event: &LogEvent) {
    line.push('[');
    escape(line, event.namespace());
    line.push('#');
    line.push_str(&event.level().to_string());
    line.push_str("] ");
    push_text(line, event);
    line.push('\n');
}

/// The text with all that belongs to it, without a line's end.
pub(super) fn push_text(line: &mut String, event: &LogEvent) {
    escape(line, event.text());
    if let Some(failure) = event.failure() {
        for error in failure.chain() {
            line.push_str(": ");
            escape(line, &error.to_string());
        }
    }
    for (name, value) in event.fields() {
        line.push_str(", ");
        escape(line, name);
        line.push(' ');
        escape(line, value);
    }
    if let Some(place) = event.failure().and_then(Failure::location) {
        line.push_str(", arose ");
        escape(line, &line_of(place));
    }
}

/// Control characters as the escapes that Rust and C know.
pub(in crate::application) fn escape(into: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            c if is_unsafe_to_show(c) => push_code(into, c),
            c => into.push(c),
        }
    }
}

fn push_code(into: &mut String, character: char) {
    let code = u32::from(character);
    let written =
        if code < 0x80 { write!(into, "\\x{code:02x}") } else { write!(into, "\\u{{{code:x}}}") };
    written.expect("writing to a string cannot fail");
}

fn is_unsafe_to_show(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

fn json_line(event: &LogEvent) -> String {
    let since = since_epoch(event.time());
    let mut line = format!("{{\"log_time\":{}.{:06}", since.as_secs(), since.subsec_micros());
    push_member(&mut line, "log_level", &event.level().to_string());
    push_member(&mut line, "log_namespace", event.namespace());
    push_member(&mut line, "log_text", event.text());
    if let Some(failure) = event.failure() {
        line.push_str(",\"log_failure\":{\"because\":[");
        for (place, error) in failure.chain().enumerate() {
            if place > 0 {
                line.push(',');
            }
            push_string(&mut line, &error.to_string());
        }
        line.push(']');
        if let Some(place) = failure.location() {
            push_member(&mut line, "arose", &line_of(place));
        }
        line.push('}');
    }
    let mut seen: Vec<&str> = OWN_KEYS.to_vec();
    for (name, value) in event.fields() {
        // Two members of one name are read as either, or as an error.
        if !seen.contains(&name) {
            push_member(&mut line, name, value);
            seen.push(name);
        }
    }
    line.push_str("}\n");
    line
}

const OWN_KEYS: [&str; 5] = ["log_time", "log_level", "log_namespace", "log_text", "log_failure"];

/// Not the first of its object.
fn push_member(line: &mut String, name: &str, value: &str) {
    line.push(',');
    push_string(line, name);
    line.push(':');
    push_string(line, value);
}

pub(in crate::application) fn push_string(line: &mut String, text: &str) {
    line.push('"');
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if is_unsafe_to_show(c) => {
                // All of these are below 0x10000.
                write!(line, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// What a writer says of lines that could not be written.
pub(super) fn line_of_loss(format: LogFormat, lost: u64, why: &str) -> String {
    let lines = if lost == 1 { "line" } else { "lines" };
    let text = format!("{lost} {lines} of this log were lost: {why}");
    format.line(&LogEvent::new(LogLevel::Error, "ropewalk".into(), text))
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A time as RFC 3339 has it, in UTC and to the microsecond.
///
/// ```
/// use ropewalk::application::log::timestamp;
/// use std::time::UNIX_EPOCH;
///
/// assert_eq!(timestamp(UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
/// ```
pub fn timestamp(time: SystemTime) -> String {
    let since = since_epoch(time);
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let date = date_of(days);
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

/// The date of a time, as `2026-11-28`.
pub(super) fn date(time: SystemTime) -> String {
    date_of(since_epoch(time).as_secs() / 86_400)
}

/// The date that lies so many days after 1970-01-01, in the calendar of today.
fn date_of(days: u64) -> String {
    // Counted from a March, so that the day that may be missing is a year's last.
    const DAYS_BEFORE_1970: u64 = 719_468;
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days + DAYS_BEFORE_1970;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let months_since_march = (5 * day + 2) / 153;
    let day = day - (153 * months_since_march + 2) / 5 + 1;
    let month =
        if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> String {
        timestamp(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(951_868_800), "2000-03-01T00:00:00.000000Z");
        assert_eq!(at(1_795_883_172), "2026-11-28T16:26:12.000000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000Z");
    }

    fn event(text: &str) -> LogEvent {
        LogEvent::new(LogLevel::Info, "a".into(), text)
    }

    #[test]
    fn whatever_a_peer_sends_is_one_line_that_no_terminal_obeys() {
        let all: String = (0..0x3000).filter_map(char::from_u32).collect();
        for line in [text_line(&event(&all)), json_line(&event(&all))] {
            let body = line.strip_suffix('\n').unwrap();
            assert!(!body.chars().any(is_unsafe_to_show));
        }
        assert_eq!(untimed_line(&event("\x1b[2J\u{202e}")), "[a#info] \\x1b[2J\\u{202e}\n");
    }

    #[test]
    fn a_field_of_a_name_that_is_taken_is_left_out_of_the_object() {
        let mut event = event("t");
        event.add("log_text".into(), "other".into());
        event.add("peer".into(), "p".into());
        event.add("peer".into(), "q".into());
        let line = json_line(&event);
        assert!(line.ends_with("\"log_text\":\"t\",\"peer\":\"p\"}\n"), "{line}");
    }

    #[test]
    fn a_failure_comes_with_what_lies_under_it_and_its_place() {
        let mut event = event("cannot save");
        event.set_failure(&Failure::from(std::io::Error::other(std::fmt::Error)));
        let line = untimed_line(&event);
        let under = std::fmt::Error.to_string();
        assert!(line.starts_with(&format!("[a#info] cannot save: {under}")), "{line}");
        assert!(line.contains(&format!(", arose {}:", file!())), "{line}");
        assert!(json_line(&event).contains("\"log_failure\":{\"because\":["), "{line}");
    }
}
