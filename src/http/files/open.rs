// Opens what lies below a root, and nothing else, without waiting for a disk.
//
// # Theory
// The root is a descriptor, and the kernel is asked to resolve a path beneath it (`openat2` with
// RESOLVE_BENEATH): a link that leads out of the root fails there, whoever changes the tree meanwhile.
// A path is checked as text first, so that nothing but names reaches the kernel.
//
// What is not in the kernel's caches needs a disk, and the thread that asks would stand still. So a
// first try resolves from the cache alone (RESOLVE_CACHED) and reads what is in memory alone
// (`driver::read_in_memory`); where that is refused with EAGAIN the same is done in a thread.
//
// Where the kernel has no `openat2` (before 5.6, in some sandboxes, or not Linux), each name is opened
// by itself and no link is followed: less is served then, never more.

use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, Result};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime};

/// What files are opened beneath.
#[derive(Debug)]
pub(super) struct Root(OwnedFd);

/// May the thread stand still?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// EAGAIN says that it would.
    Never,
    AsLongAsItTakes,
}

/// What was opened, and what is known about it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: OwnedFd,
    pub(super) kind: Kind,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    pub(super) inode: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// A device, a pipe, a socket: nothing that is served.
    Other,
}

/// Nothing is created, so nothing needs one.
const NO_MODE: Mode = Mode::from_bits_retain(0);

/// Not blocking, or a pipe that somebody put there would hold the thread.
const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Root {
    pub(super) fn new(path: &std::path::Path) -> Result<Root> {
        fs::open(path, FLAGS | OFlags::DIRECTORY, NO_MODE).map(Root)
    }

    /// Opens a path of names, none of them empty, `.` or `..`; without one it is the root itself.
    pub(super) fn open(&self, path: &str, wait: Wait) -> Result<Opened> {
        let path = if path.is_empty() { "." } else { path };
        let file = match open_beneath(self.0.as_fd(), path, wait) {
            Err(Errno::NOSYS | Errno::PERM) => self.open_by_names(path)?,
            outcome => outcome?,
        };
        let stat = fs::fstat(&file)?;
        Ok(Opened::new(file, &stat))
    }

    fn open_by_names(&self, path: &str) -> Result<OwnedFd> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = None;
        for name in folders.split('/').filter(|name| !name.is_empty()) {
            let within = folder.as_ref().map_or(self.0.as_fd(), OwnedFd::as_fd);
            let flags = FLAGS | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            folder = Some(fs::openat(within, name, flags, NO_MODE)?);
        }
        let within = folder.as_ref().map_or(self.0.as_fd(), OwnedFd::as_fd);
        fs::openat(within, name, FLAGS | OFlags::NOFOLLOW, NO_MODE)
    }
}

#[cfg(target_os = "linux")]
fn open_beneath(root: BorrowedFd<'_>, path: &str, wait: Wait) -> Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let resolve = match wait {
        Wait::Never => beneath | ResolveFlags::CACHED,
        Wait::AsLongAsItTakes => beneath,
    };
    match fs::openat2(root, path, FLAGS, NO_MODE, resolve) {
        // Before 5.12 the kernel does not know CACHED.
        Err(Errno::INVAL) if wait == Wait::Never => Err(Errno::AGAIN),
        outcome => outcome,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(_: BorrowedFd<'_>, _: &str, wait: Wait) -> Result<OwnedFd> {
    Err(if wait == Wait::Never { Errno::AGAIN } else { Errno::NOSYS })
}

impl Opened {
    fn new(file: OwnedFd, stat: &Stat) -> Opened {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            _ => Kind::Other,
        };
        // A time before 1970 is a fault of the file's, and no reason to fail.
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        let since = Duration::new(seconds, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
        Opened {
            file,
            kind,
            length: u64::try_from(stat.st_size).unwrap_or(0),
            modified: SystemTime::UNIX_EPOCH + since,
            inode: stat.st_ino,
        }
    }
}

/// Reads a piece of a file into `into`, all of it unless the file has become shorter.
pub(super) fn read(
    file: BorrowedFd<'_>,
    offset: u64,
    into: &mut [u8],
    wait: Wait,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match read_once(file, offset + filled as u64, &mut into[filled..], wait) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn read_once(file: BorrowedFd<'_>, offset: u64, into: &mut [u8], wait: Wait) -> io::Result<usize> {
    match wait {
        Wait::Never => crate::driver::read_in_memory(file, offset, into),
        Wait::AsLongAsItTakes => Ok(rustix::io::pread(file, into, offset)?),
    }
}

/// Whether a decoded segment of a request's path may name a file.
pub(super) fn is_name(segment: &str, shows_dotfiles: bool) -> bool {
    let is_relative = matches!(segment, "" | "." | "..");
    !is_relative && !segment.contains(['/', '\0']) && (shows_dotfiles || !segment.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_names_no_file_is_refused_as_text() {
        for segment in ["", ".", "..", "a/b", "../a", "a\0", "/", ".hidden"] {
            assert!(!is_name(segment, false), "{segment:?}");
        }
        assert!(is_name(".hidden", true));
        for segment in ["a", "a..", "a b", "ä"] {
            assert!(is_name(segment, false), "{segment:?}");
        }
        assert!(!is_name("..", true) && !is_name(".", true));
    }

    #[test]
    fn a_link_out_of_the_root_is_not_followed_in_either_way_to_open() {
        let folder = std::env::temp_dir().join(format!("ropewalk-open-{}", std::process::id()));
        let root = folder.join("root");
        std::fs::create_dir_all(root.join("deep")).unwrap();
        std::fs::write(folder.join("secret"), "secret").unwrap();
        std::fs::write(root.join("deep/open"), "open").unwrap();
        symlink("../secret", root.join("relative")).unwrap();
        symlink(folder.join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("deep", root.join("inside")).unwrap();
        let it = Root::new(&root).unwrap();
        let open = |path| it.open(path, Wait::AsLongAsItTakes);

        for path in ["relative", "absolute", "up/secret", "inside/../../secret"] {
            assert!(open(path).is_err(), "{path}");
            assert!(it.open_by_names(path).is_err(), "{path}");
        }
        assert_eq!(open("").unwrap().kind, Kind::Directory);
        assert_eq!(open("deep/open").unwrap().length, 4);
        assert_eq!(it.open_by_names("deep/open").map(drop), Ok(()));
        if cfg!(target_os = "linux") {
            assert_eq!(open("inside/open").unwrap().kind, Kind::File);
        }
        assert_eq!(it.open_by_names("inside/open").map(drop), Err(Errno::NOTDIR));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_is_read_to_its_end_however_short_it_has_become() {
        let path = std::env::temp_dir().join(format!("ropewalk-read-{}", std::process::id()));
        std::fs::write(&path, "0123456789").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let mut into = [0; 8];
        assert_eq!(read(file.as_fd(), 1, &mut into, Wait::AsLongAsItTakes).unwrap(), 8);
        assert_eq!(&into, b"12345678");
        assert_eq!(read(file.as_fd(), 8, &mut into, Wait::AsLongAsItTakes).unwrap(), 2);
        assert_eq!(read(file.as_fd(), 99, &mut into, Wait::AsLongAsItTakes).unwrap(), 0);
        std::fs::remove_file(path).unwrap();
    }
}
