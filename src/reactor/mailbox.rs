//! What other threads leave for a loop, and who has to nudge it.
//!
//! # Theory
//! Two flags decide, each written by one side and then answered by a look at the other's:
//!
//! ```text
//!   loop:    is_asleep = true;   then look at has_mail     mail there: do not sleep
//!   sender:  has_mail  = true;   then take is_asleep       was asleep: nudge, as the only one
//! ```
//!
//! All sides *swap* `is_asleep`, so whoever comes second sees what the first did before it: no
//! mail is ever left beside a sleeping loop. Taking the flag makes one nudge enough for any number of
//! senders, and while the loop is awake there is none.
//!
//! # Invariants
//! * `has_mail` is true whenever `mail` holds something and its sender's `post` has returned.
//!
//! # Not here
//! How the nudge is made: the driver's business. The test under `tests/` includes this file with
//! another `sync` and tries every order of the threads' steps.

use super::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, PoisonError};

pub(crate) struct Mailbox<T> {
    mail: Mutex<Mail<T>>,
    has_mail: AtomicBool,
    is_asleep: AtomicBool,
}

struct Mail<T> {
    messages: Vec<T>,
    /// Counts the batches taken; lets a sender see that its last letter still lies here.
    batch: u64,
    is_closed: bool,
}

/// What became of a posted letter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Posted<T> {
    /// It lies here, and the loop will look by itself.
    Left,
    /// It lies here, and the caller must nudge the loop.
    NudgeNeeded,
    /// Nobody will ever look again: here it is back.
    Refused(T),
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> Mailbox<T> {
        let mail = Mail { messages: Vec::new(), batch: 1, is_closed: false };
        Mailbox {
            mail: Mutex::new(mail),
            has_mail: AtomicBool::new(false),
            is_asleep: AtomicBool::new(false),
        }
    }

    /// Leaves a letter. From any thread.
    pub(crate) fn post(&self, message: T) -> Posted<T> {
        let mut mail = self.lock();
        if mail.is_closed {
            return Posted::Refused(message);
        }
        mail.messages.push(message);
        drop(mail);
        self.raise_flag()
    }

    /// Leaves a letter unless the one that `stamp` remembers still lies here. From any thread.
    ///
    /// The stamp is read and written under the lock of the mail: relaxed is enough.
    pub(crate) fn post_once(&self, stamp: &AtomicU64, message: T) -> Posted<T> {
        let mut mail = self.lock();
        if stamp.load(Ordering::Relaxed) == mail.batch {
            return Posted::Left;
        }
        if mail.is_closed {
            return Posted::Refused(message);
        }
        stamp.store(mail.batch, Ordering::Relaxed);
        mail.messages.push(message);
        drop(mail);
        self.raise_flag()
    }

    /// Announces sleep. False: there is mail, so do not. For the loop alone.
    pub(crate) fn fall_asleep(&self) -> bool {
        // Not a store: a swap sees the mail of the sender whose swap came before it.
        self.is_asleep.swap(true, Ordering::SeqCst);
        if self.has_mail.load(Ordering::SeqCst) {
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

    pub(crate) fn has_mail(&self) -> bool {
        self.has_mail.load(Ordering::SeqCst)
    }

    /// Takes all that lies here, as one batch. For the loop alone.
    pub(crate) fn take(&self) -> Vec<T> {
        // Before the letters: a sender that comes between the two raises the flag again.
        self.has_mail.store(false, Ordering::SeqCst);
        let mut mail = self.lock();
        mail.batch += 1;
        std::mem::take(&mut mail.messages)
    }

    /// Refuses letters from now on and returns the last ones.
    pub(crate) fn close(&self) -> Vec<T> {
        self.lock().is_closed = true;
        self.take()
    }

    fn raise_flag(&self) -> Posted<T> {
        self.has_mail.store(true, Ordering::SeqCst);
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            return Posted::NudgeNeeded;
        }
        Posted::Left
    }

    fn lock(&self) -> MutexGuard<'_, Mail<T>> {
        // A sender that panicked under the lock left whole letters: pushing is all that is done here.
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
