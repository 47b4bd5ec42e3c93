//! Reaching a reactor from other threads.
//!
//! A [`Remote`] is the one piece of a reactor that may leave its thread. Calls that it leaves are
//! made in order, one batch a turn, and never from inside [`Remote::call_from_thread`].

use super::mailbox::{Mailbox, Posted};
use super::watch::Work;
use super::{Loop, Reactor, ReactorGone};
use crate::driver::{Key, Nudge};
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// Calls functions in a reactor's thread, from any thread.
///
/// ```
/// use ropewalk::Reactor;
///
/// let reactor = Reactor::new()?;
/// let remote = reactor.remote();
/// let thread = std::thread::spawn(move || {
///     remote.call_from_thread(|reactor| reactor.stop())
/// });
/// reactor.run()?;
/// thread.join().expect("the thread does not panic")?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "Handle")]
#[derive(Clone)]
pub struct Remote {
    remote: Arc<RemoteShared>,
}

/// A loop's mailbox, and how to nudge the loop.
pub(crate) struct RemoteShared {
    pub(crate) mailbox: Mailbox<Message>,
    /// Absent once the loop has ended. Locked to clone and to take it.
    nudge: Mutex<Option<Arc<dyn Nudge>>>,
    /// The thread that the reactor was made in, and never leaves.
    home: ThreadId,
}

pub(crate) enum Message {
    Call(Box<dyn FnOnce(&Reactor) + Send>),
    /// The task in this slot was woken.
    Wake(Key),
}

impl Remote {
    /// Has the reactor's thread call `call` in one of its next turns; returns at once.
    ///
    /// Calls made before the reactor runs wait for it. The error says that the reactor is gone.
    #[doc(alias = "callFromThread")]
    pub fn call_from_thread<F, R>(&self, call: F) -> Result<(), ReactorGone>
    where
        F: FnOnce(&Reactor) -> R + Send + 'static,
        R: crate::IntoDeferred,
    {
        let message = Message::Call(Box::new(move |reactor| drop(call(reactor).into_deferred())));
        match self.remote.mailbox.post(message) {
            Posted::Left => Ok(()),
            Posted::NudgeNeeded => {
                self.remote.ring();
                Ok(())
            }
            Posted::Refused(_) => Err(ReactorGone),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl Remote {
    /// Whether the calling thread is the reactor's own.
    pub(super) fn is_home(&self) -> bool {
        thread::current().id() == self.remote.home
    }
}

impl RemoteShared {
    pub(super) fn new(nudge: Arc<dyn Nudge>) -> Arc<RemoteShared> {
        let nudge = Mutex::new(Some(nudge));
        Arc::new(RemoteShared { mailbox: Mailbox::new(), nudge, home: thread::current().id() })
    }

    fn ring(&self) {
        let nudge = self.nudge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(nudge) = nudge {
            nudge.nudge();
        }
    }

    /// Refuses messages from now on and returns the last ones; whoever holds this keeps the driver no longer.
    pub(super) fn close(&self) -> Vec<Message> {
        let nudge = self.nudge.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(nudge);
        self.mailbox.close()
    }

    /// Queues a wake from another thread, once per batch: `stamp` belongs to the waker.
    pub(crate) fn wake(&self, stamp: &AtomicU64, task: Key) {
        // A closed mailbox means that the task was dropped: waking it is a no-op then.
        if self.mailbox.post_once(stamp, Message::Wake(task)) == Posted::NudgeNeeded {
            self.ring();
        }
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        matches!((self, other), (Message::Wake(a), Message::Wake(b)) if a == b)
    }
}

impl Reactor {
    /// The piece of this reactor that other threads may hold.
    pub fn remote(&self) -> Remote {
        Remote { remote: self.inner().remote.clone() }
    }
}

impl Loop {
    /// The batch of this turn: wakes go to the tasks, calls are made.
    pub(super) fn run_remote_calls(&self, reactor: &Reactor) {
        if !self.remote.mailbox.has_messages() {
            return;
        }
        for message in self.remote.mailbox.take() {
            match message {
                Message::Wake(task) => self.tasks.wake(task),
                Message::Call(call) => {
                    self.counting.calls.add(1);
                    if self.observed.is_on() {
                        let name = || "a call from a thread".to_owned();
                        self.observed.note_once(Work::CALL, name);
                    }
                    super::run_reporting_panic("call from a thread", || call(reactor))
                }
            }
        }
    }
}
