//! A hundred thousand of everything that a Deferred can do leave the memory as it was.
//!
//! One test, so that nothing else of this process grows meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // All of it is a test.

use futures_util::{FutureExt, StreamExt};
use ropewalk::clock::TestClock;
use ropewalk::deferred::{DeferredList, DeferredLock, DeferredQueue, maybe_deferred};
use ropewalk::{Deferred, Failure, Reactor, Trigger, gather_results, on_report, race, succeed};
use std::time::Duration;

const ROUNDS: usize = 100_000;
/// A leak of a single node in each round is six times that at least.
const SLACK: usize = 1 << 20;

/// Bytes of memory that are in use.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn pair() -> (Trigger<u64>, Deferred<u64>) {
    Deferred::new()
}

fn fired() {
    let (trigger, d) = pair();
    d.map(|n| n + 1).add_callback(|n| succeed(n + 1)).add_both(|_| ());
    trigger.callback(1).unwrap();
}

fn cancelled() {
    let (_trigger, d) = pair();
    let d = d.map(|n| n + 1).add_callback(Ok);
    d.cancel();
    let (_trigger, d) = Deferred::with_canceller(|_: &Trigger<u64>| ());
    d.map(|n| n + 1).cancel();
}

fn dropped() {
    let (trigger, d) = pair();
    let d = d.map(|n| n + 1);
    drop(trigger);
    drop(d);
    let (trigger, d) = pair();
    drop(d.map(|n| n + 1));
    drop(trigger);
    let (_trigger, d) = pair();
    assert!(d.map(|n| n + 1).now_or_never().is_none());
}

fn returned() {
    let ((outer, d), (inner, e)) = (pair(), pair());
    let d = d.add_callback(move |n| e.map(move |m| n + m));
    outer.callback(1).unwrap();
    inner.callback(1).unwrap();
    assert_eq!(d.now_or_never().unwrap().unwrap(), 2);
    let ((outer, d), (_inner, e)) = (pair(), pair());
    let d = d.add_callback(move |_| e);
    outer.callback(1).unwrap();
    d.cancel();
    d.cancel();
}

fn failed() {
    let (trigger, d) = pair();
    let d = d.add_errback(Err).map(|n| n + 1);
    trigger.errback(Failure::msg("no")).unwrap();
    drop(d.add_errback(|_| Ok(0)));
    drop(maybe_deferred(|| -> ropewalk::Result { Err(Failure::msg("no")) }).add_errback(|_| ()));
}

fn many() {
    for cancels in [false, true] {
        let ends = [pair(), pair(), pair(), pair()];
        let (triggers, deferreds): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let mut deferreds = deferreds.into_iter();
        let one = gather_results(deferreds.by_ref().take(1)).map(|values| values[0]);
        let two = DeferredList::new(deferreds.by_ref().take(1)).cancel_others().results();
        let two = two.map(|results| results.len() as u64);
        let all = race([one, two, gather_results(deferreds).map(|values| values[0])]);
        match cancels {
            true => all.cancel(),
            false => triggers
                .iter()
                .for_each(|trigger| assert!(trigger.callback(1).is_ok() || trigger.is_called())),
        }
    }
}

fn waited(clock: &TestClock) {
    let (trigger, d) = pair();
    let d = d.add_timeout(Duration::from_secs(1), clock);
    trigger.callback(1).unwrap();
    drop(d);
    let (_trigger, d) = pair();
    drop(d.add_timeout(Duration::from_secs(1), clock).add_errback(|_| Ok(0)));
    clock.advance(Duration::from_secs(1));
}

fn in_line(lock: &DeferredLock, queue: &DeferredQueue<u64>) {
    let (held, waiting, given_up) = (lock.acquire(), lock.run(|| Ok(1)), lock.acquire());
    given_up.cancel();
    drop(held);
    drop(waiting);
    let (one, given_up) = (queue.get(), queue.get());
    given_up.cancel();
    queue.put(1).unwrap();
    drop(one);
    let mut stream = queue.clone();
    assert!(stream.next().now_or_never().is_none());
}

fn spawned(reactor: &Reactor) {
    let task = reactor.spawn(async { Ok(1) }).map(|n: u64| n + 1);
    let endless = reactor.spawn(std::future::pending::<ropewalk::Result>());
    reactor.run_until(task).unwrap();
    endless.cancel();
}

#[test]
fn a_hundred_thousand_rounds_of_everything_leave_no_memory_behind() {
    on_report(|report| panic!("{report}"));
    let (clock, lock, queue) = (TestClock::new(), DeferredLock::new(), DeferredQueue::new());
    let reactor = Reactor::new().unwrap();
    let rounds: [(&str, &dyn Fn()); 9] = [
        ("fired", &fired),
        ("cancelled", &cancelled),
        ("dropped", &dropped),
        ("returned", &returned),
        ("failed", &failed),
        ("many", &many),
        ("waited", &|| waited(&clock)),
        ("in line", &|| in_line(&lock, &queue)),
        ("spawned", &|| spawned(&reactor)),
    ];
    for (name, round) in rounds {
        (0..ROUNDS / 10).for_each(|_| round());
        let before = resident();
        (0..ROUNDS).for_each(|_| round());
        let grown = resident().saturating_sub(before);
        assert!(grown < SLACK, "{name}: {grown} bytes more");
    }
}
