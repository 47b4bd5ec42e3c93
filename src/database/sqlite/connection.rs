//! How SQLite is opened, asked and interrupted.
//!
//! # Theory
//! `sqlite3_interrupt` stops the statement that runs at that moment, and does nothing to one that begins right
//! after: a query that is cancelled between two steps of the pool's would run for ever. So there is a flag
//! beside it, which SQLite looks at every few steps (its progress handler). The flag stands until the rollback,
//! which every interrupted call comes to.

use super::error::{is_broken, is_locked};
use crate::database::{Database, Interrupt, Sql};
use rusqlite::{OpenFlags, Params, Row};
use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// So many steps of SQLite's machine are made between two looks at the flag: some microseconds.
const STEPS: i32 = 200;

/// So long a lock is waited for, if nobody says otherwise.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two attempts to begin a write-ahead log.
const PAUSE: Duration = Duration::from_millis(5);

/// A database in a file, which is made if it is not there. Nothing is opened yet: the first call tells what
/// is wrong with it.
///
/// ```
/// use ropewalk::database::{ConnectionPool, ConnectError, sqlite};
///
/// let reactor = ropewalk::Reactor::new()?;
/// let pool = ConnectionPool::new(&reactor, sqlite::open("/no/such/folder/poems.db"));
/// let failure = reactor.run_until(pool.run_operation("create table poems (title text)", ())).unwrap_err();
/// assert_eq!(failure.to_string(), "cannot connect to /no/such/folder/poems.db");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub fn open(path: impl AsRef<Path>) -> Sqlite {
    Sqlite::new(Place::File(path.as_ref().into()))
}

/// A database in memory, which all connections of its pool share; gone with the pool.
///
/// ```
/// use ropewalk::database::Database;
/// use ropewalk::database::sqlite::{self, Connection};
///
/// let database = sqlite::in_memory();
/// let one: Connection = database.connect()?;
/// one.execute_batch("create table poems (title text)")?;
/// let other = database.connect()?;
/// assert!(other.table_exists(None, "poems")?);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub fn in_memory() -> Sqlite {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Sqlite::new(Place::Memory(format!("file:/ropewalk-{number}?vfs=memdb"), Mutex::new(None)))
}

/// A SQLite database and how its connections are opened: made by [`open`] and [`in_memory`].
///
/// ```
/// use ropewalk::database::sqlite::{self, Begin};
/// use std::time::Duration;
///
/// let database = sqlite::open("poems.db")
///     .busy_timeout(Duration::from_secs(1))
///     .begin_with(Begin::Deferred)
///     .on_connect(|connection| connection.pragma_update(None, "foreign_keys", true));
/// # drop(database);
/// ```
pub struct Sqlite {
    place: Place,
    busy_timeout: Duration,
    begin: Begin,
    is_read_only: bool,
    on_connect: Option<OnConnect>,
    /// One at a time: two that begin a write-ahead log at once would be in each other's way.
    opening: Mutex<()>,
}

type OnConnect = Box<dyn Fn(&mut rusqlite::Connection) -> rusqlite::Result<()> + Send + Sync>;

enum Place {
    File(PathBuf),
    /// Its name, and a connection that keeps it: a database in memory ends with its last one.
    Memory(String, Mutex<Option<rusqlite::Connection>>),
}

/// What an interaction's transaction locks when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begin {
    /// The right to write, which one connection has at a time; others may read. The default.
    #[default]
    Immediate,
    /// Nothing before it is needed: for interactions that only read. One that writes after it has read fails
    /// with `SQLITE_BUSY` if another has written meanwhile.
    Deferred,
    /// Everything; in a write-ahead log that is the same as the right to write.
    Exclusive,
}

impl Sqlite {
    fn new(place: Place) -> Sqlite {
        let (busy_timeout, begin, opening) = (BUSY_TIMEOUT, Begin::default(), Mutex::default());
        Sqlite { place, busy_timeout, begin, is_read_only: false, on_connect: None, opening }
    }

    /// Waits so long for a lock, instead of 5 s.
    #[must_use]
    pub fn busy_timeout(self, busy_timeout: Duration) -> Sqlite {
        Sqlite { busy_timeout, ..self }
    }

    /// Sets what a transaction locks when it begins.
    #[must_use]
    pub fn begin_with(self, begin: Begin) -> Sqlite {
        Sqlite { begin, ..self }
    }

    /// Opens what is there, and writes nothing; interactions begin [deferred](Begin::Deferred).
    #[must_use]
    pub fn read_only(self) -> Sqlite {
        Sqlite { is_read_only: true, begin: Begin::Deferred, ..self }
    }

