//! Lines that are written by a thread of their own, for disks that are slow.

use super::LogFormat;
use super::writing::{Account, LogSink, Written};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Has a thread write to a sink, so that no turn waits for it.
///
/// A bounded number of lines wait for the thread; more are lost, counted and told. Dropping it waits until
/// all that wait are written.
///
/// ```
/// use ropewalk::application::log::{LogFormat, LogThread, Logger, write_to};
///
/// let thread = LogThread::new(std::io::sink(), LogFormat::Text, LogThread::LIMIT)?;
/// let writing = write_to(thread, LogFormat::Text);
/// Logger::new("mail").info("started");
/// drop(writing);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LogThread {
    /// Absent once it is dropped, which ends the thread.
    lines: Option<Sender<Vec<u8>>>,
    waiting: Arc<AtomicUsize>,
    limit: usize,
    thread: Option<JoinHandle<()>>,
}

impl LogThread {
    /// So many lines wait unless told otherwise.
    pub const LIMIT: usize = 8192;

    /// Starts a thread that writes to `sink`; no more than `limit` lines wait for it.
    pub fn new(
        sink: impl LogSink + Send + 'static,
        format: LogFormat,
        limit: usize,
    ) -> io::Result<LogThread> {
        let (lines, taken) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let count = waiting.clone();
        let account = Account::new(sink, format);
        let thread = std::thread::Builder::new().name("log".into());
        let thread = thread.spawn(move || write_all(&taken, account, &count))?;
        Ok(LogThread { lines: Some(lines), waiting, limit, thread: Some(thread) })
    }
}

fn write_all<S: LogSink>(lines: &Receiver<Vec<u8>>, mut account: Account<S>, count: &AtomicUsize) {
    while let Ok(mut batch) = lines.recv() {
        let mut number = count_lines(&batch);
        // What has come meanwhile goes along, up to a limit that keeps the memory small.
        while batch.len() < BATCH
            && let Ok(more) = lines.try_recv()
        {
            number += count_lines(&more);
            batch.extend_from_slice(&more);
        }
        account.write(&batch);
        count.fetch_sub(number, Ordering::AcqRel);
    }
}

const BATCH: usize = 256 * 1024;

impl LogSink for LogThread {
    fn write_lines(&mut self, lines: &[u8]) -> Written {
        let behind = || io::Error::other("the thread that writes it is behind");
        let room = self.limit.saturating_sub(self.waiting.load(Ordering::Acquire));
        let taken = first_lines(lines, room);
        let Some(sender) = self.lines.as_ref().filter(|_| !taken.is_empty()) else {
            return (0, Some(behind()));
        };
        // Before it is sent, or the thread could take away what was not added yet.
        self.waiting.fetch_add(count_lines(taken), Ordering::AcqRel);
        match sender.send(taken.to_vec()) {
            Ok(()) => (taken.len(), (taken.len() < lines.len()).then(behind)),
            Err(_) => (0, Some(io::Error::other("the thread that writes it has ended"))),
        }
    }
}

fn count_lines(lines: &[u8]) -> usize {
    lines.iter().filter(|byte| **byte == b'\n').count()
}

/// The first `most` lines.
fn first_lines(lines: &[u8], most: usize) -> &[u8] {
    let mut ends = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let end = match most {
        0 => 0,
        most => ends.nth(most - 1).map_or(lines.len(), |(at, _)| at + 1),
    };
    &lines[..end]
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            // A sink that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for LogThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.load(Ordering::Relaxed);
        f.debug_struct("LogThread").field("waiting", &waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::sync_channel;

    /// Says when it was called, and waits to be let go on.
    struct Slow {
        called: std::sync::mpsc::SyncSender<()>,
        go_on: Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl LogSink for Slow {
        fn write_lines(&mut self, lines: &[u8]) -> Written {
            let _ = self.called.send(());
            // Once nobody holds it back any more, it is fast.
            let _ = self.go_on.recv();
            self.taken.lock().unwrap().extend_from_slice(lines);
            (lines.len(), None)
        }
    }

    #[test]
    fn lines_beyond_the_limit_are_lost_while_the_thread_is_behind() {
        let (called, calls) = sync_channel(100);
        let (go, go_on) = channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let slow = Slow { called, go_on, taken: taken.clone() };
        let mut thread = LogThread::new(slow, LogFormat::Text, 3).unwrap();
        assert_eq!(thread.write_lines(b"a\n").0, 2);
        calls.recv().unwrap();
        let (written, error) = thread.write_lines(b"b\nc\nd\ne\n");
        assert_eq!((written, error.is_some()), (4, true), "two more have room");
        assert_eq!(thread.write_lines(b"f\n").0, 0);
        drop(go);
        drop(thread);
        assert_eq!(*taken.lock().unwrap(), b"a\nb\nc\n");
    }
}
