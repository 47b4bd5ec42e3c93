//! The executor: futures that run between the events of a loop.
//!
//! # Theory
//! A task is a boxed future that knows whom its result is for. It sits in a [`Seat`], which has the
//! waker: tasks come and go, seats stay and are taken again, so that a waker is made once per seat. A
//! task that is over stays as well until the seat is taken: if it is of the next one's kind, that
//! begins in its memory.
//! Waking a seat puts it into the queue, once. A turn polls what the queue held when the batch began,
//! however long it takes; while that was few, it goes on with those that were woken meanwhile, so
//! that tasks that wake each other do not pay for a look at the sockets each time. A task that woke
//! *itself* waits for the next turn in any case: it wants others to go first, and cannot starve the
//! sockets.
//!
//! A task that waits for a socket's bytes is polled at once when they come, without the queue, as a
//! protocol is called at once.
//!
//! While a task is polled it is *out of its seat*: it may spawn, wake and cancel whatever it likes,
//! itself too.
//!
//! Woken in the loop's own thread a waker finds its seat by the key; woken elsewhere it leaves a
//! letter (`mailbox.rs`). What belongs to this loop remembers the seat itself instead ([`Waiter`]).
//! A waker that outlives the task wakes who sits there next: that is polled once in vain, as any
//! future may be.
//!
//! # Invariants
//! * `is_queued` is true exactly while the seat is in the queue, or among those of the next turn.
//! * A seat is vacant while its task is absent and not being polled; only vacant seats are taken, and
//!   none that is still queued: a new task goes to the end.
//! * [`Task::poll`] does not panic for what the user's future does.
//! * Futures are dropped with no borrow alive.
//!
//! # Not here
//! What is polled, and what its result goes to: `spawn.rs`.

use super::remote::RemoteShared;
use super::{CURRENT, Loop};
use crate::driver::Key;
use crate::slots::Slots;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::ptr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Waker};

pub(crate) struct Tasks {
    /// Borrowed to look one entry up or to change one.
    seats: RefCell<Slots<Rc<Seat>>>,
    /// Those of `seats` that nobody sits in. Borrowed for one push or pop.
    vacant: RefCell<Vec<Vacant>>,
    /// Borrowed for one push, or to be exchanged.
    queue: RefCell<Vec<Rc<Seat>>>,
    /// Those that woke themselves: the next turn's. Borrowed for one push, or to be emptied.
    later: RefCell<Vec<Rc<Seat>>>,
    /// Empty; kept for its memory.
    spare: Cell<Vec<Rc<Seat>>>,
    /// How many more reads and writes the task being polled may make at once.
    budget: Cell<u32>,
    /// The seat of the task being polled, or none.
    current: Cell<Key>,
    /// The future that is polled in place was woken; see `run.rs`.
    is_main_called: Cell<bool>,
}

/// Where a task sits; what is queued, and what a waker names.
pub(super) struct Seat {
    key: Key,
    waker: Waker,
    inner: Weak<Loop>,
    /// Absent while it is polled, and in a vacant seat.
    task: Cell<Option<Pin<Box<dyn Task>>>>,
    is_queued: Cell<bool>,
    /// The task was given up while it was being polled.
    is_given_up: Cell<bool>,
}

/// A vacant seat, and who sat there last, whose memory the next may use.
struct Vacant {
    seat: Rc<Seat>,
    spent: Option<Pin<Box<dyn Task>>>,
}

/// What sits in a seat: it knows what is polled, and for whom.
pub(super) trait Task {
    /// Polls the future, in [`Tasks::during`], and puts itself back into its seat; when the future is
    /// done, drops it, delivers its result, and leaves.
    fn poll(self: Pin<Box<Self>>, seat: &Rc<Seat>, tasks: &Tasks);
    /// Drops the future, and tells whoever waits for the result that none will come.
    fn give_up(self: Pin<&mut Self>);
    /// Begins anew, once it is over, with what is in `next`. False: that is of another kind.
    fn begin_anew(self: Pin<&mut Self>, next: &mut dyn Any) -> bool;
}

