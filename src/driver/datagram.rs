//! Sockets for datagrams, as a driver makes them.
//!
//! # Theory
//! Datagrams go and come one by one, or in *trains*: several of one length that follow each other to,
//! or from, one address, the last of them perhaps shorter. What a train costs a system is little more
//! than what one datagram does, because it passes through as one piece, but not every system, device
//! and path takes it so. A socket that knows nothing of trains has the defaults of the methods here.
//!
//! # Not here
//! When it is worth to wait for a second datagram: `net/datagram`.

use super::Key;
use crate::address::Address;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// A socket for datagrams.
///
/// A report that came back for an earlier datagram (a refusal, an unreachable host) is the error of
/// the next call, once; the socket lives on.
pub trait DatagramSocket {
    /// Asks the driver to name `key` when this socket's readiness rises, from now on.
    fn register(&mut self, key: Key) -> io::Result<()>;

    /// Receives one datagram; gives its length and its sender.
    ///
    /// A length above that of the buffer means that the datagram was longer, and its rest is lost.
    fn recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Address)>;

    /// Sends one datagram, whole or not at all; without an address to where it is connected.
    ///
    /// `OutOfMemory` is what the system has too little of at the moment, as room in a device's queue: no
    /// readiness tells when that is over.
    fn send_to(&mut self, data: &[u8], to: Option<&Address>) -> io::Result<()>;

    /// Has datagrams that come together handed over as trains, from now on: to `recv_train` alone,
    /// with 64 KiB of buffer. False: they are not.
    fn expect_trains(&mut self) -> bool {
        false
    }

    /// Receives a train, be it of one datagram.
    fn recv_train(&mut self, buffer: &mut [u8]) -> io::Result<Train> {
        let (length, from) = self.recv_from(buffer)?;
        Ok(Train { length, each: length, from })
    }

    /// The longest datagram that may go in a train; 0 if none may.
    fn longest_in_train(&self) -> usize {
        0
    }

    /// Sends `data` as datagrams of `each` bytes, the last of what is left; all of them or none.
    ///
    /// At most 64, and 64 KiB with what the system puts before them. `Unsupported` says that nothing
    /// goes as a train, `InvalidInput` that datagrams of this length do not; one by one they may.
    fn send_train(&mut self, data: &[u8], each: usize, to: Option<&Address>) -> io::Result<()> {
        let _ = (data, each, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Receives from one peer only, from now on, and sends to it by default.
    fn connect(&mut self, to: &Address) -> io::Result<()>;

    /// The report that waits to be told, if there is one.
    fn take_error(&mut self) -> io::Result<Option<io::Error>>;

    /// This end's address.
    fn host(&self) -> io::Result<Address>;

    /// Changes an option.
    fn set_option(&mut self, option: DatagramOption) -> io::Result<()>;
}

/// Datagrams that were received in one piece.
///
/// ```
/// use ropewalk::driver::Train;
/// use std::net::SocketAddr;
///
/// let from = SocketAddr::from(([127, 0, 0, 1], 53)).into();
/// let train = Train { length: 7, each: 3, from };
/// assert!(train.datagrams(b"abcdefg").eq([&b"abc"[..], b"def", b"g"]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Train {
    /// Bytes of all of them together.
    pub length: usize,
    /// Bytes of each but the last, which may have fewer.
    pub each: usize,
    /// Who sent them.
    pub from: Address,
}

impl Train {
    /// The datagrams in what was received; none if that is not all of the train.
    pub fn datagrams<'b>(&self, received: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        // An empty datagram is one, and has no pieces.
        let empty = (self.length == 0).then_some(&[][..]);
        let all = received.get(..self.length).unwrap_or_default();
        all.chunks(self.each.max(1)).chain(empty)
    }
}

/// What can be changed about a [`DatagramSocket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatagramOption {
    /// Whether datagrams may be sent to a whole network.
    Broadcast(bool),
    /// Receive what is sent to a group, through an interface.
    Join(IpAddr, Interface),
    /// Receive it no more.
    Leave(IpAddr, Interface),
    /// How many routers a datagram to a group may pass.
    MulticastTtl(u32),
    /// Whether this host hears what it sends to a group.
    MulticastLoopback(bool),
    /// Where datagrams to a group leave.
    MulticastInterface(Interface),
}

/// A network interface, as multicast names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Interface {
    /// Whichever the system thinks fit.
    #[default]
    Any,
    /// The one with this address; IPv4 only.
    Address(Ipv4Addr),
    /// By its index, as `ip link` shows it; IPv6 only.
    Index(u32),
}

impl From<Ipv4Addr> for Interface {
    fn from(address: Ipv4Addr) -> Interface {
        Interface::Address(address)
    }
}

impl From<u32> for Interface {
    fn from(index: u32) -> Interface {
        Interface::Index(index)
    }
}
