//! What systemd is told, and what it says: `sd_notify(3)`, by hand, since it is a datagram.
//!
//! The socket is opened once: after a change of the root there is no way to its path. Two calls under a
//! manager of services alone; without one nothing is sent.

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Notify {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// What the environment says.
    pub(super) fn from_environment() -> Notify {
        let variable = |name| std::env::var(name).ok();
        let socket = variable("NOTIFY_SOCKET").and_then(|path| connect(&path));
        let process = variable("WATCHDOG_PID").and_then(|text| text.parse::<u32>().ok());
        let is_for_us = process.is_none_or(|process| process == std::process::id());
        let limit = variable("WATCHDOG_USEC").and_then(|text| text.parse().ok());
        let limit = limit.filter(|micros: &u64| is_for_us && *micros > 0);
        Notify { socket, watchdog: limit.map(Duration::from_micros) }
    }

    /// So often it is to be told that the loop turns: at half of the time after which it is killed.
    pub(super) fn watchdog_period(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        self.watchdog.map(|limit| limit / 2)
    }

    pub(super) fn send(&self, state: &str) {
        if let Some(socket) = &self.socket {
            // A manager that has gone away cannot be told, and none is missed.
            let _ = socket.send(state.as_bytes());
        }
    }

    /// Has the manager keep a descriptor for the next start, by this name.
    pub(super) fn store(&self, name: &str, descriptor: BorrowedFd<'_>) {
        let name = crate::driver::escape_name(name);
        let Some(socket) = self.socket.as_ref().filter(|_| name.len() <= 255) else { return };
        let state = format!("FDSTORE=1\nFDNAME={name}");
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let slices = [IoSlice::new(state.as_bytes())];
        // As with any other.
        let _ = sendmsg(socket.as_fd(), &slices, &mut control, SendFlags::NOSIGNAL);
    }

    /// It reads its configuration again; `READY=1` follows in any case.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It stops, and needs so long at most.
    pub(super) fn stopping(&self, limit: Duration) {
        let micros = limit.as_micros();
        self.send(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}\nSTATUS=draining"));
    }
}

fn connect(path: &str) -> Option<UnixDatagram> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None if path.starts_with('/') => SocketAddr::from_pathname(path),
        None => return None,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect_addr(&address.ok()?).ok()?;
    Some(socket)
}
