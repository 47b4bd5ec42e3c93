//! The pool as its users have it.

use super::contract::{Database, FromRow, Sql};
use super::limits::PoolLimits;
use super::noisy::Noisy;
use super::retrying;
use super::rows::{self, Rows};
use super::shared::Shared;
use super::transaction::Transaction;
use crate::{Deferred, Failure, Reactor, Result, fail};
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// Connections to a database, and calls that are made with them in threads.
///
/// Clones are the same pool. A call is made though its Deferred is dropped; cancelled, or dropped after it
/// was awaited, it is interrupted and rolled back. When the last clone is dropped, what was given is done
/// still, and the connections are closed then, in the reactor's thread; [`close`](ConnectionPool::close) does
/// that in another.
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use ropewalk::Reactor;
/// use ropewalk::database::{ConnectionPool, sqlite};
///
/// let reactor = Reactor::new()?;
/// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
/// let names: Vec<(String,)> = reactor.run_until(async move {
///     pool.run_operation("create table poets (name text)", ()).await?;
///     pool.run_operation("insert into poets values (?1), (?2)", ("Sappho", "Basho")).await?;
///     pool.run_query("select name from poets order by name", ()).await
/// })?;
/// assert_eq!(names, [("Basho".to_owned(),), ("Sappho".to_owned(),)]);
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "adbapi")]
pub struct ConnectionPool<D: Database>(pub(super) Rc<Shared<D>>);

impl<D: Database> ConnectionPool<D> {
    /// A pool with Twisted's numbers, 3 to 5 connections. None is opened before it is needed.
    #[track_caller]
    pub fn new(reactor: &Reactor, database: D) -> ConnectionPool<D> {
        ConnectionPool::with_limits(reactor, database, PoolLimits::default())
    }

    /// A pool with bounds of one's own.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, PoolLimits, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let limits = PoolLimits { most: 1, ..PoolLimits::default() };
    /// let pool = ConnectionPool::with_limits(&reactor, sqlite::in_memory(), limits);
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn with_limits(reactor: &Reactor, database: D, limits: PoolLimits) -> ConnectionPool<D> {
        ConnectionPool(Shared::new(reactor.clone(), database, limits, Location::caller()))
    }

