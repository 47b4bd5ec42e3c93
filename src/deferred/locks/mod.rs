//! Waiting for one's turn: locks, semaphores, queues.
//!
//! Whoever has to wait gets a Deferred, and its trigger stands in a line of [`Waiters`]. First come,
//! first served; cancelling leaves the line. What is handed over is a value with a `Drop`: a permit
//! that nobody took, because its Deferred was dropped meanwhile, goes to the next.

mod filesystem;
mod lock;
mod queue;
mod semaphore;

pub use filesystem::{DeferredFilesystemLock, FilesystemPermit};
pub use lock::DeferredLock;
pub use queue::{DeferredQueue, QueueClosed, QueueFull, QueueOverflow, QueueUnderflow};
pub use semaphore::{DeferredSemaphore, NoTokensError, Permit};

use crate::deferred::{Deferred, Trigger};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A line of those who wait for a `T`, in order of arrival.
struct Waiters<T: 'static> {
    /// Borrowed to insert or take one; nothing is fired or dropped meanwhile.
    line: RefCell<Places<T>>,
}

struct Places<T: 'static> {
    taken: BTreeMap<u64, Trigger<T>>,
    next: u64,
}

impl<T> Places<T> {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl<T: 'static> Waiters<T> {
    fn new() -> Rc<Waiters<T>> {
        Rc::new(Waiters { line: RefCell::new(Places { taken: BTreeMap::new(), next: 0 }) })
    }

    /// Stands in line; cancelling the Deferred leaves it.
    #[track_caller]
    fn wait(self: &Rc<Self>) -> Deferred<T> {
        let number = self.line.borrow_mut().next();
        // Weak: when everything that could serve the line is gone, so is the line.
        let line = Rc::downgrade(self);
        let (trigger, deferred) = Deferred::with_canceller(move |_| {
            let left = line.upgrade().and_then(|line| line.line.borrow_mut().taken.remove(&number));
            drop(left);
        });
        self.line.borrow_mut().taken.insert(number, trigger);
        deferred
    }

    /// Who has waited longest.
    fn next(&self) -> Option<Trigger<T>> {
        let first = self.line.borrow_mut().taken.pop_first();
        first.map(|(_number, trigger)| trigger)
    }

    fn len(&self) -> usize {
        self.line.borrow().taken.len()
    }
}
