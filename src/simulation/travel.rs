//! How segments travel: sent, arriving, repeated, answered with a reset.

use super::event_queue::Event;
use super::link::timeout;
use super::pipe::{Flight, Segment};
use super::socket::Stage;
use super::trace::{EventKind, beginning};
use super::world::{ReadyId, State};
use crate::driver::Key;
use std::io;
use std::time::Duration;

/// So often a segment is sent in vain before the connection is given up: a quarter of an hour.
const REPEATS: u32 = 15;

impl State {
    /// Puts bytes on their way: they wait in the receiver's inbox until their number has arrived.
    #[inline]
    pub(super) fn write(&mut self, key: Key, data: &[u8]) -> io::Result<usize> {
        let socket = self.sockets.get_mut(key).ok_or(io::ErrorKind::NotConnected)?;
        let count = socket.may_send(data.len())?;
        if count == 0 {
            return Ok(0);
        }
        socket.out.taken += count;
        let (host, connection, peer) = (socket.host, socket.connection, socket.peer);
        let link = self.links.get(host, socket.peer_host);
        let arrival = link.arrival(self.now, count, &mut self.random);
        if let Some(time) = socket.out.depart(self.now, arrival, Segment::Data(count)) {
            self.events.push(time, Event::Arrive(key));
        }
        if let Some(receiver) = peer.and_then(|peer| self.sockets.get_mut(peer))
            && receiver.can_hear()
        {
            receiver.inbox.expect(&data[..count]);
        }
        self.trace.count_bytes(&data[..count]);
        self.note_often(host, connection, 9 ^ (count as u64) << 8, || EventKind::Sent(count));
        Ok(count)
    }

