//! A descriptor of anybody's, watched, and read and written without waiting.
//!
//! # Theory
//! Whether a call waits is a property of an open file, and whoever else has it open may change it at any
//! time: a shell does, of a terminal, when it stops a program and has it go on, and so does the program
//! at the other end of `a | b` when it ends. So it is not relied on where the open file may be another's:
//!
//! * a socket is asked with each call not to wait;
//! * a pipe or a terminal is opened once more, through `/proc/self/fd`, and that open file is ours alone;
//! * what may not be opened again, or would be another thing then (the master of a terminal, a counter of
//!   events), is looked at before each call, and put back in the end. Who changes it between the look and
//!   the call has this thread wait in that.
//!
//! The descriptor itself is what is watched: a pipe that is opened again has forgotten that it had a writer.

use super::dialect::{AT_ONCE, QUIETLY};
use super::{keep_from_blocking, name_shortage, send_vectored};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fs::{FileType, Mode, OFlags, Stat, fcntl_getfl, fcntl_setfl, fstat, major, minor};
use rustix::io::Errno;
use std::io::{self, IoSlice, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

pub(super) struct Watched {
    descriptor: OwnedFd,
    way: Way,
    registry: Rc<Registry>,
    is_registered: bool,
}

/// How it comes that a call does not wait.
enum Way {
    /// Each call says so.
    Socket,
    /// It is an open file of our own, or one that never waits.
    Own,
    /// Another one is, which is opened on the same pipe or terminal.
    Reopened(OwnedFd),
    /// The open file is looked at; these are its flags, to be put back.
    Shared(OFlags),
}

impl Watched {
    /// `is_shared`: somebody else may have the open file as well.
    pub(super) fn new(
        registry: &Rc<Registry>,
        descriptor: OwnedFd,
        is_shared: bool,
    ) -> io::Result<Watched> {
        let way = Way::of(&descriptor, is_shared)?;
        Ok(Watched { descriptor, way, registry: registry.clone(), is_registered: false })
    }

    pub(super) fn register(&mut self, token: Token, interest: Interest) -> io::Result<()> {
        let mut source = SourceFd(&self.descriptor.as_raw_fd());
        match self.registry.register(&mut source, token, interest) {
            // A file: always ready, and the stream is taken to be ready until it says otherwise.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            outcome => {
                self.is_registered = outcome.is_ok();
                outcome
            }
        }
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = match self.way {
            Way::Socket => rustix::net::recv(&self.descriptor, buffer, AT_ONCE).map(|got| got.1),
            _ => rustix::io::read(self.file()?, buffer),
        };
        match outcome {
            // A terminal whose other side is closed.
            Err(Errno::IO) => Ok(0),
            outcome => outcome.map_err(name_shortage),
        }
    }

    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        let outcome = match self.way {
            Way::Socket => rustix::net::send(&self.descriptor, data, QUIETLY),
            _ => rustix::io::write(self.file()?, data),
        };
        outcome.map_err(name_shortage)
    }

    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.way {
            Way::Socket => send_vectored(&self.descriptor, slices),
            _ => rustix::io::writev(self.file()?, slices).map_err(name_shortage),
        }
    }

    pub(super) fn is_socket(&self) -> bool {
        matches!(self.way, Way::Socket)
    }

    /// What is read and written, which does not wait now.
    fn file(&self) -> io::Result<BorrowedFd<'_>> {
        match &self.way {
            Way::Reopened(own) => return Ok(own.as_fd()),
            Way::Shared(_) => keep_from_blocking(&self.descriptor)?,
            Way::Socket | Way::Own => {}
        }
        Ok(self.descriptor.as_fd())
    }
}

impl Way {
    fn of(descriptor: &OwnedFd, is_shared: bool) -> io::Result<Way> {
        let stat = fstat(descriptor)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Socket => return Ok(Way::Socket),
            FileType::RegularFile | FileType::BlockDevice => return Ok(Way::Own),
            _ => {}
        }
        let flags = fcntl_getfl(descriptor)?;
        if is_shared
            && may_be_reopened(descriptor, &stat)
            && let Ok(own) = reopen(descriptor, flags)
        {
            return Ok(Way::Reopened(own));
        }
        fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)?;
        Ok(if is_shared { Way::Shared(flags) } else { Way::Own })
    }
}

/// Whether to open it again is to have the same thing.
fn may_be_reopened(descriptor: &OwnedFd, stat: &Stat) -> bool {
    // What is opened at a master is another terminal.
    let is_master = (major(stat.st_rdev), minor(stat.st_rdev)) == (5, 2);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => true,
        FileType::CharacterDevice => descriptor.is_terminal() && !is_master,
        _ => false,
    }
}

/// Fails without `/proc`, where the file is another user's, and for a pipe that nobody reads.
fn reopen(descriptor: &OwnedFd, flags: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let how = (flags & OFlags::RWMODE) | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let own = rustix::fs::open(path, how, Mode::empty())?;
    // What else was set, as that a pipe carries packets.
    fcntl_setfl(&own, flags | OFlags::NONBLOCK)?;
    Ok(own)
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.is_registered {
            let mut source = SourceFd(&self.descriptor.as_raw_fd());
            // Others may have it open: epoll would go on watching it for them.
            let _ = self.registry.deregister(&mut source);
        }
        if let Way::Shared(flags) = self.way
            && !flags.contains(OFlags::NONBLOCK)
        {
            // If that fails nobody can do better.
            let _ = fcntl_setfl(&self.descriptor, flags);
        }
    }
}
