//! Rows in batches, with back-pressure.

use crate::kit::until;
use futures_util::{StreamExt, TryStreamExt};
use ropewalk::database::sqlite::{self, Sqlite};
use ropewalk::database::{ConnectionPool, Rows};
use ropewalk::reactor::ReactorGone;
use ropewalk::{Deferred, Failure, Reactor, Trigger};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const MANY: &str = "with recursive n(n) as (select 1 union all select n + 1 from n where n < ?1) \
                    select n from n";

type Pool = ConnectionPool<Sqlite>;

fn memory() -> (Reactor, Pool) {
    let reactor = Reactor::new().unwrap();
    let pool = ConnectionPool::new(&reactor, sqlite::in_memory());
    (reactor, pool)
}

/// The numbers up to `last`, and how many of them the query has come to.
fn counted(pool: &Pool, last: u32, batch: usize) -> (Rows<u32>, Arc<AtomicU32>) {
    let seen = Arc::new(AtomicU32::new(0));
    let mark = seen.clone();
    let rows = pool.stream_query_map(MANY, (last,), batch, move |row| {
        mark.fetch_add(1, Ordering::SeqCst);
        Ok(row.get(0)?)
    });
    (rows, seen)
}

#[test]
fn rows_come_in_order_in_batches_of_the_size_and_the_rest() {
    let (reactor, pool) = memory();
    for (last, size, sizes) in [
        (10, 4, &[4, 4, 2][..]),
        (8, 4, &[4, 4]),
        (3, 1, &[1, 1, 1]),
        (2, 0, &[1, 1]),
        (1, 9, &[1]),
    ] {
        let batches = counted(&pool, last, size).0.try_collect::<Vec<_>>();
        let batches = reactor.run_until(batches).unwrap();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        assert_eq!(batches.concat(), (1..=last).collect::<Vec<_>>());
    }
    let mut none = pool.stream_query::<(u32,), _>("select 1 where 0", (), 10);
    assert!(reactor.run_until(async move { Ok(none.next().await.is_none()) }).unwrap());
}

#[test]
fn the_query_waits_while_two_batches_are_not_taken() {
    let (reactor, pool) = memory();
    let (mut rows, seen) = counted(&pool, 1_000_000, 10);
    let first = reactor.run_until(async move { Ok((rows.next().await.unwrap()?, rows)) });
    let (first, rows) = first.unwrap();
    assert_eq!(first, (1..=10).collect::<Vec<_>>());
    // One batch was taken, two wait, and one waits to be put.
    until(&reactor, "it comes to the bound", || seen.load(Ordering::SeqCst) == 40);
    for _ in 0..200 {
        // Others go on meanwhile, and it does not.
        let other: Vec<(u32,)> = reactor.run_until(pool.run_query("select 1", ())).unwrap();
        assert_eq!(other, [(1,)]);
    }
    assert_eq!(seen.load(Ordering::SeqCst), 40);
    drop(rows);
    until(&reactor, "the connection is back", || pool.connections() == pool.idle());
    assert!(seen.load(Ordering::SeqCst) <= 40);
}

#[test]
fn rows_that_are_dropped_at_any_moment_give_the_connection_back() {
    let (reactor, pool) = memory();
    for taken in 0..20 {
        let (mut rows, _) = counted(&pool, u32::MAX, 3);
        let some = async move {
            for _ in 0..taken {
                rows.next().await.unwrap()?;
            }
            Ok(())
        };
        reactor.run_until(some).unwrap();
        until(&reactor, "the connection is back", || pool.connections() == pool.idle());
    }
    let answer: Vec<(u32,)> = reactor.run_until(pool.run_query("select 7", ())).unwrap();
    assert_eq!(answer, [(7,)]);
}

#[test]
fn a_failure_comes_after_the_batches_before_it_and_ends_the_rows() {
    let (reactor, pool) = memory();
    let mut rows = pool.stream_query_map(MANY, (100,), 2, |row| match row.get::<_, u32>(0)? {
        5 => Err(Failure::msg("five is too much")),
        n => Ok(n),
    });
    let all = reactor.run_until(async move {
        let mut all = Vec::new();
        while let Some(batch) = rows.next().await {
            all.push(batch.map_err(|failure| failure.to_string()));
        }
        Ok(all)
    });
    let expected = [Ok(vec![1, 2]), Ok(vec![3, 4]), Err("five is too much".to_owned())];
    assert_eq!(all.unwrap(), expected);
    let mut rows = pool.stream_query::<(u32,), _>("selekt", (), 2);
    let failure = reactor.run_until(async move { Ok(rows.next().await.unwrap().unwrap_err()) });
    assert!(failure.unwrap().to_string().contains("syntax error"));
}

#[test]
fn callbacks_get_a_batch_when_the_deferred_of_the_one_before_has_fired() {
    let (reactor, pool) = memory();
    let waiting = Rc::new(RefCell::new(Vec::<(Vec<u32>, Trigger<()>)>::new()));
    let list = waiting.clone();
    let all = counted(&pool, 6, 2).0.for_each_batch(&reactor, move |batch| {
        let (trigger, deferred) = Deferred::new();
        list.borrow_mut().push((batch, trigger));
        deferred
    });
    for n in 0..3 {
        until(&reactor, "the next batch", || waiting.borrow().len() == n + 1);
        let (batch, trigger) = waiting.borrow()[n].clone();
        assert_eq!(batch, [2 * n as u32 + 1, 2 * n as u32 + 2]);
        trigger.callback(()).unwrap();
    }
    reactor.run_until(all).unwrap();
}

#[test]
fn a_callback_that_fails_ends_the_rows_with_its_failure() {
    let (reactor, pool) = memory();
    let all = counted(&pool, u32::MAX, 2)
        .0
        .for_each_batch(&reactor, |_| Err::<(), _>(Failure::msg("enough")));
    assert_eq!(reactor.run_until(all).unwrap_err().to_string(), "enough");
    until(&reactor, "the connection is back", || pool.connections() == pool.idle());
}

#[test]
fn rows_that_outlive_their_reactor_say_so_and_let_the_thread_go() {
    let (reactor, pool) = memory();
    let (mut rows, seen) = counted(&pool, u32::MAX, 10);
    until(&reactor, "it comes to the bound", || seen.load(Ordering::SeqCst) == 30);
    drop(reactor);
    let other = Reactor::new().unwrap();
    let last = other.run_until(async move {
        loop {
            if let Err(failure) = rows.next().await.unwrap() {
                return Ok(failure);
            }
        }
    });
    assert!(last.unwrap().is::<ReactorGone>());
    // Only the thread had the other end.
    while Arc::strong_count(&seen) > 1 {
        std::thread::yield_now();
    }
}

#[cfg(feature = "simulation")]
#[test]
fn in_a_simulation_rows_come_as_well_though_there_is_no_other_thread() {
    let simulation = ropewalk::simulation::Simulation::new(1);
    let pool = ConnectionPool::new(&simulation.host("any").reactor(), sqlite::in_memory());
    let batches = counted(&pool, 1000, 10).0.try_collect::<Vec<_>>();
    let batches = simulation.run_until(batches).unwrap();
    assert_eq!((batches.len(), batches.concat().len()), (100, 1000));
}
