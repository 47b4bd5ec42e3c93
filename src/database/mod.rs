//! A pool of connections for databases whose calls block: Twisted's `adbapi`, typed.
//!
//! A call is made in a thread of the reactor's, and its result comes back as a Deferred, which is a future too.
//! SQLite is here with feature `sqlite`; any other is one `impl` of [`Database`].
//! The guide's page "Databases" has the whole story, and adbapi's names.
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use ropewalk::Reactor;
//! use ropewalk::database::{ConnectionPool, sqlite};
//!
//! let reactor = Reactor::new()?;
//! let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
//! let moved: Vec<(String, i64)> = reactor.run_until(async move {
//!     pool.run_operation("create table accounts (name text, amount integer)", ()).await?;
//!     pool.run_operation("insert into accounts values ('Ann', 5), ('Bob', 0)", ()).await?;
//!     // A transaction: both or neither.
//!     pool.run_interaction(|transaction| {
//!         transaction.execute("update accounts set amount = amount - ?1 where name = 'Ann'", [3])?;
//!         transaction.execute("update accounts set amount = amount + ?1 where name = 'Bob'", [3])?;
//!         Ok(())
//!     })
//!     .await?;
//!     pool.run_query("select name, amount from accounts order by name", ()).await
//! })?;
//! assert_eq!(moved, [("Ann".to_owned(), 2), ("Bob".to_owned(), 3)]);
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # Rules
//! * A call has a connection for itself, from begin to commit. Those that wait for one are served in order of
//!   their calls; for [30 s at most](PoolLimits::wait), and [10 000 at most](PoolLimits::most_waiting).
//! * The first error is the error. A rollback that fails is [attached](crate::Failure::attached) to it, and the
//!   connection thrown away.
//! * A cancelled call is interrupted and rolled back; only then does its connection serve another. Its Deferred
//!   does not wait for that.
//! * A panic is its call's failure, and rolls back.
//! * A connection that was idle for [60 s](PoolLimits::idle) is tried before it is used, and replaced if it is
//!   dead.
//! * [`close`](ConnectionPool::close) waits for the calls that were taken, and refuses others with
//!   [`PoolClosed`]. A shutdown of the reactor closes the pool, after everything that comes before it.
//! * What a thread is at when the reactor is dropped is interrupted, rolls back, and closes its connection.
//! * In a [simulation](crate::simulation) calls are made in the order of the seed, each of them whole.

mod call;
mod contract;
mod error;
mod limits;
mod noisy;
mod pool;
mod retrying;
mod rows;
mod service;
mod shared;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod transaction;

pub use contract::{Database, FromRow, Interrupt, Sql};
pub use error::{ConnectError, PoolClosed, PoolFull, PoolTimedOut};
pub use limits::PoolLimits;
pub use noisy::Noisy;
pub use pool::ConnectionPool;
pub use rows::Rows;
pub use transaction::Transaction;
