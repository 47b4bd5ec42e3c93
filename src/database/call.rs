//! One call, in the thread that makes it.
//!
//! # Theory
//! ```text
//!          1 a thread takes it              2 it has its connection            4 the user's code returned
//!   Given ─────────────────────► Connecting ──────────────────────► Running ──────────────────────► Ended
//!     │ 3 cancelled: its connection is taken out and goes back at once                                ▲
//!     └───────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! The state is the one thing that two threads share. A cancellation is a flag, and besides 3 in Given, and
//! the connection's interrupt in Running. From Ended on nothing interrupts, so that a rollback or a commit
//! is not cut short: a cancellation that comes before it rolls back, and a later one is too late.
//!
//! # Invariants
//! * Whoever takes the connection out of Given gives it back, or drops it: it is nowhere else.
//! * The lock is held while an interrupt is called, or it could strike the connection's next call.

use super::contract::{Database, Interrupt};
use super::error::ConnectError;
use super::transaction::Transaction;
use crate::deferred::{Cancelled, execute};
use crate::{Failure, Result};
use futures_util::FutureExt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An open connection.
pub(super) struct Pooled<D: Database> {
    pub(super) connection: D::Connection,
    interrupt: Interrupt,
}

/// What a call has from its pool.
pub(super) struct Given<D: Database> {
    pub(super) pooled: Option<Pooled<D>>,
    /// It was idle for long.
    pub(super) is_stale: bool,
}

pub(super) struct Call<D: Database> {
    state: Mutex<State<D>>,
    is_cancelled: AtomicBool,
}

enum State<D: Database> {
    Given(Given<D>),
    Connecting,
    Running(Interrupt),
    Ended,
}

/// What comes back from the thread.
pub(super) struct Returned<D: Database, T> {
    pub(super) outcome: Result<T>,
    /// None: there is none any more.
    pub(super) pooled: Option<Pooled<D>>,
    /// It had to be opened.
    pub(super) was_opened: bool,
    /// Why the one that had been idle could not be used.
    pub(super) replaced: Option<Failure>,
    /// Why the one that was used was thrown away.
    pub(super) lost: Option<Failure>,
}

/// How a call is made.
pub(super) struct Manner<'d, D> {
    pub(super) database: &'d D,
    /// In a transaction that is begun first.
    pub(super) begins: bool,
    /// The user's line.
    pub(super) place: &'static Location<'static>,
}

impl<D: Database> Call<D> {
    pub(super) fn new(given: Given<D>) -> Call<D> {
        Call { state: Mutex::new(State::Given(given)), is_cancelled: AtomicBool::new(false) }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Ends it as soon as can be; gives what it had if no thread has begun.
    pub(super) fn cancel(&self) -> Option<Given<D>> {
        self.is_cancelled.store(true, Ordering::Release);
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Ended) {
            State::Given(given) => return Some(given), // 3
            State::Running(interrupt) => {
                // One that panics has not interrupted: the call goes on to its end.
                drop(execute(&*interrupt).now_or_never());
                *state = State::Running(interrupt);
            }
            other => *state = other,
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// 1. None: it was cancelled before.
    fn take(&self) -> Option<Given<D>> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Connecting) {
            State::Given(given) => Some(given),
            other => {
                *state = other;
                None
            }
        }
    }

    /// 2, 4. Whether it was not cancelled until now.
    fn advance(&self, to: State<D>) -> bool {
        let mut state = self.lock();
        *state = to;
        !self.is_cancelled()
    }

