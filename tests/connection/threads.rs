//! Other threads: calls that keep their order, tasks that are woken, a loop that is gone.

use super::kit::{Notes, hear_reports, turn, until};
use ropewalk::reactor::ReactorGone;
use ropewalk::{Deferred, Reactor};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

const THREADS: usize = 8;
const CALLS: usize = 2000;

thread_local! {
    static GOT: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn calls_from_eight_threads_are_all_made_each_threads_in_order() {
    let reactor = Reactor::new().unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let remote = reactor.remote();
            thread::spawn(move || {
                for call in 0..CALLS {
                    let note =
                        move |_: &Reactor| GOT.with_borrow_mut(|got| got.push((thread, call)));
                    remote.call_from_thread(note).unwrap();
                }
            })
        })
        .collect();
    until(&reactor, "all came", || GOT.with_borrow(Vec::len) == THREADS * CALLS);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    turn(&reactor);
    let got = GOT.take();
    for thread in 0..THREADS {
        let calls = got.iter().filter(|(from, _)| *from == thread).map(|(_, call)| *call);
        assert!(calls.eq(0..CALLS), "thread {thread}");
    }
}

#[test]
fn a_sleeping_loop_is_woken_by_each_of_many_calls() {
    let reactor = Reactor::new().unwrap();
    let (remote, (ask, asked)) = (reactor.remote(), mpsc::channel::<u32>());
    let thread = thread::spawn(move || {
        for number in asked {
            remote
                .call_from_thread(move |reactor| {
                    GOT.with_borrow_mut(|got| got.push((0, number as usize)));
                    reactor.stop()
                })
                .unwrap();
        }
    });
    // One call at a time: each has to end a sleep without limit.
    for number in 0..500 {
        ask.send(number).unwrap();
        reactor.run().unwrap();
    }
    drop(ask);
    thread.join().unwrap();
    assert!(GOT.take().into_iter().map(|(_, number)| number).eq(0..500));
}

#[test]
fn a_task_is_woken_from_another_thread() {
    #[derive(Default)]
    struct Desk {
        value: Option<u32>,
        waker: Option<Waker>,
    }
    let reactor = Reactor::new().unwrap();
    for round in 0..200 {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let giver = desk.clone();
        let thread = thread::spawn(move || {
            let waker = loop {
                let mut desk = giver.lock().unwrap();
                if let Some(waker) = desk.waker.take() {
                    desk.value = Some(round);
                    break waker;
                }
                drop(desk);
                thread::yield_now();
            };
            waker.wake();
        });
        let wait = std::future::poll_fn(move |context| {
            let mut desk = desk.lock().unwrap();
            desk.waker = Some(context.waker().clone());
            desk.value.take().map_or(Poll::Pending, |value| Poll::Ready(Ok(value)))
        });
        assert_eq!(reactor.run_until(wait).unwrap(), round);
        thread.join().unwrap();
    }
}

#[test]
fn a_waker_that_outlives_its_task_and_its_reactor_does_nothing() {
    let reactor = Reactor::new().unwrap();
    let kept = Rc::new(RefCell::new(None::<Waker>));
    let shelf = kept.clone();
    let task = reactor.spawn(std::future::poll_fn(move |context| {
        shelf.replace(Some(context.waker().clone()));
        Poll::Ready(Ok(()))
    }));
    reactor.run_until(task).unwrap();
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    turn(&reactor);
    drop(reactor);
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn a_call_made_by_a_call_waits_for_the_next_turn() {
    let reactor = Reactor::new().unwrap();
    let remote = reactor.remote();
    let again = remote.clone();
    remote
        .call_from_thread(move |_| {
            GOT.with_borrow_mut(|got| got.push((1, 1)));
            again
                .call_from_thread(|_| GOT.with_borrow_mut(|got| got.push((2, 2))))
                .expect("the reactor is here");
        })
        .unwrap();
    reactor.turn(None).unwrap();
    assert_eq!(GOT.with_borrow(Vec::len), 1);
    reactor.turn(None).unwrap();
    assert_eq!(GOT.take().len(), 2);
}

#[test]
fn a_panic_or_a_failure_of_a_call_is_said_once_and_the_next_call_is_made() {
    let (reactor, reports) = (Reactor::new().unwrap(), hear_reports());
    let remote = reactor.remote();
    remote
        .call_from_thread(|_| {
            if true {
                panic!("on purpose")
            }
        })
        .unwrap();
    remote.call_from_thread(|_| Err::<(), _>(std::fmt::Error.into())).unwrap();
    remote.call_from_thread(|_| GOT.with_borrow_mut(|got| got.push((0, 0)))).unwrap();
    turn(&reactor);
    assert_eq!((GOT.take().len(), reports.len()), (1, 2));
}

#[test]
fn a_call_to_a_reactor_that_is_gone_is_refused_and_dropped() {
    let reactor = Reactor::new().unwrap();
    let remote = reactor.remote();
    let held = Arc::new(());
    let kept = held.clone();
    remote.call_from_thread(move |_| drop(kept)).unwrap();
    drop(reactor);
    assert_eq!(Arc::strong_count(&held), 1, "what waited is dropped");
    let kept = held.clone();
    assert_eq!(remote.call_from_thread(move |_| drop(kept)), Err(ReactorGone));
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_deferred_is_fired_through_the_loop_of_its_reactor() {
    let (reactor, heard) = (Reactor::new().unwrap(), Notes::default());
    let (trigger, waiting) = Deferred::<String>::new();
    thread_local! {
        static TRIGGER: RefCell<Option<ropewalk::Trigger<String>>> = const { RefCell::new(None) };
    }
    TRIGGER.set(Some(trigger));
    let notes = heard.clone();
    waiting.map(move |text| notes.add(text));
    let remote = reactor.remote();
    let thread = thread::spawn(move || {
        let text = format!("{:?}", "from elsewhere");
        remote.call_from_thread(move |_| {
            let trigger = TRIGGER.take().expect("it waits here");
            Ok(trigger.callback(text)?)
        })
    });
    until(&reactor, "it fires", || heard.len() == 1);
    thread.join().unwrap().unwrap();
}
