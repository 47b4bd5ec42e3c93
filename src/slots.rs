//! A table whose keys go stale instead of naming somebody else's entry.
//!
//! # Theory
//! A [`Key`] is an index and a generation. Taking an entry out raises its slot's generation, so an
//! event, a wake or a timer that still names the old entry finds nothing. Free slots form a list
//! through the slots themselves, so an insert never searches.
//!
//! # Invariants
//! * A slot's generation is raised exactly when its value leaves.
//! * No entry's key is [`Key::NONE`], whose token drivers keep for themselves.

/// Names one of a reactor's sockets, also across the operating system as an event's token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key(usize);

const HALF: u32 = usize::BITS / 2;

impl Key {
    /// Names no entry, ever.
    pub(crate) const NONE: Key = Key(usize::MAX);

    fn new(index: usize, generation: usize) -> Key {
        Key(generation << HALF | index)
    }

    fn index(self) -> usize {
        self.0 & ((1 << HALF) - 1)
    }

    fn generation(self) -> usize {
        self.0 >> HALF
    }

    /// The key as the number that a driver hands to the operating system.
    pub fn to_token(self) -> usize {
        self.0
    }

    /// The key that [`Key::to_token`] made the number of.
    pub fn from_token(token: usize) -> Key {
        Key(token)
    }
}

pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// Head of the list of free slots, or `END`.
    free: u32,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots::new()
    }
}

struct Slot<T> {
    value: Option<T>,
    generation: u32,
    /// While `value` is `None` the next free slot, or `END`; else the number that the entry was marked with.
    link: u32,
}

const END: u32 = u32::MAX;

impl<T> Slots<T> {
    pub(crate) const fn new() -> Slots<T> {
        Slots { slots: Vec::new(), free: END, len: 0 }
    }

    /// The key that what is inserted next will have.
    #[inline]
    pub(crate) fn next_key(&mut self) -> Key {
        let index = self.free_index();
        Key::new(index, self.slots[index].generation as usize)
    }

    /// Inserts what `make` returns for the key that it will have.
    #[inline]
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        self.insert_marked(0, make)
    }

    /// As `insert_with`, with a number that stays beside the entry and costs it no memory.
    #[inline]
    pub(crate) fn insert_marked(&mut self, mark: u32, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free_index();
        let slot = &mut self.slots[index];
        let key = Key::new(index, slot.generation as usize);
        slot.value = Some(make(key));
        self.free = slot.link;
        slot.link = mark;
        self.len += 1;
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index())?;
        if slot.generation as usize != key.generation() {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & GENERATIONS;
        slot.link = self.free;
        self.free = key.index() as u32;
        self.len -= 1;
        Some(value)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index())?;
        if slot.generation as usize != key.generation() {
            return None;
        }
        slot.value.as_ref()
    }

    /// An entry and the number that it was marked with.
    #[inline]
    pub(crate) fn get_marked(&self, key: Key) -> Option<(&T, u32)> {
        let slot = self.slots.get(key.index())?;
        if slot.generation as usize != key.generation() {
            return None;
        }
        slot.value.as_ref().map(|value| (value, slot.link))
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index())?;
        if slot.generation as usize != key.generation() {
            return None;
        }
        slot.value.as_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The keys of all entries, lowest slot first.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let full = self.slots.iter().enumerate().filter(|(_, slot)| slot.value.is_some());
        full.map(|(index, slot)| Key::new(index, slot.generation as usize)).collect()
    }

    fn free_index(&mut self) -> usize {
        if self.free == END {
            self.free = self.slots.len() as u32;
            self.slots.push(Slot { value: None, generation: 0, link: END });
        }
        self.free as usize
    }
}

/// Half a word, less one bit, so that no token is `usize::MAX`.
const GENERATIONS: u32 = (u32::MAX >> (32 - HALF)) >> 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_removed_entry_finds_nothing_though_its_slot_is_used_again() {
        let mut slots = Slots::new();
        let old = slots.insert_with(|_| "old");
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert_with(|_| "new");
        assert_eq!(old.index(), new.index());
        assert_eq!(slots.get(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get(new), Some(&"new"));
    }

    #[test]
    fn a_freed_slot_is_used_before_the_table_grows() {
        let mut slots = Slots::new();
        let keys: Vec<_> = (0..10).map(|n| slots.insert_with(|_| n)).collect();
        keys.iter().for_each(|&key| assert!(slots.remove(key).is_some()));
        for n in 0..10 {
            slots.insert_with(|_| n);
        }
        assert_eq!((slots.len(), slots.slots.len()), (10, 10));
    }

    #[test]
    fn a_key_survives_the_trip_through_the_operating_system() {
        let mut slots = Slots::new();
        let first = slots.insert_with(|_| ());
        slots.remove(first);
        let key = slots.insert_with(|_| ());
        assert_eq!(Key::from_token(key.to_token()), key);
        assert_ne!(key.to_token(), usize::MAX);
    }

    #[test]
    fn keys_lists_what_is_there() {
        let mut slots = Slots::new();
        let (a, b, c) =
            (slots.insert_with(|_| 1), slots.insert_with(|_| 2), slots.insert_with(|_| 3));
        slots.remove(b);
        assert_eq!(slots.keys(), [a, c]);
    }
}
