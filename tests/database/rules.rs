//! The rules, one test each.

use crate::fake::{Fake, FakeConnection, FakeError};
use crate::kit::{hear_reports, until};
use ropewalk::database::{
    ConnectError, ConnectionPool, Noisy, PoolClosed, PoolFull, PoolLimits, PoolTimedOut,
    Transaction,
};
use ropewalk::deferred::Cancelled;
use ropewalk::{Deferred, Failure, Panicked, Reactor, Result};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

pub(crate) type Pool = ConnectionPool<Fake>;

/// A pool of at most so many connections.
pub(crate) fn pool_of(most: usize) -> (Reactor, Fake, Pool) {
    let (reactor, fake) = (Reactor::new().unwrap(), Fake::default());
    let limits = PoolLimits { most, ..PoolLimits::default() };
    let pool = ConnectionPool::with_limits(&reactor, fake.clone(), limits);
    (reactor, fake, pool)
}

/// An interaction that has its connection and keeps it until it is told; the first end hears that it has.
pub(crate) fn holding(pool: &Pool) -> (Deferred<()>, Receiver<()>, Sender<()>) {
    let ((begun, has_begun), (go_on, may_go_on)) = (channel(), channel());
    let call = pool.run_interaction(move |_| {
        begun.send(())?;
        Ok(may_go_on.recv()?)
    });
    (call, has_begun, go_on)
}

/// What the pool's next call is given, by number.
#[track_caller]
pub(crate) fn next_connection(reactor: &Reactor, pool: &Pool) -> u32 {
    reactor.run_until(pool.run_with_connection(|connection| Ok(connection.number))).unwrap()
}

#[track_caller]
fn expect_full(pool: &Pool, connections: usize) {
    assert_eq!((pool.connections(), pool.idle()), (connections, connections));
}

#[test]
fn an_interaction_begins_is_done_and_commits_on_one_connection() {
    let (reactor, fake, pool) = pool_of(5);
    let number = pool.run_interaction(|transaction| Ok(transaction.number));
    assert_eq!(reactor.run_until(number).unwrap(), 1);
    fake.expect(&["connect 1", "begin 1", "commit 1"]);
    expect_full(&pool, 1);
}

#[test]
fn with_a_connection_nothing_is_begun_and_what_is_open_is_committed() {
    let (reactor, fake, pool) = pool_of(5);
    reactor.run_until(pool.run_with_connection(|_| Ok(()))).unwrap();
    let failed = pool.run_with_connection(|_| Err::<(), _>(FakeError::Plain("no").into()));
    reactor.run_until(failed).unwrap_err();
    fake.expect(&["connect 1", "commit 1", "rollback 1"]);
}

#[test]
fn no_more_connections_are_opened_than_the_most_and_none_before_it_is_needed() {
    let (reactor, fake, pool) = pool_of(5);
    fake.expect(&[]);
    let (calls, begun, go_on) = held_calls(&pool, 20);
    until(&reactor, "five run", || begun.try_iter().count() > 0 && pool.waiting() == 15);
    go_on.iter().for_each(|go_on| go_on.send(()).unwrap());
    calls.into_iter().for_each(|call| reactor.run_until(call).unwrap());
    let opened = fake.notes().iter().filter(|note| note.starts_with("connect")).count();
    assert_eq!(opened, 5);
    expect_full(&pool, 5);
}

fn held_calls(pool: &Pool, count: usize) -> (Vec<Deferred<()>>, Receiver<usize>, Vec<Sender<()>>) {
    let ((begun, has_begun), mut calls, mut gates) = (channel(), Vec::new(), Vec::new());
    for number in 0..count {
        let (begun, (go_on, may_go_on)) = (begun.clone(), channel());
        gates.push(go_on);
        calls.push(pool.run_interaction(move |_: &mut Transaction<'_, Fake>| {
            begun.send(number)?;
            Ok(may_go_on.recv()?)
        }));
    }
    (calls, has_begun, gates)
}

#[test]
fn twisteds_numbers_and_our_bounds_are_the_defaults() {
    let limits = PoolLimits::default();
    assert_eq!((limits.fewest, limits.most, limits.most_waiting), (3, 5, 10_000));
    assert_eq!((limits.wait, limits.idle), (Duration::from_secs(30), Duration::from_secs(60)));
}

