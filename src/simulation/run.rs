//! Letting things happen: hosts take turns while they have something to do, then time jumps.
//!
//! # Theory
//! ```text
//!   round     every host that has something to do makes one turn, in order of creation
//!   advance   when none has: time jumps to the next event or timer, and the events due happen
//! ```
//! A reactor that somebody runs by itself (`reactor.run()`) is no host of a round: when it waits,
//! its wait lets the rest of the world go on until there is something for it.
//!
//! # Invariants
//! * Turns take no time; so that tasks that only yield do not stop it, a hundred rounds do.
//! * A host's turn is made with no borrow of the state alive.

use super::deadlock::{Deadlock, Why};
use super::event_queue::{Event, Job};
use super::random::nanos;
use super::reports::{Reports, as_io_error};
use super::world::State;
use crate::clock::FOREVER;
use crate::driver::Ready;
use crate::failure::{Place, Result, catch_panic, report};
use crate::reactor::{Loop, Reactor};
use std::cell::{Cell, RefCell};
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(super) struct World {
    pub(super) epoch: Instant,
    /// Borrowed for one step of one host or of the network.
    pub(super) state: RefCell<State>,
    /// By host the owner of its reactor, of which everybody else has handles; absent while it is down.
    /// Borrowed to look or to change, never for a turn.
    pub(super) reactors: RefCell<Vec<Option<Reactor>>>,
    /// By host: what it runs in each of its lives. Borrowed to look or to change.
    pub(super) programs: RefCell<Vec<Option<Program>>>,
    pace: Cell<Pace>,
    pub(super) reports: Reports,
}

#[derive(Clone, Copy)]
struct Pace {
    /// The host that the world itself turns.
    turning: Option<usize>,
    /// Rounds since time passed last.
    rounds: u32,
    /// When running without success ends.
    limit: u64,
}

/// What a host runs in each of its lives.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) run: Rc<dyn Fn(&Reactor) -> Result>,
    pub(super) made: Place,
}

const ROUNDS: u32 = 100;
const MICROSECOND: u64 = 1_000;
/// One virtual day.
const LIMIT: u64 = 86_400_000_000_000;

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Something happened.
    Some,
    /// Nothing is left to happen before the time that was given.
    None,
}

/// A look around for hosts that have something to do.
struct Look {
    /// The host to be looked at next.
    next: usize,
    /// After so much of the world's time a timer of those that were looked at is due.
    timer: Option<u64>,
}

/// What a round came to.
enum Round {
    Did,
    /// Nobody has anything to do before this much time has passed.
    Idle(Option<u64>),
}

impl World {
    pub(super) fn new(seed: u64) -> Rc<World> {
        Rc::new(World {
            epoch: Instant::now(),
            state: RefCell::new(State::new(seed)),
            reactors: RefCell::default(),
            programs: RefCell::default(),
            pace: Cell::new(Pace { turning: None, rounds: 0, limit: LIMIT }),
            reports: Reports::default(),
        })
    }

    /// When running without success ends.
    pub(super) fn limit(&self) -> u64 {
        self.pace.get().limit
    }

    pub(super) fn set_limit(&self, limit: u64) {
        self.pace.set(Pace { limit, ..self.pace.get() });
    }

    pub(super) fn time(&self) -> u64 {
        self.state.borrow().now
    }

    pub(super) fn reactor(&self, host: usize) -> Option<Reactor> {
        self.reactors.borrow().get(host)?.clone()
    }

    fn inner(&self, host: usize) -> Option<Rc<Loop>> {
        Some(self.reactors.borrow().get(host)?.as_ref()?.inner().clone())
    }

    /// Lets one thing happen: a round, or what is next, if that is not after `until`. Fails if something
    /// was reported.
    pub(super) fn step(&self, until: u64) -> Result<Step> {
        let step = match self.round()? {
            Round::Did => Step::Some,
            // Beyond that hosts cannot count.
            Round::Idle(timer) => self.advance(timer, until.min(FOREVER))?,
        };
        self.verdict()?;
        Ok(step)
    }

    /// Every host that has something to do makes one turn; if none has, says when a timer is due.
    fn round(&self) -> Result<Round> {
        let mut look = Look { next: 0, timer: None };
        let Some((host, inner)) = self.find_busy(&mut look) else {
            return Ok(Round::Idle(look.timer));
        };
        self.turn(host, &inner)?;
        while let Some((host, inner)) = self.find_busy(&mut look) {
            self.turn(host, &inner)?;
        }
        if self.count_round() {
            self.jump(self.time() + MICROSECOND);
        }
        Ok(Round::Did)
    }

