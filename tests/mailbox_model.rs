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

struct Office {
    mailbox: Mailbox<u32>,
    bell: Bell,
    nudges: AtomicUsize,
}

impl Office {
    fn new() -> Arc<Office> {
        let (mailbox, bell) =
            (Mailbox::new(), Bell { has_rung: Mutex::new(false), rang: Condvar::new() });
        Arc::new(Office { mailbox, bell, nudges: AtomicUsize::new(0) })
    }

    fn post(&self, letter: u32) {
        self.follow(self.mailbox.post(letter));
    }

    fn post_once(&self, stamp: &AtomicU64, letter: u32) {
        self.follow(self.mailbox.post_once(stamp, letter));
    }

    fn follow(&self, posted: Posted<u32>) {
        match posted {
            Posted::Left => {}
            Posted::NudgeNeeded => {
                self.nudges.fetch_add(1, SeqCst);
                self.bell.ring();
            }
            Posted::Refused(letter) => panic!("letter {letter} was refused by an open mailbox"),
        }
    }

    /// One turn as the reactor makes it, which announces sleep once.
    fn turn(&self, received: &mut Vec<u32>) {
        if self.mailbox.fall_asleep() {
            self.bell.wait();
        }
        self.mailbox.wake_up();
        if self.mailbox.has_mail() {
            received.append(&mut self.mailbox.take());
        }
    }
}

/// Runs the loop until `enough` and gives what it received and how often it announced sleep.
fn run_until(office: &Office, enough: impl Fn(&[u32]) -> bool) -> (Vec<u32>, usize) {
    let (mut received, mut sleeps) = (Vec::new(), 0);
    while !enough(&received) {
        office.turn(&mut received);
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
fn no_letter_is_ever_left_beside_a_sleeping_loop() {
    model(|| {
        let office = Office::new();
        let senders = [1, 2].map(|letter| {
            let office = office.clone();
            thread::spawn(move || office.post(letter))
        });
        let (mut received, sleeps) = run_until(&office, |received| received.len() == 2);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
        let nudges = office.nudges.load(SeqCst);
        assert!(nudges <= sleeps, "{nudges} nudges for {sleeps} sleeps");
    });
}

#[test]
fn the_letters_of_one_thread_stay_in_order() {
    model(|| {
        let office = Office::new();
        let desk = office.clone();
        let sender = thread::spawn(move || (1..=3).for_each(|letter| desk.post(letter)));
        let (received, sleeps) = run_until(&office, |received| received.len() == 3);
        sender.join().unwrap();
        assert_eq!(received, [1, 2, 3]);
        assert!(office.nudges.load(SeqCst) <= sleeps);
    });
}

#[test]
fn a_loop_that_is_awake_is_never_nudged() {
    model(|| {
        let office = Office::new();
        let senders = [1, 2].map(|letter| {
            let office = office.clone();
            thread::spawn(move || office.post(letter))
        });
        let mut received = office.mailbox.take();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(office.mailbox.has_mail() || received.len() == 2);
        received.append(&mut office.mailbox.take());
        assert_eq!(received.len(), 2);
        assert_eq!(office.nudges.load(SeqCst), 0);
    });
}

#[test]
fn one_sleep_is_ended_by_exactly_one_of_its_senders() {
    model(|| {
        let office = Office::new();
        assert!(office.mailbox.fall_asleep());
        let senders = [1, 2].map(|letter| {
            let office = office.clone();
            thread::spawn(move || office.post(letter))
        });
        office.bell.wait();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(office.nudges.load(SeqCst), 1);
    });
}

#[test]
fn a_task_woken_from_two_threads_is_woken_after_the_last_of_them() {
    model(|| {
        let office = Office::new();
        let (stamp, wakes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let senders = [1, 2].map(|letter| {
            let (office, stamp, wakes) = (office.clone(), stamp.clone(), wakes.clone());
            thread::spawn(move || {
                wakes.fetch_add(1, SeqCst);
                office.post_once(&stamp, letter);
            })
        });
        // As a future does, it looks at what it waits for at every wake, and not between them.
        let (mut seen, mut received) = (0, Vec::new());
        while seen < 2 {
            office.turn(&mut received);
            if !std::mem::take(&mut received).is_empty() {
                seen = wakes.load(SeqCst);
            }
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    });
}

#[test]
fn a_letter_is_taken_or_handed_back_when_the_mailbox_closes() {
    model(|| {
        let office = Office::new();
        let desk = office.clone();
        let sender = thread::spawn(move || match desk.mailbox.post(1) {
            Posted::Refused(letter) => Some(letter),
            Posted::Left | Posted::NudgeNeeded => None,
        });
        let mut letters = office.mailbox.close();
        letters.extend(sender.join().unwrap());
        assert_eq!(letters, [1]);
    });
}
