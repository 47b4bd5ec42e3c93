// The handle on a service that runs, for the service itself and for whoever keeps it.

use super::contract::Service;
use super::error::ServiceError;
use super::life::{Life, ServiceState};
use super::limits::Drain;
use super::restart::Restart;
use crate::deferred::{Trigger, fail, succeed};
use crate::reactor::Owner;
use crate::{
    ClientEndpoint, Connected, Deferred, Factory, IntoDeferred, Listener, Port, Reactor, Result,
    ServerEndpoint, Stream,
};
use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use std::fmt;
use std::future::Future;
use std::rc::{Rc, Weak};

/// A service that runs: what it starts through this is its own, and ends with it.
///
/// It is given to the methods of [`Service`] and to the function of [`service`](super::service); clones are
/// the same.
#[derive(Clone)]
pub struct Running {
    life: Weak<Life>,
    name: Rc<str>,
    reactor: Reactor,
    owner: Owner,
    /// Which of its starts this is about.
    start: u32,
}

/// How far to start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    Privileged,
    Whole,
}

impl Running {
    pub(super) fn of(life: &Rc<Life>) -> Running {
        Running {
            life: Rc::downgrade(life),
            name: life.name.clone(),
            reactor: life.shared.reactor.clone(),
            owner: life.owner(),
            start: life.start_number(),
        }
    }

    /// What the service is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reactor that it runs on.
    pub fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// Whose everything is that it starts.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    // ---- what it owns ----

    /// [`Reactor::listen`], as its own.
    #[track_caller]
    pub fn listen<F>(&self, at: impl Into<ServerEndpoint>, factory: F) -> Result<Port>
    where
        F: Factory + 'static,
    {
        let at = at.into();
        self.owner.enter(|| self.reactor.listen(at, factory))
    }