    /// The next host that has something to do.
    #[inline]
    fn find_busy(&self, look: &mut Look) -> Option<(usize, Rc<Loop>)> {
        let (reactors, state) = (self.reactors.borrow(), self.state.borrow());
        while let Some(reactor) = reactors.get(look.next) {
            let host = look.next;
            look.next += 1;
            let Some(inner) = reactor.as_ref().map(Reactor::inner) else { continue };
            match state.due(host, inner) {
                Some(0) => return Some((host, inner.clone())),
                Some(delay) => look.timer = Some(look.timer.map_or(delay, |it| it.min(delay))),
                None => {}
            }
        }
        None
    }

    /// Whether time should pass although there is something to do.
    fn count_round(&self) -> bool {
        let rounds = self.pace.get().rounds + 1;
        self.pace.set(Pace { rounds, ..self.pace.get() });
        rounds >= ROUNDS
    }

    #[inline]
    pub(super) fn turn(&self, host: usize, inner: &Rc<Loop>) -> Result {
        let former = self.pace.get().turning;
        self.pace.set(Pace { turning: Some(host), ..self.pace.get() });
        let tell = |ready: &mut Vec<Ready>| self.state.borrow_mut().drain_ready(host, ready);
        let outcome = inner.turn_hosted(tell);
        self.pace.set(Pace { turning: former, ..self.pace.get() });
        if !outcome? {
            // Its program has ended; the machine stands there without one.
            self.state.borrow_mut().machines[host].is_paused = true;
        }
        Ok(())
    }

    /// Tells a host what is ready; whether it is the world that turns this host.
    pub(super) fn drain(&self, host: usize, ready: &mut Vec<Ready>) -> bool {
        self.state.borrow_mut().drain_ready(host, ready);
        self.pace.get().turning == Some(host)
    }

    /// Jumps to what is next and lets it happen; who is called by that takes a turn at once.
    #[inline]
    fn advance(&self, timer: Option<u64>, until: u64) -> Result<Step> {
        let Some(next) = self.next_time(timer).filter(|&next| next <= until) else {
            return Ok(Step::None);
        };
        self.jump(next);
        while let Some(host) = self.next_called() {
            let inner = self.inner(host);
            if let Some(inner) = inner.filter(|it| self.state.borrow().may_turn(host, it)) {
                self.turn(host, &inner)?;
            }
        }
        Ok(Step::Some)
    }

    fn next_called(&self) -> Option<usize> {
        self.state.borrow_mut().called.pop()
    }

    fn next_time(&self, timer: Option<u64>) -> Option<u64> {
        let state = &mut *self.state.borrow_mut();
        let next = state.events.next_time();
        let Some(delay) = timer else { return next };
        let timer = state.now.saturating_add(delay);
        Some(next.map_or(timer, |next| next.min(timer)))
    }

    pub(super) fn is_idle(&self) -> bool {
        let (reactors, state) = (self.reactors.borrow(), self.state.borrow());
        let mut hosts = reactors.iter().enumerate();
        let has_plans = |(host, reactor): (usize, &Option<Reactor>)| {
            reactor.as_ref().is_some_and(|it| state.due(host, it.inner()).is_some())
        };
        !hosts.any(has_plans) && state.events.is_empty()
    }

    /// Sets the time and lets the events that are due happen.
    #[inline]
    pub(super) fn jump(&self, time: u64) {
        self.pace.set(Pace { rounds: 0, ..self.pace.get() });
        let mut job = self.state.borrow_mut().jump(time);
        while let Some(due) = job {
            self.run(due);
            job = self.state.borrow_mut().happen_due();
        }
    }

    #[inline(never)]
    fn run(&self, job: Job) {
        match job {
            Job::Datagram(datagram) => self.state.borrow_mut().on_datagram(datagram),
            Job::Work(work) => run_reporting_panic("offloaded work", Location::caller(), work),
            Job::Call(call, place) => run_reporting_panic("scripted step", place, call),
        }
    }

