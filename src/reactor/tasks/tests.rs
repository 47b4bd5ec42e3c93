//! The executor seen from outside: order, cancellation, panics.

use crate::deferred::Cancelled;
use crate::reactor::ReactorGone;
use crate::{Deferred, Reactor, Result, on_report};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

type Notes = Rc<RefCell<Vec<&'static str>>>;

/// Notes its own end.
struct Noted(Notes, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.borrow_mut().push(self.1);
    }
}

fn turn(reactor: &Reactor) {
    reactor.turn(Some(Duration::ZERO)).unwrap();
}

/// Counts its polls; wakes itself in each.
async fn restless(polls: Rc<Cell<u32>>) {
    poll_fn(|context| {
        polls.set(polls.get() + 1);
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[test]
fn a_task_that_wakes_itself_is_polled_once_a_turn() {
    let (reactor, polls) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    drop(reactor.spawn(restless(polls.clone())));
    for count in 1..4 {
        turn(&reactor);
        assert_eq!(polls.get(), count);
    }
}

#[test]
fn a_task_that_yields_goes_on_in_the_next_turn() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (clock, log) = (reactor.clone(), notes.clone());
    drop(reactor.spawn(async move {
        log.borrow_mut().push("first");
        clock.yield_now().await;
        log.borrow_mut().push("second");
    }));
    turn(&reactor);
    assert_eq!(*notes.borrow(), ["first"]);
    turn(&reactor);
    assert_eq!(*notes.borrow(), ["first", "second"]);
}

#[test]
fn a_task_woken_by_another_is_polled_in_the_same_turn() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let (trigger, bell) = Deferred::<()>::new();
    let log = notes.clone();
    drop(reactor.spawn(async move {
        let rang = bell.await;
        log.borrow_mut().push("woken");
        rang
    }));
    drop(reactor.spawn(async move { Ok(trigger.callback(())?) }));
    turn(&reactor);
    assert_eq!(*notes.borrow(), ["woken"]);
}

/// Two that wake each other without end.
#[test]
fn tasks_that_wake_each_other_let_the_turn_end() {
    let (reactor, polls) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    let wakers: Rc<RefCell<[Option<Waker>; 2]>> = Rc::default();
    for me in 0..2 {
        let (wakers, polls) = (wakers.clone(), polls.clone());
        drop(reactor.spawn(poll_fn(move |context| -> Poll<()> {
            polls.set(polls.get() + 1);
            wakers.borrow_mut()[me] = Some(context.waker().clone());
            let other = wakers.borrow()[1 - me].clone();
            other.into_iter().for_each(Waker::wake);
            Poll::Pending
        })));
    }
    turn(&reactor);
    let first = polls.get();
    assert!(first > 2, "they should meet more than once a turn");
    turn(&reactor);
    assert_eq!(polls.get(), 2 * first);
}

#[test]
fn a_cancelled_task_drops_its_future_before_its_deferred_fails() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let noted = Noted(notes.clone(), "dropped");
    let task = reactor.spawn(async move {
        let _noted = noted;
        pending::<Result>().await
    });
    let log = notes.clone();
    let chain = task.add_both(move |result: Result| {
        assert!(result.unwrap_err().is::<Cancelled>());
        log.borrow_mut().push("failed");
    });
    turn(&reactor);
    chain.cancel();
    assert_eq!(*notes.borrow(), ["dropped", "failed"]);
    turn(&reactor);
    assert_eq!(notes.borrow().len(), 2);
}

#[test]
fn a_task_that_cancels_itself_is_dropped_when_its_poll_returns() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let own: Rc<RefCell<Option<Deferred<()>>>> = Rc::default();
    let (noted, mine, log) = (Noted(notes.clone(), "dropped"), own.clone(), notes.clone());
    let task = reactor.spawn(async move {
        let _noted = noted;
        let task = mine.take().unwrap();
        task.cancel();
        log.borrow_mut().push("cancelled");
        drop(task.add_errback(|failure| {
            failure.trap::<Cancelled>()?;
            Ok(())
        }));
        pending::<Result>().await
    });
    own.replace(Some(task));
    turn(&reactor);
    assert_eq!(*notes.borrow(), ["cancelled", "dropped"]);
}

