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

use super::Simulation;
use super::agenda::Event;
use super::host::Program;
use super::random::nanos;
use super::stuck::{Stuck, Why};
use super::world::State;
use crate::driver::Ready;
use crate::failure::{Result, contain, report};
use crate::reactor::{Loop, Reactor};
use std::cell::{Cell, RefCell};
use std::io;
use std::panic::Location;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

pub(super) struct World {
    pub(super) epoch: Instant,
    /// Borrowed for one step of one host or of the network.
    pub(super) state: RefCell<State>,
    /// By host; absent while it is down. Borrowed to look or to change, never for a turn.
    pub(super) reactors: RefCell<Vec<Option<Reactor>>>,
    /// By host: what it runs in each of its lives. Borrowed to look or to change.
    pub(super) programs: RefCell<Vec<Option<Program>>>,
    /// The host that the world itself turns.
    turning: Cell<Option<usize>>,
    /// Rounds since time passed last.
    rounds: Cell<u32>,
    /// When running without success ends.
    pub(super) limit: Cell<u64>,
    pub(super) simulation: RefCell<Weak<super::Owner>>,
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
            turning: Cell::new(None),
            rounds: Cell::new(0),
            limit: Cell::new(LIMIT),
            simulation: RefCell::default(),
        })
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

    /// Lets one thing happen: a round, or what is next, if that is not after `until`.
    pub(super) fn step(&self, until: u64) -> Result<Step> {
        match self.round()? {
            Round::Did => Ok(Step::Some),
            Round::Idle(timer) => self.advance(timer, until),
        }
    }

    /// Every host that has something to do makes one turn; if none has, says when a timer is due.
    fn round(&self) -> Result<Round> {
        let mut did = false;
        let mut timer: Option<u64> = None;
        let count = self.reactors.borrow().len();
        for host in 0..count {
            let Some(inner) = self.inner(host).filter(|inner| self.may_turn(host, inner)) else {
                continue;
            };
            match self.due(host, &inner) {
                Some(0) => {
                    self.turn(host, &inner)?;
                    did = true;
                }
                Some(delay) => timer = Some(timer.map_or(delay, |timer| timer.min(delay))),
                None => {}
            }
        }
        if !did {
            return Ok(Round::Idle(timer));
        }
        if self.count_round() {
            self.jump(self.time() + MICROSECOND);
        }
        Ok(Round::Did)
    }

    /// In how much of the world's time a host has something to do by itself; `None`: not at all.
    fn due(&self, host: usize, inner: &Loop) -> Option<u64> {
        let has_ready = !self.state.borrow().machines[host].ready.is_empty();
        let idle = if has_ready { Duration::ZERO } else { inner.idle_time()? };
        if idle.is_zero() {
            return Some(0);
        }
        Some(self.state.borrow().machines[host].clock.to_world(nanos(idle)))
    }

    /// Whether time should pass although there is something to do.
    fn count_round(&self) -> bool {
        let rounds = self.rounds.get() + 1;
        self.rounds.set(rounds);
        rounds >= ROUNDS
    }

    fn may_turn(&self, host: usize, inner: &Loop) -> bool {
        let state = self.state.borrow();
        let machine = &state.machines[host];
        machine.is_up && !machine.is_paused && !inner.is_entered()
    }

    pub(super) fn turn(&self, host: usize, inner: &Rc<Loop>) -> Result {
        let former = self.turning.replace(Some(host));
        let outcome = inner.turn_hosted();
        self.turning.set(former);
        if !outcome? {
            // Its program has ended; the machine stands there without one.
            self.state.borrow_mut().machines[host].is_paused = true;
        }
        Ok(())
    }

    /// Tells a host what is ready; whether it is the world that turns this host.
    pub(super) fn drain(&self, host: usize, ready: &mut Vec<Ready>) -> bool {
        self.state.borrow_mut().drain_ready(host, ready);
        self.turning.get() == Some(host)
    }

    /// Jumps to what is next and lets it happen; who is called by that takes a turn at once.
    fn advance(&self, timer: Option<u64>, until: u64) -> Result<Step> {
        let Some(next) = self.next_time(timer).filter(|&next| next <= until) else {
            return Ok(Step::None);
        };
        self.jump(next);
        while let Some(host) = self.next_called() {
            if let Some(inner) = self.inner(host).filter(|inner| self.may_turn(host, inner)) {
                self.turn(host, &inner)?;
            }
        }
        Ok(Step::Some)
    }

    fn next_called(&self) -> Option<usize> {
        self.state.borrow_mut().called.pop()
    }

    fn next_time(&self, timer: Option<u64>) -> Option<u64> {
        let state = self.state.borrow();
        let timer = timer.map(|delay| state.now.saturating_add(delay));
        [timer, state.agenda.next_time()].into_iter().flatten().min()
    }

    pub(super) fn is_idle(&self) -> bool {
        let count = self.reactors.borrow().len();
        let has_plans = |host| {
            let inner = self.inner(host).filter(|inner| self.may_turn(host, inner));
            inner.is_some_and(|inner| self.due(host, &inner).is_some())
        };
        !(0..count).any(has_plans) && self.state.borrow().agenda.next_time().is_none()
    }

    /// Sets the time and lets the events that are due happen.
    pub(super) fn jump(&self, time: u64) {
        self.rounds.set(0);
        let mut state = self.state.borrow_mut();
        state.now = state.now.max(time);
        drop(state);
        while let Some(event) = self.pop_due() {
            self.happen(event);
        }
    }

    fn pop_due(&self) -> Option<Event> {
        let mut state = self.state.borrow_mut();
        let now = state.now;
        state.agenda.pop_due(now)
    }

    fn happen(&self, event: Event) {
        match event {
            Event::Work(work) => attempt("offloaded work", work),
            Event::Call(call) => {
                if let Some(simulation) = self.simulation() {
                    attempt("scripted step", || call(&simulation));
                }
            }
            event => self.state.borrow_mut().happen(event),
        }
    }

    pub(super) fn simulation(&self) -> Option<Simulation> {
        self.simulation.borrow().upgrade().map(Simulation)
    }

    /// Lets the rest of the world go on until there is something for this host, or its time is over.
    pub(super) fn run_for(&self, host: usize, timeout: Option<Duration>) -> io::Result<()> {
        let until = self.end_of_wait(host, timeout);
        while !self.is_called(host) {
            if self.time() >= until {
                return Ok(());
            }
            if self.time() >= self.limit.get() {
                return Err(io::Error::other(self.stuck(Why::LimitPassed)));
            }
            match self.step(until).map_err(|failure| io::Error::other(failure.to_string()))? {
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
        state.now.saturating_add(state.machines[host].clock.to_world(nanos(timeout)))
    }

    fn is_called(&self, host: usize) -> bool {
        let is_paused = self.state.borrow().machines[host].is_paused;
        // What an event woke in its own thread is a task that is ready, not mail.
        !is_paused && self.inner(host).is_some_and(|inner| self.due(host, &inner) == Some(0))
    }

    /// A host that is run by itself is busy: the others get a round as well.
    pub(super) fn pass_time(&self) -> io::Result<()> {
        let round = self.round().map_err(|failure| io::Error::other(failure.to_string()))?;
        if matches!(round, Round::Idle(_)) && self.count_round() {
            self.jump(self.time() + MICROSECOND);
        }
        Ok(())
    }

    pub(super) fn stuck(&self, why: Why) -> Stuck {
        let count = self.reactors.borrow().len();
        let loops: Vec<_> = (0..count).map(|host| self.inner(host)).collect();
        self.state.borrow().explain(why, &loops)
    }

    /// Ends a host's reactor, whoever holds handles on it.
    pub(super) fn end_reactor(&self, host: usize) {
        let reactor = self.reactors.borrow_mut().get_mut(host).and_then(Option::take);
        if let Some(reactor) = reactor {
            reactor.inner().tear_down();
        }
    }
}

fn attempt(what: &str, call: impl FnOnce()) {
    if let Err(failure) = contain(Location::caller(), call) {
        report(what, &failure);
    }
}

impl State {
    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(key) => self.on_arrival(key),
            Event::Request(key, tries) => self.on_request(key, tries),
            Event::Answer(key, tries) => self.on_answer(key, tries),
            Event::Refuse(key) => self.fail_connecting(key, io::ErrorKind::ConnectionRefused),
            Event::GiveUp(key) => self.give_up(key),
            Event::Reset(key) => self.on_reset(key),
            Event::Rise(key) => self.rise(key),
            Event::RiseListener(key) => self.rise_listener(key),
            Event::Probe(key, silences) => self.probe(key, silences),
            // The world sees to these: they are the user's.
            Event::Work(_) | Event::Call(_) => {}
        }
    }
}
