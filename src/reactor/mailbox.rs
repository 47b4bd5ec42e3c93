//! Messages of other threads to a loop, and who has to nudge it.
//!
//! # Theory
//! Two flags decide, each written by one side and then answered by a look at the other's:
//!
//! ```text
//!   loop:    is_asleep    = true;   then look at has_messages   some there: do not sleep
//!   sender:  has_messages = true;   then take is_asleep         was asleep: nudge, as the only one
//! ```
//!
//! All sides *swap* `is_asleep`, so whoever comes second sees what the first did before it: no
//! message is ever left beside a sleeping loop. Taking the flag makes one nudge enough for any number of
//! senders, and while the loop is awake there is none.
//!
//! # Invariants
//! * `has_messages` is true whenever `queue` holds something and its sender's `post` has returned.
//!
//! # Not here
//! How the nudge is made: the driver's business. The test under `tests/` includes this file with
//! another `sync` and tries every order of the threads' steps.

use super::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

pub(crate) struct Mailbox<T> {
    queue: Mutex<Queue<T>>,
    has_messages: AtomicBool,
    is_asleep: AtomicBool,
}

struct Queue<T> {
    messages: Vec<T>,
    /// Counts the batches taken; lets a sender see that its last message is still here.
    batch: u64,
    is_closed: bool,
}

/// What became of a posted message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Posted<T> {
    /// It is queued, and the loop will look by itself.
    Left,
    /// It is queued, and the caller must nudge the loop.
    NudgeNeeded,
    /// Nobody will ever look again: here it is back.
    Refused(T),
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Mailbox<T> {
        let queue = Queue { messages: Vec::new(), batch: 1, is_closed: false };
        Mailbox {
            queue: Mutex::new(queue),
            has_messages: AtomicBool::new(false),
            is_asleep: AtomicBool::new(false),
        }
    }

    /// Queues a message. From any thread.
    pub(crate) fn post(&self, message: T) -> Posted<T> {
        let mut queue = self.lock();
        if queue.is_closed {
            return Posted::Refused(message);
        }
        queue.messages.push(message);
        drop(queue);
        self.raise_flag()
    }

    /// Queues a message unless the one that `stamp` remembers is still here. From any thread.
    ///
    /// The stamp is read and written under the lock of the queue: relaxed is enough.
    pub(crate) fn post_once(&self, stamp: &AtomicU64, message: T) -> Posted<T> {
        let mut queue = self.lock();
        if stamp.load(Ordering::Relaxed) == queue.batch {
            return Posted::Left;
        }
        if queue.is_closed {
            return Posted::Refused(message);
        }
        stamp.store(queue.batch, Ordering::Relaxed);
        queue.messages.push(message);
        drop(queue);
        self.raise_flag()
    }

    /// Announces sleep. False: there are messages, so do not. For the loop alone.
    pub(crate) fn fall_asleep(&self) -> bool {
        // Not a store: a swap sees the message of the sender whose swap came before it.
        self.is_asleep.swap(true, Ordering::SeqCst);
        if self.has_messages.load(Ordering::SeqCst) {
            self.wake_up();
            return false;
        }
        true
    }

    /// Ends what `fall_asleep` announced. For the loop alone.
    pub(crate) fn wake_up(&self) {
        // A swap for the same reason: it hands on what it saw to the next `fall_asleep`.
        self.is_asleep.swap(false, Ordering::SeqCst);
    }

    pub(crate) fn has_messages(&self) -> bool {
        self.has_messages.load(Ordering::SeqCst)
    }

    /// Takes all messages, as one batch. For the loop alone.
    pub(crate) fn take(&self) -> Vec<T> {
        // Before the messages: a sender that comes between the two raises the flag again.
        self.has_messages.store(false, Ordering::SeqCst);
        let mut queue = self.lock();
        queue.batch += 1;
        std::mem::take(&mut queue.messages)
    }

    /// Refuses messages from now on and returns the last ones.
    pub(crate) fn close(&self) -> Vec<T> {
        self.lock().is_closed = true;
        self.take()
    }

    fn raise_flag(&self) -> Posted<T> {
        self.has_messages.store(true, Ordering::SeqCst);
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            return Posted::NudgeNeeded;
        }
        Posted::Left
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // A sender that panicked under the lock left whole messages: pushing is all that is done here.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
