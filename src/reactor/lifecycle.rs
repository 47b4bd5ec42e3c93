//! Starting and stopping, in order, and whom to tell.
//!
//! ```text
//!             1 run                  2 triggers done         3 stop, or a signal
//!   idle ───────────────► starting ─────────────► running ──────────────────────► stopping
//!    ▲                                                                               │ 4 end of turn
//!    └──────────────────────────────────────────────────────────────────── shutting down
//!      5 before-triggers and work in threads waited for; connections that are ending flushed; all lost;
//!        during; after
//! ```
//! `startup` and `shutdown` each have three phases. What a before-trigger returns is waited for, with
//! the loop running; failures are reported and delay nothing. A second signal ends the waiting, a second
//! `stop` changes nothing. A trigger is called once; the next `run` needs new ones.
//!
//! Order and phases are Twisted's (`addSystemEventTrigger`), but for one: during-shutdown triggers
//! and the loss of connections come after *all* before-triggers, also those added by one of them.

use super::turn::Entered;
use super::{Loop, Reactor, ReactorStopped, run_reporting_panic};
use crate::deferred::{Deferred, IntoDeferred};
use crate::driver::Ready;
use crate::failure::{Failure, Result, plain_error};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// What a trigger waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The reactor begins to run.
    Startup,
    /// The reactor was stopped.
    Shutdown,
}

/// When a trigger is called, relative to its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// First. A Deferred that is returned delays the event until it fires.
    Before,
    /// When the event happens; at shutdown, right after all connections were lost.
    During,
    /// Last.
    After,
}

/// So long a shutdown waits for work in threads.
const THREADS_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Lifecycle {
    standing: Cell<Standing>,
    /// Borrowed to add and to take, never while a trigger is called.
    triggers: RefCell<Triggers>,
}

#[derive(Clone, Copy, Default)]
struct Standing {
    /// A turn is under way or the loop runs.
    is_entered: bool,
    is_running: bool,
    stop: Stop,
}

#[derive(Default)]
struct Triggers {
    /// In order of addition.
    list: Vec<Trigger>,
    next_id: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    #[default]
    No,
    /// In order.
    Asked,
    /// Waiting for nobody.
    Now,
}

struct Trigger {
    id: u64,
    phase: Phase,
    event: Event,
    call: Box<dyn FnOnce() -> Deferred<()>>,
}

impl Reactor {
    /// Stops the running loop in order, at the end of this turn.
    ///
    /// Fails with [`ReactorNotRunning`] if it does not run. Unlike Twisted's, a second stop is no
    /// error: the last of several callbacks that end the program need not know of the others.
    ///
    /// ```
    /// use ropewalk::reactor::ReactorNotRunning;
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// assert!(reactor.stop().unwrap_err().is::<ReactorNotRunning>());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn stop(&self) -> Result {
        self.inner().check_alive()?;
        let life = &self.inner().life;
        let standing = life.standing.get();
        if !standing.is_running {
            return Err(ReactorNotRunning.into());
        }
        life.set_stop(standing.stop.max(Stop::Asked));
        Ok(())
    }

    /// Whether the loop runs: from before the startup triggers until after those of the shutdown.
    ///
    /// ```
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// assert!(!reactor.is_running());
    /// let inside = reactor.clone();
    /// assert!(reactor.run_until(async move { Ok(inside.is_running()) })?);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn is_running(&self) -> bool {
        self.inner().life.standing.get().is_running
    }

    /// Calls `call` now if the loop runs, else right after its startup.
    ///
    /// ```
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let stopper = reactor.clone();
    /// reactor.call_when_running(move || {
    ///     println!("it runs");
    ///     stopper.stop()
    /// });
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "callWhenRunning")]
    pub fn call_when_running<F, R>(&self, call: F)
    where
        F: FnOnce() -> R + 'static,
        R: IntoDeferred,
    {
        let call = move || drop(call().into_deferred());
        if self.is_running() {
            return run_reporting_panic("call when running", call);
        }
        self.add_system_event_trigger(Phase::After, Event::Startup, call);
    }

    /// Calls `call` at a phase of the reactor's startup or shutdown.
    ///
    /// ```
    /// use ropewalk::reactor::{Event, Phase};
    /// use ropewalk::Reactor;
    /// use std::time::Duration;
    ///
    /// let reactor = Reactor::new()?;
    /// let clock = reactor.clone();
    /// reactor.add_system_event_trigger(Phase::Before, Event::Shutdown, move || {
    ///     // The shutdown waits for this Deferred.
    ///     let nap = clock.sleep(Duration::from_millis(1));
    ///     clock.spawn(async { Ok(nap.await) })
    /// });
    /// let stopper = reactor.clone();
    /// reactor.call_when_running(move || stopper.stop());
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "addSystemEventTrigger")]
    pub fn add_system_event_trigger<F, R>(
        &self,
        phase: Phase,
        event: Event,
        call: F,
    ) -> SystemEventTrigger
    where
        F: FnOnce() -> R + 'static,
        R: IntoDeferred<Output = ()>,
    {
        let (inner, life) = (self.inner().clone(), &self.inner().life);
        let id = life.next_id();
        let call = Box::new(move || call().into_deferred());
        let trigger = Trigger { id, phase, event, call };
        if inner.is_over() {
            inner.refuse(trigger);
        } else {
            life.triggers.borrow_mut().list.push(trigger);
        }
        SystemEventTrigger { inner, id }
    }

    /// Calls `call` before the shutdown, which waits for the Deferred that it may return.
    ///
    /// Connections live until all such calls are done: who drains them does it here. A second SIGINT or
    /// SIGTERM waits for nobody.
    ///
    /// ```
    /// use ropewalk::Reactor;
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    ///
    /// let reactor = Reactor::new()?;
    /// let under_way = Rc::new(Cell::new(0));
    /// let count = under_way.clone();
    /// let port = reactor.serve("127.0.0.1:0", async move |stream| {
    ///     count.set(count.get() + 1);
    ///     // ... and when it has been served:
    ///     count.set(count.get() - 1);
    ///     Ok(drop(stream))
    /// })?;
    /// let clock = reactor.clone();
    /// reactor.on_shutdown(move || {
    ///     let no_more = port.stop_listening();
    ///     clock.clone().spawn(async move {
    ///         no_more.await?;
    ///         while under_way.get() > 0 {
    ///             clock.sleep(Duration::from_millis(100)).await;
    ///         }
    ///         Ok(())
    ///     })
    /// });
    /// let stopper = reactor.clone();
    /// reactor.call_when_running(move || stopper.stop());
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn on_shutdown<F, R>(&self, call: F) -> SystemEventTrigger
    where
        F: FnOnce() -> R + 'static,
        R: IntoDeferred<Output = ()>,
    {
        self.add_system_event_trigger(Phase::Before, Event::Shutdown, call)
    }
}