/// So many tasks are polled before the sockets are looked at again.
const BATCH: usize = 1024;
/// So many are, if they are woken soon enough, though there were fewer at first.
const ROUND: usize = 64;
/// So many reads and writes may succeed in one poll: a peer that never pauses starves nobody.
const BUDGET: u32 = 64;
/// So many vacant seats are kept, after more tasks than that at a time.
const VACANT: usize = 16 * 1024;
/// With so many of them who sat there is kept,
const SPENT: usize = 1024;
/// if that was no larger than this.
const SPENT_SIZE: usize = 1024;

impl Tasks {
    pub(super) fn new() -> Tasks {
        Tasks {
            seats: RefCell::new(Slots::new()),
            vacant: RefCell::default(),
            queue: RefCell::default(),
            later: RefCell::default(),
            spare: Cell::default(),
            budget: Cell::new(BUDGET),
            current: Cell::new(Key::NONE),
            is_main_called: Cell::new(false),
        }
    }

    /// The future that is polled in place shall be.
    pub(super) fn call_main(&self) {
        self.is_main_called.set(true);
    }

    #[inline]
    pub(super) fn take_call_of_main(&self) -> bool {
        self.is_main_called.replace(false)
    }

    /// Whether there is a batch to poll, be it that it is the next turn's.
    pub(super) fn are_ready(&self) -> bool {
        !self.queue.borrow().is_empty() || !self.later.borrow().is_empty()
    }

    /// How many tasks there are.
    pub(crate) fn len(&self) -> usize {
        self.seats.borrow().len() - self.vacant.borrow().len()
    }

    pub(super) fn wake(&self, key: Key) {
        let seat = self.seats.borrow().get(key).cloned();
        if let Some(seat) = seat {
            self.queue(seat);
        }
    }

    #[inline(always)]
    fn queue(&self, seat: Rc<Seat>) {
        if seat.is_queued.replace(true) {
            return;
        }
        let queue = if self.current.get() == seat.key { &self.later } else { &self.queue };
        queue.borrow_mut().push(seat);
    }

    pub(super) fn cancel_all(&self) {
        let keys = self.seats.borrow().keys();
        for key in keys {
            let seat = self.seats.borrow().get(key).cloned();
            seat.into_iter().for_each(|seat| seat.give_up());
        }
        self.queue.take();
        self.later.take();
    }

    /// Whether a task is being polled right now.
    #[inline]
    pub(crate) fn is_polling(&self) -> bool {
        self.current.get() != Key::NONE
    }

    /// Takes one read or write off the budget of the task being polled.
    #[inline(always)]
    pub(crate) fn spend(&self) -> bool {
        let (left, has_none) = self.budget.get().overflowing_sub(1);
        self.budget.set(left);
        if has_none {
            return self.spend_nothing();
        }
        true
    }

    #[cold]
    fn spend_nothing(&self) -> bool {
        self.budget.set(0);
        // A task of another loop, or of a foreign executor, is not this one's to hold back.
        !self.is_polling()
    }

    /// Polls the tasks of this batch; calls `after_each` after each.
    pub(super) fn poll_batch(&self, mut after_each: impl FnMut()) {
        let mut left = self.queue.borrow().len().clamp(ROUND, BATCH);
        let mut batch = self.spare.take();
        while self.take_batch(&mut batch, left) {
            left -= batch.len();
            for seat in batch.drain(..) {
                seat.is_queued.set(false);
                self.poll(&seat);
                after_each();
            }
        }
        self.spare.set(batch);
        self.queue.borrow_mut().append(&mut self.later.borrow_mut());
    }

