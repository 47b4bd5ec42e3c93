//! Trains of datagrams on Linux: one call, and one pass through the system, for as many as 64.
//!
//! To send one is to say how long its datagrams are (UDP_SEGMENT); to receive one is to be told
//! (UDP_GRO). What takes apart or puts together is the network card, or the system next to it.

use super::name_shortage;
use crate::driver::Train;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, getsockopt, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;

/// Of longer ones no two fit into what IP carries.
pub(super) const LONGEST: usize = 32_500;

/// What a train's description is received into.
pub(super) fn control() -> Vec<u8> {
    nix::cmsg_space!(i32)
}

/// Has trains handed over whole; false where that is not known.
pub(super) fn expect(socket: &impl AsFd) -> bool {
    setsockopt(socket, sockopt::UdpGroSegment, &true).is_ok()
}

/// Whether the system knows how to send trains: one that does not would make one datagram of each.
pub(super) fn are_known(socket: &impl AsFd) -> bool {
    static ARE_KNOWN: OnceLock<bool> = OnceLock::new();
    *ARE_KNOWN.get_or_init(|| getsockopt(socket, sockopt::UdpGsoSegment).is_ok())
}

pub(super) fn receive(
    socket: &impl AsRawFd,
    buffer: &mut [u8],
    control: &mut [u8],
) -> io::Result<Train> {
    let mut room = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
    let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut room, Some(control), flags)?;
    let each = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::UdpGroSegments(each) => usize::try_from(each).ok(),
        _ => None,
    });
    let from = received.address.and_then(to_std).ok_or(io::ErrorKind::InvalidData)?;
    let length = received.bytes;
    Ok(Train { length, each: each.unwrap_or(length), from: from.into() })
}

fn to_std(address: SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

pub(super) fn send(
    socket: &impl AsRawFd,
    data: &[u8],
    each: usize,
    to: Option<SocketAddr>,
) -> io::Result<()> {
    let each = u16::try_from(each).map_err(|_| io::ErrorKind::InvalidInput)?;
    let (all, segments) = ([IoSlice::new(data)], [ControlMessage::UdpGsoSegments(&each)]);
    let to = to.map(SockaddrStorage::from);
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    sendmsg(socket.as_raw_fd(), &all, &segments, flags, to.as_ref()).map_err(meaning)?;
    Ok(())
}

/// Tells whether it is the length that does not go, or trains as such.
fn meaning(errno: Errno) -> io::Error {
    match errno {
        // Longer than what the path carries in one piece.
        Errno::EMSGSIZE | Errno::EINVAL => io::ErrorKind::InvalidInput.into(),
        // The device cannot, or a tunnel is in the way.
        Errno::EIO | Errno::EOPNOTSUPP => io::ErrorKind::Unsupported.into(),
        other => name_shortage(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_whether_the_length_or_the_device_is_in_the_way() {
        let kinds = |errnos: [Errno; 2]| errnos.map(|errno| meaning(errno).kind());
        assert_eq!(kinds([Errno::EMSGSIZE, Errno::EINVAL]), [io::ErrorKind::InvalidInput; 2]);
        assert_eq!(kinds([Errno::EIO, Errno::EOPNOTSUPP]), [io::ErrorKind::Unsupported; 2]);
        assert_eq!(meaning(Errno::EAGAIN).kind(), io::ErrorKind::WouldBlock);
        assert_eq!(meaning(Errno::ECONNREFUSED).kind(), io::ErrorKind::ConnectionRefused);
    }
}
