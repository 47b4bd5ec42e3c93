//! A log file: it is appended to, turned over by size or day, and opened anew when asked.
//!
//! # Theory
//! The file's folder is opened once and the file is named within it ever after: so a program that has left
//! for another root or another user still finds its place. A folder that was itself moved away and made
//! anew is looked for by its path.
//!
//! Others rename log files as well (logrotate, a second process after a restart in place). Before this one
//! turns its file over it looks whether the name still is the file's; if not, somebody was faster, and what
//! is there now, or a new one, is opened. Processes of this crate keep each other away by a lock on the
//! folder meanwhile. Nothing is ever removed but what lies beyond the number to keep.
//!
//! # Invariants
//! * A line goes to one file, whole, whatever happens to names meanwhile: names are changed between writes.
//! * What fails while a file is turned over is told, once, in the file that is open, which goes on.

use super::format::{date, timestamp};
use super::writing::{LogSink, Written};
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, flock};
use rustix::fs::{openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// When a log file is put aside and a new one begun.
///
/// ```
/// use ropewalk::application::log::Rotation;
///
/// assert_eq!(Rotation::default(), Rotation::Size { bytes: 10 << 20, keep: 10 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// By others only, who then ask to [`reopen`](LogFile::reopen) it.
    Never,
    /// Before it would be over so many bytes; `mail.log` becomes `mail.log.1`, that `mail.log.2`, and
    /// `keep` such are kept.
    Size {
        /// No file is larger, but for one whose lines of one turn are.
        bytes: u64,
        /// So many old files stay.
        keep: u32,
    },
    /// With the first line of a day, in UTC; `mail.log` becomes `mail.log.2026-11-28`, and stays.
    Daily,
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation::Size { bytes: 10 << 20, keep: 10 }
    }
}

/// A file that lines are appended to; clones, which may be in other threads, share it.
///
/// ```
/// use ropewalk::application::log::{LogFile, LogFormat, Logger, Rotation, write_to};
///
/// # let folder = std::env::temp_dir().join(format!("ropewalk-log-file-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("mail.log");
/// let file = LogFile::open(&path, Rotation::Never)?;
/// let writing = write_to(file.clone(), LogFormat::Text);
/// Logger::new("mail").info("one");
/// std::fs::rename(&path, path.with_extension("old"))?; // as logrotate does
/// file.reopen();
/// Logger::new("mail").info("two");
/// assert!(std::fs::read_to_string(&path)?.ends_with("two\n"));
/// # drop(writing);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
#[doc(alias = "DailyLogFile")]
pub struct LogFile(Arc<Shared>);

struct Shared {
    /// The next write opens the file anew. Apart from the lock: whoever asks need not wait for a write.
    must_reopen: AtomicBool,
    /// Locked for a write, and to give the file to a user.
    open: Mutex<OpenFile>,
}

struct OpenFile {
    /// From the root.
    path: PathBuf,
    name: PathBuf,
    folder: OwnedFd,
    file: File,
    rotation: Rotation,
    size: u64,
    /// The day of the last line, for daily ones.
    day: String,
    /// Whom new files are given to.
    owner: Option<(u32, u32)>,
    /// That names could not be changed was told.
    is_failing: bool,
}

impl LogFile {
    /// Opens the file to append to it, or makes it; its folder must be there.
    pub fn open(path: impl AsRef<Path>, rotation: Rotation) -> io::Result<LogFile> {
        let path = std::path::absolute(path)?;
        let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it names no file");
        let name = PathBuf::from(path.file_name().ok_or_else(no_file)?);
        let folder = open_folder(&path)?;
        let (file, size, day) = open_in(&folder, &name)?;
        let (owner, is_failing) = (None, false);
        let open = OpenFile { path, name, folder, file, rotation, size, day, owner, is_failing };
        Ok(LogFile(Arc::new(Shared {
            must_reopen: AtomicBool::new(false),
            open: Mutex::new(open),
        })))
    }

    /// Has the next line open the file anew, by its name: what is open now was renamed, say.
    ///
    /// If it cannot be opened, lines go on to the file that is open.
    pub fn reopen(&self) {
        self.0.must_reopen.store(true, Ordering::Release);
    }

    /// Gives the file, and those that follow it, to a user and a group.
    ///
    /// For a program that gives up root later: it could not rename or append to a file of root's.
    pub fn set_owner(&self, user: u32, group: u32) -> io::Result<()> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        std::os::unix::fs::fchown(&open.file, Some(user), Some(group))?;
        open.owner = Some((user, group));
        Ok(())
    }
}

impl LogSink for LogFile {
    fn write_lines(&mut self, lines: &[u8]) -> Written {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.must_reopen.swap(false, Ordering::AcqRel) {
            let reopened = open.reopen();
            open.tell(reopened, "opened anew");
        } else if open.must_turn_over(lines.len()) {
            let turned = open.turn_over();
            open.tell(turned, "put aside");
        }
        open.write(lines)
    }
}

impl fmt::Debug for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_tuple("LogFile").field(&open.path).finish()
    }
}

