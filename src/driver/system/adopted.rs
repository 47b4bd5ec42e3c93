//! Sockets that others have made, listening or connected: what they are, they say themselves.

use super::{is_listening, tcp, unix};
use crate::driver::{ByteStream, Listener};
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
    let at = check(&socket, name)?;
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
    let at = check(&socket, name)?;
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

/// The address of a stream socket.
fn check(socket: &Socket, name: &str) -> io::Result<SockAddr> {
    if socket.r#type().map_err(|_| invalid(name, "no socket"))? != Type::STREAM {
        return Err(invalid(name, "no stream socket"));
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
