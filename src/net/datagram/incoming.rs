//! The way into a socket for datagrams: one by one or in trains, to the protocol or to a task.
//!
//! # Theory
//! A socket is asked for datagrams one by one until a burst of them comes; from then on it is asked for
//! trains, which costs a little more for one datagram and far less for many. A train for the
//! protocol is read into the loop's one buffer and delivered whole. One for tasks is read into a
//! buffer of the pool, which the socket keeps until they have asked for all of it.
//!
//! # Invariants
//! * Nothing that was received is lost, unless the socket is closed or a task's buffer is too short.
//! * While a train is kept nothing is received, and so the socket counts as readable.
//! * Only who receives in trains keeps one.

use super::socket::{Datagrams, is_refusal};
use crate::address::Address;
use crate::buffer::Buffer;
use crate::driver::{Readiness, Train};
use crate::failure::{Failure, report};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

pub(super) struct Incoming {
    manner: Cell<Manner>,
    /// Borrowed for one datagram.
    kept: RefCell<Option<Kept>>,
    /// What the peer of a connected socket answered, to be told.
    refusal: Cell<Option<io::Error>>,
}

/// How a socket is asked for datagrams.
///
/// ```text
///   OneByOne(0) ──1──► OneByOne(n) ──2──► Trains
///        ▲                  │ └──────3──► NoTrains
///        └─────────4────────┘
///   1  n came without a pause     3  the same, but this socket knows no trains
///   2  as many as make a burst    4  there was a pause
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    OneByOne(u8),
    Trains,
    NoTrains,
}

/// A train that a task has asked for a part of.
struct Kept {
    bytes: Box<Buffer>,
    each: usize,
    from: Address,
}

/// So many datagrams without a pause are a burst: a peer that is quick to answer makes fewer.
const BURST: u8 = 8;
/// So many datagrams, and so many bytes, are one socket's share of a turn; a train may exceed them.
const DATAGRAMS_PER_TURN: usize = 64;
const BYTES_PER_TURN: usize = 256 * 1024;

impl Incoming {
    pub(super) fn new() -> Incoming {
        let manner = Cell::new(Manner::OneByOne(0));
        Incoming { manner, kept: RefCell::default(), refusal: Cell::default() }
    }
}

impl Datagrams {
    /// Receives what the protocol is to be told in this turn.
    pub(super) fn receive(self: &Rc<Self>, scratch: &mut [u8]) {
        let (mut datagrams, mut bytes) = (0, 0);
        while datagrams < DATAGRAMS_PER_TURN && bytes < BYTES_PER_TURN {
            if self.is_closed() {
                return;
            }
            if !self.is_ready(Readiness::READABLE) {
                break;
            }
            match self.receive_train(scratch) {
                Ok(train) => {
                    bytes += train.length;
                    datagrams += self.deliver(scratch, &train);
                }
                Err(error) => {
                    datagrams += 1;
                    self.receive_failed(error);
                }
            }
        }
        if self.is_ready(Readiness::READABLE) {
            self.requeue();
        }
    }

