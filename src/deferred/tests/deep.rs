//! A million links, and a hundred thousand Deferreds within each other, in constant stack and memory.

use super::{failure_of, value_of};
use crate::deferred::Cancelled;
use crate::{Deferred, Trigger, succeed};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const DEEP: usize = 1_000_000;
pub(super) const RETURNED: usize = 100_000;

pub(super) fn in_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(256 << 10).spawn(test).unwrap().join().unwrap();
}

fn long_chain() -> (Trigger<usize>, Deferred<usize>) {
    let (trigger, mut d) = Deferred::new();
    for _ in 0..DEEP {
        d = d.map(|n| n + 1);
    }
    (trigger, d)
}

/// Each returned from the step of the one before; the last one's triggers fire from the inside out.
fn nested() -> (Vec<Trigger<usize>>, Deferred<usize>) {
    let (trigger, mut d) = Deferred::new();
    let mut triggers = vec![trigger];
    for _ in 0..RETURNED {
        let (trigger, outer) = Deferred::new();
        triggers.push(trigger);
        d = outer.add_callback(move |n| d.map(move |m| n + m));
    }
    (triggers, d)
}

#[test]
fn a_chain_of_a_million_links_fires_in_a_small_stack() {
    in_a_small_stack(|| {
        let (trigger, d) = long_chain();
        trigger.callback(0).unwrap();
        assert_eq!(value_of(d), DEEP);
    });
}

#[test]
fn a_chain_of_a_million_links_is_cancelled_in_a_small_stack() {
    in_a_small_stack(|| {
        let (_trigger, d) = long_chain();
        d.cancel();
        assert!(failure_of(d).is::<Cancelled>());
    });
}

#[test]
fn a_chain_of_a_million_links_is_dropped_in_a_small_stack_from_either_end() {
    in_a_small_stack(|| {
        let (trigger, d) = long_chain();
        drop(trigger);
        drop(d);
        let (trigger, d) = long_chain();
        drop(d);
        drop(trigger);
    });
}

#[test]
fn deferreds_returned_one_from_the_other_fire_in_a_small_stack() {
    in_a_small_stack(|| {
        let (triggers, d) = nested();
        for trigger in triggers.iter().rev() {
            trigger.callback(1).unwrap();
        }
        assert_eq!(value_of(d), RETURNED + 1);
        let (triggers, d) = nested();
        for trigger in &triggers {
            trigger.callback(1).unwrap();
        }
        assert_eq!(value_of(d), RETURNED + 1);
    });
}

#[test]
fn deferreds_returned_one_from_the_other_are_cancelled_in_a_small_stack() {
    in_a_small_stack(|| {
        let (triggers, d) = nested();
        for trigger in triggers.iter().skip(1).rev() {
            trigger.callback(1).unwrap();
        }
        d.cancel();
        assert!(failure_of(d).is::<Cancelled>());
    });
}

#[test]
fn deferreds_returned_one_from_the_other_are_dropped_in_a_small_stack() {
    in_a_small_stack(|| {
        let (triggers, d) = nested();
        drop(triggers);
        drop(d);
        let (triggers, d) = nested();
        drop(d);
        drop(triggers);
        let (triggers, d) = nested();
        triggers.iter().skip(1).rev().for_each(|t| t.callback(1).unwrap());
        drop((d, triggers));
    });
}

#[test]
fn chains_that_own_each_others_triggers_are_dropped_in_a_small_stack() {
    in_a_small_stack(|| {
        let (mut trigger, mut d) = Deferred::<()>::new();
        for _ in 0..RETURNED {
            let (next, outer) = Deferred::<()>::new();
            d = outer.add_callback(move |()| drop((trigger, d)));
            trigger = next;
        }
        drop(d);
        drop(trigger);
    });
}

#[test]
fn a_loop_of_returned_deferreds_without_end_needs_constant_memory() {
    let alive = Rc::new(Cell::new(0_isize));
    let most = Rc::new(Cell::new(0_isize));
    let triggers = Rc::new(RefCell::new(None));
    let d = again(1000, triggers.clone(), Alive::new(&alive, &most));
    while let Some(trigger) = triggers.take() {
        Trigger::callback(&trigger, ()).unwrap();
    }
    value_of(d);
    assert_eq!(alive.get(), 0);
    assert!(most.get() < 5, "{} at once", most.get());
}

fn again(left: usize, slot: Rc<RefCell<Option<Trigger<()>>>>, alive: Alive) -> Deferred<()> {
    let (trigger, d) = Deferred::new();
    *slot.borrow_mut() = Some(trigger);
    let next = alive.another();
    let d = d.add_both(move |result| {
        drop(alive);
        result
    });
    d.add_callback(move |()| if left == 0 { succeed(()) } else { again(left - 1, slot, next) })
}

/// Counts how many of its kind there are.
struct Alive(Rc<Cell<isize>>, Rc<Cell<isize>>);

impl Alive {
    fn new(now: &Rc<Cell<isize>>, most: &Rc<Cell<isize>>) -> Alive {
        now.set(now.get() + 1);
        most.set(most.get().max(now.get()));
        Alive(now.clone(), most.clone())
    }

    fn another(&self) -> Alive {
        Alive::new(&self.0, &self.1)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
