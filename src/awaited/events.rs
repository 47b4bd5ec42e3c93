//! What the handlers of one protocol are called for: events, one after the other.
//!
//! # Theory
//! One future has the protocol, takes an event and awaits its handler, without end. Between events it is
//! pending, and so it is while a handler is; the stage tells which. At the end it is dropped where it is,
//! with the handler that waits in it; the protocol survives it, for it is still to be told.
//!
//! ```text
//!      1 an event, and a poll      3 the handler failed
//!   idle ──────────────► handling ────────────────────► failed
//!    │ ▲                  │  │ ▲                          │
//!    │ └── 2 it is done ──┘  │ └─ 2 and others are behind │
//!    │                       │ 4 the connection is lost   │
//!    └───────────────────────┴─────────► lost ◄───────────┘
//! ```
//!
//! # Invariants
//! * `next` and `bytes` are empty but between a call of `put` and the poll that follows it at once.
//! * `later` is empty unless the stage is `Behind`.

use super::handling::{Handling, Holds};
use crate::failure::{Failure, NO_PLACE, Result, catch_panic};
use crate::reactor::run_reporting_panic;
use crate::transport::Transport;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Idle,
    Handling,
    /// As `Handling`, and other events wait behind.
    Behind,
    Failed,
    Lost,
}

pub(super) struct Queue<E> {
    next: Cell<Option<E>>,
    /// Those of the next event, if it has some.
    bytes: Cell<Vec<u8>>,
    /// What came while one was handled. Borrowed for one push or pop.
    later: RefCell<VecDeque<(E, Vec<u8>)>>,
    stage: Cell<Stage>,
    /// The handler's, until somebody takes it.
    failure: Cell<Option<Failure>>,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Queue<E> {
        Queue {
            next: Cell::new(None),
            bytes: Cell::default(),
            later: RefCell::default(),
            stage: Cell::new(Stage::Idle),
            failure: Cell::default(),
        }
    }

    #[inline]
    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// 1: whoever puts one polls next.
    #[inline]
    pub(super) fn put(&self, event: E, bytes: Vec<u8>) {
        self.stage.set(Stage::Handling);
        // Both were empty: spares the drop of nothing.
        mem::forget(self.next.replace(Some(event)));
        mem::forget(self.bytes.replace(bytes));
    }

    pub(super) fn put_later(&self, event: E, bytes: Vec<u8>) {
        self.stage.set(Stage::Behind);
        self.later.borrow_mut().push_back((event, bytes));
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.later.borrow().len()
    }

    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// 2: the handler is done, and nothing was put since: what came meanwhile is next.
    #[inline]
    fn poll_later(&self) -> Poll<(E, Vec<u8>)> {
        match self.stage.get() {
            Stage::Handling => self.stage.set(Stage::Idle),
            Stage::Behind => return self.take_later(),
            Stage::Idle | Stage::Failed | Stage::Lost => {}
        }
        Poll::Pending
    }

    #[inline(never)]
    fn take_later(&self) -> Poll<(E, Vec<u8>)> {
        let mut later = self.later.borrow_mut();
        let first = later.pop_front();
        if later.is_empty() {
            self.stage.set(Stage::Handling);
        }
        first.map_or(Poll::Pending, Poll::Ready)
    }

    /// 3: a handler failed, or panicked, and its failure is known elsewhere.
    pub(super) fn fail(&self, failure: Option<Failure>) {
        if self.stage.get() != Stage::Lost {
            self.stage.set(Stage::Failed);
            drop(self.later.take());
        }
        drop(self.failure.replace(failure));
    }

    /// 4: the connection is lost.
    pub(super) fn lose(&self) {
        self.stage.set(Stage::Lost);
        drop(self.later.take());
    }
}

/// The protocol, and what it is called for next: what the future that calls the handlers works on.
pub(super) struct Driven<P: 'static, T: Holds, E: 'static> {
    /// Absent only while this is dropped.
    protocol: Option<P>,
    tell_lost: fn(&mut P, &Failure),
    /// Of the event that is handled.
    bytes: Vec<u8>,
    handling: Rc<Handling<T, E>>,
}

impl<P, T: Holds, E> Driven<P, T, E> {
    pub(super) fn new(
        protocol: P,
        tell_lost: fn(&mut P, &Failure),
        handling: Rc<Handling<T, E>>,
    ) -> Driven<P, T, E> {
        Driven { protocol: Some(protocol), tell_lost, bytes: Vec::new(), handling }
    }

    #[inline]
    pub(super) fn next_event(&mut self) -> impl Future<Output = E> {
        poll_fn(|_| self.poll_next())
    }

