//! Work in threads: its results, its cancellation, and what becomes of it when the reactor ends.

#![allow(clippy::unwrap_used)] // A test that finds no value shall fail.

use ropewalk::deferred::{Cancelled, NeverFired};
use ropewalk::reactor::{Phase, ReactorGone, WouldDeadlockError};
use ropewalk::{Deferred, Failure, Panicked, Reactor, Result, on_report, succeed};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Everything that is reported in this thread from now on.
fn reports() -> Rc<RefCell<Vec<String>>> {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let sink = heard.clone();
    on_report(move |report| sink.borrow_mut().push(report.to_string()));
    heard
}

/// Work that begins, says so, and goes on when told.
fn held_work() -> (impl FnOnce() -> Result<u32> + Send, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let work = move || {
        // The test may have ended: then there is nothing to say.
        let _ = begun.send(());
        let _ = may_go_on.recv();
        Ok(7)
    };
    (work, has_begun, go_on)
}

#[test]
fn the_result_of_work_comes_back_to_the_reactors_thread() {
    let reactor = Reactor::new().unwrap();
    let here = thread::current().id();
    let there = reactor.defer_to_thread(|| Ok(thread::current().id()));
    let d = there.map(move |there| (there != here, thread::current().id() == here));
    assert_eq!(reactor.run_until(d).unwrap(), (true, true));
}

#[test]
fn a_panic_in_work_is_a_failure_that_names_where_it_was_given() {
    let reactor = Reactor::new().unwrap();
    let line = line!() + 1;
    let work = reactor.defer_to_thread(|| -> Result { panic!("in the work") });
    let failure = reactor.run_until(work).unwrap_err();
    assert_eq!(failure.check::<Panicked>().unwrap().message(), "in the work");
    assert_eq!(failure.location().unwrap().line(), line);
}

#[test]
fn a_failure_of_work_that_nobody_handles_is_reported() {
    let heard = reports();
    let reactor = Reactor::new().unwrap();
    reactor.call_in_thread(|| Err(Failure::msg("no disk")));
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    assert_eq!(heard.borrow().len(), 1);
    assert!(heard.borrow()[0].contains("no disk"), "{heard:?}");
}

#[test]
fn work_that_was_given_before_the_reactor_runs_is_done() {
    let reactor = Reactor::new().unwrap();
    let all: Vec<_> = (0..100).map(|n| reactor.defer_to_thread(move || Ok(n))).collect();
    let sum = reactor.run_until(async move {
        let mut sum = 0;
        for one in all {
            sum += one.await?;
        }
        Ok(sum)
    });
    assert_eq!(sum.unwrap(), 4950);
}

#[test]
fn cancelled_before_it_began_work_is_dropped_at_once_and_never_done() {
    let reactor = Reactor::new().unwrap();
    reactor.suggest_thread_pool_size(1);
    let (holding, has_begun, go_on) = held_work();
    let first = reactor.defer_to_thread(holding);
    has_begun.recv().unwrap();
    let (was_done, held) = (Arc::new(AtomicBool::new(false)), Arc::new(()));
    let (mark, kept) = (was_done.clone(), held.clone());
    let second = reactor.defer_to_thread(move || {
        mark.store(true, Ordering::SeqCst);
        drop(kept);
        Ok(())
    });
    second.cancel();
    assert_eq!(Arc::strong_count(&held), 1);
    go_on.send(()).unwrap();
    reactor.run_until(first).unwrap();
    assert!(reactor.run_until(second).unwrap_err().is::<Cancelled>());
    reactor.run_until(reactor.defer_to_thread(|| Ok(()))).unwrap();
    assert!(!was_done.load(Ordering::SeqCst));
}

#[test]
fn the_result_of_work_that_was_cancelled_while_it_ran_is_ignored() {
    let heard = reports();
    let reactor = Reactor::new().unwrap();
    let (work, has_begun, go_on) = held_work();
    let working = reactor.defer_to_thread(work);
    has_begun.recv().unwrap();
    working.cancel();
    assert!(reactor.run_until(working).unwrap_err().is::<Cancelled>());
    go_on.send(()).unwrap();
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    assert_eq!(*heard.borrow(), [""; 0]);
}

#[test]
fn a_stopped_reactor_delivers_the_work_under_way_first() {
    let reactor = Reactor::new().unwrap();
    let (work, has_begun, go_on) = held_work();
    let result = Rc::new(Cell::new(0));
    let (sink, is_over) = (result.clone(), Rc::new(Cell::new(false)));
    reactor.defer_to_thread(work).map(move |value| sink.set(value));
    let (seen, watched) = (is_over.clone(), result.clone());
    let after = move || seen.set(watched.get() == 7);
    reactor.add_system_event_trigger(Phase::During, ropewalk::reactor::Event::Shutdown, after);
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    // Only a reactor that waits, with its loop running, hears of this.
    let helper = thread::spawn(move || {
        has_begun.recv().unwrap();
        go_on.send(()).unwrap();
    });
    reactor.run().unwrap();
    helper.join().unwrap();
    assert!(is_over.get(), "the result came {}", result.get());
}

