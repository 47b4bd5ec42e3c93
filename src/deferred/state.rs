//! What a Deferred has: its outcome, or where that will come from.

use crate::deferred::downstream::Source;
use crate::failure::{Failure, Place, Result, catch_panic};
use std::rc::Rc;

/// ```text
///  Pending ── 1 poll ──▶ Awaited      either ── 2 the tail's outcome is found, by a step or a poll ──▶ Fired
///  any ── 3 the value, or the source, is taken for the next step ──▶ Taken
/// ```
pub(super) enum State<T> {
    /// A plain value: steps run at once and allocate nothing.
    Fired(Result<T>),
    /// To be had from there.
    Pending(Rc<dyn Source<T>>),
    /// As `Pending`, and a task has asked: dropping it cancels.
    Awaited(Rc<dyn Source<T>>),
    /// Moved on.
    Taken,
}

/// Calls a step with the outcome of the one before it.
#[inline]
pub(super) fn run<T, U>(
    input: Result<T>,
    step: impl FnOnce(Result<T>) -> State<U>,
    place: Place,
) -> State<U> {
    catch_panic(place, || step(input)).unwrap_or_else(|panic| State::Fired(Err(panic)))
}

/// What a Deferred says that gave its result to a poll before.
#[inline(never)]
pub(super) fn taken(place: Place) -> Failure {
    Failure::at(place, std::io::Error::other("this Deferred gave its result to an await before"))
}
