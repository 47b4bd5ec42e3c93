// A client that comes back: Twisted's machine, as one task.
//
// ```text
//              1 start              2 made, and prepared          3 lost
//   stopped ───────────► connecting ────────────────────► connected ──────┐
//      ▲                  ▲   │ 4 failed                     │            │
//      │                  │   ▼                              │            │
//      │                  └─ waiting ◀───────────────────────┼────────────┘
//      └─ 5 stop: the attempt is given up, the wait too, the connection lost in order and waited for
// ```
// The machine's way is the body of `run`, and its stage is known to whoever asks `when_connected`.
//
// # Invariants
// * `connected` is there exactly while a connection is prepared and not lost.
// * A waiter is told once; no borrow is alive then.

use super::backoff::BackoffPolicy;
use super::contract::Service;
use super::dialing::{Dial, Dialed, Handling, Protocols};
use super::error::Permanent;
use super::running::Running;
use super::shared::Lent;
use crate::deferred::{Cancelled, Trigger, fail, maybe_deferred, succeed};
use crate::net::ConnectError;
use crate::{
    ClientEndpoint, Connected, Deferred, Factory, Failure, IntoDeferred, Result, Stream, Transport,
};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

/// Connects, and connects again whenever the connection is lost or cannot be made, after a wait.
///
/// Clones are the same: one is added to an application, others ask [`when_connected`](Self::when_connected).
/// `C` is what they get: a [`Connected`] protocol, or the [`Transport`] of a connection that an async function
/// serves.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::application::Application;
/// use ropewalk::prelude::*;
/// use ropewalk::service::ClientService;
/// use ropewalk::simulation::Simulation;
///
/// struct Counter(usize);
/// impl Protocol for Counter {
///     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
///         self.0 += data.len();
///         Ok(())
///     }
/// }
/// let simulation = Simulation::new(1);
/// let (server, host) = (simulation.host("server"), simulation.host("host"));
/// server.reactor().serve("0.0.0.0:7", async |mut stream| {
///     Ok(stream.read_exact(&mut [0; 5]).await?) // and hangs up: the client comes back
/// })?;
/// let client = ClientService::new("server:7", |_: &Address| Counter(0))
///     .prepare_connection(|connected| Ok(connected.transport().write("login")));
/// let application = Application::new("all").add_service(client.clone());
/// simulation.run_until(application.run_on(&host.reactor()))?;
/// for _ in 0..2 {
///     let connected = simulation.run_until(client.when_connected(None))?;
///     simulation.run_for(std::time::Duration::from_secs(2))?;
///     assert!(!connected.transport().is_connected());
/// }
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
///
/// # Rules
/// * **Waits** are a [`BackoffPolicy`]'s. How often it failed is forgotten only once a connection has lasted
///   for [`healthy_after`](Self::healthy_after), 10 s, or somebody said [`healthy`](Self::healthy): a server
///   that takes connections and closes them at once is not asked again at once for ever.
/// * **Preparing** belongs to connecting: who waits is told when it is over, and a connection whose preparation
///   fails, or is late for a stop, is closed.
/// * **A failure that is [`Permanent`]** ends the service: it connects no more. So does an endpoint that is
///   none, and, if [asked for](Self::unknown_host_is_permanent), a host that nobody knows.
/// * **A stop** gives up the attempt, or loses the connection in order and waits for its end; whoever waits for
///   a connection is told [`Cancelled`], and so is who asks while it does not run.
/// * It is ready as soon as it is started, connected or not.
pub struct ClientService<C: 'static> {
    machine: Rc<Machine<C>>,
}

struct Machine<C: 'static> {
    to: ClientEndpoint,
    dial: Box<dyn Dial<C>>,
    prepare: Lent<Prepare<C>>,
    policy: Cell<BackoffPolicy>,
    healthy_after: Cell<Duration>,
    is_unknown_permanent: Cell<bool>,
    stage: Cell<Stage>,
    /// Borrowed to clone and to exchange.
    connected: RefCell<Option<C>>,
    /// Attempts that failed, one after the other.
    failed: Cell<u32>,
    /// Borrowed to add one and to take all.
    waiting: RefCell<Vec<Waiter<C>>>,
    running: Cell<Option<Deferred<()>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It was never started: who waits for a connection waits for that.
    Init,
    Running,
    Stopped,
}

type Prepare<C> = Box<dyn FnMut(C) -> Deferred<()>>;

struct Waiter<C: 'static> {
    trigger: Trigger<C>,
    /// So many more failures it bears; `None`: any.
    bears: Option<u32>,
}

impl<P: crate::Protocol + 'static> ClientService<Connected<P>> {
    /// With a protocol of the factory's for each connection.
    pub fn new<F>(to: impl Into<ClientEndpoint>, factory: F) -> ClientService<Connected<P>>
    where
        F: Factory<Protocol = P> + 'static,
    {
        ClientService::with(to.into(), Protocols(Lent::new(factory)))
    }
}

