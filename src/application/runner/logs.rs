//! The log of a program, as its options say.

use super::options::LogSettings;
use super::privileges::Identity;
use super::status::StartError;
use crate::application::log::{
    LogEvent, LogFile, LogFormat, LogLevel, LogSink, LogThread, Observation, Syslog, log_reports,
    observe_other_threads, set_level, write_to,
};
use std::io;
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
pub(super) struct Logs {
    file: Option<LogFile>,
    _syslog: Option<Syslog>,
    /// Lines go where they go while it lives.
    _writing: Option<Observation>,
}

impl Logs {
    /// Opens what the options name, for this thread and all others; failures that nobody handled go there too.
    pub(super) fn open(
        settings: &LogSettings,
        is_daemon: bool,
        program: &str,
        identity: Option<&Identity>,
    ) -> Result<Logs, StartError> {
        set_level(settings.level);
        log_reports();
        let path = settings.path(is_daemon, program);
        let file = path.map(|path| settings.open(&path)).transpose()?;
        if let (Some(file), Some(identity)) = (&file, identity) {
            let given = file.set_owner(identity.user(), identity.group());
            given.map_err(|error| StartError::of_system("cannot give the log away", &error))?;
        }
        let syslog = settings.syslog.then(|| Syslog::open(Syslog::PATH, program)).transpose();
        let cannot =
            |error| StartError::of_system(format_args!("no log at {}", Syslog::PATH), &error);
        let syslog = syslog.map_err(cannot)?;
        let format = settings.format;
        let is_asynchronous = settings.is_asynchronous;
        let writing = match &file {
            Some(file) => {
                share(file.clone(), format, settings.level);
                Some(begin(file.clone(), format, is_asynchronous)?)
            }
            None if syslog.is_some() => None,
            None => {
                share(io::stderr(), format, settings.level);
                Some(begin(io::stderr(), format, is_asynchronous)?)
            }
        };
        Ok(Logs { file, _syslog: syslog, _writing: writing })
    }

    /// The next line opens the file by its name.
    pub(super) fn reopen(&self) {
        if let Some(file) = &self.file {
            file.reopen();
        }
    }

    /// Whether what is logged can be seen where the program was started.
    pub(super) fn is_on_screen(&self) -> bool {
        self.file.is_none() && self._syslog.is_none()
    }
}

fn begin(
    sink: impl LogSink + Send + 'static,
    format: LogFormat,
    is_asynchronous: bool,
) -> Result<Observation, StartError> {
    if !is_asynchronous {
        return Ok(write_to(sink, format));
    }
    let thread = LogThread::new(sink, format, LogThread::LIMIT);
    let cannot = |error| StartError::of_system("cannot start the log's thread", &error);
    Ok(write_to(thread.map_err(cannot)?, format))
}

/// Events of threads without observers are lines there as well, each in a write of its own.
fn share(sink: impl LogSink + Send + 'static, format: LogFormat, level: LogLevel) {
    let sink = Mutex::new(sink);
    observe_other_threads(move |event: &LogEvent| {
        if event.level() >= level {
            let line = format.line(event);
            // What is lost here is not counted: these threads have no turn in which it could be told.
            let _ =
                sink.lock().unwrap_or_else(PoisonError::into_inner).write_lines(line.as_bytes());
        }
    });
}
