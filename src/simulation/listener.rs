//! A port that is listened at: its queue, and how it is filled and emptied.

use super::event_queue::Event;
use super::fault::{Call, Fault};
use super::run::World;
use super::stream::SimulatedStream;
use super::trace::EventKind;
use super::world::{Listening, State};
use crate::address::Address;
use crate::driver::{ByteStream, Key, Listener};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

/// A port that is listened at, as the reactor holds it.
pub(super) struct SimulatedListener {
    pub(super) world: Rc<World>,
    pub(super) key: Key,
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

    fn shed(&mut self) -> io::Result<usize> {
        let state = &mut *self.world.state.borrow_mut();
        let mut closed = 0;
        while let Some((key, _)) = state.take_waiting(self.key) {
            state.close(key);
            closed += 1;
        }
        Ok(closed)
    }

    fn room(&self) -> usize {
        let state = self.world.state.borrow();
        let machine = state.listeners.get(self.key).map(|listener| &state.machines[listener.host]);
        machine.map_or(0, |machine| machine.most_descriptors.saturating_sub(machine.descriptors))
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
    pub(super) fn listen(
        &mut self,
        host: usize,
        at: SocketAddr,
        backlog: usize,
    ) -> io::Result<Key> {
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
        self.note(host, 0, EventKind::Noted(format!("listens at {address}").into()));
        Ok(key)
    }

    fn take_waiting(&mut self, listener: Key) -> Option<(Key, SocketAddr)> {
        let key = self.listeners.get_mut(listener)?.waiting.pop_front()?;
        let socket = self.sockets.get_mut(key)?;
        (socket.is_waiting, socket.is_held) = (false, true);
        let (host, connection, remote) = (socket.host, socket.connection, socket.remote);
        self.machines[host].descriptors += 1;
        self.note(host, connection, EventKind::Accepted);
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