#[test]
fn work_that_outlasts_the_limit_of_a_shutdown_is_reported_with_its_place() {
    let heard = reports();
    let reactor = Reactor::new().unwrap();
    let (work, has_begun, go_on) = held_work();
    let line = line!() + 1;
    let late = reactor.defer_to_thread(work);
    has_begun.recv().unwrap();
    let (stopper, impatient) = (reactor.clone(), reactor.clone());
    reactor.call_when_running(move || stopper.stop());
    reactor.on_shutdown(move || {
        // By the next turn the shutdown waits, and its limit is the only timer.
        Ok(impatient.remote().call_from_thread(|reactor| {
            for limit in reactor.delayed_calls() {
                limit.reset(Duration::ZERO)?;
            }
            Ok(())
        })?)
    });
    reactor.run().unwrap();
    let place = format!("made at {}:{line}", file!());
    assert!(heard.borrow().iter().any(|report| report.contains(&place)), "{heard:?}");
    // The reactor runs again: nothing was lost.
    go_on.send(()).unwrap();
    assert_eq!(reactor.run_until(late).unwrap(), 7);
}

#[test]
fn work_left_by_a_dropped_reactor_is_reported_and_its_deferred_fails() {
    let heard = reports();
    let reactor = Reactor::new().unwrap();
    let (work, has_begun, _go_on) = held_work();
    let failed = Rc::new(Cell::new(false));
    let sink = failed.clone();
    let waiting = reactor.defer_to_thread(work).add_errback(move |failure| {
        sink.set(failure.is::<ReactorGone>());
        Ok(0)
    });
    has_begun.recv().unwrap();
    drop(reactor);
    assert!(failed.get());
    assert!(heard.borrow()[0].contains("goes on after the reactor was dropped"), "{heard:?}");
    drop(waiting);
}

#[test]
fn a_blocking_call_returns_what_the_reactors_deferred_fires_with() {
    let reactor = Reactor::new().unwrap();
    let remote = reactor.remote();
    let asked = reactor.defer_to_thread(move || {
        let value = remote.blocking_call_from_thread(|reactor| {
            let (trigger, deferred) = Deferred::new();
            reactor.call_when_running(move || Ok(trigger.callback(3)?));
            deferred
        })?;
        let failure = remote.blocking_call_from_thread(|_| Err::<(), _>(Failure::msg("no")));
        Ok((value, failure.unwrap_err().to_string()))
    });
    assert_eq!(reactor.run_until(asked).unwrap(), (3, "no".to_owned()));
}

#[test]
fn a_blocking_call_in_the_reactors_own_thread_is_an_error_instead_of_a_deadlock() {
    let reactor = Reactor::new().unwrap();
    let outcome = reactor.remote().blocking_call_from_thread(|_| Ok(()));
    assert!(outcome.unwrap_err().is::<WouldDeadlockError>());
}

#[test]
fn a_blocking_call_into_a_reactor_that_goes_away_fails() {
    let reactor = Reactor::new().unwrap();
    let remote = reactor.remote();
    let thread = thread::spawn(move || remote.blocking_call_from_thread(|_| Ok(())));
    drop(reactor);
    assert!(thread.join().unwrap().unwrap_err().is::<ReactorGone>());
}

#[test]
fn a_sendable_that_is_dropped_unfired_fails_its_deferred() {
    let reactor = Reactor::new().unwrap();
    let (trigger, deferred) = Deferred::<u32>::new();
    let sendable = reactor.sendable(trigger);
    thread::spawn(move || drop(sendable));
    assert!(reactor.run_until(deferred).unwrap_err().is::<NeverFired>());
}

#[test]
fn a_sendable_that_comes_too_late_changes_nothing() {
    let heard = reports();
    let reactor = Reactor::new().unwrap();
    let (trigger, deferred) = Deferred::new();
    let sendable = reactor.sendable(trigger.clone());
    trigger.callback(1).unwrap();
    sendable.callback(2).unwrap();
    reactor.run_until(async { Ok(()) }).unwrap();
    assert_eq!(reactor.run_until(deferred).unwrap(), 1);
    assert_eq!(*heard.borrow(), [""; 0]);
}

#[test]
fn no_more_work_runs_at_once_than_the_pool_has_threads() {
    let reactor = Reactor::new().unwrap();
    reactor.suggest_thread_pool_size(3);
    let running = Arc::new(Mutex::new((0, 0)));
    let all: Vec<_> = (0..200)
        .map(|_| {
            let running = running.clone();
            reactor.defer_to_thread(move || {
                let mut count = running.lock().unwrap();
                count.0 += 1;
                count.1 = count.1.max(count.0);
                drop(count);
                thread::yield_now();
                running.lock().unwrap().0 -= 1;
                Ok(())
            })
        })
        .collect();
    reactor
        .run_until(async move {
            for one in all {
                one.await?;
            }
            Ok(())
        })
        .unwrap();
    let most = running.lock().unwrap().1;
    assert!((1..=3).contains(&most), "{most} at once");
}

#[test]
fn work_may_return_a_deferred_that_has_fired_but_none_that_has_not() {
    let reactor = Reactor::new().unwrap();
    let fired = reactor.defer_to_thread(|| succeed(5));
    assert_eq!(reactor.run_until(fired).unwrap(), 5);
    let waiting = reactor.defer_to_thread(|| {
        let (trigger, deferred) = Deferred::<u32>::new();
        std::mem::forget(trigger);
        deferred
    });
    let failure = reactor.run_until(waiting).unwrap_err();
    assert!(failure.to_string().contains("has not fired"), "{failure}");
}