/// A trigger that was added; dropping this changes nothing.
pub struct SystemEventTrigger {
    inner: Rc<Loop>,
    id: u64,
}

impl SystemEventTrigger {
    /// Takes the trigger back. False: it was called already, or removed.
    #[doc(alias = "removeSystemEventTrigger")]
    pub fn remove(&self) -> bool {
        let mut triggers = self.inner.life.triggers.borrow_mut();
        let Some(place) = triggers.list.iter().position(|trigger| trigger.id == self.id) else {
            return false;
        };
        let removed = triggers.list.remove(place);
        drop(triggers);
        run_reporting_panic("drop of a system event trigger", || drop(removed));
        true
    }
}

impl fmt::Debug for SystemEventTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemEventTrigger").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Lifecycle {
    /// Takes the triggers of one phase, in order of addition.
    fn take(&self, phase: Phase, event: Event) -> Vec<Trigger> {
        let list = &mut self.triggers.borrow_mut().list;
        let wanted = |trigger: &mut Trigger| trigger.phase == phase && trigger.event == event;
        list.extract_if(.., wanted).collect()
    }

    fn next_id(&self) -> u64 {
        let mut triggers = self.triggers.borrow_mut();
        triggers.next_id += 1;
        triggers.next_id
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = self.standing.get();
        change(&mut standing);
        self.standing.set(standing);
    }

    fn begin(&self) {
        self.change(|standing| (standing.is_running, standing.stop) = (true, Stop::No));
    }

    fn set_stop(&self, stop: Stop) {
        self.change(|standing| standing.stop = stop);
    }
}

impl Loop {
    pub(super) fn forget_triggers(&self) {
        let all = std::mem::take(&mut self.life.triggers.borrow_mut().list);
        for trigger in all {
            run_reporting_panic("drop of a system event trigger", || drop(trigger));
        }
    }

    /// Marks the loop as entered, so that nobody enters it again from inside.
    #[track_caller]
    pub(super) fn enter(self: &Rc<Self>) -> Result<Entered> {
        self.check_alive()?;
        if self.is_entered() {
            return Err(ReactorAlreadyRunning.into());
        }
        self.life.change(|standing| standing.is_entered = true);
        Ok(Entered::new(self))
    }

    /// It does not run any more.
    pub(super) fn stop_running(&self) {
        self.life.change(|standing| standing.is_running = false);
    }

    /// Undoes `enter`.
    pub(super) fn left(self: &Rc<Self>) {
        self.life.change(|standing| standing.is_entered = false);
        self.counting.leave();
        self.observed.note_idle();
        self.end_if_doomed();
    }

