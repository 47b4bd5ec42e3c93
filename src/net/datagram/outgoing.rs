//! The way out of a socket for datagrams: at once, in trains, and when there is room again.
//!
//! # Theory
//! The first datagram of a callback, or of a turn, goes out at once: whoever sends it hears what is
//! wrong with it. A second one like it, as long and to the same place, begins a train, which others
//! join; it leaves, in one call, when the loop has served the socket, when the turn is over, when a
//! task waits to receive, when no more go into it, and before a datagram of another kind. Systems and
//! paths that take no trains get the same datagrams one by one.
//!
//! What the system does not take waits, in trains as well, up to a limit.
//!
//! # Invariants
//! * Datagrams leave in the order in which they were given.
//! * While there is room to send, no more than one train waits, and its departure is due.

use super::SendError;
use super::socket::{Datagrams, is_refusal};
use super::train::Gathered;
use crate::address::Address;
use crate::driver::{DatagramSocket, Readiness};
use crate::failure::report;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

pub(super) struct Outgoing {
    /// Borrowed for one push or pop.
    queue: RefCell<Queue>,
    /// Where the last datagram went, and how long it was: what is like it begins a train.
    last: RefCell<Option<(Option<Address>, usize)>>,
    marks: Cell<Marks>,
}

#[derive(Default)]
struct Queue {
    trains: VecDeque<Gathered>,
    /// Of all of them.
    bytes: usize,
}

#[derive(Clone, Copy)]
struct Marks {
    /// No longer datagram goes in a train; learned from those that did not.
    longest: usize,
    /// The end of the turn asks what waits.
    is_dirty: bool,
    /// A timer will ask for room to send.
    is_retrying: bool,
}

/// So many bytes may wait for the system to take them.
const MOST_QUEUED: usize = 256 * 1024;
/// A full receiver of a Unix socket, and a system without memory, is tried again so much later.
const RETRY: Duration = Duration::from_millis(10);

impl Outgoing {
    pub(super) fn new(longest: usize) -> Outgoing {
        Outgoing {
            queue: RefCell::default(),
            last: RefCell::default(),
            marks: Cell::new(Marks { longest, is_dirty: false, is_retrying: false }),
        }
    }

    pub(super) fn stop_retrying(&self) -> bool {
        let marks = self.marks.get();
        self.marks.set(Marks { is_retrying: false, ..marks });
        marks.is_retrying
    }

    fn longest(&self) -> usize {
        self.marks.get().longest
    }

    fn set_longest(&self, longest: usize) {
        self.marks.set(Marks { longest, ..self.marks.get() });
    }

    /// Drops what waits.
    pub(super) fn clear(&self) {
        self.queue.take();
    }

    fn is_empty(&self) -> bool {
        self.queue.borrow().trains.is_empty()
    }

    fn pop(&self) -> Option<Gathered> {
        self.queue.borrow_mut().trains.pop_front()
    }

    fn put_back(&self, mut train: Gathered) {
        train.advance();
        self.queue.borrow_mut().trains.push_front(train);
    }

    /// Adds a datagram to the train that waits last.
    fn join(&self, data: &[u8], to: Option<&Address>) -> bool {
        let mut queue = self.queue.borrow_mut();
        let joins = queue.trains.back_mut().is_some_and(|train| train.join(data, to));
        if joins {
            queue.bytes += data.len();
        }
        joins
    }

    fn push(&self, train: Gathered) {
        let mut queue = self.queue.borrow_mut();
        queue.bytes += train.rest().len();
        queue.trains.push_back(train);
    }

    fn bytes(&self) -> usize {
        self.queue.borrow().bytes
    }

    /// So many bytes have left.
    fn discount(&self, bytes: usize) {
        // A queue that was cleared meanwhile counts none of them.
        let mut queue = self.queue.borrow_mut();
        queue.bytes = queue.bytes.saturating_sub(bytes);
    }

    fn is_like_last(&self, data: &[u8], to: Option<&Address>) -> bool {
        let last = self.last.borrow();
        last.as_ref().is_some_and(|(place, length)| *length == data.len() && place.as_ref() == to)
    }

