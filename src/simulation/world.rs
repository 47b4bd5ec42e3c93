//! Everything that is simulated, in one place that is borrowed for one step at a time.
//!
//! # Invariants
//! * No borrow of the state is alive while a reactor is turned or anything of the user's is called.
//! * Time is nanoseconds since the beginning and only grows.

use super::event_queue::{Event, EventQueue, Job};
use super::fault::{Call, Fault, Faults};
use super::files::Files;
use super::link::{Link, Links};
use super::random::Random;
use super::socket::Socket;
use super::trace::{Connection, EventKind, Trace, TraceEvent};
use super::udp::SimulatedUdp;
use crate::clock::FOREVER;
use crate::driver::{Key, Readiness, Ready};
use crate::slots::Slots;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

pub(super) struct State {
    pub(super) now: u64,
    pub(super) seed: u64,
    pub(super) random: Random,
    pub(super) events: EventQueue,
    pub(super) machines: Vec<HostState>,
    /// Hosts for which something has become ready since they were looked at.
    pub(super) called: Vec<usize>,
    pub(super) links: Links,
    pub(super) sockets: Slots<Socket>,
    pub(super) listeners: Slots<Listening>,
    pub(super) udp_sockets: Slots<SimulatedUdp>,
    pub(super) connections: Connection,
    pub(super) trace: Trace,
    /// How many calls the hosts' drivers got.
    pub(super) calls: u64,
    /// The number of the call that fails, and how; 0 is none.
    pub(super) fault_at: (u64, Fault),
    pub(super) faults_made: u64,
}

/// A host as the world sees it.
pub(super) struct HostState {
    pub(super) name: Rc<str>,
    pub(super) ip: IpAddr,
    /// What has become ready and was not told yet.
    pub(super) ready: VecDeque<ReadyId>,
    pub(super) is_up: bool,
    pub(super) is_paused: bool,
    /// Counts its lives: sockets of a former one are gone.
    pub(super) life: u32,
    pub(super) faults: Faults,
    /// Single calls that shall fail, each once.
    pub(super) planned: Vec<(Call, Fault)>,
    /// Whether any of that is anything.
    pub(super) has_faults: bool,
    /// Sockets and listeners that it holds.
    pub(super) descriptors: usize,
    pub(super) most_descriptors: usize,
    pub(super) next_port: u16,
    /// Who listens.
    pub(super) ports: BTreeMap<u16, Key>,
    /// Who receives datagrams.
    pub(super) udp_sockets: BTreeMap<u16, Key>,
    pub(super) disk: Files,
    pub(super) clock: HostClock,
    /// What that read when its reactor was made, from where the reactor's timers count.
    pub(super) born: u64,
}

/// A host's own clock: it may be off, and run fast or slow.
#[derive(Clone, Copy, Default)]
pub(super) struct HostClock {
    base: u64,
    host_base: u64,
    parts_per_million: i64,
}

#[derive(Clone, Copy)]
pub(super) enum ReadyId {
    Socket(Key),
    Listener(Key),
    SimulatedUdp(Key),
}

pub(super) struct Listening {
    pub(super) host: usize,
    pub(super) address: SocketAddr,
    pub(super) backlog: usize,
    pub(super) key: Option<Key>,
    pub(super) is_queued: bool,
    pub(super) waiting: VecDeque<Key>,
}

impl HostClock {
    pub(super) fn read(&self, now: u64) -> u64 {
        let passed = scale(now - self.base, 1_000_000 + self.parts_per_million, 1_000_000);
        // The end of all time that timers can count.
        self.host_base.saturating_add(passed).min(FOREVER)
    }

    /// How long the world waits while the host waits for this long.
    pub(super) fn to_world(self, nanos: u64) -> u64 {
        if self.parts_per_million == 0 {
            return nanos;
        }
        scale(nanos, 1_000_000, 1_000_000 + self.parts_per_million).saturating_add(1)
    }

    pub(super) fn set_rate(&mut self, now: u64, parts_per_million: i64) {
        let slowest_and_fastest = -999_999..=1_000_000_000;
        *self = HostClock {
            base: now,
            host_base: self.read(now),
            parts_per_million: parts_per_million
                .clamp(*slowest_and_fastest.start(), *slowest_and_fastest.end()),
        };
    }

    pub(super) fn jump(&mut self, by: u64) {
        self.host_base = self.host_base.saturating_add(by);
    }
}