#[test]
fn those_who_wait_are_served_in_order_of_their_calls_and_the_10_001st_is_refused() {
    let (reactor, _fake, pool) = pool_of(1);
    let (first, begun, go_on) = holding(&pool);
    begun.recv().unwrap();
    let served = Rc::new(RefCell::new(Vec::new()));
    for number in 0..10_000 {
        let served = served.clone();
        pool.run_with_connection(|_| Ok(())).map(move |()| served.borrow_mut().push(number));
    }
    assert_eq!(pool.waiting(), 10_000);
    let line = line!() + 1;
    let refused = reactor.run_until(pool.run_with_connection(|_| Ok(()))).unwrap_err();
    assert!(refused.is::<PoolFull>());
    assert_eq!(refused.location().unwrap().line(), line);
    assert!(refused.to_string().starts_with("10000 calls wait"), "{refused}");
    go_on.send(()).unwrap();
    reactor.run_until(first).unwrap();
    until(&reactor, "all are served", || served.borrow().len() == 10_000);
    assert!(served.borrow().is_sorted());
    expect_full(&pool, 1);
}

#[test]
fn who_waits_too_long_for_a_connection_is_told_and_the_pool_goes_on() {
    let (reactor, fake) = (Reactor::new().unwrap(), Fake::default());
    let limits = PoolLimits { most: 1, wait: Duration::from_millis(1), ..PoolLimits::default() };
    let pool = ConnectionPool::with_limits(&reactor, fake.clone(), limits);
    let (first, begun, go_on) = holding(&pool);
    begun.recv().unwrap();
    let line = line!() + 1;
    let late = reactor.run_until(pool.run_with_connection(|_| Ok(()))).unwrap_err();
    assert!(late.is::<PoolTimedOut>());
    assert_eq!(late.location().unwrap().line(), line);
    assert_eq!(
        late.to_string(),
        "none of the 1 connections of the database pool became free within 1ms"
    );
    go_on.send(()).unwrap();
    reactor.run_until(first).unwrap();
    assert_eq!(next_connection(&reactor, &pool), 1);
    expect_full(&pool, 1);
}

#[test]
fn the_first_error_is_the_error_and_its_line_the_users() {
    let (reactor, fake, pool) = pool_of(5);
    fake.fail("begin", FakeError::Plain("first"));
    let line = line!() + 1;
    let failure = reactor.run_until(pool.run_interaction(|_| Ok(()))).unwrap_err();
    assert_eq!(failure.check(), Some(&FakeError::Plain("first")));
    assert_eq!(failure.location().unwrap().line(), line);
    assert!(failure.attached().is_none());
    fake.expect(&["connect 1", "begin 1", "rollback 1"]);
    expect_full(&pool, 1);
}

#[test]
fn a_rollback_that_fails_is_attached_to_the_first_error_and_ends_the_connection() {
    let (reactor, fake, pool) = pool_of(5);
    fake.fail("rollback", FakeError::Plain("second"));
    let failing = pool.run_interaction(|_| Err::<(), _>(FakeError::Plain("first").into()));
    let failure = reactor.run_until(failing).unwrap_err();
    assert_eq!(failure.check(), Some(&FakeError::Plain("first")));
    assert_eq!(failure.attached().unwrap().check(), Some(&FakeError::Plain("second")));
    assert!(format!("{failure:?}").contains("and then: Plain(\"second\")"));
    fake.expect(&["connect 1", "begin 1", "rollback 1", "drop 1"]);
    expect_full(&pool, 0);
    assert_eq!(next_connection(&reactor, &pool), 2);
}

#[test]
fn a_commit_that_fails_is_rolled_back_and_told() {
    let (reactor, fake, pool) = pool_of(5);
    fake.fail("commit", FakeError::Plain("disk"));
    let failure = reactor.run_until(pool.run_interaction(|_| Ok(()))).unwrap_err();
    assert_eq!(failure.check(), Some(&FakeError::Plain("disk")));
    fake.expect(&["connect 1", "begin 1", "commit 1", "rollback 1"]);
    expect_full(&pool, 1);
}

