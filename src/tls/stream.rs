//! One end of a TLS connection, as a stream of bytes over another.
//!
//! # Theory
//! rustls turns ciphertext into plaintext and back and never touches a socket; here it is fed. It
//! reads from the stream below straight into its own memory, about a record at a time, and decrypts
//! there, until the caller's buffer is full or nothing is left below.
//!
//! A write encrypts at most 64 KiB ahead of what the stream below takes, and says that bytes are
//! taken only as their ciphertext leaves. What the caller still holds then is what the peer has still
//! to get: marks, `drained` and the end of a connection mean over TLS what they mean without it.
//!
//! # Invariants
//! * The caller of a write that came short repeats the bytes that were not taken: `unsent` of them
//!   are encrypted already, and are not encrypted twice.
//! * A short read means that nothing is left, unless `has_pending`.
//! * Until the handshake is over no byte is taken or given.

use super::error::TlsError;
use crate::driver::{ByteStream, Layer, Socket};
use crate::forward_byte_stream;
use rustls::Connection;
use std::any::Any;
use std::io::{self, IoSlice, Read, Write};

pub(super) struct TlsStream {
    below: Box<dyn ByteStream>,
    pub(super) session: Connection,
    /// What to fail with, once the plaintext before it was given.
    failed: Option<io::Error>,
    /// So much plaintext waits in the session.
    ready: usize,
    /// So many bytes are encrypted of those that the caller was not told are taken.
    unsent: usize,
    is_shaking: bool,
    /// The stream below takes nothing more: an edge will say when it does.
    is_blocked: bool,
    /// The peer said that it is done, and all before that was given.
    has_ended: bool,
    /// The stream below has ended.
    is_cut: bool,
    /// This end said that it is done.
    has_left: bool,
    /// All that this end had to say has left, and nothing more will be said.
    is_close_notified: bool,
}

impl TlsStream {
    pub(super) fn new(below: Box<dyn ByteStream>, session: Connection) -> TlsStream {
        TlsStream {
            below,
            session,
            failed: None,
            ready: 0,
            unsent: 0,
            is_shaking: true,
            is_blocked: false,
            has_ended: false,
            is_cut: false,
            has_left: false,
            is_close_notified: false,
        }
    }

    /// Has the session read from below and digest that; returns whether the read came short.
    fn fill(&mut self) -> io::Result<bool> {
        let mut below = Below { stream: &mut *self.below, came_short: false };
        let count = self.session.read_tls(&mut below)?;
        let came_short = below.came_short;
        self.is_cut = count == 0;
        self.process()?;
        Ok(came_short)
    }

    fn process(&mut self) -> io::Result<()> {
        let outcome = self.session.process_new_packets();
        match outcome {
            Ok(state) => {
                self.ready = state.plaintext_bytes_to_read();
                Ok(())
            }
            Err(error) => {
                // The peer is told why, if it can be told at all.
                let _ = self.send();
                Err(io::Error::new(io::ErrorKind::InvalidData, TlsError(error)))
            }
        }
    }

    /// Moves plaintext out of the session.
    fn take(&mut self, target: &mut [u8]) -> io::Result<usize> {
        match self.session.reader().read(target) {
            Ok(0) => {
                self.has_ended = true;
                Ok(0)
            }
            Ok(count) => {
                self.ready = self.ready.saturating_sub(count);
                Ok(count)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(0),
                _ => Err(cut_off()),
            },
        }
    }

