//! The pulling face of a connection: what `stream.rs` is made of.
//!
//! Nothing is read before a task asks, and then straight into the task's own buffer.

use crate::driver::Readiness;
use crate::failure::Failure;
use crate::net::connection::inbound::{Read, Unlearned};
use crate::net::connection::outbound::HIGH;
use crate::net::connection::state::{Event, State};
use crate::net::connection::{Connection, Halves};
use crate::reactor::Draining;
use crate::transport::{ConnectionDone, ConnectionLost};
use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

impl Connection {
    /// Has the task read that waits for bytes.
    #[inline(never)]
    pub(super) fn ready_to_pull(self: Rc<Self>) {
        if let Some(waiters) = self.waiters() {
            waiters.reader.serve(&self.inner);
        }
        self.advance_if_needed();
    }

    /// How often the connection was upgraded.
    pub(crate) fn upgrades(&self) -> u8 {
        self.outbound.upgrades()
    }

    /// The stream has two halves from now on.
    pub(crate) fn split(&self) {
        if let Some(waiters) = self.waiters() {
            waiters.set_split(true);
        }
    }

    /// Completes when the connection's owner drains.
    pub(crate) fn draining(&self) -> Draining {
        self.inner.draining(self.key)
    }

    /// One half is dropped. False: it was the last, or the stream was whole.
    pub(crate) fn leave_half(&self) -> bool {
        self.waiters().is_some_and(|waiters| waiters.set_split(false))
    }

