// Whose the tasks are, and which there are, for who looks through them.

use super::owners::OwnerId;
use super::tasks::{TaskSlot, Tasks};
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

    /// The keys of all tasks, the one that is polled among them.
    pub(super) fn taken(&self) -> Vec<Key> {
        let slots = self.slots.borrow();
        let is_taken = |key: &Key| {
            let Some(slot) = slots.get(*key) else { return false };
            let task = slot.task.take();
            let is_taken = task.is_some() || self.polled.get().slot == *key;
            slot.task.set(task);
            is_taken
        };
        slots.keys().into_iter().filter(is_taken).collect()
    }

    pub(super) fn owner_of(&self, key: Key) -> OwnerId {
        self.get(key).map_or(OwnerId::NOBODY, |slot| slot.owner.get())
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

    #[cold]
    #[inline(never)]
    pub(super) fn note(&self, slot: &TaskSlot) {
        let task = slot.task.take();
        let made = task.as_ref().and_then(|task| task.made());
        // One that was cancelled meanwhile is not polled.
        if task.is_some() {
            self.observed.note_task(slot.key, || name_of(made));
        }
        slot.task.set(task);
    }
}

fn name_of(made: Option<Place>) -> String {
    match made {
        Some(place) => format!("task spawned at {}:{}", place.file(), place.line()),
        None => "the future that is run".to_owned(),
    }
}
