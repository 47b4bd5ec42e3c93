//! Tasks: futures that run between the events of a loop, each with a result that is a Deferred.

// # Theory
// Three parts. The [`RawTask`] is the user's future, boxed, with whom its result is for. The [`TaskSlot`] is
// where it lies: what is queued, and what a waker names by its key. The join side (`join.rs`) is who gets the
// result: for `spawn` a [`JoinNode`], the first node of a chain of Deferreds.
//
// ```text
//             1 spawn             2 its batch comes, or its bytes
//   free ─────────────▶ queued ──────────────────────────────────▶ polled
//    ▲                    ▲                                        │    │
//    │                    │ 4 woken                      3 pending │    │ 5 done: future dropped, result out
//    │                    └─────────── waiting ◀───────────────────┘    │   (or cancelled meanwhile)
//    │  6 release                         │ 7 cancelled                 │
//    └────────────────────────────────────┴─────────────────────────────┘
// ```
// While a task is polled it is *out of its slot*: it may spawn, wake and cancel whatever it likes, itself too.
//
// Waking queues a slot once. A turn polls what the queue held when the batch began, however long it takes;
// while that was few, it goes on with those that were woken meanwhile, so that tasks that wake each other do
// not pay for a look at the sockets each time. A task that woke *itself* waits for the next turn in any case:
// it wants others to go first, and cannot starve the sockets. A task that waits for a socket's bytes is
// polled at once when they come, without the queue, as a protocol is called at once (`waiter.rs`).
//
// Woken in the loop's own thread a waker finds its slot by the key; woken elsewhere it leaves a message
// (`mailbox.rs`).
//
// A free slot is used again with its waker, so a waker that outlives the task wakes the next one there: that
// is polled once in vain, as any future may be. The task that was there last is kept with it, over and empty:
// if the next one is of its type, that is moved into its box (`boxed`).
//
// # Invariants
// * `is_queued` is true exactly while the slot is in the queue, or among those of the next turn.
// * A slot is free while its task is absent and not being polled; only free slots are given to tasks, and
//   none that is still queued: a new task goes to the end.
// * [`Task::poll`] does not panic for what the user's future does.
// * Futures are dropped with no borrow alive.

use super::counters::Calls;
use super::flatten::Flatten;
use super::join::{Callback, Join, JoinNode, Slot};
use super::observed::Observed;
use super::owners::{OwnerId, Owners};
use super::remote::RemoteShared;
use super::watch::Work;
use super::{CURRENT, Loop, ReactorGone, run_reporting_panic};
use crate::deferred::{Deferred, IntoDeferred};
use crate::driver::Key;
use crate::failure::{Failure, Place, Result, catch_payload, panicked};
use crate::recycler::Recycler;
use crate::slots::Slots;
use pin_project_lite::pin_project;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Waker};

#[cfg(test)]
mod tests;

impl Loop {
    #[track_caller]
    pub(crate) fn spawn<F>(
        self: &Rc<Self>,
        future: F,
    ) -> Deferred<<F::Output as IntoDeferred>::Output>
    where
        F: Future + 'static,
        F::Output: IntoDeferred + 'static,
    {
        let made = Location::caller();
        if self.is_over() {
            return self.refused(future, made);
        }
        let free = self.tasks.free.take().unwrap_or_else(|| self.new_slot());
        let join = JoinNode::new(free.slot.clone());
        let future = Flatten::Future { future };
        self.tasks.launch(free, RawTask { future, made, join: join.clone() });
        Deferred::of(join, made)
    }

    /// Runs a future that nobody can cancel; `deliver` gets its result.
    ///
    /// `made` is where the user gave the future, or what made it.
    pub(crate) fn look_after<F, T: 'static>(
        self: &Rc<Self>,
        made: Place,
        future: F,
        deliver: impl FnOnce(Result<T>) + 'static,
    ) where
        F: Future + 'static,
        F::Output: IntoDeferred<Output = T> + 'static,
    {
        if self.is_over() {
            return self.refuse((future, deliver));
        }
        let (future, join) = (Flatten::Future { future }, Callback(Some(deliver)));
        self.start(RawTask { future, made, join });
    }

    /// 1. Gives a task a slot, where it is to be polled.
    pub(super) fn start(self: &Rc<Self>, task: impl Task + 'static) -> Rc<TaskSlot> {
        let free = self.tasks.free.take().unwrap_or_else(|| self.new_slot());
        self.tasks.launch(free, task)
    }

    #[inline(never)]
    fn new_slot(self: &Rc<Self>) -> FreeSlot {
        let mut slots = self.tasks.slots.borrow_mut();
        let key = slots.next_key();
        let slot = Rc::new(TaskSlot {
            key,
            waker: waker(self.remote.clone(), key),
            inner: Rc::downgrade(self),
            task: Cell::default(),
            is_queued: Cell::new(false),
            owner: Cell::default(),
        });
        slots.insert_with(|_key| slot.clone());
        FreeSlot { slot, spent: None }
    }
}

