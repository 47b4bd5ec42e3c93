//! Datagrams: each travels by itself, so that jitter reorders them, and may be lost or come twice.
//!
//! One that is sent to a group goes to every host with a socket that has joined it; a host has one
//! socket for a port, shared or not.

use super::event_queue::{Event, Job};
use super::fault::{Call, Fault};
use super::network::on_network;
use super::random::nanos;
use super::run::World;
use super::trace::{EventKind, Loss, beginning};
use super::udp::{Datagram, SimulatedUdp};
use super::world::{ReadyId, State};
use crate::address::Address;
use crate::driver::{DatagramOption, DatagramSocket, Key};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What fits into one UDP datagram.
const LONGEST: usize = 65_507;

impl State {
    pub(super) fn bind(&mut self, host: usize, at: SocketAddr) -> io::Result<Key> {
        self.has_descriptor(host)?;
        let machine = &mut self.machines[host];
        if !(at.ip().is_unspecified() || at.ip().is_loopback() || at.ip() == machine.ip) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let port = if at.port() == 0 { machine.pick_port() } else { at.port() };
        if machine.udp_sockets.contains_key(&port) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let address = SocketAddr::new(at.ip(), port);
        let key = self.udp_sockets.insert_with(|_| SimulatedUdp {
            host,
            address,
            key: None,
            is_queued: false,
            unread: VecDeque::new(),
            peer: None,
            error: None,
            groups: Vec::new(),
            hears_itself: true,
        });
        let machine = &mut self.machines[host];
        machine.udp_sockets.insert(port, key);
        machine.descriptors += 1;
        Ok(key)
    }

    fn unbind(&mut self, key: Key) {
        let Some(socket) = self.udp_sockets.remove(key) else { return };
        let machine = &mut self.machines[socket.host];
        machine.udp_sockets.remove(&socket.address.port());
        machine.descriptors -= 1;
    }

    pub(super) fn rise_udp(&mut self, key: Key) {
        if let Some(socket) = self.udp_sockets.get_mut(key)
            && socket.key.is_some()
            && !std::mem::replace(&mut socket.is_queued, true)
        {
            let host = socket.host;
            self.call_host(host, ReadyId::SimulatedUdp(key));
        }
    }

    fn send_datagram(&mut self, key: Key, to: SocketAddr, data: &[u8]) -> io::Result<()> {
        if data.len() > LONGEST {
            let why = format!("{} bytes do not fit into one datagram", data.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let Some(socket) = self.udp_sockets.get(key) else { return Ok(()) };
        let (from_host, port) = (socket.host, socket.address.port());
        let own = if to.ip().is_loopback() { to.ip() } else { self.machines[from_host].ip };
        let (bytes, address) = (data.len(), to.to_string());
        self.trace.count_bytes(data);
        self.trace.count_text(&address);
        self.note_often(from_host, 0, 18 ^ (bytes as u64) << 8, || EventKind::SentTo {
            to: address.into(),
            bytes,
            beginning: beginning(data),
        });
        let receivers = self.receivers(key, from_host, to);
        if receivers.is_empty() {
            let is_group = to.ip().is_multicast();
            let why = if is_group { Loss::NoPort } else { Loss::Unreachable };
            self.lose(from_host, (from_host, to), bytes, why);
        }
        for to_host in receivers {
            self.send_datagram_to(
                to_host,
                (key, from_host),
                (SocketAddr::new(own, port), to),
                data,
            );
        }
        Ok(())
    }

    /// The hosts that a datagram goes to: many if it is to a group, none if nobody has that address.
    fn receivers(&self, sender: Key, from_host: usize, to: SocketAddr) -> Vec<usize> {
        if !to.ip().is_multicast() {
            return self.find_host(from_host, to).into_iter().collect();
        }
        let hears_itself = self.udp_sockets.get(sender).is_some_and(|it| it.hears_itself);
        let is_in = |&host: &usize| {
            let found = self.machines[host].udp_sockets.get(&to.port());
            let socket = found.and_then(|&key| self.udp_sockets.get(key));
            let is_meant = host != from_host || hears_itself;
            is_meant && socket.is_some_and(|socket| socket.is_at(to.ip()))
        };
        (0..self.machines.len()).filter(is_in).collect()
    }

    fn send_datagram_to(
        &mut self,
        to_host: usize,
        (sender, from_host): (Key, usize),
        (from, to): (SocketAddr, SocketAddr),
        data: &[u8],
    ) {
        let bytes = data.len();
        let link = self.link(from_host, to_host);
        let (loss, duplication) = (link.loss, link.duplication);
        let copies = 1 + usize::from(self.random.chance(duplication));
        for _ in 0..copies {
            let arrival = self.one_datagram(from_host, to_host, bytes);
            if self.random.chance(loss) {
                self.lose(to_host, (from_host, to), bytes, Loss::OnTheWay);
                continue;
            }
            let sent = self.now;
            let datagram =
                Datagram { sender, sent, from_host, to_host, from, to, data: data.into() };
            self.events.push_job(arrival, Job::Datagram(datagram));
        }
    }

    pub(super) fn on_datagram(&mut self, datagram: Datagram) {
        let Datagram { sender, sent, from_host, to_host, from, to, data } = datagram;
        let bytes = data.len();
        if self.is_unreachable(from_host, to_host) {
            return self.lose(to_host, (from_host, to), bytes, Loss::Unreachable);
        }
        let found = self.machines[to_host].udp_sockets.get(&to.port()).copied();
        let socket = found.and_then(|key| Some((key, self.udp_sockets.get_mut(key)?)));
        let Some((key, socket)) = socket.filter(|(_, socket)| socket.is_at(to.ip())) else {
            self.lose(to_host, (from_host, to), bytes, Loss::NoPort);
            return self.refuse_datagram(sender, to_host, from_host);
        };
        if let Some(why) = socket.refuses(from) {
            return self.lose(to_host, (from_host, to), bytes, why);
        }
        let text = self.trace.is_kept().then(|| beginning(&data));
        socket.unread.push_back((data, from));
        self.note_of_two((to_host, from_host), 0, 19 ^ (bytes as u64) << 8, |from| {
            EventKind::Arrived {
                from,
                sent: Duration::from_nanos(sent),
                bytes,
                beginning: text.unwrap_or_default(),
            }
        });
        self.rise_udp(key);
    }

    fn lose(&mut self, host: usize, (from, to): (usize, SocketAddr), bytes: usize, why: Loss) {
        let (from, to) = (self.name(from), to.to_string().into());
        self.note(host, 0, EventKind::Lost { from, to, bytes, why });
    }

    /// Nobody has that port: a connected sender is told.
    fn refuse_datagram(&mut self, sender: Key, from: usize, to: usize) {
        let peer = self.udp_sockets.get(sender).and_then(|socket| socket.peer);
        if peer.is_some_and(|peer| !peer.ip().is_multicast()) {
            let delay = self.one_way(from, to);
            self.later(delay, Event::DatagramRefused(sender));
        }
    }

    pub(super) fn on_datagram_refused(&mut self, sender: Key) {
        if let Some(socket) = self.udp_sockets.get_mut(sender) {
            socket.error = Some(io::ErrorKind::ConnectionRefused);
            self.rise_udp(sender);
        }
    }
}

/// A socket for datagrams, as the reactor holds it.
pub(super) struct SimulatedDatagrams {
    pub(super) world: Rc<World>,
    pub(super) key: Key,
}

impl SimulatedDatagrams {
    /// Counts the call and lets it fail if it shall, or with the report that waits to be told.
    fn enter(&self, state: &mut State, call: Call) -> io::Result<()> {
        let Some(socket) = state.udp_sockets.get_mut(self.key) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if let Some(kind) = socket.error.take().filter(|_| call != Call::Address) {
            return Err(kind.into());
        }
        let host = socket.host;
        match state.call(host, 0, call) {
            // A datagram goes whole or not at all.
            None | Some(Fault::Short) => Ok(()),
            Some(fault) => {
                if fault == Fault::WouldBlock {
                    let soon = nanos(Duration::from_micros(20));
                    state.later(soon, Event::RiseUdp(self.key));
                }
                Err(fault.to_error())
            }
        }
    }
}

impl DatagramSocket for SimulatedDatagrams {
    fn register(&mut self, key: Key) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Register)?;
        if let Some(socket) = state.udp_sockets.get_mut(self.key) {
            socket.key = Some(key);
        }
        state.rise_udp(self.key);
        Ok(())
    }