#[test]
fn a_connection_that_dies_in_begin_in_work_or_inside_commit_is_thrown_away_and_replaced() {
    let die = |step: &'static str| {
        let (reactor, fake, pool) = pool_of(1);
        fake.fail(step, FakeError::Broken);
        let failure = reactor
            .run_until(pool.run_interaction(move |_| match step {
                "work" => Err(FakeError::Broken.into()),
                _ => Ok(()),
            }))
            .unwrap_err();
        assert_eq!(failure.check(), Some(&FakeError::Broken), "{step}");
        assert!(!fake.notes().iter().any(|note| note.starts_with("rollback")), "{step}");
        assert_eq!(fake.notes().last().unwrap(), "drop 1");
        assert_eq!(next_connection(&reactor, &pool), 2);
        expect_full(&pool, 1);
    };
    ["begin", "work", "commit"].into_iter().for_each(die);
}

#[test]
fn an_error_that_says_in_its_sources_that_the_connection_is_broken_ends_it_too() {
    #[derive(Debug)]
    struct Own(FakeError);
    impl std::fmt::Display for Own {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("own")
        }
    }
    impl std::error::Error for Own {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let (reactor, fake, pool) = pool_of(1);
    let failing = pool.run_interaction(|_| Err::<(), _>(Own(FakeError::Broken).into()));
    assert!(reactor.run_until(failing).unwrap_err().is::<Own>());
    fake.expect(&["connect 1", "begin 1", "drop 1"]);
}

#[test]
fn a_database_that_cannot_be_connected_to_is_named_and_costs_no_permit() {
    let (reactor, fake, pool) = pool_of(1);
    for _ in 0..3 {
        fake.fail("connect", FakeError::Plain("refused"));
        let failure = reactor.run_until(pool.run_interaction(|_| Ok(()))).unwrap_err();
        assert!(failure.is::<ConnectError>());
        assert_eq!(failure.to_string(), "cannot connect to a fake");
        assert!(failure.chain().any(|error| error.to_string() == "Plain(\"refused\")"));
    }
    assert_eq!(next_connection(&reactor, &pool), 4);
}

#[test]
fn a_panic_in_an_interaction_rolls_back_and_is_that_calls_failure() {
    let (reactor, fake, pool) = pool_of(1);
    let line = line!() + 1;
    let call = pool.run_interaction(|_| -> Result { panic!("on purpose") });
    let failure = reactor.run_until(call).unwrap_err();
    assert_eq!(failure.check::<Panicked>().unwrap().message(), "on purpose");
    assert_eq!(failure.location().unwrap().line(), line);
    fake.expect(&["connect 1", "begin 1", "rollback 1"]);
    assert_eq!(next_connection(&reactor, &pool), 1);
}

#[test]
fn a_panic_of_the_databases_own_costs_its_connection_and_no_permit() {
    for step in ["connect", "begin", "commit", "rollback", "check"] {
        let (reactor, fake) = (Reactor::new().unwrap(), Fake::default());
        let limits = PoolLimits { most: 1, idle: Duration::ZERO, ..PoolLimits::default() };
        let pool = ConnectionPool::with_limits(&reactor, fake.clone(), limits);
        if step == "check" {
            next_connection(&reactor, &pool);
        }
        fake.panic_in(step);
        let call = pool.run_interaction(move |_| match step {
            "rollback" => Err::<(), _>(Failure::msg("back")),
            _ => Ok(()),
        });
        let failure = reactor.run_until(call).unwrap_err();
        assert!(failure.is::<Panicked>(), "{step}: {failure}");
        assert_eq!((pool.connections(), pool.idle()), (0, 0), "{step}");
        assert_eq!(next_connection(&reactor, &pool), 2, "{step}");
    }
}

#[test]
fn a_cancelled_call_is_interrupted_rolled_back_and_only_then_gives_its_connection_back() {
    let (reactor, fake, pool) = pool_of(1);
    let (begun, has_begun) = channel();
    let running = pool.run_interaction(move |transaction: &mut Transaction<'_, Fake>| -> Result {
        begun.send(())?;
        while !transaction.is_interrupted.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        assert!(transaction.is_cancelled());
        Err(FakeError::Plain("interrupted").into())
    });
    has_begun.recv().unwrap();
    let (rolling_back, go_on) = fake.hold("rollback");
    let next = pool.run_with_connection(|connection: &mut FakeConnection| Ok(connection.number));
    running.cancel();
    assert!(reactor.run_until(running).unwrap_err().is::<Cancelled>(), "at once");
    rolling_back.recv().unwrap();
    assert_eq!((pool.waiting(), pool.idle()), (1, 0), "not before it is rolled back");
    go_on.send(()).unwrap();
    assert_eq!(reactor.run_until(next).unwrap(), 1);
    fake.expect(&["connect 1", "begin 1", "interrupt 1", "rollback 1", "commit 1"]);
    expect_full(&pool, 1);
}

