//! Databases: calls that block, made in threads, with results in both faces.
//!
//! A [`ConnectionPool`](crate::database::ConnectionPool) is Twisted's `adbapi.ConnectionPool` with types. It has 3
//! to 5 connections, opens them when they are needed, and makes each call in a thread of the reactor's with one of
//! them. Feature `database` has the pool, feature `sqlite` SQLite with it.
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use ropewalk::prelude::*;
//! use ropewalk::database::{ConnectionPool, sqlite};
//!
//! let reactor = Reactor::new()?;
//! let pool = ConnectionPool::new(&reactor, sqlite::in_memory()); // or sqlite::open("poems.db")
//!
//! // By callbacks ...
//! let created = pool.run_operation("create table poems (title text, year integer)", ());
//! let asked = pool.clone();
//! let told = created
//!     .add_callback(move |_| asked.run_operation("insert into poems values (?1, ?2)", ("Ozymandias", 1818)))
//!     .add_callback(|inserted| println!("{inserted} poem"));
//! reactor.run_until(told)?;
//!
//! // ... or by async/await.
//! let poems = reactor.run_until(async move {
//!     let poems: Vec<(String, u32)> = pool.run_query("select title, year from poems", ()).await?;
//!     pool.close().await?;
//!     Ok(poems)
//! })?;
//! assert_eq!(poems, [("Ozymandias".to_owned(), 1818)]);
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # Which call
//!
//! | for | call |
//! |---|---|
//! | one query | `run_query`: tuples, or a [`FromRow`](crate::database::FromRow) of yours; `run_query_map`: by a closure |
//! | one statement | `run_operation`: how many rows it changed |
//! | several that belong together | `run_interaction`: a transaction, committed if the closure returns `Ok` |
//! | the same, where others write too | `run_interaction_retrying` |
//! | what cannot be in a transaction | `run_with_connection` |
//! | more rows than fit into memory | `stream_query`: batches, as a futures `Stream` or by callbacks |
//!
//! Closures run in a thread: they take what they need by value, and return what is to come back. Inside one,
//! call the connection itself, which is the library's own; a `?` on its errors ends the interaction.
//!
//! # When it goes wrong
//!
//! The failure of a call is the first error in it, and names your line. What can be told apart:
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use ropewalk::database::sqlite::{self, rusqlite};
//! use ropewalk::database::{ConnectError, ConnectionPool, PoolClosed, PoolFull, PoolTimedOut};
//!
//! fn what(failure: &ropewalk::Failure) -> &'static str {
//!     if let Some(error) = failure.check::<rusqlite::Error>() {
//!         return match error.sqlite_error_code() {
//!             Some(rusqlite::ErrorCode::ConstraintViolation) => "it is there already",
//!             Some(rusqlite::ErrorCode::DatabaseBusy) => "somebody else writes",
//!             _ => "the database says no",
//!         };
//!     }
//!     match () {
//!         () if failure.is::<ConnectError>() => "it cannot be opened",
//!         () if failure.is::<PoolTimedOut>() || failure.is::<PoolFull>() => "too much to do",
//!         () if failure.is::<PoolClosed>() => "the program ends",
//!         () => "my own failure, or a panic",
//!     }
//! }
//! let reactor = ropewalk::Reactor::new()?;
//! let pool = ConnectionPool::new(&reactor, sqlite::open("/no/such/folder/poems.db"));
//! let failure = reactor.run_until(pool.run_operation("create table poems (title text)", ())).unwrap_err();
//! assert_eq!(what(&failure), "it cannot be opened");
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! A connection that is damaged is thrown away, and the next call opens another. A time limit is the Deferred's own:
//! `pool.run_query(..).add_timeout(limit, &reactor)` interrupts the query, as any cancellation does, and as dropping
//! the future does. A cancelled interaction is rolled back, unless its commit had begun.
//!
//! # From adbapi
//!
//! | adbapi | here |
//! |---|---|
//! | `ConnectionPool("sqlite3", "poems.db")` | `ConnectionPool::new(&reactor, sqlite::open("poems.db"))` |
//! | `runQuery(sql, args)` | `run_query(sql, (args,))`, `run_query_map`, `stream_query` |
//! | `runOperation(sql, args)` | `run_operation`; it gives the number of rows changed |
//! | `runInteraction(f, *args)` | `run_interaction(move \|transaction\| ..)` |
//! | `runWithConnection(f)` | `run_with_connection` |
//! | `close()`, `finalClose()` | `close()`: a Deferred, which waits for what runs |
//! | `cp_min=3, cp_max=5` | [`PoolLimits`](crate::database::PoolLimits)`{ fewest: 3, most: 5, .. }` |
//! | `cp_reconnect=True`, `cp_good_sql` | always; [`Database::check`](crate::database::Database::check) |
//! | `cp_openfun` | `Sqlite::on_connect` |
//! | `cp_noisy` | `noisy(`[`Noisy`](crate::database::Noisy)`::Connections)` |
//! | `connectionFactory`, `transactionFactory` | [`Database`](crate::database::Database), [`Transaction`](crate::database::Transaction) |
//! | `ConnectionLost` | the error that said so |
//! | nothing | `run_interaction_retrying`; limits for who waits; cancelling |
//!
//! | Twisted | here |
//! |---|---|
//! | A connection belongs to a thread, and the pool has threads of its own. | Connections go to whichever of the reactor's threads is free. |
//! | A query is an interaction: something is begun and committed around it. | A query or a statement alone is a transaction by itself. |
//! | `sqlite3` begins at the first write, deferred. | An interaction begins at once, immediate: [`Begin`](crate::database::sqlite::Begin). |
//! | Calls wait without a limit. | 10 000 may wait, for 30 s each. |
//! | Cancelling does nothing once a thread has the call. | It interrupts and rolls back. |
//! | A rollback that fails is logged. | It is attached to the failure that it follows. |
//!
//! # Testing
//!
//! In a [simulation](crate::simulation) a pool works as it does outside: calls are made in the order of the seed, with
//! [`sqlite::in_memory`](crate::database::sqlite::in_memory), or with a [`Database`](crate::database::Database) of
//! yours that fails as it is told. Each call is made whole, in the one thread that there is: it must not wait for
//! another.