impl ClientService<Transport> {
    /// With an async function that serves each connection; it is over when that returns.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    /// use ropewalk::service::ClientService;
    ///
    /// let feed = ClientService::serve("feed.example:7001", async |mut stream| {
    ///     let mut line = String::new();
    ///     while stream.read_line(&mut line).await? > 0 {
    ///         print!("{line}");
    ///         line.clear();
    ///     }
    ///     Ok(())
    /// });
    /// # let _ = feed;
    /// ```
    pub fn serve<H, R>(to: impl Into<ClientEndpoint>, handler: H) -> ClientService<Transport>
    where
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        ClientService::with(to.into(), Handling(Rc::new(handler)))
    }
}

impl<C: Clone + 'static> ClientService<C> {
    fn with(to: ClientEndpoint, dial: impl Dial<C> + 'static) -> ClientService<C> {
        let nothing: Prepare<C> = Box::new(|_| succeed(()));
        let machine = Machine {
            to,
            dial: Box::new(dial),
            prepare: Lent::new(nothing),
            policy: Cell::new(BackoffPolicy::new()),
            healthy_after: Cell::new(HEALTHY_AFTER),
            is_unknown_permanent: Cell::new(false),
            stage: Cell::new(Stage::Init),
            connected: RefCell::default(),
            failed: Cell::new(0),
            waiting: RefCell::default(),
            running: Cell::default(),
        };
        ClientService { machine: Rc::new(machine) }
    }

    /// The waits between attempts.
    #[doc(alias = "retryPolicy")]
    #[must_use]
    pub fn backoff_policy(self, policy: BackoffPolicy) -> ClientService<C> {
        self.machine.policy.set(policy);
        self
    }

    /// Calls `prepare` with each connection before anybody else has it; what it returns is waited for, and a
    /// failure is one of the attempt.
    #[doc(alias = "prepareConnection")]
    #[must_use]
    pub fn prepare_connection<R>(
        self,
        mut prepare: impl FnMut(C) -> R + 'static,
    ) -> ClientService<C>
    where
        R: IntoDeferred<Output = ()>,
    {
        let prepare: Prepare<C> = Box::new(move |connected| maybe_deferred(|| prepare(connected)));
        let former = self.machine.prepare.with(|place| std::mem::replace(place, prepare));
        drop(former);
        self
    }

    /// So long a connection must last for earlier failures to be forgotten: 10 s, unless told otherwise.
    #[must_use]
    pub fn healthy_after(self, time: Duration) -> ClientService<C> {
        self.machine.healthy_after.set(time);
        self
    }

    /// A host that has no address ends the service.
    #[must_use]
    pub fn unknown_host_is_permanent(self) -> ClientService<C> {
        self.machine.is_unknown_permanent.set(true);
        self
    }

    /// The connection: fires at once if there is one, else when one is made and prepared. With a number it
    /// fails with the last of so many failures, counted from now on.
    ///
    /// Fails with [`Cancelled`] when the service stops first, or does not run. Cancelling the Deferred leaves
    /// others who wait alone.
    #[doc(alias = "whenConnected")]
    #[track_caller]
    pub fn when_connected(&self, fail_after: Option<u32>) -> Deferred<C> {
        if let Some(connected) = self.machine.connected() {
            return succeed(connected);
        }
        if self.machine.stage.get() == Stage::Stopped {
            return fail(Cancelled);
        }
        let (trigger, deferred) = Deferred::new();
        let waiter = Waiter { trigger, bears: fail_after };
        self.machine.waiting.borrow_mut().push(waiter);
        deferred
    }

    /// All is well: earlier failures are forgotten now, whatever time the connection has lasted.
    pub fn healthy(&self) {
        self.machine.failed.set(0);
    }
}

const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// Why it goes no further.
enum End {
    Stopped,
    Failed(Failure),
}