    /// [`Reactor::serve`], as its own.
    #[track_caller]
    pub fn serve<H, R>(&self, at: impl Into<ServerEndpoint>, handler: H) -> Result<Port>
    where
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        let at = at.into();
        self.owner.enter(|| self.reactor.serve(at, handler))
    }

    /// [`Reactor::accept`], as its own.
    #[track_caller]
    pub fn accept(&self, at: impl Into<ServerEndpoint>) -> Result<Listener> {
        let at = at.into();
        self.owner.enter(|| self.reactor.accept(at))
    }

    /// [`Reactor::connect`], as its own.
    #[track_caller]
    pub fn connect<F>(
        &self,
        to: impl Into<ClientEndpoint>,
        factory: F,
    ) -> Deferred<Connected<F::Protocol>>
    where
        F: Factory + 'static,
    {
        let to = to.into();
        self.owner.enter(|| self.reactor.connect(to, factory))
    }

    /// [`Reactor::open`], as its own.
    #[track_caller]
    pub fn open(&self, to: impl Into<ClientEndpoint>) -> Deferred<Stream> {
        let to = to.into();
        self.owner.enter(|| self.reactor.open(to))
    }

    /// [`Reactor::spawn`], as its own: a stop waits for it, and cuts it off at last.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Deferred<<F::Output as IntoDeferred>::Output>
    where
        F: Future + 'static,
        F::Output: IntoDeferred + 'static,
    {
        self.owner.spawn(future)
    }

    // ---- what it says ----

    /// The service has begun, and does its work from now on.
    pub fn ready(&self) {
        if let Some(life) = self.life() {
            life.tell_ready();
        }
    }

    /// The service ended by itself; with a failure it failed.
    pub fn ended(&self, outcome: Result) {
        if let Some(life) = self.life() {
            life.ended(outcome);
        }
    }

    pub(super) fn tell_ready(&self, trigger: Trigger<()>) {
        if let Some(life) = self.life() {
            life.await_ready(trigger);
        }
    }

    // ---- what it is told ----

    /// Completes when the service is to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + Unpin + use<> {
        // One that is gone was stopped.
        let waiting = self.life().map(|life| life.stopping.wait());
        OptionFuture::from(waiting).map(drop)
    }

    /// Whether it is to stop.
    pub fn is_stopping(&self) -> bool {
        self.life().is_none_or(|life| life.stopping.is_set())
    }

    /// Completes when connections are to finish what is under way, some time before
    /// [`stopping`](Running::stopping): for work of other kinds that nobody should begin any more.
    pub fn draining(&self) -> impl Future<Output = ()> + Unpin + use<> {
        self.owner.draining()
    }

    /// Fires when the connections that it accepted are gone, and the tasks that began for them.
    pub fn connections_closed(&self) -> Deferred<()> {
        let served = self.owner.served();
        match self.life.upgrade() {
            Some(life) => life.keep(async move {
                served.await;
                Ok(())
            }),
            None => succeed(()),
        }
    }

    /// Closes ports, has connections finish what is under way, and fires when they are gone.
    pub fn drain(&self, ports: impl IntoIterator<Item = Port>) -> Deferred<()> {
        ports.into_iter().for_each(|port| drop(port.stop_listening()));
        self.owner.drain();
        self.connections_closed()
    }

    // ---- whoever keeps it ----

    /// Whether it and every service below it is ready, and none of them drains.
    pub fn is_ready(&self) -> bool {
        self.life.upgrade().is_some_and(|life| life.is_ready())
    }

    /// Begins what needs privileges, in it and in those below it.
    pub fn privileged_start_service(&self) -> Deferred<()> {
        self.with(|life| async move { life.privileged_start().await })
    }

    /// Starts it, and fires when it is ready. A failure leaves nothing behind.
    pub fn start_service(&self) -> Deferred<()> {
        self.with(|life| async move { life.start().await })
    }

    /// Stops it and those below it: drains, stops each in reverse, cuts off what is late. Asked a second
    /// time, it waits for nobody. Fails with [`LateError`](super::LateError) if some were cut off.
    pub fn stop_service(&self) -> Deferred<()> {
        // One that is gone needs no stop.
        let Some(life) = self.life.upgrade() else { return succeed(()) };
        let stopped = life.clone();
        life.keep(async move { stopped.stop().await })
    }

    /// Adds a service below this one, and starts it.
    pub fn add_service<S: Service + 'static>(&self, service: S) -> Deferred<Running> {
        let Some(life) = self.life.upgrade() else { return fail(self.gone()) };
        match life.adopt(Box::new(service)) {
            Ok(child) => {
                let (parent, starting) = (life.clone(), child.clone());
                life.keep(async move {
                    match starting.start().await {
                        Ok(()) => Ok(Running::of(&starting)),
                        Err(failure) => {
                            parent.remove(&starting);
                            Err(failure)
                        }
                    }
                })
            }
            Err(failure) => fail(failure),
        }
    }

    /// The services below this one, in the order of their start.
    pub fn services(&self) -> Vec<Running> {
        self.life
            .upgrade()
            .map_or(Vec::new(), |life| life.children().iter().map(Running::of).collect())
    }

    /// The service that it stands below, if any.
    #[doc(alias = "parent")]
    pub fn service_parent(&self) -> Option<Running> {
        self.life.upgrade()?.parent.upgrade().map(|parent| Running::of(&parent))
    }

    /// Stops it and takes it from its parent.
    #[doc(alias = "disownServiceParent")]
    #[doc(alias = "removeService")]
    pub fn disown_service_parent(&self) -> Deferred<()> {
        self.with(|life| async move {
            let outcome = life.stop().await;
            if let Some(parent) = life.parent.upgrade() {
                parent.remove(&life);
            }
            outcome
        })
    }

    /// Fires when it is over: stopped, or ended by itself and not started again. Fails with what it
    /// failed with.
    pub fn when_over(&self) -> Deferred<()> {
        self.life.upgrade().map_or_else(|| succeed(()), |life| life.when_over())
    }

    /// Where it stands.
    pub fn state(&self) -> ServiceState {
        self.life.upgrade().map_or(ServiceState::Stopped, |life| life.state())
    }

    /// How often it was started again since it was first.
    pub fn restarts(&self) -> u64 {
        self.life.upgrade().map_or(0, |life| life.again.get())
    }

    /// Stops it, with those below it, and starts it again.
    pub fn restart_service(&self) -> Deferred<()> {
        self.with(|life| async move {
            let stopped = life.stop().await;
            life.start().await?;
            stopped
        })
    }

    /// Has it, and then those below it, read anew what they were configured by. All are asked; fails with
    /// the first failure, and whoever failed goes on as before.
    pub fn reload(&self) -> Deferred<()> {
        self.with(|life| async move {
            let mut outcome = Ok(());
            for life in life.each() {
                if life.state() == ServiceState::Ready {
                    let reloaded = life.call(|service, up| service.reload(up)).await;
                    outcome = outcome.and(reloaded);
                }
            }
            outcome
        })
    }

    /// How those below it are kept.
    pub fn set_restart(&self, restart: Restart) {
        if let Some(life) = self.life.upgrade() {
            life.restart.replace(restart);
        }
    }

    /// How long its stop may take; of the whole tree.
    pub fn set_drain(&self, drain: Drain) {
        if let Some(life) = self.life.upgrade() {
            life.shared.drain.set(drain);
        }
    }

    /// Whether what needs privileges was begun in this start.
    pub(super) fn has_begun_privileged(&self) -> bool {
        self.life().is_some_and(|life| life.has_begun_privileged.get())
    }

    pub(super) fn start_children(&self, added: Vec<Box<dyn Service>>, tree: Tree) -> Deferred<()> {
        self.with(move |life| async move {
            for service in added {
                life.adopt(service)?;
            }
            for child in life.children() {
                match tree {
                    Tree::Privileged => Box::pin(child.privileged_start()).await?,
                    Tree::Whole if child.state() == ServiceState::Ready => {}
                    Tree::Whole => Box::pin(child.start()).await?,
                }
            }
            Ok(())
        })
    }

    /// A tree of one, not started yet.
    pub fn root(reactor: &Reactor, service: impl Service + 'static) -> (Running, Root) {
        let name = service.name().unwrap_or("root").to_owned();
        let life = Life::root(reactor, &name, Box::new(service));
        (Running::of(&life), Root(life))
    }

    pub(super) fn with<F>(&self, work: impl FnOnce(Rc<Life>) -> F) -> Deferred<()>
    where
        F: Future<Output = Result> + 'static,
    {
        match self.life.upgrade() {
            Some(life) => life.keep(work(life.clone())),
            None => fail(self.gone()),
        }
    }

    fn gone(&self) -> ServiceError {
        ServiceError::Gone(self.name.to_string())
    }

    /// Its life, if this is about the present one.
    fn life(&self) -> Option<Rc<Life>> {
        self.life.upgrade().filter(|life| life.start_number() == self.start)
    }
}

/// Keeps a tree of services; dropped, nobody can reach it any more.
pub struct Root(Rc<Life>);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("name", &self.name).finish_non_exhaustive()
    }
}
