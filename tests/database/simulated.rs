//! In a simulation: virtual time, and the order of the seed.

use crate::fake::Fake;
use futures_util::FutureExt;
use futures_util::future::join_all;
use ropewalk::database::{ConnectionPool, PoolLimits};
use ropewalk::simulation::Simulation;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn simulated(seed: u64) -> (Simulation, Fake, ConnectionPool<Fake>) {
    let (simulation, fake) = (Simulation::new(seed), Fake::default());
    let pool = ConnectionPool::new(&simulation.host("any").reactor(), fake.clone());
    (simulation, fake, pool)
}

/// The order in which twenty calls were made and told, for one seed.
fn order(seed: u64) -> (Vec<String>, Vec<u32>) {
    let (simulation, fake, pool) = simulated(seed);
    let told = Rc::new(RefCell::new(Vec::new()));
    let calls = (0..20).map(|number| {
        let (fake, told) = (fake.clone(), told.clone());
        let call = pool.run_interaction(move |_| {
            fake.note(format!("call {number}"));
            Ok(())
        });
        call.map(move |()| told.borrow_mut().push(number))
    });
    let all = join_all(calls.collect::<Vec<_>>());
    simulation
        .run_until(async move {
            all.await;
            Ok(())
        })
        .unwrap();
    let told = told.take();
    (fake.notes(), told)
}

#[test]
fn calls_are_made_in_the_order_of_the_seed() {
    let orders: HashSet<_> = (0..20).map(|seed| order(seed).1).collect();
    assert!(orders.len() > 10, "{} orders of 20 seeds", orders.len());
    for seed in 0..20 {
        assert_eq!(order(seed), order(seed));
    }
}

#[test]
fn a_connection_that_was_idle_for_a_minute_is_tried_before_it_is_used_and_replaced_if_dead() {
    let (simulation, fake, pool) = simulated(1);
    let call = |pause: Duration| {
        simulation.run_for(pause).unwrap();
        let before = fake.notes().len();
        simulation.run_until(pool.run_interaction(|_| Ok(()))).unwrap();
        fake.notes()[before..].join(", ")
    };
    assert_eq!(call(Duration::ZERO), "connect 1, begin 1, commit 1");
    assert_eq!(call(MINUTE - Duration::from_secs(1)), "begin 1, commit 1");
    assert_eq!(call(MINUTE), "check 1, begin 1, commit 1");
    fake.fail("check", crate::fake::FakeError::Plain("dead"));
    assert_eq!(call(MINUTE), "check 1, drop 1, connect 2, begin 2, commit 2");
}

#[test]
fn connections_beyond_the_fewest_are_closed_when_nobody_needed_them_for_a_minute() {
    let (simulation, _fake, pool) = simulated(1);
    let calls = (0..5).map(|_| pool.run_interaction(|_| Ok(())));
    let all = join_all(calls.collect::<Vec<_>>());
    simulation.run_until(all.map(|_| Ok(()))).unwrap();
    assert_eq!(pool.connections(), 5);
    simulation.run_for(MINUTE - Duration::from_secs(1)).unwrap();
    assert_eq!(pool.connections(), 5);
    simulation.run_for(MINUTE).unwrap();
    assert_eq!(pool.connections(), PoolLimits::default().fewest);
}

#[test]
fn attempts_wait_for_longer_and_longer_by_the_reactors_clock() {
    let (simulation, fake, pool) = simulated(1);
    (0..6).for_each(|_| fake.fail("commit", crate::fake::FakeError::Busy));
    simulation.run_until(pool.run_interaction_retrying(7, |_| Ok(()))).unwrap();
    // Between half and all of 10 + 20 + 40 + 80 + 160 + 320 ms, and the threads' own time.
    let milliseconds = simulation.time().as_millis();
    assert!((315..=640).contains(&milliseconds), "{milliseconds} ms");
}
