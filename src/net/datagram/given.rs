//! Sockets for datagrams that somebody else made.

use super::pull::UdpSocket;
use super::socket::Datagrams;
use super::{DatagramProtocol, DatagramTransport};
use crate::failure::Result;
use crate::reactor::{Loop, Reactor};
use std::os::fd::OwnedFd;
use std::rc::Rc;

impl Reactor {
    /// Receives datagrams at a socket of your own, for a protocol: a `std::net::UdpSocket`, say, or a
    /// `UnixDatagram`, bound, and connected if it is to have one peer.
    ///
    /// Other holders may have it as well, and each datagram goes to one of them.
    ///
    /// ```
    /// use ropewalk::net::{DatagramProtocol, DatagramTransport};
    /// use ropewalk::{Address, Reactor, Result};
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
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let address = socket.local_addr()?;
    /// let reactor = Reactor::new()?;
    /// let transport = reactor.listen_datagrams(socket, Echo)?;
    /// assert_eq!(transport.host(), address.into());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "from_std")]
    #[doc(alias = "adoptDatagramPort")]
    #[track_caller]
    pub fn listen_datagrams(
        &self,
        socket: impl Into<OwnedFd>,
        protocol: impl DatagramProtocol + 'static,
    ) -> Result<DatagramTransport> {
        Ok(self.inner().adopt_datagrams(socket.into())?.begin(Box::new(protocol)))
    }

    /// Opens a socket for datagrams of your own for tasks; see
    /// [`listen_datagrams`](Reactor::listen_datagrams).
    ///
    /// ```
    /// let reactor = ropewalk::Reactor::new()?;
    /// let socket = reactor.open_datagrams(std::net::UdpSocket::bind("127.0.0.1:0")?)?;
    /// let (mut buffer, host) = ([0; 10], socket.host());
    /// let (count, from) = reactor.run_until(async {
    ///     socket.send_to("rope", &host).await?;
    ///     socket.recv_from(&mut buffer).await
    /// })?;
    /// assert_eq!((&buffer[..count], from), (&b"rope"[..], host));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "from_std")]
    #[track_caller]
    pub fn open_datagrams(&self, socket: impl Into<OwnedFd>) -> Result<UdpSocket> {
        Ok(UdpSocket::over(self.inner().adopt_datagrams(socket.into())?))
    }
}

impl Loop {
    #[track_caller]
    fn adopt_datagrams(self: &Rc<Self>, socket: OwnedFd) -> Result<Rc<Datagrams>> {
        self.check_alive()?;
        let (socket, peer) = self.driver.adopt_datagrams(socket)?;
        let datagrams = self.serve_datagrams(socket)?;
        datagrams.was_connected(peer);
        Ok(datagrams)
    }
}