    /// Moves the oldest of the queue, `limit` at most, to an empty batch. False: there are none.
    fn take_batch(&self, batch: &mut Vec<Rc<Seat>>, limit: usize) -> bool {
        let mut queue = self.queue.borrow_mut();
        std::mem::swap(batch, &mut *queue);
        if batch.len() > limit {
            queue.extend(batch.drain(limit..));
        }
        !batch.is_empty()
    }

    #[inline(always)]
    fn poll(&self, seat: &Rc<Seat>) {
        if let Some(task) = seat.task.take() {
            task.poll(seat, self);
        }
    }

    /// Polls a task that was taken out of its seat. Ready if it is not to go back.
    #[inline(always)]
    pub(super) fn during(
        &self,
        seat: &Seat,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<()>,
    ) -> Poll<()> {
        self.budget.set(BUDGET);
        self.current.set(seat.key);
        let polled = poll(&mut Context::from_waker(&seat.waker));
        self.current.set(Key::NONE);
        if seat.is_given_up.get() { Poll::Ready(()) } else { polled }
    }

    /// The task is done, or was given up while it was polled.
    #[inline(never)]
    pub(super) fn end(&self, seat: &Rc<Seat>, mut task: Pin<Box<dyn Task>>) {
        if seat.is_given_up.replace(false) {
            task.as_mut().give_up();
        }
        self.vacate(seat, task);
    }

    /// Nobody sits there any more.
    fn vacate(&self, seat: &Rc<Seat>, spent: Pin<Box<dyn Task>>) {
        let others = self.vacant.borrow().len();
        let is_kept = others < SPENT && size_of_val(&*spent) <= SPENT_SIZE;
        let vacant = Vacant { seat: seat.clone(), spent: is_kept.then_some(spent) };
        if seat.is_queued.get() || others >= VACANT {
            let removed = self.seats.borrow_mut().remove(seat.key);
            return drop((removed, vacant));
        }
        self.vacant.borrow_mut().push(vacant);
    }
}

impl Seat {
    #[inline(always)]
    pub(super) fn put(&self, task: Pin<Box<dyn Task>>) {
        // Absent while it is polled: spares the drop of nothing.
        std::mem::forget(self.task.replace(Some(task)));
    }

    /// Ends the task: at once, or when its poll in progress returns.
    pub(super) fn give_up(self: &Rc<Self>) {
        let Some(inner) = self.inner.upgrade() else { return };
        match self.task.take() {
            Some(mut task) => {
                task.as_mut().give_up();
                inner.tasks.vacate(self, task);
            }
            None => self.is_given_up.set(inner.tasks.current.get() == self.key),
        }
    }
}

/// Who waits for something: a task of this loop, or anybody else by a waker.
///
/// Knowing the task's seat spares what a waker costs: two counts, an indirect call, a look at the
/// thread.
///
/// Whoever waited last is remembered: most often it waits here again, and then nothing is exchanged.
pub(crate) struct Waiter {
    /// Exchanged whole, as `other`.
    seat: Cell<Option<Rc<Seat>>>,
    /// Who is no task, or has a waker of its own; called and dropped outside.
    other: Cell<Option<Waker>>,
    /// Where the waker of `seat` is; it is no other's, because the seat is kept.
    seen: Cell<*const Waker>,
    is_waiting: Cell<bool>,
}

impl Default for Waiter {
    fn default() -> Waiter {
        Waiter {
            seat: Cell::default(),
            other: Cell::default(),
            seen: Cell::new(ptr::null()),
            is_waiting: Cell::new(false),
        }
    }
}

impl Waiter {
    /// Remembers the task that is polled with `context`.
    #[inline(always)]
    pub(crate) fn wait(&self, context: &Context<'_>, inner: &Loop) {
        self.is_waiting.set(true);
        if !ptr::eq(context.waker(), self.seen.get()) {
            self.meet(context.waker(), &inner.tasks);
        }
    }

