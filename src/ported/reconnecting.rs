//! Clients that come back: a failed or lost connection is made again, each time after a longer wait.
//!
//! The first wait is a second, each next one *e* times longer, up to an hour; a little chance is
//! mixed in, so that the clients of a server that restarts do not all come at once. The numbers are
//! Twisted's. Unlike there a wait is never longer than the longest, chance included.

use crate::address::Address;
use crate::clock::DelayedCall;
use crate::failure::Failure;
use crate::ported::client::{ClientFactory, Connector, Shared};
use std::cell::{Cell, RefCell};
use std::f64::consts::{E, TAU};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// A client factory around another one, that connects again when its connection failed or was lost.
///
/// The other factory is told everything, first. After a connection that served its purpose it calls
/// [`Retrying::reset_delay`], or the waits go on growing.
///
/// ```
/// use ropewalk::ported::ClientFactory;
/// use ropewalk::{Address, Protocol, Reactor, Result, Transport};
/// use ropewalk::ported::{ReconnectingClientFactory, Retrying};
///
/// struct Feed;
/// impl Protocol for Feed {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// struct Feeds(Retrying);
/// impl ClientFactory for Feeds {
///     type Protocol = Feed;
///     fn build_protocol(&mut self, _: &Address) -> Option<Feed> {
///         self.0.reset_delay();
///         Some(Feed)
///     }
/// }
/// let reactor = Reactor::new()?;
/// let factory = ReconnectingClientFactory::with(|retrying| Feeds(retrying));
/// reactor.connect_tcp("feed.example:7000", factory);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
pub struct ReconnectingClientFactory<F> {
    factory: F,
    retrying: Retrying,
}

impl<F: ClientFactory> ReconnectingClientFactory<F> {
    /// Around a factory.
    pub fn new(factory: F) -> ReconnectingClientFactory<F> {
        ReconnectingClientFactory::with(|_| factory)
    }

    /// Around the factory that `make` returns for its hold on the retrying.
    pub fn with(make: impl FnOnce(Retrying) -> F) -> ReconnectingClientFactory<F> {
        let retrying = Retrying(Rc::new(State::default()));
        ReconnectingClientFactory { factory: make(retrying.clone()), retrying }
    }

    /// A hold on the retrying, to end it from outside.
    pub fn retrying(&self) -> Retrying {
        self.retrying.clone()
    }

    fn change(self, change: impl FnOnce(&mut Plan)) -> ReconnectingClientFactory<F> {
        let state = &self.retrying.0;
        let mut plan = state.plan.get();
        change(&mut plan);
        state.plan.set(plan);
        state.progress.set(Progress { delay: plan.initial, ..state.progress.get() });
        self
    }

    /// The first wait, the longest one, and how many times longer than the one before each is.
    ///
    /// ```
    /// # use ropewalk::ported::{ClientFactory, ReconnectingClientFactory};
    /// # use std::time::Duration;
    /// # fn patient(factory: impl ClientFactory) -> ReconnectingClientFactory<impl ClientFactory> {
    /// let (first, longest) = (Duration::from_millis(100), Duration::from_secs(60));
    /// ReconnectingClientFactory::new(factory).delays(first, longest, 1.5).jitter(0.0)
    /// # }
    /// ```
    #[doc(alias = "initialDelay")]
    #[doc(alias = "maxDelay")]
    #[must_use]
    pub fn delays(
        self,
        first: Duration,
        longest: Duration,
        factor: f64,
    ) -> ReconnectingClientFactory<F> {
        self.change(|plan| {
            plan.longest = longest.as_secs_f64();
            plan.initial = first.as_secs_f64().min(plan.longest);
            plan.factor = factor;
        })
    }

    /// How much chance is mixed into a wait, as a share of it; none makes the waits exact.
    #[must_use]
    pub fn jitter(self, share: f64) -> ReconnectingClientFactory<F> {
        self.change(|plan| plan.jitter = share)
    }

    /// How often it tries again before it gives up; without limit unless set.
    #[doc(alias = "maxRetries")]
    #[must_use]
    pub fn max_retries(self, limit: u32) -> ReconnectingClientFactory<F> {
        self.change(|plan| plan.max_retries = Some(limit))
    }

    /// Draws the chance from this seed instead of the driver's.
    #[must_use]
    pub fn seed(self, seed: u64) -> ReconnectingClientFactory<F> {
        let progress = &self.retrying.0.progress;
        progress.set(Progress { random: Some(seed), ..progress.get() });
        self
    }
}

impl<F: ClientFactory> ClientFactory for ReconnectingClientFactory<F> {
    type Protocol = F::Protocol;

    fn started(&mut self) {
        self.factory.started();
    }

    fn started_connecting(&mut self, connector: &Connector) {
        self.retrying.0.connector.replace(Rc::downgrade(&connector.shared));
        self.factory.started_connecting(connector);
    }

    fn build_protocol(&mut self, peer: &Address) -> Option<F::Protocol> {
        self.factory.build_protocol(peer)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
        self.factory.client_connection_failed(connector, reason);
        self.retrying.retry(connector);
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Failure) {
        self.factory.client_connection_lost(connector, reason);
        self.retrying.retry(connector);
    }

    fn stopped(&mut self) {
        self.factory.stopped();
    }
}

