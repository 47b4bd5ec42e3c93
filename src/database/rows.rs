//! The rows of a query: each as it comes, or in batches to whoever takes them.
//!
//! # Theory
//! The thread of a streamed query puts batches into a queue, and waits while two lie there; the reactor's
//! thread takes them. What is woken is the task that waits for rows, by its own waker.
//!
//! There may be no second thread: a simulation makes its calls in the reactor's own, and so does a driver
//! that gets no thread from the system. Nobody could take a batch there while the query waits, so then it
//! does not wait, and its rows are there at once.
//!
//! # Invariants
//! * The query waits no more once the rows were dropped, or its Deferred has fired, for whatever reason.

use super::contract::{Database, FromRow, Sql};
use super::transaction::Transaction;
use crate::{Deferred, Failure, IntoDeferred, Reactor, Result};
use futures_core::Stream;
use futures_util::StreamExt;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem::take;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

/// So many batches wait to be taken.
const MOST_BATCHES: usize = 2;

/// Calls `each` for the rows in order, until it says false or fails.
pub(super) fn each<D: Sql<P>, P>(
    database: &D,
    transaction: &mut Transaction<'_, D>,
    sql: &str,
    parameters: P,
    place: &'static Location<'static>,
    mut each: impl FnMut(&D::Row<'_>) -> Result<bool>,
) -> Result {
    let mut failed = Ok(());
    let queried = database.query(transaction.connection, sql, parameters, &mut |row| {
        each(row).unwrap_or_else(|failure| {
            failed = Err(failure);
            false
        })
    });
    queried.map_err(|error| Failure::from(error).arose_at(place))?;
    failed
}

/// What makes a `T` of a row.
pub(super) fn made_of_row<D, T>(
    place: &'static Location<'static>,
) -> impl FnMut(&D::Row<'_>) -> Result<T> + Send + 'static
where
    T: FromRow<D>,
    D: Database,
{
    move |row| T::from_row(row).map_err(|error| Failure::from(error).arose_at(place))
}

/// The rows of a query in batches: a futures [`Stream`] of `Result<Vec<T>>`, which ends after a failure.
///
/// Dropped, it cancels the query. Those who write callbacks have
/// [`for_each_batch`](Rows::for_each_batch).
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use futures_util::StreamExt;
/// use ropewalk::database::{ConnectionPool, Rows, sqlite};
///
/// let reactor = ropewalk::Reactor::new()?;
/// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
/// let mut rows: Rows<(u32,)> = pool.stream_query("values (1), (2), (3)", (), 2);
/// let first = reactor.run_until(async move { rows.next().await.unwrap() })?;
/// assert_eq!(first, [(1,), (2,)]);
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[must_use = "the query ends when its rows are dropped"]
pub struct Rows<T> {
    queue: Arc<Queue<T>>,
    /// None once its result was told.
    query: Option<Deferred<()>>,
}

struct Queue<T> {
    state: Mutex<QueueState<T>>,
    has_room: Condvar,
    /// The reactor's thread.
    home: ThreadId,
}

struct QueueState<T> {
    batches: VecDeque<Vec<T>>,
    taker: Option<Waker>,
    /// Nobody takes any more.
    is_over: bool,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.has_room.notify_all();
    }

    /// Whether more is wanted.
    fn put(&self, batch: Vec<T>) -> bool {
        let may_wait = thread::current().id() != self.home;
        let mut state = self.lock();
        while may_wait && state.batches.len() >= MOST_BATCHES && !state.is_over {
            state = self.has_room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_over {
            return false;
        }
        state.batches.push_back(batch);
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
        true
    }

    /// A batch that is there, or the place where the next one wakes.
    fn take(&self, context: &Context<'_>) -> Option<Vec<T>> {
        let mut state = self.lock();
        let batch = state.batches.pop_front();
        let old = match batch {
            Some(_) => None,
            None => state.taker.replace(context.waker().clone()),
        };
        drop(state);
        drop(old);
        self.has_room.notify_one();
        batch
    }
}

/// Where a query puts its rows.
pub(super) struct Sink<T> {
    queue: Arc<Queue<T>>,
    batch: Vec<T>,
    size: usize,
}

impl<T> Sink<T> {
    /// Whether more is wanted.
    pub(super) fn push(&mut self, row: T) -> bool {
        self.batch.push(row);
        self.batch.len() < self.size || self.queue.put(take(&mut self.batch))
    }

    pub(super) fn finish(self) {
        if !self.batch.is_empty() {
            self.queue.put(self.batch);
        }
    }
}

impl<T: Send + 'static> Rows<T> {
    pub(super) fn new(size: usize, query: impl FnOnce(Sink<T>) -> Deferred<()>) -> Rows<T> {
        let state = QueueState { batches: VecDeque::new(), taker: None, is_over: false };
        let home = thread::current().id();
        let queue = Arc::new(Queue { state: Mutex::new(state), has_room: Condvar::new(), home });
        let (sink, ended) = (queue.clone(), queue.clone());
        let query = query(Sink { queue: sink, batch: Vec::new(), size: size.max(1) });
        // Also when the reactor is gone and the query is not: it would wait for ever.
        let query = query.add_both(move |result| {
            ended.end();
            result
        });
        Rows { queue, query: Some(query) }
    }

    /// Calls `each` with every batch in order, and waits for the Deferred that it may return before the
    /// next; fires when all rows were taken, or with the first failure, be it the query's or `each`'s.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// # use ropewalk::database::{ConnectionPool, sqlite};
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// let rows = pool.stream_query("values (1), (2), (3)", (), 2);
    /// reactor.run_until(rows.for_each_batch(&reactor, |batch: Vec<(u32,)>| println!("{batch:?}")))?;
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn for_each_batch<F, R>(mut self, reactor: &Reactor, mut each: F) -> Deferred<()>
    where
        F: FnMut(Vec<T>) -> R + 'static,
        R: IntoDeferred<Output = ()>,
    {
        reactor.spawn(async move {
            while let Some(batch) = self.next().await {
                each(batch?).into_deferred().await?;
            }
            Ok(())
        })
    }
}

impl<T> Unpin for Rows<T> {}

impl<T> Stream for Rows<T> {
    type Item = Result<Vec<T>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Vec<T>>>> {
        let rows = self.get_mut();
        if let Some(batch) = rows.queue.take(context) {
            return Poll::Ready(Some(Ok(batch)));
        }
        let Some(query) = &mut rows.query else { return Poll::Ready(None) };
        let Poll::Ready(result) = Pin::new(query).poll(context) else { return Poll::Pending };
        rows.query = None;
        // The last may have been put between the two looks.
        match (rows.queue.take(context), result) {
            (Some(batch), Ok(())) => Poll::Ready(Some(Ok(batch))),
            (_, Err(failure)) => Poll::Ready(Some(Err(failure))),
            (None, Ok(())) => Poll::Ready(None),
        }
    }
}

impl<T> Drop for Rows<T> {
    fn drop(&mut self) {
        self.queue.end();
        if let Some(query) = self.query.take() {
            query.cancel();
        }
    }
}

impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("batches", &self.queue.lock().batches.len())
            .finish_non_exhaustive()
    }
}
