//! Going into the background: the program is started again in a session of its own, and the first process
//! waits until that one is ready, or says why it is not.
//!
//! # Theory
//! A process that forks and goes on would need code between fork and exec that no safe code can be. So the
//! same program is started with the same arguments, and its standard output is a pipe to the process that
//! waits; that it is the daemon, it sees from the name of that pipe among what it was handed.
//!
//! Through the pipe comes one line: `ready`, or a status and why. An end without a line is a death.

use super::status::StartError;
use crate::driver::{HANDED_OVER, take_inherited};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write, pipe};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The pipe to whoever waits, by its name among what was handed over.
const DAEMON: &str = "@daemon";
/// The same for a process that is started in place of another.
pub(super) const READY: &str = "@ready";

/// What a process was started as, and whom to tell that it is ready.
#[derive(Debug)]
pub(super) enum Start {
    /// By hand or by a manager.
    Ordinary,
    /// As the daemon of a process that waits.
    Daemon(File),
    /// In place of another process, which goes on until this one is ready.
    Successor(File),
}

impl Start {
    /// What the descriptors say that were handed over.
    pub(super) fn find() -> io::Result<Start> {
        if let Some(pipe) = take_inherited(DAEMON)? {
            // What it printed would come to whoever waits.
            let nothing = File::options().read(true).write(true).open("/dev/null")?;
            rustix::stdio::dup2_stdout(&nothing)?;
            // The terminal's signals are not for it any more.
            rustix::process::setsid()?;
            return Ok(Start::Daemon(pipe.into()));
        }
        Ok(take_inherited(READY)?.map_or(Start::Ordinary, |pipe| Start::Successor(pipe.into())))
    }

    pub(super) fn is_daemon(&self) -> bool {
        matches!(self, Start::Daemon(_))
    }

    pub(super) fn is_successor(&self) -> bool {
        matches!(self, Start::Successor(_))
    }

    /// Tells whoever waits, if somebody does, how it went; the pipe is closed by that.
    pub(super) fn tell(self, outcome: &Result<(), StartError>) {
        let (Start::Daemon(mut pipe) | Start::Successor(mut pipe)) = self else { return };
        let line = match outcome {
            Ok(()) => "ready\n".to_owned(),
            Err(error) => format!("{} {error}\n", error.status().code()),
        };
        // Whoever waited may have gone.
        let _ = pipe.write_all(line.as_bytes());
    }
}

/// Reads what a [`Start`] tells.
pub(super) fn hear(told: impl io::Read) -> Result<(), (u8, String)> {
    let mut line = String::new();
    // A pipe that fails has told nothing.
    let _ = BufReader::new(told).read_line(&mut line);
    match line.trim_end().split_once(' ') {
        None if line == "ready\n" => Ok(()),
        Some((status, why)) => Err((status.parse().unwrap_or(1), why.to_owned())),
        None => Err((1, "it ended before it was ready".to_owned())),
    }
}

/// Starts this program as a daemon, waits until it is ready, and gives the process' status.
pub(super) fn detach(arguments: &[OsString]) -> Result<(), (u8, String)> {
    let start = || {
        let (read, write) = pipe()?;
        let null = Stdio::null;
        let mut command = Command::new(program()?);
        command.args(arguments).stdin(null()).stdout(write).stderr(null());
        command.env(HANDED_OVER, format!("{DAEMON}:1"));
        let child = command.spawn()?;
        // Its end of the pipe is in there as well.
        drop(command);
        Ok((read, child))
    };
    let (told, _child) =
        start().map_err(|error: io::Error| (1, format!("cannot start it: {error}")))?;
    hear(told)
}

/// The file of this program, by the name that it was started by: another may lie there by now, and that is
/// the one that is wanted.
pub(super) fn program() -> io::Result<PathBuf> {
    let Some(name) = std::env::args_os().next().map(PathBuf::from) else {
        return std::env::current_exe();
    };
    if name.components().count() > 1 {
        return std::path::absolute(name);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|it| it.is_file());
    found.map_or_else(std::env::current_exe, Ok)
}
