//! A descriptor of anybody's, watched, and read and written without waiting.
//!
//! # Theory
//! Whether a call waits is a property of an open file, and whoever else has it open may change it at any
//! time: a shell does, of a terminal, when it stops a program and has it go on, and so does the program
//! at the other end of `a | b` when it ends. So it is not relied on where the open file may be another's:
//!
//! * a socket is asked with each call not to wait;
//! * a pipe or a terminal is opened once more, through `/proc/self/fd`, and that open file is ours alone;
//! * what may not be opened again, as another user's pipe, or would be another thing then (the master of a
//!   terminal, a counter of events), is read or written by a thread, and what is watched is that thread's
//!   socket.
//!
//! Otherwise the descriptor itself is what is watched: a pipe that is opened again has forgotten that it had a writer.

use super::dialect::{AT_ONCE, QUIETLY};
use super::threaded::{Carrier, Direction, carry};
use super::{name_shortage, send_vectored};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fs::{FileType, Mode, OFlags, Stat, fcntl_getfl, fcntl_setfl, fstat, major, minor};
use rustix::io::Errno;
use std::io::{self, IoSlice, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

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
    /// A thread has it, and the descriptor is a socket of that thread's.
    Threaded(Arc<Carrier>),
}

impl Watched {
    /// `is_shared`: somebody else may have the open file as well.
    pub(super) fn new(
        registry: &Rc<Registry>,
        descriptor: OwnedFd,
        direction: Direction,
        is_shared: bool,
    ) -> io::Result<Watched> {
        let (descriptor, way) = Way::of(descriptor, direction, is_shared)?;
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
            Way::Socket => self.receive(buffer),
            Way::Threaded(ref thread) => match self.receive(buffer) {
                Ok(0) => thread.failure().map_or(Ok(0), Err),
                outcome => outcome,
            },
            _ => rustix::io::read(self.file(), buffer),
        };
        match outcome {
            // A terminal whose other side is closed.
            Err(Errno::IO) => Ok(0),
            outcome => outcome.map_err(name_shortage),
        }
    }

    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        let send = || rustix::net::send(&self.descriptor, data, QUIETLY).map_err(name_shortage);
        match &self.way {
            Way::Socket => send(),
            Way::Threaded(thread) => thread.sending(data.len(), send),
            _ => rustix::io::write(self.file(), data).map_err(name_shortage),
        }
    }

    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let send = || send_vectored(&self.descriptor, slices);
        match &self.way {
            Way::Socket => send(),
            Way::Threaded(thread) => {
                thread.sending(slices.iter().map(|slice| slice.len()).sum(), send)
            }
            _ => rustix::io::writev(self.file(), slices).map_err(name_shortage),
        }
    }

    /// Whether what is read and written is a socket, be it a thread's.
    pub(super) fn is_socket(&self) -> bool {
        matches!(self.way, Way::Socket | Way::Threaded(_))
    }

    /// Whether nothing of what was written is on its way to a thread that writes it.
    pub(super) fn has_written_all(&self) -> bool {
        match &self.way {
            Way::Threaded(thread) => thread.has_written_all(),
            _ => true,
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::net::recv(&self.descriptor, buffer, AT_ONCE).map(|got| got.1)
    }

    /// What is read and written where that is no socket.
    fn file(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Reopened(own) => own.as_fd(),
            _ => self.descriptor.as_fd(),
        }
    }
}

impl Way {
    /// The way, and what to watch.
    fn of(
        descriptor: OwnedFd,
        direction: Direction,
        is_shared: bool,
    ) -> io::Result<(OwnedFd, Way)> {
        let stat = fstat(&descriptor)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Socket => return Ok((descriptor, Way::Socket)),
            FileType::RegularFile | FileType::BlockDevice => return Ok((descriptor, Way::Own)),
            _ => {}
        }
        let flags = fcntl_getfl(&descriptor)?;
        if !is_shared {
            fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK)?;
            return Ok((descriptor, Way::Own));
        }
        if is_memory(&stat) {
            return Ok((descriptor, Way::Own));
        }
        if may_be_reopened(&descriptor, &stat)
            && let Ok(own) = reopen(&descriptor, flags)
        {
            return Ok((descriptor, Way::Reopened(own)));
        }
        let (socket, thread) = carry(descriptor, direction)?;
        Ok((socket, Way::Threaded(thread)))
    }
}

/// Whether it is `/dev/null` or one of its kind, where no call waits.
fn is_memory(stat: &Stat) -> bool {
    cfg!(target_os = "linux")
        && FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && major(stat.st_rdev) == 1
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
    #[cfg(test)]
    if tests::IS_REFUSED.get() {
        return Err(Errno::ACCESS.into());
    }
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
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs::File;
    use std::io::pipe;

    thread_local! {
        /// Whether this thread is refused to open a descriptor again, as another user's is.
        pub(in super::super) static IS_REFUSED: Cell<bool> = const { Cell::new(false) };
    }

    fn way_of(descriptor: impl Into<OwnedFd>, is_shared: bool) -> Way {
        Way::of(descriptor.into(), Direction::Reading, is_shared).unwrap().1
    }

    #[test]
    fn a_thread_is_there_only_for_what_may_not_be_opened_again() {
        let (input, _output) = pipe().unwrap();
        let copy = || input.try_clone().unwrap();
        assert!(matches!(way_of(copy(), true), Way::Reopened(_)));
        assert!(matches!(way_of(copy(), false), Way::Own));
        IS_REFUSED.set(true);
        assert!(matches!(way_of(copy(), true), Way::Threaded(_)));
        let socket = std::os::unix::net::UnixStream::pair().unwrap().0;
        assert!(matches!(way_of(socket, true), Way::Socket));
        assert!(matches!(way_of(File::open("Cargo.toml").unwrap(), true), Way::Own));
        assert!(matches!(way_of(File::open("/dev/null").unwrap(), true), Way::Own));
    }
}
