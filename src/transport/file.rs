// Files on their way out of a connection.
//
// # Theory
// Where the system can move a file into a socket by itself, it does so, a slice for each time that the
// producer is asked. Whatever stands in the way of that, a layer that has to see the bytes, a simulated
// network, a piece that a disk would be waited for, leaves the way that works everywhere: a thread reads a piece, and
// the loop writes it. An error of the socket's or the file's is left to be met there too, so that it is
// told once and in one way.
//
// What can be moved may be a part of a file that others read as well, so no position is kept in the file.
//
// # Deviations from Twisted
// `FileSender` reads in the loop.

use super::{Producer, ProducerStopped, Producing, Transport};
use crate::deferred::{Deferred, Trigger};
use crate::failure::{Failure, Result};
use std::any::Any;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

/// So much of a file is read at once: with half of it the way to the thread and back would show.
const PIECE: usize = 128 * 1024;
/// So much is moved in one turn: more would keep others waiting.
const SLICE: u64 = 512 * 1024;

impl Transport {
    /// Sends all that can be read from `file`, piece by piece as the peer takes it; fires with how
    /// many bytes that were.
    ///
    /// Of a [`std::fs::File`] that is what follows its position, and the system moves it by itself where it can
    /// (`sendfile`): without TLS. Everything else is read in a thread of the pool, one piece ahead, so
    /// that a slow disk keeps nobody else waiting.
    ///
    /// Fails with the error of a read, with [`ProducerStopped`] if the connection is lost first, or if
    /// another producer is registered.
    ///
    /// ```
    /// use futures_util::AsyncReadExt;
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async |stream| {
    ///     let verse = &b"a file, or anything else that can be read"[..];
    ///     assert_eq!(stream.transport().send_file(verse).await?, 41);
    ///     Ok(())
    /// })?;
    /// let opening = reactor.open(&port.host());
    /// let got = reactor.run_until(async move {
    ///     let mut got = String::new();
    ///     opening.await?.read_to_string(&mut got).await?;
    ///     Ok(got)
    /// })?;
    /// assert_eq!(got, "a file, or anything else that can be read");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "FileSender")]
    #[doc(alias = "sendfile")]
    #[track_caller]
    pub fn send_file(&self, file: impl Read + Send + 'static) -> Deferred<u64> {
        let mut file = Some(file);
        match Part::rest_of(&mut file) {
            Some(part) => self.produce_file(part),
            None => self.produce_file(Unmoved(file)),
        }
    }

    /// Sends some bytes of a file, which others may read meanwhile; fires with how many that were:
    /// fewer than asked for where the file ends before.
    ///
    /// Fails as [`send_file`](Transport::send_file).
    ///
    /// ```
    /// use futures_util::AsyncReadExt;
    /// use ropewalk::Reactor;
    /// use std::{fs::File, sync::Arc};
    ///
    /// let file = Arc::new(File::open("Cargo.toml")?);
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve("127.0.0.1:0", async move |stream| {
    ///     assert_eq!(stream.transport().send_file_part(file.clone(), 1..10).await?, 9);
    ///     Ok(())
    /// })?;
    /// let opening = reactor.open(&port.host());
    /// let got = reactor.run_until(async move {
    ///     let mut got = String::new();
    ///     opening.await?.read_to_string(&mut got).await?;
    ///     Ok(got)
    /// })?;
    /// assert_eq!(got, "workspace");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn send_file_part(&self, file: impl Into<Arc<File>>, part: Range<u64>) -> Deferred<u64> {
        self.produce_file(Part { file: file.into(), at: part.start, end: part.end })
    }

    #[track_caller]
    fn produce_file(&self, source: impl Source) -> Deferred<u64> {
        let (done, deferred) = Deferred::new();
        let is_moved = source.is_moved();
        let sender = Rc::new(FileSender {
            transport: self.clone(),
            source: Cell::new(Some(source)),
            ahead: Cell::default(),
            spare: Cell::default(),
            course: Cell::new(Course { is_asked: false, is_moved, sent: 0 }),
            done: done.clone(),
        });
        match self.register_producer(sender.clone(), Producing::Pull) {
            Ok(()) if is_moved => {}
            Ok(()) => sender.read_ahead(),
            // If it is the connection that is lost, it was told already.
            Err(failure) => drop(done.errback(failure)),
        }
        deferred
    }
}

/// What is sent: what can be read, and perhaps be moved.
trait Source: Read + Send + 'static {
    /// Whether the system may be able to move it.
    fn is_moved(&self) -> bool;

    /// Has it moved, a slice that is not empty; an error leaves the bytes to be read.
    fn send_to(&mut self, transport: &Transport) -> io::Result<usize>;

    /// Whether all that was asked for is sent, as far as that is known without a read.
    fn is_done(&self) -> bool;
}

/// Anything that can be read; present until it is dropped.
struct Unmoved<R>(Option<R>);

impl<R: Read> Read for Unmoved<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |file| file.read(buffer))
    }
}

