//! Times at the ends of what can be said: none, the least, all there is.

#![cfg(feature = "simulation")]
#[path = "kit/paths.rs"]
mod paths;

use futures_util::FutureExt;
use ropewalk::clock::{Clock, TestClock};
use ropewalk::deferred::{Cooperator, DeferredFilesystemLock, LoopingCall, TimedOut, defer_later};
use ropewalk::policies::Timeout;
use ropewalk::simulation::Simulation;
use ropewalk::{Deferred, Reactor};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const NANO: Duration = Duration::from_nanos(1);
const TIMES: [Duration; 5] =
    [Duration::ZERO, NANO, Duration::from_secs(1), Duration::from_secs(u64::MAX), Duration::MAX];

fn counter() -> (Rc<Cell<u32>>, impl Fn() + Clone + 'static) {
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    (count, move || counted.set(counted.get() + 1))
}

#[test]
fn a_test_clock_that_is_advanced_by_all_time_stands_at_its_end() {
    let clock = TestClock::new();
    let (count, call) = counter();
    for delay in TIMES {
        clock.call_later(delay, Box::new(call.clone()));
    }
    clock.advance(Duration::MAX);
    assert_eq!(count.get(), 5);
    let end = clock.now();
    clock.pump([Duration::MAX, NANO, Duration::ZERO]);
    assert_eq!(clock.now(), end);
    let late = clock.call_later(NANO, Box::new(call));
    clock.advance(Duration::MAX);
    assert!(late.is_active() && late.deadline() > end);
}

#[test]
fn a_delayed_call_is_moved_by_any_time() {
    for by in TIMES {
        let clock = TestClock::new();
        let call = clock.call_later(by, Box::new(|| ()));
        let before = call.deadline();
        call.delay(by).unwrap();
        assert!(call.deadline() >= before);
        call.reset(by).unwrap();
        assert_eq!(call.deadline(), before);
    }
}

#[test]
fn loops_of_any_interval_go_on_at_the_end_of_time() {
    for interval in TIMES {
        let clock = TestClock::new();
        let (count, call) = counter();
        let looping = LoopingCall::new(&clock, call);
        let _running = looping.start(interval);
        assert_eq!(count.get(), 1);
        clock.advance(Duration::MAX);
        assert_eq!(count.get(), 2, "{interval:?}");
        looping.reset().unwrap();
        looping.stop().unwrap();
        let skipped = Rc::new(Cell::new(0));
        let total = skipped.clone();
        let clock = TestClock::new();
        let looping = LoopingCall::with_count(&clock, move |count| total.set(total.get() + count));
        let _running = looping.start(interval);
        clock.advance(Duration::MAX);
        // Of the longest, not even one has passed at the end.
        assert_eq!(skipped.get() > 1, interval <= TIMES[2], "{interval:?}");
    }
}

#[test]
fn limits_and_waits_of_any_length_are_kept_on_a_test_clock() {
    for time in TIMES {
        let clock = TestClock::new();
        let (_trigger, d) = Deferred::<()>::new();
        let limited = d.add_timeout(time, &clock);
        let waited = defer_later(&clock, time, || Ok(()));
        let (count, call) = counter();
        let mut timeout = Timeout::new(clock.clone(), call);
        timeout.set(Some(time));
        timeout.reset();
        let work = Cooperator::new(&clock).coiterate([(), ()]);
        clock.advance(Duration::MAX);
        assert!(limited.now_or_never().unwrap().unwrap_err().is::<TimedOut>());
        assert!(waited.now_or_never().unwrap().is_ok() && work.now_or_never().unwrap().is_ok());
        assert_eq!(count.get(), 1, "{time:?}");
    }
}

#[test]
fn a_lock_on_a_file_may_be_waited_for_without_end() {
    let file = paths::path("lock");
    let clock = TestClock::new();
    let lock = DeferredFilesystemLock::new(&file, &clock);
    let held = lock.try_lock().unwrap().unwrap();
    let waiting: Vec<_> = TIMES.map(|limit| lock.defer_until_locked(Some(limit))).into();
    clock.pump([Duration::from_secs(1); 3]);
    drop(held);
    clock.pump([Duration::from_secs(1); 3]);
    let outcomes: Vec<_> =
        waiting.into_iter().map(|d| d.now_or_never().map(|it| it.is_ok())).collect();
    std::fs::remove_file(&file).unwrap();
    // One at a time: the last waits for the one before.
    assert_eq!(outcomes, [Some(false), Some(false), Some(false), Some(true), None]);
}

#[test]
fn a_reactor_waits_any_time_for_what_comes_at_once() {
    let reactor = Reactor::new().unwrap();
    for time in TIMES {
        let (sleep, interval) = (reactor.sleep(time), reactor.interval(time));
        let limited = reactor.timeout(time, async { 7 });
        let late = reactor.call_later(time, || ());
        reactor.call_later(Duration::ZERO, || ());
        reactor.turn(Some(time)).unwrap();
        assert_eq!(reactor.run_until(async { Ok(limited.await?) }).unwrap(), 7);
        let _ = late.cancel();
        drop((sleep, interval));
    }
}

#[test]
fn a_simulation_runs_to_the_end_of_time_and_stays_there() {
    let simulation = Simulation::new(1);
    let host = simulation.host("any");
    let reactor = host.reactor();
    let slept = reactor.spawn({
        let clock = reactor.clone();
        async move {
            clock.sleep(Duration::from_secs(1_000_000)).await;
            Ok(())
        }
    });
    simulation.plan_troubles(std::slice::from_ref(&host), 3, Duration::MAX);
    simulation.at(Duration::MAX, |_| unreachable!("beyond all time"));
    simulation.run_for(Duration::MAX).unwrap();
    drop(slept);
    let end = simulation.time();
    host.jump_clock(Duration::MAX);
    let late = host.reactor().sleep(Duration::from_secs(1));
    for time in TIMES {
        simulation.run_for(time).unwrap();
    }
    assert_eq!(simulation.time(), end);
    drop(late);
}
