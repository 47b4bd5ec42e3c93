//! What a task asks of its reactor: regular times, addresses of names, chance; and tasks that never end.

#![cfg(feature = "simulation")]
use futures_util::{FutureExt, StreamExt};
use ropewalk::net::ListenError;
use ropewalk::simulation::Simulation;
use ropewalk::{Deferred, Reactor, Result, succeed};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn simulated() -> (Simulation, Reactor) {
    let simulation = Simulation::new(1);
    let reactor = simulation.host("any").reactor();
    (simulation, reactor)
}

/// The ticks in the time, each followed by a sleep of `pause`, as seconds since the start.
fn ticks(period: Duration, pause: Duration, time: Duration) -> Vec<f64> {
    let (simulation, reactor) = simulated();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (clock, log) = (reactor.clone(), seen.clone());
    drop(reactor.spawn(async move {
        let start = clock.now();
        let mut interval = clock.interval(period);
        loop {
            let time = interval.tick().await;
            log.borrow_mut().push(time.duration_since(start).as_secs_f64());
            clock.sleep(pause).await;
        }
    }));
    simulation.run_for(time).expect("nothing fails in it");
    seen.take()
}

#[test]
fn an_interval_ticks_after_each_period() {
    let seen = ticks(SECOND, Duration::ZERO, SECOND * 7 / 2);
    let whole: Vec<_> = seen.iter().map(|time| time.floor()).collect();
    assert_eq!(whole, [1.0, 2.0, 3.0]);
}

#[test]
fn ticks_that_were_missed_are_skipped_and_the_late_one_does_not_move_the_grid() {
    // Asked for again at 3.5 s, 6 s and 8.5 s.
    let seen = ticks(SECOND, SECOND * 5 / 2, SECOND * 9);
    let halves: Vec<_> = seen.iter().map(|time| (time * 2.0).floor() / 2.0).collect();
    assert_eq!(halves, [1.0, 3.5, 6.0, 8.5]);
}

#[test]
fn an_interval_of_no_length_lets_time_pass_and_one_of_all_time_never_ticks() {
    let (simulation, reactor) = simulated();
    let all = reactor.spawn(reactor.interval(Duration::ZERO).take(3).count().map(Ok));
    simulation.run_for(SECOND).unwrap();
    assert_eq!(all.now_or_never().unwrap().unwrap(), 3);
    assert_eq!(ticks(Duration::MAX, Duration::ZERO, SECOND * 1_000_000), [0.0; 0]);
}

#[test]
fn an_interval_ends_with_its_reactor() {
    let reactor = Reactor::new().unwrap();
    let mut interval = reactor.interval(SECOND);
    assert!(interval.next().now_or_never().is_none());
    drop(reactor);
    assert!(interval.next().now_or_never().unwrap().is_none());
}

#[test]
fn a_tick_that_is_dropped_unfinished_is_not_lost() {
    let (simulation, reactor) = simulated();
    let clock = reactor.clone();
    let ticked = reactor.spawn(async move {
        let mut interval = clock.interval(SECOND);
        assert!(clock.timeout(SECOND / 2, interval.tick()).await.is_err());
        let start = clock.now();
        Ok(interval.tick().await.duration_since(start))
    });
    simulation.run_for(SECOND * 2).unwrap();
    assert!(ticked.now_or_never().unwrap().unwrap() <= SECOND / 2);
}

#[test]
fn a_name_is_looked_up_by_the_installed_resolver_and_a_literal_by_nobody() {
    let reactor = Reactor::new().unwrap();
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = asked.clone();
    reactor.install_name_resolver(move |host: &str, port: u16| -> Deferred<Vec<SocketAddr>> {
        log.borrow_mut().push(host.to_owned());
        succeed(vec![([10, 0, 0, 1], port).into()])
    });
    let found = |host: &str| reactor.run_until(reactor.resolve(host, 80)).unwrap();
    assert_eq!(found("db"), ["10.0.0.1:80".parse().unwrap()]);
    assert_eq!(found("127.0.0.1"), ["127.0.0.1:80".parse().unwrap()]);
    assert_eq!(found("::1"), ["[::1]:80".parse().unwrap()]);
    assert_eq!(*asked.borrow(), ["db"]);
}

#[test]
fn a_name_without_an_address_is_a_failure_that_names_it() {
    let reactor = Reactor::new().unwrap();
    reactor.install_name_resolver(|_: &str, _: u16| -> Deferred<Vec<SocketAddr>> {
        succeed(Vec::new())
    });
    let line = line!() + 1;
    let failure = reactor.run_until(reactor.resolve("db", 80)).unwrap_err();
    assert_eq!(failure.to_string(), "the name db has no address: the answer is empty");
    assert_eq!(
        (failure.location().unwrap().file(), failure.location().unwrap().line()),
        (file!(), line)
    );
    let failure = reactor.run_until(reactor.resolve("", 80)).unwrap_err();
    assert!(!failure.to_string().is_empty());
}