fn scale(value: u64, times: i64, by: i64) -> u64 {
    if times == by {
        return value;
    }
    u64::try_from(i128::from(value) * i128::from(times) / i128::from(by)).unwrap_or(u64::MAX)
}

impl State {
    pub(super) fn new(seed: u64) -> State {
        State {
            now: 0,
            seed,
            random: Random::new(seed),
            events: EventQueue::default(),
            machines: Vec::new(),
            called: Vec::new(),
            links: Links::default(),
            sockets: Slots::new(),
            listeners: Slots::new(),
            udp_sockets: Slots::new(),
            connections: 0,
            trace: Trace::default(),
            calls: 0,
            fault_at: (0, Fault::Interrupted),
            faults_made: 0,
        }
    }

    /// Adds a machine, which is down.
    pub(super) fn add_machine(&mut self, name: &str) -> usize {
        let number = self.machines.len() as u32 + 1;
        self.trace.count_text(name);
        let [_, a, b, c] = number.to_be_bytes();
        self.machines.push(HostState {
            name: name.into(),
            ip: IpAddr::from([10, a, b, c]),
            ready: VecDeque::new(),
            is_up: false,
            is_paused: false,
            life: 0,
            faults: Faults::none(),
            planned: Vec::new(),
            has_faults: false,
            descriptors: 0,
            most_descriptors: usize::MAX,
            next_port: FIRST_PORT,
            ports: BTreeMap::new(),
            udp_sockets: BTreeMap::new(),
            disk: Files::default(),
            clock: HostClock::default(),
            born: 0,
        });
        self.machines.len() - 1
    }

    pub(super) fn find_machine(&self, name: &str) -> Option<usize> {
        self.machines.iter().position(|machine| &*machine.name == name)
    }

    pub(super) fn name(&self, host: usize) -> Rc<str> {
        self.machines[host].name.clone()
    }

    pub(super) fn link(&mut self, from: usize, to: usize) -> &mut Link {
        self.links.get(from, to)
    }

    pub(super) fn one_datagram(&mut self, from: usize, to: usize, bytes: usize) -> u64 {
        self.links.get(from, to).arrival_once(self.now, bytes, &mut self.random)
    }

    /// Nothing sent from one host gets to the other now.
    #[inline]
    pub(super) fn is_unreachable(&self, from: usize, to: usize) -> bool {
        !self.machines[to].is_up || self.links.find(from, to).is_some_and(|link| link.is_cut)
    }

    pub(super) fn one_way(&mut self, from: usize, to: usize) -> u64 {
        self.links.get(from, to).delay(&mut self.random)
    }

    pub(super) fn later(&mut self, delay: u64, event: Event) {
        self.events.push(self.now.saturating_add(delay), event);
    }

    pub(super) fn job_later(&mut self, delay: u64, job: Job) {
        self.events.push_job(self.now.saturating_add(delay), job);
    }

    /// Counts a call of a host's driver and says what goes wrong with it.
    #[inline]
    pub(super) fn call(
        &mut self,
        host: usize,
        connection: Connection,
        call: Call,
    ) -> Option<Fault> {
        self.calls += 1;
        if self.calls != self.fault_at.0 && !self.machines[host].has_faults {
            return None;
        }
        self.choose_fault(host, connection, call)
    }

    #[inline(never)]
    fn choose_fault(&mut self, host: usize, connection: Connection, call: Call) -> Option<Fault> {
        let (number, fault) = self.fault_at;
        let chosen = (number == self.calls).then_some(fault);
        let machine = &mut self.machines[host];
        let planned = machine.planned.iter().position(|(planned, _)| *planned == call);
        let chosen = chosen.or_else(|| planned.map(|place| machine.planned.remove(place).1));
        let fault = chosen.or_else(|| machine.faults.draw(call, &mut self.random))?;
        if !is_possible(call, fault) {
            return None;
        }
        self.faults_made += 1;
        self.note(host, connection, EventKind::Failing(call, fault));
        Some(fault)
    }

    /// Enters what happened into the trace.
    pub(super) fn note(&mut self, host: usize, connection: Connection, what: EventKind) {
        let name = self.machines.get(host).map_or("".into(), |machine| machine.name.clone());
        let at = Duration::from_nanos(self.now);
        let event = TraceEvent { at, host: name, connection, what };
        self.trace.note(self.mark(host, connection), event);
    }

    fn mark(&self, host: usize, connection: Connection) -> u64 {
        let place = (host as u64) << 48 | u64::from(connection) << 16;
        self.now ^ place.rotate_left(17)
    }

