//! `run_until` polls its future where it is.

use super::kit::{Notes, hear_reports};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::reactor::ReactorStopped;
use ropewalk::simulation::Simulation;
use ropewalk::{Deferred, Panicked, Reactor, Result};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

#[test]
fn the_future_of_run_until_may_borrow_the_reactor_and_what_else_there_is() {
    let (reactor, word, count) = (Reactor::new().unwrap(), String::from("rope"), Cell::new(0));
    let length = reactor.run_until(async {
        reactor.sleep(Duration::from_millis(1)).await;
        count.set(count.get() + 1);
        Ok(word.len())
    });
    assert_eq!((length.unwrap(), count.get()), (4, 1));
}

#[test]
fn it_is_polled_once_for_each_time_that_it_is_woken() {
    let (reactor, polls) = (Reactor::new().unwrap(), Cell::new(0));
    let (trigger, mut bell) = Deferred::<()>::new();
    reactor.call_later(Duration::ZERO, || ());
    let ringer = reactor.clone();
    drop(reactor.spawn(async move {
        for _ in 0..10 {
            ringer.yield_now().await;
        }
        Ok(trigger.callback(())?)
    }));
    let outcome = reactor.run_until(poll_fn(|context| {
        polls.set(polls.get() + 1);
        std::pin::Pin::new(&mut bell).poll(context)
    }));
    outcome.unwrap();
    assert_eq!(polls.get(), 2);
}

#[test]
fn it_reads_and_writes_streams_and_spawns_tasks_that_it_awaits() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.serve("127.0.0.1:0", async |mut stream| {
        let mut word = [0; 4];
        stream.read_exact(&mut word).await?;
        Ok(stream.write_all(&word).await?)
    });
    let (port, mut heard) = (port.unwrap(), String::new());
    let outcome = reactor.run_until(async {
        let mut stream = reactor.open(port.host()).await?;
        stream.write_all(b"rope").await?;
        stream.read_to_string(&mut heard).await?;
        let doubled = reactor.spawn(async { Ok(2) }).await?;
        Ok(doubled + reactor.spawn(async { Ok(3) }).await?)
    });
    assert_eq!((outcome.unwrap(), heard.as_str()), (5, "rope"));
}

#[test]
fn it_is_woken_from_another_thread() {
    let reactor = Reactor::new().unwrap();
    let (asked, answer) = std::sync::mpsc::channel();
    let outcome = reactor.run_until(async {
        let is_woken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut asked = Some(asked);
        poll_fn(|context| {
            if is_woken.load(std::sync::atomic::Ordering::SeqCst) {
                return Poll::Ready(Ok(()));
            }
            if let Some(asked) = asked.take() {
                let (waker, flag) = (context.waker().clone(), is_woken.clone());
                std::thread::spawn(move || {
                    flag.store(true, std::sync::atomic::Ordering::SeqCst);
                    waker.wake();
                    asked.send(()).unwrap();
                });
            }
            Poll::Pending
        })
        .await
    });
    outcome.unwrap();
    answer.recv().unwrap();
}

#[test]
fn a_panic_in_it_is_its_result_and_is_not_reported() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let text = String::from("on purpose");
    let outcome = reactor.run_until(async {
        if text.len() > 1 {
            panic!("{text}")
        }
    });
    assert!(outcome.unwrap_err().is::<Panicked>());
    reports.expect(&[]);
    reactor.run_until(async { Ok(()) }).unwrap();
}

#[test]
fn it_is_dropped_before_the_shutdown_when_the_reactor_is_stopped() {
    struct Noted<'a>(&'a Notes);
    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.0.add("future dropped");
        }
    }
    let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
    let log = notes.clone();
    reactor.on_shutdown(move || log.add("shutdown"));
    let outcome = reactor.run_until(async {
        let _noted = Noted(&notes);
        reactor.stop()?;
        pending::<Result>().await
    });
    assert!(outcome.unwrap_err().is::<ReactorStopped>());
    notes.expect(&["future dropped", "shutdown"]);
}

#[test]
fn a_deferred_that_it_returns_is_waited_for() {
    let reactor = Reactor::new().unwrap();
    let (trigger, mut answer) = Deferred::<u8>::new();
    reactor.call_later(Duration::from_millis(1), move || Ok(trigger.callback(7)?));
    // Ready at the first poll, and what it is ready with is not.
    let returned = poll_fn(|_| Poll::Ready(std::mem::replace(&mut answer, ropewalk::succeed(0))));
    assert_eq!(reactor.run_until(returned).unwrap(), 7);
}

#[test]
fn a_waker_of_it_that_is_kept_wakes_nobody_afterwards() {
    let reactor = Reactor::new().unwrap();
    let waker = reactor.run_until(poll_fn(|context| Poll::Ready(Ok(context.waker().clone()))));
    let waker = waker.unwrap();
    waker.wake_by_ref();
    let polls = Rc::new(Cell::new(0));
    let count = polls.clone();
    drop(reactor.spawn(poll_fn(move |_| -> Poll<Result> {
        count.set(count.get() + 1);
        Poll::Pending
    })));
    reactor.run_until(async { Ok(reactor.yield_now().await) }).unwrap();
    waker.wake();
    reactor.run_until(async { Ok(reactor.yield_now().await) }).unwrap();
    assert!(polls.get() <= 3);
}

#[test]
fn a_reactor_of_a_simulated_host_polls_in_place_too() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client").reactor());
    let hello = async |mut stream: ropewalk::Stream| Ok(stream.write_all(b"hello").await?);
    server.reactor().serve("0.0.0.0:80", hello).unwrap();
    let mut greeting = String::new();
    let read = async {
        client.open("server:80").await?.read_to_string(&mut greeting).await?;
        Ok(client.sleep(Duration::from_secs(60)).await)
    };
    client.run_until(read).unwrap();
    assert_eq!(greeting, "hello");
}
