// What bytes make of a machine, and what a machine makes of bytes, in every split.

mod answers;
mod corpora;
mod fuzz;
mod model;
mod refusals;
mod requests;
mod wire;

use std::cell::Cell;

thread_local! {
    /// What the loops looked at on this thread.
    pub(super) static STEPS: Cell<u64> = const { Cell::new(0) };
}
