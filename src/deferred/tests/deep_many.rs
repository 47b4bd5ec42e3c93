//! A hundred thousand lists, gatherings and races within each other, in constant stack.

use super::deep::{RETURNED, in_a_small_stack};
use super::failure_of;
use crate::clock::TestClock;
use crate::deferred::{Cancelled, DeferredList, DeferredLock, DeferredQueue};
use crate::deferred::{FailureGroup, FirstError, NeverFired, OneOrAll};
use crate::{Deferred, Failure, Trigger};
use crate::{gather_results, on_report, race};
use futures_util::FutureExt;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// One way of waiting for another; the number is how deep it lies.
type Way = fn(usize, Deferred<usize>) -> Deferred<usize>;

fn gathered(_: usize, d: Deferred<usize>) -> Deferred<usize> {
    gather_results([d]).map(|values| values[0] + 1)
}

fn listed(_: usize, d: Deferred<usize>) -> Deferred<usize> {
    let results = DeferredList::new([d]).consume_errors().results();
    results.add_callback(|mut results| results.remove(0).map(|n| n + 1))
}

fn raced(_: usize, d: Deferred<usize>) -> Deferred<usize> {
    race([d]).map(|(_, n)| n + 1)
}

fn one_of(_: usize, d: Deferred<usize>) -> Deferred<usize> {
    DeferredList::new([d]).fire_on_one_callback().add_callback(|one| match one {
        OneOrAll::One(_, n) => Ok(n + 1),
        OneOrAll::AllFailed(mut failures) => Err(failures.remove(0)),
    })
}

fn mixed(depth: usize, d: Deferred<usize>) -> Deferred<usize> {
    [gathered, listed, raced, one_of][depth % 4](depth, d)
}

const WAYS: [Way; 5] = [gathered, listed, raced, one_of, mixed];

/// The innermost's trigger, and the outermost.
fn nested(way: Way) -> (Trigger<usize>, Deferred<usize>) {
    let (trigger, mut d) = Deferred::new();
    for depth in 0..RETURNED {
        d = way(depth, d);
    }
    (trigger, d)
}

fn each_way(test: fn(Way)) {
    in_a_small_stack(move || WAYS.into_iter().for_each(test));
}

#[test]
fn nested_waits_for_many_fire_in_a_small_stack() {
    each_way(|way| {
        let (trigger, d) = nested(way);
        trigger.callback(0).unwrap();
        assert_eq!(d.now_or_never().unwrap().unwrap(), RETURNED);
    });
}

#[test]
fn nested_waits_for_many_fail_and_drop_their_failure_in_a_small_stack() {
    each_way(|way| {
        let (trigger, d) = nested(way);
        trigger.errback(Failure::msg("no")).unwrap();
        drop(failure_of(d));
    });
}

#[test]
fn nested_waits_for_many_are_cancelled_in_a_small_stack() {
    each_way(|way| {
        let (_trigger, d) = nested(way);
        d.cancel();
        assert!(d.now_or_never().unwrap().is_err());
    });
}

#[test]
fn nested_waits_for_many_are_dropped_in_a_small_stack_from_either_end() {
    each_way(|way| {
        on_report(|_| ());
        let (trigger, d) = nested(way);
        drop(trigger);
        drop(d);
        let (trigger, d) = nested(way);
        drop(d);
        drop(trigger);
    });
}

#[test]
fn nested_waits_for_many_that_were_awaited_fire_and_are_dropped_in_a_small_stack() {
    each_way(|way| {
        let (trigger, mut d) = nested(way);
        assert!((&mut d).now_or_never().is_none());
        trigger.callback(0).unwrap();
        assert_eq!(d.now_or_never().unwrap().unwrap(), RETURNED);
        let (trigger, d) = nested(way);
        assert!(d.now_or_never().is_none()); // and dropped: cancelled
        assert!(trigger.is_called());
    });
}

#[test]
fn nested_waits_for_many_time_out_in_a_small_stack() {
    each_way(|way| {
        let (clock, (_trigger, mut d)) = (TestClock::new(), Deferred::new());
        for depth in 0..RETURNED {
            d = way(depth, d.add_timeout(Duration::from_secs(1), &clock));
        }
        clock.advance(Duration::from_secs(1));
        assert!(d.now_or_never().unwrap().is_err());
        assert!(clock.delayed_calls().is_empty());
    });
}

/// Each waits for a Deferred of its own and for the next, which it cancels when its own has come: none
/// of the inner ones is awaited from outside.
fn comb(canceller: fn(&Trigger<usize>)) -> (Trigger<usize>, Deferred<usize>, Vec<Trigger<usize>>) {
    let (last, mut d) = Deferred::new();
    let mut kept = vec![last];
    for depth in 0..RETURNED {
        let (trigger, own) = Deferred::with_canceller(canceller);
        d = if depth % 2 == 0 {
            race([own, d]).map(|(_, n)| n + 1)
        } else {
            let list = DeferredList::new([own, d]).cancel_others().consume_errors();
            list.gather().map(|values| values[0])
        };
        kept.push(trigger);
    }
    (kept.remove(RETURNED), d, kept)
}