/// Where a task lies; what is queued, and what a waker names.
pub(super) struct TaskSlot {
    pub(super) key: Key,
    waker: Waker,
    inner: Weak<Loop>,
    /// Absent while it is polled, and in a free slot.
    pub(super) task: Cell<Option<Pin<Box<dyn Task>>>>,
    is_queued: Cell<bool>,
    /// Whose its task is; nobody's while the slot is free.
    pub(super) owner: Cell<OwnerId>,
}

/// A slot without a task, and the one that was there last, for its memory.
struct FreeSlot {
    slot: Rc<TaskSlot>,
    spent: Option<Pin<Box<dyn Task>>>,
}

impl TaskSlot {
    #[inline]
    pub(super) fn put(&self, task: Pin<Box<dyn Task>>) {
        // Absent until now: spares the drop of nothing.
        std::mem::forget(self.task.replace(Some(task)));
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    #[inline]
    pub(super) fn is_queued(&self) -> bool {
        self.is_queued.get()
    }
}

impl Slot for TaskSlot {
    /// 7.
    fn cancel(self: Rc<Self>) {
        let Some(inner) = self.inner.upgrade() else { return };
        match self.task.take() {
            Some(mut task) => {
                task.as_mut().cancel(gone);
                inner.tasks.release(&self, task);
            }
            None => inner.tasks.cancel_polled(self.key),
        }
    }
}

/// What whoever waits for a task is told that was dropped.
pub(super) type Why = fn(Place) -> Failure;

fn gone(made: Place) -> Failure {
    Failure::at(made, ReactorGone)
}

/// What lies in a slot.
pub(super) trait Task {
    /// Polls the future, and goes back into its slot if that is pending; else drops it, hands out its
    /// result, and leaves the slot. Called by [`Tasks::poll`] alone.
    // One call does all of it: to be polled and to be put back apart costs a frame, 12 instructions an echo.
    fn poll(self: Pin<Box<Self>>, slot: &TaskSlot, tasks: &Tasks);
    /// Drops the future, if it is there, and tells whoever waits for the result that none will come.
    fn cancel(self: Pin<&mut Self>, why: Why);
    /// Where it was given, if somebody gave it.
    fn made(&self) -> Option<Place>;
    /// Becomes the task in `next`, an `Option` of one, which it takes if that is of its own type. For one
    /// that is over.
    fn reuse(self: Pin<&mut Self>, next: &mut dyn Any);
}

/// A task in a box, that of `spent` if it fits.
fn boxed<T: Task + 'static>(spent: Option<Pin<Box<dyn Task>>>, task: T) -> Pin<Box<dyn Task>> {
    let mut next = Some(task);
    let reused = spent.and_then(|mut spent| {
        spent.as_mut().reuse(&mut next);
        next.is_none().then_some(spent)
    });
    reused.unwrap_or_else(|| Box::pin(next.expect("nobody took it")))
}

pin_project! {
    /// A future of the user, and whom its result is for.
    struct RawTask<F, T, J> {
        #[pin]
        future: Flatten<F, T>,
        made: Place,
        join: J,
    }
}

impl<F, T, J> Task for RawTask<F, T, J>
where
    F: Future + 'static,
    F::Output: IntoDeferred<Output = T>,
    J: Join<T> + 'static,
    T: 'static,
{
    fn poll(mut self: Pin<Box<Self>>, slot: &TaskSlot, tasks: &Tasks) {
        let polled = tasks.during(slot, |context| {
            let polled = catch_payload(|| self.as_mut().project().future.poll(context));
            let panicked = |payload| Poll::Ready(Err(panicked(Some(self.made), payload)));
            let Poll::Ready(outcome) = polled.unwrap_or_else(panicked) else {
                return Poll::Pending;
            };
            self.as_mut().finish(outcome);
            Poll::Ready(())
        });
        if polled.is_pending() && !tasks.polled.get().is_cancelled {
            return slot.put(self); // 3
        }
        tasks.end(slot, self);
    }

    fn cancel(self: Pin<&mut Self>, why: Why) {
        let mut this = self.project();
        run_reporting_panic("drop of a task", || this.future.set(Flatten::Over));
        this.join.abandon(why(this.made));
    }

    fn made(&self) -> Option<Place> {
        Some(self.made)
    }

    #[inline]
    fn reuse(mut self: Pin<&mut Self>, next: &mut dyn Any) {
        if let Some(next) = next.downcast_mut::<Option<Self>>().and_then(Option::take) {
            self.set(next);
        }
    }
}

