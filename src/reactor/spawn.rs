//! Tasks with a result: a spawned future is a Deferred.

use super::{Caught, Loop, Reactor};
use crate::deferred::{Deferred, IntoDeferred, Trigger};
use crate::driver::Key;
use crate::failure::Result;
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
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
        let mut spawned = None;
        self.launch(|key| {
            let (trigger, deferred) = self.deferred_of_task(key);
            spawned = Some(deferred);
            Spawned::new(made, future, move |outcome| fire(&trigger, outcome))
        });
        spawned.expect("launch calls its closure")
    }

    #[track_caller]
    fn deferred_of_task<T: 'static>(self: &Rc<Self>, key: Key) -> (Trigger<T>, Deferred<T>) {
        let inner = self.clone();
        Deferred::with_canceller(move |_| inner.tasks.cancel(key))
    }
}

pin_project! {
    /// A task's whole life: the user's future, what it may leave to wait for, the result's delivery.
    pub(crate) struct Spawned<F, T, D> {
        deliver: Option<D>,
        #[pin]
        stage: Stage<F, T>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, T> {
        Running { #[pin] future: Caught<F> },
        Waiting { #[pin] deferred: Deferred<T> },
    }
}

impl<F, T, D> Spawned<F, T, D>
where
    F: Future,
    D: FnOnce(Result<T>),
{
    /// `made` is where the user gave the future; `deliver` gets its result.
    pub(crate) fn new(made: &'static Location<'static>, future: F, deliver: D) -> Spawned<F, T, D> {
        let stage = Stage::Running { future: Caught::new(made, future) };
        Spawned { deliver: Some(deliver), stage }
    }
}

impl<F, T, D> Future for Spawned<F, T, D>
where
    F: Future,
    F::Output: IntoDeferred<Output = T>,
    D: FnOnce(Result<T>),
    T: 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut this = self.as_mut().project();
            let outcome = match this.stage.as_mut().project() {
                StageProjection::Waiting { deferred } => ready!(deferred.poll(context)),
                StageProjection::Running { future } => match ready!(future.poll(context)) {
                    Err(failure) => Err(failure),
                    Ok(output) => {
                        this.stage.set(Stage::Waiting { deferred: output.into_deferred() });
                        continue;
                    }
                },
            };
            if let Some(deliver) = this.deliver.take() {
                deliver(outcome);
            }
            return Poll::Ready(());
        }
    }
}

fn fire<T: 'static>(trigger: &Trigger<T>, outcome: Result<T>) {
    // Cancelled during its last poll: the Deferred failed then, and nobody waits any more.
    let _ = match outcome {
        Ok(value) => trigger.callback(value).is_ok(),
        Err(failure) => trigger.errback(failure).is_ok(),
    };
}
