//! TCP sockets.
//!
//! Bytes go through the system calls themselves: the layers of wrappers above them cost as much as
//! all of a connection's own bookkeeping.

use super::dialect::{AT_ONCE, QUIETLY};
use super::file::send_file;
use super::{Room, name_shortage, open_reserve, register, send_vectored};
use super::{close_waiting, has_unread, keep_from_blocking, look_ahead, name_refusal};
use crate::address::Address;
use crate::driver::{AnyStream, ByteStream, Key, Layer, Listener, Socket};
use mio::Registry;
use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

pub(in crate::driver) struct TcpByteStream {
    pub(in crate::driver) socket: TcpSocket,
    pub(in crate::driver) registry: SharedRegistry,
}

/// A descriptor and no more, which is all that it takes to read and to write.
pub(in crate::driver) struct TcpSocket(TcpStream);

pub(in crate::driver) type SharedRegistry = Rc<Registry>;

pub(super) fn connect(
    registry: &Rc<Registry>,
    to: SocketAddr,
    from: Option<&Address>,
) -> io::Result<Box<dyn ByteStream>> {
    let socket = socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Writes are corked by the reactor: the kernel's waiting for more would only add delay.
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = from.and_then(Address::socket_addr) {
        socket.bind(&from.into())?;
    }
    match socket.connect(&to.into()) {
        Err(error) if !is_under_way(&error) => return Err(error),
        _ => {}
    }
    let socket = TcpSocket(TcpStream::from_std(socket.into()));
    Ok(Box::new(TcpByteStream { socket, registry: registry.clone() }))
}

pub(super) fn adopt_stream(
    registry: &Rc<Registry>,
    socket: socket2::Socket,
) -> Box<dyn ByteStream> {
    let socket = TcpSocket(TcpStream::from_std(socket.into()));
    Box::new(TcpByteStream { socket, registry: registry.clone() })
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error())
}

impl TcpSocket {
    #[inline]
    pub(in crate::driver) fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::net::recv(&self.0, buffer, AT_ONCE).map(|(_, count)| count)
    }

    #[inline]
    pub(in crate::driver) fn send(&self, data: &[u8]) -> Result<usize, Errno> {
        rustix::net::send(&self.0, data, QUIETLY)
    }
}

impl ByteStream for TcpByteStream {
    fn register(&mut self, key: Key) -> io::Result<()> {
        register(&self.registry, &mut self.socket.0, key)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.socket.receive(buffer)?)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.send(data).map_err(name_shortage)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        send_vectored(&self.socket.0, slices)
    }

    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<usize> {
        send_file(&self.socket.0, file, offset, count)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.0.shutdown(Shutdown::Write)
    }

    fn peer(&self) -> io::Result<Address> {
        Ok(self.socket.0.peer_addr()?.into())
    }

    fn host(&self) -> io::Result<Address> {
        Ok(self.socket.0.local_addr()?.into())
    }

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        Some(self)
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        None
    }
}

impl Socket for TcpByteStream {
    fn has_unread(&mut self) -> bool {
        has_unread(&self.socket.0)
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        if let Some(error) = self.socket.0.take_error()? {
            return Err(error);
        }
        match self.socket.0.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            outcome => outcome.map(drop),
        }
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(look_ahead(&self.socket.0)? == Some(0))
    }

    fn set_abort(&mut self) {
        // A socket that cannot be told so is closed in order, which is as good as can be had.
        let _ = SockRef::from(&self.socket.0).set_linger(Some(Duration::ZERO));
    }

    fn set_nodelay(&mut self, on: bool) -> io::Result<()> {
        self.socket.0.set_nodelay(on)
    }

    fn set_keepalive(&mut self, idle: Option<Duration>) -> io::Result<()> {
        let socket = SockRef::from(&self.socket.0);
        match idle {
            Some(idle) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle)),
            None => socket.set_keepalive(false),
        }
    }
}

struct TcpPort {
    socket: TcpListener,
    registry: Rc<Registry>,
    /// Given up for a moment when the process runs out of descriptors; see `shed`.
    reserve: Option<File>,
    room: Room,
    /// Somebody else has this socket too, and may have it block.
    is_shared: bool,
}

pub(super) fn listen(
    registry: &Rc<Registry>,
    at: SocketAddr,
    backlog: u32,
    is_shared: bool,
) -> io::Result<Box<dyn Listener>> {
    let socket = socket2::Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets inherit it: one system call a port instead of one a connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&at.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(port(registry, socket, false))
}

/// A port over a socket that listens already; it is another's as well.
pub(super) fn adopt(registry: &Rc<Registry>, socket: socket2::Socket) -> Box<dyn Listener> {
    // As with our own; one that does not take it costs its connections delays and no more.
    let _ = socket.set_tcp_nodelay(true);
    port(registry, socket, true)
}

fn port(registry: &Rc<Registry>, socket: socket2::Socket, is_shared: bool) -> Box<dyn Listener> {
    let socket = TcpListener::from_std(socket.into());
    Box::new(TcpPort {
        socket,
        registry: registry.clone(),
        reserve: open_reserve(),
        room: Room::new(),
        is_shared,
    })
}

impl Drop for TcpPort {
    fn drop(&mut self) {
        // A socket that was taken over is open elsewhere too: closing it here takes it out of no queue.
        // One that was never registered is in none.
        let _ = self.registry.deregister(&mut self.socket);
    }
}

impl Listener for TcpPort {
    fn register(&mut self, key: Key) -> io::Result<()> {
        self.registry.register(
            &mut self.socket,
            mio::Token(key.to_token()),
            mio::Interest::READABLE,
        )
    }

    fn accept(&mut self) -> io::Result<(Box<dyn ByteStream>, Address)> {
        let (stream, peer) = self.accept_any()?;
        Ok((stream.into_box(), peer))
    }

    fn accept_any(&mut self) -> io::Result<(AnyStream, Address)> {
        if self.is_shared {
            keep_from_blocking(&self.socket)?;
        }
        let (socket, peer) =
            self.socket.accept().map_err(|error| name_refusal(&self.socket, error))?;
        self.room.after(&socket);
        let stream = TcpByteStream { socket: TcpSocket(socket), registry: self.registry.clone() };
        Ok((AnyStream::tcp(stream), peer.into()))
    }

    fn shed(&mut self) -> io::Result<usize> {
        self.reserve = None;
        let closed = close_waiting(|| self.accept_any());
        self.reserve = open_reserve();
        closed
    }

    fn room(&self) -> usize {
        self.room.left.get()
    }

    fn host(&self) -> io::Result<Address> {
        Ok(self.socket.local_addr()?.into())
    }

    fn try_clone_descriptor(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}
