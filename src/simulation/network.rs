//! How connections come about and end, and how their ends look after each other.

use super::event_queue::Event;
use super::pipe::Segment;
use super::socket::{Socket, Stage};
use super::trace::EventKind;
use super::world::State;
use crate::address::Address;
use crate::driver::Key;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// So many requests go unanswered before connecting fails: a good two minutes.
const REQUESTS: u32 = 7;
const SECOND: u64 = 1_000_000_000;
/// So often a probe goes unanswered, so far apart, before the connection is given up.
const PROBES: u32 = 9;
const PROBE: u64 = 75 * SECOND;
/// So soon after a fault that is no failure the edge follows.
const SOON: u64 = 20_000;

impl State {
    // ---- coming about ----

    pub(super) fn connect(&mut self, host: usize, to: SocketAddr, from: SocketAddr) -> Key {
        self.connections += 1;
        let connection = self.connections;
        let target = self.find_host(host, to);
        let peer_host = target.unwrap_or(host);
        let socket = Socket::new(Stage::Asking, host, peer_host, connection, (from, to));
        let key = self.sockets.insert_with(|_| socket);
        self.machines[host].descriptors += 1;
        match target {
            Some(_) => {
                let delay = self.one_way(host, peer_host);
                self.later(delay, Event::Request(key, 0));
            }
            // Nobody has that address: the router says so after a while.
            None => self.later(3 * SECOND, Event::GiveUp(key)),
        }
        self.note(host, connection, EventKind::Asked(to.to_string().into()));
        key
    }

    /// The host that has the address, as seen from another.
    pub(super) fn find_host(&self, from: usize, to: SocketAddr) -> Option<usize> {
        if to.ip().is_loopback() || to.ip().is_unspecified() {
            return Some(from);
        }
        self.machines.iter().position(|machine| machine.ip == to.ip())
    }

    pub(super) fn on_request(&mut self, key: Key, tries: u32) {
        let Some(client) = self.sockets.get(key) else { return };
        let (from, to) = (client.host, client.peer_host);
        if client.stage != Stage::Asking {
            return;
        }
        let is_lost = self.is_lost(from, to);
        let listener = self.find_listener(key).filter(|_| !is_lost);
        let has_room = listener
            .and_then(|listener| self.listeners.get(listener))
            .is_some_and(|listener| listener.waiting.len() < listener.backlog);
        if is_lost || (listener.is_some() && !has_room) {
            return self.ask_again(key, tries + 1);
        }
        let delay = self.one_way(to, from);
        match listener {
            None => self.later(delay, Event::Refuse(key)),
            Some(_) => {
                let server = self.half_open(key);
                self.later(delay, Event::Answer(server, 0));
            }
        }
    }

    fn ask_again(&mut self, key: Key, tries: u32) {
        let event = if tries < REQUESTS { Event::Request(key, tries) } else { Event::GiveUp(key) };
        self.later(SECOND << (tries - 1), event);
    }

    fn is_lost(&mut self, from: usize, to: usize) -> bool {
        let loss = self.link(from, to).loss;
        self.is_unreachable(from, to) || self.random.chance(loss)
    }

    pub(super) fn find_listener(&self, client: Key) -> Option<Key> {
        let client = self.sockets.get(client)?;
        let listener = *self.machines[client.peer_host].ports.get(&client.remote.port())?;
        let address = self.listeners.get(listener)?.address;
        let is_it = address.ip().is_unspecified() || address.ip() == client.remote.ip();
        is_it.then_some(listener)
    }

    fn half_open(&mut self, client_key: Key) -> Key {
        let Some(client) = self.sockets.get(client_key) else { return client_key };
        let (addresses, connection) = ((client.remote, client.local), client.connection);
        let (host, peer_host) = (client.peer_host, client.host);
        let mut server = Socket::new(Stage::HalfOpen, host, peer_host, connection, addresses);
        server.peer = Some(client_key);
        server.out.window = self.link(host, peer_host).window;
        self.sockets.insert_with(|_| server)
    }

    pub(super) fn on_answer(&mut self, server_key: Key, tries: u32) {
        let Some(server) = self.sockets.get(server_key) else { return };
        let (from, to, client_key) = (server.host, server.peer_host, server.peer);
        let is_asking = |state: &State, key| {
            state.sockets.get(key).is_some_and(|socket| socket.stage == Stage::Asking)
        };
        let Some(client_key) = client_key.filter(|&key| is_asking(self, key)) else {
            // The client has given up, or another answer came first.
            self.sockets.remove(server_key);
            return;
        };
        if self.is_lost(from, to) {
            if tries >= REQUESTS {
                self.sockets.remove(server_key);
                return;
            }
            return self.later(SECOND << tries, Event::Answer(server_key, tries + 1));
        }
        self.open(client_key, server_key);
    }

