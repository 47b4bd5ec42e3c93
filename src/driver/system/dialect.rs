//! What systems say differently of one thing: flags that some have and others do without.
//!
//! # Not here
//! What one system alone can do has a file of its own, or a `cfg` where it is done.

use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockAddr, SockRef, Socket};
use std::io;
use std::os::fd::OwnedFd;

/// Sends without waiting, whatever another holder of the open socket makes of it, and without SIGPIPE
/// should the peer be gone.
#[cfg(not(target_vendor = "apple"))]
pub(super) const QUIETLY: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
/// Apple has an option of the socket instead, SO_NOSIGPIPE, which mio and socket2 set on those that
/// they make. Nor does it take more: a program in Rust ignores the signal from its start, which is
/// what the standard library's own sockets count on there.
#[cfg(target_vendor = "apple")]
pub(super) const QUIETLY: SendFlags = SendFlags::DONTWAIT;

/// Receives without waiting, whatever another holder of the open socket makes of it.
pub(super) const AT_ONCE: RecvFlags = RecvFlags::DONTWAIT;

/// Has a datagram's length told in full, also where that is more than there was room for.
#[cfg(target_os = "linux")]
pub(super) const IN_FULL: RecvFlags = AT_ONCE.union(RecvFlags::TRUNC);
/// Elsewhere the flag is an answer only, or nothing: the length is what fitted.
#[cfg(not(target_os = "linux"))]
pub(super) const IN_FULL: RecvFlags = AT_ONCE;

/// Keeps descriptors that come with the bytes from children.
#[cfg(not(target_vendor = "apple"))]
pub(super) const FOR_US_ALONE: RecvFlags = AT_ONCE.union(RecvFlags::CMSG_CLOEXEC);
/// Apple has no such flag; see [`keep_from_children`].
#[cfg(target_vendor = "apple")]
pub(super) const FOR_US_ALONE: RecvFlags = AT_ONCE;

/// What [`FOR_US_ALONE`] does, where it does nothing. A child that another thread starts in between
/// has the descriptor all the same.
pub(super) fn keep_from_children(descriptor: &OwnedFd) {
    if cfg!(target_vendor = "apple") {
        // It is open, and fails for no other reason.
        let _ = rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC);
    }
}

/// Accepts a connection that does not block and that no child has.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn accept(listener: SockRef<'_>) -> io::Result<(Socket, SockAddr)> {
    let flags = rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC;
    listener.accept4(flags.bits().cast_signed())
}

/// Apple takes a call for each.
#[cfg(target_vendor = "apple")]
pub(super) fn accept(listener: SockRef<'_>) -> io::Result<(Socket, SockAddr)> {
    let (socket, peer) = listener.accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, peer))
}

#[cfg(target_os = "linux")]
pub(super) fn interface(name: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(name)?)
}

/// The standard library has no call for it, but knows the number of an address that names it: no name is
/// looked up for that.
#[cfg(not(target_os = "linux"))]
pub(super) fn interface(name: &str) -> io::Result<u32> {
    use std::net::{SocketAddr, ToSocketAddrs};
    let scope = |address| match address {
        SocketAddr::V6(address) => Some(address.scope_id()),
        SocketAddr::V4(_) => None,
    };
    let found = (format!("fe80::1%{name}").as_str(), 0).to_socket_addrs()?.find_map(scope);
    found.filter(|&scope| scope != 0).ok_or_else(|| io::ErrorKind::NotFound.into())
}