impl<C: Clone + 'static> Machine<C> {
    fn connected(&self) -> Option<C> {
        self.connected.borrow().clone()
    }

    /// All of its way; ends when it is stopped, or by a failure that lasts.
    async fn run(&self, up: &Running) -> Result {
        // How often it failed is kept over a stop, as Twisted keeps it: the server is none the better for it.
        loop {
            let reached = self.reach(up).await;
            let outcome = match reached {
                Ok(dialed) => self.attend(dialed, up).await,
                Err(End::Failed(failure)) => self.note_failure(failure),
                Err(End::Stopped) => return Ok(()),
            };
            match outcome {
                Ok(()) => {}
                Err(End::Stopped) => return Ok(()),
                Err(End::Failed(failure)) => return Err(failure),
            }
            // A loss counts as a failure: what makes it the first is that the connection was healthy.
            self.failed.set(self.failed.get().saturating_add(1));
            let wait = self.policy.get().delay(self.failed.get(), up.reactor().random());
            if let Either::Right(_) = select(up.reactor().sleep(wait), up.stopping()).await {
                return Ok(());
            }
        }
    }

    /// 2: a connection that is prepared.
    async fn reach(&self, up: &Running) -> Result<Dialed<C>, End> {
        let dialing = up.owner().enter(|| self.dial.dial(&self.to, up));
        let mut dialed = match select(dialing, up.stopping()).await {
            Either::Left((dialed, _)) => dialed.map_err(End::Failed)?,
            Either::Right(_) => return Err(End::Stopped),
        };
        let connected = dialed.connected.clone();
        let prepared = up.owner().enter(|| self.prepare.with(|prepare| prepare(connected)));
        let prepared = prepared.unwrap_or_else(|| succeed(()));
        let ended = select(dialed.lost.wait(), up.stopping());
        let outcome = match select(prepared, ended).await {
            Either::Left((Ok(()), _)) => return Ok(dialed),
            Either::Left((Err(failure), _)) => End::Failed(failure),
            Either::Right((Either::Left((reason, _)), _)) => End::Failed(reason),
            Either::Right((Either::Right(_), _)) => End::Stopped,
        };
        dialed.close().await;
        Err(outcome)
    }

    /// 3 or 5: the connection is there until it is lost.
    async fn attend(&self, mut dialed: Dialed<C>, up: &Running) -> Result<(), End> {
        self.set_connected(Some(dialed.connected.clone()));
        for waiter in self.waiting.take() {
            // Whoever cancelled wants it no more.
            let _ = waiter.trigger.callback(dialed.connected.clone());
        }
        let healthy_after = self.healthy_after.get();
        if healthy_after.is_zero() {
            self.failed.set(0);
        }
        let is_stopped = {
            let healthy = up.reactor().sleep(healthy_after);
            let ended = select(dialed.lost.wait(), up.stopping());
            match select(healthy, ended).await {
                Either::Left(((), ended)) => {
                    self.failed.set(0);
                    matches!(ended.await, Either::Right(_))
                }
                Either::Right((ended, _)) => matches!(ended, Either::Right(_)),
            }
        };
        self.set_connected(None);
        if is_stopped {
            dialed.close().await;
            return Err(End::Stopped);
        }
        // What the protocol or the handler failed with may say that it is of no use to come again.
        match dialed.lost.reason() {
            Some(reason) if self.is_permanent(&reason) => Err(End::Failed(reason)),
            _ => Ok(()),
        }
    }

    /// 4.
    fn note_failure(&self, failure: Failure) -> Result<(), End> {
        let is_permanent = self.is_permanent(&failure);
        let mut told = Vec::new();
        self.waiting.borrow_mut().retain_mut(|waiter| {
            waiter.bears = waiter.bears.map(|bears| bears.saturating_sub(1));
            let is_told = is_permanent || waiter.bears == Some(0);
            if is_told {
                told.push(waiter.trigger.clone());
            }
            !is_told
        });
        for trigger in told {
            // Whoever cancelled wants to know no more.
            let _ = trigger.errback(failure.clone());
        }
        if is_permanent { Err(End::Failed(failure)) } else { Ok(()) }
    }

    fn is_permanent(&self, failure: &Failure) -> bool {
        let kind = failure.check::<ConnectError>().map(ConnectError::kind);
        failure.is::<Permanent>()
            || kind == Some(ErrorKind::InvalidInput)
            || (kind == Some(ErrorKind::NotFound) && self.is_unknown_permanent.get())
    }
}

impl<C> Machine<C> {
    fn set_connected(&self, connected: Option<C>) {
        let former = self.connected.replace(connected);
        drop(former);
    }

    /// Nobody will be connected.
    fn end(&self) {
        self.stage.set(Stage::Stopped);
        self.set_connected(None);
        for waiter in self.waiting.take() {
            let _ = waiter.trigger.errback(Cancelled);
        }
    }
}

/// Ends the machine when it is dropped.
struct Ending<C: 'static>(Rc<Machine<C>>);

impl<C> Drop for Ending<C> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<C: Clone + 'static> Service for ClientService<C> {
    fn kind(&self) -> &str {
        "ClientService"
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        let (machine, told) = (self.machine.clone(), up.clone());
        machine.stage.set(Stage::Running);
        let running = up.spawn(async move {
            // Also if it is cut off.
            let ending = Ending(machine);
            let outcome = ending.0.run(&told).await;
            drop(ending);
            if let Err(failure) = outcome {
                // It would be no other the next time.
                told.ended(Err(Permanent::of(failure)));
            }
            Ok(())
        });
        self.machine.running.set(Some(running));
        succeed(())
    }

    fn stop_service(&mut self, _: &Running) -> Deferred<()> {
        self.machine.running.take().unwrap_or_else(|| succeed(()))
    }
}

impl<C> Clone for ClientService<C> {
    fn clone(&self) -> ClientService<C> {
        ClientService { machine: self.machine.clone() }
    }
}

impl<C> fmt::Debug for ClientService<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientService").field("to", &self.machine.to).finish_non_exhaustive()
    }
}
