//! Listening sockets that another process opened, by the number of their descriptor here. On Linux only:
//! no other system copies a descriptor by its number without code that is unsafe.
//!
//! A number is no proof that the descriptor is ours to close, so it is copied: the socket stays
//! open under its number, and whoever passed it may pass it on.

use super::{tcp, unix};
use crate::driver::Listener;
use mio::Registry;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{Domain, Socket, Type};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

pub(super) fn listen(registry: &Rc<Registry>, number: u32) -> io::Result<Box<dyn Listener>> {
    let invalid = |why: &str| {
        let why = format!("descriptor {number} is {why}");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    };
    let socket = Socket::from(copy(number)?);
    if socket.r#type().map_err(|_| invalid("no socket"))? != Type::STREAM {
        return Err(invalid("no stream socket"));
    }
    if !socket.is_listener()? {
        return Err(invalid("a socket that does not listen"));
    }
    socket.set_nonblocking(true)?;
    match socket.domain()? {
        Domain::IPV4 | Domain::IPV6 => Ok(tcp::adopt(registry, socket)),
        Domain::UNIX => Ok(unix::adopt(registry, socket)),
        _ => Err(invalid("a socket of an unknown family")),
    }
}

fn copy(number: u32) -> io::Result<OwnedFd> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(this, number, PidfdGetfdFlags::empty())?)
}
