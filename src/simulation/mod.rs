//! A network of hosts in one thread: seeded, in virtual time, with every fault on demand.
//!
//! A [`Simulation`] owns a world: a clock that jumps, a seeded generator, a queue of what will
//! happen, links and hosts. Each [`Host`] gives a [`Reactor`](crate::Reactor) of its own, whose driver is the world:
//! reactor, connections, protocols, Deferreds and tasks above it are the code that runs in
//! production. Whatever is drawn comes from the one seed, so a run is a pure function of it: a seed
//! that fails fails again, on any machine, and [`Simulation::digest`] says that it was the same run.
//! So it is as long as the programs draw nothing elsewhere; see "What breaks a seed" in
//! [the guide](crate::guide::testing). [`check_determinism`] finds those that do.
//!
//! TLS draws elsewhere. Its keys, nonces and signatures come from the system's randomness, which rustls
//! and ring take no other in place of, and it looks at the system's clock whether certificates are valid.
//! So the bytes of TLS differ from run to run. How many they are, and when they are sent, follows from
//! the seed if signatures have a fixed length, as those of Ed25519 have: one of ECDSA, the kind of
//! `Identity::self_signed`, is a byte longer or shorter each time. Give the test an identity of Ed25519
//! from a file, and [`Simulation::ignore_contents`] leaves the bytes out of the digest.
//!
//! Whatever nobody handles fails the run in which it was reported, with the seed and the place.
//!
//! A stream is simulated as the kernel's sockets behave, readiness by edges included: bytes arrive
//! in order after the link's latency, a lost packet comes later, a cut link holds everything back
//! until it heals or the sender gives up, a crashed host answers nothing, and a restarted one resets
//! what it does not know.

// # Invariants
// * Nothing in here asks the real clock, the real network or a real thread.
// * No borrow of the world is alive while a reactor is turned or anything of the user's is called.
//
// # Not here
// Descriptors of the system, Unix sockets, child processes and signals: whoever asks for one is told so
// (`Unsupported`). Files, whose contents are no part of a seed, but for `Disk`. Other threads, whose
// order no seed decides.

mod datagram;
mod deadlock;
mod determinism;
mod disk;
mod driver;
mod event_queue;
mod fault;
mod files;
mod folding;
mod host;
mod link;
mod listener;
mod network;
mod pipe;
mod property;
mod pump;
mod random;
mod recording;
mod reports;
mod rerun;
mod run;
mod script;
mod socket;
mod split;
mod stream;
mod svg;
mod sweep;
mod trace;
mod travel;
mod udp;
mod world;

pub use deadlock::{Deadlock, Why};
pub use determinism::{DeterminismError, check_determinism};
pub use disk::Disk;
pub use driver::SimulatedDriver;
pub use fault::{Call, Fault, Faults};
pub use host::Host;
pub use link::{Latency, Link};
pub use property::{Draw, PropertyError, for_all};
pub use pump::Pump;
pub use random::Random;
pub use recording::RecordingTransport;
pub use script::BadScript;
pub use split::every_split;
pub use sweep::{FailedSeed, SweepReport, chosen_seed, for_each_seed, sweep_faults};
pub use trace::{EventKind, Loss, TraceEvent};

