//! What a reactor shows of itself: counters, a snapshot, slow calls.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use ropewalk::prelude::*;
use ropewalk::reactor::{Counters, SlowCallback, Snapshot, Watch};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// No test waits longer for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

async fn ask(stream: &mut Stream, text: &[u8]) -> Result {
    stream.write_all(text).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    assert_eq!(answer, text);
    Ok(())
}

#[test]
fn an_echo_is_counted_in_bytes_of_both_ways_and_connections() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen("127.0.0.1:0", |_: &Address| Echo).unwrap();
    let (asks, host) = (reactor.clone(), port.host());
    let during = reactor
        .run_until(async move {
            let mut stream = asks.open(&host).await?;
            ask(&mut stream, b"hello").await?;
            Ok(asks.counters())
        })
        .unwrap();
    assert_eq!((during.accepted, during.opened, during.connections()), (1, 2, 2));
    assert_eq!((during.bytes_in, during.bytes_out), (10, 10));
    assert_eq!((during.refused, during.failures_reported), (0, 0));
    assert!(during.turns > 0 && during.callbacks > 2 && during.polls > 1);
}

#[test]
fn a_refused_connection_a_lost_one_and_a_report_are_counted() {
    struct Nobody;
    impl ropewalk::Factory for Nobody {
        type Protocol = Echo;
        fn build_protocol(&mut self, _: &Address) -> Option<Echo> {
            None
        }
    }
    ropewalk::on_report(|_| ());
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen("127.0.0.1:0", Nobody).unwrap();
    let (asks, host) = (reactor.clone(), port.host());
    reactor
        .run_until(async move {
            let mut stream = asks.open(&host).await?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
            drop(ropewalk::fail::<()>(Failure::msg("on purpose")));
            drop(stream);
            // Lost at the end of a turn.
            while asks.counters().lost == 0 {
                asks.yield_now().await;
            }
            Ok(())
        })
        .unwrap();
    let Counters { accepted, refused, failures_reported, .. } = reactor.counters();
    assert_eq!((accepted, refused, failures_reported), (1, 1, 1));
    assert_eq!(reactor.counters().connections(), 0);
}

#[test]
fn timers_and_calls_from_threads_are_counted() {
    let reactor = Reactor::new().unwrap();
    let (stopper, remote) = (reactor.clone(), reactor.remote());
    reactor.call_later(Duration::ZERO, move || {
        remote.call_from_thread(|it| it.stop()).unwrap();
    });
    stopper.call_later(PATIENCE, || ());
    reactor.run().unwrap();
    let counters = reactor.counters();
    assert_eq!((counters.timers_fired, counters.calls_from_threads, counters.timers), (1, 1, 1));
}

#[test]
fn every_counter_is_a_line_that_prometheus_reads() {
    let text = Reactor::new().unwrap().counters().to_string();
    let (comments, numbers): (Vec<_>, Vec<_>) = text.lines().partition(|it| it.starts_with("# "));
    assert_eq!((comments.len(), numbers.len()), (32, 16));
    for line in numbers {
        let (name, number) = line.split_once(' ').unwrap();
        assert!(name.starts_with("ropewalk_") && number.parse::<u64>().is_ok(), "{line}");
    }
}

#[test]
fn a_snapshot_names_tasks_connections_and_timers_with_their_places() {
    let reactor = Reactor::new().unwrap();
    reactor.observe();
    let port = reactor.listen("127.0.0.1:0", |_: &Address| Echo).unwrap();
    let (asks, host) = (reactor.clone(), port.host());
    let (task, timer) = (line!() + 1, line!() + 2);
    drop(reactor.spawn(pending::<Result>()));
    reactor.call_later(PATIENCE, || ());
    let (snapshot, own) = reactor
        .run_until(async move {
            let mut stream = asks.open(&host).await?;
            ask(&mut stream, b"hello").await?;
            Ok((asks.snapshot(), stream.host().to_string()))
        })
        .unwrap();
    let Snapshot { tasks, connections, timers, .. } = snapshot;
    let pending = tasks.iter().find(|it| it.place.is_some_and(|it| it.line() == task)).unwrap();
    assert!((pending.polls, pending.age.is_some()) == (1, true));
    assert!(timers.iter().any(|it| it.place.is_some_and(|it| it.line() == timer)));
    let (served, asked) = (&connections[..], connections.len());
    assert_eq!(asked, 2);
    let echo = served.iter().find(|it| it.peer == own).unwrap();
    assert_eq!((echo.face, echo.state, echo.buffered), ("protocol", "open", 0));
    assert!(echo.age.is_some() && echo.idle.is_some());
    assert!(served.iter().any(|it| it.face == "stream"));
}