    /// Sets how much the pool tells by [reports](crate::on_report); [`Noisy::Losses`] by default.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, Noisy, sqlite};
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// let told = Rc::new(RefCell::new(Vec::new()));
    /// let heard = told.clone();
    /// ropewalk::on_report(move |report| heard.borrow_mut().push(report.failure().to_string()));
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// pool.noisy(Noisy::Connections);
    /// reactor.run_until(pool.run_operation("create table poems (title text)", ()))?;
    /// assert_eq!(*told.borrow(), ["opened a connection to memory"]);
    /// # pool.noisy(Noisy::Silent);
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "cp_noisy")]
    pub fn noisy(&self, level: Noisy) {
        self.0.noisy.set(level);
    }

    /// How many connections there are, idle or lent to a call; one that is being opened counts.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// # use ropewalk::database::{ConnectionPool, sqlite};
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// let answers: Vec<_> = (0..7).map(|n| pool.run_query::<(u32,), _>("select ?1", (n,))).collect();
    /// assert_eq!((pool.connections(), pool.idle(), pool.waiting()), (5, 0, 2));
    /// reactor.run_until(ropewalk::gather_results(answers))?;
    /// assert_eq!((pool.connections(), pool.idle(), pool.waiting()), (5, 5, 0));
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn connections(&self) -> usize {
        self.0.open()
    }

    /// How many connections are idle.
    pub fn idle(&self) -> usize {
        self.0.idle()
    }

    /// How many calls wait for a connection.
    pub fn waiting(&self) -> usize {
        self.0.waiting()
    }

    /// Calls `interaction` in a thread, in a transaction: committed when it returns `Ok`, rolled back when
    /// it fails, panics, or its Deferred was cancelled.
    ///
    /// Its failure is the call's; if the rollback fails too, that is [attached](Failure::attached) to it.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// let count = pool.run_interaction(|transaction| {
    ///     transaction.execute_batch("create table poems (title text); insert into poems values ('Ozymandias')")?;
    ///     Ok(transaction.query_row("select count(*) from poems", (), |row| row.get::<_, u32>(0))?)
    /// });
    /// assert_eq!(reactor.run_until(count)?, 1);
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "runInteraction")]
    #[track_caller]
    pub fn run_interaction<T, F>(&self, interaction: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Transaction<'_, D>) -> Result<T> + Send + 'static,
    {
        self.call(true, interaction)
    }

    /// As [`run_interaction`](ConnectionPool::run_interaction), tried again, at most `attempts` times in
    /// all, while others were in the way: a serialization failure, or SQLite's `SQLITE_BUSY`.
    ///
    /// Between two attempts it waits, without a connection, at first for some 10 ms, then for twice as long
    /// each time, up to a second; by the reactor's clock. The last failure is the call's.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// let created = pool.run_interaction_retrying(5, |transaction| {
    ///     Ok(transaction.execute_batch("create table poems (title text)")?)
    /// });
    /// reactor.run_until(created)?;
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn run_interaction_retrying<T, F>(&self, attempts: usize, interaction: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Transaction<'_, D>) -> Result<T> + Send + 'static,
    {
        let place = Location::caller();
        match self.0.accept(place) {
            Ok(accepted) => retrying::run(&self.0, accepted, attempts, place, interaction),
            Err(failure) => fail(failure),
        }
    }

    /// Calls `work` in a thread with a connection, in no transaction of the pool's. What it leaves open is
    /// committed if it returns `Ok`, and rolled back if not.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// // What cannot be done in a transaction.
    /// reactor.run_until(pool.run_with_connection(|connection| Ok(connection.execute_batch("vacuum")?)))?;
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "runWithConnection")]
    #[track_caller]
    pub fn run_with_connection<T, F>(&self, work: F) -> Deferred<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut D::Connection) -> Result<T> + Send + 'static,
    {
        self.call(false, |transaction| work(transaction.connection))
    }

    /// Executes a statement; fires with how many rows it changed.
    ///
    /// It is a transaction of its own: nothing is begun.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// reactor.run_until(pool.run_operation("create table poems (title text, lines integer)", ()))?;
    /// let insert = pool.run_operation("insert into poems values (?1, ?2)", ("Ozymandias", 14));
    /// assert_eq!(reactor.run_until(insert)?, 1);
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "runOperation")]
    #[track_caller]
    pub fn run_operation<P>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        parameters: P,
    ) -> Deferred<u64>
    where
        P: Send + 'static,
        D: Sql<P>,
    {
        let (sql, place, pool) = (sql.into(), Location::caller(), self.0.database.clone());
        self.call(false, move |transaction| {
            let done = pool.execute(transaction.connection, &sql, parameters);
            done.map_err(|error| Failure::from(error).arose_at(place))
        })
    }

    /// Executes a query; fires with its rows, as tuples or whatever else is made of a row by [`FromRow`].
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// let poems = pool.run_query("select 'Ozymandias', 14 where ?1 < 20", (7,));
    /// let poems: Vec<(String, u32)> = reactor.run_until(poems)?;
    /// assert_eq!(poems, [("Ozymandias".to_owned(), 14)]);
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "runQuery")]
    #[track_caller]
    pub fn run_query<T, P>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        parameters: P,
    ) -> Deferred<Vec<T>>
    where
        T: FromRow<D> + Send + 'static,
        P: Send + 'static,
        D: Sql<P>,
    {
        let place = Location::caller();
        self.run_query_map(sql, parameters, rows::made_of_row::<D, T>(place))
    }

    /// As [`run_query`](ConnectionPool::run_query), with a closure that makes of each row what is kept; it
    /// is called in the thread.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, sqlite};
    ///
    /// struct Poem {
    ///     title: String,
    ///     lines: u32,
    /// }
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// let poems = pool.run_query_map("select 'Ozymandias' as title, 14 as lines", (), |row| {
    ///     Ok(Poem { title: row.get("title")?, lines: row.get("lines")? })
    /// });
    /// let poem = reactor.run_until(poems)?.remove(0);
    /// assert_eq!((&*poem.title, poem.lines), ("Ozymandias", 14));
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn run_query_map<T, P, F>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        parameters: P,
        mut make: F,
    ) -> Deferred<Vec<T>>
    where
        T: Send + 'static,
        P: Send + 'static,
        D: Sql<P>,
        F: FnMut(&D::Row<'_>) -> Result<T> + Send + 'static,
    {
        let (sql, place, pool) = (sql.into(), Location::caller(), self.0.database.clone());
        self.call(false, move |transaction| {
            let mut found = Vec::new();
            rows::each(&*pool, transaction, &sql, parameters, place, |row| {
                found.push(make(row)?);
                Ok(true)
            })?;
            Ok(found)
        })
    }

    /// Executes a query whose rows come in batches, so many at a time: for results that are long.
    ///
    /// The query goes on while at most two batches wait to be taken; until it has ended, or its
    /// [`Rows`] are dropped, it has a connection and a thread.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use futures_util::TryStreamExt;
    /// use ropewalk::database::{ConnectionPool, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// let numbers = "with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ?1)
    ///                select n from numbers";
    /// let mut rows = pool.stream_query(numbers, (1000,), 100);
    /// let sum = reactor.run_until(async move {
    ///     let mut sum = 0;
    ///     while let Some(batch) = rows.try_next().await? {
    ///         sum += batch.iter().map(|(n,): &(u32,)| n).sum::<u32>();
    ///     }
    ///     Ok(sum)
    /// })?;
    /// assert_eq!(sum, 500_500);
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn stream_query<T, P>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        parameters: P,
        batch: usize,
    ) -> Rows<T>
    where
        T: FromRow<D> + Send + 'static,
        P: Send + 'static,
        D: Sql<P>,
    {
        let place = Location::caller();
        self.stream_query_map(sql, parameters, batch, rows::made_of_row::<D, T>(place))
    }

    /// As [`stream_query`](ConnectionPool::stream_query), with a closure that makes of each row what is
    /// kept; it is called in the thread.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// let rows = pool.stream_query_map("select 6 * 7", (), 10, |row| Ok(row.get::<_, u32>(0)?));
    /// // By callbacks: what this one returns is waited for before the next batch.
    /// let all = rows.for_each_batch(&reactor, |batch| assert_eq!(batch, [42]));
    /// reactor.run_until(all)?;
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn stream_query_map<T, P, F>(
        &self,
        sql: impl Into<Cow<'static, str>>,
        parameters: P,
        batch: usize,
        make: F,
    ) -> Rows<T>
    where
        T: Send + 'static,
        P: Send + 'static,
        D: Sql<P>,
        F: FnMut(&D::Row<'_>) -> Result<T> + Send + 'static,
    {
        let (sql, place, pool) = (sql.into(), Location::caller(), self.0.database.clone());
        Rows::new(batch, |mut sink| {
            self.call(false, move |transaction| {
                let mut make = make;
                rows::each(&*pool, transaction, &sql, parameters, place, |row| {
                    Ok(sink.push(make(row)?))
                })?;
                sink.finish();
                Ok(())
            })
        })
    }

    /// Takes no calls any more, waits for those that were taken, and closes the connections; fires when
    /// they are closed.
    ///
    /// A shutdown of the reactor closes the pool as well, after all that was to come before it; what runs is
    /// waited for then as [work in threads](crate::reactor) is.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// use ropewalk::database::{ConnectionPool, PoolClosed, sqlite};
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    /// reactor.run_until(pool.close())?;
    /// let late = reactor.run_until(pool.run_operation("create table poems (title text)", ()));
    /// assert!(late.unwrap_err().is::<PoolClosed>());
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn close(&self) -> Deferred<()> {
        self.0.close()
    }

    #[track_caller]
    fn call<T: Send + 'static>(
        &self,
        begins: bool,
        work: impl FnOnce(&mut Transaction<'_, D>) -> Result<T> + Send + 'static,
    ) -> Deferred<T> {
        let place = Location::caller();
        match self.0.accept(place) {
            Ok(accepted) => accepted.call(begins, place, work),
            Err(failure) => fail(failure),
        }
    }
}

impl<D: Database> Clone for ConnectionPool<D> {
    fn clone(&self) -> ConnectionPool<D> {
        ConnectionPool(self.0.clone())
    }
}

impl<D: Database> fmt::Debug for ConnectionPool<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool")
            .field("database", &self.0.database.name())
            .field("connections", &self.connections())
            .field("idle", &self.idle())
            .field("waiting", &self.waiting())
            .finish()
    }
}