impl OpenFile {
    fn write(&mut self, lines: &[u8]) -> Written {
        let mut written = 0;
        while written < lines.len() {
            match self.file.write(&lines[written..]) {
                Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    written += count;
                    self.size += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Some(error)),
            }
        }
        (written, None)
    }

    fn must_turn_over(&self, more: usize) -> bool {
        match self.rotation {
            Rotation::Never => false,
            Rotation::Size { bytes, .. } => {
                self.size > 0 && self.size.saturating_add(more as u64) > bytes
            }
            Rotation::Daily => date(SystemTime::now()) != self.day,
        }
    }

    /// Says what failed, in the file that is open, until something succeeds again.
    fn tell(&mut self, outcome: io::Result<()>, what: &str) {
        let Err(error) = outcome else {
            self.is_failing = false;
            return;
        };
        if !std::mem::replace(&mut self.is_failing, true) {
            let now = timestamp(SystemTime::now());
            let line = format!("{now} [ropewalk#error] this log could not be {what}: {error}\n");
            // As with any line: a full disk has it lost.
            let _ = self.write(line.as_bytes());
        }
    }

    fn turn_over(&mut self) -> io::Result<()> {
        // Another process that has this log too may be at it: then the next write looks again.
        match flock(&self.folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(()),
            locked => locked?,
        }
        let put_aside = self.put_aside();
        // An error here would be one of a descriptor that is no folder's.
        let _ = flock(&self.folder, FlockOperation::Unlock);
        // Also if it failed: it shall not be tried with each line.
        (self.size, self.day) = (0, date(SystemTime::now()));
        put_aside?;
        self.reopen()
    }

    fn put_aside(&self) -> io::Result<()> {
        if !self.is_still_named() {
            return Ok(());
        }
        match self.rotation {
            Rotation::Never => Ok(()),
            Rotation::Size { keep, .. } => self.shift(keep),
            Rotation::Daily => self.rename(&self.name, &self.free_name(&self.day)),
        }
    }

    /// Whether the file's name still is that of the file that is open.
    fn is_still_named(&self) -> bool {
        let named = statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        let (Ok(named), Ok(open)) = (named, self.file.metadata()) else { return false };
        // A link, or what is no file, is the work of somebody who has a use for it.
        let is_file = FileType::from_raw_mode(named.st_mode) == FileType::RegularFile;
        is_file && (named.st_dev, named.st_ino) == (open.dev(), open.ino())
    }

    /// The file becomes the first of the old ones; the last of those that are to be kept goes.
    fn shift(&self, keep: u32) -> io::Result<()> {
        if keep == 0 {
            return Ok(unlinkat(&self.folder, &self.name, AtFlags::from_bits_retain(0))?);
        }
        let is_there = |number: u32| {
            statat(&self.folder, self.with(&number), AtFlags::SYMLINK_NOFOLLOW).is_ok()
        };
        // Up to the first gap: what lies beyond need not move.
        let last = (1..keep).find(|number| !is_there(*number)).unwrap_or(keep);
        for number in (1..last).rev() {
            self.rename(&self.with(&number), &self.with(&(number + 1)))?;
        }
        self.rename(&self.name, &self.with(&1))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat(&self.folder, from, &self.folder, to) {
            // Somebody was faster.
            Err(Errno::NOENT) => Ok(()),
            renamed => Ok(renamed?),
        }
    }

    /// The file's name with an end.
    fn with(&self, end: &dyn fmt::Display) -> PathBuf {
        let mut name = self.name.clone().into_os_string();
        name.push(format!(".{end}"));
        name.into()
    }

    /// The name of a day's file; a second one of that day has a number behind it.
    fn free_name(&self, day: &str) -> PathBuf {
        let is_free =
            |name: &PathBuf| statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).is_err();
        let numbered = (1_u32..).map(|number| self.with(&format_args!("{day}.{number}")));
        let mut names = std::iter::once(self.with(&day)).chain(numbered);
        names.find(is_free).unwrap_or_else(|| self.with(&day))
    }

    fn reopen(&mut self) -> io::Result<()> {
        let opened = match open_in(&self.folder, &self.name) {
            // The folder itself is another now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.folder = open_folder(&self.path)?;
                open_in(&self.folder, &self.name)
            }
            opened => opened,
        };
        (self.file, self.size, self.day) = opened?;
        if let Some((user, group)) = self.owner {
            // Not root any more: then it is this user's already.
            let _ = std::os::unix::fs::fchown(&self.file, Some(user), Some(group));
        }
        Ok(())
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("/"));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, Mode::from_raw_mode(0))?)
}

/// The file, its size, and the day that it was last written to.
fn open_in(folder: &OwnedFd, name: &Path) -> io::Result<(File, u64, String)> {
    // Not to wait for the reader of a pipe: there it fails at once.
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::CLOEXEC
        | OFlags::NOCTTY
        | OFlags::NONBLOCK;
    let file = File::from(openat(folder, name, flags, Mode::from_raw_mode(0o666))?);
    let metadata = file.metadata()?;
    let is_new = metadata.len() == 0;
    let last = if is_new { SystemTime::now() } else { metadata.modified()? };
    Ok((file, metadata.len(), date(last)))
}