    /// Calls `prepare` with every new connection, in the thread that opened it.
    #[doc(alias = "cp_openfun")]
    #[must_use]
    pub fn on_connect(
        self,
        prepare: impl Fn(&mut rusqlite::Connection) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Sqlite {
        Sqlite { on_connect: Some(Box::new(prepare)), ..self }
    }

    fn open(&self) -> rusqlite::Result<rusqlite::Connection> {
        let access = if self.is_read_only {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        };
        let access = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match &self.place {
            Place::File(path) => rusqlite::Connection::open_with_flags(path, access),
            Place::Memory(name, keeper) => {
                let flags = access | OpenFlags::SQLITE_OPEN_URI;
                let mut keeper = keeper.lock().unwrap_or_else(PoisonError::into_inner);
                if keeper.is_none() {
                    *keeper = Some(rusqlite::Connection::open_with_flags(name, flags)?);
                }
                rusqlite::Connection::open_with_flags(name, flags)
            }
        }
    }

    fn begin_log(&self, connection: &rusqlite::Connection) -> rusqlite::Result<()> {
        if self.is_read_only || matches!(self.place, Place::Memory(..)) {
            // Looks at the file: until then anything can be opened.
            return connection.query_row("pragma schema_version", (), |_| Ok(()));
        }
        let deadline = Instant::now() + self.busy_timeout;
        loop {
            match connection.query_row("pragma journal_mode = wal", (), |_| Ok(())) {
                // SQLite does not wait by itself where two processes that want this would wait for each other.
                Err(error) if is_locked(&error) && Instant::now() < deadline => sleep(PAUSE),
                result => return result,
            }
        }
    }
}

impl Database for Sqlite {
    type Connection = Connection;
    type Row<'r> = Row<'r>;
    type Error = rusqlite::Error;

    fn connect(&self) -> rusqlite::Result<Connection> {
        let _alone = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = self.open()?;
        connection.busy_timeout(self.busy_timeout)?;
        self.begin_log(&connection)?;
        if let Some(prepare) = &self.on_connect {
            prepare(&mut connection)?;
        }
        let is_interrupted = Arc::new(AtomicBool::new(false));
        let flag = is_interrupted.clone();
        connection.progress_handler(STEPS, Some(move || flag.load(Ordering::Relaxed)))?;
        Ok(Connection { connection, is_interrupted })
    }

    fn begin(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        connection.execute_batch(match self.begin {
            Begin::Immediate => "begin immediate",
            Begin::Deferred => "begin deferred",
            Begin::Exclusive => "begin exclusive",
        })
    }

    fn commit(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        if connection.is_autocommit() {
            return Ok(());
        }
        connection.execute_batch("commit")
    }

    fn rollback(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        connection.is_interrupted.store(false, Ordering::Relaxed);
        // Some errors, as a full disk, have rolled back already.
        if connection.is_autocommit() {
            return Ok(());
        }
        connection.execute_batch("rollback")
    }

    fn is_broken(&self, error: &rusqlite::Error) -> bool {
        is_broken(error)
    }

    fn is_serialization_failure(&self, error: &rusqlite::Error) -> bool {
        is_locked(error)
    }

    fn check(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        connection.query_row("select 1 from sqlite_schema limit 1", (), |_| Ok(())).or_else(
            |error| {
                if error == rusqlite::Error::QueryReturnedNoRows { Ok(()) } else { Err(error) }
            },
        )
    }

    fn interrupt(&self, connection: &Connection) -> Interrupt {
        let (flag, handle) = (connection.is_interrupted.clone(), connection.get_interrupt_handle());
        Arc::new(move || {
            flag.store(true, Ordering::Relaxed);
            handle.interrupt();
        })
    }

    fn name(&self) -> Cow<'_, str> {
        match &self.place {
            Place::File(path) => path.to_string_lossy(),
            Place::Memory(..) => "memory".into(),
        }
    }
}

impl<P: Params> Sql<P> for Sqlite {
    fn execute(
        &self,
        connection: &mut Connection,
        sql: &str,
        parameters: P,
    ) -> rusqlite::Result<u64> {
        connection.execute(sql, parameters).map(|changed| changed as u64)
    }

    fn query(
        &self,
        connection: &mut Connection,
        sql: &str,
        parameters: P,
        each: &mut dyn FnMut(&Row<'_>) -> bool,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            if !each(row) {
                break;
            }
        }
        Ok(())
    }
}

/// A connection to SQLite; derefs to [`rusqlite::Connection`].
pub struct Connection {
    connection: rusqlite::Connection,
    /// Until the rollback.
    is_interrupted: Arc<AtomicBool>,
}

impl Deref for Connection {
    type Target = rusqlite::Connection;

    fn deref(&self) -> &rusqlite::Connection {
        &self.connection
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut rusqlite::Connection {
        &mut self.connection
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(f)
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("name", &self.name()).finish_non_exhaustive()
    }
}
