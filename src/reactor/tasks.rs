//! The executor: futures that run between the events of a loop.
//!
//! # Theory
//! A task is a boxed future, the waker that names it, and whoever its result is for. Waking puts the
//! task into the queue, once. A turn polls what the queue held when the batch began, however long
//! it takes; while that was few, it goes on with those that were woken meanwhile, so that tasks that
//! wake each other do not pay for a look at the sockets each time. A task that woke *itself* waits
//! for the next turn in any case: it wants others to go first, and cannot starve the sockets.
//!
//! While a task is polled its future is *out of the task*: it may spawn, wake and cancel whatever it
//! likes, itself too.
//!
//! The waker is made once per task. Woken in the loop's own thread it finds the task by its key;
//! woken elsewhere it leaves a letter (`mailbox.rs`). What belongs to this loop remembers the task
//! itself instead ([`Waiter`]).
//!
//! # Invariants
//! * `is_queued` is true exactly while the task is in the queue, or among those of the next turn.
//! * A task that `is_over` was cancelled or is done: its future is dropped, not put back.
//! * [`Body::poll`] does not panic for what the user's future does.
//! * Futures are dropped with no borrow alive.
//!
//! # Not here
//! What is polled, and what its result goes to: `spawn.rs`.

use super::remote::Office;
use super::{CURRENT, Loop};
use crate::deferred::in_place;
use crate::driver::Key;
use crate::slots::Slots;
use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, RawWakerVTable, Waker};

pub(crate) struct Tasks {
    /// Borrowed to look one entry up, never while a future runs or is dropped.
    table: RefCell<Slots<Rc<Task>>>,
    /// Borrowed for one push, or to be exchanged.
    queue: RefCell<Vec<Rc<Task>>>,
    /// Those that woke themselves: the next turn's. Borrowed for one push, or to be emptied.
    later: RefCell<Vec<Rc<Task>>>,
    /// Empty; kept for its memory.
    spare: Cell<Vec<Rc<Task>>>,
    /// How many more reads and writes the task being polled may make at once.
    budget: Cell<u32>,
    /// The task being polled.
    current: Cell<Option<Rc<Task>>>,
    is_polling: Cell<bool>,
}

pub(super) struct Task<B: ?Sized = dyn Body> {
    pub(super) key: Key,
    waker: Waker,
    is_queued: Cell<bool>,
    is_polled: Cell<bool>,
    /// Done, cancelled or given up.
    pub(super) is_over: Cell<bool>,
    pub(super) body: B,
}

/// The part of a task that knows what is polled, and for whom.
pub(super) trait Body {
    /// Polls the future; delivers its result, and marks the task as over, unless it is that already.
    fn poll(&self, is_over: &Cell<bool>, context: &mut Context<'_>) -> Poll<()>;
    /// Drops the future.
    fn clear(&self);
    /// Tells whoever waits for the result that none will come.
    fn abandon(&self);
}

/// So many tasks are polled before the sockets are looked at again.
const BATCH: usize = 1024;
/// So many are, if they are woken soon enough, though there were fewer at first.
const ROUND: usize = 64;
/// So many reads and writes may succeed in one poll: a peer that never pauses starves nobody.
const BUDGET: u32 = 64;

impl Tasks {
    pub(super) fn new() -> Tasks {
        Tasks {
            table: RefCell::new(Slots::new()),
            queue: RefCell::default(),
            later: RefCell::default(),
            spare: Cell::default(),
            budget: Cell::new(BUDGET),
            current: Cell::default(),
            is_polling: Cell::new(false),
        }
    }

    pub(super) fn are_ready(&self) -> bool {
        !self.queue.borrow().is_empty()
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.table.borrow().len()
    }

    pub(super) fn wake(&self, key: Key) {
        let task = self.table.borrow().get(key).cloned();
        if let Some(task) = task {
            self.queue(task);
        }
    }

    #[inline(always)]
    fn queue(&self, task: Rc<Task>) {
        if task.is_queued.replace(true) {
            return;
        }
        let queue = if task.is_polled.get() { &self.later } else { &self.queue };
        queue.borrow_mut().push(task);
    }

    /// Takes a task that is over out of the table.
    pub(super) fn forget(&self, key: Key) {
        let removed = self.table.borrow_mut().remove(key);
        drop(removed);
    }

    pub(super) fn cancel_all(&self) {
        let keys = self.table.borrow().keys();
        for key in keys {
            let task = self.table.borrow_mut().remove(key);
            task.into_iter().for_each(|task| task.give_up());
        }
        self.queue.take();
        self.later.take();
    }

    /// Whether a task is being polled right now.
    #[inline]
    pub(crate) fn is_polling(&self) -> bool {
        self.is_polling.get()
    }

    /// Takes one read or write off the budget of the task being polled.
    #[inline]
    pub(crate) fn spend(&self) -> bool {
        let left = self.budget.get();
        if left == 0 {
            // A task of another loop, or of a foreign executor, is not this one's to hold back.
            return !self.is_polling();
        }
        self.budget.set(left - 1);
        true
    }

    /// Polls the tasks of this batch; calls `after_each` after each.
    pub(super) fn poll_batch(&self, after_each: impl Fn()) {
        let mut left = self.queue.borrow().len().clamp(ROUND, BATCH);
        let mut batch = self.spare.take();
        while self.take_batch(&mut batch, left) {
            left -= batch.len();
            for task in batch.drain(..) {
                self.poll(&task);
                after_each();
            }
        }
        self.spare.set(batch);
        self.queue.borrow_mut().append(&mut self.later.borrow_mut());
    }