    /// One turn of a loop that somebody else runs among others: it starts with the first, and shuts
    /// down after the one in which it was stopped. It does not wait: `tell` says what is ready.
    /// Returns whether it still runs.
    pub(crate) fn turn_hosted(self: &Rc<Self>, tell: impl FnOnce(&mut Vec<Ready>)) -> Result<bool> {
        let _entered = self.enter()?;
        if !self.life.standing.get().is_running {
            self.life.begin();
            self.fire_all(Event::Startup, &mut || ())?;
        }
        self.hear(tell);
        self.serve_turn(&mut || ());
        self.unexpected_report()?;
        if self.is_doomed() {
            return Ok(false);
        }
        if !self.is_stopping() {
            return Ok(true);
        }
        let outcome = self.shut_down(&mut || ());
        self.stop_running();
        outcome.map(|()| false)
    }

    /// Whether a turn of it is under way.
    pub(crate) fn is_entered(&self) -> bool {
        self.life.standing.get().is_entered
    }

    #[track_caller]
    pub(super) fn start_running(self: &Rc<Self>) -> Result<Running> {
        let running = Running { entered: self.enter()?, inner: self.clone() };
        self.life.begin();
        #[cfg(feature = "signals")]
        super::signals::watch(self)?;
        self.fire_all(Event::Startup, &mut || ())?;
        Ok(running)
    }

    fn fire_all(self: &Rc<Self>, event: Event, main: &mut dyn FnMut()) -> Result {
        self.fire(Phase::Before, event, main)?;
        self.fire(Phase::During, event, main)?;
        self.fire(Phase::After, event, main)
    }

    /// Whether somebody asked the loop to stop.
    #[inline]
    pub(super) fn is_stopping(&self) -> bool {
        self.life.standing.get().stop != Stop::No
    }

    /// Whether it shall wait for nobody.
    pub(super) fn is_stopping_now(&self) -> bool {
        self.life.standing.get().stop == Stop::Now
    }

    /// 4 and 5; `main` is called as in each turn.
    pub(super) fn shut_down(self: &Rc<Self>, main: &mut dyn FnMut()) -> Result {
        self.fire(Phase::Before, Event::Shutdown, main)?;
        self.finish_threads(main)?;
        self.flush_ending(true, main)?;
        self.sources.lose_all(&Failure::from(ReactorStopped));
        self.fire(Phase::During, Event::Shutdown, main)?;
        let fired = self.fire(Phase::After, Event::Shutdown, main);
        // No turn follows that would send what these wrote.
        self.sources.flush();
        fired
    }

    /// Calls the triggers of one phase until none is left; those before an event are waited for.
    fn fire(self: &Rc<Self>, phase: Phase, event: Event, main: &mut dyn FnMut()) -> Result {
        loop {
            let batch = self.life.take(phase, event);
            if batch.is_empty() {
                return Ok(());
            }
            let waiting = Rc::new(Cell::new(0usize));
            for trigger in batch {
                run_reporting_panic("system event trigger", || call_trigger(trigger, &waiting));
            }
            while phase == Phase::Before && waiting.get() > 0 && !self.is_stopping_now() {
                self.turn(None, main)?;
            }
        }
    }

    /// Waits for the work in threads, unless somebody is impatient; see `threads.rs`.
    fn finish_threads(self: &Rc<Self>, main: &mut dyn FnMut()) -> Result {
        let is_late = Rc::new(Cell::new(false));
        let late = is_late.clone();
        let timer = self.timers.call_later(THREADS_TIMEOUT, Box::new(move || late.set(true)));
        while self.threads.are_busy() && !is_late.get() && !self.is_stopping_now() {
            self.turn(None, main)?;
        }
        // Over already is as good.
        let _ = timer.cancel();
        self.threads.report_work("work in a thread goes on after the reactor stopped");
        Ok(())
    }

    /// What a signal asks for: stop, and if that is under way, at once.
    #[cfg(feature = "signals")]
    pub(super) fn stop_by_signal(&self) {
        let next = if self.is_stopping() { Stop::Now } else { Stop::Asked };
        self.life.set_stop(next);
    }
}

/// Calls one trigger and counts it in `waiting` until what it returned has fired.
fn call_trigger(trigger: Trigger, waiting: &Rc<Cell<usize>>) {
    let returned = (trigger.call)();
    waiting.set(waiting.get() + 1);
    let left = waiting.clone();
    // The result is passed on: a failure that nobody handles is reported as of any Deferred.
    drop(returned.add_both(move |result| {
        left.set(left.get() - 1);
        result
    }));
}

/// While it lives, the loop runs.
pub(super) struct Running {
    #[expect(dead_code, reason = "held for its Drop")]
    entered: Entered,
    pub(super) inner: Rc<Loop>,
}

impl Drop for Running {
    fn drop(&mut self) {
        #[cfg(feature = "signals")]
        super::signals::unwatch(&self.inner);
        self.inner.stop_running();
    }
}

plain_error! {
    /// The reactor was told to stop, but it does not run.
    ReactorNotRunning, "the reactor is not running"
}
plain_error! {
    /// The reactor was told to run from inside one of its own turns.
    ReactorAlreadyRunning, "the reactor is already running"
}
