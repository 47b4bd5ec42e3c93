//! Deferreds, beside the oneshot channel that one would take instead.

use std::hint::black_box;

use ropewalk::{Deferred, Trigger, succeed};
use tokio::sync::oneshot;
use tokio::task::{spawn_local, yield_now};

use crate::runtimes::{Runtimes, each, each_of};
use crate::{Case, Measure};

/// Links of a chain, and tasks that wait at a time.
const CHAIN: u64 = 10;
const CROWD: u64 = 1000;

pub(crate) fn cases(runtimes: &Runtimes) -> Vec<Case> {
    vec![
        beside_oneshot("Deferred: new, one callback, fire", runtimes, Box::new(new_and_fire)),
        beside_oneshot("... a chain of ten, for each callback", runtimes, Box::new(chain)),
        beside_oneshot("... a callback on a fired one", runtimes, Box::new(fired)),
        beside_oneshot("... new, fire, await", runtimes, awaited(runtimes)),
        into_a_task(runtimes),
    ]
}

fn beside_oneshot(name: &'static str, runtimes: &Runtimes, ours: Measure) -> Case {
    let theirs = runtimes.clone();
    Case {
        name,
        ours,
        peer: "oneshot: new, send, await",
        theirs: Box::new(move |operations| {
            theirs.theirs(each_of(operations, async {
                for number in 0..operations {
                    let (sender, receiver) = oneshot::channel();
                    sender.send(black_box(number)).expect("the receiver is there");
                    black_box(receiver.await.expect("it was sent"));
                }
            }))
        }),
    }
}

fn fire(trigger: &Trigger<u64>, number: u64) {
    trigger.callback(black_box(number)).expect("nobody has fired it");
}

fn new_and_fire(operations: u64) -> f64 {
    each(operations, || {
        for number in 0..operations {
            let (trigger, deferred) = Deferred::new();
            let _chain = deferred.add_callback(|number: u64| Ok(black_box(number)));
            fire(&trigger, number);
        }
    })
}

fn chain(operations: u64) -> f64 {
    each(operations, || {
        for number in 0..operations / CHAIN {
            let (trigger, mut deferred) = Deferred::new();
            for _ in 0..CHAIN {
                deferred = deferred.add_callback(|number: u64| Ok(black_box(number)));
            }
            fire(&trigger, number);
        }
    })
}

fn fired(operations: u64) -> f64 {
    let mut deferred = succeed(0);
    let nanos = each(operations, || {
        for _ in 0..operations {
            let last = std::mem::replace(&mut deferred, succeed(0));
            deferred = last.add_callback(|number: u64| Ok(black_box(number)));
        }
    });
    black_box(deferred);
    nanos
}

fn awaited(runtimes: &Runtimes) -> Measure {
    let ours = runtimes.clone();
    Box::new(move |operations| {
        ours.ours(each_of(operations, async move {
            for number in 0..operations {
                let (trigger, deferred) = Deferred::new();
                fire(&trigger, number);
                black_box(deferred.await.expect("it was fired"));
            }
        }))
    })
}

fn into_a_task(runtimes: &Runtimes) -> Case {
    let (ours, theirs) = (runtimes.clone(), runtimes.clone());
    Case {
        name: "... fire into a waiting task (with its spawn)",
        ours: Box::new(move |operations| {
            let reactor = ours.reactor.clone();
            ours.ours(each_of(operations, async move {
                for _ in 0..operations / CROWD {
                    let (triggers, tasks): (Vec<_>, Vec<_>) = (0..CROWD)
                        .map(|_| {
                            let (trigger, deferred) = Deferred::<u64>::new();
                            (trigger, reactor.spawn(deferred))
                        })
                        .unzip();
                    reactor.yield_now().await;
                    triggers.iter().for_each(|trigger| fire(trigger, 1));
                    for task in tasks {
                        black_box(task.await.expect("it was fired"));
                    }
                }
            }))
        }),
        peer: "oneshot, spawn_local",
        theirs: Box::new(move |operations| {
            theirs.theirs(each_of(operations, async {
                for _ in 0..operations / CROWD {
                    let (senders, tasks): (Vec<_>, Vec<_>) = (0..CROWD)
                        .map(|_| {
                            let (sender, receiver) = oneshot::channel::<u64>();
                            (sender, spawn_local(receiver))
                        })
                        .unzip();
                    yield_now().await;
                    senders.into_iter().for_each(|sender| sender.send(1).expect("it waits"));
                    for task in tasks {
                        black_box(
                            task.await.expect("the task does not fail").expect("it was sent"),
                        );
                    }
                }
            }))
        }),
    }
}
