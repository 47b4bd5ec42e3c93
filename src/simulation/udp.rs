//! One socket for datagrams, as its host's system has it, and a datagram under way.

use super::trace::Loss;
use crate::driver::{Key, Readiness};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// What one socket for datagrams is to its host's system.
pub(super) struct SimulatedUdp {
    pub(super) host: usize,
    pub(super) address: SocketAddr,
    pub(super) key: Option<Key>,
    pub(super) is_queued: bool,
    pub(super) unread: VecDeque<(Box<[u8]>, SocketAddr)>,
    /// Receives from there only, and sends there by default.
    pub(super) peer: Option<SocketAddr>,
    /// Told to the next call, once.
    pub(super) error: Option<io::ErrorKind>,
    /// Receives what is sent to these as well.
    pub(super) groups: Vec<IpAddr>,
    /// Hears itself what it sends to a group that it is in.
    pub(super) hears_itself: bool,
}

/// A datagram under way.
pub(super) struct Datagram {
    pub(super) sender: Key,
    pub(super) sent: u64,
    pub(super) from_host: usize,
    pub(super) to_host: usize,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) data: Box<[u8]>,
}

/// More that nobody has read, and what comes is dropped.
const MOST_UNREAD: usize = 256;
impl SimulatedUdp {
    pub(super) fn readiness(&self) -> Readiness {
        let has_something = !self.unread.is_empty() || self.error.is_some();
        Readiness::WRITABLE.and(Readiness::READABLE.when(has_something))
    }

    pub(super) fn is_at(&self, ip: IpAddr) -> bool {
        if ip.is_multicast() {
            return self.groups.contains(&ip);
        }
        self.address.ip().is_unspecified() || self.address.ip() == ip
    }

    /// Why it takes nothing from there now, if it does not.
    pub(super) fn refuses(&self, from: SocketAddr) -> Option<Loss> {
        if self.peer.is_some_and(|peer| peer != from) {
            return Some(Loss::NotThePeer);
        }
        (self.unread.len() >= MOST_UNREAD).then_some(Loss::Full)
    }
}
