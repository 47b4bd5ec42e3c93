//! What there is in a reactor at one moment: tasks, connections, delayed calls.

use super::owners::OwnerId;
use super::watch::Work;
use super::{Loop, Reactor};
use crate::driver::Key;
use crate::failure::Failure;
use std::panic::Location;
use std::time::{Duration, Instant};

/// What a reactor has at one moment, no more than [`Snapshot::LIMIT`] of each; see [`Reactor::snapshot`].
///
/// ```
/// use std::time::Duration;
///
/// let reactor = ropewalk::Reactor::new()?;
/// reactor.call_later(Duration::from_secs(60), || println!("a minute later"));
/// let snapshot = reactor.snapshot();
/// assert_eq!(snapshot.timers.len(), 1);
/// assert!(snapshot.timers[0].place.unwrap().file().ends_with(".rs"));
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The oldest first.
    pub tasks: Vec<TaskSnapshot>,
    /// The oldest first.
    pub connections: Vec<ConnectionSnapshot>,
    /// Those that are due next first.
    pub timers: Vec<TimerSnapshot>,
}

/// A task, in a [`Snapshot`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskSnapshot {
    /// Where it was spawned; unknown of the one that is being polled.
    pub place: Option<&'static Location<'static>>,
    /// The service, or other owner, whose it is.
    pub owner: Option<String>,
    /// How long ago it was polled first, if the reactor is [observed](Reactor::observe).
    pub age: Option<Duration>,
    /// How often it was polled since then.
    pub polls: u64,
}

/// A connection, in a [`Snapshot`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// What [`Reactor::close_connection`] knows it by.
    pub key: Key,
    /// The other end.
    pub peer: String,
    /// Where it is in its life: `open`, `paused`, `read closed`, `write closed`, `losing`, `failed`, `lost`.
    pub state: &'static str,
    /// Who serves it: a `protocol` or a `stream`.
    pub face: &'static str,
    /// So many bytes wait to be sent.
    pub buffered: usize,
    /// The service, or other owner, whose it is.
    pub owner: Option<String>,
    /// How long ago it was served first, if the reactor is [observed](Reactor::observe).
    pub age: Option<Duration>,
    /// How long ago it was served last, if the reactor is observed.
    pub idle: Option<Duration>,
}

/// A delayed call, in a [`Snapshot`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimerSnapshot {
    /// When it is due, from now.
    pub due: Duration,
    /// Where it was made, if by [`Reactor::call_later`].
    pub place: Option<&'static Location<'static>>,
    /// The service, or other owner, whose it is.
    pub owner: Option<String>,
}

/// What a connection tells of itself.
pub(crate) struct Looks {
    pub(crate) peer: String,
    pub(crate) state: &'static str,
    pub(crate) face: &'static str,
    pub(crate) buffered: usize,
}

impl Snapshot {
    /// So many of each there are at most, so that a look does not stall the loop.
    pub const LIMIT: usize = 1000;
}

impl Reactor {
    /// What there is now. Ages are known of what was served since the reactor is
    /// [observed](Reactor::observe).
    pub fn snapshot(&self) -> Snapshot {
        self.inner().snapshot()
    }

    /// From now on keeps when each connection and task is served first and last, and how often: costs a
    /// look into a table for each call.
    pub fn observe(&self) {
        if !self.inner().observed.is_on() {
            self.inner().observed.begin(self.now());
            self.inner().sources.callbacks.note();
            self.inner().tasks.polls.note();
        }
    }

    /// Cuts off the connection of that key, in the next turn. False: there is none.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use ropewalk::simulation::Simulation;
    ///
    /// let simulation = Simulation::new(1);
    /// let reactor = simulation.host("any").reactor();
    /// for connection in reactor.snapshot().connections {
    ///     assert!(reactor.close_connection(connection.key));
    /// }
    /// # }
    /// ```
    pub fn close_connection(&self, key: Key) -> bool {
        let inner = self.inner();
        let is_there = inner.sources.look(key).is_some_and(|source| source.is_connection());
        if is_there {
            // Not now: a callback of this very connection may have asked.
            let sources = std::rc::Rc::downgrade(inner);
            let close = move || {
                let Some(inner) = sources.upgrade() else { return };
                let reason = Failure::in_loop_msg("it was closed on request").of_an_end();
                inner.sources.each_of(&[key], |source| source.disown(&reason));
            };
            inner.timers.call_later(Duration::ZERO, Box::new(close));
        }
        is_there
    }
}

impl Loop {
    fn snapshot(&self) -> Snapshot {
        let now = self.timers.now();
        Snapshot {
            tasks: self.tasks_seen(now),
            connections: self.connections_seen(now),
            timers: self.timers_seen(now),
        }
    }

    fn tasks_seen(&self, now: Instant) -> Vec<TaskSnapshot> {
        let keys = self.oldest(self.tasks.taken(), Work::of_task);
        let look = |key: Key| {
            let seen = self.observed.look(Work::of_task(key));
            TaskSnapshot {
                place: self.tasks.place(key),
                owner: self.owner_name(self.tasks.owner_of(key)),
                age: seen.map(|seen| now.saturating_duration_since(seen.first)),
                polls: seen.map_or(0, |seen| seen.count),
            }
        };
        keys.into_iter().map(look).collect()
    }

    fn connections_seen(&self, now: Instant) -> Vec<ConnectionSnapshot> {
        let keys = self.oldest(self.sources.connections(), Work::of_source);
        let look = |key: Key| {
            let Looks { peer, state, face, buffered } = self.sources.look(key)?.looks()?;
            let owner = self.owner_name(self.sources.owner_of(key));
            let seen = self.observed.look(Work::of_source(key));
            let age = seen.map(|seen| now.saturating_duration_since(seen.first));
            let idle = seen.map(|seen| now.saturating_duration_since(seen.last));
            Some(ConnectionSnapshot { key, peer, state, face, buffered, owner, age, idle })
        };
        keys.into_iter().filter_map(look).collect()
    }

    fn timers_seen(&self, now: Instant) -> Vec<TimerSnapshot> {
        let mut calls = self.timers.pending();
        calls.sort_by_key(|call| call.deadline());
        calls.truncate(Snapshot::LIMIT);
        let look = |call: crate::clock::DelayedCall| TimerSnapshot {
            due: call.deadline().saturating_duration_since(now),
            place: call.made(),
            owner: self.owner_name(OwnerId::of_mark(call.mark())),
        };
        calls.into_iter().map(look).collect()
    }

    /// The oldest of them, the oldest first; those that were never served are the youngest.
    fn oldest(&self, keys: Vec<Key>, work: fn(Key) -> Work) -> Vec<Key> {
        let first = |key: &Key| self.observed.look(work(*key)).map(|seen| seen.first);
        let mut aged: Vec<_> = keys.into_iter().map(|key| (first(&key), key)).collect();
        // False, so first, for those whose age is known.
        aged.sort_by_key(|(first, _)| (first.is_none(), *first));
        aged.truncate(Snapshot::LIMIT);
        aged.into_iter().map(|(_, key)| key).collect()
    }

    fn owner_name(&self, owner: OwnerId) -> Option<String> {
        self.owners.get(owner).map(|owned| owned.name.clone())
    }
}