impl<F, T, J: Join<T>> RawTask<F, T, J> {
    /// 5. The future goes, and its result comes out.
    fn finish(self: Pin<&mut Self>, outcome: Result<T>) {
        let mut this = self.project();
        run_reporting_panic("drop of a task", || this.future.set(Flatten::Over));
        // A value that nobody waits for is dropped there.
        run_reporting_panic("drop of a task's result", || this.join.finish(outcome));
    }
}

pub(crate) struct Tasks {
    /// All slots. Borrowed to look one up, to add one or to remove one.
    pub(super) slots: RefCell<Slots<Rc<TaskSlot>>>,
    /// Those of `slots` that are free. Saves half of spawn + await: 0.30 of tokio's in the same run, 0.84
    /// without this and the nodes.
    free: Recycler<FreeSlot>,
    /// Borrowed for one push, or to exchange a batch.
    queue: RefCell<Queue>,
    pub(super) polled: Cell<Polled>,
    pub(super) owners: Rc<Owners>,
    pub(super) polls: Calls,
    pub(super) observed: Rc<Observed>,
}

#[derive(Default)]
struct Queue {
    ready: Vec<Rc<TaskSlot>>,
    /// Those that woke themselves.
    next_turn: Vec<Rc<TaskSlot>>,
    /// Empty; the next batch's memory.
    memory: Vec<Rc<TaskSlot>>,
}

/// The task that is being polled.
#[derive(Clone, Copy)]
pub(super) struct Polled {
    /// Its slot's key, or none if none is.
    pub(super) slot: Key,
    /// How many more reads and writes it may make at once.
    budget: u32,
    /// It was cancelled meanwhile. Stays until the next is polled.
    is_cancelled: bool,
    /// The future that is polled in place was woken; see `run.rs`.
    is_main_called: bool,
}

/// So many tasks are polled before the sockets are looked at again.
const BATCH: usize = 1024;
/// So many are, if they are woken soon enough, though there were fewer at first.
const ROUND: usize = 64;
/// So many reads and writes may succeed in one poll: a peer that never pauses starves nobody.
const BUDGET: u32 = 64;
/// So many free slots are kept, after more tasks than that at a time,
const FREE: usize = 1024;
/// and with them the tasks that were there last, if they are no larger than this.
const SPENT_SIZE: usize = 1024;

impl Tasks {
    pub(super) fn new(owners: Rc<Owners>, observed: Rc<Observed>) -> Tasks {
        Tasks {
            slots: RefCell::new(Slots::new()),
            free: Recycler::new(FREE),
            queue: RefCell::default(),
            polled: Cell::new(Polled {
                slot: Key::NONE,
                budget: BUDGET,
                is_cancelled: false,
                is_main_called: false,
            }),
            owners,
            polls: Calls::default(),
            observed,
        }
    }

    /// The future that is polled in place shall be.
    pub(super) fn call_main(&self) {
        self.polled.set(Polled { is_main_called: true, ..self.polled.get() });
    }

    #[inline]
    pub(super) fn take_call_of_main(&self) -> bool {
        let polled = self.polled.get();
        self.polled.set(Polled { is_main_called: false, ..polled });
        polled.is_main_called
    }

    /// Whether there is a batch to poll, be it that it is the next turn's.
    pub(super) fn are_ready(&self) -> bool {
        let queue = self.queue.borrow();
        !queue.ready.is_empty() || !queue.next_turn.is_empty()
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.borrow().len() - self.free.len()
    }

