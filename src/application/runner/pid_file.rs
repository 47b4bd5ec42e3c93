//! The file with the process' number, and the lock on it.
//!
//! # Theory
//! Whether the program runs is told by the lock alone, which the system takes back when the process ends,
//! however it ends: so a number that was left behind misleads nobody. The number is for people and for
//! scripts. A file that another one has just removed may have been locked: so the name is looked at again
//! with the lock held.
//!
//! The lock belongs to the open file: a process that is started in place of this one gets the descriptor,
//! and has the lock as well.

use super::status::{StartError, Status};
use crate::process::ProcessOptions;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Under this name it goes from one process to the next.
const NAME: &str = "@pidfile";

#[derive(Debug)]
pub(super) struct PidFile {
    path: PathBuf,
    file: File,
    /// Somebody else has it now, and removes it.
    is_given_away: Cell<bool>,
}

impl PidFile {
    /// Takes the file that a former process hands over, or locks it and writes this one's number.
    pub(super) fn take(path: &Path, program: &str) -> Result<PidFile, StartError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let what = format!("cannot use the pid file {}", path.display());
        let cannot = |error: io::Error| StartError::of_configuration(&what, &error);
        let inherited = crate::driver::take_inherited(NAME).map_err(cannot)?;
        if let Some(file) = inherited {
            // Its number is still that of who hands it over.
            return Ok(PidFile { path, file: file.into(), is_given_away: Cell::new(false) });
        }
        loop {
            let mut file = open(&path).map_err(cannot)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Err(taken(&path, &mut file, program)),
                locked => locked.map_err(|error| cannot(error.into()))?,
            }
            if !is_named(&file, &path) {
                continue;
            }
            check(&mut file, &path)?;
            let taken = PidFile { path: path.clone(), file, is_given_away: Cell::new(false) };
            taken.write(std::process::id()).map_err(cannot)?;
            return Ok(taken);
        }
    }

    pub(super) fn write(&self, number: u32) -> io::Result<()> {
        self.file.set_len(0)?;
        let mut file = &self.file;
        file.rewind()?;
        writeln!(file, "{number}")
    }

    /// Hands it to a child, which keeps it locked.
    pub(super) fn hand_over(&self, child: ProcessOptions) -> io::Result<ProcessOptions> {
        let copy: OwnedFd = self.file.as_fd().try_clone_to_owned()?;
        Ok(child.hand_over(NAME, copy))
    }

    /// It is that process' from now on.
    pub(super) fn give_away(&self, number: u32) -> io::Result<()> {
        self.is_given_away.set(true);
        self.write(number)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_given_away.get() {
            return;
        }
        // A folder that is not this user's any more, or another root: then the file stays, empty.
        if !(is_named(&self.file, &self.path) && fs::remove_file(&self.path).is_ok()) {
            let _ = self.file.set_len(0);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(flags);
    options.open(path)
}

fn is_named(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (own.dev(), own.ino()) == (named.dev(), named.ino())
}

/// A file with anything but a number in it is somebody else's, and is not written over.
fn check(file: &mut File, path: &Path) -> Result<(), StartError> {
    let content = content(file);
    let is_number = content.trim().bytes().all(|byte| byte.is_ascii_digit());
    if content.len() <= MOST && is_number && file.metadata().is_ok_and(|it| it.is_file()) {
        return Ok(());
    }
    let what = format!("{} is no pid file: it has more than a number in it", path.display());
    Err(StartError::new(Status::Configuration, what))
}

const MOST: usize = 32;

fn content(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is no number.
    if file.take(MOST as u64 + 1).read_to_end(&mut bytes).is_err() {
        bytes = b"?".into();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn taken(path: &Path, file: &mut File, program: &str) -> StartError {
    let content = content(file);
    let number = content.trim();
    let who = if number.is_empty() { String::new() } else { format!(" as process {number}") };
    let what = format!("another {program} runs already{who}: {} is locked", path.display());
    StartError::new(Status::Failed, what)
}
