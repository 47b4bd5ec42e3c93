//! Datagrams: UDP and Unix sockets that send and receive whole messages.
//!
//! # Theory
//! A socket has one of two faces: a [`DatagramProtocol`], which is given each datagram, or a
//! [`UdpSocket`], which a task asks for the next. Datagrams are read into 64 KiB, more than IP can
//! carry, so that none is cut short; a Unix socket can send longer ones, which are reported instead of
//! delivered. What the system does not take at once waits in a bounded queue, or its task waits.
//!
//! Next to what a system does with a datagram the call for it is little: to send or receive many in one
//! call saves nothing unless they pass through the system as one. On Linux UDP can do that, with
//! *trains*: datagrams of one length, but for the last, from one address to one other. What a socket
//! sends within a callback, or a turn, leaves in trains as far as it makes some, the first datagram
//! always at once; and what arrives as a train is received as one, and delivered one by one. Everybody
//! else sees single datagrams on both sides.
//!
//! A socket that is connected hears when its peer refuses what it sent. That is told once and ends
//! nothing: the next datagram may fare better. On a socket that is not connected nobody could say
//! which peer it was, so the system keeps it to itself.
//!
//! # Invariants
//! * A protocol is called by the loop alone, never from inside a transport's method, but for
//!   `started`, which is called when the socket is opened.
//! * One socket's share of a turn is bounded in datagrams and in bytes.
//! * Datagrams of one socket leave in the order in which they were sent.
//!
//! # Not here
//! Names of hosts: an address is an address here. `recvmmsg` and `sendmmsg`: measured over the loopback,
//! in turns of 64, they cost as much for each datagram as a call of its own; and each would need 64 KiB
//! of its own to arrive in whole.

mod at;
mod given;
mod incoming;
mod outgoing;
mod pull;
mod send_error;
mod socket;
mod train;
mod transport;

pub use at::UdpAddress;
pub use pull::UdpSocket;
pub use send_error::SendError;
pub use socket::DatagramTransport;

use crate::address::Address;
use crate::failure::{Failure, Result};
use crate::net::listen::ListenError;
use crate::reactor::Reactor;

/// Meaning for datagrams, as callbacks.
///
/// # Its life
/// 1. `started` is called once, when the socket is open.
/// 2. `datagram_received` is called for each datagram, an empty one too.
/// 3. `stopped` is called once, last, and the protocol is dropped.
///
/// An error or a panic in any of them is reported, and the socket serves on: one bad datagram must
/// not silence the others' senders.
///
/// ```
/// use ropewalk::net::{DatagramProtocol, DatagramTransport};
/// use ropewalk::{Address, Result};
///
/// struct Echo;
/// impl DatagramProtocol for Echo {
///     fn datagram_received(
///         &mut self,
///         transport: &DatagramTransport,
///         data: &[u8],
///         from: &Address,
///     ) -> Result {
///         transport.write_to(data, from)
///     }
/// }
/// ```
#[doc(alias = "IDatagramProtocol")]
pub trait DatagramProtocol {
    /// The socket is open.
    #[doc(alias = "startProtocol")]
    fn started(&mut self, transport: &DatagramTransport) {
        let _ = transport;
    }

    /// A datagram arrived, whole.
    #[doc(alias = "datagramReceived")]
    fn datagram_received(
        &mut self,
        transport: &DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result;

    /// The peer that the socket is connected to refused an earlier datagram, or cannot be reached.
    #[doc(alias = "connectionRefused")]
    fn connection_refused(&mut self, transport: &DatagramTransport, reason: &Failure) {
        let _ = (transport, reason);
    }

    /// The socket is closed.
    #[doc(alias = "stopProtocol")]
    fn stopped(&mut self) {}
}

impl Reactor {
    /// Receives UDP datagrams at an address, for a protocol.
    ///
    /// Port 0 lets the system choose; see [`DatagramTransport::host`]. A host name is looked up while
    /// you wait. Fails with [`ListenError`].
    ///
    /// ```
    /// use ropewalk::net::{DatagramProtocol, DatagramTransport};
    /// use ropewalk::{Address, Reactor, Result};
    ///
    /// struct Stopper;
    /// impl DatagramProtocol for Stopper {
    ///     fn started(&mut self, transport: &DatagramTransport) {
    ///         let _ = transport.write_to(b"to myself", &transport.host());
    ///     }
    ///     fn datagram_received(
    ///         &mut self,
    ///         transport: &DatagramTransport,
    ///         data: &[u8],
    ///         from: &Address,
    ///     ) -> Result {
    ///         assert_eq!((data, from), (&b"to myself"[..], &transport.host()));
    ///         transport.reactor().stop()
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// reactor.listen_udp("127.0.0.1:0", Stopper)?;
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "listenUDP")]
    #[track_caller]
    pub fn listen_udp(
        &self,
        at: impl Into<UdpAddress>,
        protocol: impl DatagramProtocol + 'static,
    ) -> Result<DatagramTransport> {
        let datagrams = self.inner().bind_udp(&at.into(), false)?;
        Ok(datagrams.begin(Box::new(protocol)))
    }

    /// As [`listen_udp`](Reactor::listen_udp), at a port that others may listen at as well.
    ///
    /// All of them receive what is sent to a group that they joined:
    /// [`DatagramTransport::join_group`].
    #[doc(alias = "listenMulticast")]
    #[track_caller]
    pub fn listen_multicast(
        &self,
        at: impl Into<UdpAddress>,
        protocol: impl DatagramProtocol + 'static,
    ) -> Result<DatagramTransport> {
        let datagrams = self.inner().bind_udp(&at.into(), true)?;
        Ok(datagrams.begin(Box::new(protocol)))
    }

    /// Receives datagrams at a Unix socket, for a protocol.
    ///
    /// A path is removed again at the end. With [`UnixName::Unnamed`](crate::UnixName::Unnamed) nobody
    /// can answer, which is enough to send.
    ///
    /// ```
    /// use ropewalk::net::{DatagramProtocol, DatagramTransport};
    /// use ropewalk::{Address, Reactor, Result, UnixName};
    ///
    /// struct Log;
    /// impl DatagramProtocol for Log {
    ///     fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
    ///         Ok(())
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// let transport = reactor.listen_unix_datagram(Address::Unix(UnixName::Unnamed), Log)?;
    /// reactor.run_until(transport.stop_listening())?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "listenUNIXDatagram")]
    #[doc(alias = "connectUNIXDatagram")]
    #[track_caller]
    pub fn listen_unix_datagram(
        &self,
        at: impl Into<Address>,
        protocol: impl DatagramProtocol + 'static,
    ) -> Result<DatagramTransport> {
        let at = at.into();
        let datagrams = self.inner().bind(&at, false).map_err(ListenError::at(&at))?;
        Ok(datagrams.begin(Box::new(protocol)))
    }
}