    /// 4. By its key, from a waker.
    pub(super) fn wake(&self, key: Key) {
        if let Some(slot) = self.get(key) {
            self.enqueue(slot);
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<Rc<TaskSlot>> {
        self.slots.borrow().get(key).cloned()
    }

    /// 1.
    fn launch(&self, free: FreeSlot, task: impl Task + 'static) -> Rc<TaskSlot> {
        let FreeSlot { slot, spent } = free;
        slot.put(boxed(spent, task));
        if self.owners.are_there() {
            let owner = self.current_owner();
            slot.owner.set(owner);
            self.owners.note_begun(owner);
        }
        self.enqueue(slot.clone());
        slot
    }

    /// 1, 4.
    #[inline]
    pub(super) fn enqueue(&self, slot: Rc<TaskSlot>) {
        if slot.is_queued.replace(true) {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        match self.polled.get().slot == slot.key {
            true => queue.next_turn.push(slot),
            false => queue.ready.push(slot),
        }
    }

    /// Polls the tasks of this batch; calls `after_each` after each.
    pub(super) fn poll_batch(&self, mut after_each: impl FnMut()) {
        let mut left = self.queue.borrow().ready.len().clamp(ROUND, BATCH);
        let mut batch = std::mem::take(&mut self.queue.borrow_mut().memory);
        while self.take_batch(&mut batch, left) {
            left -= batch.len();
            for slot in batch.drain(..) {
                slot.is_queued.set(false);
                self.poll(&slot);
                after_each();
            }
        }
        let queue = &mut *self.queue.borrow_mut();
        queue.memory = batch;
        queue.ready.append(&mut queue.next_turn);
    }

    /// Moves the oldest of the queue, `limit` at most, to an empty batch. False: there are none.
    fn take_batch(&self, batch: &mut Vec<Rc<TaskSlot>>, limit: usize) -> bool {
        let queue = &mut self.queue.borrow_mut().ready;
        std::mem::swap(batch, queue);
        if batch.len() > limit {
            queue.extend(batch.drain(limit..));
        }
        !batch.is_empty()
    }

    /// 2.
    #[inline]
    pub(super) fn poll(&self, slot: &TaskSlot) {
        if self.polls.add_one() {
            self.note(slot);
        }
        if let Some(task) = slot.task.take() {
            task.poll(slot, self);
        }
    }

    /// Polls what belongs to a slot and is not in it now.
    #[inline]
    pub(super) fn during(
        &self,
        slot: &TaskSlot,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        let (waker, slot, former) = (&slot.waker, slot.key, self.polled.get());
        self.polled.set(Polled { slot, budget: BUDGET, is_cancelled: false, ..former });
        let polled = poll(&mut Context::from_waker(waker));
        self.polled.set(Polled { slot: Key::NONE, ..self.polled.get() });
        polled
    }

    /// 5. The task is done, or was cancelled while it was polled.
    #[inline(never)]
    fn end(&self, slot: &TaskSlot, mut task: Pin<Box<dyn Task>>) {
        if self.polled.get().is_cancelled {
            task.as_mut().cancel(gone);
        }
        if let Some(slot) = self.get(slot.key) {
            self.release(&slot, task);
        }
    }

    /// 6. The slot is free, or goes, if it is queued still or one too many.
    pub(super) fn release(&self, slot: &Rc<TaskSlot>, spent: Pin<Box<dyn Task>>) {
        let owner = slot.owner.replace(OwnerId::NOBODY);
        if self.observed.is_on() {
            self.observed.forget(Work::of_task(slot.key));
        }
        let spent = (size_of_val(&*spent) <= SPENT_SIZE).then_some(spent);
        let free = FreeSlot { slot: slot.clone(), spent };
        let refused = if slot.is_queued.get() { Some(free) } else { self.free.give(free) };
        if let Some(FreeSlot { slot, .. }) = refused {
            let removed = self.slots.borrow_mut().remove(slot.key);
            drop(removed);
        }
        self.owners.note_ended(owner);
    }

    /// 7. Of the task that is being polled, if it is that one.
    pub(super) fn cancel_polled(&self, key: Key) {
        let polled = self.polled.get();
        if polled.slot == key {
            self.polled.set(Polled { is_cancelled: true, ..polled });
        }
    }

    pub(super) fn cancel_all(&self) {
        let keys = self.slots.borrow().keys();
        for key in keys {
            let slot = self.get(key);
            slot.into_iter().for_each(|slot| slot.cancel());
        }
        let queue = self.queue.take();
        drop(queue);
    }

    /// Whether a task is being polled right now.
    #[inline]
    pub(crate) fn is_polling(&self) -> bool {
        self.polled.get().slot != Key::NONE
    }

    /// The slot of the task that is being polled.
    pub(super) fn polled_slot(&self) -> Option<Rc<TaskSlot>> {
        self.get(self.polled.get().slot)
    }

    /// Takes one read or write off the budget of the task being polled. False: it has none left.
    #[inline]
    pub(crate) fn spend(&self) -> bool {
        let polled = self.polled.get();
        let (budget, has_none) = polled.budget.overflowing_sub(1);
        self.polled.set(Polled { budget, ..polled });
        !has_none || self.spend_nothing()
    }

    #[inline(never)]
    fn spend_nothing(&self) -> bool {
        self.polled.set(Polled { budget: 0, ..self.polled.get() });
        // A task of another loop, or of a foreign executor, is not this one's to hold back.
        !self.is_polling()
    }
}

fn waker(remote: Arc<RemoteShared>, slot: Key) -> Waker {
    let stamp = AtomicU64::new(0);
    waker_fn::waker_fn(move || {
        if !wake_here(&remote, slot) {
            remote.wake(&stamp, slot);
        }
    })
}

/// Wakes the task of that slot if its loop is the one that runs in this thread.
fn wake_here(remote: &Arc<RemoteShared>, slot: Key) -> bool {
    let woken = CURRENT.try_with(|current| {
        let current = current.borrow();
        let here = current.as_ref().filter(|here| Arc::ptr_eq(&here.remote, remote))?;
        here.tasks.wake(slot);
        Some(())
    });
    // The thread may be ending, its locals gone: then it is woken as from another.
    woken.ok().flatten().is_some()
}