#[test]
fn an_installed_resolver_is_asked_for_names_to_listen_at_as_well() {
    let reactor = Reactor::new().unwrap();
    reactor.install_name_resolver(|host: &str, port: u16| match host {
        "here" => succeed(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
        _ => succeed(Vec::new()),
    });
    let port = reactor.serve("here:0", async |_| Ok(())).unwrap();
    assert_eq!(port.host().socket_addr().unwrap().ip().to_string(), "127.0.0.1");
    assert!(reactor.bind_udp(("here", 0)).is_ok());
    let failures = [
        reactor.serve("nowhere:0", async |_| Ok(())).unwrap_err(),
        reactor.bind_udp("nowhere:0").unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(
            failure.to_string(),
            "cannot listen at nowhere:0: the name nowhere has no address: the answer is empty"
        );
    }
}

#[test]
fn a_name_to_listen_at_that_takes_time_is_refused_with_what_to_do() {
    let simulation = Simulation::new(1);
    let [db, _web] = ["db", "web"].map(|name| simulation.host(name).reactor());
    let want = "cannot listen at web:53: the addresses of web are not known at once: look them up with \
                Reactor::resolve, and listen at one of them";
    assert_eq!(db.bind_udp("web:53").unwrap_err().to_string(), want);
    let failure = db.serve("web:53", async |_| Ok(())).unwrap_err();
    assert_eq!(failure.to_string(), want);
    assert_eq!(failure.check::<ListenError>().unwrap().kind(), ErrorKind::WouldBlock);
    let failure = db.bind_udp(":53").unwrap_err();
    assert_eq!(failure.to_string(), "cannot listen at :53: the host is missing");
}

#[test]
fn hosts_of_a_simulation_find_each_other_by_name() {
    let simulation = Simulation::new(1);
    let [db, web] = ["db", "web"].map(|name| simulation.host(name).reactor());
    let port = db.serve("db:80", async |_| Ok(())).unwrap();
    let (found, missing) = (web.resolve("db", 80), web.resolve("nobody", 80));
    simulation.run_for(SECOND).unwrap();
    let found = found.now_or_never().unwrap().unwrap();
    assert_eq!(found, port.host().socket_addr().into_iter().collect::<Vec<_>>());
    let failure = missing.now_or_never().unwrap().unwrap_err();
    assert!(failure.to_string().starts_with("the name nobody has no address"), "{failure}");
}

#[test]
fn chance_is_the_seeds_in_a_simulation_and_nobodys_outside() {
    let draw = |seed: u64| {
        let reactor = Simulation::new(seed).host("any").reactor();
        let bytes: [u8; 13] = reactor.random_bytes();
        ((0..9).map(|_| reactor.random()).collect::<Vec<_>>(), bytes)
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let numbers = draw(7).0;
    assert!(numbers.iter().all(|n| numbers.iter().filter(|m| n == *m).count() == 1));
    let reactor = Reactor::new().unwrap();
    assert_ne!(reactor.random(), reactor.random());
    assert_eq!(reactor.random_bytes::<0>(), []);
    assert_ne!(reactor.random_bytes::<16>(), [0; 16]);
}

#[test]
fn what_never_returns_may_be_spawned_served_and_called_later() -> Result {
    let (simulation, reactor) = simulated();
    let beats = Rc::new(Cell::new(0));
    let (clock, count) = (reactor.clone(), beats.clone());
    let task = reactor.spawn(async move {
        loop {
            clock.sleep(SECOND).await;
            count.set(count.get() + 1);
        }
    });
    let fallible = reactor.spawn(async {
        loop {
            std::future::ready(Err::<(), _>(std::fmt::Error)).await?;
        }
        #[allow(unreachable_code)]
        Ok(())
    });
    reactor.serve("any:80", async |stream| {
        loop {
            stream.reactor().sleep(SECOND).await;
        }
    })?;
    simulation.run_for(SECOND * 7 / 2)?;
    assert_eq!(beats.get(), 3);
    assert!(fallible.now_or_never().unwrap().unwrap_err().is::<std::fmt::Error>());
    task.cancel();
    simulation.run_for(SECOND)?;
    assert_eq!(beats.get(), 3);
    Ok(())
}

#[test]
fn a_task_that_only_panics_is_a_failure() {
    let reactor = Reactor::new().unwrap();
    let task = reactor.spawn(async { panic!("on purpose") });
    assert!(reactor.run_until(task).unwrap_err().is::<ropewalk::Panicked>());
    let later = reactor.call_later(Duration::ZERO, || std::process::exit(1));
    later.cancel().unwrap();
}
