//! A whole child as one connection: its standard input and output, and its exit as the end.

use super::child::{Exit, Process, follow};
use super::options::{ChildDescriptor, ProcessOptions, Spawned};
use super::{ProcessStatusUnknown, ProcessTerminated, SpawnError};
use crate::address::Address;
use crate::driver::{ByteStream, Pipes, Readiness, Socket};
use crate::failure::Result;
use crate::forward_byte_stream;
use crate::net::connection::Connection;
use crate::reactor::{Reactor, Signal};
use std::io::{self, stderr};
use std::os::fd::AsFd;
use std::rc::Rc;

/// Starts a program for a connection without a face yet. Its standard error is this process' own.
pub(crate) fn connect(reactor: &Reactor, options: ProcessOptions) -> Result<Rc<Connection>> {
    let program = options.program();
    let own = stderr().as_fd().try_clone_to_owned();
    let own = own.map_err(|cause| SpawnError { program: program.clone(), cause })?;
    let spawned = options.unless_said(2, ChildDescriptor::Share(own)).spawn(reactor)?;
    let Spawned { child, mut pipes, .. } = spawned;
    let process = follow(reactor, child, program.clone())?;
    let name = Address::pipe(format!("stdio of {program}"));
    let pipes = Pipes {
        input: pipes.remove(&1).and_then(|end| end.input),
        output: pipes.remove(&0).and_then(|end| end.output),
        name: name.clone(),
        is_shared: false,
        is_standard: false,
    };
    let pipes = reactor.inner().driver.adopt(pipes)?;
    let child: Box<dyn ByteStream> =
        Box::new(ProcessStream { pipes, process: process.clone(), program });
    let connection = Connection::open(reactor.inner(), child, name);
    let transport = connection.transport();
    drop(process.wait().add_both(move |_| {
        transport.retry_io(Readiness::READABLE);
        Ok(())
    }));
    Ok(connection)
}

/// A child's pipes; what it says ends when the child has.
struct ProcessStream {
    pipes: Box<dyn ByteStream>,
    process: Process,
    program: Box<str>,
}

impl ProcessStream {
    /// How the child ended, which is how the connection does; `WouldBlock` while it runs.
    fn end(&self) -> io::Result<()> {
        let program = self.program.clone();
        match self.process.exit() {
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(Exit::With(status)) if status.success() => Ok(()),
            Some(Exit::With(status)) => {
                let last_words = Box::default();
                Err(io::Error::other(ProcessTerminated { program, status, last_words }))
            }
            Some(Exit::StatusTaken) => Err(io::Error::other(ProcessStatusUnknown { program })),
        }
    }
}

impl ByteStream for ProcessStream {
    forward_byte_stream!(self.pipes: all except read, as_socket);

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.pipes.read(buffer)? {
            0 if !buffer.is_empty() => self.end().map(|()| 0),
            count => Ok(count),
        }
    }

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        Some(self)
    }
}

impl Socket for ProcessStream {
    forward_byte_stream!(self.pipes: socket except set_abort, is_at_end);

    /// Whoever cuts the connection off cuts the child off.
    fn set_abort(&mut self) {
        // It may have ended this very moment.
        let _ = self.process.signal(Signal::Kill);
        self.pipes.set_abort();
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        match self.pipes.is_at_end()? {
            true => self.end().map(|()| true),
            false => Ok(false),
        }
    }
}
