//! Unix stream sockets: names, modes, locks, and descriptors beside the bytes.
//!
//! # Theory
//! A path outlives the process that listened at it. Who wants to listen takes a lock first, on a file
//! beside the socket (`PATH.lock`) that the system unlocks when a process ends, however it ends. With
//! the lock held, a socket that nobody answers at is stale and is removed. Where Twisted listens, its
//! lock of the same name, a link to the number of its process, is respected while that lives.
//!
//! A mode is given to the socket before it has a name, so that there is no moment at which the wrong
//! people may connect.
//!
//! Descriptors travel with bytes: those to be sent leave with the next byte, and those that came are
//! kept until they are asked for, which the connection does before it delivers the bytes.
//!
//! # Invariants
//! * What a listener leaves in the file system is removed when it is dropped, unless the path belongs
//!   to somebody else by then.

use super::dialect::{FOR_US_ALONE, QUIETLY, keep_from_children};
use super::{close_waiting, has_unread, look_ahead, name_refusal, open_reserve, register};
use crate::address::{Address, UnixName};
use crate::driver::{ByteStream, Key, Listener, UnixOptions};
use mio::Registry;
use mio::net::{UnixListener, UnixStream};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, SendAncillaryBuffer, SendAncillaryMessage,
};
use rustix::process::{Pid, test_kill_process};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::fs::{self, File, Permissions};
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net as system;
use std::path::{Path, PathBuf};
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
    let socket = UnixStream::connect_addr(&to_system(to)?)?;
    Ok(Box::new(UnixByteStream::new(socket, registry)))
}