    fn open(&mut self, client_key: Key, server_key: Key) {
        let Some(client) = self.sockets.get(client_key) else { return };
        let (host, connection) = (client.host, client.connection);
        let window = self.link(host, client.peer_host).window;
        if let Some(client) = self.sockets.get_mut(client_key) {
            client.stage = Stage::Open;
            client.peer = Some(server_key);
            client.out.window = window;
        }
        self.note(host, connection, EventKind::Opened);
        self.send(client_key, Segment::Ack);
        self.rise(client_key);
    }

    pub(super) fn fail_connecting(&mut self, key: Key, kind: io::ErrorKind) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        if socket.stage != Stage::Asking {
            return;
        }
        socket.stage = Stage::Failed(kind);
        let (host, connection) = (socket.host, socket.connection);
        self.note(host, connection, EventKind::Failed(kind));
        self.rise(key);
    }

    pub(super) fn give_up(&mut self, key: Key) {
        let Some(socket) = self.sockets.get(key) else { return };
        let is_known = self.find_host(socket.host, socket.remote).is_some();
        let unreachable = io::ErrorKind::HostUnreachable;
        let kind = if is_known { io::ErrorKind::TimedOut } else { unreachable };
        self.fail_connecting(key, kind);
    }

    // ---- ending ----

    /// The reactor lets go of a socket.
    pub(super) fn close(&mut self, key: Key) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let (host, connection) = (socket.host, socket.connection);
        (socket.is_held, socket.key) = (false, None);
        let is_open = matches!(socket.stage, Stage::Open | Stage::HalfOpen);
        let resets = socket.resets_on_close || socket.unread() > 0;
        let ends = !std::mem::replace(&mut socket.has_shut, true);
        self.machines[host].descriptors -= 1;
        self.note(host, connection, EventKind::Closed);
        if is_open && resets {
            self.send(key, Segment::Reset);
        } else if is_open && ends {
            self.send(key, Segment::End);
        }
        self.forget_if_gone(key);
    }

    /// Breaks a connection from outside: both ends see a reset.
    pub(super) fn break_connection(&mut self, key: Key) {
        let peer = self.sockets.get(key).and_then(|socket| socket.peer);
        self.kill(key, io::ErrorKind::ConnectionReset);
        if let Some(peer) = peer {
            self.later(SOON, Event::Reset(peer));
        }
    }

    pub(super) fn forget_if_gone(&mut self, key: Key) {
        if self.sockets.get(key).is_some_and(|socket| socket.is_gone()) {
            self.sockets.remove(key);
        }
    }

    /// A connection that waits for a listener that is gone.
    pub(super) fn refuse_waiting(&mut self, key: Key) {
        let client = self.sockets.remove(key).and_then(|server| server.peer);
        client.into_iter().for_each(|client| self.bounce_to(client));
    }

    // ---- probing ----

    pub(super) fn set_keepalive(&mut self, key: Key, idle: Option<u64>) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let former = std::mem::replace(&mut socket.keepalive, idle);
        if let (None, Some(idle)) = (former, idle) {
            self.later(idle, Event::Probe(key, 0));
        }
    }

    pub(super) fn probe(&mut self, key: Key, silences: u32) {
        let Some(socket) = self.sockets.get(key) else { return };
        let (from, to, peer) = (socket.host, socket.peer_host, socket.peer);
        let Some(idle) = socket.keepalive.filter(|_| socket.stage == Stage::Open) else { return };
        if self.is_unreachable(from, to) || self.is_unreachable(to, from) {
            if silences == PROBES {
                return self.kill(key, io::ErrorKind::TimedOut);
            }
            return self.later(PROBE, Event::Probe(key, silences + 1));
        }
        if peer.is_none_or(|peer| self.sockets.get(peer).is_none()) {
            return self.on_reset(key);
        }
        self.later(idle, Event::Probe(key, 0));
    }

    pub(super) fn rise_soon(&mut self, key: Key) {
        self.later(SOON, Event::Rise(key));
    }
}

/// What has no place in a simulation.
pub(super) fn missing(what: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("a simulated host has no {what}"))
}

/// The address in the simulated network: there are no others.
pub(super) fn on_network(address: &Address) -> io::Result<SocketAddr> {
    let no_others = || match address {
        Address::Unix(_) => missing(format_args!("Unix sockets")),
        _ => missing(format_args!("descriptors of the system")),
    };
    address.socket_addr().ok_or_else(no_others)
}
