//! Who hears of a cancellation, if anybody does: a closure of the user, or other Deferreds.

use crate::deferred::many::Nodes;
use crate::deferred::trigger::Trigger;
use crate::failure::Place;

/// Code of the user that stops the work, and may fire with what there is.
pub(super) type Canceller<T> = Box<dyn FnOnce(&Trigger<T>)>;

/// What a cancellation does at the head of a chain that has not fired.
pub(super) enum OnCancel<T: 'static> {
    /// A canceller: called once, it has its chance to fire.
    Tell(Canceller<T>),
    /// Other Deferreds are cancelled from that place, whose outcome will decide; may be called again.
    Forward(Nodes, Place),
    /// As `Forward`, but once: if they do not decide at once, that is a failure.
    ForwardOnce(Nodes, Place),
}
