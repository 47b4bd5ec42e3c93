//! Whose is what: the number beside each connection, port, task and timer.

// # Theory
// Something always begins inside of something: a task in the callback of a connection, a connection in the
// turn of its port. What begins belongs to whom that belongs to, without a word from the user. Nobody keeps
// a list: the owner's number stands beside each thing, where there was room for it (a table's slot, a task's
// slot, a timer), and whoever wants an owner's things looks through all. That is rare; beginning is not.
//
// Whose turn it is, innermost first: what was entered by `Owner::enter` or by a timer, the task that is
// polled, the source that is served.
//
// A number has a bit for what serves a connection that was accepted: that connection, and the tasks that
// begin in its callbacks or its handler. That is the work that a drain waits for; what else an owner has
// (its own tasks, ports, connections that it made) is its own matter.
//
// # Invariants
// * Numbers are never used again: a stale one finds nobody.
// * `served` and `own` are how many sources and tasks there are with the number, with the bit and without.
// * No borrow is alive while a waker is called or a source or a task is ended.

use crate::slots::Slots;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::task::Waker;

/// A number for an owner, and whether it is about a connection that was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnerId(u32);

impl OwnerId {
    pub(super) const NOBODY: OwnerId = OwnerId(0);

    pub(super) fn of_mark(mark: u32) -> OwnerId {
        OwnerId(mark)
    }

    pub(super) fn to_mark(self) -> u32 {
        self.0
    }

    /// For what serves a connection that was accepted.
    pub(super) fn serving(self) -> OwnerId {
        if self == OwnerId::NOBODY { self } else { OwnerId(self.0 | 1) }
    }

    /// For what the owner has for itself.
    pub(super) fn own(self) -> OwnerId {
        OwnerId(self.0 & !1)
    }

    pub(super) fn is_serving(self) -> bool {
        self.0 & 1 == 1
    }
}

#[derive(Default)]
pub(super) struct Owners {
    /// Whose is what runs by `enter`.
    pub(super) entered: Cell<Option<OwnerId>>,
    /// Whose is the source that is served.
    served: Cell<OwnerId>,
    last: Cell<u32>,
    /// Those that live. Borrowed to look one up, to add one or to remove one.
    table: RefCell<BTreeMap<u32, Weak<Owned>>>,
}

impl Owners {
    /// Whether there has been an owner at all: what follows costs nothing else.
    #[inline]
    pub(super) fn are_there(&self) -> bool {
        self.last.get() > 0
    }

    pub(super) fn served(&self) -> OwnerId {
        self.served.get()
    }

    #[inline]
    pub(super) fn serve(&self, owner: OwnerId) {
        self.served.set(owner);
    }

    /// Calls `call` as the owner's, and what else runs after as whose it was.
    pub(super) fn enter<R>(&self, owner: OwnerId, call: impl FnOnce() -> R) -> R {
        struct Back<'t>(&'t Cell<Option<OwnerId>>, Option<OwnerId>);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _back = Back(&self.entered, self.entered.replace(Some(owner)));
        call()
    }

    pub(super) fn get(&self, owner: OwnerId) -> Option<Rc<Owned>> {
        if owner == OwnerId::NOBODY {
            return None;
        }
        self.table.borrow().get(&owner.own().0)?.upgrade()
    }

    #[inline]
    pub(super) fn note_begun(&self, owner: OwnerId) {
        if owner != OwnerId::NOBODY
            && let Some(owned) = self.get(owner)
        {
            let count = owned.count(owner);
            count.set(count.get() + 1);
        }
    }

    #[inline]
    pub(super) fn note_ended(&self, owner: OwnerId) {
        if owner != OwnerId::NOBODY
            && let Some(owned) = self.get(owner)
        {
            let count = owned.count(owner);
            count.set(count.get().saturating_sub(1));
            if count.get() == 0 {
                owned.wake();
            }
        }
    }
}

/// What is known of an owner.
pub(super) struct Owned {
    owners: Rc<Owners>,
    pub(super) id: OwnerId,
    pub(super) name: String,
    pub(super) served: Cell<usize>,
    pub(super) own: Cell<usize>,
    /// Its ports and connections are to be told, or were.
    pub(super) is_draining: Cell<bool>,
    /// They were.
    pub(super) is_drained: Cell<bool>,
    /// Of those who wait. Borrowed to put one in, and to take all out.
    pub(super) wakers: RefCell<Slots<Waker>>,
}

impl Owned {
    pub(super) fn new(owners: &Rc<Owners>, name: String) -> Rc<Owned> {
        let id = OwnerId(owners.last.get().checked_add(2).expect("two thousand million owners"));
        owners.last.set(id.0);
        let owned = Rc::new(Owned {
            owners: owners.clone(),
            id,
            name,
            served: Cell::default(),
            own: Cell::default(),
            is_draining: Cell::default(),
            is_drained: Cell::default(),
            wakers: RefCell::default(),
        });
        owners.table.borrow_mut().insert(id.0, Rc::downgrade(&owned));
        owned
    }

    fn count(&self, id: OwnerId) -> &Cell<usize> {
        if id.is_serving() { &self.served } else { &self.own }
    }

    pub(super) fn wake(&self) {
        let wakers = {
            let wakers = self.wakers.borrow();
            let keys = wakers.keys().into_iter();
            keys.filter_map(|key| wakers.get(key).cloned()).collect::<Vec<_>>()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.owners.table.borrow_mut().remove(&self.id.0);
    }
}