    /// Reads until the target is full or nothing is left; returns how much, and what went wrong.
    fn read_on(&mut self, target: &mut [u8]) -> (usize, io::Result<()>) {
        let (mut filled, mut is_drained) = (0, false);
        loop {
            match self.take(&mut target[filled..]) {
                Ok(count) => {
                    filled += count;
                    // The peer's close_notify shows only when all before it was taken.
                    if count > 0 && filled < target.len() {
                        continue;
                    }
                }
                Err(error) => return (filled, Err(error)),
            }
            if filled == target.len() || self.has_ended {
                return (filled, Ok(()));
            }
            // With nothing to show for it, a short read is no proof: the end may hide behind it.
            if is_drained && filled > 0 {
                return (filled, Ok(()));
            }
            match self.fill() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (filled, Ok(())),
                Err(error) => return (filled, Err(error)),
                Ok(came_short) => is_drained = came_short,
            }
        }
    }

    /// Passes ciphertext down; returns how much, and whether that was all.
    fn send(&mut self) -> io::Result<(usize, bool)> {
        let mut sent = 0;
        while self.session.wants_write() {
            match self.session.write_tls(&mut Below { stream: &mut *self.below, came_short: false })
            {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return Ok((sent, false));
                }
                // Some callers have no other chance, and no edge follows.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.is_blocked = false;
        Ok((sent, true))
    }

    fn send_all(&mut self) -> io::Result<()> {
        match self.send()? {
            (_, true) => Ok(()),
            (_, false) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn send_close_notify(&mut self) {
        if !std::mem::replace(&mut self.has_left, true) {
            self.session.send_close_notify();
        }
    }

    fn shake(&mut self) -> io::Result<()> {
        loop {
            // What cannot leave now follows later: `flush` sees to it.
            self.send()?;
            if !self.session.is_handshaking() {
                self.is_shaking = false;
                return Ok(());
            }
            self.fill()?;
            if self.is_cut {
                return Err(cut_off());
            }
        }
    }
}

fn cut_off() -> io::Error {
    let why = "the peer ended the connection without a word in TLS: what it sent may be cut short";
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}

impl ByteStream for TlsStream {
    forward_byte_stream!(self.below: all except read, write, write_vectored, shutdown_write, as_socket, as_layer);

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_shaking {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let (filled, outcome) = self.read_on(buffer);
        if self.session.wants_write() && !self.is_blocked {
            // An answer of TLS' own. If it cannot leave, or not now, that shows when writing.
            let _ = self.send();
        }
        match outcome {
            Err(error) if filled == 0 => Err(error),
            Err(error) => {
                self.failed = Some(error);
                Ok(filled)
            }
            Ok(()) if filled == 0 && !self.has_ended => Err(io::ErrorKind::WouldBlock.into()),
            Ok(()) => Ok(filled),
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.has_left {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut taken = 0;
        while taken < data.len() && !self.is_shaking {
            if self.unsent == 0 {
                self.unsent = self.session.writer().write(&data[taken..])?;
            }
            let (sent, is_all) = match self.send() {
                // It will be met again, and told then.
                Err(error) if is_shortage(&error) && taken > 0 => break,
                outcome => outcome?,
            };
            let left = if is_all { self.unsent } else { sent.min(self.unsent.saturating_sub(1)) };
            let left = left.min(data.len() - taken);
            self.unsent -= left;
            taken += left;
            if !is_all {
                break;
            }
        }
        match taken {
            0 if !data.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(taken),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.write(first.map_or(&[], |slice| slice))
    }

    /// Says so in TLS alone: the stream below stays whole, for what TLS may still have to say. Once
    /// leave is taken that is nothing.
    fn shutdown_write(&mut self) -> io::Result<()> {
        if self.is_close_notified {
            return self.below.shutdown_write();
        }
        self.send_close_notify();
        // What is left follows with `flush`.
        match self.send() {
            Err(error) if !is_shortage(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        Some(self)
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

impl Socket for TlsStream {
    forward_byte_stream!(self.below: socket except is_at_end, send_descriptor, take_descriptor);

    fn is_at_end(&mut self) -> io::Result<bool> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while !self.is_shaking && self.ready == 0 {
            let state = self.session.process_new_packets();
            self.has_ended = state.is_ok_and(|state| state.peer_has_closed());
            if self.has_ended {
                return Ok(true);
            }
            if self.below.is_at_end()? {
                return Err(cut_off());
            }
            match self.fill() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                outcome => _ = outcome?,
            }
        }
        Ok(false)
    }
}

impl Layer for TlsStream {
    /// The handshake, as far as it goes now.
    fn handshake(&mut self) -> io::Result<()> {
        self.below.flush().or_else(unless_blocked)?;
        if self.is_shaking { self.shake() } else { Ok(()) }
    }

    fn has_pending(&mut self) -> bool {
        let has_more = self.ready > 0 || self.failed.is_some() || self.has_ended;
        has_more || self.below.has_pending()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_all()?;
        self.below.flush()
    }

    fn close_notify(&mut self) -> io::Result<()> {
        self.send_close_notify();
        self.send_all()?;
        self.below.close_notify()?;
        self.is_close_notified = true;
        Ok(())
    }

    /// Until its close_notify the peer may say something any time, and be it that: what nobody has
    /// read when the stream below is dropped, or what comes then, is answered with a reset.
    fn must_linger(&mut self, _may_be_unread: bool) -> bool {
        let has_spoken = self.has_ended || self.is_cut || self.failed.is_some();
        !self.is_shaking && !has_spoken
    }

    fn as_any(&mut self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// The system has too little memory at the moment.
fn is_shortage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

fn unless_blocked(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::WouldBlock { Ok(()) } else { Err(error) }
}

/// The stream below, as rustls wants to read from it and to write to it.
struct Below<'a> {
    stream: &'a mut dyn ByteStream,
    /// The last read did.
    came_short: bool,
}

impl Read for Below<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.came_short = count < buffer.len();
        Ok(count)
    }
}

impl Write for Below<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.stream.write(data)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
