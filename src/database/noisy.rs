//! How much a pool tells.

use crate::{Failure, Report};
use std::fmt;
use std::panic::Location;

/// The line that made the pool.
pub(super) type Place = &'static Location<'static>;

/// How much a pool tells of itself, by [reports](crate::on_report); each level tells what those before it
/// do.
///
/// ```
/// use ropewalk::database::Noisy;
///
/// assert!(Noisy::Losses < Noisy::Connections);
/// ```
#[doc(alias = "cp_noisy")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Noisy {
    /// Nothing.
    Silent,
    /// Connections thrown away for a reason that no call hears: the call was cancelled. The default.
    #[default]
    Losses,
    /// Every connection that is opened, thrown away or closed.
    Connections,
    /// Every call that fails, too.
    Calls,
}

impl Noisy {
    /// Tells `what` if this level includes `level`.
    pub(super) fn tell(self, level: Noisy, place: Place, what: impl fmt::Display) {
        if self >= level {
            Report::new("database pool", &Failure::msg(what).arose_at(place), None).tell();
        }
    }
}