    #[cold]
    fn meet(&self, waker: &Waker, tasks: &Tasks) {
        let current = tasks.seats.borrow().get(tasks.current.get()).cloned();
        // A combinator that wakes by itself has a waker of its own.
        let seat = current.filter(|seat| seat.waker.will_wake(waker));
        let other = if seat.is_none() { Some(waker.clone()) } else { None };
        self.seen.set(seat.as_ref().map_or(ptr::null(), |seat| &raw const seat.waker));
        let former = (self.seat.replace(seat), self.other.replace(other));
        drop(former);
    }

    /// Wakes who waits.
    #[inline(always)]
    pub(crate) fn wake(&self, tasks: &Tasks) {
        if !self.is_waiting.replace(false) {
            return;
        }
        match self.known_seat() {
            Some(seat) => tasks.queue(seat),
            None => self.wake_other(),
        }
    }

    /// Polls the task that waits, if it is one that nobody woke yet; else wakes who waits.
    ///
    /// For the loop alone, while no task is polled.
    #[inline(always)]
    pub(crate) fn serve(&self, inner: &Loop) {
        if !self.is_waiting.replace(false) {
            return;
        }
        let Some(seat) = self.known_seat() else { return self.wake_other() };
        if !seat.is_queued.get() {
            inner.tasks.poll(&seat);
            inner.pull_cork();
        }
    }

    #[inline(always)]
    fn known_seat(&self) -> Option<Rc<Seat>> {
        let seat = self.seat.take();
        // Nobody was put there meanwhile: spares the drop of nothing.
        std::mem::forget(self.seat.replace(seat.clone()));
        seat
    }

    #[cold]
    fn wake_other(&self) {
        self.other.take().into_iter().for_each(Waker::wake);
    }
}

impl Loop {
    /// Seats a task, which is not polled yet; `make` gets its seat, and who sat there last.
    #[inline]
    pub(super) fn launch(
        self: &Rc<Self>,
        make: impl FnOnce(&Rc<Seat>, Option<Pin<Box<dyn Task>>>) -> Pin<Box<dyn Task>>,
    ) {
        let vacant = self.tasks.vacant.borrow_mut().pop();
        let Vacant { seat, spent } = vacant.unwrap_or_else(|| self.new_seat());
        seat.put(make(&seat, spent));
        self.tasks.queue(seat);
    }

    /// Seats a task that is to be polled, and says where.
    pub(super) fn sit(self: &Rc<Self>, task: Pin<Box<dyn Task>>) -> Rc<Seat> {
        let vacant = self.tasks.vacant.borrow_mut().pop();
        let Vacant { seat, spent } = vacant.unwrap_or_else(|| self.new_seat());
        drop(spent);
        seat.put(task);
        self.tasks.queue(seat.clone());
        seat
    }

    #[cold]
    fn new_seat(self: &Rc<Self>) -> Vacant {
        let mut seats = self.tasks.seats.borrow_mut();
        let key = seats.next_key();
        let seat = Rc::new(Seat {
            key,
            waker: waker(self.remote.clone(), key),
            inner: Rc::downgrade(self),
            task: Cell::default(),
            is_queued: Cell::new(false),
            is_given_up: Cell::new(false),
        });
        seats.insert_with(|_key| seat.clone());
        Vacant { seat, spent: None }
    }
}

fn waker(remote: Arc<RemoteShared>, seat: Key) -> Waker {
    let stamp = AtomicU64::new(0);
    waker_fn::waker_fn(move || {
        if !wake_here(&remote, seat) {
            remote.wake(&stamp, seat);
        }
    })
}

/// Wakes who sits there if its loop is the one that runs in this thread.
fn wake_here(remote: &Arc<RemoteShared>, seat: Key) -> bool {
    let woken = CURRENT.try_with(|current| {
        let current = current.borrow();
        let here = current.as_ref().filter(|here| Arc::ptr_eq(&here.remote, remote))?;
        here.tasks.wake(seat);
        Some(())
    });
    // The thread may be ending, its locals gone: then the letter goes the long way.
    woken.ok().flatten().is_some()
}
