//! A machine of the simulated network: its reactor, its troubles, its death and its next life.

use super::driver::SimulatedDriver;
use super::event_queue::Job;
use super::fault::{Call, Fault, Faults};
use super::random::nanos;
use super::run::{Program, World};
use super::socket::Stage;
use super::trace::EventKind;
use super::world::State;
use crate::driver::Key;
use crate::failure::{Result, catch_panic, report_made};
use crate::reactor::Reactor;
use std::fmt;
use std::net::IpAddr;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

/// A host of a [`Simulation`](super::Simulation); clones speak of the same one.
///
/// ```
/// use ropewalk::simulation::{Call, Fault, Faults, Simulation};
/// use std::time::Duration;
///
/// let simulation = Simulation::new(7);
/// let server = simulation.host("server");
/// assert_eq!((server.name(), server.ip().to_string()), ("server".into(), "10.0.0.1".into()));
/// server.boot(|reactor| reactor.serve("0.0.0.0:80", async |_stream| Ok(())).map(drop));
/// assert_eq!(server.descriptors(), 1, "the port");
///
/// server.limit_descriptors(16);
/// server.set_faults(Faults::pedantic()); // short reads and writes, calls that would block
/// server.fail_next(Call::Accept, Fault::Interrupted);
/// server.set_clock_drift(200); // millionths
/// server.jump_clock(Duration::from_secs(3600));
/// server.pause();
/// simulation.run_for(Duration::from_secs(1))?;
/// server.resume();
/// server.crash();
/// assert!(!server.is_up());
/// server.restart(); // and its program runs again
/// assert_eq!(server.descriptors(), 1);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
pub struct Host {
    pub(super) world: Rc<World>,
    pub(super) index: usize,
}

impl Host {
    pub(super) fn find_or_make(world: &Rc<World>, name: &str) -> Host {
        let found = world.state.borrow().find_machine(name);
        let index = found.unwrap_or_else(|| world.state.borrow_mut().add_machine(name));
        let host = Host { world: world.clone(), index };
        if found.is_none() {
            world.reactors.borrow_mut().push(None);
            world.programs.borrow_mut().push(None);
            host.start();
        }
        host
    }

    /// Its name, under which the others find it.
    pub fn name(&self) -> String {
        self.world.state.borrow().name(self.index).to_string()
    }

    /// Its address: 10.0.0.1 for the first host, and so on.
    pub fn ip(&self) -> IpAddr {
        self.world.state.borrow().machines[self.index].ip
    }

    /// The reactor of its present life. One that is down is started.
    pub fn reactor(&self) -> Reactor {
        if !self.is_up() {
            self.start();
        }
        match self.world.reactor(self.index) {
            Some(reactor) => reactor,
            // Its own end is under way: a handle on a reactor that is gone is as good as none.
            None => Reactor::with_driver(self.driver()).clone(),
        }
    }

    /// Whether it is neither crashed nor shut down.
    pub fn is_up(&self) -> bool {
        self.world.state.borrow().machines[self.index].is_up
    }

    /// Runs a program on it now, and again whenever it is restarted.
    ///
    /// A program that fails or panics fails the simulation's run, as whatever nobody handles does.
    ///
    /// ```
    /// use ropewalk::simulation::Simulation;
    ///
    /// let simulation = Simulation::new(3);
    /// let server = simulation.host("server");
    /// server.boot(|reactor| {
    ///     reactor.serve("0.0.0.0:80", async |_stream| Ok(()))?;
    ///     Ok(())
    /// });
    /// server.crash();
    /// server.restart(); // and port 80 is listened at again
    /// ```
    #[track_caller]
    pub fn boot(&self, program: impl Fn(&Reactor) -> Result + 'static) {
        let program = Program { run: Rc::new(program), made: Location::caller() };
        self.world.programs.borrow_mut()[self.index] = Some(program.clone());
        self.run_program(&program);
    }

    fn run_program(&self, program: &Program) {
        let _observing = self.world.observe();
        let reactor = self.reactor();
        let outcome =
            catch_panic(program.made, || (program.run)(&reactor)).and_then(|result| result);
        if let Err(failure) = outcome {
            let what = format!("program of the simulated host {}", self.name());
            report_made(&what, &failure, program.made);
        }
    }

    /// Ends it without a word: nothing is sent any more, its memory is gone, and so may be what its
    /// [disk](Host::disk) was not told to sync.
    ///
    /// Its connections are told, as a way to drop them; what they write then goes nowhere. The other
    /// ends notice when they send and nobody answers, or when a restarted host knows nothing of them.
    ///
    /// Called from inside one of its own turns, it waits for the end of that.
    pub fn crash(&self) {
        let reactor = self.world.reactor(self.index);
        if reactor.is_some_and(|reactor| reactor.inner().is_entered()) {
            let host = self.clone();
            let call = Job::Call(Box::new(move || host.crash()), Location::caller());
            return self.world.state.borrow_mut().job_later(0, call);
        }
        let _observing = self.world.observe();
        self.world.state.borrow_mut().crash(self.index);
        self.world.end_reactor(self.index);
    }

