//! Descriptors that somebody else opened, as a stream: one to read, one to write, or both the same.
//!
//! # Theory
//! Both are registered under one key. What epoll refuses to watch is an ordinary file, which is always
//! ready. Any of them may give less than is there: a terminal its line, a pipe its packet, a socket its
//! message. Only a read that brings nothing, and a write that takes nothing, says that this is all.
//!
//! Not blocking is a property of what a descriptor refers to, and that is shared with whoever else
//! has it open, the shell for one: it is put back in the end.
//!
//! A reader hears the end when nobody has the writing end open any more. For standard output that
//! takes the process' own descriptor: when the writing half ends, the null device takes its place.
//!
//! # Not here
//! A reader that goes away before anything is written: a write finds that, or, where nothing is read,
//! the event.

use crate::address::Address;
use crate::driver::{ByteStream, Key, Pipes};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;
use rustix::net::Shutdown;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

struct PipeStream {
    input: Option<Watched>,
    output: Option<Watched>,
    name: Address,
    is_standard: bool,
}

pub(super) fn adopt(registry: &Rc<Registry>, pipes: Pipes) -> io::Result<Box<dyn ByteStream>> {
    let watch = |descriptor| Watched::new(registry, descriptor);
    Ok(Box::new(PipeStream {
        input: pipes.input.map(watch).transpose()?,
        output: pipes.output.map(watch).transpose()?,
        name: pipes.name,
        is_standard: pipes.is_standard,
    }))
}

fn kind_of(descriptor: &OwnedFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(descriptor)?.st_mode))
}

impl ByteStream for PipeStream {
    fn register(&mut self, key: Key) -> io::Result<()> {
        let token = Token(key.to_token());
        if let Some(input) = &mut self.input {
            input.register(token, Interest::READABLE)?;
        }
        match &mut self.output {
            Some(output) => output.register(token, Interest::WRITABLE),
            None => Ok(()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(input) = &self.input else { return self.look_at_output() };
        match rustix::io::read(input, buffer) {
            // A terminal whose other side is closed.
            Err(Errno::IO) => Ok(0),
            outcome => Ok(outcome?),
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let output = self.output.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(rustix::io::write(output, data)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let output = self.output.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(rustix::io::writev(output, slices)?)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let Some(output) = self.output.take() else { return Ok(()) };
        if self.is_standard {
            rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
        }
        if kind_of(&output.descriptor)? == FileType::Socket {
            // The input may be the same socket, and keeps it open.
            return Ok(rustix::net::shutdown(&output, Shutdown::Write)?);
        }
        Ok(())
    }

    fn set_abort(&mut self) {}

    fn is_at_end(&mut self) -> io::Result<bool> {
        let Some(input) = &self.input else { return Ok(false) };
        let now = state_of(input.as_fd(), PollFlags::IN)?;
        Ok(now.intersects(PollFlags::HUP) && !now.intersects(PollFlags::IN))
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer(&self) -> io::Result<Address> {
        Ok(self.name.clone())
    }

    fn host(&self) -> io::Result<Address> {
        Ok(self.name.clone())
    }

    fn set_nodelay(&mut self, _on: bool) -> io::Result<()> {
        // Nothing waits in a pipe for more to come.
        Ok(())
    }

    fn set_keepalive(&mut self, _idle: Option<Duration>) -> io::Result<()> {
        let why = format!("{} cannot be probed", self.name);
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    fn is_standard(&self) -> bool {
        self.is_standard
    }
}

impl PipeStream {
    /// Nothing is ever read here: what can be learned is whether anybody reads what is written.
    fn look_at_output(&self) -> io::Result<usize> {
        let output = self.output.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        match state_of(output.as_fd(), PollFlags::OUT)?.intersects(PollFlags::ERR) {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

fn state_of(descriptor: BorrowedFd<'_>, wanted: PollFlags) -> io::Result<PollFlags> {
    let mut asked = [PollFd::from_borrowed_fd(descriptor, wanted)];
    poll(&mut asked, Some(&Timespec::default()))?;
    Ok(asked[0].revents())
}

/// A descriptor that does not block while it is here.
struct Watched {
    descriptor: OwnedFd,
    /// To be put back.
    flags: OFlags,
    registry: Rc<Registry>,
    is_registered: bool,
}

impl Watched {
    fn new(registry: &Rc<Registry>, descriptor: OwnedFd) -> io::Result<Watched> {
        let flags = fcntl_getfl(&descriptor)?;
        fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK)?;
        Ok(Watched { descriptor, flags, registry: registry.clone(), is_registered: false })
    }

    fn register(&mut self, token: Token, interest: Interest) -> io::Result<()> {
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
        if !self.flags.contains(OFlags::NONBLOCK) {
            // If that fails nobody can do better.
            let _ = fcntl_setfl(&self.descriptor, self.flags);
        }
    }
}
