//! Names of Unix sockets as the system has them.
//!
//! The length is of the name: an abstract one may hold zeros and begin with them, a path ends at its first.
//! So a path with a zero in it, or an empty one, would be another name; it is an error instead.

use crate::address::{Address, UnixName};
use rustix::net::{SocketAddrAny, SocketAddrUnix};
use socket2::SockAddr;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(super) fn to_system(name: &UnixName) -> io::Result<SocketAddrUnix> {
    let cannot = |why: &str| {
        let why = format!("{name} is no name of a Unix socket: {why}");
        io::Error::new(io::ErrorKind::InvalidInput, why)
    };
    match name {
        UnixName::Path(path) if path.as_os_str().is_empty() => Err(cannot("it is empty")),
        UnixName::Path(path) if path.as_os_str().as_bytes().contains(&0) => {
            Err(cannot("it has a zero in it"))
        }
        UnixName::Path(path) => {
            SocketAddrUnix::new(&**path).map_err(|_| cannot("it is over 108 bytes"))
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        UnixName::Abstract(name) => {
            SocketAddrUnix::new_abstract_name(name).map_err(|_| cannot("it is over 107 bytes"))
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        UnixName::Abstract(_) => Err(cannot("abstract names are Linux' own")),
        UnixName::Unnamed => Err(cannot("nobody can be there")),
    }
}

pub(super) fn from_system(address: &SockAddr) -> Address {
    Address::Unix(match (address.as_pathname(), address.as_abstract_namespace()) {
        (Some(path), _) => UnixName::Path(path.into()),
        (_, Some(name)) => UnixName::Abstract(name.into()),
        _ => UnixName::Unnamed,
    })
}

/// The longest name with the end that the system adds to it is longer than what has room for it, and
/// rustix would not read it.
const LONGEST: usize = 110;

/// Who sent a datagram; one whose path has all of 108 bytes is taken for one without a name.
pub(super) fn sender(address: Option<SocketAddrAny>) -> Address {
    // A sender without a name has no address at all on some systems.
    let address = address.filter(|address| address.addr_len() as usize <= LONGEST);
    let address = address.and_then(|address| SocketAddrUnix::try_from(address).ok());
    Address::Unix(address.map_or(UnixName::Unnamed, |address| name_in(&address)))
}

fn name_in(address: &SocketAddrUnix) -> UnixName {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.abstract_name() {
        return UnixName::Abstract(name.into());
    }
    match address.path_bytes() {
        Some(path) => UnixName::Path(Path::new(OsStr::from_bytes(path)).into()),
        None => UnixName::Unnamed,
    }
}
