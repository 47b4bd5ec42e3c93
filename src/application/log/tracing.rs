//! To and from the crate `tracing`: events of libraries that log by it, and ours for who collects by it.
//!
//! # Invariants
//! * With both directions at once no event goes round: what came from here does not come back.

use super::publisher::{Observation, observe, publish};
use super::{LogEvent, LogLevel};
use std::fmt::{Debug, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// A layer for `tracing`: events of libraries that log by it become events of the thread they happen in.
///
/// Their target is the namespace, `TRACE` is of level debug, and fields stay fields.
///
/// ```
/// use ropewalk::application::log::{TracingLayer, captured_logs};
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let logs = captured_logs();
/// let collector = tracing_subscriber::registry::Registry::default().with(TracingLayer);
/// tracing::subscriber::with_default(collector, || {
///     tracing::warn!(target: "hyper", size = 3, "too large");
/// });
/// assert_eq!(logs.text(), "[hyper#warn] too large, size 3\n");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingLayer;

/// The target of what goes from here to `tracing`.
const OURS: &str = "ropewalk::log";

fn level_of(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}

impl<S: Subscriber> Layer<S> for TracingLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = level_of(metadata);
        if metadata.target() == OURS || level < super::level() {
            return;
        }
        let mut found = Found::default();
        event.record(&mut found);
        let namespace = metadata.target().to_owned().into();
        let mut logged = LogEvent::new(level, namespace, found.text);
        for (name, value) in found.fields {
            logged.add(name.into(), value);
        }
        publish(&logged);
    }
}

#[derive(Default)]
struct Found {
    text: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Found {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Infallible for a string; a value's own error leaves what there is.
            let _ = write!(self.text, "{value:?}");
        } else {
            self.fields.push((field.name(), format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.text.push_str(value),
            name => self.fields.push((name, value.to_owned())),
        }
    }
}

/// Has this thread's events be events of `tracing` as well, of the target `ropewalk::log`, until what is
/// returned is dropped.
///
/// ```
/// use ropewalk::application::log::{Logger, log_to_tracing};
///
/// let observation = log_to_tracing();
/// Logger::new("mail").info("whoever collects by tracing hears of this");
/// # drop(observation);
/// ```
pub fn log_to_tracing() -> Observation {
    observe(|event| {
        let (namespace, text) = (event.namespace(), event.text());
        let failure = event.failure().map(ToString::to_string);
        let failure = failure.as_deref();
        let fields: Vec<_> = event.fields().collect();
        let fields = tracing::field::debug(&fields);
        match event.level() {
            LogLevel::Debug => tracing::debug!(target: OURS, namespace, failure, fields, "{text}"),
            LogLevel::Info => tracing::info!(target: OURS, namespace, failure, fields, "{text}"),
            LogLevel::Warn => tracing::warn!(target: OURS, namespace, failure, fields, "{text}"),
            LogLevel::Error | LogLevel::Critical => {
                tracing::error!(target: OURS, namespace, failure, fields, "{text}");
            }
        }
    })
}
