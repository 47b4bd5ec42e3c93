//! What every program that is run by a runner understands; the letters are twistd's.

use super::status::{StartError, Status};
use crate::application::log::{LogFile, LogFormat, LogLevel, Rotation};
use bpaf::{Parser, construct, long};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a program is to be run.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) process: ProcessSettings,
    pub(super) log: LogSettings,
    /// As the application says unless this does.
    pub(super) drain: Option<Duration>,
    pub(super) prints_unit: bool,
}

#[derive(Clone, Debug)]
pub(super) struct ProcessSettings {
    pub(super) daemonize: bool,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) directory: Option<PathBuf>,
    pub(super) root: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
    pub(super) umask: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) struct LogSettings {
    pub(super) file: Option<PathBuf>,
    pub(super) syslog: bool,
    pub(super) level: LogLevel,
    pub(super) format: LogFormat,
    pub(super) rotation: Rotation,
    pub(super) is_asynchronous: bool,
}

pub(super) fn settings() -> impl Parser<Settings> {
    let (process, log) = (process(), log());
    let drain = long("drain")
        .help("Give connections and services so many seconds to end; 30 unless said")
        .argument::<u64>("SECONDS")
        .last()
        .map(Duration::from_secs)
        .optional();
    let prints_unit = long("unit").help("Print a unit file for systemd, and end").switch();
    construct!(Settings { process, log, drain, prints_unit })
}

fn process() -> impl Parser<ProcessSettings> {
    let no_daemon =
        long("nodaemon").short('n').help("Stay in the foreground (the default)").switch();
    let daemonize = long("daemonize").help("Go on in the background once it is ready").switch();
    let daemonize = construct!(no_daemon, daemonize).map(|(stay, go)| go && !stay);
    let pid_file = long("pidfile")
        .help("Keep the process' number in a file, locked while it runs")
        .argument::<PathBuf>("FILE")
        .optional();
    let directory = long("rundir")
        .short('d')
        .help("Change to this directory")
        .argument::<PathBuf>("DIRECTORY")
        .optional();
    let root = long("chroot")
        .help("Have this directory be the root, once ports are open")
        .argument::<PathBuf>("DIRECTORY")
        .optional();
    let user = long("uid")
        .short('u')
        .help("Run as this user, a name or a number, once ports are open")
        .argument::<String>("USER")
        .optional();
    let group = long("gid")
        .short('g')
        .help("Run as this group; the user's own unless said")
        .argument::<String>("GROUP")
        .optional();
    let umask = long("umask")
        .help("Take these bits from the mode of new files; 077 in the background")
        .argument::<String>("OCTAL")
        .parse(|text| octal(&text))
        .optional();
    construct!(ProcessSettings { daemonize, pid_file, directory, root, user, group, umask })
}

fn log() -> impl Parser<LogSettings> {
    let file = long("logfile")
        .short('l')
        .help("Log to this file; - is standard error, the default in the foreground")
        .argument::<PathBuf>("FILE")
        .optional();
    let syslog = long("syslog").help("Log to the system's log").switch();
    let level = long("log-level")
        .help("Log from debug, info (the default), warn, error or critical on")
        .argument::<LogLevel>("LEVEL")
        .last()
        .fallback(LogLevel::Info);
    let format = long("log-json").help("Log objects of JSON, one a line").switch();
    let format = format.map(|json| if json { LogFormat::Json } else { LogFormat::Text });
    let size = long("log-size")
        .help("Begin a new file at this size: 10M (the default), 0 never, or daily")
        .argument::<String>("SIZE")
        .parse(|text| size(&text))
        .last()
        .fallback(Some(10 << 20));
    let keep = long("log-keep")
        .help("Keep so many old files; 10 unless said")
        .argument::<u32>("NUMBER")
        .last()
        .fallback(10);
    let rotation = construct!(size, keep).map(|(size, keep)| match size {
        Some(0) => Rotation::Never,
        Some(bytes) => Rotation::Size { bytes, keep },
        None => Rotation::Daily,
    });
    let is_asynchronous = long("log-async").help("Log from a thread of its own").switch();
    construct!(LogSettings { file, syslog, level, format, rotation, is_asynchronous })
}

fn octal(text: &str) -> Result<u32, String> {
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777);
    mask.ok_or_else(|| "a umask is three octal digits, as in 027".into())
}

/// Bytes; `None` for daily.
fn size(text: &str) -> Result<Option<u64>, String> {
    if text.eq_ignore_ascii_case("daily") {
        return Ok(None);
    }
    let (digits, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        Some((at, _)) => text.split_at(at),
        None => (text, ""),
    };
    let factor = match unit.to_ascii_lowercase().trim_end_matches('b') {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => 0,
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    let bytes = bytes.filter(|_| factor > 0);
    bytes.map(Some).ok_or_else(|| "a size is a number and k, M or G, as in 10M; or daily".into())
}

impl LogSettings {
    /// Where lines go if not to standard error.
    pub(super) fn path(&self, is_daemon: bool, program: &str) -> Option<PathBuf> {
        match &self.file {
            Some(file) if file == Path::new("-") => None,
            Some(file) => Some(file.clone()),
            // Nobody sees its standard error.
            None if is_daemon && !self.syslog => Some(format!("{program}.log").into()),
            None => None,
        }
    }

    pub(super) fn open(&self, path: &Path) -> Result<LogFile, StartError> {
        let cannot = format!("cannot log to {}", path.display());
        LogFile::open(path, self.rotation)
            .map_err(|error| StartError::of_configuration(cannot, &error))
    }
}

/// The options in a file: one a line, without the dashes; a value follows its name after a blank or `=`.
pub(super) fn read_config(path: &Path) -> Result<Vec<String>, StartError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        StartError::of_configuration(format!("cannot read {}", path.display()), &error)
    })?;
    let mut arguments = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) =
            line.split_once(|c: char| c == '=' || c.is_whitespace()).unwrap_or((line, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name.starts_with('-') || !name.chars().all(is_name) {
            let what = format!("{}: line {}: {line:?} is no option", path.display(), number + 1);
            return Err(StartError::new(Status::Configuration, what));
        }
        let value = value.trim_start_matches(|c: char| c == '=' || c.is_whitespace());
        match value {
            "" => arguments.push(format!("--{name}")),
            value => arguments.push(format!("--{name}={value}")),
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_masks_are_read_and_what_is_neither_is_told() {
        assert_eq!(size("10M"), Ok(Some(10 << 20)));
        assert_eq!(size("512kb"), Ok(Some(512 << 10)));
        assert_eq!(size("0"), Ok(Some(0)));
        assert_eq!(size("daily"), Ok(None));
        for bad in ["", "M", "10X", "-1", "99999999999999999999", "99999999999G"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(octal("027"), Ok(0o27));
        assert!(octal("8").is_err() && octal("7777").is_err());
    }
}