    /// Starts it anew, crashing it first if it is up, and runs the program that it was given.
    pub fn restart(&self) {
        if self.is_up() {
            self.crash();
        }
        self.start();
        let program = self.world.programs.borrow()[self.index].clone();
        if let Some(program) = program {
            self.run_program(&program);
        }
    }

    fn start(&self) {
        self.world.state.borrow_mut().start(self.index);
        let reactor = Reactor::with_driver(self.driver());
        self.world.reactors.borrow_mut()[self.index] = Some(reactor);
    }

    fn driver(&self) -> SimulatedDriver {
        let life = self.world.state.borrow().machines[self.index].life;
        SimulatedDriver { world: self.world.clone(), host: self.index, life }
    }

    /// Stops its program where it is; its system goes on to receive.
    pub fn pause(&self) {
        self.world.state.borrow_mut().set_paused(self.index, true);
    }

    /// Lets its program go on.
    pub fn resume(&self) {
        self.world.state.borrow_mut().set_paused(self.index, false);
    }

    /// Lets its clock run fast by so many millionths from now on, or slow.
    pub fn set_clock_drift(&self, parts_per_million: i64) {
        let mut state = self.world.state.borrow_mut();
        let now = state.now;
        state.machines[self.index].clock.set_rate(now, parts_per_million);
    }

    /// Lets its clock jump ahead, as that of a machine that slept.
    pub fn jump_clock(&self, by: Duration) {
        self.world.state.borrow_mut().machines[self.index].clock.jump(nanos(by));
    }

    /// Sets what its system does wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.world.state.borrow_mut().machines[self.index].set_faults(faults);
    }

    /// Lets the next call of this kind fail, once; said twice, the next two.
    pub fn fail_next(&self, call: Call, fault: Fault) {
        self.world.state.borrow_mut().machines[self.index].plan_fault(call, fault);
    }

    /// Sets how many sockets it may have; more fail as they do when a process is out of descriptors.
    pub fn limit_descriptors(&self, most: usize) {
        self.world.state.borrow_mut().machines[self.index].most_descriptors = most;
    }

    /// How many sockets and ports its program holds.
    pub fn descriptors(&self) -> usize {
        self.world.state.borrow().machines[self.index].descriptors
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl State {
    fn start(&mut self, host: usize) {
        let machine = &mut self.machines[host];
        (machine.is_up, machine.is_paused) = (true, false);
        machine.life += 1;
        machine.born = machine.clock.read(self.now);
        self.note(host, 0, EventKind::Noted("starts".into()));
    }

    fn crash(&mut self, host: usize) {
        self.note(host, 0, EventKind::Noted("crashes".into()));
        self.machines[host].disk.crash(&mut self.random);
        for key in self.sockets_where(|at, _| at == host) {
            self.sockets.remove(key);
        }
        // What the others had not told their programs yet, their systems forget.
        for key in self.sockets_where(|_, peer| peer == host) {
            if self.sockets.get(key).is_some_and(|socket| socket.stage == Stage::HalfOpen) {
                self.sockets.remove(key);
            }
        }
        for key in self.listeners.keys() {
            if self.listeners.get(key).is_some_and(|listener| listener.host == host) {
                self.listeners.remove(key);
            }
        }
        for key in self.udp_sockets.keys() {
            if self.udp_sockets.get(key).is_some_and(|socket| socket.host == host) {
                self.udp_sockets.remove(key);
            }
        }
        let machine = &mut self.machines[host];
        machine.udp_sockets.clear();
        machine.is_up = false;
        machine.descriptors = 0;
        machine.ready.clear();
        machine.ports.clear();
    }

    fn set_paused(&mut self, host: usize, is_paused: bool) {
        self.machines[host].is_paused = is_paused;
        let text = if is_paused { "is paused" } else { "is resumed" };
        self.note(host, 0, EventKind::Noted(text.into()));
    }

    pub(super) fn set_cut(&mut self, (from, to): (usize, usize), is_cut: bool) {
        if std::mem::replace(&mut self.link(from, to).is_cut, is_cut) == is_cut {
            return;
        }
        let verb = if is_cut { "is cut" } else { "is healed" };
        let name = self.name(to);
        self.note(from, 0, EventKind::Noted(format!("the way to {name} {verb}").into()));
        if !is_cut {
            self.release_withheld(from, to);
        }
    }

    pub(super) fn reset_between(&mut self, one: usize, other: usize) {
        let between = |at, to| (at, to) == (one, other) || (at, to) == (other, one);
        for key in self.sockets_where(between) {
            self.on_reset(key);
        }
    }

    /// The sockets at a host with another at the other end, lowest key first.
    pub(super) fn sockets_where(&self, is_wanted: impl Fn(usize, usize) -> bool) -> Vec<Key> {
        let wanted = |&key: &Key| {
            self.sockets.get(key).is_some_and(|socket| is_wanted(socket.host, socket.peer_host))
        };
        self.sockets.keys().into_iter().filter(wanted).collect()
    }
}
