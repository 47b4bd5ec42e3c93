//! What a Unix socket leaves in the file system: its path, and the lock beside it.
//!
//! # Theory
//! A path outlives the process that listened at it. Who wants to listen takes a lock first, on a file
//! beside the socket (`PATH.lock`) that the system unlocks when a process ends, however it ends. With
//! the lock held, a socket that nobody answers at is stale and is removed. Where Twisted listens, its
//! lock of the same name, a link to the number of its process, is respected while that lives.
//!
//! A mode is given to the socket before it has a name, so that there is no moment at which the wrong
//! people may connect.
//!
//! Paths are kept from the root on: the process may change its directory before they are removed.
//!
//! # Invariants
//! * What was made here is removed when it is dropped, unless the path belongs to somebody else by then.
//! * Nothing here blocks, whatever others have put at the paths.

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use rustix::process::{Pid, test_kill_process};
use socket2::{Domain, Socket, Type};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A path at which a socket of ours is.
pub(super) struct SocketPath {
    path: PathBuf,
    /// Device and inode of the socket: who finds others there leaves them alone.
    identity: (u64, u64),
    lock: Option<Lock>,
}

impl SocketPath {
    /// Gives a socket its path, in the place of one that nobody answers at.
    pub(super) fn claim(
        path: &Path,
        name: &SocketAddrUnix,
        socket: &Socket,
        mode: Option<u32>,
        lock: Option<Lock>,
    ) -> io::Result<SocketPath> {
        if let Some(mode) = mode {
            // Before it has a name; systems that do not care for it obey the second call.
            let _ = File::from(OwnedFd::from(socket.try_clone()?))
                .set_permissions(Permissions::from_mode(mode));
        }
        match rustix::net::bind(socket, name) {
            Err(Errno::ADDRINUSE) => {
                remove_stale(path, name)?;
                rustix::net::bind(socket, name)?;
            }
            outcome => outcome?,
        }
        let claimed = SocketPath::of(path, lock)?;
        if let Some(mode) = mode {
            // What the process' umask took away.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        Ok(claimed)
    }

    /// The path of a socket that was bound to it just now.
    pub(super) fn of(path: &Path, lock: Option<Lock>) -> io::Result<SocketPath> {
        Ok(SocketPath { path: from_root(path), identity: identity(path)?, lock })
    }

    /// Leaves the path, and the lock's, to somebody else who has the socket.
    pub(super) fn leave(mut self) {
        self.identity = NOBODY;
        if let Some(lock) = self.lock.take() {
            lock.leave();
        }
    }
}

/// No file has these.
const NOBODY: (u64, u64) = (u64::MAX, u64::MAX);

impl Drop for SocketPath {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // A directory that became read-only keeps it; the next to listen will find it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A process whose directory is gone has its paths as they were given.
fn from_root(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Removes a socket that nobody answers at; an error if that is not what is there.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    let in_use =
        |why: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("{} {why}", path.display()));
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(in_use("is there already, and is no socket"));
    }
    match is_refused(address)? {
        true => fs::remove_file(path),
        false => Err(in_use("is in use by another socket")),
    }
}

/// Whether nobody listens there. One whose backlog is full has a socket that waits for room wait.
fn is_refused(address: &SocketAddrUnix) -> io::Result<bool> {
    let caller = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    caller.set_nonblocking(true)?;
    Ok(rustix::net::connect(&caller, address) == Err(Errno::CONNREFUSED))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// A locked file beside a socket.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
    is_left: bool,
}

impl Lock {
    pub(super) fn take(socket: &Path) -> io::Result<Lock> {
        let mut path = from_root(socket).into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        loop {
            if let Ok(owner) = fs::read_link(&path) {
                unlink_stale(&path, &owner)?;
            }
            let file = open_lock(&path)?;
            file.try_lock().map_err(|error| locked(&path, error))?;
            let own = file.metadata()?;
            // Its former holder may have removed it between our opening and our locking.
            if identity(&path).is_ok_and(|found| found == (own.dev(), own.ino())) {
                return Ok(Lock { path, _file: file, is_left: false });
            }
        }
    }
}

impl Lock {
    /// Unlocks the file, which stays: whoever locks it next removes it.
    fn leave(mut self) {
        self.is_left = true;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        // Before it is unlocked, so that nobody's lock is removed; left behind it does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens or makes a lock, which is an empty file and will be removed: anything else is somebody else's.
fn open_lock(path: &Path) -> io::Result<File> {
    let is_lock = |found: fs::Metadata| found.is_file() && found.len() == 0;
    // To open a device may do something, so it is looked at before as well as, for certain, afterwards.
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_symlink() && !is_lock(found)) {
        return Err(no_lock(path, "is no lock, which is an empty file"));
    }
    // Followed, a link would be somebody else's file, which never is what the path says. A FIFO
    // without a reader would have us wait for one.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().create(true).append(true).custom_flags(flags).open(path)?;
    match is_lock(file.metadata()?) {
        true => Ok(file),
        false => Err(no_lock(path, "is no lock, which is an empty file")),
    }
}

/// Removes a lock as Twisted makes them, a link to its owner's number, if there is no such process.
fn unlink_stale(path: &Path, owner: &Path) -> io::Result<()> {
    let digits = owner.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|text| text.parse().ok()).and_then(Pid::from_raw);
    let Some(number) = number else {
        let why = format!("links to {owner:?}, which is no number of a process");
        return Err(no_lock(path, &why));
    };
    match test_kill_process(number) {
        Err(Errno::SRCH) => {
            // Somebody was faster, or it stays and cannot be opened.
            let _ = fs::remove_file(path);
            Ok(())
        }
        _ => Err(locked(path, fs::TryLockError::WouldBlock)),
    }
}

fn no_lock(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, format!("{} {why}", path.display()))
}

fn locked(path: &Path, error: fs::TryLockError) -> io::Error {
    match error {
        fs::TryLockError::WouldBlock => no_lock(path, "is locked by another process"),
        fs::TryLockError::Error(error) => error,
    }
}
