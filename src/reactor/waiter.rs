//! Who waits for a connection's bytes, remembered so that waking costs little.

// Knowing the task's slot spares what a waker costs: two counts, an indirect call, a look at the thread.
// Whoever waited last stays remembered: most often it waits here again, and then nothing is exchanged.

use super::Loop;
use super::tasks::{TaskSlot, Tasks};
use std::cell::Cell;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Who waits for something: a task of this loop, or anybody else by a waker.
pub(crate) struct Waiter {
    /// Exchanged whole, as `other`.
    slot: Cell<Option<Rc<TaskSlot>>>,
    /// Who is no task, or waits through a combinator with a waker of its own; called and dropped outside.
    other: Cell<Option<Waker>>,
    wait: Cell<Wait>,
}

#[derive(Clone, Copy)]
struct Wait {
    /// Where the waker of the slot is; it is no other's, because the slot is kept.
    seen: *const Waker,
    is_waiting: bool,
}

impl Default for Waiter {
    fn default() -> Waiter {
        Waiter {
            slot: Cell::default(),
            other: Cell::default(),
            wait: Cell::new(Wait { seen: ptr::null(), is_waiting: false }),
        }
    }
}

impl Waiter {
    /// Remembers the task that is polled with `context`.
    #[inline]
    pub(crate) fn wait(&self, context: &Context<'_>, inner: &Loop) {
        let wait = self.wait.get();
        self.wait.set(Wait { is_waiting: true, ..wait });
        if !ptr::eq(context.waker(), wait.seen) {
            self.remember(context.waker(), &inner.tasks);
        }
    }

    #[inline(never)]
    fn remember(&self, waker: &Waker, tasks: &Tasks) {
        let slot = tasks.polled_slot().filter(|slot| slot.waker().will_wake(waker));
        let seen = slot.as_ref().map_or(ptr::null(), |slot| ptr::from_ref(slot.waker()));
        self.wait.set(Wait { seen, ..self.wait.get() });
        let other = if slot.is_none() { Some(waker.clone()) } else { None };
        let former = (self.slot.replace(slot), self.other.replace(other));
        drop(former);
    }

    /// Wakes who waits.
    #[inline]
    pub(crate) fn wake(&self, tasks: &Tasks) {
        if let Some(slot) = self.waiting_slot() {
            tasks.enqueue(slot);
        }
    }

    /// Polls the task that waits, if it is one that nobody woke yet; else wakes who waits.
    ///
    /// For the loop alone, while no task is polled.
    #[inline]
    pub(crate) fn serve(&self, inner: &Loop) {
        let Some(slot) = self.waiting_slot() else { return };
        if !slot.is_queued() {
            inner.tasks.poll(&slot);
            inner.pull_cork();
        }
    }

    /// The task that waits; anybody else that does is woken. Nobody waits any more.
    #[inline]
    fn waiting_slot(&self) -> Option<Rc<TaskSlot>> {
        let wait = self.wait.get();
        if !wait.is_waiting {
            return None;
        }
        self.wait.set(Wait { is_waiting: false, ..wait });
        let slot = self.slot.take();
        // Nobody was put there meanwhile: spares the drop of nothing.
        std::mem::forget(self.slot.replace(slot.clone()));
        if slot.is_none() {
            self.wake_other();
        }
        slot
    }

    #[inline(never)]
    fn wake_other(&self) {
        self.other.take().into_iter().for_each(Waker::wake);
    }
}