use crate::clock::FOREVER;
use crate::deferred::IntoDeferred;
use crate::failure::{Failure, Report, ReportScope, Result};
#[cfg(doc)]
use crate::reactor::UnhandledFailure;
use event_queue::Job;
use random::nanos;
use run::{Step, World};
use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// A simulated network and its virtual time; clones speak of the same one.
///
/// ```
/// use futures_util::{AsyncReadExt, AsyncWriteExt};
/// use ropewalk::simulation::{Link, Simulation};
/// use std::time::Duration;
///
/// let simulation = Simulation::new(7);
/// let (server, client) = (simulation.host("server"), simulation.host("client"));
/// server.reactor().serve("0.0.0.0:80", async |mut stream| {
///     stream.write_all(b"hello").await?;
///     Ok(())
/// })?;
/// let greeting = client.reactor().open("server:80").add_callback(|mut stream| {
///     stream.reactor().spawn(async move {
///         let mut greeting = String::new();
///         stream.read_to_string(&mut greeting).await?;
///         Ok(greeting)
///     })
/// });
/// assert_eq!(simulation.run_until(greeting)?, "hello");
/// assert!(simulation.time().as_millis() < 10, "and no real time at all");
///
/// simulation.keep_trace();
/// simulation.set_default_link(Link::new().loss(0.1));
/// simulation.at(simulation.time() + Duration::from_secs(1), |simulation| simulation.note("halfway"));
/// simulation.cut(&server, &client); // or cut_one_way
/// simulation.run_for(Duration::from_secs(2))?;
/// simulation.heal(&server, &client); // or heal_all
/// simulation.reset(&server, &client);
/// simulation.run_until_idle()?;
/// assert!(simulation.is_idle() && simulation.trace().contains("halfway"));
/// println!("{} calls, digest {:x}", simulation.calls(), simulation.digest());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
///
/// Links, chance, limits and single calls that fail:
///
/// ```
/// use ropewalk::simulation::{EventKind, Fault, Latency, Link, Simulation};
/// use std::time::Duration;
///
/// let simulation = Simulation::new(7);
/// assert_eq!(simulation.seed(), 7);
/// let (server, client) = (simulation.host("server"), simulation.host("client"));
/// let slow = Link::new().latency(Latency::Fixed(Duration::from_millis(200)));
/// simulation.set_link(&server, &client, Link::new().loss(0.01));
/// simulation.set_link_one_way(&client, &server, slow);
/// simulation.set_limit(Duration::from_secs(3600)); // of virtual time, for each run
/// let number = simulation.random(|random| random.below(100));
/// assert_eq!(number, Simulation::new(7).random(|random| random.below(100)));
///
/// simulation.keep_trace();
/// simulation.ignore_contents(); // for programs whose bytes are not the seed's, as TLS'
/// simulation.fail_call(1, Fault::Error(std::io::ErrorKind::AddrInUse));
/// let refused = server.reactor().serve("0.0.0.0:80", async |_| Ok(()));
/// assert!(refused.is_err());
/// assert_eq!((simulation.faults_made(), simulation.sockets()), (1, 0));
/// let events = simulation.trace_events();
/// assert!(events.iter().any(|event| matches!(event.what, EventKind::Failing(..))));
/// assert!(simulation.to_svg().starts_with("<svg"));
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "pause")]
#[derive(Clone)]
pub struct Simulation(Rc<Owner>);

/// Ends the world when the last handle on the simulation goes: its reactors point back to it.
struct Owner {
    world: Rc<World>,
    /// What is reported between runs is this world's; absent for one that no test runs.
    observing: Cell<Option<ReportScope>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.end();
        self.observing.take();
        if let Some(failure) = self.world.untold().filter(|_| !std::thread::panicking()) {
            // A test that passes over it would be worth nothing, and no run is left that could fail.
            panic!("a simulation ended with a failure that no run has told: {failure}");
        }
    }
}

impl Owner {
    fn end(&self) {
        let _observing = self.world.observe();
        let hosts = self.world.reactors.borrow().len();
        (0..hosts).for_each(|host| self.world.end_reactor(host));
        let events = std::mem::take(&mut self.world.state.borrow_mut().events);
        drop((events, self.world.programs.take()));
    }
}

impl Simulation {
    /// A world without hosts, in which everything follows from this seed.
    pub fn new(seed: u64) -> Simulation {
        let simulation = Simulation::unobserved(seed);
        simulation.0.observing.set(Some(simulation.world().observe()));
        simulation
    }

