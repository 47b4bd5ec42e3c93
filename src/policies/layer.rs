//! The layer between a connection and its stream: sees the bytes that pass, and may hold them back.

use crate::driver::ByteStream;
use crate::failure::Result;
use crate::forward_byte_stream;
use crate::transport::Transport;
use std::io::{self, IoSlice};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// What a layer does to the bytes. Called while the connection's stream is borrowed: it must not call
/// the transport, but from a timer.
pub(super) trait Watch {
    /// How many bytes may pass now.
    fn allow(&mut self, direction: Direction) -> usize {
        let _ = direction;
        usize::MAX
    }

    /// More bytes may be there than were allowed: has the connection try again when they may pass.
    fn hold(&mut self, direction: Direction) {
        let _ = direction;
    }

    /// These bytes passed; none are the peer's end.
    fn passed(&mut self, direction: Direction, bytes: &[u8]);
}

/// Puts a layer under a connection.
pub(super) fn put_under(transport: &Transport, watch: impl Watch + 'static) -> Result {
    transport.replace_stream(|stream| Box::new(Watched { stream, watch }))
}

struct Watched<W> {
    stream: Box<dyn ByteStream>,
    watch: W,
}

impl<W: Watch> Watched<W> {
    fn allow(&mut self, direction: Direction, wanted: usize) -> io::Result<usize> {
        match self.watch.allow(direction).min(wanted) {
            0 if wanted > 0 => {
                self.watch.hold(direction);
                Err(io::ErrorKind::WouldBlock.into())
            }
            allowed => Ok(allowed),
        }
    }

    fn passed(&mut self, direction: Direction, bytes: &[u8], allowed: usize, wanted: usize) {
        self.watch.passed(direction, bytes);
        // A short read or write says that nothing more is to be had, which is not so here.
        if bytes.len() == allowed && allowed < wanted {
            self.watch.hold(direction);
        }
    }
}

impl<W: Watch> ByteStream for Watched<W> {
    // What is held back is asked for again by the policy itself: short reads below are short here.
    forward_byte_stream!(self.stream: all except read, write, write_vectored);

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allow(Direction::Read, buffer.len())?;
        let count = self.stream.read(&mut buffer[..allowed])?;
        self.passed(Direction::Read, &buffer[..count], allowed, buffer.len());
        Ok(count)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let allowed = self.allow(Direction::Write, data.len())?;
        let count = self.stream.write(&data[..allowed])?;
        self.passed(Direction::Write, &data[..count], allowed, data.len());
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(slice) => self.write(slice),
            None => Ok(0),
        }
    }
}
