//! SQLite, compiled in: databases in files and in memory.
//!
//! ```
//! use ropewalk::Reactor;
//! use ropewalk::database::{ConnectionPool, sqlite};
//!
//! let reactor = Reactor::new()?;
//! let pool = ConnectionPool::new(&reactor, sqlite::in_memory()); // or sqlite::open("poems.db")
//! let answer: Vec<(u32,)> = reactor.run_until(pool.run_query("select 6 * ?1", (7,)))?;
//! assert_eq!(answer, [(42,)]);
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! A connection is one of [`rusqlite`]'s, which this page's `rusqlite` is: parameters are whatever that takes
//! (tuples, arrays, [`params_from_iter`](rusqlite::params_from_iter)), rows its `rusqlite::Row`.
//!
//! * A file has a write-ahead log (WAL), in which readers and the one writer do not wait for each other.
//! * Whoever meets a lock waits for it 5 s in its thread, then fails with `SQLITE_BUSY`, which
//!   [`run_interaction_retrying`](super::ConnectionPool::run_interaction_retrying) tries again.
//! * An interaction takes the writer's lock when it begins ([`Begin::Immediate`]): one that read first and
//!   wrote then could find that another had written meanwhile, which no waiting helps.
//! * A cancelled query is interrupted at its next step; only one that waits for a lock waits on.

// Not here: the pool. What SQLite's errors mean to it stands in `error.rs`.

mod connection;
mod error;
mod row;

pub use connection::{Begin, Connection, Sqlite, in_memory, open};
/// The library that it is made with.
pub use rusqlite;
