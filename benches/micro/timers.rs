//! Timers, with a hundred thousand others pending, and how late the short ones are.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use ropewalk::clock::DelayedCall;
use tokio::time::{Sleep, sleep};

use crate::Case;
use crate::runtimes::{Runtimes, each, each_of};
use crate::table::median;

const PENDING: u64 = 100_000;
const SHORT: Duration = Duration::from_micros(200);

pub(crate) fn cases(runtimes: &Runtimes) -> Vec<Case> {
    vec![call_and_cancel(runtimes), sleep_and_drop(runtimes), reset(runtimes), precision(runtimes)]
}

/// Deadlines that are neither in order nor all the same: 30 to 90 seconds from now.
fn delay(number: u64) -> Duration {
    Duration::from_millis(30_000 + number * 7919 % 60_000)
}

fn call_and_cancel(runtimes: &Runtimes) -> Case {
    let (ours, theirs) = (runtimes.clone(), runtimes.clone());
    Case {
        name: "call_later + cancel, 100 000 pending",
        ours: Box::new(move |operations| {
            let pending = our_pending(&ours);
            let nanos = each(operations, || {
                for number in 0..operations {
                    let call = ours.reactor.call_later(delay(number), || ());
                    call.cancel().expect("the call is pending");
                }
            });
            cancel(pending);
            nanos
        }),
        peer: "sleep, polled once, dropped",
        theirs: Box::new(move |operations| their_sleeps(&theirs, operations)),
    }
}

fn sleep_and_drop(runtimes: &Runtimes) -> Case {
    let (ours, theirs) = (runtimes.clone(), runtimes.clone());
    Case {
        name: "sleep, polled once, dropped, 100 000 pending",
        ours: Box::new(move |operations| {
            let pending = our_pending(&ours);
            let reactor = ours.reactor.clone();
            let nanos = ours.ours(each_of(operations, async move {
                for number in 0..operations {
                    poll_once(pin!(reactor.sleep(delay(number)))).await;
                }
            }));
            cancel(pending);
            nanos
        }),
        peer: "sleep, polled once, dropped",
        theirs: Box::new(move |operations| their_sleeps(&theirs, operations)),
    }
}

fn reset(runtimes: &Runtimes) -> Case {
    let (ours, theirs) = (runtimes.clone(), runtimes.clone());
    Case {
        name: "reset, 100 000 pending",
        ours: Box::new(move |operations| {
            let pending = our_pending(&ours);
            let call = ours.reactor.call_later(delay(0), || ());
            let nanos = each(operations, || {
                for number in 0..operations {
                    call.reset(delay(number)).expect("the call is pending");
                }
            });
            call.cancel().expect("the call is pending");
            cancel(pending);
            nanos
        }),
        peer: "Sleep::reset, polled",
        theirs: Box::new(move |operations| {
            theirs.theirs(async {
                let _pending = their_pending().await;
                let mut sleep = pin!(sleep(delay(0)));
                poll_once(sleep.as_mut()).await;
                each_of(operations, async {
                    for number in 0..operations {
                        sleep.as_mut().reset(tokio::time::Instant::now() + delay(number));
                        poll_once(sleep.as_mut()).await;
                    }
                })
                .await
            })
        }),
    }
}

fn precision(runtimes: &Runtimes) -> Case {
    let (ours, theirs) = (runtimes.clone(), runtimes.clone());
    Case {
        name: "200 000 ns asked, really slept",
        ours: Box::new(move |operations| {
            let reactor = ours.reactor.clone();
            ours.ours(slept(operations, async move || reactor.sleep(SHORT).await))
        }),
        peer: "sleep",
        theirs: Box::new(move |operations| {
            theirs.theirs(slept(operations, async || sleep(SHORT).await))
        }),
    }
}

/// The median of a few; each of them takes a millisecond or more on one side.
async fn slept(operations: u64, sleep: impl AsyncFn()) -> f64 {
    let mut lengths = Vec::new();
    for _ in 0..(operations / 2000).max(5) {
        let start = Instant::now();
        sleep().await;
        lengths.push(start.elapsed().as_nanos() as f64);
    }
    median(lengths)
}

fn our_pending(runtimes: &Runtimes) -> Vec<DelayedCall> {
    (0..PENDING).map(|number| runtimes.reactor.call_later(delay(number), || ())).collect()
}

fn cancel(pending: Vec<DelayedCall>) {
    for call in pending {
        call.cancel().expect("a call of half a minute is pending");
    }
}

async fn their_pending() -> Vec<Pin<Box<Sleep>>> {
    let mut pending: Vec<_> = (0..PENDING).map(|number| Box::pin(sleep(delay(number)))).collect();
    for sleep in &mut pending {
        poll_once(sleep.as_mut()).await;
    }
    pending
}

fn their_sleeps(runtimes: &Runtimes, operations: u64) -> f64 {
    runtimes.theirs(async {
        let _pending = their_pending().await;
        each_of(operations, async {
            for number in 0..operations {
                poll_once(pin!(sleep(delay(number)))).await;
            }
        })
        .await
    })
}

/// A timer is set when its future is polled, not when it is made.
async fn poll_once(mut future: Pin<&mut impl Future>) {
    poll_fn(|context| {
        let _ = future.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}
