//! The pool or its reactor ends while calls run, wait, or are idle.

use crate::fake::{Fake, FakeError};
use crate::kit::until;
use crate::rules::{holding, next_connection, pool_of};
use ropewalk::Result;
use ropewalk::database::{PoolClosed, Transaction};
use ropewalk::reactor::ReactorGone;
use ropewalk::service::{MultiService, Running};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

#[test]
fn what_was_given_is_done_though_the_pool_was_dropped_and_then_connections_are_closed() {
    let (reactor, fake, pool) = pool_of(1);
    let (running, begun, go_on) = holding(&pool);
    begun.recv().unwrap();
    let waiting = pool.run_interaction(|transaction| Ok(transaction.number));
    drop(pool);
    go_on.send(()).unwrap();
    reactor.run_until(running).unwrap();
    assert_eq!(reactor.run_until(waiting).unwrap(), 1);
    until(&reactor, "the connection is closed", || fake.notes().contains(&"drop 1".into()));
    fake.expect(&["connect 1", "begin 1", "commit 1", "begin 1", "commit 1", "drop 1"]);
}

#[test]
fn a_reactor_that_is_stopped_delivers_what_runs_and_what_waits_and_then_closes_the_pool() {
    let (reactor, fake, pool) = pool_of(1);
    let (running, begun, go_on) = holding(&pool);
    begun.recv().unwrap();
    let done = Rc::new(Cell::new(0));
    let (one, two) = (done.clone(), done.clone());
    running.map(move |()| one.set(one.get() + 1));
    pool.run_interaction(|_| Ok(())).map(move |()| two.set(two.get() + 1));
    let stopper = reactor.clone();
    reactor.call_when_running(move || {
        stopper.stop()?;
        go_on.send(())?;
        Ok(())
    });
    reactor.run().unwrap();
    assert_eq!(done.get(), 2);
    fake.expect(&["connect 1", "begin 1", "commit 1", "begin 1", "commit 1", "drop 1"]);
    let late = reactor.run_until(pool.run_interaction(|_| Ok(()))).unwrap_err();
    assert!(late.is::<PoolClosed>());
    reactor.run_until(pool.close()).unwrap();
}

#[test]
fn what_ends_in_order_may_still_use_the_pool_while_the_reactor_shuts_down() {
    let (reactor, fake, pool) = pool_of(1);
    let last = pool.clone();
    reactor.on_shutdown(move || last.run_interaction(|_| Ok(())));
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop());
    reactor.run().unwrap();
    fake.expect(&["connect 1", "begin 1", "commit 1", "drop 1"]);
}

#[test]
fn a_thread_whose_reactor_was_dropped_is_interrupted_rolls_back_and_closes_its_connection() {
    let (reactor, fake, pool) = pool_of(1);
    let (begun, has_begun) = channel();
    let running = pool.run_interaction(move |transaction: &mut Transaction<'_, Fake>| -> Result {
        begun.send(())?;
        while !transaction.is_interrupted.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Ok(())
    });
    has_begun.recv().unwrap();
    let waiting = pool.run_interaction(|_| Ok(()));
    let gone = Rc::new(Cell::new(0));
    for call in [running, waiting] {
        let gone = gone.clone();
        call.add_errback(move |failure| {
            assert!(failure.is::<ReactorGone>(), "{failure}");
            gone.set(gone.get() + 1);
        });
    }
    drop(reactor);
    assert_eq!(gone.get(), 2);
    while !fake.notes().contains(&"drop 1".into()) {
        std::thread::yield_now();
    }
    fake.expect(&["connect 1", "begin 1", "interrupt 1", "rollback 1", "drop 1"]);
    drop(pool);
}

#[test]
fn a_pool_that_outlives_its_reactor_says_so_and_closes_what_is_idle_when_it_goes() {
    let (reactor, fake, pool) = pool_of(1);
    next_connection(&reactor, &pool);
    drop(reactor);
    let told = Rc::new(Cell::new(false));
    let mark = told.clone();
    pool.run_interaction(|_| Ok(())).add_errback(move |failure| {
        assert!(failure.is::<ReactorGone>(), "{failure}");
        mark.set(true);
    });
    assert!(told.get());
    drop(pool);
    assert_eq!(fake.notes().last().unwrap(), "drop 1");
}

#[test]
fn a_call_of_a_call_has_the_connection_that_the_first_gave_back() {
    let (reactor, fake, pool) = pool_of(1);
    let again = pool.clone();
    let twice = pool.run_interaction(|_| Ok(())).add_callback(move |()| {
        assert_eq!(again.idle(), 1, "before the Deferred fires");
        again.run_interaction(|transaction| Ok(transaction.number))
    });
    assert_eq!(reactor.run_until(twice).unwrap(), 1);
    fake.expect(&["connect 1", "begin 1", "commit 1", "begin 1", "commit 1"]);
}

#[test]
fn as_a_service_it_connects_closes_and_starts_again() {
    let (reactor, fake, pool) = pool_of(1);
    let (running, _root) =
        Running::root(&reactor, MultiService::new("parts").add_service(pool.clone()));
    for number in 1..=2 {
        reactor.run_until(running.start_service()).unwrap();
        assert_eq!(next_connection(&reactor, &pool), number);
        reactor.run_until(running.stop_service()).unwrap();
        let late = reactor.run_until(pool.run_interaction(|_| Ok(()))).unwrap_err();
        assert!(late.is::<PoolClosed>());
        assert_eq!(fake.notes().last().unwrap(), &format!("drop {number}"));
    }
}

#[test]
fn a_service_whose_database_is_not_there_does_not_start() {
    let (reactor, fake, pool) = pool_of(1);
    (0..9).for_each(|_| fake.fail("connect", FakeError::Plain("refused")));
    let (running, _root) = Running::root(&reactor, MultiService::new("parts").add_service(pool));
    let failure = reactor.run_until(running.start_service()).unwrap_err();
    let whole: Vec<_> = failure.chain().map(ToString::to_string).collect();
    assert!(whole.join(": ").contains("cannot connect to a fake"), "{whole:?}");
}
