//! Descriptors that somebody else opened, as a stream: one to read, one to write, or both the same.
//!
//! # Theory
//! Both are registered under one key. What epoll refuses to watch is an ordinary file, which is always
//! ready. Any of them may give less than is there: a terminal its line, a pipe its packet, a socket its
//! message. Only a read that brings nothing, and a write that takes nothing, says that this is all.
//!
//! A reader hears the end when nobody has the writing end open any more. For standard output that
//! takes the process' own descriptor: when the writing half ends, the null device takes its place.
//!
//! # Not here
//! How it comes that no call waits: `watched.rs`.
//!
//! A reader that goes away before anything is written: a write finds that, or, where nothing is read,
//! the event.

use super::look_ahead;
use super::threaded::Direction;
use super::watched::Watched;
use crate::address::Address;
use crate::driver::{ByteStream, Key, Layer, Pipes, Socket};
use mio::{Interest, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::Shutdown;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

struct PipeStream {
    input: Option<Watched>,
    output: Option<Watched>,
    /// The former output, of which a thread may have some to write.
    ended: Option<Watched>,
    name: Address,
    is_standard: bool,
}

pub(super) fn adopt(registry: &Rc<Registry>, pipes: Pipes) -> io::Result<Box<dyn ByteStream>> {
    let watch = |descriptor: Option<OwnedFd>, direction| {
        let watch = |descriptor| Watched::new(registry, descriptor, direction, pipes.is_shared);
        descriptor.map(watch).transpose()
    };
    Ok(Box::new(PipeStream {
        input: watch(pipes.input, Direction::Reading)?,
        output: watch(pipes.output, Direction::Writing)?,
        ended: None,
        name: pipes.name,
        is_standard: pipes.is_standard,
    }))
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
        match &self.input {
            Some(input) => input.read(buffer),
            None => self.look_at_output(),
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let output = self.output.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        output.write(data)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let output = self.output.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        output.write_vectored(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let Some(output) = self.output.take() else { return Ok(()) };
        if self.is_standard {
            rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
        }
        if output.is_socket() {
            // The input may be the same socket, and keeps it open; so does a thread that has to write.
            rustix::net::shutdown(&output, Shutdown::Write)?;
            self.ended = Some(output);
        }
        Ok(())
    }

    fn peer(&self) -> io::Result<Address> {
        Ok(self.name.clone())
    }

    fn host(&self) -> io::Result<Address> {
        Ok(self.name.clone())
    }

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        Some(self)
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

impl Socket for PipeStream {
    fn is_at_end(&mut self) -> io::Result<bool> {
        let Some(input) = &self.input else { return Ok(false) };
        if input.is_socket() {
            return Ok(look_ahead(input)? == Some(0));
        }
        let now = state_of(input.as_fd(), PollFlags::IN)?;
        Ok(now.intersects(PollFlags::HUP) && !now.intersects(PollFlags::IN))
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_abort(&mut self) {}

    fn set_nodelay(&mut self, _on: bool) -> io::Result<()> {
        // Nothing waits in a pipe for more to come.
        Ok(())
    }

    fn set_keepalive(&mut self, _idle: Option<Duration>) -> io::Result<()> {
        let why = format!("{} cannot be probed", self.name);
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    fn is_standard(&mut self) -> bool {
        self.is_standard
    }

    fn has_written_all(&mut self) -> bool {
        [&self.output, &self.ended].into_iter().flatten().all(Watched::has_written_all)
    }
}

/// A short read or write of a terminal or a device means nothing.
impl Layer for PipeStream {
    fn close_notify(&mut self) -> io::Result<()> {
        match self.has_written_all() {
            true => Ok(()),
            // There is room when it has.
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl PipeStream {
    /// Nothing is ever read here: what can be learned is whether anybody reads what is written.
    fn look_at_output(&self) -> io::Result<usize> {
        // Nothing will ever come.
        let Some(output) = &self.output else { return Ok(0) };
        let gone = if output.is_socket() { PollFlags::HUP } else { PollFlags::ERR };
        match state_of(output.as_fd(), PollFlags::OUT)?.intersects(gone) {
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