    /// Ready when a read is worth trying, be it to find the end.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.wants_bytes() {
            return self.poll_budget(context);
        }
        if self.state.get().reads() || self.state.get().is_paused() {
            return self.wait_to_read(context);
        }
        Poll::Ready(())
    }

    /// As `poll_readable`, for the usual case: false if bytes are not wanted, or none will come.
    // 25 instructions an echo by a stream.
    #[inline(always)]
    pub(crate) fn poll_bytes(&self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.state.get().reads() {
            return Poll::Ready(false);
        }
        if !self.inbound.is(Readiness::READABLE) {
            return self.wait_to_read(context);
        }
        self.poll_budget(context).map(|()| true)
    }

    /// Pending if the task has had its share of this turn.
    #[inline]
    fn poll_budget(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.inner.tasks.spend() {
            return come_again(context);
        }
        Poll::Ready(())
    }

    /// One read into the caller's buffer, which is not empty; 0 is the peer's end. `None`: there was
    /// nothing after all.
    pub(crate) fn try_read(self: &Rc<Self>, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        match self.state.get() {
            state if state.reads() => {}
            state if state.is_paused() => return None,
            state if state.has_read_ended() => return Some(Ok(0)),
            _ => return Some(self.end_as_read()),
        }
        match self.read_short(buffer) {
            Ok(count) => Some(Ok(count)),
            Err(read) => self.took(read, buffer),
        }
    }

    /// One read while reading is open. An error goes to `took`, with the buffer.
    #[inline]
    pub(crate) fn read_short(&self, buffer: &mut [u8]) -> Result<usize, Unlearned> {
        self.inbound.read_short(&self.stream, buffer, self.bytes_in())
    }

    /// Sees to what a read came to. `None`: there was nothing after all, or something to be found out.
    pub(crate) fn took(
        self: &Rc<Self>,
        read: Unlearned,
        buffer: &mut [u8],
    ) -> Option<io::Result<usize>> {
        let read = self.inbound.learn(&self.stream, read, buffer, self.bytes_in());
        let is_end = matches!(read, Read::End);
        let count = self.take_in(read);
        if is_end {
            self.mark_dirty();
        }
        if count > 0 {
            self.note_heard(count);
        }
        self.mark_if_doomed();
        (count > 0).then_some(Ok(count))
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

    /// Takes what of `data` there is room for below the high mark; pending if there is none.
    ///
    /// What goes into the cork costs the task no share: the cork takes so much and no more.
    #[inline]
    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (exit, is_idle) = (self.exit(), !self.has_work());
        let is_corked = self.outbound.is_corked() || self.outbound.cork_for_poll(exit, is_idle);
        if is_corked && self.inner.cork.collect(data) {
            return Poll::Ready(Ok(data.len()));
        }
        self.poll_write_uncorked(context, data)
    }

    #[cold] // with its like: 9 instructions an echo by a stream, 6 by callbacks
    fn poll_write_uncorked(
        &self,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.leave_cork();
        if self.waiting() >= HIGH {
            self.send();
        }
        self.mark_if_doomed();
        if !self.state.get().takes_writes() {
            return Poll::Ready(Err(self.end_as_write()));
        }
        let room = HIGH.saturating_sub(self.waiting());
        if room == 0 {
            return self.wait_to_write(context, false);
        }
        ready!(self.poll_budget(context));
        // Not more than there is room for, though the socket might take it: a layer that takes a part
        // may have begun with what follows, and wants just that again.
        let taken = &data[..data.len().min(room)];
        self.write_or_keep(taken);
        Poll::Ready(Ok(taken.len()))
    }

    /// Ready when all that was written is with the system.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send();
        self.mark_if_doomed();
        if self.has_reason() {
            return Poll::Ready(Err(self.end_as_write()));
        }
        if self.is_drained() && !self.is_in_stream() {
            return Poll::Ready(Ok(()));
        }
        self.wait_to_write(context, true)
    }

    /// Ends this half; ready when the system was told.
    pub(crate) fn poll_close(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.begin_losing_write();
        let state = self.state.get();
        if state.is_open() && !state.has_write_ended() {
            return self.wait_to_write(context, true);
        }
        self.note_told();
        Poll::Ready(match self.clone_reason() {
            Some(reason) if !reason.is::<ConnectionDone>() => Err(as_io_error(&reason)),
            _ => Ok(()),
        })
    }

    /// Whoever writes is told what became of it.
    fn note_told(&self) {
        self.note(Event::WriterTold);
    }

    /// Who waits for bytes has most likely answered the last ones: that goes out now.
    // 25 instructions an echo by a stream.
    #[inline(always)]
    fn wait_to_read<T>(&self, context: &Context<'_>) -> Poll<T> {
        if self.outbound.is_corked() {
            self.uncork_in_poll();
        }
        if let Some(waiters) = self.waiters() {
            waiters.reader.wait(context, &self.inner);
        }
        Poll::Pending
    }

    fn wait_to_write<T>(&self, context: &Context<'_>, awaits_all: bool) -> Poll<T> {
        if let Some(waiters) = self.waiters() {
            waiters.halves.set(Halves { awaits_all, ..waiters.halves.get() });
            self.set_work();
            waiters.writer.wait(context, &self.inner);
        }
        Poll::Pending
    }

    /// A stream's own read or write found the end: the loop shall make it so.
    fn mark_if_doomed(&self) {
        if matches!(self.state.get(), State::Failed { .. }) {
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
        self.note_told();
        match self.clone_reason() {
            Some(reason) => as_io_error(&reason),
            None => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

/// The task had its share: others go first.
fn come_again<T>(context: &Context<'_>) -> Poll<T> {
    context.waker().wake_by_ref();
    Poll::Pending
}

fn as_io_error(reason: &Failure) -> io::Error {
    let kind = match reason.check::<ConnectionLost>() {
        Some(lost) => lost.kind(),
        None if reason.is::<ConnectionDone>() => io::ErrorKind::BrokenPipe,
        None => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, Ended(reason.clone()))
}

/// Why a connection ended, put into words only when somebody asks: most handlers never do.
#[derive(Debug)]
pub(super) struct Ended(Failure);

impl Ended {
    pub(super) fn reason(&self) -> &Failure {
        &self.0
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Ended {}
