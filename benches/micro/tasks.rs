//! Spawning, waking and yielding.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::hint::black_box;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio::task::{spawn_local, yield_now};

use crate::Case;
use crate::runtimes::{Runtimes, each_of};

/// Tasks alive at a time.
const CROWD: u64 = 1000;

pub(crate) fn cases(runtimes: &Runtimes) -> Vec<Case> {
    vec![spawn_and_join(runtimes), wake(runtimes), yielding(runtimes)]
}

fn spawn_and_join(runtimes: &Runtimes) -> Case {
    let (ours, theirs) = (runtimes.clone(), runtimes.clone());
    Case {
        name: "spawn a task, await its result",
        ours: Box::new(move |operations| {
            let reactor = ours.reactor.clone();
            ours.ours(each_of(operations, async move {
                for _ in 0..operations / CROWD {
                    let tasks = (0..CROWD).map(|i| reactor.spawn(async move { Ok(i) }));
                    for task in tasks.collect::<Vec<_>>() {
                        black_box(task.await.expect("the task does not fail"));
                    }
                }
            }))
        }),
        peer: "spawn_local + await",
        theirs: Box::new(move |operations| {
            theirs.theirs(each_of(operations, async {
                for _ in 0..operations / CROWD {
                    let tasks = (0..CROWD).map(|i| spawn_local(async move { i }));
                    for task in tasks.collect::<Vec<_>>() {
                        black_box(task.await.expect("the task does not fail"));
                    }
                }
            }))
        }),
    }
}

fn wake(runtimes: &Runtimes) -> Case {
    let (ours, theirs) = (runtimes.clone(), runtimes.clone());
    Case {
        name: "wake a waiting task",
        ours: Box::new(move |operations| {
            let reactor = ours.reactor.clone();
            ours.ours(each_of(operations, async move {
                let baton = Rc::new(Baton::default());
                let other = {
                    let baton = baton.clone();
                    reactor.spawn(async move { baton.run(1, operations / 2).await })
                };
                baton.run(0, operations / 2).await;
                other.await.expect("the task does not fail");
            }))
        }),
        peer: "the same, spawn_local",
        theirs: Box::new(move |operations| {
            theirs.theirs(each_of(operations, async {
                let baton = Rc::new(Baton::default());
                let other = {
                    let baton = baton.clone();
                    spawn_local(async move { baton.run(1, operations / 2).await })
                };
                baton.run(0, operations / 2).await;
                other.await.expect("the task does not fail");
            }))
        }),
    }
}

fn yielding(runtimes: &Runtimes) -> Case {
    let (ours, theirs) = (runtimes.clone(), runtimes.clone());
    Case {
        name: "yield",
        ours: Box::new(move |operations| {
            let reactor = ours.reactor.clone();
            ours.ours(each_of(operations, async move {
                for _ in 0..operations {
                    reactor.yield_now().await;
                }
            }))
        }),
        peer: "yield_now",
        theirs: Box::new(move |operations| {
            let task = async move {
                for _ in 0..operations {
                    yield_now().await;
                }
            };
            theirs.theirs(each_of(operations, async { spawn_local(task).await }))
        }),
    }
}

/// Two tasks wake each other in turn; nothing of either runtime is in it.
#[derive(Default)]
struct Baton {
    holder: Cell<usize>,
    waiting: RefCell<[Option<Waker>; 2]>,
}

impl Baton {
    async fn run(&self, me: usize, laps: u64) {
        for _ in 0..laps {
            poll_fn(|context| {
                if self.holder.get() == me {
                    return Poll::Ready(());
                }
                self.waiting.borrow_mut()[me] = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
            self.holder.set(1 - me);
            let other = self.waiting.borrow_mut()[1 - me].take();
            other.into_iter().for_each(Waker::wake);
        }
    }
}
