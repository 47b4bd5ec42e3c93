//! Who hears of a cancellation: nobody, a closure of the user, or other Deferreds.

use crate::deferred::trigger::{Orphan, Trigger};
use std::cell::Cell;

/// What stands at the end of a `Root`: a canceller, or none.
pub(super) trait OnCancel<T>: Orphan<T> {
    /// Calls the canceller, if there is one.
    fn call(&self, trigger: &Trigger<T>) -> Heard;
    /// Drops it: the Deferred has fired.
    fn forget(&self) {}
}

/// Who heard of a cancellation.
pub(super) enum Heard {
    /// Nobody: whoever does the work may still come with a result.
    Nobody,
    /// The canceller: it had its chance to fire.
    Told,
    /// Other Deferreds, whose outcome will decide.
    Forwarded,
}

/// Without a canceller.
pub(super) struct Uncaring;

impl<T: 'static> OnCancel<T> for Uncaring {
    fn call(&self, _trigger: &Trigger<T>) -> Heard {
        Heard::Nobody
    }
}

/// A canceller that has not been called yet.
pub(super) struct Canceller<F>(Cell<Option<F>>);

impl<F> Canceller<F> {
    pub(super) fn new(canceller: F) -> Canceller<F> {
        Canceller(Cell::new(Some(canceller)))
    }
}

impl<T: 'static, F: FnOnce(&Trigger<T>)> OnCancel<T> for Canceller<F> {
    fn call(&self, trigger: &Trigger<T>) -> Heard {
        if let Some(canceller) = self.0.take() {
            canceller(trigger);
        }
        Heard::Told
    }

    fn forget(&self) {
        drop(self.0.take());
    }
}

/// Cancels others, which decide; may be called again. Owns nothing that firing would have to drop.
pub(super) struct Forward<F>(pub(super) F);

impl<T: 'static, F: Fn()> OnCancel<T> for Forward<F> {
    fn call(&self, _trigger: &Trigger<T>) -> Heard {
        (self.0)();
        Heard::Forwarded
    }
}
