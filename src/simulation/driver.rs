//! The second implementation of the driver: what a simulated host's reactor calls.

use super::agenda::Event;
use super::fault::{Call, Fault};
use super::random::nanos;
use super::run::World;
use super::socket::{Segment, Stage};
use super::trace::{Connection, What};
use super::world::{Listening, State};
use crate::address::Address;
#[cfg(unix)]
use crate::driver::Interest;
use crate::driver::{Answer, ByteStream, Driver, Key, Listener, Nudge, Ready};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The driver of a simulated host's reactor; [`Host::reactor`](super::Host::reactor) makes them.
pub struct SimulatedDriver {
    pub(super) world: Rc<World>,
    pub(super) host: usize,
    /// Of the host's lives this driver's is this one; in another it is dead.
    pub(super) life: u32,
}

impl SimulatedDriver {
    /// Counts the call and lets it fail if it shall.
    fn enter(&self, call: Call) -> io::Result<()> {
        let mut state = self.world.state.borrow_mut();
        let machine = &state.machines[self.host];
        if !machine.is_up || machine.life != self.life {
            return Err(io::Error::new(io::ErrorKind::NetworkDown, "the host is down"));
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

    fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
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
        Ok(())
    }

    fn nudge(&self) -> Arc<dyn Nudge> {
        Arc::new(Unneeded)
    }

    fn connect(&self, to: &Address, from: Option<&Address>) -> io::Result<Box<dyn ByteStream>> {
        let to = to.socket_addr().ok_or(io::ErrorKind::Unsupported)?;
        self.enter(Call::Connect)?;
        let mut state = self.world.state.borrow_mut();
        state.has_descriptor(self.host)?;
        let from = state.local_address(self.host, to, from.and_then(Address::socket_addr))?;
        let key = state.connect(self.host, to, from);
        drop(state);
        Ok(self.stream(key))
    }

    fn listen(&self, at: &Address, backlog: u32) -> io::Result<Box<dyn Listener>> {
        let at = at.socket_addr().ok_or(io::ErrorKind::Unsupported)?;
        self.enter(Call::Listen)?;
        let key = self.world.state.borrow_mut().listen(self.host, at, backlog as usize)?;
        Ok(Box::new(SimulatedListener { world: self.world.clone(), key }))
    }

    fn resolve(&self, host: &str, port: u16, answer: Answer) {
        let failed = self.enter(Call::Resolve).err();
        let mut state = self.world.state.borrow_mut();
        let found = match (failed, state.resolve(self.host, host)) {
            (Some(error), _) => Err(error),
            (None, Some(ip)) => Ok(vec![SocketAddr::new(ip, port)]),
            (None, None) => Err(io::Error::new(io::ErrorKind::NotFound, "no host has that name")),
        };
        let delay = state.random.between(Duration::from_micros(100), Duration::from_millis(2));
        state.later(nanos(delay), Event::Work(Box::new(move || answer(found))));
    }

    fn offload(&self, work: Box<dyn FnOnce() + Send>) {
        let mut state = self.world.state.borrow_mut();
        let delay = state.random.between(Duration::from_micros(20), Duration::from_millis(1));
        state.later(nanos(delay), Event::Work(work));
    }

    fn entropy(&self) -> u64 {
        self.world.state.borrow_mut().random.bits()
    }

    /// A signal ends the program that simulates, not a host in it.
    fn has_signals(&self) -> bool {
        false
    }

    #[cfg(unix)]
    fn watch(&self, _: BorrowedFd<'_>, _: Key, _: Interest) -> io::Result<()> {
        Err(unsupported())
    }

    #[cfg(unix)]
    fn rewatch(&self, _: BorrowedFd<'_>, _: Key, _: Interest) -> io::Result<()> {
        Err(unsupported())
    }

    #[cfg(unix)]
    fn unwatch(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        Err(unsupported())
    }
}

#[cfg(unix)]
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a simulated host has no real descriptors")
}

impl fmt::Debug for SimulatedDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedDriver").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The world looks for mail itself before it lets time pass.
struct Unneeded;

impl Nudge for Unneeded {
    fn nudge(&self) {}
}