impl UnixByteStream {
    fn new(socket: UnixStream, registry: &Rc<Registry>) -> UnixByteStream {
        UnixByteStream {
            socket,
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
        let sent = rustix::net::sendmsg(&self.socket, &slices, &mut control, QUIETLY)?;
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
        Ok(rustix::net::send(&self.socket, data, QUIETLY)?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices.iter().find(|slice| !slice.is_empty()) {
            Some(first) if !self.outgoing.is_empty() => self.write(first),
            _ => self.socket.write_vectored(slices),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Nothing: these sockets know no reset, and what was sent is the peer's already.
    fn set_abort(&mut self) {}

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(look_ahead(&self.socket)? == Some(0))
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        match self.socket.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn peer(&self) -> io::Result<Address> {
        Ok(from_system(&self.socket.peer_addr()?))
    }

    fn host(&self) -> io::Result<Address> {
        Ok(from_system(&self.socket.local_addr()?))
    }

    /// Nothing: these sockets never wait for more.
    fn set_nodelay(&mut self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    /// Nothing: a peer on this machine cannot vanish unnoticed.
    fn set_keepalive(&mut self, _idle: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn is_plain(&self) -> bool {
        false
    }

    fn holds_more(&mut self) -> bool {
        self.is_cut
    }

    fn must_hear_out(&mut self, may_be_unread: bool) -> bool {
        may_be_unread && has_unread(&self.socket)
    }

    fn send_descriptor(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        self.outgoing.push(descriptor);
        Ok(())
    }

    fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.incoming.pop_front()
    }
}

struct UnixPort {
    socket: UnixListener,
    registry: Rc<Registry>,
    /// Given up for a moment when the process runs out of descriptors; see `shed`.
    reserve: Option<File>,
    /// Dropped last: the socket's path, then the lock.
    _place: Option<Place>,
}

pub(super) fn listen(
    registry: &Rc<Registry>,
    at: &UnixName,
    options: &UnixOptions,
) -> io::Result<Box<dyn Listener>> {
    let lock = match at {
        UnixName::Path(path) if options.lock => Some(Lock::take(path)?),
        _ => None,
    };
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let place = match at {
        UnixName::Path(path) => Some(Place::claim(path, &socket, options.mode, lock)?),
        _ => {
            bind(&socket, at)?;
            None
        }
    };
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(port(registry, socket, place))
}

/// A port over a socket that listens already and does not block; its name is another's to remove.
#[cfg(target_os = "linux")]
pub(super) fn adopt(registry: &Rc<Registry>, socket: Socket) -> Box<dyn Listener> {
    port(registry, socket, None)
}

fn port(registry: &Rc<Registry>, socket: Socket, place: Option<Place>) -> Box<dyn Listener> {
    let socket = UnixListener::from_std(OwnedFd::from(socket).into());
    let reserve = open_reserve();
    Box::new(UnixPort { socket, registry: registry.clone(), reserve, _place: place })
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
        let (socket, peer) =
            self.socket.accept().map_err(|error| name_refusal(&self.socket, error))?;
        Ok((Box::new(UnixByteStream::new(socket, &self.registry)), from_system(&peer)))
    }

    fn shed(&mut self) -> io::Result<usize> {
        self.reserve = None;
        let closed = close_waiting(|| self.socket.accept());
        self.reserve = open_reserve();
        closed
    }

    fn host(&self) -> io::Result<Address> {
        Ok(from_system(&self.socket.local_addr()?))
    }
}

/// A path that is listened at.
struct Place {
    path: PathBuf,
    /// Device and inode of the socket: who finds others there leaves them alone.
    identity: (u64, u64),
    _lock: Option<Lock>,
}

impl Place {
    fn claim(
        path: &Path,
        socket: &Socket,
        mode: Option<u32>,
        lock: Option<Lock>,
    ) -> io::Result<Place> {
        if let Some(mode) = mode {
            // Before it has a name; systems that do not care for it obey the second call.
            let _ = File::from(OwnedFd::from(socket.try_clone()?))
                .set_permissions(Permissions::from_mode(mode));
        }
        let address = SockAddr::unix(path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
                fs::remove_file(path)?;
                socket.bind(&address)?;
            }
            outcome => outcome?,
        }
        let place = Place { path: path.into(), identity: identity(path)?, _lock: lock };
        if let Some(mode) = mode {
            // What the process' umask took away.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // A directory that became read-only keeps it; the next to listen will find it stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a socket is there, and nobody answers at it.
fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && system::UnixStream::connect(path).is_err_and(refused)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// A locked file beside a socket.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(socket: &Path) -> io::Result<Lock> {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        // Followed, a link would be somebody else's file, which never is what the path says.
        let links = OFlags::NOFOLLOW.bits().cast_signed();
        loop {
            if let Ok(owner) = fs::read_link(&path) {
                unlink_stale(&path, &owner)?;
            }
            let file = File::options().create(true).append(true).custom_flags(links).open(&path)?;
            file.try_lock().map_err(|error| locked(&path, error))?;
            let own = file.metadata()?;
            // Its former holder may have removed it between our opening and our locking.
            if identity(&path).is_ok_and(|found| found == (own.dev(), own.ino())) {
                return Ok(Lock { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is unlocked, so that nobody's lock is removed; left behind it does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes a lock as Twisted makes them, a link to its owner's number, if there is no such process.
fn unlink_stale(path: &Path, owner: &Path) -> io::Result<()> {
    let number = owner.to_str().and_then(|text| text.parse().ok());
    match number.and_then(Pid::from_raw).map(test_kill_process) {
        Some(Err(Errno::SRCH)) => {
            // Somebody was faster, or it stays and cannot be opened.
            let _ = fs::remove_file(path);
            Ok(())
        }
        _ => Err(locked(path, fs::TryLockError::WouldBlock)),
    }
}

fn locked(path: &Path, error: fs::TryLockError) -> io::Error {
    match error {
        fs::TryLockError::WouldBlock => io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("another process holds the lock {}", path.display()),
        ),
        fs::TryLockError::Error(error) => error,
    }
}

fn bind(socket: &Socket, at: &UnixName) -> io::Result<()> {
    match at {
        UnixName::Path(path) => socket.bind(&SockAddr::unix(path)?),
        UnixName::Abstract(name) => socket.bind(&SockAddr::unix(abstract_path(name)?)?),
        UnixName::Unnamed => Err(no_name()),
    }
}

fn no_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a Unix socket without a name")
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod names {
    use super::{UnixName, io, no_name, system};
    use std::ffi::OsString;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStringExt;

    /// As a path with a leading zero, which is how `socket2` says it.
    pub(super) fn abstract_path(name: &[u8]) -> io::Result<OsString> {
        Ok(OsString::from_vec([&[0], name].concat()))
    }

    pub(super) fn to_system(name: &UnixName) -> io::Result<system::SocketAddr> {
        match name {
            UnixName::Path(path) => system::SocketAddr::from_pathname(path),
            UnixName::Abstract(name) => system::SocketAddr::from_abstract_name(name),
            UnixName::Unnamed => Err(no_name()),
        }
    }

    pub(super) fn abstract_name(address: &system::SocketAddr) -> Option<&[u8]> {
        address.as_abstract_name()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod names {
    use super::{UnixName, io, no_name, system};
    use std::ffi::OsString;

    pub(super) fn abstract_path(_name: &[u8]) -> io::Result<OsString> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "abstract names are Linux' own"))
    }

    pub(super) fn to_system(name: &UnixName) -> io::Result<system::SocketAddr> {
        match name {
            UnixName::Path(path) => system::SocketAddr::from_pathname(path),
            UnixName::Abstract(name) => Err(abstract_path(name).unwrap_err()),
            UnixName::Unnamed => Err(no_name()),
        }
    }

    pub(super) fn abstract_name(_address: &system::SocketAddr) -> Option<&[u8]> {
        None
    }
}

use names::{abstract_name, abstract_path, to_system};

fn from_system(address: &system::SocketAddr) -> Address {
    let name = match (address.as_pathname(), abstract_name(address)) {
        (Some(path), _) => UnixName::Path(path.into()),
        (_, Some(name)) => UnixName::Abstract(name.into()),
        _ => UnixName::Unnamed,
    };
    Address::Unix(name)
}
