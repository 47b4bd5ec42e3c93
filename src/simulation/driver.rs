//! The second implementation of the driver: what a simulated host's reactor calls.

use super::datagram::SimulatedDatagrams;
use super::event_queue::Job;
use super::fault::{Call, Injected};
use super::listener::SimulatedListener;
use super::network::{missing, on_network};
use super::random::nanos;
use super::run::World;
use super::stream::SimulatedStream;
use super::world::State;
use crate::address::Address;
use crate::driver::{Answer, ByteStream, DatagramSocket, Driver, Key, Listener, Nudge, Ready};
use crate::driver::{Interest, Pipes};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When every simulation begins, on the wall: 2000-01-01, so long after 1970.
const BEGIN: Duration = Duration::from_secs(946_684_800);

/// The driver of a simulated host's reactor; [`Host::reactor`](super::Host::reactor) makes them.
pub struct SimulatedDriver {
    pub(super) world: Rc<World>,
    pub(super) host: usize,
    /// Of the host's lives this driver's is this one; in another it is dead.
    pub(super) life: u32,
}

impl SimulatedDriver {
    /// Counts the call and lets it fail if it shall.
    pub(super) fn enter(&self, call: Call) -> io::Result<()> {
        let mut state = self.world.state.borrow_mut();
        let machine = &state.machines[self.host];
        if !machine.is_up || machine.life != self.life {
            return Err(Injected("the host is down", io::ErrorKind::NetworkDown).into());
        }
        match state.call(self.host, 0, call) {
            Some(fault) => Err(fault.to_error()),
            None => Ok(()),
        }
    }

    fn stream(&self, key: Key) -> Box<dyn ByteStream> {
        Box::new(SimulatedStream { world: self.world.clone(), key })
    }
}

impl Driver for SimulatedDriver {
    fn now(&self) -> Instant {
        let state = self.world.state.borrow();
        self.world.epoch + Duration::from_nanos(state.machines[self.host].clock.read(state.now))
    }

    fn system_time(&self) -> SystemTime {
        let state = self.world.state.borrow();
        let since = Duration::from_nanos(state.machines[self.host].clock.read(state.now));
        UNIX_EPOCH + BEGIN + since
    }

    fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.world.verdict_of_wait()?;
        let is_hosted = self.world.drain(self.host, ready);
        let may_wait = timeout != Some(Duration::ZERO) && ready.is_empty();
        if may_wait {
            self.world.run_for(self.host, timeout)?;
        } else if !is_hosted {
            self.world.pass_time()?;
        }
        if may_wait || !is_hosted {
            self.world.drain(self.host, ready);
        }
        self.world.verdict_of_wait()
    }

    fn nudge(&self) -> Arc<dyn Nudge> {
        Arc::new(Unneeded)
    }

    fn connect(&self, to: &Address, from: Option<&Address>) -> io::Result<Box<dyn ByteStream>> {
        let to = on_network(to)?;
        self.enter(Call::Connect)?;
        let mut state = self.world.state.borrow_mut();
        state.has_descriptor(self.host)?;
        let from = state.local_address(self.host, to, from.and_then(Address::socket_addr))?;
        let key = state.connect(self.host, to, from);
        drop(state);
        Ok(self.stream(key))
    }

    fn listen(&self, at: &Address, backlog: u32) -> io::Result<Box<dyn Listener>> {
        let at = on_network(at)?;
        self.enter(Call::Listen)?;
        let key = self.world.state.borrow_mut().listen(self.host, at, backlog as usize)?;
        Ok(Box::new(SimulatedListener { world: self.world.clone(), key }))
    }

    fn bind(&self, at: &Address, _is_shared: bool) -> io::Result<Box<dyn DatagramSocket>> {
        let at = on_network(at)?;
        self.enter(Call::Listen)?;
        let key = self.world.state.borrow_mut().bind(self.host, at)?;
        Ok(Box::new(SimulatedDatagrams { world: self.world.clone(), key }))
    }

    fn listen_inherited(&self, number: u32) -> io::Result<Box<dyn Listener>> {
        Err(missing(format_args!("descriptor {number} to take over")))
    }

    fn adopt(&self, pipes: Pipes) -> io::Result<Box<dyn ByteStream>> {
        Err(missing(format_args!("descriptors of the system, and so no {}", pipes.name)))
    }

    fn check_processes(&self) -> io::Result<()> {
        Err(missing(format_args!("processes")))
    }

    fn resolve(&self, host: &str, port: u16, answer: Answer) {
        let failed = self.enter(Call::Resolve).err();
        let mut state = self.world.state.borrow_mut();
        let found = failed.map_or_else(|| state.resolve(self.host, host, port), Err);
        if host == "localhost" || *host == *state.machines[self.host].name {
            // For its own name a host asks nobody.
            drop(state);
            return answer(found);
        }
        let delay = state.random.between(Duration::from_micros(100), Duration::from_millis(2));
        state.job_later(nanos(delay), Job::Work(Box::new(move || answer(found))));
    }

    fn offload(&self, work: Box<dyn FnOnce() + Send>) {
        let mut state = self.world.state.borrow_mut();
        let delay = state.random.between(Duration::from_micros(20), Duration::from_millis(1));
        state.job_later(nanos(delay), Job::Work(work));
    }

    fn entropy(&self) -> u64 {
        self.world.state.borrow_mut().random.bits()
    }

    fn is_simulated(&self) -> bool {
        true
    }

    /// A signal ends the program that simulates, not a host in it.
    fn has_signals(&self) -> bool {
        false
    }

    fn watch(&self, _: BorrowedFd<'_>, _: Key, _: Interest) -> io::Result<()> {
        Err(unsupported())
    }

    fn rewatch(&self, _: BorrowedFd<'_>, _: Key, _: Interest) -> io::Result<()> {
        Err(unsupported())
    }

    fn unwatch(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Err(unsupported())
    }
}

fn unsupported() -> io::Error {
    missing(format_args!("descriptors of the system"))
}

impl fmt::Debug for SimulatedDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDriver").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The world looks for messages itself before it lets time pass.
struct Unneeded;

impl Nudge for Unneeded {
    fn nudge(&self) {}
}

impl State {
    pub(super) fn has_descriptor(&self, host: usize) -> io::Result<()> {
        let machine = &self.machines[host];
        if machine.descriptors < machine.most_descriptors {
            return Ok(());
        }
        Err(Injected("the host is out of descriptors", io::ErrorKind::OutOfMemory).into())
    }

    fn local_address(
        &mut self,
        host: usize,
        to: SocketAddr,
        wanted: Option<SocketAddr>,
    ) -> io::Result<SocketAddr> {
        let machine = &mut self.machines[host];
        let own = if to.ip().is_loopback() { to.ip() } else { machine.ip };
        let wanted = wanted.unwrap_or(SocketAddr::new(own, 0));
        if !wanted.ip().is_unspecified() && !wanted.ip().is_loopback() && wanted.ip() != machine.ip
        {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        if machine.ports.contains_key(&wanted.port()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let port = if wanted.port() == 0 { machine.pick_port() } else { wanted.port() };
        Ok(SocketAddr::new(own, port))
    }

    fn resolve(&self, from: usize, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = match name {
            "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
            name => self
                .find_machine(name)
                .filter(|_| self.machines[from].is_up)
                .map(|it| self.machines[it].ip),
        };
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "no host has that name");
        Ok(vec![SocketAddr::new(found.ok_or_else(unknown)?, port)])
    }
}