    fn recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Read)?;
        let socket = state.udp_sockets.get_mut(self.key);
        let datagram = socket.and_then(|socket| socket.unread.pop_front());
        let (data, from) = datagram.ok_or(io::ErrorKind::WouldBlock)?;
        let count = data.len().min(buffer.len());
        buffer[..count].copy_from_slice(&data[..count]);
        Ok((data.len(), from.into()))
    }

    fn send_to(&mut self, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Write)?;
        let peer = state.udp_sockets.get(self.key).and_then(|socket| socket.peer);
        let to = to.map(on_network).transpose()?.or(peer).ok_or(io::ErrorKind::NotConnected)?;
        state.send_datagram(self.key, to, data)
    }

    fn connect(&mut self, to: &Address) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        self.enter(state, Call::Connect)?;
        let to = on_network(to)?;
        if let Some(socket) = state.udp_sockets.get_mut(self.key) {
            socket.peer = Some(to);
        }
        Ok(())
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        let state = &mut *self.world.state.borrow_mut();
        let socket = state.udp_sockets.get_mut(self.key).ok_or(io::ErrorKind::NotConnected)?;
        Ok(socket.error.take().map(io::Error::from))
    }

    fn host(&self) -> io::Result<Address> {
        let state = &mut *self.world.state.borrow_mut();
        Ok(state.udp_sockets.get(self.key).ok_or(io::ErrorKind::NotConnected)?.address.into())
    }

    fn set_option(&mut self, option: DatagramOption) -> io::Result<()> {
        let state = &mut *self.world.state.borrow_mut();
        let socket = state.udp_sockets.get_mut(self.key).ok_or(io::ErrorKind::NotConnected)?;
        match option {
            DatagramOption::Join(group, _) if !group.is_multicast() => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "that is no group"));
            }
            DatagramOption::Join(group, _) if socket.groups.contains(&group) => {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            DatagramOption::Join(group, _) => socket.groups.push(group),
            DatagramOption::Leave(group, _) => {
                let place = socket.groups.iter().position(|joined| *joined == group);
                socket.groups.remove(place.ok_or(io::ErrorKind::AddrNotAvailable)?);
            }
            DatagramOption::MulticastLoopback(on) => socket.hears_itself = on,
            // Every host is in the one network that there is.
            _ => {}
        }
        Ok(())
    }
}

impl Drop for SimulatedDatagrams {
    fn drop(&mut self) {
        self.world.state.borrow_mut().unbind(self.key);
    }
}
