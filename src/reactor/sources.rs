//! The table of what can become ready, and the lists of who has to be served.
//!
//! # Theory
//! A source is entered in the table under the key that its socket is registered with. Events name
//! keys; a key that went stale finds nothing. A source that stopped before it was drained (its share
//! of the turn was spent) is *requeued*: it is served again next turn without an event, because edges do
//! not repeat themselves. A source that was written to from elsewhere is *dirty* until the flush.
//!
//! # Invariants
//! * No borrow is alive while a source is called: its `Rc` is cloned out of the table first.
//! * A source is at most once in each list; it remembers that itself.
//! * Beside each source stands whose it is (`owner.rs`), and while it is called that is who is served.

use super::counters::Calls;
use super::observed::Observed;
use super::owners::{OwnerId, Owners};
use super::snapshot::Looks;
use super::watch::Work;
use crate::buffer::LARGE;
use crate::driver::{Key, Readiness, Ready};
use crate::failure::Failure;
use crate::slots::Slots;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Something that the driver names when it is ready: a connection, a port, a descriptor.
pub(crate) trait Source {
    /// Serves what is ready; with [`Readiness::NONE`] what it left undone. `scratch` is for reading
    /// into, the same for all.
    fn ready(self: Rc<Self>, readiness: Readiness, scratch: &mut [u8]);

    /// Is served next turn as if the driver had named it ready for this; see `notify.rs`.
    fn notify(&self, readiness: Readiness) {
        let _ = readiness;
    }

    /// Sends what was written, at the end of a turn.
    fn flush(self: Rc<Self>) {}

    /// Whether it is ending in order and has still to send, or is standard output that has.
    fn is_ending(&self) -> bool {
        false
    }

    /// Ends the source, because its reactor ends.
    fn lose(self: Rc<Self>, reason: &Failure);

    /// Ends the source, because its owner ends.
    fn disown(self: Rc<Self>, reason: &Failure) {
        self.lose(reason);
    }

    /// Whether it brings or holds a peer: a connection, and not what accepts or watches.
    fn is_connection(&self) -> bool {
        false
    }

    /// What it is called where a call to it is spoken of.
    fn name(&self) -> String;

    /// What there is to see of a connection.
    fn looks(&self) -> Option<Looks> {
        None
    }

    /// Accepts no more, or has its protocol finish what is under way.
    fn drain(self: Rc<Self>) {}
}

pub(crate) struct Sources {
    table: RefCell<Slots<Rc<dyn Source>>>,
    /// The events of this turn; kept for its memory.
    ready: Cell<Vec<Ready>>,
    requeued: RefCell<Vec<Key>>,
    /// What sockets are read into before a protocol sees it; absent while it is in use.
    scratch: Cell<Option<Box<[u8]>>>,
    dirty: RefCell<Vec<Key>>,
    owners: Rc<Owners>,
    pub(super) callbacks: Calls,
    observed: Rc<Observed>,
}

impl Sources {
    pub(super) fn new(owners: Rc<Owners>, observed: Rc<Observed>) -> Sources {
        Sources {
            table: RefCell::new(Slots::new()),
            ready: Cell::default(),
            requeued: RefCell::default(),
            scratch: Cell::default(),
            dirty: RefCell::default(),
            owners,
            callbacks: Calls::default(),
            observed,
        }
    }

