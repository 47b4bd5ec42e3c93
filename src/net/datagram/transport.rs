//! What a protocol, or anybody else, sees of a socket for datagrams.

use super::socket::DatagramTransport;
use crate::address::Address;
use crate::deferred::Deferred;
use crate::driver::{DatagramOption, Interface};
use crate::failure::{Failure, Result};
use crate::reactor::Reactor;
use std::fmt;
use std::net::IpAddr;

/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::net::{DatagramProtocol, DatagramTransport};
/// use ropewalk::simulation::Simulation;
/// use ropewalk::{Address, Result};
///
/// struct Echo;
/// impl DatagramProtocol for Echo {
///     fn datagram_received(&mut self, to: &DatagramTransport, data: &[u8], from: &Address) -> Result {
///         to.write_to(data, from)
///     }
/// }
/// struct Caller(Address);
/// impl DatagramProtocol for Caller {
///     fn started(&mut self, transport: &DatagramTransport) {
///         transport.connect(self.0.clone()).expect("once"); // nobody else is heard
///         transport.write("hello").expect("it has room");
///     }
///     fn datagram_received(&mut self, to: &DatagramTransport, data: &[u8], _: &Address) -> Result {
///         assert_eq!((data, to.peer()), (&b"hello"[..], Some(self.0.clone())));
///         println!("{} was answered", to.host());
///         Ok(drop(to.stop_listening()))
///     }
/// }
/// let simulation = Simulation::new(1);
/// let (server, client) = (simulation.host("server"), simulation.host("client"));
/// let echo = server.reactor().listen_udp("server:7", Echo)?;
/// let caller = client.reactor().listen_udp("client:0", Caller(echo.host()))?;
/// caller.set_broadcast(false)?;
/// simulation.run_until_idle()?;
/// assert_eq!(client.descriptors(), 0, "it was answered, and closed");
/// # }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
impl DatagramTransport {
    /// Sends a datagram to where the socket is connected; otherwise as
    /// [`write_to`](DatagramTransport::write_to).
    #[inline]
    #[track_caller]
    pub fn write(&self, data: impl AsRef<[u8]>) -> Result {
        Ok(self.datagrams.write(data.as_ref(), None)?)
    }

    /// Sends a datagram, whole or not at all.
    ///
    /// Up to 256 KiB that the system does not take yet wait here. Fails with [`SendError`](super::SendError) if more
    /// does, if the datagram is too long, or if the address is none that this socket can send to. That
    /// it was sent does not mean that it arrives.
    ///
    /// On Linux a second datagram of the same length to the same address, and those that follow it, may
    /// wait to be sent together: at most until the turn of the loop is over. What is wrong with them
    /// alone is reported.
    #[inline]
    #[track_caller]
    pub fn write_to(&self, data: impl AsRef<[u8]>, to: &Address) -> Result {
        Ok(self.datagrams.write(data.as_ref(), Some(to))?)
    }

    /// Speaks with one peer only, from now on: the others' datagrams are not received, and refusals
    /// are told. Once; the second time it fails.
    #[track_caller]
    pub fn connect(&self, peer: impl Into<Address>) -> Result {
        self.datagrams.connect(peer.into())
    }

    /// This end's address; also after the end.
    #[doc(alias = "getHost")]
    pub fn host(&self) -> Address {
        self.datagrams.host()
    }

    /// The peer that the socket is connected to.
    pub fn peer(&self) -> Option<Address> {
        self.datagrams.peer()
    }

    /// Closes the socket; what the system did not take yet is dropped.
    ///
    /// Fires in a later turn, when the protocol was told `stopped`; at once if it is closed already.
    #[doc(alias = "stopListening")]
    #[doc(alias = "loseConnection")]
    pub fn stop_listening(&self) -> Deferred<()> {
        self.datagrams.stop()
    }

    /// Whether datagrams may be sent to all hosts of a network; not so by default.
    #[doc(alias = "setBroadcastAllowed")]
    #[track_caller]
    pub fn set_broadcast(&self, allowed: bool) -> Result {
        self.set_option(DatagramOption::Broadcast(allowed))
    }

    /// Receives what is sent to a multicast group, through one interface.
    ///
    /// ```no_run
    /// # fn join(transport: &ropewalk::net::DatagramTransport) -> ropewalk::Result {
    /// use ropewalk::driver::Interface;
    /// use std::net::Ipv4Addr;
    ///
    /// let group = Ipv4Addr::new(228, 0, 0, 5).into();
    /// transport.join_group(group, Interface::Any)?;
    /// transport.join_group(group, Ipv4Addr::LOCALHOST)?;
    /// transport.set_multicast_interface(Ipv4Addr::LOCALHOST)?;
    /// transport.set_multicast_ttl(4)?;
    /// transport.set_multicast_loopback(false)?;
    /// transport.leave_group(group, Interface::Any)
    /// # }
    /// ```
    #[doc(alias = "joinGroup")]
    #[track_caller]
    pub fn join_group(&self, group: IpAddr, on: impl Into<Interface>) -> Result {
        self.set_option(DatagramOption::Join(group, on.into()))
    }

    /// Undoes [`join_group`](DatagramTransport::join_group).
    #[doc(alias = "leaveGroup")]
    #[track_caller]
    pub fn leave_group(&self, group: IpAddr, on: impl Into<Interface>) -> Result {
        self.set_option(DatagramOption::Leave(group, on.into()))
    }

    /// How many routers a datagram to a group may pass; by default it stays in this network.
    #[doc(alias = "setTTL")]
    #[track_caller]
    pub fn set_multicast_ttl(&self, routers: u32) -> Result {
        self.set_option(DatagramOption::MulticastTtl(routers))
    }

    /// Whether this host hears what it sends to a group; it does by default.
    #[doc(alias = "setLoopbackMode")]
    #[track_caller]
    pub fn set_multicast_loopback(&self, on: bool) -> Result {
        self.set_option(DatagramOption::MulticastLoopback(on))
    }

    /// Where datagrams to a group leave.
    #[doc(alias = "setOutgoingInterface")]
    #[track_caller]
    pub fn set_multicast_interface(&self, interface: impl Into<Interface>) -> Result {
        self.set_option(DatagramOption::MulticastInterface(interface.into()))
    }

    /// The reactor that this socket belongs to.
    pub fn reactor(&self) -> Reactor {
        Reactor::from(self.datagrams.inner.clone())
    }

    #[track_caller]
    fn set_option(&self, option: DatagramOption) -> Result {
        let Err(cause) = self.datagrams.set_option(option) else { return Ok(()) };
        let host = self.datagrams.host();
        Err(Failure::msg(format!("cannot set {option:?} of {host}: {cause}")))
    }
}

impl fmt::Debug for DatagramTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatagramTransport")
            .field("host", &self.host())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