    /// As `note`, of what happens all the time; `mark` tells its kinds and sizes apart.
    #[inline]
    pub(super) fn note_often(
        &mut self,
        host: usize,
        connection: Connection,
        mark: u64,
        what: impl FnOnce() -> EventKind,
    ) {
        let mark = self.mark(host, connection) ^ mark;
        let (now, machines) = (self.now, &self.machines);
        self.trace.note_often(mark, || TraceEvent {
            at: Duration::from_nanos(now),
            host: machines.get(host).map_or("".into(), |machine| machine.name.clone()),
            connection,
            what: what(),
        });
    }

    /// As `note_often`, of something that came from another host, whose name it is told.
    #[inline]
    pub(super) fn note_of_two(
        &mut self,
        (host, from): (usize, usize),
        connection: Connection,
        mark: u64,
        what: impl FnOnce(Rc<str>) -> EventKind,
    ) {
        let from = self.trace.is_kept().then(|| self.name(from));
        self.note_often(host, connection, mark, || what(from.unwrap_or_default()));
    }

    /// Names a socket ready at the next wait of its host.
    #[inline]
    pub(super) fn rise(&mut self, key: Key) {
        if let Some(socket) = self.sockets.get_mut(key)
            && socket.rises()
        {
            let host = socket.host;
            self.call_host(host, ReadyId::Socket(key));
        }
    }

    pub(super) fn rise_listener(&mut self, key: Key) {
        if let Some(listener) = self.listeners.get_mut(key)
            && listener.key.is_some()
            && !std::mem::replace(&mut listener.is_queued, true)
        {
            let host = listener.host;
            self.call_host(host, ReadyId::Listener(key));
        }
    }

    #[inline]
    pub(super) fn call_host(&mut self, host: usize, id: ReadyId) {
        let ready = &mut self.machines[host].ready;
        if ready.is_empty() {
            self.called.push(host);
        }
        ready.push_back(id);
    }

    /// Tells a host what has become ready, as it is now.
    #[inline]
    pub(super) fn drain_ready(&mut self, host: usize, ready: &mut Vec<Ready>) {
        // A turn is something that happens, whatever it comes to.
        self.trace.count(self.mark(host, 0) ^ 20);
        while let Some(id) = self.machines[host].ready.pop_front() {
            let (key, readiness) = match id {
                ReadyId::Socket(key) => self.look_at_socket(key),
                ReadyId::Listener(key) => self.look_at_listener(key),
                ReadyId::SimulatedUdp(key) => self.look_at_udp(key),
            };
            if let Some(key) = key
                && readiness != Readiness::NONE
            {
                ready.push(Ready { key, readiness });
            }
        }
    }

    #[inline]
    fn look_at_socket(&mut self, key: Key) -> (Option<Key>, Readiness) {
        let Some(socket) = self.sockets.get_mut(key) else { return (None, Readiness::NONE) };
        socket.is_queued = false;
        (socket.key, socket.readiness())
    }

    fn look_at_udp(&mut self, key: Key) -> (Option<Key>, Readiness) {
        let Some(socket) = self.udp_sockets.get_mut(key) else { return (None, Readiness::NONE) };
        socket.is_queued = false;
        (socket.key, socket.readiness())
    }

    fn look_at_listener(&mut self, key: Key) -> (Option<Key>, Readiness) {
        let Some(listener) = self.listeners.get_mut(key) else { return (None, Readiness::NONE) };
        listener.is_queued = false;
        (listener.key, Readiness::READABLE.when(!listener.waiting.is_empty()))
    }
}

const FIRST_PORT: u16 = 1024;

impl HostState {
    pub(super) fn pick_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            if !self.ports.contains_key(&port) && !self.udp_sockets.contains_key(&port) {
                return port;
            }
        }
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.has_faults = faults != Faults::none() || !self.planned.is_empty();
    }

    pub(super) fn plan_fault(&mut self, call: Call, fault: Fault) {
        self.planned.push((call, fault));
        self.has_faults = true;
    }
}

/// No system would block in a call that names an address, or cut a connect short.
fn is_possible(call: Call, fault: Fault) -> bool {
    match fault {
        Fault::Short => matches!(call, Call::Read | Call::Write),
        Fault::Interrupted => matches!(call, Call::Read | Call::Write | Call::Accept | Call::Peek),
        Fault::WouldBlock => {
            matches!(call, Call::Read | Call::Write | Call::Accept | Call::Finish | Call::Peek)
        }
        Fault::Error(_) => true,
    }
}