impl<R: Read + Send + 'static> Source for Unmoved<R> {
    fn is_moved(&self) -> bool {
        false
    }

    fn send_to(&mut self, _: &Transport) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// A part of a file, which is read without its position.
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Part {
    /// What is left of something, if that is a file with a position.
    fn rest_of(file: &mut Option<impl Read + 'static>) -> Option<Part> {
        let file = (file as &mut dyn Any).downcast_mut::<Option<File>>()?;
        let at = file.as_mut()?.stream_position().ok()?;
        file.take().map(|file| Part { file: file.into(), at, end: u64::MAX })
    }

    fn left(&self, most: u64) -> usize {
        // No more than `most`, which a usize holds.
        self.end.saturating_sub(self.at).min(most) as usize
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.left(buffer.len() as u64);
        let count = self.file.read_at(&mut buffer[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Source for Part {
    fn is_moved(&self) -> bool {
        true
    }

    fn send_to(&mut self, transport: &Transport) -> io::Result<usize> {
        let (file, count) = (self.file.as_fd(), self.left(SLICE));
        match transport.carrier.send_file(file, &mut self.at, count)? {
            // The end of the file, or a kind of file of which the system only says so.
            0 => Err(io::ErrorKind::ResourceBusy.into()),
            count => Ok(count),
        }
    }

    fn is_done(&self) -> bool {
        self.at >= self.end
    }
}

/// Moves a file into a transport: a piece on its way out, and the next one being read.
struct FileSender<S> {
    transport: Transport,
    /// Absent while it is read from.
    source: Cell<Option<S>>,
    /// What was read ahead.
    ahead: Cell<Option<Result<Vec<u8>>>>,
    /// What the piece after that is read into.
    spare: Cell<Vec<u8>>,
    course: Cell<Course>,
    done: Trigger<u64>,
}

#[derive(Clone, Copy)]
struct Course {
    /// The transport waits for a piece.
    is_asked: bool,
    /// The system is asked to move it, and a piece is read only where it does not.
    is_moved: bool,
    sent: u64,
}

impl<S> FileSender<S> {
    fn set_asked(&self, is_asked: bool) {
        self.course.set(Course { is_asked, ..self.course.get() });
    }

    fn set_moved(&self, is_moved: bool) {
        self.course.set(Course { is_moved, ..self.course.get() });
    }

    /// Counts what was sent, and returns how much that is by now.
    fn count(&self, more: usize) -> u64 {
        let course = self.course.get();
        let sent = course.sent + more as u64;
        self.course.set(Course { sent, ..course });
        sent
    }
}

impl<S: Source> FileSender<S> {
    #[track_caller]
    fn read_ahead(self: &Rc<Self>) {
        let Some(mut source) = self.source.take() else { return };
        let mut piece = self.spare.take();
        let reading = self.transport.reactor().defer_to_thread(move || {
            let outcome = read_piece(&mut source, &mut piece);
            Ok((source, outcome.map(|()| piece)))
        });
        let sender = self.clone();
        reading.add_both(move |outcome: Result<_>| {
            let piece = outcome.and_then(|(source, piece)| {
                sender.source.set(Some(source));
                Ok(piece?)
            });
            sender.ahead.set(Some(piece));
            sender.give();
        });
    }

    /// Has the system move a slice; a piece is read where that cannot be.
    fn move_slice(self: &Rc<Self>) {
        let Some(mut source) = self.source.take() else { return };
        let outcome = if source.is_done() { Ok(0) } else { source.send_to(&self.transport) };
        let is_done = source.is_done();
        self.source.set(Some(source));
        match outcome {
            Ok(count) => {
                let sent = self.count(count);
                if is_done {
                    self.finish(Ok(sent));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.set_moved(error.kind() != io::ErrorKind::Unsupported);
                self.read_ahead();
            }
        }
    }

    /// Writes what was read if it was asked for.
    fn give(self: &Rc<Self>) {
        if !self.course.get().is_asked {
            return;
        }
        match self.ahead.take() {
            None => {}
            Some(Ok(piece)) if piece.is_empty() => self.finish(Ok(self.course.get().sent)),
            Some(Ok(piece)) => {
                self.set_asked(false);
                self.count(piece.len());
                self.transport.write(&piece);
                self.spare.set(piece);
                if !self.course.get().is_moved {
                    self.read_ahead();
                }
            }
            Some(Err(failure)) => self.finish(Err(failure)),
        }
    }

    fn finish(&self, outcome: Result<u64>) {
        self.set_asked(false);
        self.transport.unregister_producer();
        // Cancelled meanwhile: nobody waits.
        let _ = self.done.fire(outcome);
    }
}

/// Reads once; nothing is the end.
fn read_piece(file: &mut impl Read, piece: &mut Vec<u8>) -> io::Result<()> {
    piece.resize(PIECE, 0);
    let count = loop {
        match file.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => break outcome?,
        }
    };
    piece.truncate(count);
    Ok(())
}

impl<S: Source> Producer for Rc<FileSender<S>> {
    fn resume_producing(&mut self, _: &Transport) {
        self.set_asked(true);
        if self.course.get().is_moved {
            self.move_slice();
        } else {
            self.give();
        }
    }

    fn stop_producing(&mut self) {
        self.set_asked(false);
        let stopped = Failure::without_backtrace(ProducerStopped);
        // Cancelled meanwhile: nobody waits.
        let _ = self.done.errback(stopped);
    }
}
