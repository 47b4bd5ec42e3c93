//! What a database must be able to do: to be pooled, and to be asked by text.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

/// Stops what a connection is doing, from another thread.
pub type Interrupt = Arc<dyn Fn() + Send + Sync>;

/// A database whose calls block, for a [`ConnectionPool`](super::ConnectionPool).
///
/// Its methods are called in threads, and a connection is moved from one to another between calls; it is
/// never in two at once.
///
/// ```
/// use ropewalk::database::{Database, Interrupt};
/// use std::{io, sync::Arc};
///
/// /// A "database" of one number.
/// struct Counter;
///
/// impl Database for Counter {
///     type Connection = Vec<u32>; // the numbers so far: the last is what holds
///     type Row<'r> = (); // it is not asked by text
///     type Error = io::Error;
///
///     fn connect(&self) -> io::Result<Vec<u32>> {
///         Ok(vec![0])
///     }
///     fn begin(&self, numbers: &mut Vec<u32>) -> io::Result<()> {
///         Ok(numbers.push(*numbers.last().unwrap_or(&0)))
///     }
///     fn commit(&self, numbers: &mut Vec<u32>) -> io::Result<()> {
///         Ok(drop(numbers.drain(..numbers.len() - 1)))
///     }
///     fn rollback(&self, numbers: &mut Vec<u32>) -> io::Result<()> {
///         Ok(numbers.truncate(1))
///     }
///     fn is_broken(&self, error: &io::Error) -> bool {
///         error.kind() == io::ErrorKind::BrokenPipe
///     }
/// }
/// # let reactor = ropewalk::Reactor::new()?;
/// # let pool = ropewalk::database::ConnectionPool::new(&reactor, Counter);
/// # let counted = pool.run_interaction(|numbers| Ok(numbers.len()));
/// # assert_eq!(reactor.run_until(counted)?, 2);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub trait Database: Send + Sync + 'static {
    /// A connection, bound to no thread.
    type Connection: Send + 'static;
    /// A row of a result, seen while its query runs.
    type Row<'r>;
    /// What its calls fail with.
    type Error: Error + Send + Sync + 'static;

    /// Opens a connection.
    fn connect(&self) -> Result<Self::Connection, Self::Error>;

    /// Begins a transaction.
    fn begin(&self, connection: &mut Self::Connection) -> Result<(), Self::Error>;

    /// Commits what is open, if anything is. A call that fails leaves it to `rollback`.
    fn commit(&self, connection: &mut Self::Connection) -> Result<(), Self::Error>;

    /// Undoes what is open, if anything is, also after an interrupt. A connection on which this fails is
    /// thrown away.
    fn rollback(&self, connection: &mut Self::Connection) -> Result<(), Self::Error>;

    /// Whether a connection that gave this error is of no use any more: it is thrown away, and the next
    /// call that needs one has a new one.
    fn is_broken(&self, error: &Self::Error) -> bool;

    /// Whether the same transaction may well succeed if it is tried again: others were in its way. Never,
    /// by default.
    fn is_serialization_failure(&self, error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// Tries a connection that was idle for long. All are good, by default.
    #[doc(alias = "cp_good_sql")]
    fn check(&self, connection: &mut Self::Connection) -> Result<(), Self::Error> {
        let _ = connection;
        Ok(())
    }

    /// What stops a call of this connection. Asked for when it was opened; called, in the reactor's thread,
    /// only while a call runs, and must not wait. The default stops nothing: a cancelled call goes on to its
    /// end, and is rolled back then.
    fn interrupt(&self, connection: &Self::Connection) -> Interrupt {
        let _ = connection;
        Arc::new(|| ())
    }

    /// What it is called when it is spoken of: a file, a host.
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("the database")
    }
}

/// A database that is asked by text, with parameters of type `P`.
pub trait Sql<P>: Database {
    /// Executes a statement; returns how many rows it changed.
    fn execute(
        &self,
        connection: &mut Self::Connection,
        sql: &str,
        parameters: P,
    ) -> Result<u64, Self::Error>;

    /// Executes a query and calls `each` for its rows in order, until it returns false.
    fn query(
        &self,
        connection: &mut Self::Connection,
        sql: &str,
        parameters: P,
        each: &mut dyn FnMut(&Self::Row<'_>) -> bool,
    ) -> Result<(), Self::Error>;
}

/// What is made of a row: a tuple of its columns, or a type of one's own.
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use ropewalk::database::sqlite::{self, Sqlite, rusqlite};
/// use ropewalk::database::{ConnectionPool, FromRow};
///
/// struct Poem {
///     title: String,
///     lines: u32,
/// }
/// impl FromRow<Sqlite> for Poem {
///     fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Poem> {
///         Ok(Poem { title: row.get("title")?, lines: row.get("lines")? })
///     }
/// }
/// let reactor = ropewalk::Reactor::new()?;
/// let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
/// let poems = pool.run_query("select 'Ozymandias' as title, 14 as lines", ());
/// let poem: Poem = reactor.run_until(poems)?.remove(0);
/// assert_eq!((&*poem.title, poem.lines), ("Ozymandias", 14));
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "no `{Self}` can be made of a row of `{D}`",
    note = "a row becomes a tuple of its columns: `(u32, String)`, and `(u32,)` for one column",
    note = "`run_query_map` takes a closure that makes whatever you like of a row"
)]
pub trait FromRow<D: Database>: Sized {
    /// Makes it.
    fn from_row(row: &D::Row<'_>) -> Result<Self, D::Error>;
}
