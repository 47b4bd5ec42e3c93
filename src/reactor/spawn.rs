//! Tasks with a result: a spawned future is a Deferred.

use super::tasks::{Seat, Task, Tasks};
use super::{Loop, Reactor, ReactorGone, run_reporting_panic};
use crate::deferred::{self, Cancelled, Deferred, Downstream, IntoDeferred, in_place};
use crate::failure::{Failure, Place, Result, contain_by};
use pin_project_lite::pin_project;
use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

impl Reactor {
    /// Runs a future as a task of its own and gives its result as a Deferred.
    ///
    /// The future is first polled when it is the tasks' turn, never from inside this method. Dropping
    /// the Deferred lets the task run on; cancelling it drops the future. A panic in the future
    /// becomes a failure ([`Panicked`](crate::Panicked)).
    ///
    /// ```
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let sum = reactor.spawn(async { Ok(1 + 2) }).add_callback(|n| Ok(n * 2));
    /// assert_eq!(reactor.run_until(sum)?, 6);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "spawn_local")]
    #[doc(alias = "ensureDeferred")]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Deferred<<F::Output as IntoDeferred>::Output>
    where
        F: Future + 'static,
        F::Output: IntoDeferred + 'static,
    {
        self.inner().spawn(future)
    }
}

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
        let mut next = Next { future: Some(future), made, result: None };
        self.launch(|seat, spent| {
            Work::renewed(spent, &mut next, || Head::new(Rc::downgrade(seat)))
        });
        Deferred::of(next.result.expect("a head gives itself"), made)
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
        let result = Some(Told(Some(deliver)));
        let mut next = Next { future: Some(future), made, result };
        self.launch(|_seat, spent| Work::renewed(spent, &mut next, || Told(None)));
    }
}

pin_project! {
    /// What a task does: the user's future, then what it returned if that has to be waited for.
    struct Work<F, T, R> {
        #[pin]
        stage: Stage<F, T>,
        // A cell, or it would be looked at before each poll, for the panic that there may be.
        made: Cell<Place>,
        result: R,
    }
}

pin_project! {
    #[project = StageProjection]
    pub(super) enum Stage<F, T> {
        Running { #[pin] future: F },
        /// What it returned has to be waited for, or nothing is left to do.
        Returned { deferred: Option<Deferred<T>> },
    }
}

/// What a task is made of.
struct Next<F, R> {
    /// Absent once it is taken.
    future: Option<F>,
    made: Place,
    /// Given to the task, or by it.
    result: Option<R>,
}

impl<F, T, R> Work<F, T, R>
where
    F: Future + 'static,
    F::Output: IntoDeferred<Output = T>,
    R: Deliver<T> + 'static,
    T: 'static,
{
    /// A task of `next`: one that is spent, or a new one with a result of its own.
    fn renewed(
        spent: Option<Pin<Box<dyn Task>>>,
        next: &mut Next<F, R>,
        result: impl FnOnce() -> R,
    ) -> Pin<Box<dyn Task>> {
        if let Some(mut spent) = spent
            && spent.as_mut().begin_anew(next)
        {
            return spent;
        }
        let mut work =
            Box::pin(Work { stage: Stage::OVER, made: Cell::new(next.made), result: result() });
        work.as_mut().begin(next);
        work
    }

    #[inline(always)]
    fn step(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let polled = contain_by(|| this.made.get(), || this.stage.as_mut().poll(context));
        let Poll::Ready(outcome) = polled.unwrap_or_else(|panic| Poll::Ready(Err(panic))) else {
            return Poll::Pending;
        };
        run_reporting_panic("drop of a task", || this.stage.set(Stage::OVER));
        // A value that nobody waits for is dropped there.
        run_reporting_panic("drop of a task's result", || this.result.deliver(outcome));
        Poll::Ready(())
    }

    #[inline(always)]
    fn begin(self: Pin<&mut Self>, next: &mut Next<F, R>) {
        let mut this = self.project();
        this.result.renew(&mut next.result);
        this.made.set(next.made);
        if let Some(future) = next.future.take() {
            this.stage.set(Stage::Running { future });
        }
    }
}

impl<F, T, R> Task for Work<F, T, R>
where
    F: Future + 'static,
    F::Output: IntoDeferred<Output = T>,
    R: Deliver<T> + 'static,
    T: 'static,
{
    fn poll(mut self: Pin<Box<Self>>, seat: &Rc<Seat>, tasks: &Tasks) {
        match tasks.during(seat, |context| self.as_mut().step(context)) {
            Poll::Pending => seat.put(self),
            Poll::Ready(()) => tasks.end(seat, self),
        }
    }

    fn give_up(self: Pin<&mut Self>) {
        let mut this = self.project();
        run_reporting_panic("drop of a task", || this.stage.set(Stage::OVER));
        this.result.abandon(this.made.get());
    }

    fn begin_anew(self: Pin<&mut Self>, next: &mut dyn Any) -> bool {
        let Some(next) = next.downcast_mut() else { return false };
        self.begin(next);
        true
    }
}

impl<F, T> Stage<F, T> {
    pub(super) const OVER: Self = Stage::Returned { deferred: None };
}

impl<F, T> Stage<F, T>
where
    F: Future,
    F::Output: IntoDeferred<Output = T>,
{
    #[inline(always)]
    pub(super) fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if let StageProjection::Running { future } = self.as_mut().project() {
            let returned = ready!(future.poll(context)).into_deferred();
            match returned.into_result() {
                Ok(result) => return Poll::Ready(result),
                Err(deferred) => self.set(Stage::Returned { deferred: Some(deferred) }),
            }
        }
        match self.project() {
            StageProjection::Returned { deferred: Some(deferred) } => {
                Pin::new(deferred).poll(context)
            }
            StageProjection::Returned { deferred: None } | StageProjection::Running { .. } => {
                Poll::Pending
            }
        }
    }
}