impl State {
    fn has_descriptor(&self, host: usize) -> io::Result<()> {
        let machine = &self.machines[host];
        if machine.descriptors < machine.most_descriptors {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::OutOfMemory, "the host is out of descriptors"))
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

    fn listen(&mut self, host: usize, at: SocketAddr, backlog: usize) -> io::Result<Key> {
        self.has_descriptor(host)?;
        let machine = &mut self.machines[host];
        let is_own = at.ip().is_unspecified() || at.ip().is_loopback() || at.ip() == machine.ip;
        if !is_own {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let port = if at.port() == 0 { machine.pick_port() } else { at.port() };
        if machine.ports.contains_key(&port) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let address = SocketAddr::new(at.ip(), port);
        let backlog = backlog.max(1);
        let key = self.listeners.insert_with(|_| Listening {
            host,
            address,
            backlog,
            key: None,
            is_queued: false,
            waiting: VecDeque::new(),
        });
        let machine = &mut self.machines[host];
        machine.ports.insert(port, key);
        machine.descriptors += 1;
        self.note(host, 0, 12, || What::Noted(format!("listens at {address}").into()));
        Ok(key)
    }

    fn resolve(&self, from: usize, name: &str) -> Option<IpAddr> {
        if name == "localhost" {
            return Some(Ipv4Addr::LOCALHOST.into());
        }
        let found = self.find_machine(name).filter(|_| self.machines[from].is_up)?;
        Some(self.machines[found].ip)
    }
}

/// One end of a connection, as the reactor holds it.
struct SimulatedStream {
    world: Rc<World>,
    key: Key,
}

impl SimulatedStream {
    /// Counts the call; what goes wrong with it is returned, or done as far as it is more than a no.
    fn enter(&self, state: &mut State, call: Call) -> io::Result<Option<Fault>> {
        let Some(socket) = state.sockets.get(self.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (host, connection): (usize, Connection) = (socket.host, socket.connection);
        let Some(fault) = state.call(host, connection, call) else { return Ok(None) };
        if call == Call::Write
            && let Some(socket) = state.sockets.get_mut(self.key)
        {
            // Should there be no room by the time of the edge that a fault owes, one follows later.
            socket.out.wants_room = true;
        }
        match fault {
            Fault::Short => return Ok(Some(fault)),
            Fault::WouldBlock => state.rise_soon(self.key),
            Fault::Error(io::ErrorKind::ConnectionReset) => {
                state.break_connection(self.key);
                // It is told by this very call.
                if let Some(socket) = state.sockets.get_mut(self.key) {
                    socket.error = None;
                }
            }
            _ => {}
        }
        Err(fault.to_error())
    }
}

impl ByteStream for SimulatedStream {
    fn register(&mut self, key: Key) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Register)?;
        if let Some(socket) = state.sockets.get_mut(self.key) {
            socket.key = Some(key);
        }
        state.rise(self.key);
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.world.state.borrow_mut();
        let fault = self.enter(state, Call::Read)?;
        let Some(socket) = state.sockets.get_mut(self.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let limit = if fault.is_some() { buffer.len().min(1) } else { buffer.len() };
        let count = socket.read(&mut buffer[..limit])?;
        if fault.is_some() {
            state.rise_soon(self.key);
        }
        state.free_room(self.key, count);
        Ok(count)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let state = &mut *self.world.state.borrow_mut();
        let fault = self.enter(state, Call::Write)?;
        let Some(socket) = state.sockets.get_mut(self.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let limit = if fault.is_some() { data.len().min(1) } else { data.len() };
        let count = socket.may_send(limit)?;
        if count == 0 {
            return Ok(0);
        }
        socket.out.taken += count;
        let (host, connection) = (socket.host, socket.connection);
        state.note(host, connection, 9 ^ (count as u64) << 8, || What::Sent(count));
        state.send(self.key, Segment::Data(data[..count].into()));
        if fault.is_some() {
            state.rise_soon(self.key);
        }
        Ok(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.write(&all)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Shutdown)?;
        let Some(socket) = state.sockets.get_mut(self.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if socket.stage != Stage::Open {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !std::mem::replace(&mut socket.has_shut, true) {
            state.send(self.key, Segment::End);
        }
        // Both halves are closed now: the kernel says so.
        state.rise(self.key);
        Ok(())
    }

    fn set_abort(&mut self) {
        if let Some(socket) = self.world.state.borrow_mut().sockets.get_mut(self.key) {
            socket.resets_on_close = true;
        }
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        let state = &mut *self.world.state.borrow_mut();
        match self.enter(state, Call::Peek) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            outcome => outcome?,
        };
        match state.sockets.get_mut(self.key) {
            Some(socket) => socket.is_at_end(),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Finish)?;
        let stage = state.sockets.get(self.key).map(|socket| socket.stage);
        match stage {
            Some(Stage::Asking) => Err(io::ErrorKind::WouldBlock.into()),
            Some(Stage::Failed(kind)) => Err(kind.into()),
            Some(Stage::Open | Stage::HalfOpen) => Ok(()),
            Some(Stage::Dead) | None => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    fn peer(&self) -> io::Result<Address> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Address)?;
        let open = state.sockets.get(self.key).filter(|socket| socket.stage == Stage::Open);
        Ok(open.ok_or(io::ErrorKind::NotConnected)?.remote.into())
    }

    fn host(&self) -> io::Result<Address> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Address)?;
        Ok(state.sockets.get(self.key).ok_or(io::ErrorKind::NotConnected)?.local.into())
    }