#[test]
fn work_that_did_not_hear_of_its_cancellation_is_not_committed() {
    let (reactor, fake, pool) = pool_of(1);
    let (running, begun, go_on) = holding(&pool);
    begun.recv().unwrap();
    running.cancel();
    go_on.send(()).unwrap();
    assert_eq!(next_connection(&reactor, &pool), 1);
    fake.expect(&["connect 1", "begin 1", "interrupt 1", "rollback 1", "commit 1"]);
}

#[test]
fn a_cancellation_during_the_commit_is_too_late_and_does_not_cut_it_short() {
    let (reactor, fake, pool) = pool_of(1);
    let (committing, go_on) = fake.hold("commit");
    let call = pool.run_interaction(|_| Ok(()));
    committing.recv().unwrap();
    call.cancel();
    go_on.send(()).unwrap();
    assert_eq!(next_connection(&reactor, &pool), 1);
    fake.expect(&["connect 1", "begin 1", "commit 1", "commit 1"]);
}

#[test]
fn a_call_that_is_cancelled_while_it_connects_is_never_begun() {
    let (reactor, fake, pool) = pool_of(1);
    let (connecting, go_on) = fake.hold("connect");
    let call = pool.run_interaction(|_| Ok(()));
    connecting.recv().unwrap();
    call.cancel();
    go_on.send(()).unwrap();
    assert_eq!(next_connection(&reactor, &pool), 1);
    fake.expect(&["connect 1", "rollback 1", "commit 1"]);
}

#[test]
fn a_call_that_is_cancelled_while_it_waits_is_never_made() {
    let (reactor, fake, pool) = pool_of(1);
    let (first, begun, go_on) = holding(&pool);
    begun.recv().unwrap();
    let waiting = pool.run_interaction(|_| Ok(()));
    waiting.cancel();
    assert_eq!(pool.waiting(), 0);
    assert!(reactor.run_until(waiting).unwrap_err().is::<Cancelled>());
    go_on.send(()).unwrap();
    reactor.run_until(first).unwrap();
    fake.expect(&["connect 1", "begin 1", "commit 1"]);
    expect_full(&pool, 1);
}

#[test]
fn a_call_that_is_cancelled_while_no_thread_has_it_gives_its_connection_back_at_once() {
    let (reactor, fake, pool) = pool_of(1);
    assert_eq!(next_connection(&reactor, &pool), 1);
    reactor.suggest_thread_pool_size(1);
    let (go_on, may_go_on) = channel::<()>();
    let other = reactor.defer_to_thread(move || Ok(may_go_on.recv()?));
    let queued = pool.run_interaction(|_| Ok(()));
    assert_eq!(pool.idle(), 0);
    queued.cancel();
    assert_eq!(pool.idle(), 1);
    go_on.send(()).unwrap();
    reactor.run_until(other).unwrap();
    assert_eq!(next_connection(&reactor, &pool), 1);
    fake.expect(&["connect 1", "commit 1", "commit 1"]);
}

#[test]
fn a_future_that_is_dropped_cancels_its_call() {
    let (reactor, fake, pool) = pool_of(1);
    let (begun, has_begun) = channel();
    let running = pool.run_interaction(move |transaction: &mut Transaction<'_, Fake>| -> Result {
        begun.send(())?;
        while !transaction.is_interrupted.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Err(FakeError::Plain("interrupted").into())
    });
    let late = reactor.timeout(Duration::from_millis(1), running);
    reactor.run_until(async move { Ok(late.await.unwrap_err()) }).unwrap();
    has_begun.recv().unwrap();
    assert_eq!(next_connection(&reactor, &pool), 1);
    let notes = fake.notes();
    assert!(notes.contains(&"interrupt 1".into()) && notes.contains(&"rollback 1".into()));
}

#[test]
fn a_call_whose_deferred_is_dropped_unasked_is_made() {
    let (reactor, fake, pool) = pool_of(1);
    drop(pool.run_interaction(|_| Ok(())));
    next_connection(&reactor, &pool);
    fake.expect(&["connect 1", "begin 1", "commit 1", "commit 1"]);
}

