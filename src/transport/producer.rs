//! Producers: those who write as fast as a transport takes, and no faster.
//!
//! A protocol has `pause_writing` and `resume_writing` for that; a producer is the same as a value of
//! its own, which can be put between a transport and whatever the bytes come from.
//!
//! # Rules
//! * The transport calls its producer from the loop, never from inside one of its own methods.
//! * A pulled producer writes once for each `resume_producing`; it is asked whenever all was sent.
//! * A pushing producer writes when it wants to; it is told to pause above 64 KiB and to resume at
//!   16 KiB, in turns.
//! * An end in order waits for the producer: until `unregister_producer` what is written is still sent.
//! * `stop_producing` is called once if the connection is lost first, and after it nothing.
//!
//! # Deviations from Twisted
//! `pauseProducing` comes once, not with every write; `loseConnection` waits for pushing producers
//! too (Twisted's ticket 6461); a producer that comes to a full transport is paused; a file is read in
//! a thread, where `FileSender` reads in the loop.

use super::Transport;
use crate::deferred::{Deferred, Trigger};
use crate::failure::{Failure, Result};
use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;

/// Makes bytes for a transport, and lets itself be stopped.
#[doc(alias = "IPushProducer")]
#[doc(alias = "IPullProducer")]
pub trait Producer {
    /// Write now: once if pulled, from now on if pushing.
    #[doc(alias = "resumeProducing")]
    fn resume_producing(&mut self, transport: &Transport);

    /// Write no more for now. Pulled producers are never told so.
    #[doc(alias = "pauseProducing")]
    fn pause_producing(&mut self) {}

    /// The connection is lost: nothing that is written will be sent.
    #[doc(alias = "stopProducing")]
    fn stop_producing(&mut self) {}
}

/// Who sets the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Producing {
    /// The transport asks for each piece.
    Pull,
    /// The producer writes by itself.
    Push,
}

/// So much of a file is read at once: with half of it the way to the thread and back would show.
const PIECE: usize = 128 * 1024;

impl Transport {
    /// Sends all that can be read from `file`, piece by piece as the peer takes it; fires with how
    /// many bytes that were.
    ///
    /// Reading happens in a thread of the pool, one piece ahead, so that a slow disk keeps nobody else
    /// waiting. Fails with the error of a read, with [`ProducerStopped`] if the connection is lost first, or if
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
    #[track_caller]
    pub fn send_file(&self, file: impl Read + Send + 'static) -> Deferred<u64> {
        let (done, deferred) = Deferred::new();
        let sender = Rc::new(FileSender {
            transport: self.clone(),
            file: Cell::new(Some(file)),
            ahead: Cell::default(),
            spare: Cell::default(),
            is_asked: Cell::default(),
            sent: Cell::default(),
            done: done.clone(),
        });
        match self.register_producer(sender.clone(), Producing::Pull) {
            Ok(()) => sender.read_ahead(),
            // If it is the connection that is lost, it was told already.
            Err(failure) => drop(done.errback(failure)),
        }
        deferred
    }
}

/// Moves a file into a transport: a piece on its way out, and the next one being read.
struct FileSender<R> {
    transport: Transport,
    /// Absent while it is read from.
    file: Cell<Option<R>>,
    /// What was read ahead.
    ahead: Cell<Option<Result<Vec<u8>>>>,
    /// What the piece after that is read into.
    spare: Cell<Vec<u8>>,
    /// The transport waits for a piece.
    is_asked: Cell<bool>,
    sent: Cell<u64>,
    done: Trigger<u64>,
}

impl<R: Read + Send + 'static> FileSender<R> {
    #[track_caller]
    fn read_ahead(self: &Rc<Self>) {
        let Some(mut file) = self.file.take() else { return };
        let mut piece = self.spare.take();
        let reading = self.transport.reactor().defer_to_thread(move || {
            let outcome = read_piece(&mut file, &mut piece);
            Ok((file, outcome.map(|()| piece)))
        });
        let sender = self.clone();
        reading.add_both(move |outcome: Result<_>| {
            let piece = outcome.and_then(|(file, piece)| {
                sender.file.set(Some(file));
                Ok(piece?)
            });
            sender.ahead.set(Some(piece));
            sender.give();
        });
    }

    /// Writes what was read if it was asked for.
    fn give(self: &Rc<Self>) {
        if !self.is_asked.get() {
            return;
        }
        match self.ahead.take() {
            None => {}
            Some(Ok(piece)) if piece.is_empty() => self.finish(Ok(self.sent.get())),
            Some(Ok(piece)) => {
                self.is_asked.set(false);
                self.sent.set(self.sent.get() + piece.len() as u64);
                self.transport.write(&piece);
                self.spare.set(piece);
                self.read_ahead();
            }
            Some(Err(failure)) => self.finish(Err(failure)),
        }
    }

    fn finish(&self, outcome: Result<u64>) {
        self.is_asked.set(false);
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

impl<R: Read + Send + 'static> Producer for Rc<FileSender<R>> {
    fn resume_producing(&mut self, _: &Transport) {
        self.is_asked.set(true);
        self.give();
    }

    fn stop_producing(&mut self) {
        self.is_asked.set(false);
        let stopped = Failure::without_backtrace(ProducerStopped);
        // Cancelled meanwhile: nobody waits.
        let _ = self.done.errback(stopped);
    }
}

/// The connection was lost before its producer was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStopped;

impl fmt::Display for ProducerStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was lost before its producer was done")
    }
}

impl std::error::Error for ProducerStopped {}
