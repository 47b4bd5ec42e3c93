//! A stream with bytes to send before all others: what was written before a layer was put on.
//!
//! The layer begins at once, so that nothing that is written from then on can pass it by; its own
//! first bytes leave behind these.
//!
//! # Invariants
//! * Nothing of the layer above reaches the stream below while `left` is not 0.

use crate::address::Address;
use crate::buffer::Buffer;
use crate::driver::{ByteStream, Key};
use std::cell::Cell;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

pub(super) struct Ahead {
    below: Box<dyn ByteStream>,
    /// Absent once it is sent.
    bytes: Option<Box<Buffer>>,
    /// How many bytes that are.
    left: Rc<Cell<usize>>,
}

impl Ahead {
    /// Has `bytes` go first; the count tells how many of them are left.
    pub(super) fn new(
        below: Box<dyn ByteStream>,
        bytes: Box<Buffer>,
        left: Rc<Cell<usize>>,
    ) -> Ahead {
        left.set(bytes.len());
        Ahead { below, bytes: Some(bytes), left }
    }

    fn send(&mut self) -> io::Result<()> {
        while let Some(bytes) = &mut self.bytes {
            match self.below.write(bytes.as_slice()) {
                Ok(count) => bytes.consume(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.left.set(bytes.len());
            if bytes.is_empty() {
                self.bytes = None;
            }
        }
        Ok(())
    }
}

impl ByteStream for Ahead {
    fn register(&mut self, key: Key) -> io::Result<()> {
        self.below.register(key)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.below.read(buffer)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send()?;
        self.below.write(data)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send()?;
        self.below.write_vectored(slices)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.send()?;
        self.below.shutdown_write()
    }

    fn set_abort(&mut self) {
        self.below.set_abort();
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        self.below.is_at_end()
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        self.below.finish_connecting()
    }

    fn peer(&self) -> io::Result<Address> {
        self.below.peer()
    }

    fn host(&self) -> io::Result<Address> {
        self.below.host()
    }

    fn set_nodelay(&mut self, on: bool) -> io::Result<()> {
        self.below.set_nodelay(on)
    }

    fn set_keepalive(&mut self, idle: Option<Duration>) -> io::Result<()> {
        self.below.set_keepalive(idle)
    }

    fn is_plain(&self) -> bool {
        false
    }

    fn holds_more(&mut self) -> bool {
        self.below.holds_more()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.below.flush()
    }

    fn take_leave(&mut self) -> io::Result<()> {
        self.send()?;
        self.below.take_leave()
    }

    fn must_hear_out(&mut self, may_be_unread: bool) -> bool {
        self.below.must_hear_out(may_be_unread)
    }

    #[cfg(unix)]
    fn send_descriptor(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        self.below.send_descriptor(descriptor)
    }

    #[cfg(unix)]
    fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.below.take_descriptor()
    }
}
