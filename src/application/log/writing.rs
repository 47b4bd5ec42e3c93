//! Lines on their way out: one write a turn, and an account of what is lost.
//!
//! # Theory
//! Lines of a turn collect in a buffer. The first one spawns a task that does nothing but be dropped: polled
//! at the end of the turn, or let go of at the reactor's end, it writes what has collected. So there is no
//! second way by which lines leave, and none by which they are forgotten.
//!
//! What cannot be written is lost, for a disk that is full may stay so: each line is counted, and the count
//! is the first line of the next attempt. A line that was cut is one of the lost; what follows begins on a
//! line of its own.

use super::format::line_of_loss;
use super::publisher::{Observation, observe};
use super::{LogEvent, LogFormat, LogLevel};
use crate::reactor::Reactor;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;

/// Where the lines of a log go: a [`LogFile`](super::LogFile), standard error, or anything that can be
/// written to.
///
/// ```
/// use ropewalk::application::log::{LogFormat, Logger, write_to};
///
/// let writing = write_to(std::io::stderr(), LogFormat::Text);
/// Logger::new("mail").info("started");
/// # drop(writing);
/// ```
pub trait LogSink {
    /// Writes whole lines, and tells how many bytes were: fewer than all, and the rest is lost.
    ///
    /// It should not wait, and need not flush what it keeps before it is dropped.
    fn write_lines(&mut self, lines: &[u8]) -> Written;
}

/// What a [`LogSink`] took: so many bytes, and the error that kept it from more.
pub type Written = (usize, Option<io::Error>);

impl<W: Write> LogSink for W {
    fn write_lines(&mut self, lines: &[u8]) -> Written {
        let mut written = 0;
        while written < lines.len() {
            match self.write(&lines[written..]) {
                Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Some(error)),
            }
        }
        (written, self.flush().err())
    }
}

/// Writes this thread's events, from now on and until what is returned is dropped.
///
/// The lines of a turn leave together at its end; outside of a turn each leaves at once.
///
/// ```
/// use ropewalk::application::log::{LogFormat, Logger, write_to};
///
/// let writing = write_to(std::io::sink(), LogFormat::Json);
/// Logger::new("mail").info("started");
/// drop(writing);
/// ```
#[doc(alias = "textFileLogObserver")]
#[doc(alias = "jsonFileLogObserver")]
#[doc(alias = "startLogging")]
pub fn write_to(sink: impl LogSink + 'static, format: LogFormat) -> Observation {
    let writer = Rc::new(LineWriter {
        format,
        lines: RefCell::default(),
        account: Cell::new(Some(Account::new(sink, format))),
    });
    observe(move |event| writer.write(event))
}

struct LineWriter<S: LogSink> {
    format: LogFormat,
    /// Borrowed to push a line and to take all.
    lines: RefCell<Vec<u8>>,
    /// Absent while it writes.
    account: Cell<Option<Account<S>>>,
}

/// So many bytes do not wait for the end of the turn.
const AT_ONCE: usize = 64 * 1024;

impl<S: LogSink + 'static> LineWriter<S> {
    fn write(self: &Rc<Self>, event: &LogEvent) {
        let line = self.format.line(event);
        let before = self.push(&line);
        let Some(reactor) = Reactor::current() else { return self.flush() };
        if event.level() == LogLevel::Critical || before + line.len() >= AT_ONCE {
            self.flush();
        } else if before == 0 {
            let lines = Unwritten(self.clone());
            drop(reactor.spawn(async move { drop(lines) }));
        }
    }

    /// How many bytes waited before.
    fn push(&self, line: &str) -> usize {
        let mut lines = self.lines.borrow_mut();
        let before = lines.len();
        lines.extend_from_slice(line.as_bytes());
        before
    }
}

impl<S: LogSink> LineWriter<S> {
    fn flush(&self) {
        let lines = self.lines.take();
        if lines.is_empty() {
            return;
        }
        let Some(mut account) = self.account.take() else { return };
        account.write(&lines);
        self.account.set(Some(account));
        let mut empty = lines;
        empty.clear();
        let mut kept = self.lines.borrow_mut();
        if kept.capacity() == 0 && empty.capacity() <= AT_ONCE {
            *kept = empty;
        }
    }
}

/// The observation is over: what waits for the end of the turn is written now.
impl<S: LogSink> Drop for LineWriter<S> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Lines that wait: dropping it writes them.
struct Unwritten<S: LogSink>(Rc<LineWriter<S>>);

impl<S: LogSink> Drop for Unwritten<S> {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// A sink, and what it did not take.
pub(super) struct Account<S> {
    sink: S,
    format: LogFormat,
    lost: u64,
    /// Why the first of the lost ones is.
    why: String,
    /// The last byte that was taken ended no line.
    is_cut: bool,
}

impl<S: LogSink> Account<S> {
    pub(super) fn new(sink: S, format: LogFormat) -> Account<S> {
        Account { sink, format, lost: 0, why: String::new(), is_cut: false }
    }

    pub(super) fn write(&mut self, lines: &[u8]) {
        if self.lost > 0 && !self.tell_loss() {
            self.lost += count(lines);
            return;
        }
        let (written, error) = self.sink.write_lines(lines);
        if let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            let why = error.unwrap_or_else(|| io::ErrorKind::WriteZero.into());
            self.is_cut = written > 0 && lines[written - 1] != b'\n';
            self.lost = count(rest);
            self.why = why.to_string();
        }
    }

    /// Whether the loss could be told, and lines can be written again.
    fn tell_loss(&mut self) -> bool {
        let line = line_of_loss(self.format, self.lost, &self.why);
        let line = if self.is_cut { format!("\n{line}") } else { line };
        let (written, _) = self.sink.write_lines(line.as_bytes());
        let is_told = written == line.len();
        if is_told {
            self.lost = 0;
            self.is_cut = false;
        } else if written > 0 {
            // A piece of it stands there: the next attempt begins anew.
            self.is_cut = true;
        }
        is_told
    }
}

impl<S> fmt::Debug for Account<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("lost", &self.lost).finish_non_exhaustive()
    }
}

/// Each line ends with its own end; the rest of one that was cut does, too.
fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, and no more until it is given room.
    #[derive(Clone, Default)]
    struct Disk(Rc<RefCell<(Vec<u8>, usize)>>);

    impl LogSink for Disk {
        fn write_lines(&mut self, lines: &[u8]) -> Written {
            let (taken, room) = &mut *self.0.borrow_mut();
            let count = lines.len().min(*room);
            taken.extend_from_slice(&lines[..count]);
            *room -= count;
            (count, (count < lines.len()).then(|| io::ErrorKind::StorageFull.into()))
        }
    }

    #[test]
    fn lines_that_a_full_disk_cost_are_counted_and_told_on_a_line_of_their_own() {
        for room in 0..=12 {
            let disk = Disk::default();
            disk.0.borrow_mut().1 = room;
            let mut account = Account::new(disk.clone(), LogFormat::Text);
            let three = b"one\ntwo\nthree\n";
            account.write(three);
            account.write(b"four\n");
            disk.0.borrow_mut().1 = 1000;
            account.write(b"five\n");
            let text = String::from_utf8(disk.0.borrow().0.clone()).unwrap();
            // One whose end alone was lost is one of the lost.
            let lost = 4 - count(&three[..room]);
            let told =
                format!("{lost} lines of this log were lost: {}", io::ErrorKind::StorageFull);
            let lines: Vec<_> = text.lines().collect();
            assert!(lines[lines.len() - 2].ends_with(&told), "room for {room}: {text}");
            assert_eq!(lines[lines.len() - 1], "five");
        }
    }
}