/// The retrying of a [`ReconnectingClientFactory`]; clones speak of the same one.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::ported::{ClientFactory, ReconnectingClientFactory, Retrying};
/// use ropewalk::simulation::Simulation;
/// use ropewalk::{Address, Protocol, Result, Transport};
/// use std::time::Duration;
///
/// struct Feed;
/// impl Protocol for Feed {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// struct Feeds;
/// impl ClientFactory for Feeds {
///     type Protocol = Feed;
///     fn build_protocol(&mut self, _: &Address) -> Option<Feed> {
///         Some(Feed)
///     }
/// }
/// let simulation = Simulation::new(1);
/// let client = simulation.host("client").reactor();
/// simulation.host("server"); // where nobody listens
/// let factory = ReconnectingClientFactory::new(Feeds).max_retries(5).seed(7);
/// let retrying: Retrying = factory.retrying();
/// let connector = client.connect_tcp("server:7000", factory);
/// assert_eq!(connector.destination().to_string(), "server:7000");
/// simulation.run_for(Duration::from_secs(3))?;
/// assert!(retrying.delay() > Duration::from_secs(1), "it has grown");
/// retrying.stop_trying();
/// connector.disconnect(); // there is no connection: nothing happens
/// simulation.run_until_idle()?;
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
pub struct Retrying(Rc<State>);

struct State {
    plan: Cell<Plan>,
    progress: Cell<Progress>,
    /// The wait under way. Borrowed to exchange.
    waiting: RefCell<Option<DelayedCall>>,
    /// Weak, for the connector owns the factory that owns this. Borrowed to clone or exchange.
    connector: RefCell<Weak<Shared>>,
}

#[derive(Clone, Copy)]
struct Progress {
    /// The next wait, in seconds; never over the longest.
    delay: f64,
    retries: u32,
    has_stopped: bool,
    /// What chance is drawn from; seeded by the driver when it is first needed.
    random: Option<u64>,
}

#[derive(Clone, Copy)]
struct Plan {
    initial: f64,
    longest: f64,
    factor: f64,
    jitter: f64,
    max_retries: Option<u32>,
}

/// Twisted's own numbers; the jitter is the molar Planck constant times the speed of light.
const PLAN: Plan =
    Plan { initial: 1.0, longest: 3600.0, factor: E, jitter: 0.119_626_565_582, max_retries: None };

impl Plan {
    /// A wait that can be waited; the longest for what is no number, as a factor may make it.
    fn clamp(&self, delay: f64) -> f64 {
        if delay.is_nan() { self.longest } else { delay.clamp(0.0, self.longest) }
    }
}

impl Default for State {
    fn default() -> State {
        State {
            plan: Cell::new(PLAN),
            progress: Cell::new(Progress {
                delay: PLAN.initial,
                retries: 0,
                has_stopped: false,
                random: None,
            }),
            waiting: RefCell::default(),
            connector: RefCell::default(),
        }
    }
}

impl Retrying {
    /// Begins the waits anew with the shortest; after [`stop_trying`](Retrying::stop_trying), tries
    /// again the next time.
    #[doc(alias = "resetDelay")]
    pub fn reset_delay(&self) {
        let (delay, progress) = (self.0.plan.get().initial, self.0.progress.get());
        self.0.progress.set(Progress { delay, retries: 0, has_stopped: false, ..progress });
    }

    /// Ends the wait or the attempt under way, and tries no more.
    #[doc(alias = "stopTrying")]
    pub fn stop_trying(&self) {
        self.0.progress.set(Progress { has_stopped: true, ..self.0.progress.get() });
        if let Some(waiting) = self.0.waiting.take() {
            // It was made: then an attempt is under way.
            let _ = waiting.cancel();
        }
        let shared = self.0.connector.borrow().upgrade();
        if let Some(shared) = shared {
            // Not connecting: there is nothing to stop.
            let _ = Connector { shared }.stop_connecting();
        }
    }

    /// The next wait, unless the delay is reset before.
    pub fn delay(&self) -> Duration {
        // A longest wait of centuries is one that a float rounds up.
        Duration::try_from_secs_f64(self.0.progress.get().delay).unwrap_or(Duration::MAX)
    }

    fn retry(&self, connector: &Connector) {
        let (state, plan, progress) = (&self.0, self.0.plan.get(), self.0.progress.get());
        if progress.has_stopped || plan.max_retries.is_some_and(|most| progress.retries >= most) {
            return;
        }
        let retries = progress.retries.saturating_add(1);
        state.progress.set(Progress { retries, ..progress });
        let (delay, again) = (self.delay(), connector.clone());
        // It may have been told to connect by the factory itself: that is as good.
        let connect = move || drop(again.connect());
        let waiting = connector.reactor().call_later(delay, connect);
        state.waiting.replace(Some(waiting));
        let grown = (state.progress.get().delay * plan.factor).min(plan.longest);
        let mixed = grown + grown * plan.jitter * self.chance(connector);
        state.progress.set(Progress { delay: plan.clamp(mixed), ..state.progress.get() });
    }

    /// A number drawn from the normal distribution around 0.
    fn chance(&self, connector: &Connector) -> f64 {
        let mut state =
            self.0.progress.get().random.unwrap_or_else(|| connector.shared.inner.driver.entropy());
        let radius = (-2.0 * (1.0 - uniform(&mut state)).ln()).sqrt();
        let angle = TAU * uniform(&mut state);
        self.0.progress.set(Progress { random: Some(state), ..self.0.progress.get() });
        radius * angle.cos()
    }
}

/// From 0 to below 1, by the generator SplitMix64.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

impl fmt::Debug for Retrying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retrying")
            .field("delay", &self.delay())
            .field("retries", &self.0.progress.get().retries)
            .finish_non_exhaustive()
    }
}
