//! A four-ary heap whose entries know their place, so that any of them can be taken out.
//!
//! Four children to a node: half the height of a binary heap, and the four lie side by side in
//! memory. The key is copied beside the pointer, so that comparing touches no call.

use super::{Call, NOWHERE};
use std::rc::Rc;

#[derive(Default)]
pub(super) struct Heap {
    entries: Vec<Entry>,
}

struct Entry {
    /// Deadline, then order of scheduling.
    key: (u64, u64),
    call: Rc<Call>,
}

const WIDTH: usize = 4;

impl Heap {
    pub(super) fn insert(&mut self, deadline: u64, sequence: u64, call: Rc<Call>) {
        let place = self.entries.len();
        call.place.set(place);
        self.entries.push(Entry { key: (deadline, sequence), call });
        self.rise(place);
    }

    pub(super) fn remove(&mut self, place: usize) -> Rc<Call> {
        let entry = self.entries.swap_remove(place);
        entry.call.place.set(NOWHERE);
        if place < self.entries.len() {
            self.entries[place].call.place.set(place);
            self.rise(place);
            self.sink(place);
        }
        entry.call
    }

    pub(super) fn pop_due(&mut self, now: u64) -> Option<Rc<Call>> {
        if self.first()? > now {
            return None;
        }
        Some(self.remove(0))
    }

    pub(super) fn first(&self) -> Option<u64> {
        Some(self.entries.first()?.key.0)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn calls(&self) -> Vec<Rc<Call>> {
        self.entries.iter().map(|entry| entry.call.clone()).collect()
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / WIDTH;
            if self.entries[parent].key <= self.entries[place].key {
                return;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        while let Some(child) = self.least_child(place) {
            if self.entries[place].key <= self.entries[child].key {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    fn least_child(&self, place: usize) -> Option<usize> {
        let first = place * WIDTH + 1;
        let end = (first + WIDTH).min(self.entries.len());
        (first..end).min_by_key(|&child| self.entries[child].key)
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.entries.swap(a, b);
        self.entries[a].call.place.set(a);
        self.entries[b].call.place.set(b);
    }
}