/// Whom a task's result is for.
trait Deliver<T>: Sized {
    /// Begins anew, for a task that begins: takes what it is given, or gives what shall be waited for.
    fn renew(&mut self, next: &mut Option<Self>);

    /// Called once at most for each task.
    fn deliver(&mut self, outcome: Result<T>);

    /// None will come, of the task that was made there.
    fn abandon(&mut self, made: Place);
}

/// The head of the chain of Deferreds that waits for a task.
struct Head<T> {
    tail: Downstream<T>,
    /// The result was delivered, or the task cancelled: nobody of this head sits in the seat.
    is_over: Cell<bool>,
    seat: Weak<Seat>,
}

impl<T> Head<T> {
    fn new(seat: Weak<Seat>) -> Rc<Head<T>> {
        in_place(|| Head { tail: Downstream::new(), is_over: Cell::new(false), seat })
    }
}

impl<T> Deliver<T> for Rc<Head<T>> {
    #[inline]
    fn renew(&mut self, next: &mut Option<Self>) {
        match Rc::get_mut(self) {
            Some(head) => {
                head.tail = Downstream::new();
                head.is_over = Cell::new(false);
            }
            // The Deferred of the task before is still there.
            None => *self = Head::new(self.seat.clone()),
        }
        *next = Some(self.clone());
    }

    #[inline]
    fn deliver(&mut self, outcome: Result<T>) {
        // Cancelled during its last poll: it has failed, and nobody waits any more.
        if !self.is_over.replace(true) {
            self.tail.fire(outcome);
        }
    }

    /// Its reactor has ended.
    fn abandon(&mut self, made: Place) {
        self.deliver(Err(Failure::at(made, ReactorGone)));
    }
}

impl<T: 'static> deferred::Source<T> for Head<T> {
    fn tail(&self) -> &Downstream<T> {
        &self.tail
    }

    fn forgo(self: Rc<Self>, made: Place, awaited: bool) {
        deferred::forgo(self, made, awaited);
    }
}

impl<T> deferred::Cancel for Head<T> {
    /// Drops the future: at once, or when its poll in progress returns.
    fn cancel(
        self: Rc<Self>,
        place: Place,
        rest: &mut deferred::Rest,
    ) -> Option<Rc<dyn deferred::Cancel>> {
        if !self.is_over.replace(true) {
            if let Some(seat) = self.seat.upgrade() {
                seat.give_up();
            }
            self.tail.fire_next(Err(Failure::at(place, Cancelled)), rest);
        }
        None
    }
}

/// For a function.
struct Told<D>(Option<D>);

impl<T, D: FnOnce(Result<T>)> Deliver<T> for Told<D> {
    #[inline]
    fn renew(&mut self, next: &mut Option<Self>) {
        if let Some(next) = next.take() {
            *self = next;
        }
    }

    fn deliver(&mut self, outcome: Result<T>) {
        if let Some(deliver) = self.0.take() {
            deliver(outcome);
        }
    }

