//! The executor: futures that run between the events of a loop.
//!
//! # Theory
//! A task is a boxed future and the waker that names it. Waking puts its key into the queue, once;
//! a turn polls what the queue held when the batch began, so a task that wakes itself waits for the
//! next turn and cannot starve the sockets. While a task is polled it is *out of the table*: it may
//! spawn, wake and cancel whatever it likes, itself too.
//!
//! The waker is made once per task. Woken in the loop's own thread it pushes a key; woken elsewhere
//! it leaves a letter (`mailbox.rs`).
//!
//! # Invariants
//! * `is_queued` is true exactly while the key is in the queue.
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
    slots: RefCell<Slots<Task>>,
    /// Borrowed for one push or pop.
    queue: RefCell<VecDeque<Key>>,
    /// How many more reads and writes the task being polled may make at once.
    budget: Cell<u32>,
    /// The task being polled, and what its waker points to.
    current: Cell<(Option<Key>, *const ())>,
}

struct Task {
    /// Absent while the task is polled.
    body: Option<Body>,
    is_queued: bool,
}

struct Body {
    future: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

/// So many tasks are polled before the sockets are looked at again.
const BATCH: usize = 1024;
/// So many reads and writes may succeed in one poll: a peer that never pauses starves nobody.
const BUDGET: u32 = 64;

impl Tasks {
    pub(super) fn new() -> Tasks {
        Tasks {
            slots: RefCell::new(Slots::new()),
            queue: RefCell::default(),
            budget: Cell::new(BUDGET),
            current: Cell::new((None, std::ptr::null())),
        }
    }

    pub(super) fn are_ready(&self) -> bool {
        !self.queue.borrow().is_empty()
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    pub(super) fn wake(&self, key: Key) {
        if let Some(task) = self.slots.borrow_mut().get_mut(key)
            && !std::mem::replace(&mut task.is_queued, true)
        {
            self.queue.borrow_mut().push_back(key);
        }
    }

    /// Drops a task's future: at once, or when its poll in progress returns.
    pub(super) fn cancel(&self, key: Key) {
        let task = self.slots.borrow_mut().remove(key);
        super::attempt("drop of a task", || drop(task));
    }

    pub(super) fn cancel_all(&self) {
        let keys = self.slots.borrow().keys();
        keys.into_iter().for_each(|key| self.cancel(key));
    }

    /// Takes one read or write off the budget of the task being polled.
    pub(crate) fn spend(&self) -> bool {
        let left = self.budget.get();
        self.budget.set(left.saturating_sub(1));
        left > 0
    }

    pub(super) fn poll_batch(&self) {
        let count = self.queue.borrow().len().min(BATCH);
        for _ in 0..count {
            let Some(key) = self.queue.borrow_mut().pop_front() else { return };
            self.poll(key);
        }
    }

    fn poll(&self, key: Key) {
        let Some(mut body) = self.take_body(key) else { return };
        self.budget.set(BUDGET);
        self.current.set((Some(key), body.waker.data()));
        let outcome = body.future.as_mut().poll(&mut Context::from_waker(&body.waker));
        self.current.set((None, std::ptr::null()));
        match outcome {
            Poll::Pending => self.put_body_back(key, body),
            Poll::Ready(()) => {
                let task = self.slots.borrow_mut().remove(key);
                super::attempt("drop of a task", || drop((task, body)));
            }
        }
    }

    fn take_body(&self, key: Key) -> Option<Body> {
        let mut slots = self.slots.borrow_mut();
        let task = slots.get_mut(key)?;
        task.is_queued = false;
        task.body.take()
    }

    fn put_body_back(&self, key: Key, body: Body) {
        let mut slots = self.slots.borrow_mut();
        match slots.get_mut(key) {
            Some(task) => task.body = Some(body),
            // Cancelled during its own poll.
            None => {
                drop(slots);
                super::attempt("drop of a task", || drop(body));
            }
        }
    }
}

/// Who waits for something: a task of this loop by its key, anybody else by a waker.
///
/// A key spares what a waker costs: two counts, an indirect call and a look at which thread it is.
#[derive(Default)]
pub(crate) struct Waiter {
    /// Exchanged whole; a waker is called and dropped outside.
    who: Cell<Who>,
}

#[derive(Default)]
enum Who {
    #[default]
    Nobody,
    Task(Key),
    Other(Waker),
}

impl Waiter {
    /// Remembers the task that is polled with `context`.
    pub(crate) fn wait(&self, context: &Context<'_>, tasks: &Tasks) {
        let waker = context.waker();
        let former = self.who.replace(match tasks.current.get() {
            // A combinator that wakes by itself has a waker of its own, which points elsewhere.
            (Some(key), data) if data == waker.data() => Who::Task(key),
            _ => Who::Other(waker.clone()),
        });
        drop(former);
    }

    pub(crate) fn wake(&self, tasks: &Tasks) {
        match self.who.take() {
            Who::Nobody => {}
            Who::Task(key) => tasks.wake(key),
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
        let key = self.tasks.slots.borrow_mut().insert_with(|key| {
            let body = Body { future: Box::pin(make(key)), waker: waker(self.office.clone(), key) };
            Task { body: Some(body), is_queued: true }
        });
        self.tasks.queue.borrow_mut().push_back(key);
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
