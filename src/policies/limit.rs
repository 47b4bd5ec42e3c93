//! Limits on how many connections there are.

use super::Policy;
use crate::address::Address;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

/// Admits so many connections at a time, in all and from each peer; clones count together.
///
/// ```
/// use ropewalk::Address;
/// use ropewalk::policies::{ConnectionLimit, Policy};
/// use std::net::SocketAddr;
///
/// let limit = ConnectionLimit::new().per_peer(1);
/// let peer = |last, port| Address::from(SocketAddr::from(([192, 0, 2, last], port)));
/// let first = limit.admit(&peer(1, 4000));
/// assert!(first.is_some());
/// assert!(limit.admit(&peer(1, 4001)).is_none(), "the same peer");
/// assert!(limit.admit(&peer(2, 4000)).is_some(), "another peer");
/// drop(first);
/// assert!(limit.admit(&peer(1, 4001)).is_some());
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "LimitTotalConnectionsFactory")]
#[doc(alias = "LimitConnectionsByPeer")]
pub struct ConnectionLimit {
    total: Option<usize>,
    per_peer: Option<usize>,
    /// Borrowed for one count.
    counts: Rc<RefCell<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    /// Only peers that have a connection.
    peers: HashMap<IpAddr, usize>,
}

impl ConnectionLimit {
    /// No limit yet.
    pub fn new() -> ConnectionLimit {
        ConnectionLimit::default()
    }

    /// So many connections in all.
    #[must_use]
    pub fn total(mut self, limit: usize) -> ConnectionLimit {
        self.total = Some(limit);
        self
    }

    /// So many connections from one IP address; peers without one count in all only.
    #[must_use]
    pub fn per_peer(mut self, limit: usize) -> ConnectionLimit {
        self.per_peer = Some(limit);
        self
    }

    /// How many connections there are now.
    ///
    /// ```
    /// # use ropewalk::policies::ConnectionLimit;
    /// assert_eq!(ConnectionLimit::new().count(), 0);
    /// ```
    pub fn count(&self) -> usize {
        self.counts.borrow().total
    }

    fn has_room_for(&self, peer: Option<IpAddr>) -> bool {
        let here = peer.and_then(|ip| self.counts.borrow().peers.get(&ip).copied()).unwrap_or(0);
        self.total.is_none_or(|limit| self.count() < limit)
            && (peer.is_none() || self.per_peer.is_none_or(|limit| here < limit))
    }
}

impl Policy for ConnectionLimit {
    type Pass = Admission;

    fn admit(&self, peer: &Address) -> Option<Admission> {
        // One peer is one peer, also when a socket for both families shows it as IPv6.
        let peer = peer.ip().map(|ip| ip.to_canonical());
        if !self.has_room_for(peer) {
            return None;
        }
        let mut counts = self.counts.borrow_mut();
        counts.total += 1;
        if let Some(ip) = peer {
            *counts.peers.entry(ip).or_default() += 1;
        }
        Some(Admission { counts: self.counts.clone(), peer })
    }
}

/// One connection's share in a limit; dropping it gives the share back.
#[derive(Debug)]
pub struct Admission {
    counts: Rc<RefCell<Counts>>,
    peer: Option<IpAddr>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let counts = &mut *self.counts.borrow_mut();
        counts.total -= 1;
        let Some(ip) = self.peer else { return };
        let peers = &mut counts.peers;
        match peers.get_mut(&ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(peers.remove(&ip)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn peer(ip: &str) -> Address {
        SocketAddr::new(ip.parse().unwrap(), 9).into()
    }

    #[test]
    fn a_peer_is_the_same_in_both_families_and_is_forgotten_when_it_is_gone() {
        let limit = ConnectionLimit::new().per_peer(2).total(3);
        let first = limit.admit(&peer("192.0.2.1"));
        let second = limit.admit(&peer("::ffff:192.0.2.1"));
        assert!(second.is_some() && limit.admit(&peer("192.0.2.1")).is_none());
        let third = limit.admit(&peer("2001:db8::1"));
        assert!(limit.admit(&peer("192.0.2.3")).is_none(), "three is all");
        drop((first, second, third));
        assert!(limit.count() == 0 && limit.counts.borrow().peers.is_empty());
    }

    #[test]
    fn a_peer_is_remembered_while_one_of_its_connections_is_left() {
        let limit = ConnectionLimit::new().per_peer(3);
        let mut held: Vec<_> = (0..3).map(|_| limit.admit(&peer("192.0.2.1"))).collect();
        assert!(held.iter().all(Option::is_some));
        for left in (1..3).rev() {
            drop(held.pop());
            assert_eq!(limit.count(), left);
            let again: Vec<_> = (left..3).map(|_| limit.admit(&peer("192.0.2.1"))).collect();
            assert!(again.iter().all(Option::is_some), "{left} are left");
            assert!(limit.admit(&peer("192.0.2.1")).is_none(), "{left} are left");
        }
    }

    #[test]
    fn who_is_refused_is_counted_nowhere() {
        let limit = ConnectionLimit::new().per_peer(1).total(2);
        let first = limit.admit(&peer("192.0.2.1"));
        assert!(first.is_some() && limit.admit(&peer("192.0.2.1")).is_none());
        assert_eq!(limit.count(), 1);
        let second = limit.clone().admit(&peer("192.0.2.2"));
        assert!(second.is_some() && limit.admit(&peer("192.0.2.3")).is_none(), "clones count too");
        drop(second);
        assert_eq!(limit.counts.borrow().peers.len(), 1);
        assert!(limit.admit(&peer("192.0.2.3")).is_some());
    }

    #[test]
    fn of_two_limits_the_first_gets_back_what_the_second_refuses() {
        let (outer, inner) = (ConnectionLimit::new().total(5), ConnectionLimit::new().total(1));
        let both = (outer.clone(), inner);
        let first = both.admit(&peer("192.0.2.1"));
        assert!(first.is_some() && both.admit(&peer("192.0.2.2")).is_none());
        assert_eq!(outer.count(), 1);
    }

    #[test]
    fn peers_without_an_address_count_in_all() {
        let limit = ConnectionLimit::new().per_peer(1).total(2);
        let unix = Address::from(std::path::PathBuf::from("/run/s"));
        let held = [limit.admit(&unix), limit.admit(&unix)];
        assert!(held.iter().all(Option::is_some) && limit.admit(&unix).is_none());
        drop(held);
        assert!(limit.count() == 0 && limit.admit(&unix).is_some());
    }
}
