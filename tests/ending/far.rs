//! Times beyond all bounds are as far away as can be, and overflow nothing.

use super::kit::turn;
use futures_util::FutureExt;
use ropewalk::deferred::TimedOut;
use ropewalk::simulation::Simulation;
use ropewalk::{Deferred, Reactor, Result};
use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

const FAR: [Duration; 4] = [
    Duration::MAX,
    Duration::from_secs(u64::MAX),
    Duration::from_nanos(u64::MAX),
    Duration::from_secs(i64::MAX as u64),
];

fn reactors() -> [(Reactor, Option<Simulation>); 2] {
    let simulation = Simulation::new(1);
    let simulated = simulation.host("a").reactor();
    [(Reactor::new().unwrap(), None), (simulated, Some(simulation))]
}

#[test]
fn a_call_that_is_never_due_is_not_made_and_can_be_moved_and_cancelled() {
    for (reactor, _simulation) in reactors() {
        for delay in FAR {
            let made = Rc::new(Cell::new(0));
            let count = made.clone();
            let call = reactor.call_later(delay, move || count.set(count.get() + 1));
            assert!(call.deadline() > reactor.now());
            turn(&reactor);
            call.reset(delay).unwrap();
            call.delay(delay).unwrap();
            turn(&reactor);
            assert_eq!(made.get(), 0);
            call.cancel().unwrap();
        }
        assert!(reactor.delayed_calls().is_empty());
    }
}

#[test]
fn a_sleep_and_a_limit_without_end_hold_nobody_up() {
    for (reactor, _simulation) in reactors() {
        for delay in FAR {
            let mut sleep = pin!(reactor.sleep(delay));
            assert!(sleep.deadline() > reactor.now());
            let done = reactor.run_until(async {
                assert!(sleep.as_mut().now_or_never().is_none());
                Ok(reactor.timeout(delay, async { 7 }).await?)
            });
            assert_eq!(done.unwrap(), 7);
            let (trigger, deferred) = Deferred::<u8>::new();
            let limited = deferred.add_timeout(delay, &reactor);
            trigger.callback(7).unwrap();
            assert_eq!(limited.now_or_never().unwrap().unwrap(), 7);
        }
    }
}

#[test]
fn a_limit_of_nothing_is_over_at_once_beside_one_without_end() {
    for (reactor, _simulation) in reactors() {
        let limited = reactor.run_until(async {
            let inner = reactor.timeout(Duration::ZERO, pending::<Result>());
            Ok(reactor.timeout(Duration::MAX, inner).await?)
        });
        assert!(matches!(limited.unwrap(), Err(TimedOut { .. })));
    }
}

#[test]
fn a_turn_that_may_wait_without_end_waits_for_what_comes() {
    for delay in FAR {
        let reactor = Reactor::new().unwrap();
        let far = reactor.call_later(delay, || ());
        let remote = reactor.remote();
        let woken = Rc::new(Cell::new(false));
        let thread = std::thread::spawn(move || remote.call_from_thread(|_| ()));
        reactor.turn(Some(delay)).unwrap();
        thread.join().unwrap().unwrap();
        let flag = woken.clone();
        reactor.call_later(Duration::from_millis(1), move || flag.set(true));
        while !woken.get() {
            reactor.turn(Some(delay)).unwrap();
        }
        far.cancel().unwrap();
    }
}

#[test]
fn a_flush_timeout_without_end_is_none() {
    for (reactor, _simulation) in reactors() {
        reactor.set_flush_timeout(Duration::MAX);
        reactor.run_until(async { Ok(()) }).unwrap();
        let stopper = reactor.clone();
        reactor.call_when_running(move || stopper.stop());
        reactor.run().unwrap();
    }
}
