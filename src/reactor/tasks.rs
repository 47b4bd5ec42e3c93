//! The executor: futures that run between the events of a loop.
//!
//! # Theory
//! A task is a boxed future and the waker that names it. Waking puts the task into the queue, once;
//! a turn polls what the queue held when the batch began, so a task that wakes itself waits for the
//! next turn and cannot starve the sockets. While a task is polled its future is *out of the task*:
//! it may spawn, wake and cancel whatever it likes, itself too.
//!
//! The waker is made once per task. Woken in the loop's own thread it finds the task by its key;
//! woken elsewhere it leaves a letter (`mailbox.rs`). What belongs to this loop remembers the task
//! itself instead ([`Waiter`]).
//!
//! # Invariants
//! * `is_queued` is true exactly while the task is in the queue.
//! * A task that is not in the table was cancelled or is done: its future is dropped, not put back.
//! * The futures here do not panic: [`Loop::launch`]'s callers wrap the user's in [`Caught`].
//! * Futures are dropped with no borrow alive.
//!
//! # Not here
//! What a finished task's result goes to: `spawn.rs`.

use super::remote::Office;
use super::{CURRENT, Loop};
use crate::driver::Key;
use crate::failure::{Result, contain};
use crate::slots::Slots;
use pin_project_lite::pin_project;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Waker};

pub(crate) struct Tasks {
    /// Borrowed to look one entry up, never while a future runs or is dropped.
    table: RefCell<Slots<Rc<Task>>>,
    /// Borrowed for one push or pop.
    queue: RefCell<VecDeque<Rc<Task>>>,
    /// How many more reads and writes the task being polled may make at once.
    budget: Cell<u32>,
    /// The task being polled. Borrowed to look or to exchange.
    current: RefCell<Option<Rc<Task>>>,
}

struct Task {
    key: Key,
    /// Absent while it is polled, and for good once it is done or cancelled.
    future: Cell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    waker: Waker,
    is_queued: Cell<bool>,
    is_over: Cell<bool>,
}

/// So many tasks are polled before the sockets are looked at again.
const BATCH: usize = 1024;
/// So many reads and writes may succeed in one poll: a peer that never pauses starves nobody.
const BUDGET: u32 = 64;

impl Tasks {
    pub(super) fn new() -> Tasks {
        Tasks {
            table: RefCell::new(Slots::new()),
            queue: RefCell::default(),
            budget: Cell::new(BUDGET),
            current: RefCell::default(),
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

    fn queue(&self, task: Rc<Task>) {
        if !task.is_queued.replace(true) {
            self.queue.borrow_mut().push_back(task);
        }
    }

    /// Drops a task's future: at once, or when its poll in progress returns.
    pub(super) fn cancel(&self, key: Key) {
        let task = self.table.borrow_mut().remove(key);
        if let Some(task) = task {
            task.end();
        }
    }

    pub(super) fn cancel_all(&self) {
        let keys = self.table.borrow().keys();
        keys.into_iter().for_each(|key| self.cancel(key));
        self.queue.take();
    }

    /// Whether a task is being polled right now.
    #[inline]
    pub(crate) fn is_polling(&self) -> bool {
        self.current.borrow().is_some()
    }

    /// Takes one read or write off the budget of the task being polled.
    #[inline]
    pub(crate) fn spend(&self) -> bool {
        let left = self.budget.get();
        self.budget.set(left.saturating_sub(1));
        left > 0
    }

    /// Polls the tasks of this batch; calls `after_each` after each.
    pub(super) fn poll_batch(&self, after_each: impl Fn()) {
        let count = self.queue.borrow().len().min(BATCH);
        for _ in 0..count {
            let Some(task) = self.queue.borrow_mut().pop_front() else { return };
            self.poll(&task);
            after_each();
        }
    }

    #[inline]
    fn poll(&self, task: &Rc<Task>) {
        task.is_queued.set(false);
        let Some(mut future) = task.future.take() else { return };
        self.budget.set(BUDGET);
        let former = self.current.replace(Some(task.clone()));
        let outcome = future.as_mut().poll(&mut Context::from_waker(&task.waker));
        self.current.replace(former);
        if outcome.is_pending() && !task.is_over.get() {
            return task.future.set(Some(future));
        }
        self.bury(task, future);
    }

    #[cold]
    fn bury(&self, task: &Task, future: Pin<Box<dyn Future<Output = ()>>>) {
        task.is_over.set(true);
        let removed = self.table.borrow_mut().remove(task.key);
        super::attempt("drop of a task", || drop((removed, future)));
    }
}

impl Task {
    fn end(&self) {
        self.is_over.set(true);
        let future = self.future.take();
        super::attempt("drop of a task", || drop(future));
    }
}

/// Who waits for something: a task of this loop, or anybody else by a waker.
///
/// Knowing the task spares what a waker costs: two counts, an indirect call, a look at the thread.
#[derive(Default)]
pub(crate) struct Waiter {
    /// Exchanged whole; a waker is called and dropped outside.
    who: Cell<Who>,
}

#[derive(Default)]
enum Who {
    #[default]
    Nobody,
    Task(Rc<Task>),
    Other(Waker),
}

impl Waiter {
    /// Remembers the task that is polled with `context`.
    #[inline]
    pub(crate) fn wait(&self, context: &Context<'_>, tasks: &Tasks) {
        let who = match &*tasks.current.borrow() {
            // A combinator that wakes by itself has a waker of its own.
            Some(task) if task.waker.will_wake(context.waker()) => Who::Task(task.clone()),
            _ => Who::Other(context.waker().clone()),
        };
        let former = self.who.replace(who);
        drop(former);
    }

    #[inline]
    pub(crate) fn wake(&self, tasks: &Tasks) {
        match self.who.take() {
            Who::Nobody => {}
            Who::Task(task) => tasks.queue(task),
            Who::Other(waker) => waker.wake(),
        }
    }
}

impl Loop {
    /// Starts a task with the future that `make` returns for the task's key, which is not polled yet.
    ///
    /// `make` must not reach for the tasks: it is called while their table is borrowed.
    pub(crate) fn launch<F>(self: &Rc<Self>, make: impl FnOnce(Key) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let mut launched = None;
        self.tasks.table.borrow_mut().insert_with(|key| {
            let task = Task {
                key,
                future: Cell::new(Some(Box::pin(make(key)))),
                waker: waker(self.office.clone(), key),
                is_queued: Cell::new(true),
                is_over: Cell::new(false),
            };
            launched.insert(Rc::new(task)).clone()
        });
        self.tasks.queue.borrow_mut().extend(launched);
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

pin_project! {
    /// The user's future; a panic in it becomes its failure.
    pub(crate) struct Caught<F> {
        #[pin]
        future: F,
        made: &'static Location<'static>,
    }
}

impl<F: Future> Caught<F> {
    pub(crate) fn new(made: &'static Location<'static>, future: F) -> Caught<F> {
        Caught { future, made }
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match contain(this.made, || this.future.poll(context)) {
            Ok(poll) => poll.map(Ok),
            Err(failure) => Poll::Ready(Err(failure)),
        }
    }
}
