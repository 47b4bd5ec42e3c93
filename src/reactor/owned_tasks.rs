// Whose the tasks are, for an owner that looks through them.

use super::owners::OwnerId;
use super::tasks::Tasks;
use crate::deferred::Cancelled;
use crate::driver::Key;
use crate::failure::{Failure, Place};

fn cancelled(made: Place) -> Failure {
    Failure::at(made, Cancelled)
}

impl Tasks {
    /// Whose is what begins now.
    pub(super) fn current_owner(&self) -> OwnerId {
        let polled = || self.polled_slot().map(|slot| slot.owner.get());
        self.owners.entered.get().or_else(polled).unwrap_or_else(|| self.owners.served())
    }

    /// The keys of the tasks that are `whose`.
    pub(super) fn owned(&self, whose: impl Fn(OwnerId) -> bool) -> Vec<Key> {
        let slots = self.slots.borrow();
        let is_owned = |key: &Key| slots.get(*key).is_some_and(|slot| whose(slot.owner.get()));
        slots.keys().into_iter().filter(is_owned).collect()
    }

    /// Where a task was given; `None` while it is polled, and once it is done.
    pub(super) fn place(&self, key: Key) -> Option<Place> {
        let slot = self.get(key)?;
        let task = slot.task.take()?;
        let made = task.made();
        slot.put(task);
        made
    }

    /// 7. Whoever waits for it is told that it was cancelled.
    pub(super) fn cancel_owned(&self, key: Key) {
        let Some(slot) = self.get(key) else { return };
        match slot.task.take() {
            Some(mut task) => {
                task.as_mut().cancel(cancelled);
                self.release(&slot, task);
            }
            None => self.cancel_polled(key),
        }
    }
}
