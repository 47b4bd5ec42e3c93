//! A stream of any kind in one value: the system's TCP socket in place, everything else boxed.
//!
//! Most connections are TCP's, and theirs are the reads and writes that are worth a direct call.

use super::ByteStream;
use super::system::TcpByteStream;
use std::fmt;
use std::io;

/// A stream of bytes as [`Listener::accept_any`](super::Listener::accept_any) gives it.
pub struct AnyStream(Kind);

enum Kind {
    Tcp(TcpByteStream),
    Other(Box<dyn ByteStream>),
}

impl AnyStream {
    pub(super) fn tcp(stream: TcpByteStream) -> AnyStream {
        AnyStream(Kind::Tcp(stream))
    }

    #[inline(always)]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Tcp(stream) => stream.receive(buffer),
            Kind::Other(stream) => stream.read(buffer),
        }
    }

    #[inline(always)]
    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Tcp(stream) => stream.send(data),
            Kind::Other(stream) => stream.write(data),
        }
    }

    pub(crate) fn as_dyn(&mut self) -> &mut dyn ByteStream {
        match &mut self.0 {
            Kind::Tcp(stream) => stream,
            Kind::Other(stream) => &mut **stream,
        }
    }

    pub(crate) fn into_box(self) -> Box<dyn ByteStream> {
        match self.0 {
            Kind::Tcp(stream) => Box::new(stream),
            Kind::Other(stream) => stream,
        }
    }
}

impl From<Box<dyn ByteStream>> for AnyStream {
    fn from(stream: Box<dyn ByteStream>) -> AnyStream {
        AnyStream(Kind::Other(stream))
    }
}

impl fmt::Debug for AnyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyStream").finish_non_exhaustive()
    }
}
