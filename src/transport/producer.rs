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
//! too (Twisted's ticket 6461); a producer that comes to a full transport is paused.

use super::Transport;
use crate::deferred::{Deferred, Trigger};
use crate::failure::{Failure, Result};
use std::fmt;
use std::io::{self, Read};

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

/// So much of a file is read at once.
const PIECE: usize = 64 * 1024;

impl Transport {
    /// Sends all that can be read from `file`, piece by piece as the peer takes it; fires with how
    /// many bytes that were.
    ///
    /// Reading happens in the loop's own thread: it is for files, whose reads return at once. Fails
    /// with the error of a read, with [`ProducerStopped`] if the connection is lost first, or if
    /// another producer is registered.
    ///
    /// ```
    /// use futures_util::AsyncReadExt;
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve_tcp("127.0.0.1:0", async |stream| {
    ///     let verse = &b"a file, or anything else that can be read"[..];
    ///     assert_eq!(stream.transport().send_file(verse).await?, 41);
    ///     Ok(())
    /// })?;
    /// let opening = reactor.open_tcp(&port.host());
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
    pub fn send_file(&self, file: impl Read + 'static) -> Deferred<u64> {
        let (done, deferred) = Deferred::new();
        let sender = FileSender { file, sent: 0, piece: vec![0; PIECE], done: done.clone() };
        if let Err(failure) = self.register_producer(sender, Producing::Pull) {
            // If it is the connection that is lost, it was told already.
            let _ = done.errback(failure);
        }
        deferred
    }
}

/// Moves a file into a transport, one piece in memory at a time.
struct FileSender<R> {
    file: R,
    sent: u64,
    piece: Vec<u8>,
    done: Trigger<u64>,
}

impl<R: Read> FileSender<R> {
    fn read(&mut self) -> io::Result<usize> {
        loop {
            match self.file.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn finish(&self, transport: &Transport, outcome: Result<u64>) {
        transport.unregister_producer();
        // Cancelled meanwhile: nobody waits.
        let _ = match outcome {
            Ok(sent) => self.done.callback(sent),
            Err(failure) => self.done.errback(failure),
        };
    }
}

impl<R: Read> Producer for FileSender<R> {
    fn resume_producing(&mut self, transport: &Transport) {
        match self.read() {
            Ok(0) => self.finish(transport, Ok(self.sent)),
            Ok(count) => {
                self.sent += count as u64;
                transport.write(&self.piece[..count]);
            }
            Err(error) => self.finish(transport, Err(error.into())),
        }
    }

    fn stop_producing(&mut self) {
        let stopped = Failure::from(ProducerStopped);
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
