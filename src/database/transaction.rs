//! A connection inside of an interaction.

use super::call::Call;
use super::contract::Database;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A connection whose transaction is open: what an interaction is given.
///
/// It derefs to the connection. The pool commits it if the interaction returns `Ok` and was not cancelled,
/// and rolls it back otherwise.
#[doc(alias = "adbapi.Transaction")]
pub struct Transaction<'c, D: Database> {
    pub(super) connection: &'c mut D::Connection,
    pub(super) call: &'c Call<D>,
}

impl<D: Database> Transaction<'_, D> {
    /// Whether the call's Deferred was cancelled. Queries are interrupted then; whoever does something
    /// else for long may ask.
    ///
    /// ```
    /// use ropewalk::database::{ConnectionPool, Database, Transaction};
    ///
    /// fn search<D: Database>(transaction: &mut Transaction<'_, D>) -> ropewalk::Result<u64> {
    ///     let perfect = |n: u64| (1..n).filter(|d| n.is_multiple_of(*d)).sum::<u64>() == n;
    ///     let mut going_on = (1..).take_while(|_| !transaction.is_cancelled());
    ///     Ok(going_on.find(|n| perfect(*n) && *n > 6).unwrap_or(0))
    /// }
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.call.is_cancelled()
    }
}

impl<D: Database> Deref for Transaction<'_, D> {
    type Target = D::Connection;

    fn deref(&self) -> &D::Connection {
        self.connection
    }
}

impl<D: Database> DerefMut for Transaction<'_, D> {
    fn deref_mut(&mut self) -> &mut D::Connection {
        self.connection
    }
}

impl<D: Database> fmt::Debug for Transaction<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
