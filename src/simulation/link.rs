//! What lies between two hosts: how long bytes take, how many pass, how many are lost.

use super::random::{Random, nanos};
use std::time::Duration;

/// How long one way takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Anything from the first to the second, equally likely.
    Uniform(Duration, Duration),
    /// The first at least, and on average the second more: mostly little, sometimes much.
    LongTailed(Duration, Duration),
}

/// A latency as numbers of nanoseconds: how long at least, and what is drawn beyond that.
#[derive(Clone, Copy, Debug)]
enum Delay {
    Fixed(u64),
    Uniform(u64, u64),
    LongTailed(u64, u64),
}

impl Delay {
    fn new(latency: Latency) -> Delay {
        match latency {
            Latency::Fixed(latency) => Delay::Fixed(nanos(latency)),
            Latency::Uniform(least, most) => {
                Delay::Uniform(nanos(least), nanos(most.saturating_sub(least)))
            }
            Latency::LongTailed(least, mean) => Delay::LongTailed(nanos(least), nanos(mean)),
        }
    }

    #[inline]
    fn draw(self, random: &mut Random) -> u64 {
        match self {
            Delay::Fixed(latency) => latency,
            Delay::Uniform(least, spread) => least.saturating_add(random.below(spread)),
            Delay::LongTailed(least, mean) => least.saturating_add(random.long_tailed(mean)),
        }
    }
}

/// One direction between two hosts.
///
/// ```
/// use ropewalk::simulation::{Latency, Link, Simulation};
/// use std::time::Duration;
///
/// let simulation = Simulation::new(1);
/// let (phone, server) = (simulation.host("phone"), simulation.host("server"));
/// let radio = Latency::LongTailed(Duration::from_millis(20), Duration::from_millis(50));
/// simulation.set_link(&phone, &server, Link::new().latency(radio).loss(0.02).bandwidth(125_000));
/// ```
#[derive(Clone, Debug)]
pub struct Link {
    latency: Delay,
    /// Bytes a second; absent: any number.
    pub(super) bandwidth: Option<u64>,
    pub(super) loss: f64,
    pub(super) duplication: f64,
    /// So many bytes may be under way or unread in one direction of a connection.
    pub(super) window: usize,
    pub(super) is_cut: bool,
    /// When the last byte that was sent has left.
    pub(super) busy_until: u64,
}

impl Default for Link {
    fn default() -> Link {
        Link::new()
    }
}

impl Link {
    /// Half a millisecond to a whole one, no loss, any bandwidth: a network inside a building.
    pub fn new() -> Link {
        let latency = Latency::Uniform(Duration::from_micros(500), Duration::from_millis(1));
        Link {
            latency: Delay::new(latency),
            bandwidth: None,
            loss: 0.0,
            duplication: 0.0,
            window: 64 * 1024,
            is_cut: false,
            busy_until: 0,
        }
    }

    /// A host's way to itself.
    pub(super) fn loopback() -> Link {
        Link::new().latency(Latency::Fixed(Duration::from_micros(10)))
    }

    /// Sets how long one way takes.
    #[must_use]
    pub fn latency(mut self, latency: Latency) -> Link {
        self.latency = Delay::new(latency);
        self
    }

    /// Sets how many bytes a second pass; all connections share them.
    #[must_use]
    pub fn bandwidth(mut self, bytes_per_second: u64) -> Link {
        self.bandwidth = Some(bytes_per_second.max(1));
        self
    }

    /// Sets which share of all packets is lost. A stream sends them again, after 200 ms and then more.
    #[must_use]
    pub fn loss(mut self, share: f64) -> Link {
        self.loss = share.clamp(0.0, 1.0);
        self
    }

    /// Sets which share of all datagrams comes twice; streams do not notice.
    #[must_use]
    pub fn duplication(mut self, share: f64) -> Link {
        self.duplication = share.clamp(0.0, 1.0);
        self
    }

    /// Sets how many bytes one direction of a connection takes before its reader has read; 64 KiB.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Link {
        self.window = bytes.max(1);
        self
    }

    /// How long something takes that is sent now and takes up no room.
    pub(super) fn delay(&self, random: &mut Random) -> u64 {
        self.latency.draw(random)
    }

    /// When so many bytes of a stream that are sent now are there.
    #[inline]
    pub(super) fn arrival(&mut self, now: u64, bytes: usize, random: &mut Random) -> u64 {
        self.arrival_once(now, bytes, random).saturating_add(self.repeats(random))
    }

    /// When a datagram that is sent now is there, if it is not lost.
    #[inline]
    pub(super) fn arrival_once(&mut self, now: u64, bytes: usize, random: &mut Random) -> u64 {
        let start = now.max(self.busy_until);
        let left = match self.bandwidth {
            Some(rate) => start + (bytes as u64).saturating_mul(1_000_000_000) / rate,
            None => now,
        };
        self.busy_until = left;
        left.saturating_add(self.latency.draw(random))
    }

    /// How much longer it takes because packets were lost and sent again.
    #[inline]
    fn repeats(&self, random: &mut Random) -> u64 {
        if self.loss == 0.0 { 0 } else { self.draw_repeats(random) }
    }

    fn draw_repeats(&self, random: &mut Random) -> u64 {
        let mut delay = 0;
        let mut tries = 0;
        while tries < 10 && random.chance(self.loss) {
            delay += timeout(tries);
            tries += 1;
        }
        delay
    }
}

/// All links that were needed so far.
#[derive(Default)]
pub(super) struct Links {
    /// By sender, then by receiver.
    rows: Vec<Vec<Option<Link>>>,
    /// What lies between two hosts that have no link yet.
    pub(super) default: Link,
}

impl Links {
    #[inline]
    pub(super) fn find(&self, from: usize, to: usize) -> Option<&Link> {
        self.rows.get(from)?.get(to)?.as_ref()
    }

    #[inline]
    pub(super) fn get(&mut self, from: usize, to: usize) -> &mut Link {
        let is_there = self.find(from, to).is_some();
        if !is_there {
            self.make(from, to);
        }
        self.rows[from][to].get_or_insert_default()
    }

    #[inline(never)]
    fn make(&mut self, from: usize, to: usize) {
        if self.rows.len() <= from {
            self.rows.resize_with(from + 1, Vec::new);
        }
        let row = &mut self.rows[from];
        if row.len() <= to {
            row.resize_with(to + 1, || None);
        }
        let is_loopback = from == to;
        row[to] = Some(if is_loopback { Link::loopback() } else { self.default.clone() });
    }

    /// Those that are cut.
    pub(super) fn cut_ways(&self) -> Vec<(usize, usize)> {
        self.all().filter(|(_, link)| link.is_cut).map(|(way, _)| way).collect()
    }

    /// All of them, with who sends and who receives.
    pub(super) fn all(&self) -> impl Iterator<Item = ((usize, usize), &Link)> {
        self.rows.iter().enumerate().flat_map(|(from, row)| {
            let links = row.iter().enumerate();
            links.filter_map(move |(to, link)| Some(((from, to), link.as_ref()?)))
        })
    }
}

/// After how long something that was sent so many times before is sent again: 200 ms, doubled up to
/// two minutes.
pub(super) fn timeout(tries: u32) -> u64 {
    const FIRST: u64 = 200_000_000;
    (FIRST << tries.min(20)).min(120_000_000_000)
}