    /// Moves the oldest of the queue, `limit` at most, to an empty batch. False: there are none.
    fn take_batch(&self, batch: &mut Vec<Rc<Task>>, limit: usize) -> bool {
        let mut queue = self.queue.borrow_mut();
        std::mem::swap(batch, &mut *queue);
        if batch.len() > limit {
            queue.extend(batch.drain(limit..));
        }
        !batch.is_empty()
    }

    #[inline]
    fn poll(&self, task: &Rc<Task>) {
        task.is_queued.set(false);
        if task.is_over.get() {
            return;
        }
        self.budget.set(BUDGET);
        task.is_polled.set(true);
        self.is_polling.set(true);
        self.current.set(Some(task.clone()));
        let polled = task.body.poll(&task.is_over, &mut Context::from_waker(&task.waker));
        self.current.set(None);
        self.is_polling.set(false);
        task.is_polled.set(false);
        if polled.is_ready() {
            self.forget(task.key);
        } else if task.is_over.get() {
            task.body.clear();
        }
    }
}

impl Task {
    fn give_up(&self) {
        if !self.is_over.replace(true) {
            self.body.clear();
            self.body.abandon();
        }
    }
}

/// Who waits for something: a task of this loop, or anybody else by a waker.
///
/// Knowing the task spares what a waker costs: two counts, an indirect call, a look at the thread.
///
/// Whoever waited last is remembered: most often it waits here again, and then nothing is exchanged.
pub(crate) struct Waiter {
    /// Exchanged whole; a waker is called and dropped outside.
    who: Cell<Who>,
    /// What tells the waker of `who`, which keeps it from being another's: its data and its calls.
    seen: Cell<(*const (), *const RawWakerVTable)>,
    is_waiting: Cell<bool>,
}

#[derive(Default)]
enum Who {
    #[default]
    Nobody,
    Task(Rc<Task>),
    Other(Waker),
}

const NEVER_SEEN: (*const (), *const RawWakerVTable) = (ptr::null(), ptr::null());

impl Default for Waiter {
    fn default() -> Waiter {
        Waiter { who: Cell::default(), seen: Cell::new(NEVER_SEEN), is_waiting: Cell::new(false) }
    }
}

impl Waiter {
    /// Remembers the task that is polled with `context`.
    #[inline(always)]
    pub(crate) fn wait(&self, context: &Context<'_>, tasks: &Tasks) {
        self.is_waiting.set(true);
        let (data, calls) = self.seen.get();
        let waker = context.waker();
        if waker.data() != data || !ptr::eq(waker.vtable(), calls) {
            self.meet(waker, tasks);
        }
    }

    #[cold]
    fn meet(&self, waker: &Waker, tasks: &Tasks) {
        let current = tasks.current.take();
        let who = match &current {
            // A combinator that wakes by itself has a waker of its own.
            Some(task) if task.waker.will_wake(waker) => Who::Task(task.clone()),
            _ => Who::Other(waker.clone()),
        };
        tasks.current.set(current);
        self.seen.set((waker.data(), waker.vtable()));
        let former = self.who.replace(who);
        drop(former);
    }

    #[inline(always)]
    pub(crate) fn wake(&self, tasks: &Tasks) {
        if !self.is_waiting.replace(false) {
            return;
        }
        match self.who.take() {
            Who::Task(task) => {
                tasks.queue(task.clone());
                // Nobody was put there meanwhile: spares the drop of nothing.
                std::mem::forget(self.who.replace(Who::Task(task)));
            }
            Who::Other(waker) => self.wake_other(waker),
            Who::Nobody => {}
        }
    }

    #[cold]
    fn wake_other(&self, waker: Waker) {
        self.seen.set(NEVER_SEEN);
        waker.wake();
    }
}

impl Loop {
    /// Starts a task, which is not polled yet.
    #[inline]
    pub(super) fn launch<B: Body + 'static>(&self, make: impl FnOnce() -> B) -> Rc<Task<B>> {
        let key = self.tasks.table.borrow_mut().next_key();
        let waker = waker(self.office.clone(), key);
        let task = in_place(move || Task {
            key,
            waker,
            is_queued: Cell::new(true),
            is_polled: Cell::new(false),
            is_over: Cell::new(false),
            body: make(),
        });
        self.tasks.table.borrow_mut().insert_with(|_key| task.clone());
        self.tasks.queue.borrow_mut().push(task.clone());
        task
    }
}

fn waker(office: Arc<Office>, key: Key) -> Waker {
    let stamp = AtomicU64::new(0);
    waker_fn::waker_fn(move || {
        if !wake_here(&office, key) {
            office.wake(&stamp, key);
        }
    })
}

/// Wakes the task if its loop is the one that runs in this thread.
fn wake_here(office: &Arc<Office>, key: Key) -> bool {
    let woken = CURRENT.try_with(|current| {
        let current = current.borrow();
        let here = current.as_ref().filter(|here| Arc::ptr_eq(&here.office, office))?;
        here.tasks.wake(key);
        Some(())
    });
    // The thread may be ending, its locals gone: then the letter goes the long way.
    woken.ok().flatten().is_some()
}