#[test]
fn close_waits_for_what_was_taken_refuses_what_comes_and_closes_the_connections() {
    let (reactor, fake, pool) = pool_of(1);
    let (running, begun, go_on) = holding(&pool);
    begun.recv().unwrap();
    let waiting = pool.run_with_connection(|_| Ok(()));
    let closed = Rc::new(RefCell::new(false));
    let mark = closed.clone();
    let closing = pool.close().map(move |()| *mark.borrow_mut() = true);
    let also = pool.close();
    let line = line!() + 1;
    let refused = reactor.run_until(pool.run_interaction(|_| Ok(()))).unwrap_err();
    assert!(refused.is::<PoolClosed>());
    assert_eq!(refused.location().unwrap().line(), line);
    assert!(!*closed.borrow());
    go_on.send(()).unwrap();
    reactor.run_until(running).unwrap();
    reactor.run_until(waiting).unwrap();
    reactor.run_until(closing).unwrap();
    fake.expect(&["connect 1", "begin 1", "commit 1", "commit 1", "drop 1"]);
    reactor.run_until(also).unwrap();
    reactor.run_until(pool.close()).unwrap();
    expect_full(&pool, 0);
}

#[test]
fn serialization_failures_are_tried_again_and_nothing_else_is() {
    let attempts = |errors: &[FakeError], attempts| {
        let (reactor, fake, pool) = pool_of(1);
        errors.iter().for_each(|error| fake.fail("commit", error.clone()));
        let result = reactor.run_until(pool.run_interaction_retrying(attempts, |_| Ok(())));
        let begun = fake.notes().iter().filter(|note| note.starts_with("begin")).count();
        expect_full(&pool, 1);
        (begun, result.map_err(|failure| failure.check::<FakeError>().unwrap().clone()))
    };
    let (busy, plain) = (FakeError::Busy, FakeError::Plain("no"));
    assert_eq!(attempts(&[], 3), (1, Ok(())));
    assert_eq!(attempts(&[busy.clone(), busy.clone()], 3), (3, Ok(())));
    assert_eq!(attempts(&[busy.clone(), busy.clone()], 2), (2, Err(busy.clone())));
    assert_eq!(attempts(&[busy.clone(), plain.clone()], 9), (2, Err(plain)));
    assert_eq!(attempts(std::slice::from_ref(&busy), 0), (1, Err(busy.clone())));
}

#[test]
fn close_waits_for_an_interaction_that_is_tried_again() {
    let (reactor, fake, pool) = pool_of(1);
    fake.fail("commit", FakeError::Busy);
    let trying = pool.run_interaction_retrying(2, |_| Ok(()));
    until(&reactor, "it failed once", || fake.notes().contains(&"rollback 1".into()));
    let closing = pool.close();
    reactor.run_until(closing).unwrap();
    reactor.run_until(trying).unwrap();
    let begins = fake.notes().iter().filter(|note| *note == "begin 1").count();
    assert_eq!(begins, 2);
}

#[test]
fn what_a_pool_tells_depends_on_how_noisy_it_is() {
    let told = |level| {
        let heard = hear_reports();
        let (reactor, fake, pool) = pool_of(1);
        pool.noisy(level);
        // A failing call, then a cancelled one whose rollback fails too.
        let failing = pool.run_interaction(|_| Err::<(), _>(Failure::msg("first")));
        reactor.run_until(failing).unwrap_err();
        fake.fail("rollback", FakeError::Plain("second"));
        let (running, begun, go_on) = holding(&pool);
        begun.recv().unwrap();
        running.cancel();
        go_on.send(()).unwrap();
        until(&reactor, "it is thrown away", || pool.connections() == 0);
        reactor.run_until(pool.close()).unwrap();
        let text = |note: String| note.split(", arose").next().unwrap().to_owned();
        heard.all().into_iter().map(text).collect::<Vec<_>>()
    };
    let [opened, failed, lost, ended] = [
        "database pool: opened a connection to a fake",
        "database pool: a call failed: first",
        "database pool: threw a connection away: Plain(\"second\")",
        "database pool: a call failed: cancelled",
    ];
    assert_eq!(told(Noisy::Silent), [""; 0]);
    assert_eq!(told(Noisy::Losses), [lost]);
    assert_eq!(told(Noisy::Connections), [opened, lost]);
    let all = told(Noisy::Calls);
    assert_eq!(all[..3], [opened, failed, lost]);
    assert!(all[3].starts_with(ended.split(':').next().unwrap()) && all.len() == 4, "{all:?}");
}
