//! UDP sockets.

use super::dialect::{IN_FULL, QUIETLY};
#[cfg(target_os = "linux")]
use super::trains;
use super::{name_shortage, register};
use crate::address::Address;
#[cfg(target_os = "linux")]
use crate::driver::Train;
use crate::driver::{DatagramOption, DatagramSocket, Interface, Key};
use mio::Registry;
use mio::net::UdpSocket;
use rustix::net::{SocketAddrAny, sendto};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;

struct UdpPort {
    socket: UdpSocket,
    registry: Rc<Registry>,
    is_v6: bool,
    /// Empty until trains are expected.
    #[cfg(target_os = "linux")]
    control: Vec<u8>,
}

pub(super) fn bind(
    registry: &Rc<Registry>,
    at: SocketAddr,
    is_shared: bool,
) -> io::Result<Box<dyn DatagramSocket>> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if is_shared {
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        #[cfg(target_os = "linux")]
        hear_own_groups_only(&socket, at)?;
    }
    socket.bind(&at.into())?;
    Ok(adopt(registry, socket, at.is_ipv6()))
}

pub(super) fn adopt(
    registry: &Rc<Registry>,
    socket: Socket,
    is_v6: bool,
) -> Box<dyn DatagramSocket> {
    Box::new(UdpPort {
        socket: UdpSocket::from_std(socket.into()),
        registry: registry.clone(),
        is_v6,
        #[cfg(target_os = "linux")]
        control: Vec::new(),
    })
}

/// Without this a socket hears the groups that any other socket of the host has joined.
#[cfg(target_os = "linux")]
fn hear_own_groups_only(socket: &Socket, at: SocketAddr) -> io::Result<()> {
    match at {
        SocketAddr::V4(_) => socket.set_multicast_all_v4(false),
        SocketAddr::V6(_) => socket.set_multicast_all_v6(false),
    }
}

impl DatagramSocket for UdpPort {
    fn register(&mut self, key: Key) -> io::Result<()> {
        register(&self.registry, &mut self.socket, key)
    }

    fn recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        let (length, from) = receive(&self.socket, buffer)?;
        let from = from.ok_or(io::ErrorKind::InvalidData)?;
        Ok((length, SocketAddr::try_from(from)?.into()))
    }

    fn send_to(&mut self, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        match to {
            None => rustix::net::send(&self.socket, data, QUIETLY),
            Some(to) => sendto(&self.socket, data, QUIETLY, &ip_of(to)?),
        }
        .map(drop)
        .map_err(name_shortage)
    }

    #[cfg(target_os = "linux")]
    fn expect_trains(&mut self) -> bool {
        let expects = trains::expect(&self.socket);
        if expects {
            self.control = trains::control();
        }
        expects
    }

    #[cfg(target_os = "linux")]
    fn recv_train(&mut self, buffer: &mut [u8]) -> io::Result<Train> {
        trains::receive(&self.socket, buffer, &mut self.control)
    }

    #[cfg(target_os = "linux")]
    fn longest_in_train(&self) -> usize {
        if trains::are_known(&self.socket) { trains::LONGEST } else { 0 }
    }

    #[cfg(target_os = "linux")]
    fn send_train(&mut self, data: &[u8], each: usize, to: Option<&Address>) -> io::Result<()> {
        trains::send(&self.socket, data, each, to.map(ip_of).transpose()?)
    }

    fn connect(&mut self, to: &Address) -> io::Result<()> {
        self.socket.connect(ip_of(to)?)
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    fn host(&self) -> io::Result<Address> {
        Ok(self.socket.local_addr()?.into())
    }

    fn set_option(&mut self, option: DatagramOption) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        match option {
            DatagramOption::Broadcast(on) => socket.set_broadcast(on),
            DatagramOption::Join(group, on) => join(&socket, group, on),
            DatagramOption::Leave(group, on) => leave(&socket, group, on),
            DatagramOption::MulticastTtl(ttl) if self.is_v6 => socket.set_multicast_hops_v6(ttl),
            DatagramOption::MulticastTtl(ttl) => socket.set_multicast_ttl_v4(ttl),
            DatagramOption::MulticastLoopback(on) if self.is_v6 => socket.set_multicast_loop_v6(on),
            DatagramOption::MulticastLoopback(on) => socket.set_multicast_loop_v4(on),
            DatagramOption::MulticastInterface(on) if self.is_v6 => {
                socket.set_multicast_if_v6(index_of(on)?)
            }
            DatagramOption::MulticastInterface(on) => socket.set_multicast_if_v4(&address_of(on)?),
        }
    }
}

/// Receives one datagram and says how long it was, also where that is more than there was room for.
fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let (_, length, from) = rustix::net::recvfrom(socket, buffer, IN_FULL)?;
    Ok((length, from))
}

fn join(socket: &Socket, group: IpAddr, on: Interface) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => socket.join_multicast_v4(&group, &address_of(on)?),
        IpAddr::V6(group) => socket.join_multicast_v6(&group, index_of(on)?),
    }
}

fn leave(socket: &Socket, group: IpAddr, on: Interface) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => socket.leave_multicast_v4(&group, &address_of(on)?),
        IpAddr::V6(group) => socket.leave_multicast_v6(&group, index_of(on)?),
    }
}

fn address_of(on: Interface) -> io::Result<Ipv4Addr> {
    match on {
        Interface::Any => Ok(Ipv4Addr::UNSPECIFIED),
        Interface::Address(address) => Ok(address),
        Interface::Index(_) => Err(invalid("IPv4 names an interface by its address, not by index")),
    }
}

fn index_of(on: Interface) -> io::Result<u32> {
    match on {
        Interface::Any => Ok(0),
        Interface::Index(index) => Ok(index),
        Interface::Address(_) => Err(invalid("IPv6 names an interface by its index")),
    }
}

fn ip_of(to: &Address) -> io::Result<SocketAddr> {
    to.socket_addr().ok_or_else(|| invalid("an IP socket sends to an IP address only"))
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