    fn has_full_train(&self) -> bool {
        self.queue.borrow().trains.back().is_some_and(Gathered::is_full)
    }

    /// Datagrams of this length did not go in a train.
    fn learn(&self, each: usize, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::InvalidInput => self.set_longest(each - 1),
            io::ErrorKind::Unsupported => self.set_longest(0),
            // It speaks of the moment, or of where they go.
            _ => {}
        }
    }
}

impl Datagrams {
    pub(super) fn write(&self, data: &[u8], to: Option<&Address>) -> Result<(), SendError> {
        match self.try_send(data, to) {
            Err(error) if is_full(&error) => self.enqueue(data, to),
            outcome => outcome.map_err(|cause| self.cannot_send(data.len(), to, cause)),
        }
    }

    /// Sends now or with what follows, or `WouldBlock`.
    pub(super) fn try_send(&self, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        let to = self.destination(to)?;
        if self.gather(data, to) {
            return Ok(());
        }
        self.send_queue();
        if !self.outgoing.is_empty() {
            // In order: it waits behind the others.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.send_there(to, |socket, to| socket.send_to(data, to))?;
        self.note_last(data.len(), to);
        Ok(())
    }

    /// Takes a datagram to be sent with those that follow, if it is like the one before it.
    fn gather(&self, data: &[u8], to: Option<&Address>) -> bool {
        let outgoing = &self.outgoing;
        if !self.is_ready(Readiness::WRITABLE) {
            return false;
        }
        if outgoing.is_empty() {
            let begins = outgoing.is_like_last(data, to) && data.len() <= outgoing.longest();
            if begins {
                outgoing.push(Gathered::first(data, to));
            }
            return begins;
        }
        let joins = outgoing.join(data, to);
        if joins && outgoing.has_full_train() {
            self.send_queue();
        }
        joins
    }

    fn note_last(&self, length: usize, to: Option<&Address>) {
        let outgoing = &self.outgoing;
        // Outside of a turn nobody would see a train off.
        if (1..=outgoing.longest()).contains(&length) && self.inner.is_entered() {
            outgoing.last.replace(Some((to.cloned(), length)));
            let marks = outgoing.marks.get();
            if !self.is_served() && !marks.is_dirty {
                outgoing.marks.set(Marks { is_dirty: true, ..marks });
                self.inner.sources.mark_dirty(self.key);
            }
        }
    }

    pub(super) fn flush_turn(&self) {
        let marks = &self.outgoing.marks;
        marks.set(Marks { is_dirty: false, ..marks.get() });
        self.end_gathering();
    }

    /// Sends what was gathered; the next datagram goes out at once again.
    #[inline]
    pub(super) fn end_gathering(&self) {
        if self.outgoing.last.borrow().is_some() {
            self.outgoing.last.take();
        }
        self.send_queue();
    }

    fn send(
        &self,
        to: Option<&Address>,
        call: impl Fn(&mut dyn DatagramSocket, Option<&Address>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.send_there(self.destination(to)?, call)
    }

    /// As `send`, where `to` is what the system is to be told.
    fn send_there(
        &self,
        to: Option<&Address>,
        call: impl Fn(&mut dyn DatagramSocket, Option<&Address>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut outcome = self.with_socket(|socket| call(socket, to));
        if let Err(error) = &outcome
            && is_refusal(error)
        {
            // That may be the answer to an earlier datagram, and this one not even looked at.
            let again = self.with_socket(|socket| call(socket, to));
            let first = std::mem::replace(&mut outcome, again);
            self.note_earlier(first, &outcome);
        }
        let Err(error) = &outcome else { return outcome };
        let is_short = error.kind() == io::ErrorKind::OutOfMemory;
        if !is_short && !is_full(error) {
            return outcome;
        }
        self.wait_for_room(is_short || matches!(to, Some(Address::Unix(_))));
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// A refusal that the second attempt did not meet was an earlier datagram's.
    fn note_earlier(&self, first: io::Result<()>, second: &io::Result<()>) {
        if let Err(refusal) = first
            && !second.as_ref().is_err_and(is_refusal)
        {
            self.note_refusal(refusal);
        }
    }

    /// `is_silent`: no event says when there is room again.
    ///
    /// It does not of memory, nor of the queue of a Unix socket that this one is not connected to.
    fn wait_for_room(&self, is_silent: bool) {
        self.forget_readiness(Readiness::WRITABLE);
        let marks = self.outgoing.marks.get();
        if !is_silent || marks.is_retrying {
            return;
        }
        self.outgoing.marks.set(Marks { is_retrying: true, ..marks });
        let (inner, key) = (Rc::downgrade(&self.inner), self.key);
        let again = move || {
            if let Some(inner) = inner.upgrade() {
                inner.sources.requeue(key);
            }
        };
        self.inner.timers.call_later(RETRY, Box::new(again));
    }

    /// Where the system is to be told to send to; a connected socket knows by itself.
    fn destination<'a>(&self, to: Option<&'a Address>) -> io::Result<Option<&'a Address>> {
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        match (&*self.peer.borrow(), to) {
            (None, None) => {
                Err(invalid("the socket is not connected, and no address given".into()))
            }
            (Some(peer), Some(to)) if peer != to => {
                Err(invalid(format!("the socket is connected to {peer}")))
            }
            (Some(_), _) => Ok(None),
            (None, to) => Ok(to),
        }
    }

    fn enqueue(&self, data: &[u8], to: Option<&Address>) -> Result<(), SendError> {
        let outgoing = &self.outgoing;
        let waiting = outgoing.bytes();
        if waiting + data.len() > MOST_QUEUED {
            let why = format!("{waiting} bytes wait to be sent already");
            let cause = io::Error::new(io::ErrorKind::WouldBlock, why);
            return Err(self.cannot_send(data.len(), to, cause));
        }
        if !outgoing.join(data, to) {
            outgoing.push(Gathered::single(data, to));
        }
        Ok(())
    }

    /// Sends what waits, as far as the system takes it.
    #[inline]
    pub(super) fn send_queue(&self) {
        if !self.outgoing.is_empty() {
            self.send_waiting();
        }
    }

    fn send_waiting(&self) {
        while self.is_ready(Readiness::WRITABLE)
            && let Some(train) = self.outgoing.pop()
        {
            // After it is in order again: who hears a report may send.
            for cannot in self.send_train(train) {
                report("a datagram that waited", &cannot.into());
            }
        }
    }

    /// Sends a train, or puts back what of it the system does not take; gives what failed.
    fn send_train(&self, mut train: Gathered) -> Vec<SendError> {
        let mut failed = Vec::new();
        loop {
            let (count, outcome) = self.send_some(&train);
            match outcome {
                Err(error) if is_full(&error) => {
                    self.outgoing.put_back(train);
                    return failed;
                }
                Err(cause) => failed.push(self.cannot_send(count, train.to(), cause)),
                Ok(()) => {}
            }
            self.outgoing.discount(count);
            train.skip(count);
            if train.rest().is_empty() {
                return failed;
            }
        }
    }

    /// Sends all of a train, or its next datagram where that does not go; says how many bytes it was.
    fn send_some(&self, train: &Gathered) -> (usize, io::Result<()>) {
        let (all, each) = (train.rest(), train.each());
        if all.len() > each && each <= self.outgoing.longest() {
            let outcome = self.send(train.to(), |socket, to| socket.send_train(all, each, to));
            match outcome {
                Err(error) if !is_full(&error) => self.outgoing.learn(each, &error),
                outcome => return (all.len(), outcome),
            }
        }
        let next = train.next();
        (next.len(), self.send(train.to(), |socket, to| socket.send_to(next, to)))
    }

    pub(super) fn cannot_send(
        &self,
        length: usize,
        to: Option<&Address>,
        cause: io::Error,
    ) -> SendError {
        let to = to.cloned().or_else(|| self.peer());
        SendError { length, from: self.host(), to, cause }
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
