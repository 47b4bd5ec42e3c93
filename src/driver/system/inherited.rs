//! Listening sockets that another process opened, by the number of their descriptor here. On Linux only:
//! nix is here for Linux alone, and nothing else takes a descriptor by its number without unsafe code.
//!
//! # Theory
//! A number is no proof of anything, so it is not used: the descriptor is sent through a Unix socket to
//! this very process, which receives a copy that is its own. (`pidfd_getfd` would do the same in one
//! call, but is forbidden in most containers.)
//!
//! Then the original goes: a socket that is open under its number as well would go on filling its
//! backlog after its port has stopped, and children would inherit it. The number is not left free,
//! though: whatever is opened next would get it, and who names the number again, or closes it because
//! it is theirs, would have that. What is there from then on is `/dev/null`.

use super::adopted;
use crate::driver::Listener;
use mio::Registry;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

pub(super) fn listen(registry: &Rc<Registry>, number: u32) -> io::Result<Box<dyn Listener>> {
    let name = format!("descriptor {number}");
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let listener = adopted::listener(registry, copy(number)?.into(), &name)?;
    replace(number)?;
    Ok(listener)
}

/// As `listen`, of a descriptor of whatever kind.
pub(in crate::driver) fn take_over(number: u32) -> io::Result<OwnedFd> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let taken = copy(number)?;
    replace(number)?;
    Ok(taken)
}

/// A descriptor of our own for what is open under a number.
fn copy(number: i32) -> io::Result<OwnedFd> {
    let cannot = |call: &str, error: io::Error| {
        io::Error::new(error.kind(), format!("cannot copy descriptor {number}: {call}: {error}"))
    };
    let (ours, theirs) = UnixStream::pair().map_err(|error| cannot("socketpair", error))?;
    let data = [IoSlice::new(&[0])];
    let rights = [ControlMessage::ScmRights(&[number])];
    sendmsg::<()>(theirs.as_raw_fd(), &data, &rights, MsgFlags::MSG_DONTWAIT, None)
        .map_err(|error| cannot("sendmsg", error.into()))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let (byte, flags) = (&mut [0], RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT);
    recvmsg(&ours, &mut [IoSliceMut::new(byte)], &mut control, flags)
        .map_err(|error| cannot("recvmsg", error.into()))?;
    let came = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    // It is dropped where there is no room for one descriptor more.
    came.ok_or_else(|| cannot("recvmsg", io::Error::other("too many open files")))
}

/// Closes what is open under a number, and has `/dev/null` in its place.
fn replace(number: i32) -> io::Result<()> {
    let nothing = File::open("/dev/null")?;
    let cannot = |error: nix::errno::Errno| {
        let why = format!("cannot close descriptor {number}: close: {error}");
        io::Error::new(io::Error::from(error).kind(), why)
    };
    nix::unistd::close(number).map_err(cannot)?;
    // The lowest that is free from this number on: this one, unless another thread was faster.
    if let Ok(stopgap) = rustix::io::fcntl_dupfd_cloexec(nothing, number)
        && stopgap.as_raw_fd() == number
    {
        // For as long as the process lives.
        let _ = stopgap.into_raw_fd();
    }
    Ok(())
}
