//! Sockets that others have made, listening, connected or for datagrams: what they are, they say themselves.

use super::unix_name::from_system;
use super::{is_listening, tcp, udp, unix, unix_datagram};
use crate::address::Address;
use crate::driver::{ByteStream, DatagramSocket, Listener};
use mio::Registry;
use socket2::{SockAddr, Socket, Type};
use std::io;
use std::rc::Rc;

/// `name` is what an error calls it.
pub(super) fn listener(
    registry: &Rc<Registry>,
    socket: Socket,
    name: &str,
) -> io::Result<Box<dyn Listener>> {
    let at = check(&socket, Type::STREAM, name)?;
    // Apple does not say whether it listens; accepting will.
    if !cfg!(target_vendor = "apple") && !is_listening(&socket) {
        return Err(invalid(name, "a socket that does not listen"));
    }
    socket.set_nonblocking(true)?;
    Ok(if at.is_unix() { unix::adopt(registry, socket) } else { tcp::adopt(registry, socket) })
}

pub(super) fn stream(
    registry: &Rc<Registry>,
    socket: Socket,
    name: &str,
) -> io::Result<Box<dyn ByteStream>> {
    let at = check(&socket, Type::STREAM, name)?;
    if socket.peer_addr().is_err() {
        return Err(invalid(name, "a socket that is not connected"));
    }
    socket.set_nonblocking(true)?;
    if at.is_unix() {
        return Ok(unix::adopt_stream(registry, socket));
    }
    socket.set_tcp_nodelay(true)?;
    Ok(tcp::adopt_stream(registry, socket))
}

/// Each call on it says that it shall not wait: other holders find it as it was.
pub(super) fn datagrams(
    registry: &Rc<Registry>,
    socket: Socket,
    name: &str,
) -> io::Result<(Box<dyn DatagramSocket>, Option<Address>)> {
    let at = check(&socket, Type::DGRAM, name)?;
    let peer = socket.peer_addr().ok();
    if at.is_unix() {
        let peer = peer.map(|peer| from_system(&peer));
        return Ok((unix_datagram::adopt(registry, socket), peer));
    }
    let peer = peer.and_then(|peer| peer.as_socket()).map(Address::from);
    Ok((udp::adopt(registry, socket, at.is_ipv6()), peer))
}

/// The address of a socket of this type.
fn check(socket: &Socket, wanted: Type, name: &str) -> io::Result<SockAddr> {
    if socket.r#type().map_err(|_| invalid(name, "no socket"))? != wanted {
        let is_stream = wanted == Type::STREAM;
        let what = if is_stream { "no stream socket" } else { "no socket for datagrams" };
        return Err(invalid(name, what));
    }
    let at = socket.local_addr()?;
    if at.is_unix() || at.as_socket().is_some() {
        return Ok(at);
    }
    Err(invalid(name, "a socket of an unknown family"))
}

fn invalid(name: &str, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is {what}"))
}