#[test]
fn of_many_tasks_a_snapshot_has_the_thousand_oldest() {
    let reactor = Reactor::new().unwrap();
    reactor.observe();
    for _ in 0..1500 {
        drop(reactor.spawn(pending::<Result>()));
    }
    let old = line!() - 2;
    reactor.turn(Some(Duration::ZERO)).unwrap();
    reactor.turn(Some(Duration::ZERO)).unwrap();
    drop(reactor.spawn(pending::<Result>()));
    reactor.turn(Some(Duration::ZERO)).unwrap();
    let tasks = reactor.snapshot().tasks;
    assert_eq!(tasks.len(), Snapshot::LIMIT);
    assert!(tasks.iter().all(|it| it.place.unwrap().line() == old));
    assert_eq!(reactor.counters().tasks, 1501);
}

#[test]
fn a_connection_is_closed_by_its_key_and_told_once() {
    struct Told(Rc<RefCell<Vec<String>>>);
    impl Protocol for Told {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            transport.write(data);
            Ok(())
        }
        fn connection_lost(&mut self, reason: &Failure) {
            self.0.borrow_mut().push(reason.to_string());
        }
    }
    let reactor = Reactor::new().unwrap();
    let told = Rc::<RefCell<Vec<String>>>::default();
    let heard = told.clone();
    let port = reactor.listen("127.0.0.1:0", move |_: &Address| Told(heard.clone())).unwrap();
    let (asks, host) = (reactor.clone(), port.host());
    reactor
        .run_until(async move {
            let mut stream = asks.open(&host).await?;
            ask(&mut stream, b"hello").await?;
            let connections = asks.snapshot().connections;
            let key = connections.iter().find(|it| it.face == "protocol").unwrap().key;
            assert!(asks.close_connection(key));
            assert!(stream.read(&mut [0; 1]).await.is_err(), "it is reset");
            assert!(!asks.close_connection(key), "it is gone");
            Ok(())
        })
        .unwrap();
    assert_eq!(*told.borrow(), ["the connection was aborted here: it was closed on request"]);
}

/// What blocks: says whose it is, and waits until the watch has told of that and of nothing else.
struct Blocker {
    expected: Arc<Mutex<String>>,
    told: mpsc::Receiver<()>,
}

impl Blocker {
    /// A reactor that is watched, and what may block in it.
    fn watched() -> (Reactor, Watch, Blocker) {
        let reactor = Reactor::new().unwrap();
        let expected = Arc::<Mutex<String>>::default();
        let ((tell, told), awaited) = (mpsc::channel(), expected.clone());
        // A loaded machine may be slow at other things too.
        let hook = move |slow: &SlowCallback| {
            if slow.what() == *awaited.lock().unwrap() {
                // Told again when nobody waits any more.
                let _ = tell.send(());
            }
        };
        let watch = reactor.watch(Duration::from_millis(20), hook).unwrap();
        (reactor, watch, Blocker { expected, told })
    }

    fn block(&self, as_whose: String) {
        *self.expected.lock().unwrap() = as_whose;
        self.told.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_delayed_call_that_blocks_is_told_by_its_place_while_it_does() {
    let (reactor, _watch, blocker) = Blocker::watched();
    let (done, line) = (Rc::new(Cell::new(false)), line!() + 2);
    let (stopper, is_done) = (reactor.clone(), done.clone());
    reactor.call_later(Duration::ZERO, move || {
        blocker.block(format!("delayed call made at {}:{line}", file!()));
        is_done.set(true);
        stopper.stop()
    });
    reactor.run().unwrap();
    assert!(done.get());
}

#[test]
fn a_task_that_blocks_is_told_by_where_it_was_spawned() {
    let (reactor, _watch, blocker) = Blocker::watched();
    let line = line!() + 1;
    let blocks = reactor.spawn(async move {
        blocker.block(format!("task spawned at {}:{line}", file!()));
        Ok(())
    });
    reactor.run_until(blocks).unwrap();
}

#[test]
fn a_callback_that_blocks_is_told_by_its_peer() {
    struct Blocks(Blocker);
    impl Protocol for Blocks {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            self.0.block(format!("callback of {}", transport.peer()));
            transport.write(data);
            Ok(())
        }
    }
    let (reactor, _watch, blocker) = Blocker::watched();
    let mut blocker = Some(blocker);
    let make = move |_: &Address| Blocks(blocker.take().unwrap());
    let port = reactor.listen("127.0.0.1:0", make).unwrap();
    let (asks, host) = (reactor.clone(), port.host());
    let asking = async move { ask(&mut asks.open(&host).await?, b"hello").await };
    reactor.run_until(asking).unwrap();
}
