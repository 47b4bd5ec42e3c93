//! Unix sockets for datagrams.
//!
//! A socket that made its name in the file system takes it away again when it is dropped, unless
//! somebody else's stands there by then.

use super::dialect::{IN_FULL, QUIETLY};
use super::name_shortage;
use super::socket_path::SocketPath;
use super::unix_name::{from_system, sender, to_system};
use crate::address::{Address, UnixName};
use crate::driver::{DatagramOption, DatagramSocket, Key};
use crate::failure::{Failure, Report, tell_peer_fault};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::net::{RecvAncillaryBuffer, ReturnFlags, SocketAddrUnix, recvmsg, sendto, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

struct UnixDatagrams {
    socket: OwnedFd,
    registry: Rc<Registry>,
    is_registered: bool,
    /// Dropped last: what was made in the file system.
    _path: Option<SocketPath>,
}

pub(super) fn bind(registry: &Rc<Registry>, at: &UnixName) -> io::Result<Box<dyn DatagramSocket>> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    let socket = OwnedFd::from(socket);
    if *at != UnixName::Unnamed {
        rustix::net::bind(&socket, &to_system(at)?)?;
    }
    let path = match at {
        UnixName::Path(path) => Some(SocketPath::of(path, None)?),
        _ => None,
    };
    let registry = registry.clone();
    Ok(Box::new(UnixDatagrams { socket, registry, is_registered: false, _path: path }))
}

/// Whoever made it sees to its name.
pub(super) fn adopt(registry: &Rc<Registry>, socket: Socket) -> Box<dyn DatagramSocket> {
    let (socket, registry) = (OwnedFd::from(socket), registry.clone());
    Box::new(UnixDatagrams { socket, registry, is_registered: false, _path: None })
}

impl DatagramSocket for UnixDatagrams {
    fn register(&mut self, key: Key) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        let socket = self.socket.as_raw_fd();
        self.registry.register(&mut SourceFd(&socket), Token(key.to_token()), both)?;
        self.is_registered = true;
        Ok(())
    }

    fn recv_from(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        let (slices, mut none) = (&mut [IoSliceMut::new(buffer)], RecvAncillaryBuffer::default());
        let message = recvmsg(&self.socket, slices, &mut none, IN_FULL)?;
        let from = sender(message.address);
        if message.flags.contains(ReturnFlags::CTRUNC) {
            self.descriptors_came(&from);
        }
        Ok((message.bytes, from))
    }

    fn send_to(&mut self, data: &[u8], to: Option<&Address>) -> io::Result<()> {
        match to {
            None => rustix::net::send(&self.socket, data, QUIETLY),
            Some(to) => sendto(&self.socket, data, QUIETLY, &name_of(to)?),
        }
        .map(drop)
        .map_err(name_shortage)
    }

    fn connect(&mut self, to: &Address) -> io::Result<()> {
        Ok(rustix::net::connect(&self.socket, &name_of(to)?)?)
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(sockopt::socket_error(&self.socket)?.err().map(io::Error::from))
    }

    fn host(&self) -> io::Result<Address> {
        Ok(from_system(&SockRef::from(&self.socket).local_addr()?))
    }

    fn set_option(&mut self, option: DatagramOption) -> io::Result<()> {
        let why = format!("a Unix socket has no option {option:?}");
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }
}

impl UnixDatagrams {
    /// Nobody has a use for descriptors here, and the system has closed them: it is told without room.
    fn descriptors_came(&self, from: &Address) {
        let why = "descriptors came with a datagram, where nobody takes them: they are closed";
        let failure = Failure::in_loop_msg(why);
        let report = Report::new("datagram", &failure, None);
        tell_peer_fault(&report.of(from, self.host().ok().as_ref()));
    }
}

impl Drop for UnixDatagrams {
    fn drop(&mut self) {
        if self.is_registered {
            // The descriptor is closed right after, which would do the same.
            let _ = self.registry.deregister(&mut SourceFd(&self.socket.as_raw_fd()));
        }
    }
}

fn name_of(address: &Address) -> io::Result<SocketAddrUnix> {
    match address {
        Address::Unix(name) => to_system(name),
        _ => {
            let why = "a Unix socket sends to a Unix socket only";
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}