    /// One that lends its time to something smaller: what is reported beside it is not its failure.
    fn unobserved(seed: u64) -> Simulation {
        Simulation(Rc::new(Owner { world: World::new(seed), observing: Cell::default() }))
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.world().state.borrow().seed
    }

    /// The host of this name, which is made and started if it is not there.
    pub fn host(&self, name: &str) -> Host {
        Host::find_or_make(self.world(), name)
    }

    /// How much virtual time has passed.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.world().time())
    }

    /// Draws from the simulation's own numbers, for what a test wants to vary with the seed.
    pub fn random<R>(&self, draw: impl FnOnce(&mut Random) -> R) -> R {
        let mut random = Random::new(self.world().state.borrow_mut().random.bits());
        draw(&mut random)
    }

    // ---- running ----

    /// Runs until the future or Deferred completes, and returns its result.
    ///
    /// It is polled on a host of its own. If nothing is left to happen before, or the limit of
    /// virtual time has passed ([`set_limit`](Simulation::set_limit)), the error is [`Deadlock`], which
    /// says who waits for what. If something was reported that nobody handled, a task that panicked or
    /// one that failed and that nobody watched, it is [`UnhandledFailure`]; see
    /// [`allow_reports`](Simulation::allow_reports).
    #[track_caller]
    pub fn run_until<F>(&self, future: F) -> Result<<F::Output as IntoDeferred>::Output>
    where
        F: Future + 'static,
        F::Output: IntoDeferred + 'static,
    {
        let outcome = Rc::new(Cell::new(None));
        let slot = outcome.clone();
        let keep = move |result| {
            slot.set(Some(result));
            Ok(())
        };
        let _observing = self.world().observe();
        self.world().verdict()?;
        let observer = self.host("(observer)").reactor();
        let waiting = observer.spawn(future).add_both(keep);
        let limit = self.world().time().saturating_add(self.world().limit());
        let failure = loop {
            if let Some(result) = outcome.take() {
                return result;
            }
            let why = match self.world().step(limit) {
                Ok(Step::Some) => continue,
                Ok(Step::None) if self.is_idle() => Why::NothingLeft,
                Ok(Step::None) => Why::LimitPassed,
                Err(failure) => break failure,
            };
            break Failure::at(Location::caller(), self.world().stuck(why));
        };
        waiting.cancel();
        Err(failure)
    }

    /// Runs for so much virtual time, which ends after some three centuries; fails with [`UnhandledFailure`] as soon as something is reported.
    pub fn run_for(&self, duration: Duration) -> Result {
        let _observing = self.world().observe();
        self.world().verdict()?;
        let end = self.world().time().saturating_add(nanos(duration)).min(FOREVER);
        while self.world().step(end)? == Step::Some {}
        self.world().jump(end);
        Ok(())
    }

    /// Runs until nothing is left to happen; fails with [`Deadlock`] at the limit of virtual time, and with
    /// [`UnhandledFailure`] as soon as something is reported.
    #[track_caller]
    pub fn run_until_idle(&self) -> Result {
        let _observing = self.world().observe();
        self.world().verdict()?;
        let limit = self.world().time().saturating_add(self.world().limit());
        while self.world().step(limit)? == Step::Some {}
        if self.is_idle() {
            return Ok(());
        }
        Err(Failure::at(Location::caller(), self.world().stuck(Why::LimitPassed)))
    }

    /// Lets reports pass for which `is_allowed` says yes: they do not fail the run.
    ///
    /// A run fails when something is reported ([`on_report`](crate::on_report)) that nobody handled:
    /// a panic in a protocol, a task, a timer or a drop, a Deferred that failed and that nobody watches,
    /// a program that did not boot. What the network does to a connection is nobody's failure, nor is a
    /// fault that was asked for.
    ///
    /// ```
    /// use ropewalk::Panicked;
    /// use ropewalk::simulation::Simulation;
    ///
    /// let simulation = Simulation::new(1);
    /// let server = simulation.host("server");
    /// drop(server.reactor().spawn(async { if true { panic!("on purpose") } else { Ok(()) } }));
    /// simulation.allow_reports(|report| {
    ///     report.failure().check::<Panicked>().is_some_and(|it| it.message() == "on purpose")
    /// });
    /// simulation.run_until_idle()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "flushLoggedErrors")]
    pub fn allow_reports(&self, is_allowed: impl Fn(&Report<'_>) -> bool + 'static) {
        self.world().reports.allow(is_allowed);
    }

    /// Whether nothing is left to happen by itself: nothing is under way, no timer is set.
    pub fn is_idle(&self) -> bool {
        self.world().is_idle()
    }

    /// Sets after how much virtual time a `run_until` gives up; one day unless set.
    pub fn set_limit(&self, limit: Duration) {
        self.world().set_limit(nanos(limit));
    }

    /// Calls `call` at a moment of virtual time, between the turns of all hosts; at once if it is past.
    ///
    /// Use the simulation that `call` is given: one that it captures would never be dropped.
    #[track_caller]
    pub fn at(&self, time: Duration, call: impl FnOnce(&Simulation) + 'static) {
        let simulation = Rc::downgrade(&self.0);
        let call = move || {
            // Once it is gone nobody waits for anything of it.
            if let Some(owner) = simulation.upgrade() {
                call(&Simulation(owner));
            }
        };
        let call = Job::Call(Box::new(call), Location::caller());
        self.world().state.borrow_mut().events.push_job(nanos(time), call);
    }

    // ---- the network ----

    /// Sets what lies between any two hosts that have no link of their own yet.
    pub fn set_default_link(&self, link: Link) {
        self.world().state.borrow_mut().links.default = link;
    }

    /// Sets what lies between two hosts, both ways.
    pub fn set_link(&self, one: &Host, other: &Host, link: Link) {
        self.set_link_one_way(one, other, link.clone());
        self.set_link_one_way(other, one, link);
    }

    /// Sets what lies between two hosts, one way.
    pub fn set_link_one_way(&self, from: &Host, to: &Host, link: Link) {
        *self.world().state.borrow_mut().link(from.index, to.index) = link;
    }

    /// Cuts the link between two hosts, both ways, until it is healed.
    pub fn cut(&self, one: &Host, other: &Host) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }

    /// Cuts the way from one host to another; what the other sends still arrives.
    pub fn cut_one_way(&self, from: &Host, to: &Host) {
        self.world().state.borrow_mut().set_cut((from.index, to.index), true);
    }

    /// Heals what was cut between two hosts, both ways.
    pub fn heal(&self, one: &Host, other: &Host) {
        let mut state = self.world().state.borrow_mut();
        state.set_cut((one.index, other.index), false);
        state.set_cut((other.index, one.index), false);
    }

    /// Cuts every link between a host of one side and one of the other, both ways.
    ///
    /// Within a side nothing changes, nor for hosts that are on neither.
    ///
    /// ```
    /// use ropewalk::simulation::Simulation;
    ///
    /// let simulation = Simulation::new(1);
    /// let [a, b, c] = ["a", "b", "c"].map(|name| simulation.host(name));
    /// simulation.partition(&[&a, &b], &[&c]);
    /// simulation.heal_partition(&[a, b], &[c]);
    /// ```
    pub fn partition<A: Borrow<Host>, B: Borrow<Host>>(&self, one: &[A], other: &[B]) {
        self.for_pairs(one, other, |one, other| self.cut(one, other));
    }

    /// Heals every link between a host of one side and one of the other, both ways.
    pub fn heal_partition<A: Borrow<Host>, B: Borrow<Host>>(&self, one: &[A], other: &[B]) {
        self.for_pairs(one, other, |one, other| self.heal(one, other));
    }

    fn for_pairs<A: Borrow<Host>, B: Borrow<Host>>(
        &self,
        one: &[A],
        other: &[B],
        call: impl Fn(&Host, &Host),
    ) {
        for (one, other) in one.iter().flat_map(|one| other.iter().map(move |other| (one, other))) {
            let (one, other) = (one.borrow(), other.borrow());
            // A host that is on both sides is not cut off from itself.
            if one.index != other.index {
                call(one, other);
            }
        }
    }

    /// Heals everything that is cut.
    pub fn heal_all(&self) {
        let cut = self.world().state.borrow().links.cut_ways();
        cut.into_iter().for_each(|way| self.world().state.borrow_mut().set_cut(way, false));
    }

    /// Resets every connection between two hosts, as a router on the way may do.
    pub fn reset(&self, one: &Host, other: &Host) {
        self.world().state.borrow_mut().reset_between(one.index, other.index);
    }

    // ---- faults and what was seen ----

    /// Lets the `number`-th call of any host's driver, counted from 1, fail.
    pub fn fail_call(&self, number: u64, fault: Fault) {
        self.world().state.borrow_mut().fault_at = (number, fault);
    }

    /// How many calls the drivers of all hosts got.
    pub fn calls(&self) -> u64 {
        self.world().state.borrow().calls
    }

    /// How many of them failed because they should.
    pub fn faults_made(&self) -> u64 {
        self.world().state.borrow().faults_made
    }

    /// How many sockets there are, those included that only send the rest of what was written.
    pub fn sockets(&self) -> usize {
        self.world().state.borrow().sockets.len()
    }

    /// A number that two runs share if the same happened in both and, but for a chance in some 2⁶⁴, only
    /// then: the same hosts, the same turns and calls at the same times, the same bytes.
    ///
    /// [`check_determinism`] compares it for many seeds.
    pub fn digest(&self) -> u64 {
        let state = self.world().state.borrow();
        let mut digest = state.trace.digest();
        let numbers = [state.now, state.calls, state.random.clone().bits()];
        numbers.into_iter().for_each(|number| digest.enter(number));
        digest.number()
    }

    /// Has the digest cover, from now on, how many bytes are sent and not which.
    ///
    /// For what is encrypted with keys that no seed makes, as TLS is.
    pub fn ignore_contents(&self) {
        self.world().state.borrow_mut().trace.ignore_contents();
    }

    /// The digest after each of the events that are kept.
    fn digests(&self) -> Vec<u64> {
        self.world().state.borrow().trace.digests().to_vec()
    }

    /// Begins to keep what happens, for [`trace_events`](Simulation::trace_events).
    pub fn keep_trace(&self) {
        self.world().state.borrow_mut().trace.begin();
    }

    /// What has happened since [`keep_trace`](Simulation::keep_trace), in order.
    pub fn trace_events(&self) -> Vec<TraceEvent> {
        self.world().state.borrow().trace.events().to_vec()
    }

    /// What has happened since [`keep_trace`](Simulation::keep_trace), a line each.
    pub fn trace(&self) -> String {
        let state = self.world().state.borrow();
        state.trace.events().iter().map(|event| format!("{event}\n")).collect()
    }

    /// What has happened since [`keep_trace`](Simulation::keep_trace), as a sequence diagram in SVG:
    /// its last three hundred lines, those that repeat being counted instead of drawn.
    pub fn to_svg(&self) -> String {
        let state = self.world().state.borrow();
        svg::draw(state.seed, state.trace.events())
    }

    /// Enters a line of the test's own into the trace.
    pub fn note(&self, text: impl fmt::Display) {
        // Before the borrow: it may look at the simulation.
        let text = text.to_string();
        let mut state = self.world().state.borrow_mut();
        state.note(usize::from(u16::MAX), 0, EventKind::Noted(text.into()));
    }

    fn world(&self) -> &Rc<World> {
        &self.0.world
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("seed", &self.seed())
            .field("time", &self.time())
            .finish_non_exhaustive()
    }
}