    /// Lets the rest of the world go on until there is something for this host, or its time is over.
    pub(super) fn run_for(&self, host: usize, timeout: Option<Duration>) -> io::Result<()> {
        let until = self.end_of_wait(host, timeout);
        while !self.is_called(host) {
            if self.time() >= until {
                return Ok(());
            }
            if self.time() >= self.limit() {
                return Err(io::Error::other(self.stuck(Why::LimitPassed)));
            }
            match self.step(until).map_err(|failure| as_io_error(&failure))? {
                Step::Some => {}
                Step::None if timeout.is_some() => self.jump(until),
                Step::None => return Err(io::Error::other(self.stuck(Why::NothingLeft))),
            }
        }
        Ok(())
    }

    fn end_of_wait(&self, host: usize, timeout: Option<Duration>) -> u64 {
        let state = self.state.borrow();
        let Some(timeout) = timeout else { return u64::MAX };
        let end = state.now.saturating_add(state.machines[host].clock.to_world(nanos(timeout)));
        end.min(FOREVER)
    }

    fn is_called(&self, host: usize) -> bool {
        let is_paused = self.state.borrow().machines[host].is_paused;
        // What an event woke in its own thread is a task that is ready, not a message.
        !is_paused
            && self.inner(host).is_some_and(|it| self.state.borrow().delay(host, &it) == Some(0))
    }

    /// A host that is run by itself is busy: the others get a round as well.
    pub(super) fn pass_time(&self) -> io::Result<()> {
        let round = self.round().map_err(|failure| as_io_error(&failure))?;
        if matches!(round, Round::Idle(_)) && self.count_round() {
            self.jump(self.time() + MICROSECOND);
        }
        Ok(())
    }

    pub(super) fn stuck(&self, why: Why) -> Deadlock {
        let count = self.reactors.borrow().len();
        let loops: Vec<_> = (0..count).map(|host| self.inner(host)).collect();
        self.state.borrow().explain(why, &loops)
    }

    /// Ends a host's reactor, whoever holds handles on it.
    pub(super) fn end_reactor(&self, host: usize) {
        let reactor = self.reactors.borrow_mut().get_mut(host).and_then(Option::take);
        // The owner: this ends it.
        self.reports.while_ending(|| drop(reactor));
    }
}

fn run_reporting_panic(what: &str, place: Place, call: impl FnOnce()) {
    if let Err(failure) = catch_panic(place, call) {
        report(what, &failure);
    }
}

impl State {
    /// In how much of the world's time a host has something to do by itself; `None`: not at all.
    #[inline]
    fn due(&self, host: usize, inner: &Loop) -> Option<u64> {
        self.delay(host, inner).filter(|_| self.may_turn(host, inner))
    }

    #[inline]
    fn may_turn(&self, host: usize, inner: &Loop) -> bool {
        let machine = &self.machines[host];
        machine.is_up && !machine.is_paused && !inner.is_entered()
    }

    #[inline]
    fn delay(&self, host: usize, inner: &Loop) -> Option<u64> {
        let machine = &self.machines[host];
        if !machine.ready.is_empty() || inner.has_work() {
            return Some(0);
        }
        let deadline = machine.born.saturating_add(inner.timers.next_deadline()?);
        match deadline.saturating_sub(machine.clock.read(self.now)) {
            0 => Some(0),
            left => Some(machine.clock.to_world(left)),
        }
    }

    /// Sets the time and lets what is due happen, until a job has to be run.
    #[inline]
    fn jump(&mut self, time: u64) -> Option<Job> {
        self.now = self.now.max(time);
        self.happen_due()
    }

    #[inline]
    fn happen_due(&mut self) -> Option<Job> {
        while let Some(event) = self.events.pop_due(self.now) {
            match event {
                Event::Arrive(key) => self.on_arrival(key),
                Event::Job(key) => match self.events.take_job(key) {
                    None => {}
                    job => return job,
                },
                event => self.happen(event),
            }
        }
        None
    }

    #[inline(never)]
    fn happen(&mut self, event: Event) {
        match event {
            Event::Request(key, tries) => self.on_request(key, tries),
            Event::Answer(key, tries) => self.on_answer(key, tries),
            Event::Refuse(key) => self.fail_connecting(key, io::ErrorKind::ConnectionRefused),
            Event::GiveUp(key) => self.give_up(key),
            Event::Reset(key) => self.on_reset(key),
            Event::Rise(key) => self.rise(key),
            Event::RiseListener(key) => self.rise_listener(key),
            Event::RiseUdp(key) => self.rise_udp(key),
            Event::DatagramRefused(key) => self.on_datagram_refused(key),
            Event::Probe(key, silences) => self.probe(key, silences),
            // These two were seen to.
            Event::Arrive(_) | Event::Job(_) => {}
        }
    }
}