    /// The whole call.
    pub(super) fn run<T>(
        &self,
        manner: &Manner<'_, D>,
        work: impl FnOnce(&mut Transaction<'_, D>) -> Result<T>,
    ) -> Returned<D, T> {
        let Some(given) = self.take() else { return Returned::without(manner.cancelled()) };
        let (idle, replaced) = manner.tried(given);
        let was_opened = idle.is_none();
        let mut pooled = match idle.map_or_else(|| manner.connect(), Ok) {
            Ok(pooled) => pooled,
            Err(failure) => return Returned { replaced, ..Returned::without(failure) },
        };
        let outcome = self.transact(manner, &mut pooled, work);
        let (outcome, lost) = match outcome {
            Ok(value) => (Ok(value), None),
            Err(first) => {
                let (first, lost) = manner.undo(&mut pooled, first);
                (Err(first), lost)
            }
        };
        let pooled = lost.is_none().then_some(pooled);
        Returned { outcome, pooled, was_opened, replaced, lost }
    }

    /// From begin to commit. After an error the rollback is the caller's.
    fn transact<T>(
        &self,
        manner: &Manner<'_, D>,
        pooled: &mut Pooled<D>,
        work: impl FnOnce(&mut Transaction<'_, D>) -> Result<T>,
    ) -> Result<T> {
        let connection = &mut pooled.connection;
        let outcome = if self.advance(State::Running(pooled.interrupt.clone())) {
            manner.begin(connection).and_then(|()| {
                manner.contained(|| work(&mut Transaction { connection, call: self }))
            })
        } else {
            Err(manner.cancelled())
        };
        let is_wanted = self.advance(State::Ended);
        let value = outcome?;
        if !is_wanted {
            return Err(manner.cancelled());
        }
        manner.fallible(manner.database.commit(connection))?;
        Ok(value)
    }
}

impl<D: Database> Manner<'_, D> {
    fn fallible<T>(&self, result: Result<T, D::Error>) -> Result<T> {
        result.map_err(|error| Failure::from(error).arose_at(self.place))
    }

    fn cancelled(&self) -> Failure {
        Failure::from(Cancelled).arose_at(self.place)
    }

    /// Calls code of the user's, and takes a panic for a failure.
    fn contained<T>(&self, code: impl FnOnce() -> Result<T>) -> Result<T> {
        let outcome = execute(code).now_or_never().unwrap_or_else(|| Err(self.cancelled()));
        outcome.map_err(|panic| panic.arose_at(self.place))?
    }

    /// The connection that the call was given, if it is there and of use; else why not.
    fn tried(&self, given: Given<D>) -> (Option<Pooled<D>>, Option<Failure>) {
        let Some(mut pooled) = given.pooled else { return (None, None) };
        if !given.is_stale {
            return (Some(pooled), None);
        }
        match self.fallible(self.database.check(&mut pooled.connection)) {
            Ok(()) => (Some(pooled), None),
            Err(failure) => (None, Some(failure)),
        }
    }

    fn connect(&self) -> Result<Pooled<D>> {
        let connection = self.fallible(self.database.connect()).map_err(|failure| {
            let to = self.database.name().into_owned();
            let error = ConnectError { to, reason: failure };
            Failure::from(error).arose_at(self.place)
        })?;
        let interrupt = self.database.interrupt(&connection);
        Ok(Pooled { connection, interrupt })
    }

    fn begin(&self, connection: &mut D::Connection) -> Result {
        if self.begins { self.fallible(self.database.begin(connection)) } else { Ok(()) }
    }

    /// Rolls back what `first` ended; gives the failure of the call, and why its connection is of no use
    /// any more, if it is not.
    fn undo(&self, pooled: &mut Pooled<D>, first: Failure) -> (Failure, Option<Failure>) {
        if has::<D>(&first, |error| self.database.is_broken(error)) {
            return (first.clone(), Some(first));
        }
        match self.fallible(self.database.rollback(&mut pooled.connection)) {
            Ok(()) => (first, None),
            Err(second) => (first.attach(second.clone()), Some(second)),
        }
    }
}

/// Whether an error of the database's is, or lies under, the failure, and is of that kind.
pub(super) fn has<D: Database>(failure: &Failure, is_kind: impl Fn(&D::Error) -> bool) -> bool {
    failure.chain().filter_map(|error| error.downcast_ref()).any(is_kind)
}

impl<D: Database, T> Returned<D, T> {
    fn without(failure: Failure) -> Returned<D, T> {
        let outcome = Err(failure);
        Returned { outcome, pooled: None, was_opened: false, replaced: None, lost: None }
    }
}
