//! Unix stream sockets, with descriptors beside the bytes.
//!
//! # Theory
//! Descriptors travel with bytes: those to be sent leave with the next byte, and those that came are
//! kept until they are asked for, which the connection does before it delivers the bytes.
//!
//! # Not here
//! What a path that is listened at leaves in the file system: `socket_path.rs`.

use super::dialect::{FOR_US_ALONE, QUIETLY, accept, keep_from_children};
use super::file::send_file;
use super::socket_path::{Lock, SocketPath};
use super::unix_name::{from_system, to_system};
use super::{Room, name_shortage, open_reserve, register, send_vectored};
use super::{close_waiting, has_unread, keep_from_blocking, look_ahead, name_refusal};
use crate::address::{Address, UnixName};
use crate::driver::{ByteStream, Key, Layer, Listener, Socket, UnixOptions};
use mio::Registry;
use mio::net::{UnixListener, UnixStream};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage,
};
use socket2::{Domain, SockRef, Type};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

struct UnixByteStream {
    socket: UnixStream,
    registry: Rc<Registry>,
    /// To leave with the next byte.
    outgoing: Vec<OwnedFd>,
    incoming: VecDeque<OwnedFd>,
    /// The last read came short because descriptors end a read.
    is_cut: bool,
}

/// So many descriptors travel in one message, at most; more wait for the next byte.
const SENT_AT_ONCE: usize = 64;
/// The most that the system lets anybody send in one message.
const RECEIVED_AT_ONCE: usize = 253;

pub(super) fn connect(registry: &Rc<Registry>, to: &UnixName) -> io::Result<Box<dyn ByteStream>> {
    // Not mio's: it takes an abstract name that begins with a zero for one that is shorter.
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    rustix::net::connect(&socket, &to_system(to)?)?;
    Ok(Box::new(UnixByteStream::new(socket, registry)))
}

pub(super) fn adopt_stream(
    registry: &Rc<Registry>,
    socket: socket2::Socket,
) -> Box<dyn ByteStream> {
    Box::new(UnixByteStream::new(socket, registry))
}

impl UnixByteStream {
    fn new(socket: socket2::Socket, registry: &Rc<Registry>) -> UnixByteStream {
        UnixByteStream {
            socket: UnixStream::from_std(OwnedFd::from(socket).into()),
            registry: registry.clone(),
            outgoing: Vec::new(),
            incoming: VecDeque::new(),
            is_cut: false,
        }
    }

    /// Sends all descriptors that one message takes with as many bytes as it takes.
    fn write_with_descriptors(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.outgoing.len().min(SENT_AT_ONCE);
        let leaving: Vec<_> = self.outgoing[..count].iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SENT_AT_ONCE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&leaving));
        // Others wait: a byte is left for them.
        let bytes = if count < self.outgoing.len() { &data[..1] } else { data };
        let slices = [IoSlice::new(bytes)];
        let sent = rustix::net::sendmsg(&self.socket, &slices, &mut control, QUIETLY)
            .map_err(name_shortage)?;
        self.outgoing.drain(..count);
        Ok(sent)
    }
}