    #[inline]
    fn poll_next(&mut self) -> Poll<E> {
        let queue = &self.handling.queue;
        let (event, bytes) = match queue.next.take() {
            Some(event) => (event, queue.bytes.take()),
            None => match queue.poll_later() {
                Poll::Ready(later) => later,
                Poll::Pending => return Poll::Pending,
            },
        };
        // The last handler's were given back: spares the drop of nothing.
        mem::forget(mem::replace(&mut self.bytes, bytes));
        Poll::Ready(event)
    }

    #[inline]
    pub(super) fn parts(&mut self) -> (&mut P, &T, &[u8]) {
        let protocol = self.protocol.as_mut().expect("it is there until this is dropped");
        (protocol, &self.handling.transport, &self.bytes)
    }

    /// 2 and 3: the handler is done.
    #[inline]
    pub(super) fn done(&mut self, outcome: Result) {
        self.handling.spare.give(mem::take(&mut self.bytes));
        if let Err(failure) = outcome {
            self.failed(failure);
        }
    }

    #[inline(never)]
    fn failed(&self, failure: Failure) {
        if let Some(failure) = self.handling.transport.take_failure(failure) {
            self.handling.queue.fail(Some(failure));
        }
    }
}

/// Tells the protocol of the loss, if somebody knows why, and drops it; its panic is returned.
pub(super) type Survivor = Box<dyn FnOnce(Option<&Failure>) -> Result>;

impl<P, T: Holds, E> Drop for Driven<P, T, E> {
    fn drop(&mut self) {
        let (Some(mut protocol), tell_lost) = (self.protocol.take(), self.tell_lost) else {
            return;
        };
        self.handling.survive(Box::new(move |reason| {
            let told =
                reason.map(|reason| catch_panic(NO_PLACE, || tell_lost(&mut protocol, reason)));
            run_reporting_panic("panic in the drop of a protocol", || drop(protocol));
            told.unwrap_or(Ok(()))
        }));
    }
}

/// What a handler is called for; see [`Events`].
#[derive(Debug)]
pub enum Event {
    /// The connection is there.
    Made,
    /// Bytes, a line or a string was received: it is the third of [`Events::parts`].
    Received,
    /// The peer will send nothing more.
    ReadClosed,
    /// Nothing more can be written.
    WriteClosed,
    /// The server stops.
    Drain,
    /// A descriptor came through a Unix socket.
    Descriptor(OwnedFd),
}

/// An async protocol and the events that its handlers are to be awaited for, one after the other.
///
/// For a framing of your own: [`Awaited::begin`](super::Awaited::begin) gives it to a future that takes an event,
/// awaits its handler and says how that ended, without end. [`await_protocol!`](crate::await_protocol) writes
/// that future.
///
/// By hand it is a loop:
///
/// ```
/// use ropewalk::awaited::{Awaited, Event, Events};
/// use ropewalk::{Failure, Protocol, Result, Transport};
/// use std::convert::Infallible;
///
/// trait AsyncPing {
///     async fn ping(&mut self, transport: &Transport, what: &[u8]) -> Result;
/// }
///
/// async fn drive<P: AsyncPing>(mut events: Events<P>) -> Infallible {
///     loop {
///         let event = events.next_event().await;
///         let (protocol, transport, received) = events.parts();
///         let outcome = match event {
///             Event::Received => protocol.ping(transport, received).await,
///             Event::ReadClosed => Ok(transport.lose_connection()),
///             _ => Ok(()),
///         };
///         events.done(outcome);
///     }
/// }
///
/// /// A type of one's own, for a trait of somebody else's.
/// struct Pinged<P>(Awaited<P>);
///
/// impl<P: AsyncPing + 'static> Protocol for Pinged<P> {
///     fn connection_made(&mut self, transport: &Transport) {
///         self.0.begin(transport, |_, reason| println!("{reason}"), drive);
///     }
///     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
///         self.0.receive(data)
///     }
///     fn read_closed(&mut self, transport: &Transport) {
///         self.0.handle(transport, Event::ReadClosed);
///     }
///     fn pause_writing(&mut self, _: &Transport) {
///         self.0.set_full(true);
///     }
///     fn resume_writing(&mut self, _: &Transport) {
///         self.0.set_full(false);
///     }
///     fn connection_lost(&mut self, reason: &Failure) {
///         self.0.lose(reason);
///     }
/// }
/// ```
pub struct Events<P: 'static>(pub(super) Driven<P, Transport, Event>);

impl<P> Events<P> {
    /// The next event, as soon as there is one.
    #[inline]
    pub fn next_event(&mut self) -> impl Future<Output = Event> {
        self.0.next_event()
    }

    /// The protocol, its transport, and what was received, if that is the event.
    #[inline]
    pub fn parts(&mut self) -> (&mut P, &Transport, &[u8]) {
        self.0.parts()
    }

    /// The handler is done; after an error the connection is reset, and no other event comes.
    #[inline]
    pub fn done(&mut self, outcome: Result) {
        self.0.done(outcome);
    }
}

impl<P> fmt::Debug for Events<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