    fn set_nodelay(&mut self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    fn set_keepalive(&mut self, idle: Option<Duration>) -> io::Result<()> {
        self.world.state.borrow_mut().set_keepalive(self.key, idle.map(nanos));
        Ok(())
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        self.world.state.borrow_mut().close(self.key);
    }
}

struct SimulatedListener {
    world: Rc<World>,
    key: Key,
}

impl SimulatedListener {
    fn enter(&self, state: &mut State, call: Call) -> io::Result<usize> {
        let Some(listener) = state.listeners.get(self.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let host = listener.host;
        let Some(fault) = state.call(host, 0, call) else { return Ok(host) };
        if fault == Fault::WouldBlock {
            state.later(20_000, Event::RiseListener(self.key));
        }
        Err(fault.to_error())
    }
}

impl Listener for SimulatedListener {
    fn register(&mut self, key: Key) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Register)?;
        if let Some(listener) = state.listeners.get_mut(self.key) {
            listener.key = Some(key);
        }
        state.rise_listener(self.key);
        Ok(())
    }

    fn accept(&mut self) -> io::Result<(Box<dyn ByteStream>, Address)> {
        let state = &mut *self.world.state.borrow_mut();
        let host = self.enter(state, Call::Accept)?;
        if state.listeners.get(self.key).is_none_or(|listener| listener.waiting.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.has_descriptor(host)?;
        let Some((key, peer)) = state.take_waiting(self.key) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        Ok((Box::new(SimulatedStream { world: self.world.clone(), key }), peer.into()))
    }

    fn shed(&mut self) -> usize {
        let state = &mut *self.world.state.borrow_mut();
        let mut closed = 0;
        while let Some((key, _)) = state.take_waiting(self.key) {
            state.close(key);
            closed += 1;
        }
        closed
    }

    fn host(&self) -> io::Result<Address> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Address)?;
        Ok(state.listeners.get(self.key).ok_or(io::ErrorKind::NotConnected)?.address.into())
    }
}

impl Drop for SimulatedListener {
    fn drop(&mut self) {
        self.world.state.borrow_mut().stop_listening(self.key);
    }
}

impl State {
    fn take_waiting(&mut self, listener: Key) -> Option<(Key, SocketAddr)> {
        let key = self.listeners.get_mut(listener)?.waiting.pop_front()?;
        let socket = self.sockets.get_mut(key)?;
        (socket.is_waiting, socket.is_held) = (false, true);
        let (host, connection, remote) = (socket.host, socket.connection, socket.remote);
        self.machines[host].descriptors += 1;
        self.note(host, connection, 10, || What::Accepted);
        Some((key, remote))
    }

    fn stop_listening(&mut self, key: Key) {
        let Some(mut listener) = self.listeners.remove(key) else { return };
        let machine = &mut self.machines[listener.host];
        machine.ports.remove(&listener.address.port());
        machine.descriptors -= 1;
        while let Some(key) = listener.waiting.pop_front() {
            self.refuse_waiting(key);
        }
    }
}