    /// Puts a segment without bytes on its way to the other end.
    pub(super) fn send(&mut self, key: Key, segment: Segment) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let link = self.links.get(socket.host, socket.peer_host);
        let arrival = link.arrival(self.now, 0, &mut self.random);
        if let Some(time) = socket.out.depart(self.now, arrival, segment) {
            self.events.push(time, Event::Arrive(key));
        }
    }

    #[inline]
    pub(super) fn on_arrival(&mut self, key: Key) {
        while self.land(key) {}
    }

    /// Lets what this socket sent first arrive, if its time has come; whether there may be more.
    #[inline]
    fn land(&mut self, key: Key) -> bool {
        let Some(socket) = self.sockets.get_mut(key) else { return false };
        let Some(first) = socket.out.in_flight.first() else {
            self.forget_if_gone(key);
            return false;
        };
        let link = self.links.find(socket.host, socket.peer_host);
        if !self.machines[socket.peer_host].is_up || link.is_some_and(|link| link.is_cut) {
            self.repeat(key);
            return false;
        }
        socket.out.tries = 0;
        if first.arrival > self.now {
            self.events.push(first.arrival, Event::Arrive(key));
            return false;
        }
        let Some(flight) = socket.out.in_flight.pop() else { return false };
        let may_be_more = !socket.out.in_flight.is_empty() || !socket.is_held;
        let peer = socket.peer;
        self.deliver(key, flight, peer);
        may_be_more
    }

    fn repeat(&mut self, key: Key) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let tries = socket.out.tries;
        socket.out.tries += 1;
        let (host, connection) = (socket.host, socket.connection);
        self.note(host, connection, EventKind::Repeated);
        if tries < REPEATS {
            return self.later(timeout(tries), Event::Arrive(key));
        }
        self.kill(key, io::ErrorKind::TimedOut);
    }

    /// Ends a socket without a word to the other end.
    pub(super) fn kill(&mut self, key: Key, kind: io::ErrorKind) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        let (host, connection) = (socket.host, socket.connection);
        socket.die(Some(kind));
        self.note(host, connection, EventKind::Reset);
        self.rise(key);
        self.forget_if_gone(key);
    }

    #[inline]
    fn deliver(&mut self, from_key: Key, flight: Flight, peer: Option<Key>) {
        let receiver = peer.and_then(|key| Some((key, self.sockets.get_mut(key)?)));
        let Some((key, receiver)) = receiver.filter(|(_, socket)| socket.can_hear()) else {
            return self.bounce(from_key, flight.segment);
        };
        let Segment::Data(bytes) = flight.segment else { return self.deliver_mark(key, flight) };
        let (from, to, connection) = (receiver.peer_host, receiver.host, receiver.connection);
        let data = receiver.inbox.arrive(bytes);
        let beginning = self.trace.is_kept().then(|| beginning(data));
        if receiver.rises() {
            self.call_host(to, ReadyId::Socket(key));
        }
        self.note_of_two((to, from), connection, 6 ^ (bytes as u64) << 8, |from| {
            EventKind::Arrived {
                from,
                sent: Duration::from_nanos(flight.left),
                bytes,
                beginning: beginning.unwrap_or_default(),
            }
        });
    }

    /// Something without bytes arrives at somebody who hears it.
    #[inline(never)]
    fn deliver_mark(&mut self, key: Key, flight: Flight) {
        match flight.segment {
            Segment::Ack => self.complete(key),
            Segment::Reset => self.kill(key, io::ErrorKind::ConnectionReset),
            Segment::End | Segment::Data(_) => {
                let Some(socket) = self.sockets.get_mut(key) else { return };
                socket.has_ended = true;
                let (from, to, connection) = (socket.peer_host, socket.host, socket.connection);
                let sent = Duration::from_nanos(flight.left);
                self.note_of_two((to, from), connection, 7, |from| EventKind::Ended { from, sent });
                self.rise(key);
            }
        }
    }

    /// What arrives where nobody is any more is answered with a reset.
    #[inline(never)]
    fn bounce(&mut self, sender: Key, segment: Segment) {
        if matches!(segment, Segment::Data(_) | Segment::Ack)
            && let Some(socket) = self.sockets.get(sender)
        {
            let delay = self.one_way(socket.peer_host, socket.host);
            self.later(delay, Event::Reset(sender));
        }
    }

    pub(super) fn on_reset(&mut self, key: Key) {
        match self.sockets.get(key).map(|socket| socket.stage) {
            Some(Stage::Open) => self.kill(key, io::ErrorKind::ConnectionReset),
            // Nobody was told of it yet.
            Some(Stage::HalfOpen) => drop(self.sockets.remove(key)),
            _ => {}
        }
    }

    /// The client's acknowledgement is there: the connection waits to be accepted.
    fn complete(&mut self, key: Key) {
        let Some(server) = self.sockets.get_mut(key) else { return };
        server.stage = Stage::Open;
        let client = server.peer;
        let listener = client.and_then(|client| self.find_listener(client));
        match listener.and_then(|key| self.listeners.get_mut(key)) {
            Some(waiting) => {
                waiting.waiting.push_back(key);
                listener.into_iter().for_each(|listener| self.rise_listener(listener));
            }
            // The listener was closed meanwhile.
            None => self.refuse_waiting(key),
        }
    }

    pub(super) fn bounce_to(&mut self, client: Key) {
        let Some(socket) = self.sockets.get(client) else { return };
        let delay = self.one_way(socket.peer_host, socket.host);
        self.later(delay, Event::Reset(client));
    }

    /// Takes bytes that arrived; the writer learns of room.
    #[inline]
    pub(super) fn read(&mut self, key: Key, buffer: &mut [u8]) -> io::Result<usize> {
        let socket = self.sockets.get_mut(key).ok_or(io::ErrorKind::NotConnected)?;
        let count = socket.read(buffer)?;
        let (way, peer) = ((socket.host, socket.peer_host), socket.peer);
        self.free_room(way, peer, count);
        Ok(count)
    }

    /// So much was read: the writer learns of room, if the way back is open.
    #[inline]
    fn free_room(&mut self, (from, to): (usize, usize), writer: Option<Key>, bytes: usize) {
        let Some(key) = writer else { return };
        let Some(writer) = self.sockets.get_mut(key) else { return };
        let pipe = &mut writer.out;
        if self.links.find(from, to).is_some_and(|link| link.is_cut) {
            pipe.withheld += bytes;
            return;
        }
        pipe.taken = pipe.taken.saturating_sub(bytes + std::mem::take(&mut pipe.withheld));
        if pipe.wants_room && pipe.is_roomy() {
            pipe.wants_room = false;
            let delay = self.one_way(from, to);
            self.later(delay, Event::Rise(key));
        }
    }

    /// The way back is open again: writers learn what was read meanwhile.
    pub(super) fn release_withheld(&mut self, from: usize, to: usize) {
        for reader in self.sockets_where(|at, peer| (at, peer) == (from, to)) {
            let writer = self.sockets.get(reader).and_then(|reader| reader.peer);
            self.free_room((from, to), writer, 0);
        }
    }
}
