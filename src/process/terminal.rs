//! A child's terminal as a stream: its writing half ends by typing what a person types.
//!
//! # Theory
//! A terminal hands over what is typed line by line. The end-of-file character (Ctrl-D) hands over what
//! there is of a line, and only where that is nothing does its reader take it for the end. So it is typed
//! twice after half a line, and not twice elsewhere: the second would be the end for whoever reads next.
//! Whether a line is under way is known by following what was typed, under the terminal's settings of that
//! moment, which the child may change.
//!
//! # Not here
//! Words that the terminal erases (Ctrl-W) are taken to leave something of their line.

use super::options::End;
use super::stdio;
use crate::address::Address;
use crate::driver::{ByteStream, Layer};
use crate::failure::Result;
use crate::forward_byte_stream;
use crate::net::connection::Connection;
use crate::reactor::Reactor;
use rustix::termios::{InputModes, LocalModes, SpecialCodeIndex, Termios, tcgetattr};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// Makes one of a child's descriptors a connection without a face yet.
pub(super) fn connection(reactor: &Reactor, end: End, name: Address) -> Result<Rc<Connection>> {
    let master = end.input.as_ref().filter(|_| end.is_terminal);
    let Some(master) = master.map(|master| master.as_fd().try_clone_to_owned()).transpose()? else {
        return stdio::connection(reactor, end.into_pipes(name));
    };
    let inner = reactor.inner();
    let below = inner.driver.adopt(end.into_pipes(name.clone()))?;
    let terminal: Box<dyn ByteStream> = Box::new(Terminal::new(below, master));
    Ok(Connection::open(inner, terminal, name))
}

struct Terminal {
    below: Box<dyn ByteStream>,
    /// To ask for the settings.
    master: OwnedFd,
    line: Line,
    /// What ends the writing half, as far as it is not typed yet.
    ending: Vec<u8>,
}

impl Terminal {
    fn new(below: Box<dyn ByteStream>, master: OwnedFd) -> Terminal {
        Terminal { below, master, line: Line::default(), ending: Vec::new() }
    }
}

impl ByteStream for Terminal {
    forward_byte_stream!(self.below: all except write, write_vectored, shutdown_write, as_layer);

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let settings = tcgetattr(&self.master)?;
        let count = self.below.write(data)?;
        data[..count].iter().for_each(|&byte| self.line.follow(byte, &settings));
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.write(first.map_or(&[], |slice| slice))
    }

    /// The terminal stays open, for what the child has still to say.
    fn shutdown_write(&mut self) -> io::Result<()> {
        let settings = tcgetattr(&self.master)?;
        let end = settings.special_codes[SpecialCodeIndex::VEOF];
        self.ending = vec![end; if self.line.length > 0 { 2 } else { 1 }];
        match self.flush() {
            // It follows when there is room.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            outcome => outcome,
        }
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

impl Layer for Terminal {
    forward_byte_stream!(self.below: layer except flush);

    fn flush(&mut self) -> io::Result<()> {
        while !self.ending.is_empty() {
            let count = self.below.write(&self.ending)?;
            self.ending.drain(..count);
        }
        self.below.flush()
    }
}

/// The line that is being typed.
#[derive(Default)]
struct Line {
    /// How many characters it has.
    length: usize,
    /// The next one stands for itself.
    is_quoted: bool,
}

impl Line {
    fn follow(&mut self, byte: u8, settings: &Termios) {
        use SpecialCodeIndex as Code;
        let (is_set, has) = (settings.local_modes, settings.input_modes);
        if !is_set.contains(LocalModes::ICANON) {
            // Each character is handed over by itself.
            return *self = Line::default();
        }
        if std::mem::take(&mut self.is_quoted) {
            return self.length += 1;
        }
        let byte = match byte {
            b'\r' if has.contains(InputModes::IGNCR) => return,
            b'\r' if has.contains(InputModes::ICRNL) => b'\n',
            b'\n' if has.contains(InputModes::INLCR) => b'\r',
            byte => byte,
        };
        // A code of zero is none.
        let is_one = |codes: &[Code]| {
            byte != 0 && codes.iter().any(|&code| settings.special_codes[code] == byte)
        };
        let drops = is_set.contains(LocalModes::ISIG) && !is_set.contains(LocalModes::NOFLSH);
        let is_extended = is_set.contains(LocalModes::IEXTEN);
        if byte == b'\n'
            || is_one(&[Code::VEOF, Code::VEOL, Code::VKILL])
            || (is_extended && is_one(&[Code::VEOL2]))
            || (drops && is_one(&[Code::VINTR, Code::VQUIT, Code::VSUSP]))
        {
            self.length = 0;
        } else if is_one(&[Code::VERASE]) {
            self.length = self.length.saturating_sub(1);
        } else if is_extended && is_one(&[Code::VLNEXT]) {
            self.is_quoted = true;
        } else {
            self.length += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::termios::{OptionalActions, tcsetattr};

    fn settings(change: impl FnOnce(&mut Termios)) -> (OwnedFd, Termios) {
        let (ours, _theirs) = pty_process::blocking::open().unwrap();
        let ours = OwnedFd::from(ours);
        let mut settings = tcgetattr(&ours).unwrap();
        change(&mut settings);
        tcsetattr(&ours, OptionalActions::Now, &settings).unwrap();
        (ours, settings)
    }

    fn is_in_line(typed: &[u8], change: impl FnOnce(&mut Termios)) -> bool {
        let (_, settings) = settings(change);
        let mut line = Line::default();
        typed.iter().for_each(|&byte| line.follow(byte, &settings));
        line.length > 0
    }

    #[test]
    fn a_line_is_under_way_until_it_is_handed_over_erased_or_dropped() {
        let whole: [&[u8]; 9] = [
            b"", b"abc\n", b"abc\r", b"abc\x04", b"abc\x15", b"a\x7f", b"a\n\x7f", b"abc\x03",
            b"a\x1c",
        ];
        for typed in whole {
            assert!(!is_in_line(typed, |_| {}), "{}", typed.escape_ascii());
        }
        let half: [&[u8]; 6] =
            [b"abc", b"abc\ndef", b"ab\x7f", b"\x16\n", b"\x16\x04", b"abc\x04d"];
        for typed in half {
            assert!(is_in_line(typed, |_| {}), "{}", typed.escape_ascii());
        }
    }

    #[test]
    fn the_settings_say_what_ends_a_line() {
        let has_no_lines = |settings: &mut Termios| settings.make_raw();
        assert!(!is_in_line(b"abc", has_no_lines));
        let keeps_returns = |settings: &mut Termios| settings.input_modes -= InputModes::ICRNL;
        assert!(is_in_line(b"abc\r", keeps_returns));
        let ends_with_x = |settings: &mut Termios| {
            settings.special_codes[SpecialCodeIndex::VEOF] = b'x';
        };
        assert!(!is_in_line(b"abcx", ends_with_x));
        assert!(is_in_line(b"abc\x04", ends_with_x));
    }
}
