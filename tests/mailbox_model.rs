//! The mailbox between threads, under every order of their steps that the memory model allows.
//!
//! The file under test is the crate's own, built here of loom's atomics instead of the standard
//! library's. The loop sleeps as the reactor does: only after `fall_asleep`, and on a bell that
//! remembers one ring. A wake that is lost is a deadlock, which loom reports; so is a data race.
//!
//! loom takes sequentially consistent steps for acquire and release, so what passes here needs no
//! more than that.
//!
//!     RUSTFLAGS="--cfg loom" cargo test --release --test mailbox_model
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "../src/reactor/mailbox.rs"]
#[allow(dead_code, reason = "the reactor uses what is not modelled here")]
mod mailbox;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use mailbox::{Mailbox, Posted};

/// What a nudge is to a loop that waits: an event that stays until a wait takes it.
#[derive(Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rang: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.has_rung.lock().unwrap() = true;
        self.rang.notify_one();
    }

    fn wait(&self) {
        let mut has_rung = self.has_rung.lock().unwrap();
        while !*has_rung {
            has_rung = self.rang.wait(has_rung).unwrap();
        }
        *has_rung = false;
    }
}

struct RemoteShared {
    mailbox: Mailbox<u32>,
    bell: Bell,
    nudges: AtomicUsize,
}

impl RemoteShared {
    fn new() -> Arc<RemoteShared> {
        let (mailbox, bell) =
            (Mailbox::new(), Bell { has_rung: Mutex::new(false), rang: Condvar::new() });
        Arc::new(RemoteShared { mailbox, bell, nudges: AtomicUsize::new(0) })
    }

    fn post(&self, message: u32) {
        self.follow(self.mailbox.post(message));
    }

    fn post_once(&self, stamp: &AtomicU64, message: u32) {
        self.follow(self.mailbox.post_once(stamp, message));
    }

    fn follow(&self, posted: Posted<u32>) {
        match posted {
            Posted::Left => {}
            Posted::NudgeNeeded => {
                self.nudges.fetch_add(1, SeqCst);
                self.bell.ring();
            }
            Posted::Refused(message) => panic!("message {message} was refused by an open mailbox"),
        }
    }

    /// One turn as the reactor makes it, which announces sleep once.
    fn turn(&self, received: &mut Vec<u32>) {
        if self.mailbox.fall_asleep() {
            self.bell.wait();
        }
        self.mailbox.wake_up();
        if self.mailbox.has_messages() {
            received.append(&mut self.mailbox.take());
        }
    }
}

/// Runs the loop until `enough` and gives what it received and how often it announced sleep.
fn run_until(remote: &RemoteShared, enough: impl Fn(&[u32]) -> bool) -> (Vec<u32>, usize) {
    let (mut received, mut sleeps) = (Vec::new(), 0);
    while !enough(&received) {
        remote.turn(&mut received);
        sleeps += 1;
    }
    (received, sleeps)
}

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Any wrong order of a protocol with four steps a side shows within three preemptions.
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn no_message_is_ever_left_beside_a_sleeping_loop() {
    model(|| {
        let remote = RemoteShared::new();
        let senders = [1, 2].map(|message| {
            let remote = remote.clone();
            thread::spawn(move || remote.post(message))
        });
        let (mut received, sleeps) = run_until(&remote, |received| received.len() == 2);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
        let nudges = remote.nudges.load(SeqCst);
        assert!(nudges <= sleeps, "{nudges} nudges for {sleeps} sleeps");
    });
}

#[test]
fn the_messages_of_one_thread_stay_in_order() {
    model(|| {
        let remote = RemoteShared::new();
        let desk = remote.clone();
        let sender = thread::spawn(move || (1..=3).for_each(|message| desk.post(message)));
        let (received, sleeps) = run_until(&remote, |received| received.len() == 3);
        sender.join().unwrap();
        assert_eq!(received, [1, 2, 3]);
        assert!(remote.nudges.load(SeqCst) <= sleeps);
    });
}

#[test]
fn a_loop_that_is_awake_is_never_nudged() {
    model(|| {
        let remote = RemoteShared::new();
        let senders = [1, 2].map(|message| {
            let remote = remote.clone();
            thread::spawn(move || remote.post(message))
        });
        let mut received = remote.mailbox.take();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(remote.mailbox.has_messages() || received.len() == 2);
        received.append(&mut remote.mailbox.take());
        assert_eq!(received.len(), 2);
        assert_eq!(remote.nudges.load(SeqCst), 0);
    });
}

#[test]
fn one_sleep_is_ended_by_exactly_one_of_its_senders() {
    model(|| {
        let remote = RemoteShared::new();
        assert!(remote.mailbox.fall_asleep());
        let senders = [1, 2].map(|message| {
            let remote = remote.clone();
            thread::spawn(move || remote.post(message))
        });
        remote.bell.wait();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(remote.nudges.load(SeqCst), 1);
    });
}

#[test]
fn a_task_woken_from_two_threads_is_woken_after_the_last_of_them() {
    model(|| {
        let remote = RemoteShared::new();
        let (stamp, wakes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let senders = [1, 2].map(|message| {
            let (remote, stamp, wakes) = (remote.clone(), stamp.clone(), wakes.clone());
            thread::spawn(move || {
                wakes.fetch_add(1, SeqCst);
                remote.post_once(&stamp, message);
            })
        });
        // As a future does, it looks at what it waits for at every wake, and not between them.
        let (mut seen, mut received) = (0, Vec::new());
        while seen < 2 {
            remote.turn(&mut received);
            if !std::mem::take(&mut received).is_empty() {
                seen = wakes.load(SeqCst);
            }
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn a_message_is_taken_or_handed_back_when_the_mailbox_closes() {
    model(|| {
        let remote = RemoteShared::new();
        let desk = remote.clone();
        let sender = thread::spawn(move || match desk.mailbox.post(1) {
            Posted::Refused(message) => Some(message),
            Posted::Left | Posted::NudgeNeeded => None,
        });
        let mut messages = remote.mailbox.close();
        messages.extend(sender.join().unwrap());
        assert_eq!(messages, [1]);
    });
}