    /// Receives a datagram for a task, or `WouldBlock`.
    pub(super) fn receive_one(&self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        if self.incoming.manner.get() != Manner::Trains {
            let train = self.receive_train(buffer)?;
            return Ok((train.length, train.from));
        }
        if let Some(next) = self.take_kept(buffer) {
            return Ok(next);
        }
        self.keep_train()?;
        self.take_kept(buffer).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn keep_train(&self) -> io::Result<()> {
        let mut bytes = self.inner.pool.large();
        let outcome = self.receive_train(bytes.space());
        let fits = outcome.as_ref().is_ok_and(|train| train.length <= bytes.space().len());
        match outcome {
            Ok(Train { length, each, from }) if fits => {
                bytes.fill(length);
                self.incoming.kept.replace(Some(Kept { bytes, each, from }));
                Ok(())
            }
            outcome => {
                self.inner.pool.give(bytes);
                // More than IP can carry: a driver's mistake.
                outcome.and(Err(io::ErrorKind::InvalidData.into()))
            }
        }
    }

    /// Receives once, in the manner of this socket; a train of one is a datagram.
    fn receive_train(&self, buffer: &mut [u8]) -> io::Result<Train> {
        let outcome = match self.incoming.manner.get() {
            Manner::Trains => self.with_socket(|socket| socket.recv_train(buffer)),
            _ => self.with_socket(|socket| {
                let (length, from) = socket.recv_from(buffer)?;
                Ok(Train { length, each: length, from })
            }),
        };
        match &outcome {
            Ok(_) => self.quicken(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.pause(),
            Err(_) => {}
        }
        outcome
    }

    /// A datagram came: a burst of them asks for trains.
    fn quicken(&self) {
        let Manner::OneByOne(came) = self.incoming.manner.get() else { return };
        let next = match came + 1 {
            BURST => self.expect_trains(),  // 2, 3
            came => Manner::OneByOne(came), // 1
        };
        self.incoming.manner.set(next);
    }

    fn expect_trains(&self) -> Manner {
        match self.with_socket(|socket| Ok(socket.expect_trains())) {
            Ok(true) => Manner::Trains,
            _ => Manner::NoTrains,
        }
    }

    fn pause(&self) {
        self.forget_readiness(Readiness::READABLE);
        if let Manner::OneByOne(_) = self.incoming.manner.get() {
            self.incoming.manner.set(Manner::OneByOne(0)); // 4
        }
    }

    /// The next datagram of the train that is kept; its real length, however much of it had room.
    fn take_kept(&self, buffer: &mut [u8]) -> Option<(usize, Address)> {
        let mut place = self.incoming.kept.borrow_mut();
        let Kept { bytes, each, from } = place.as_mut()?;
        let left = bytes.as_slice();
        let next = &left[..left.len().min(*each)];
        let count = next.len().min(buffer.len());
        buffer[..count].copy_from_slice(&next[..count]);
        let taken = (next.len(), from.clone());
        bytes.consume(taken.0);
        if bytes.is_empty()
            && let Some(kept) = place.take()
        {
            self.inner.pool.give(kept.bytes);
        }
        Some(taken)
    }

    pub(super) fn forget_kept(&self) {
        if let Some(kept) = self.incoming.kept.take() {
            self.inner.pool.give(kept.bytes);
        }
    }

    /// Tells the protocol each datagram of a train; how many they were.
    fn deliver(self: &Rc<Self>, scratch: &[u8], train: &Train) -> usize {
        let Train { length, from, .. } = train;
        if *length > scratch.len() {
            let (most, host) = (scratch.len(), self.host());
            let why = format!("{from} sent {host} a datagram of {length} bytes, over {most}");
            report("datagram dropped", &Failure::in_loop_msg(why));
            return 1;
        }
        let datagrams = train.datagrams(scratch).take_while(|_| !self.is_closed());
        datagrams.map(|data| self.tell(data, from)).count()
    }

    fn tell(self: &Rc<Self>, data: &[u8], from: &Address) {
        let outcome = self.call_protocol("panic in datagram_received", |protocol, transport| {
            protocol.datagram_received(transport, data, from)
        });
        if let Some(Err(failure)) = outcome {
            report("unhandled failure in datagram_received", &failure);
        }
    }

    fn receive_failed(self: &Rc<Self>, error: io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
            _ if is_refusal(&error) => {
                self.note_refusal(error);
                self.tell_refusal();
            }
            // Nothing more can be had for now; the next event asks again.
            _ => {
                self.forget_readiness(Readiness::READABLE);
                report("datagram socket", &Failure::from(error));
            }
        }
    }

    /// Keeps what a peer answered, for the face to be told.
    pub(super) fn note_refusal(&self, error: io::Error) {
        if self.peer.borrow().is_some() {
            self.incoming.refusal.set(Some(error));
            // Whoever waits to receive is told.
            self.note_readiness(Readiness::READABLE);
            self.requeue();
        }
    }

    pub(super) fn take_refusal(&self) -> Option<io::Error> {
        self.incoming.refusal.take()
    }

    pub(super) fn tell_refusal(self: &Rc<Self>) {
        let Some(error) = self.incoming.refusal.take() else { return };
        let peer = self.peer.borrow().clone();
        let to = peer.map_or_else(String::new, |peer| peer.to_string());
        let reason = Failure::from(io::Error::new(error.kind(), format!("{to}: {error}")));
        self.call_protocol("panic in connection_refused", |protocol, transport| {
            protocol.connection_refused(transport, &reason);
        });
    }
}
