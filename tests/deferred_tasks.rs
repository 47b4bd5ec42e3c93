//! Chains of tasks that wait for one another, a hundred thousand deep, in a small stack.

use ropewalk::deferred::Cancelled;
use ropewalk::{Deferred, Reactor, Result, Trigger, gather_results, race};

const TASKS: usize = 100_000;

fn in_a_small_stack(test: impl FnOnce() -> Result + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(test);
    let ended = thread.expect("a thread").join();
    ended.expect("no panic").expect("no failure");
}

/// Each awaits the one before; the first awaits what the trigger fires.
///
/// All have been polled when this returns.
fn waiting(reactor: &Reactor) -> Result<(Trigger<usize>, Deferred<usize>)> {
    let (trigger, mut last) = Deferred::new();
    for _ in 0..TASKS {
        let before = last;
        last = reactor.spawn(async move { Ok(before.await? + 1) });
    }
    reactor.run_until(reactor.spawn(async { Ok(()) }))?;
    Ok((trigger, last))
}

#[test]
fn tasks_that_wait_for_one_another_fire_in_a_small_stack() {
    in_a_small_stack(|| {
        let reactor = Reactor::new()?;
        let (trigger, last) = waiting(&reactor)?;
        trigger.callback(0)?;
        assert_eq!(reactor.run_until(last)?, TASKS);
        Ok(())
    });
}

#[test]
fn tasks_that_wait_for_one_another_are_cancelled_in_a_small_stack() {
    in_a_small_stack(|| {
        let reactor = Reactor::new()?;
        let (trigger, last) = waiting(&reactor)?;
        last.cancel();
        assert!(reactor.run_until(last).unwrap_err().is::<Cancelled>());
        assert!(trigger.is_called());
        Ok(())
    });
}

#[test]
fn tasks_that_wait_for_one_another_are_dropped_in_a_small_stack() {
    in_a_small_stack(|| {
        let reactor = Reactor::new()?;
        let (trigger, last) = waiting(&reactor)?;
        drop(last);
        drop(trigger);
        drop(reactor);
        let reactor = Reactor::new()?;
        let (trigger, last) = waiting(&reactor)?;
        drop((reactor, last, trigger));
        Ok(())
    });
}

/// As [`waiting`], each through lists and races by turns.
fn waiting_for_lists(reactor: &Reactor) -> Result<(Trigger<usize>, Deferred<usize>)> {
    let (trigger, mut last) = Deferred::new();
    for task in 0..TASKS {
        let one = match task % 2 {
            0 => gather_results([last]).map(|values| values[0] + 1),
            _ => race([last]).map(|(_, n)| n + 1),
        };
        last = reactor.spawn(one);
    }
    reactor.run_until(reactor.spawn(async { Ok(()) }))?;
    Ok((trigger, last))
}

#[test]
fn tasks_that_wait_for_lists_of_tasks_fire_in_a_small_stack() {
    in_a_small_stack(|| {
        let reactor = Reactor::new()?;
        let (trigger, last) = waiting_for_lists(&reactor)?;
        trigger.callback(0)?;
        assert_eq!(reactor.run_until(last)?, TASKS);
        Ok(())
    });
}

#[test]
fn tasks_that_wait_for_lists_of_tasks_are_cancelled_and_dropped_in_a_small_stack() {
    in_a_small_stack(|| {
        let reactor = Reactor::new()?;
        let (trigger, last) = waiting_for_lists(&reactor)?;
        last.cancel();
        assert!(reactor.run_until(last).is_err() && trigger.is_called());
        let (trigger, last) = waiting_for_lists(&reactor)?;
        drop((last, reactor, trigger));
        Ok(())
    });
}
