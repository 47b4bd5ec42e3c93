//! Running the loop: until it is stopped, or until a future completes, which is polled in place.
//!
//! # Theory
//! The future of `run_until` is no task: it stays where the caller has it, and so may borrow. It has a
//! slot like a task, so that it is woken like one. The task in that slot does nothing but say so when it
//! is polled ([`Tasks::call_main`]), and the turn polls the future right then, with no task being polled.
//!
//! # Not here
//! Starting and stopping (`lifecycle.rs`).

use super::flatten::Flatten;
use super::join::Slot;
use super::lifecycle::Running;
use super::tasks::{Task, TaskSlot, Tasks, Why};
use super::watch::Work;
use super::{Loop, Reactor, ReactorStopped, run_reporting_panic};
use crate::deferred::IntoDeferred;
use crate::failure::{Place, Result, catch_panic};
use pin_project_lite::pin_project;
use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

impl Reactor {
    /// Runs until [`Reactor::stop`] is called or SIGINT or SIGTERM arrives (feature `signals`).
    ///
    /// May be called again afterwards. Returns when connections that were ending, and standard output, have
    /// sent what was written to them ([`set_flush_timeout`](Reactor::set_flush_timeout)); those that are
    /// open are lost. Fails at once if the loop runs already, and whenever the driver does.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// let stopper = reactor.clone();
    /// reactor.call_later(Duration::from_millis(1), move || stopper.stop());
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn run(&self) -> Result {
        let inner = self.inner();
        let _running = inner.start_running()?;
        let nobody = &mut || ();
        inner.run_while(|| true, nobody)?;
        inner.shut_down(nobody)?;
        inner.unexpected_report()
    }

    /// Runs until the future completes, and returns its result.
    ///
    /// The future is polled where it is: it may borrow. Connections and tasks stay as they are then, and
    /// are served when the reactor next runs; only those connections that are ending already, and standard
    /// output, are first flushed, as by [`run`](Reactor::run).
    ///
    /// # When it is stopped
    /// If the reactor is stopped first, by [`stop`](Reactor::stop) or by Ctrl-C, the future is dropped, the
    /// reactor shuts down, and the error is [`ReactorStopped`]: there is no value to return, and whoever
    /// goes on as if there were would be wrong. For [`run`](Reactor::run) a stop is the only end in order,
    /// and so it is no error there. A program that is one async function and should end with status 0 at
    /// Ctrl-C is run by [`react`](crate::react).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let reactor = ropewalk::Reactor::new()?;
    /// let name = String::from("rope");
    /// let length = reactor.run_until(async {
    ///     reactor.sleep(Duration::from_millis(1)).await;
    ///     Ok(name.len()) // neither was moved
    /// })?;
    /// assert_eq!(length, 4);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "block_on")]
    #[track_caller]
    pub fn run_until<F>(&self, future: F) -> Result<<F::Output as IntoDeferred>::Output>
    where
        F: Future<Output: IntoDeferred>,
    {
        let made = Location::caller();
        let inner = self.inner();
        let running = inner.start_running()?;
        let mut main = pin!(Main::new(&running, future, made));
        let ran = main.as_mut().run();
        main.as_mut().give_up();
        if let Some(result) = main.take_outcome() {
            // The owner may have gone with the future: then there is nothing to be flushed.
            ran.and_then(|()| inner.flush_ending(false, &mut || ())).or_else(unless_gone)?;
            return result.and_then(|value| inner.unexpected_report().map(|()| value));
        }
        ran?;
        inner.unexpected_report()?;
        inner.shut_down(&mut || ())?;
        Err(ReactorStopped.into())
    }

    /// Sets how long a run that is over waits for connections that are ending, and for standard output,
    /// to have sent what was written to them; 5 s unless set, and not at all if that is zero.
    ///
    /// Meanwhile everything is served as before. What is left then is aborted if the reactor shuts down, and
    /// waits for the next run after [`run_until`](Reactor::run_until).
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.set_flush_timeout(Duration::from_secs(30)); // the peers are far away
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn set_flush_timeout(&self, timeout: Duration) {
        self.inner().flush_timeout.set(timeout);
    }
}

/// That the reactor is gone is no error of a future that has its result.
fn unless_gone(failure: crate::Failure) -> Result {
    failure.trap::<super::ReactorGone>().map(|_| ())
}