    fn abandon(&mut self, _made: Place) {
        // That a handler was dropped with its reactor is no failure of the handler.
        let deliver = self.0.take();
        run_reporting_panic("drop of a task", || drop(deliver));
    }
}

#[cfg(test)]
mod tests {
    use crate::deferred::Cancelled;
    use crate::reactor::ReactorGone;
    use crate::{Deferred, Reactor, Result, on_report};
    use std::cell::{Cell, RefCell};
    use std::future::{pending, poll_fn};
    use std::rc::Rc;
    use std::task::{Poll, Waker};
    use std::time::Duration;

    type Notes = Rc<RefCell<Vec<&'static str>>>;

    /// Notes its own end.
    struct Noted(Notes, &'static str);

    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.borrow_mut().push(self.1);
        }
    }

    fn turn(reactor: &Reactor) {
        reactor.turn(Some(Duration::ZERO)).unwrap();
    }

    /// Counts its polls; wakes itself in each.
    async fn restless(polls: Rc<Cell<u32>>) {
        poll_fn(|context| {
            polls.set(polls.get() + 1);
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    #[test]
    fn a_task_that_wakes_itself_is_polled_once_a_turn() {
        let (reactor, polls) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
        drop(reactor.spawn(restless(polls.clone())));
        for count in 1..4 {
            turn(&reactor);
            assert_eq!(polls.get(), count);
        }
    }

    #[test]
    fn a_task_that_yields_goes_on_in_the_next_turn() {
        let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
        let (clock, log) = (reactor.clone(), notes.clone());
        drop(reactor.spawn(async move {
            log.borrow_mut().push("first");
            clock.yield_now().await;
            log.borrow_mut().push("second");
        }));
        turn(&reactor);
        assert_eq!(*notes.borrow(), ["first"]);
        turn(&reactor);
        assert_eq!(*notes.borrow(), ["first", "second"]);
    }

    #[test]
    fn a_task_woken_by_another_is_polled_in_the_same_turn() {
        let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
        let (trigger, bell) = Deferred::<()>::new();
        let log = notes.clone();
        drop(reactor.spawn(async move {
            let rang = bell.await;
            log.borrow_mut().push("woken");
            rang
        }));
        drop(reactor.spawn(async move { Ok(trigger.callback(())?) }));
        turn(&reactor);
        assert_eq!(*notes.borrow(), ["woken"]);
    }

    /// Two that wake each other without end.
    #[test]
    fn tasks_that_wake_each_other_let_the_turn_end() {
        let (reactor, polls) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
        let wakers: Rc<RefCell<[Option<Waker>; 2]>> = Rc::default();
        for me in 0..2 {
            let (wakers, polls) = (wakers.clone(), polls.clone());
            drop(reactor.spawn(poll_fn(move |context| -> Poll<()> {
                polls.set(polls.get() + 1);
                wakers.borrow_mut()[me] = Some(context.waker().clone());
                let other = wakers.borrow()[1 - me].clone();
                other.into_iter().for_each(Waker::wake);
                Poll::Pending
            })));
        }
        turn(&reactor);
        let first = polls.get();
        assert!(first > 2, "they should meet more than once a turn");
        turn(&reactor);
        assert_eq!(polls.get(), 2 * first);
    }

    #[test]
    fn a_cancelled_task_drops_its_future_before_its_deferred_fails() {
        let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
        let noted = Noted(notes.clone(), "dropped");
        let task = reactor.spawn(async move {
            let _noted = noted;
            pending::<Result>().await
        });
        let log = notes.clone();
        let chain = task.add_both(move |result: Result| {
            assert!(result.unwrap_err().is::<Cancelled>());
            log.borrow_mut().push("failed");
        });
        turn(&reactor);
        chain.cancel();
        assert_eq!(*notes.borrow(), ["dropped", "failed"]);
        turn(&reactor);
        assert_eq!(notes.borrow().len(), 2);
    }

    #[test]
    fn a_task_that_cancels_itself_is_dropped_when_its_poll_returns() {
        let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
        let own: Rc<RefCell<Option<Deferred<()>>>> = Rc::default();
        let (noted, mine, log) = (Noted(notes.clone(), "dropped"), own.clone(), notes.clone());
        let task = reactor.spawn(async move {
            let _noted = noted;
            let task = mine.take().unwrap();
            task.cancel();
            log.borrow_mut().push("cancelled");
            drop(task.add_errback(|failure| {
                failure.trap::<Cancelled>()?;
                Ok(())
            }));
            pending::<Result>().await
        });
        own.replace(Some(task));
        turn(&reactor);
        assert_eq!(*notes.borrow(), ["cancelled", "dropped"]);
    }

    #[test]
    fn a_task_that_is_done_cannot_be_cancelled() {
        let reactor = Reactor::new().unwrap();
        let task = reactor.spawn(async { Ok(7) });
        turn(&reactor);
        task.cancel();
        let outcome = reactor.run_until(task);
        assert_eq!(outcome.unwrap(), 7);
    }

    #[test]
    fn a_dropped_reactor_fails_the_deferreds_of_its_tasks() {
        let reactor = Reactor::new().unwrap();
        let never = Rc::new(Cell::new(false));
        let seen = never.clone();
        let task = reactor.spawn(pending::<Result>());
        drop(task.add_both(move |result: Result| {
            seen.set(result.unwrap_err().is::<ReactorGone>());
        }));
        drop(reactor);
        assert!(never.get());
    }

    #[test]
    fn a_panic_in_a_task_is_its_failure_and_nobody_elses() {
        let reports = Rc::new(Cell::new(0));
        let heard = reports.clone();
        on_report(move |_| heard.set(heard.get() + 1));
        let reactor = Reactor::new().unwrap();
        let bad = reactor.spawn(async {
            if true {
                panic!("on purpose")
            }
        });
        let good = reactor.spawn(async { Ok(7) });
        assert_eq!(reactor.run_until(good).unwrap(), 7);
        assert!(reactor.run_until(bad).unwrap_err().to_string().contains("on purpose"));
        assert_eq!(reports.get(), 0);
    }

    /// A task that gave its waker away and is done; another has taken its seat.
    #[test]
    fn a_waker_that_outlives_its_task_ends_nobody_elses_wait() {
        let reactor = Reactor::new().unwrap();
        let former = reactor.spawn(poll_fn(|context| Poll::Ready(Ok(context.waker().clone()))));
        let former = reactor.run_until(former).unwrap();
        let (trigger, bell) = Deferred::<u32>::new();
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        let mut bell = Box::pin(bell);
        let task = reactor.spawn(poll_fn(move |context| {
            count.set(count.get() + 1);
            bell.as_mut().poll(context)
        }));
        turn(&reactor);
        former.wake();
        turn(&reactor);
        assert!(polls.get() <= 2, "woken once, it was polled {} times", polls.get());
        trigger.callback(7).unwrap();
        assert_eq!(reactor.run_until(task).unwrap(), 7);
    }

    #[test]
    fn a_task_goes_to_the_end_of_the_queue_though_one_before_it_was_cancelled() {
        let (reactor, notes) = (Reactor::new().unwrap(), Notes::default());
        let note = |name| {
            let log = notes.clone();
            reactor.spawn(async move { log.borrow_mut().push(name) })
        };
        let cancelled = note("cancelled");
        drop(note("first"));
        cancelled.cancel();
        drop(cancelled.add_errback(|_cancelled| ()));
        drop(note("second"));
        turn(&reactor);
        assert_eq!(*notes.borrow(), ["first", "second"]);
        assert_eq!(reactor.inner().tasks.len(), 0);
    }

    /// Each takes the seat and the memory of the one before, whose Deferred is still held.
    #[test]
    fn tasks_of_one_kind_have_results_of_their_own() {
        let reactor = Reactor::new().unwrap();
        let begin = |n: u32| {
            let (trigger, bell) = Deferred::<()>::new();
            let task = reactor.spawn(async move {
                assert_ne!(n, 2, "on purpose");
                bell.await.map(|()| n)
            });
            turn(&reactor);
            (trigger, task)
        };
        let ended: Vec<_> = (0..5)
            .map(|n| {
                let (trigger, task) = begin(n);
                if n == 1 {
                    task.cancel();
                }
                let _ = trigger.callback(());
                turn(&reactor);
                assert_eq!(reactor.inner().tasks.len(), 0);
                task
            })
            .collect();
        let results: Vec<_> = ended
            .into_iter()
            .map(|task| reactor.run_until(task).map_err(|f| f.to_string()))
            .collect();
        let values: Vec<_> = results.iter().map(|result| result.clone().ok()).collect();
        assert_eq!(values, [Some(0), None, None, Some(3), Some(4)]);
        assert_eq!(results[1], Err(Cancelled.to_string()));
        assert!(results[2].as_ref().unwrap_err().contains("on purpose"));
    }
}
