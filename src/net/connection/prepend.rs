//! A stream with bytes to send before all others: what was written before a layer was put on.
//!
//! The layer begins at once, so that nothing that is written from then on can pass it by; its own
//! first bytes leave behind these.
//!
//! # Invariants
//! * Nothing of the layer above reaches the stream below while `left` is not 0.

use crate::buffer::Buffer;
use crate::driver::{ByteStream, Layer};
use crate::forward_byte_stream;
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;

pub(super) struct Prepend {
    below: Box<dyn ByteStream>,
    /// Absent once it is sent.
    bytes: Option<Box<Buffer>>,
    /// How many bytes that are.
    left: Rc<Cell<usize>>,
}

impl Prepend {
    /// Has `bytes` go first; the count tells how many of them are left.
    pub(super) fn new(
        below: Box<dyn ByteStream>,
        bytes: Box<Buffer>,
        left: Rc<Cell<usize>>,
    ) -> Prepend {
        left.set(bytes.len());
        Prepend { below, bytes: Some(bytes), left }
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

impl ByteStream for Prepend {
    forward_byte_stream!(self.below: all except write, write_vectored, shutdown_write, as_layer);

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

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

impl Layer for Prepend {
    forward_byte_stream!(self.below: layer except flush, close_notify);

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.below.flush()
    }

    fn close_notify(&mut self) -> io::Result<()> {
        self.send()?;
        self.below.close_notify()
    }
}