pin_project! {
    /// A future that is polled where it is, by the turns of a loop that runs.
    pub(super) struct Main<'l, F, T> {
        running: &'l Running,
        slot: Rc<TaskSlot>,
        made: Place,
        #[pin]
        future: Flatten<F, T>,
        outcome: Option<Result<T>>,
    }
}

impl<'l, F, T> Main<'l, F, T>
where
    F: Future,
    F::Output: IntoDeferred<Output = T>,
{
    pub(super) fn new(running: &'l Running, future: F, made: Place) -> Main<'l, F, T> {
        let slot = running.inner.start(InPlace);
        Main { running, slot, made, future: Flatten::Future { future }, outcome: None }
    }

    /// Runs until the future is done, or the loop is stopped.
    pub(super) fn run(mut self: Pin<&mut Self>) -> Result {
        let inner = &self.running.inner;
        let is_done = Cell::new(false);
        let mut poll = || {
            self.as_mut().poll();
            is_done.set(self.outcome.is_some());
        };
        inner.run_while(|| !is_done.get(), &mut poll)
    }

    /// Shuts the loop down, and goes on meanwhile.
    pub(super) fn shut_down(mut self: Pin<&mut Self>) -> Result {
        let inner = &self.running.inner;
        inner.shut_down(&mut || self.as_mut().poll())
    }

    fn poll(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.outcome.is_some() {
            return;
        }
        let (outcome, made) = (this.outcome, *this.made);
        let inner = &this.running.inner;
        if inner.tasks.polls.add_one() {
            inner.observed.note_once(Work::LOOP, || name_of(made));
        }
        let polled = inner.tasks.during(this.slot, |context| {
            let polled = catch_panic(made, || this.future.as_mut().poll(context));
            polled.unwrap_or_else(|panic| Poll::Ready(Err(panic))).map(|it| *outcome = Some(it))
        });
        if polled.is_ready() {
            run_reporting_panic("drop of a future", || this.future.set(Flatten::Over));
        }
    }

    /// Drops the future, if it is not done.
    pub(super) fn give_up(self: Pin<&mut Self>) {
        let mut this = self.project();
        run_reporting_panic("drop of a future", || this.future.set(Flatten::Over));
        this.slot.clone().cancel();
    }

    pub(super) fn take_outcome(self: Pin<&mut Self>) -> Option<Result<T>> {
        self.project().outcome.take()
    }
}

fn name_of(made: Place) -> String {
    format!("the future that is run at {}:{}", made.file(), made.line())
}

/// The task in the slot of a future that is polled in place.
struct InPlace;

impl Task for InPlace {
    fn poll(self: Pin<Box<Self>>, slot: &TaskSlot, tasks: &Tasks) {
        tasks.call_main();
        slot.put(self);
    }

    fn cancel(self: Pin<&mut Self>, _: Why) {}

    fn made(&self) -> Option<Place> {
        None
    }

    fn reuse(self: Pin<&mut Self>, _next: &mut dyn Any) {}
}

impl Loop {
    /// Makes turns as long as that is wanted, nobody stops it and no report ends it.
    fn run_while(self: &Rc<Self>, is_wanted: impl Fn() -> bool, main: &mut dyn FnMut()) -> Result {
        while is_wanted() && !self.is_stopping() && !self.has_unexpected_report() {
            self.turn(None, main)?;
        }
        Ok(())
    }

    /// Goes on until the connections that are ending now, and standard output, have sent all; not beyond
    /// the flush timeout, and not if somebody is impatient, as after a second signal.
    pub(super) fn flush_ending(
        self: &Rc<Self>,
        is_shutdown: bool,
        main: &mut dyn FnMut(),
    ) -> Result {
        let mut ending = self.sources.ending();
        let limit = self.flush_timeout.get();
        if ending.is_empty() || limit.is_zero() {
            return Ok(());
        }
        let is_late = Rc::new(Cell::new(false));
        let late = is_late.clone();
        let timer = self.timers.call_later(limit, Box::new(move || late.set(true)));
        let is_impatient = || match is_shutdown {
            true => self.is_stopping_now(),
            false => self.is_stopping(),
        };
        while !ending.is_empty() && !is_late.get() && !is_impatient() {
            self.turn(None, main)?;
            self.sources.keep_ending(&mut ending);
        }
        // Over already is as good.
        let _ = timer.cancel();
        Ok(())
    }
}
