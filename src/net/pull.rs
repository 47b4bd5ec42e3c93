//! The pulling face of a connection: what `stream.rs` is made of.
//!
//! Nothing is read before a task asks, and then straight into the task's own buffer.

use super::connection::{Call, Connection, Reading, State, Writing};
use super::outgoing::HIGH;
use crate::failure::Failure;
use crate::transport::{ConnectionDone, ConnectionLost};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A read that was no short one, or none because there is nothing to read from.
type Unusual = Option<io::Result<usize>>;

impl Connection {
    /// Ready when a read is worth trying, be it to find the end.
    #[inline(always)]
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.wants_bytes() {
            return self.poll_budget(context);
        }
        if matches!(self.reading.get(), Reading::Open | Reading::Paused) {
            return self.wait_to_read(context);
        }
        Poll::Ready(())
    }

    /// Pending if the task has had its share of this turn.
    #[inline(always)]
    fn poll_budget(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.inner.tasks.spend() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// One read into the caller's buffer, which is not empty; 0 is the peer's end. `None`: there was
    /// nothing after all.
    #[inline(always)]
    pub(crate) fn try_read(self: &Rc<Self>, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        match self.read_short(buffer) {
            Ok(count) => Some(Ok(count)),
            Err(unusual) => self.read_unusual(unusual, buffer.len()),
        }
    }

    /// One read; the count if it brought some and left none. What else it was is for `read_unusual`.
    #[inline(always)]
    pub(crate) fn read_short(&self, buffer: &mut [u8]) -> Result<usize, Unusual> {
        if self.reading.get() != Reading::Open {
            return Err(None);
        }
        match self.read(buffer) {
            Ok(count) if count > 0 && self.is_short_read(count, buffer.len()) => {
                self.forget_readable();
                Ok(count)
            }
            outcome => Err(Some(outcome)),
        }
    }

    #[cold]
    pub(crate) fn read_unusual(
        self: &Rc<Self>,
        unusual: Unusual,
        wanted: usize,
    ) -> Option<io::Result<usize>> {
        let Some(outcome) = unusual else {
            return match self.reading.get() {
                Reading::Open | Reading::Paused => None,
                Reading::Ended => Some(Ok(0)),
                Reading::Closed => Some(self.end_as_read()),
            };
        };
        self.learn_from(&outcome, wanted);
        match outcome {
            Ok(0) => {
                self.peer_ended();
                self.mark_dirty();
            }
            Ok(count) => return Some(Ok(count)),
            Err(error) => self.read_failed(error),
        }
        self.mark_if_doomed();
        None
    }

    /// Reads into the caller's buffer, which is not empty; 0 is the peer's end.
    pub(crate) fn poll_read(
        self: &Rc<Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_readable(context));
            if let Some(outcome) = self.try_read(buffer) {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Takes all of `data`, if not too much waits already.
    #[inline(always)]
    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.cork_for_poll();
        if self.call.get() == Call::Corked && self.inner.tasks.spend() {
            self.append(data);
            return Poll::Ready(Ok(data.len()));
        }
        self.poll_write_uncorked(context, data)
    }

    #[cold]
    fn poll_write_uncorked(
        &self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waiting() > HIGH {
            self.send();
            self.mark_if_doomed();
        }
        if self.state.get() != State::Open || self.writing.get() != Writing::Open {
            return Poll::Ready(Err(self.end_as_write()));
        }
        if self.waiting() > HIGH {
            return self.wait_to_write(context, false);
        }
        if !self.inner.tasks.spend() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.append(data);
        Poll::Ready(Ok(data.len()))
    }

    /// Ready when all that was written is with the system.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send();
        self.mark_if_doomed();
        if self.has_reason() {
            return Poll::Ready(Err(self.end_as_write()));
        }
        if self.is_drained() {
            return Poll::Ready(Ok(()));
        }
        self.wait_to_write(context, true)
    }

    /// Ends this half; ready when the system was told.
    pub(crate) fn poll_close(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.begin_losing_write();
        if self.state.get() == State::Open && self.writing.get() != Writing::Ended {
            return self.wait_to_write(context, true);
        }
        Poll::Ready(match self.clone_reason() {
            Some(reason) if !reason.is::<ConnectionDone>() => Err(as_io_error(&reason)),
            _ => Ok(()),
        })
    }

    /// Who waits for bytes has most likely answered the last ones: that goes out now.
    #[inline(always)]
    fn wait_to_read<T>(&self, context: &Context<'_>) -> Poll<T> {
        if self.call.get() == Call::Corked {
            self.uncork_in_poll();
        }
        if let Some(waiters) = self.waiters() {
            waiters.reader.wait(context, &self.inner.tasks);
        }
        Poll::Pending
    }

    fn wait_to_write<T>(&self, context: &Context<'_>, awaits_all: bool) -> Poll<T> {
        if let Some(waiters) = self.waiters() {
            waiters.awaits_all.set(awaits_all);
            self.is_unsettled.set(true);
            waiters.writer.wait(context, &self.inner.tasks);
        }
        Poll::Pending
    }

    /// A stream's own read or write found the end: the loop shall make it so.
    fn mark_if_doomed(&self) {
        if self.state.get() == State::Doomed {
            self.mark_dirty();
        }
    }

    /// What a reader is told once the connection has ended.
    pub(super) fn end_as_read(&self) -> io::Result<usize> {
        match self.clone_reason() {
            Some(reason) if !reason.is::<ConnectionDone>() => Err(as_io_error(&reason)),
            _ => Ok(0),
        }
    }

    fn end_as_write(&self) -> io::Error {
        match self.clone_reason() {
            Some(reason) => as_io_error(&reason),
            None => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

fn as_io_error(reason: &Failure) -> io::Error {
    let kind = match reason.check::<ConnectionLost>() {
        Some(lost) => lost.kind(),
        None if reason.is::<ConnectionDone>() => io::ErrorKind::BrokenPipe,
        None => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, reason.to_string())
}