impl ByteStream for UnixByteStream {
    fn register(&mut self, key: Key) -> io::Result<()> {
        register(&self.registry, &mut self.socket, key)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RECEIVED_AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(buffer)];
        let message = rustix::net::recvmsg(&self.socket, slices, &mut control, FOR_US_ALONE)?;
        self.is_cut = false;
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = part {
                self.incoming.extend(descriptors.inspect(keep_from_children));
                self.is_cut = true;
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Err(descriptors_lost());
        }
        Ok(message.bytes)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while !self.outgoing.is_empty() && sent < data.len() {
            match self.write_with_descriptors(&data[sent..]) {
                Err(_) if sent > 0 => return Ok(sent),
                outcome => sent += outcome?,
            }
        }
        if sent > 0 || data.is_empty() {
            return Ok(sent);
        }
        rustix::net::send(&self.socket, data, QUIETLY).map_err(name_shortage)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(first) if !self.outgoing.is_empty() => self.write(first),
            _ => send_vectored(&self.socket, slices),
        }
    }

    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<usize> {
        if !self.outgoing.is_empty() {
            // They leave with bytes that are written.
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        send_file(&self.socket, file, offset, count)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn peer(&self) -> io::Result<Address> {
        Ok(from_system(&SockRef::from(&self.socket).peer_addr()?))
    }

    fn host(&self) -> io::Result<Address> {
        Ok(from_system(&SockRef::from(&self.socket).local_addr()?))
    }

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        Some(self)
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

impl Socket for UnixByteStream {
    fn has_unread(&mut self) -> bool {
        has_unread(&self.socket)
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        match self.socket.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(look_ahead(&self.socket)? == Some(0))
    }

    /// Nothing: these sockets know no reset, and what was sent is the peer's already.
    fn set_abort(&mut self) {}

    /// Nothing: these sockets never wait for more.
    fn set_nodelay(&mut self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    /// Nothing: a peer on this machine cannot vanish unnoticed.
    fn set_keepalive(&mut self, _idle: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn send_descriptor(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        self.outgoing.push(descriptor);
        Ok(())
    }

    fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.incoming.pop_front()
    }
}

impl Layer for UnixByteStream {
    fn has_pending(&mut self) -> bool {
        self.is_cut
    }

    fn must_linger(&mut self, may_be_unread: bool) -> bool {
        may_be_unread && has_unread(&self.socket)
    }
}

/// The system has thrown them away. Without them the bytes mean something else, so they are none to pass on.
fn descriptors_lost() -> io::Error {
    io::Error::other(
        "descriptors that came with its bytes were lost: this process can have no more",
    )
}

struct UnixPort {
    socket: UnixListener,
    registry: Rc<Registry>,
    /// Given up for a moment when the process runs out of descriptors; see `shed`.
    reserve: Option<File>,
    room: Room,
    /// Somebody else has this socket too, and may have it block.
    is_shared: bool,
    /// Dropped last: the socket's path, then the lock.
    path: Option<SocketPath>,
}

pub(super) fn listen(
    registry: &Rc<Registry>,
    at: &UnixName,
    options: &UnixOptions,
) -> io::Result<Box<dyn Listener>> {
    // Before anything is made for it.
    let name = to_system(at)?;
    let lock = match at {
        UnixName::Path(path) if options.lock => Some(Lock::take(path)?),
        _ => None,
    };
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let path = match at {
        UnixName::Path(path) => Some(SocketPath::claim(path, &name, &socket, options.mode, lock)?),
        _ => {
            rustix::net::bind(&socket, &name)?;
            None
        }
    };
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(port(registry, socket, path, false))
}

/// A port over a socket that listens already and does not block; its name is another's to remove.
pub(super) fn adopt(registry: &Rc<Registry>, socket: socket2::Socket) -> Box<dyn Listener> {
    port(registry, socket, None, true)
}

fn port(
    registry: &Rc<Registry>,
    socket: socket2::Socket,
    path: Option<SocketPath>,
    is_shared: bool,
) -> Box<dyn Listener> {
    let socket = UnixListener::from_std(OwnedFd::from(socket).into());
    let reserve = open_reserve();
    Box::new(UnixPort {
        socket,
        registry: registry.clone(),
        reserve,
        room: Room::new(),
        is_shared,
        path,
    })
}

impl Drop for UnixPort {
    fn drop(&mut self) {
        // As with TCP: a socket that was taken over would stay in the queue. None that is in none fails.
        let _ = self.registry.deregister(&mut self.socket);
    }
}

impl Listener for UnixPort {
    fn register(&mut self, key: Key) -> io::Result<()> {
        let token = mio::Token(key.to_token());
        self.registry.register(&mut self.socket, token, mio::Interest::READABLE)
    }

    fn accept(&mut self) -> io::Result<(Box<dyn ByteStream>, Address)> {
        if self.is_shared {
            keep_from_blocking(&self.socket)?;
        }
        let (socket, peer) = accept(SockRef::from(&self.socket))
            .map_err(|error| name_refusal(&self.socket, error))?;
        self.room.after(&socket);
        Ok((Box::new(UnixByteStream::new(socket, &self.registry)), from_system(&peer)))
    }

    fn shed(&mut self) -> io::Result<usize> {
        self.reserve = None;
        let closed = close_waiting(|| self.accept());
        self.reserve = open_reserve();
        closed
    }

    fn room(&self) -> usize {
        self.room.left.get()
    }

    fn host(&self) -> io::Result<Address> {
        Ok(from_system(&SockRef::from(&self.socket).local_addr()?))
    }

    fn try_clone_descriptor(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    fn own_name(&mut self, is_owned: bool) {
        match (self.path.take(), self.host()) {
            (Some(path), _) if !is_owned => path.leave(),
            (None, Ok(Address::Unix(UnixName::Path(path)))) if is_owned => {
                // One whose path is gone has no name to lose.
                self.path = SocketPath::of(&path, Lock::take(&path).ok()).ok();
            }
            (path, _) => self.path = path,
        }
    }
}
