//! Tasks with a result: a spawned future is a Deferred.

use super::tasks::{Body, Task};
use super::{Loop, Reactor, attempt};
use crate::deferred::{self, Cancelled, Deferred, IntoDeferred, NeverFired, Tail};
use crate::failure::{Failure, Place, Result, contain};
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

impl Reactor {
    /// Runs a future as a task of its own and gives its result as a Deferred.
    ///
    /// The future is first polled in the next batch of tasks, never from inside this method. Dropping
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
        let result = || Awaited { tail: Tail::new(), inner: Rc::downgrade(self) };
        let task = self.launch(|| Work::new(made, future, result()));
        Deferred::of(task, made)
    }

    /// Runs a future that nobody can cancel; `deliver` gets its result.
    ///
    /// `made` is where the user gave the future, or what made it.
    pub(crate) fn look_after<F, T: 'static>(
        &self,
        made: Place,
        future: F,
        deliver: impl FnOnce(Result<T>) + 'static,
    ) where
        F: Future + 'static,
        F::Output: IntoDeferred<Output = T> + 'static,
    {
        self.launch(|| Work::new(made, future, Told(Cell::new(Some(deliver)))));
    }
}

/// What a task does: the user's future, then what it returned if that has to be waited for.
struct Work<F, T, R> {
    /// Absent while it is polled, and for good once the task is over.
    stage: Cell<Option<Pin<Box<Stage<F, T>>>>>,
    made: Place,
    result: R,
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, T> {
        Running { #[pin] future: F },
        Waiting { deferred: Deferred<T> },
    }
}

impl<F, T, R> Work<F, T, R> {
    #[inline]
    fn new(made: Place, future: F, result: R) -> Work<F, T, R> {
        let stage = Box::pin(Stage::Running { future });
        Work { stage: Cell::new(Some(stage)), made, result }
    }
}

impl<F, T, R> Body for Work<F, T, R>
where
    F: Future,
    F::Output: IntoDeferred<Output = T>,
    R: Deliver<T>,
{
    fn poll(&self, is_over: &Cell<bool>, context: &mut Context<'_>) -> Poll<()> {
        let Some(mut stage) = self.stage.take() else { return Poll::Pending };
        let polled = contain(self.made, || stage.as_mut().poll(context));
        let Poll::Ready(outcome) = polled.unwrap_or_else(|panic| Poll::Ready(Err(panic))) else {
            // Absent while it is polled: spares the drop of nothing.
            std::mem::forget(self.stage.replace(Some(stage)));
            return Poll::Pending;
        };
        attempt("drop of a task", || drop(stage));
        // Cancelled during its last poll: it has failed, and nobody waits any more.
        if !is_over.replace(true) {
            self.result.deliver(outcome);
        }
        Poll::Ready(())
    }

    fn clear(&self) {
        let stage = self.stage.take();
        attempt("drop of a task", || drop(stage));
    }

    fn abandon(&self) {
        self.result.deliver(Err(Failure::at(self.made, NeverFired)));
    }
}

impl<F, T> Stage<F, T>
where
    F: Future,
    F::Output: IntoDeferred<Output = T>,
{
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        if let StageProjection::Running { future } = self.as_mut().project() {
            let returned = ready!(future.poll(context)).into_deferred();
            match returned.into_result() {
                Ok(result) => return Poll::Ready(result),
                Err(deferred) => self.set(Stage::Waiting { deferred }),
            }
        }
        match self.project() {
            StageProjection::Waiting { deferred } => Pin::new(deferred).poll(context),
            StageProjection::Running { .. } => Poll::Pending,
        }
    }
}

/// Whom a task's result is for.
trait Deliver<T> {
    /// Called once at most.
    fn deliver(&self, outcome: Result<T>);
}

/// For a Deferred: the task is the head of its chain.
struct Awaited<T> {
    tail: Tail<T>,
    inner: Weak<Loop>,
}

impl<T> Deliver<T> for Awaited<T> {
    #[inline]
    fn deliver(&self, outcome: Result<T>) {
        self.tail.fire(outcome);
    }
}

impl<F, T> deferred::Source<T> for Task<Work<F, T, Awaited<T>>>
where
    Work<F, T, Awaited<T>>: Body,
{
    fn tail(&self) -> &Tail<T> {
        &self.body.result.tail
    }
}

impl<F, T> deferred::Cancel for Task<Work<F, T, Awaited<T>>>
where
    Work<F, T, Awaited<T>>: Body,
{
    /// Drops the future: at once, or when its poll in progress returns.
    fn cancel(self: Rc<Self>, place: Place) -> Option<Rc<dyn deferred::Cancel>> {
        if !self.is_over.replace(true) {
            if let Some(inner) = self.body.result.inner.upgrade() {
                inner.tasks.forget(self.key);
            }
            self.body.clear();
            self.body.result.deliver(Err(Failure::at(place, Cancelled)));
        }
        None
    }
}

/// For a function.
struct Told<D>(Cell<Option<D>>);

impl<T, D: FnOnce(Result<T>)> Deliver<T> for Told<D> {
    fn deliver(&self, outcome: Result<T>) {
        if let Some(deliver) = self.0.take() {
            deliver(outcome);
        }
    }
}
