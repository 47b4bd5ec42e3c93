// Services that do something again and again.

use super::contract::Service;
use super::running::Running;
use super::shared::Lent;
use crate::deferred::{CooperativeTask, Cooperator, LoopingCall, TaskFinished, fail, succeed};
use crate::{Deferred, IntoDeferred, Reactor};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// Calls a function when it is started, and then once each interval.
///
/// It stops between two calls: one that is under way is waited for. A function that fails has the service
/// fail, and its parent start it again.
///
/// ```
/// use ropewalk::service::TimerService;
/// use std::time::Duration;
///
/// let hourly = TimerService::new(Duration::from_secs(3600), || println!("purges"));
/// let minutely = TimerService::new_async(Duration::from_secs(60), async || {
///     ropewalk::sleep(Duration::from_secs(1)).await;
///     Ok(println!("has looked for a second"))
/// });
/// # let _ = (hourly, minutely);
/// ```
pub struct TimerService {
    interval: Duration,
    call: Lent<Call>,
    looping: Option<LoopingCall>,
    ended: Option<Deferred<()>>,
}

type Call = Box<dyn FnMut(&Reactor) -> Deferred<()>>;

impl TimerService {
    /// With a function; a Deferred that it returns is waited for before the next call.
    pub fn new<R>(interval: Duration, mut call: impl FnMut() -> R + 'static) -> TimerService
    where
        R: IntoDeferred,
        R::Output: 'static,
    {
        TimerService::with(interval, move |_| call().into_deferred().map(drop))
    }

    /// With an async function.
    pub fn new_async<F, R>(interval: Duration, call: F) -> TimerService
    where
        F: AsyncFn() -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        let call = Rc::new(call);
        TimerService::with(interval, move |reactor| {
            let call = call.clone();
            reactor.spawn(async move { call().await })
        })
    }

    fn with(
        interval: Duration,
        call: impl FnMut(&Reactor) -> Deferred<()> + 'static,
    ) -> TimerService {
        let call: Call = Box::new(call);
        TimerService { interval, call: Lent::new(call), looping: None, ended: None }
    }
}

impl Service for TimerService {
    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        let (call, reactor) = (self.call.clone(), up.reactor().clone());
        let looping = LoopingCall::new(up.reactor(), move || {
            call.with(|call| call(&reactor)).unwrap_or_else(|| succeed(()))
        });
        let (told, (trigger, ended)) = (up.clone(), Deferred::new());
        drop(looping.start(self.interval).add_both(move |outcome| {
            // It was stopped, or has failed.
            let _ = trigger.callback(());
            if let Err(failure) = outcome {
                told.ended(Err(failure));
            }
        }));
        (self.looping, self.ended) = (Some(looping), Some(ended));
        succeed(())
    }

    fn stop_service(&mut self, _: &Running) -> Deferred<()> {
        if let Some(looping) = self.looping.take() {
            // It may have ended by itself.
            let _ = looping.stop();
        }
        self.ended.take().unwrap_or_else(|| succeed(()))
    }
}

impl fmt::Debug for TimerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerService").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// Does long work in small steps, among everything else, for as long as it runs.
///
/// Clones are the same: one is added to an application, others give it work.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::application::Application;
/// use ropewalk::service::CooperatorService;
/// use ropewalk::simulation::Simulation;
///
/// let simulation = Simulation::new(1);
/// let host = simulation.host("host");
/// let steps = CooperatorService::new();
/// let application = Application::new("all").add_service(steps.clone());
/// simulation.run_until(application.run_on(&host.reactor()))?;
/// let work = steps.coiterate((0..3).map(|n| println!("step {n}")));
/// simulation.run_until(work)?;
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Default)]
pub struct CooperatorService {
    /// Absent while it does not run. Borrowed to clone and to exchange.
    cooperator: Rc<RefCell<Option<Cooperator>>>,
}

impl CooperatorService {
    /// One without work.
    pub fn new() -> CooperatorService {
        CooperatorService::default()
    }

    /// Adds work, to know when it is done. Fails with [`TaskFinished::SchedulerStopped`] when the service
    /// stops first, or does not run.
    #[track_caller]
    pub fn coiterate<W>(&self, work: W) -> Deferred<()>
    where
        W: IntoIterator<Item: IntoDeferred<Output = ()>>,
        W::IntoIter: 'static,
    {
        match self.running() {
            Some(cooperator) => cooperator.coiterate(work),
            None => fail(TaskFinished::SchedulerStopped),
        }
    }

    /// Adds work, to be watched and steered; `None` if the service does not run.
    #[track_caller]
    pub fn cooperate<W>(&self, work: W) -> Option<CooperativeTask>
    where
        W: IntoIterator<Item: IntoDeferred<Output = ()>>,
        W::IntoIter: 'static,
    {
        self.running().map(|cooperator| cooperator.cooperate(work))
    }

    fn running(&self) -> Option<Cooperator> {
        self.cooperator.borrow().clone()
    }
}

impl Service for CooperatorService {
    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        let former = self.cooperator.replace(Some(Cooperator::new(up.reactor())));
        drop(former);
        succeed(())
    }

    fn stop_service(&mut self, _: &Running) -> Deferred<()> {
        let cooperator = self.cooperator.take();
        cooperator.into_iter().for_each(|cooperator| cooperator.stop());
        succeed(())
    }
}

impl fmt::Debug for CooperatorService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CooperatorService").finish_non_exhaustive()
    }
}
