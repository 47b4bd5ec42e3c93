//! Nodes that are used again: of each kind the last few that ended are kept.

// # Theory
// A node lives as long as one wait, and a program that answers requests makes and ends nodes of the same
// few kinds without end. A kept node is empty: whatever the user gave it was moved out or dropped before
// it came here.
//
// A thread-local cannot be generic, so a kind has its place by a hash of its type, and the nodes there
// are `Any`.
//
// # Not here
// Whoever looks whether a node has ended; it must be held by nobody else.

use crate::recycler::Recycler;
use std::any::{Any, TypeId};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// How many kinds have a place. Two kinds may share one: each may find the other's node, and frees it.
const PLACES: usize = 32;

/// How many nodes are kept at a place below the top.
const DEPTH: usize = 64;

thread_local! {
    /// Half of new + callback + fire when it was made; 0.60 of tokio's oneshot in the same run, the median of five.
    static NODES: [Recycler<Rc<dyn Any>>; PLACES] =
        const { [const { Recycler::new(DEPTH) }; PLACES] };
}

/// A node that was kept, if there is one of this kind.
#[inline]
pub(super) fn take<N: 'static>() -> Option<Rc<N>> {
    // Fails at the end of the thread, when the nodes are freed already; so below.
    let node = NODES.try_with(|nodes| nodes[place::<N>()].take());
    node.ok().flatten()?.downcast().ok()
}

/// Keeps an empty node that nobody else holds. At the end of a thread it is freed.
#[inline]
pub(super) fn keep<N: 'static>(node: Rc<N>) {
    let refused = NODES.try_with(|nodes| nodes[place::<N>()].give(node));
    drop(refused);
}

/// Where nodes of this kind are kept; a constant, once compiled.
#[inline]
fn place<N: 'static>() -> usize {
    let mut sum = Sum(0);
    TypeId::of::<N>().hash(&mut sum);
    sum.0 as usize % PLACES
}

/// A `TypeId` is well mixed already.
struct Sum(u64);

impl Hasher for Sum {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH, keep, take};
    use crate::Deferred;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::Arc;

    struct Node(u8);

    #[test]
    fn a_kept_node_is_given_once_and_only_to_its_own_kind() {
        let node = Rc::new(Node(7));
        let address = Rc::as_ptr(&node);
        keep(node);
        let again = take::<Node>().unwrap();
        assert_eq!((Rc::as_ptr(&again), again.0), (address, 7));
        assert!(take::<Node>().is_none());
        // Two kinds may have one place: then the other's is dropped, and never given.
        keep(again);
        assert!(take::<String>().is_none());
    }

    #[test]
    fn more_than_so_many_are_not_kept() {
        let nodes: Vec<_> = (0..200).map(|_| Rc::new(Node(2))).collect();
        let kept: Vec<_> = nodes.iter().map(Rc::downgrade).collect();
        nodes.into_iter().for_each(keep);
        assert_eq!(kept.iter().filter(|node| node.strong_count() == 1).count(), DEPTH + 1);
        assert_eq!(std::iter::from_fn(take::<Node>).count(), DEPTH + 1);
    }

    /// What the nodes of one chain were given does not come up in the next.
    #[test]
    fn chains_made_of_the_same_nodes_do_not_know_each_other() {
        for round in 0..10_u32 {
            let (trigger, deferred) = Deferred::<u32>::new();
            let given = Rc::new(round);
            let held = given.clone();
            let chain = deferred.add_callback(move |n| Ok(n + *held));
            if round % 3 == 0 {
                drop(trigger);
                drop(chain.add_errback(|_never_fired| Ok(0)));
            } else {
                trigger.callback(1).unwrap();
                assert!(trigger.callback(2).is_err());
                chain.map(move |sum| assert_eq!(sum, 1 + round));
            }
            assert_eq!(Rc::strong_count(&given), 1);
        }
    }

    /// Keeps nodes at the end of its thread, whether that is before or after all were freed.
    struct Late(Arc<()>);

    impl Drop for Late {
        fn drop(&mut self) {
            (0..3).for_each(|_| keep(Rc::new(self.0.clone())));
            while let Some(node) = take::<Arc<()>>() {
                drop(node);
            }
            keep(Rc::new(self.0.clone()));
        }
    }

    #[test]
    fn a_thread_that_ends_frees_what_was_kept_and_what_comes_late() {
        thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });
        thread_local!(static LATER: RefCell<Option<Late>> = const { RefCell::new(None) });
        let given = Arc::new(());
        let held = given.clone();
        let thread = std::thread::spawn(move || {
            LATE.set(Some(Late(held.clone())));
            assert!(take::<Arc<()>>().is_none()); // from now on the thread's end frees them
            (0..3).for_each(|_| keep(Rc::new(held.clone())));
            LATER.set(Some(Late(held)));
        });
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&given), 1);
    }

    #[test]
    fn a_deferred_held_by_a_thread_local_ends_with_its_thread() {
        thread_local!(static HELD: std::cell::RefCell<Vec<Deferred<u8>>> = const { std::cell::RefCell::new(Vec::new()) });
        let thread = std::thread::spawn(|| {
            let (trigger, deferred) = Deferred::new();
            HELD.with(|held| held.borrow_mut().push(deferred));
            trigger.callback(1).unwrap();
        });
        thread.join().unwrap();
    }
}