#[test]
fn a_task_that_is_done_cannot_be_cancelled() {
    let reactor = Reactor::new().unwrap();
    let task = reactor.spawn(async { Ok(7) });
    turn(&reactor);
    task.cancel();
    let outcome = reactor.run_until(task);
    assert_eq!(outcome.unwrap(), 7);
}

#[test]
fn a_dropped_reactor_fails_the_deferreds_of_its_tasks() {
    let reactor = Reactor::new().unwrap();
    let never = Rc::new(Cell::new(false));
    let seen = never.clone();
    let task = reactor.spawn(pending::<Result>());
    drop(task.add_both(move |result: Result| {
        seen.set(result.unwrap_err().is::<ReactorGone>());
    }));
    drop(reactor);
    assert!(never.get());
}

#[test]
fn a_panic_in_a_task_is_its_failure_and_nobody_elses() {
    let reports = Rc::new(Cell::new(0));
    let heard = reports.clone();
    on_report(move |_| heard.set(heard.get() + 1));
    let reactor = Reactor::new().unwrap();
    let bad = reactor.spawn(async {
        if true {
            panic!("on purpose")
        }
    });
    let good = reactor.spawn(async { Ok(7) });
    assert_eq!(reactor.run_until(good).unwrap(), 7);
    assert!(reactor.run_until(bad).unwrap_err().to_string().contains("on purpose"));
    assert_eq!(reports.get(), 0);
}

/// A task that gave its waker away and is done; another has taken its slot.
#[test]
fn a_waker_that_outlives_its_task_ends_nobody_elses_wait() {
    let reactor = Reactor::new().unwrap();
    let former = reactor.spawn(poll_fn(|context| Poll::Ready(Ok(context.waker().clone()))));
    let former = reactor.run_until(former).unwrap();
    let (trigger, bell) = Deferred::<u32>::new();
    let polls = Rc::new(Cell::new(0));
    let count = polls.clone();
    let mut bell = Box::pin(bell);
    let task = reactor.spawn(poll_fn(move |context| {
        count.set(count.get() + 1);
        bell.as_mut().poll(context)
    }));
    turn(&reactor);
    former.wake();
    turn(&reactor);
    assert!(polls.get() <= 2, "woken once, it was polled {} times", polls.get());
    trigger.callback(7).unwrap();
    assert_eq!(reactor.run_until(task).unwrap(), 7);
}

#[test]
fn a_task_goes_to_the_end_of_the_queue_though_one_before_it_was_cancelled() {
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let note = |name| {
        let log = notes.clone();
        reactor.spawn(async move { log.borrow_mut().push(name) })
    };
    let cancelled = note("cancelled");
    drop(note("first"));
    cancelled.cancel();
    drop(cancelled.add_errback(|_cancelled| ()));
    drop(note("second"));
    turn(&reactor);
    assert_eq!(*notes.borrow(), ["first", "second"]);
    assert_eq!(reactor.inner().tasks.len(), 0);
}

/// Each takes the slot of the one before, whose Deferred is still held.
#[test]
fn tasks_of_one_kind_have_results_of_their_own() {
    let reactor = Reactor::new().unwrap();
    let begin = |n: u32| {
        let (trigger, bell) = Deferred::<()>::new();
        let task = reactor.spawn(async move {
            assert_ne!(n, 2, "on purpose");
            bell.await.map(|()| n)
        });
        turn(&reactor);
        (trigger, task)
    };
    let ended: Vec<_> = (0..5)
        .map(|n| {
            let (trigger, task) = begin(n);
            if n == 1 {
                task.cancel();
            }
            let _ = trigger.callback(());
            turn(&reactor);
            assert_eq!(reactor.inner().tasks.len(), 0);
            task
        })
        .collect();
    let results: Vec<_> =
        ended.into_iter().map(|task| reactor.run_until(task).map_err(|f| f.to_string())).collect();
    let values: Vec<_> = results.iter().map(|result| result.clone().ok()).collect();
    assert_eq!(values, [Some(0), None, None, Some(3), Some(4)]);
    assert_eq!(results[1], Err(Cancelled.to_string()));
    assert!(results[2].as_ref().unwrap_err().contains("on purpose"));
}