    /// Enters what `make` returns for the key that it will have.
    pub(super) fn insert_for<S: Source + 'static>(
        &self,
        owner: OwnerId,
        make: impl FnOnce(Key) -> Rc<S>,
    ) -> Rc<S> {
        let mut made = None;
        let mark = owner.to_mark();
        self.table.borrow_mut().insert_marked(mark, |key| made.insert(make(key)).clone());
        self.owners.note_begun(owner);
        made.expect("insert_marked calls its closure")
    }

    /// Puts another source under a key that is taken.
    pub(crate) fn replace(&self, key: Key, source: Rc<dyn Source>) {
        let old = self.table.borrow_mut().get_mut(key).map(|slot| std::mem::replace(slot, source));
        drop(old);
    }

    pub(crate) fn remove(&self, key: Key) {
        let owner = self.owner_of(key);
        let removed = self.table.borrow_mut().remove(key);
        drop(removed);
        self.owners.note_ended(owner);
        if self.observed.is_on() {
            self.observed.forget(Work::of_source(key));
        }
    }

    /// Whose a source is; nobody's if it is gone.
    pub(super) fn owner_of(&self, key: Key) -> OwnerId {
        let table = self.table.borrow();
        table.get_marked(key).map_or(OwnerId::NOBODY, |(_, mark)| OwnerId::of_mark(mark))
    }

    /// The keys of all that is `whose`.
    pub(super) fn owned(&self, whose: impl Fn(OwnerId) -> bool) -> Vec<Key> {
        let mut keys = self.table.borrow().keys();
        keys.retain(|&key| whose(self.owner_of(key)));
        keys
    }

    /// The keys of all connections.
    pub(super) fn connections(&self) -> Vec<Key> {
        let mut keys = self.table.borrow().keys();
        keys.retain(|&key| self.look(key).is_some_and(|source| source.is_connection()));
        keys
    }

    /// A source, to look at.
    pub(super) fn look(&self, key: Key) -> Option<Rc<dyn Source>> {
        self.table.borrow().get(key).cloned()
    }

    /// Calls each of those that are there still.
    pub(super) fn each_of(&self, keys: &[Key], call: impl Fn(Rc<dyn Source>)) {
        self.each(keys, call);
    }

    /// Has the source served again next turn.
    pub(crate) fn requeue(&self, key: Key) {
        self.requeued.borrow_mut().push(key);
    }

    /// Has the source flushed at the end of the turn.
    pub(crate) fn mark_dirty(&self, key: Key) {
        self.dirty.borrow_mut().push(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.table.borrow().len()
    }

    pub(super) fn are_ready(&self) -> bool {
        !self.requeued.borrow().is_empty() || !self.dirty.borrow().is_empty()
    }

    pub(super) fn take_ready(&self) -> Vec<Ready> {
        self.ready.take()
    }

    pub(super) fn give_ready(&self, ready: Vec<Ready>) {
        self.ready.set(ready);
    }

    pub(super) fn serve(&self) {
        let mut scratch = self.scratch.take().unwrap_or_else(|| vec![0; LARGE].into());
        let mut ready = self.ready.take();
        for &Ready { key, readiness } in &ready {
            if let Some(source) = self.get(key) {
                source.ready(readiness, &mut scratch);
            }
        }
        ready.clear();
        self.ready.set(ready);
        if !self.requeued.borrow().is_empty() {
            self.serve_requeued(&mut scratch);
        }
        self.owners.serve(OwnerId::NOBODY);
        self.scratch.set(Some(scratch));
    }

    /// After the events, so that what was accepted just now is read from in this same turn.
    fn serve_requeued(&self, scratch: &mut [u8]) {
        for key in self.requeued.take() {
            if let Some(source) = self.get(key) {
                source.ready(Readiness::NONE, scratch);
            }
        }
    }

    pub(super) fn flush(&self) {
        if self.dirty.borrow().is_empty() {
            return;
        }
        let mut batch = self.dirty.take();
        self.each(&batch, |source| source.flush());
        // Its memory serves the next turn, unless something was written meanwhile.
        batch.clear();
        let mut dirty = self.dirty.borrow_mut();
        if dirty.is_empty() {
            *dirty = batch;
        }
    }

    /// Flushes a single source now. False: there is none of this key.
    #[inline]
    pub(super) fn flush_one(&self, key: Key) -> bool {
        let source = self.get_written(key);
        let is_there = source.map(|source| source.flush()).is_some();
        self.owners.serve(OwnerId::NOBODY);
        is_there
    }

    fn each(&self, keys: &[Key], serve: impl Fn(Rc<dyn Source>)) {
        keys.iter().filter_map(|&key| self.get(key)).for_each(serve);
        self.owners.serve(OwnerId::NOBODY);
    }

    /// Those that are ending.
    pub(super) fn ending(&self) -> Vec<Key> {
        let mut keys = self.table.borrow().keys();
        self.keep_ending(&mut keys);
        keys
    }

    /// Forgets those that are not ending any more.
    pub(super) fn keep_ending(&self, keys: &mut Vec<Key>) {
        keys.retain(|&key| self.look(key).is_some_and(|source| source.is_ending()));
    }

    pub(super) fn lose_all(&self, reason: &Failure) {
        let keys = self.table.borrow().keys();
        self.each(&keys, |source| source.lose(reason));
    }

    #[cold]
    #[inline(never)]
    fn note(&self, key: Key, source: &Rc<dyn Source>) {
        self.observed.note_source(key, || source.name());
    }

    /// As `get`, for what a poll wrote to: that was counted as the poll.
    #[inline]
    fn get_written(&self, key: Key) -> Option<Rc<dyn Source>> {
        let table = self.table.borrow_mut();
        let (source, mark) = table.get_marked(key)?;
        self.owners.serve(OwnerId::of_mark(mark));
        Some(source.clone())
    }

    /// A source that is called next: whose it is, that is served.
    #[inline]
    fn get(&self, key: Key) -> Option<Rc<dyn Source>> {
        let table = self.table.borrow_mut();
        let (source, mark) = table.get_marked(key)?;
        self.owners.serve(OwnerId::of_mark(mark));
        if self.callbacks.add_one() {
            self.note(key, source);
        }
        Some(source.clone())
    }
}