#[test]
fn lists_that_cancel_each_other_one_after_the_other_do_so_in_a_small_stack() {
    in_a_small_stack(|| {
        let (first, d, _kept) = comb(|_| ());
        first.errback(Failure::msg("no")).unwrap();
        assert!(d.now_or_never().unwrap().is_err());
        let (_first, d, _kept) = comb(|_| ());
        d.cancel();
        assert!(d.now_or_never().unwrap().is_err());
    });
}

#[test]
fn cancellers_that_fire_what_decides_a_list_do_so_in_a_small_stack() {
    in_a_small_stack(|| {
        let (_first, d, _kept) = comb(|trigger| {
            let _ = trigger.errback(Failure::msg("stopped"));
        });
        d.cancel();
        assert!(d.now_or_never().unwrap().is_err());
        let (_first, d, _kept) = comb(|trigger| {
            let _ = trigger.callback(7);
        });
        d.cancel();
        assert!(d.now_or_never().is_some());
    });
}

#[test]
fn deep_failures_are_shown_in_a_small_stack() {
    in_a_small_stack(|| {
        for way in [gathered as Way, raced] {
            let (trigger, d) = nested(way);
            trigger.errback(Failure::msg("no")).unwrap();
            let failure = failure_of(d);
            assert!(failure.to_string().contains("failed"));
            assert!(format!("{failure:?}").contains("no"));
            assert!(format!("{:?}", failure.error()).len() > 2);
        }
    });
}

#[test]
fn a_deep_failure_still_says_what_lies_at_its_bottom() {
    in_a_small_stack(|| {
        let (trigger, d) = nested(gathered);
        drop(trigger);
        let failure = failure_of(d);
        assert!(failure.is::<FirstError>());
        assert_eq!(failure.chain().count(), RETURNED + 1);
        assert!(failure.chain().last().unwrap().is::<NeverFired>());
        let (_trigger, d) = nested(raced);
        d.cancel();
        let mut failure = failure_of(d);
        while let Some(group) = failure.check::<FailureGroup>() {
            let inner = group.failures()[0].clone();
            failure = inner;
        }
        assert!(failure.is::<Cancelled>());
    });
}

/// A cancellation asks the members in their order, each with all that follows from it.
#[test]
fn a_cancelled_nest_asks_its_members_in_order() {
    let order = Rc::new(std::cell::RefCell::new(String::new()));
    let member = |name: char| {
        let log = order.clone();
        let (trigger, d) = Deferred::<usize>::with_canceller(move |_| log.borrow_mut().push(name));
        let log = order.clone();
        let d = d.add_both(move |result| {
            log.borrow_mut().push(name.to_ascii_uppercase());
            result
        });
        (trigger, d)
    };
    let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(member);
    let inner = DeferredList::new([b.1, c.1]).results().map(|results| results.len());
    let log = order.clone();
    let inner = inner.map(move |n| {
        log.borrow_mut().push('|');
        n
    });
    let all = DeferredList::new([a.1, inner, d.1]).results();
    all.cancel();
    assert_eq!(all.now_or_never().unwrap().unwrap().len(), 3);
    assert_eq!(*order.borrow(), "aAbBcC|dD");
}

/// The list's own step runs before the call returns that decided it.
#[test]
fn a_list_fires_before_the_trigger_that_decides_it_returns() {
    let (trigger, d) = Deferred::new();
    let fired = Rc::new(Cell::new(0));
    let seen = fired.clone();
    race([gather_results([d]).map(|values| values[0])]).map(move |(_, n)| seen.set(n));
    trigger.callback(7).unwrap();
    assert_eq!(fired.get(), 7);
}

#[test]
fn lists_of_those_who_wait_for_locks_and_queues_end_in_a_small_stack() {
    in_a_small_stack(|| {
        let (lock, queue) = (DeferredLock::new(), DeferredQueue::new());
        let first = lock.acquire().now_or_never().unwrap().unwrap();
        let wait = |mut d: Deferred<usize>| {
            for depth in 0..RETURNED {
                let permit = lock.acquire().map(move |permit| {
                    permit.release();
                    depth
                });
                d = gather_results([permit, queue.get(), d]).map(|values| values.len());
            }
            d
        };
        let (_never, d) = Deferred::new();
        let cancelled = wait(d);
        cancelled.cancel();
        assert!(cancelled.now_or_never().unwrap().is_err());
        assert_eq!((lock.waiting(), queue.waiting()), (0, 0));
        let (trigger, d) = Deferred::new();
        let served = wait(d);
        trigger.callback(0).unwrap();
        first.release();
        (0..RETURNED).for_each(|n| queue.put(n).unwrap());
        assert_eq!(served.now_or_never().unwrap().unwrap(), 3);
    });
}
