//! Where a connection comes from or goes to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The address of one end of a connection or port.
///
/// ```
/// use ropewalk::Address;
/// use std::net::SocketAddr;
///
/// let address = Address::from(SocketAddr::from(([127, 0, 0, 1], 8000)));
/// assert_eq!(address.to_string(), "127.0.0.1:8000");
/// assert_eq!(address.port(), Some(8000));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Address {
    /// An IPv4 or IPv6 address with a port.
    #[doc(alias = "IPv4Address")]
    #[doc(alias = "IPv6Address")]
    Ip(SocketAddr),
    /// A Unix socket.
    #[doc(alias = "UNIXAddress")]
    Unix(UnixName),
    /// What has no address: pipes, a terminal, a child process. The text says which, for people.
    #[doc(alias = "_ProcessAddress")]
    Pipe(Box<str>),
}

/// The name of a Unix socket.
///
/// ```
/// use ropewalk::UnixName;
///
/// let path: UnixName = "/run/bus".into();
/// assert!(matches!(path, UnixName::Path(_)));
/// let name: UnixName = "@bus".into();
/// assert!(matches!(name, UnixName::Abstract(_)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnixName {
    /// A socket in the file system.
    Path(Box<Path>),
    /// A name in Linux' abstract namespace, without its leading zero byte.
    Abstract(Box<[u8]>),
    /// A socket that was never bound, as a client's end is.
    Unnamed,
}

impl Address {
    /// The port, where there is one.
    ///
    /// ```
    /// use ropewalk::Address;
    /// use std::net::SocketAddr;
    ///
    /// let address = Address::from(SocketAddr::from(([127, 0, 0, 1], 80)));
    /// assert_eq!((address.port(), address.ip()), (Some(80), Some([127, 0, 0, 1].into())));
    /// ```
    pub fn port(&self) -> Option<u16> {
        self.socket_addr().map(|address| address.port())
    }

    /// The IP address, where there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }

    /// The address in the standard library's type, where it is an IP address.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            _ => None,
        }
    }

    /// The address of something that has none.
    pub(crate) fn pipe(name: impl Into<Box<str>>) -> Address {
        Address::Pipe(name.into())
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

impl UnixName {
    /// A name as people write it: a path, or `@` (or a zero byte) and a name in Linux' abstract
    /// namespace.
    ///
    /// ```
    /// use ropewalk::UnixName;
    ///
    /// assert_eq!(UnixName::new("@bus"), UnixName::Abstract(Box::from(*b"bus")));
    /// assert_eq!(UnixName::new("/run/bus").to_string(), "unix:/run/bus");
    /// ```
    pub fn new(name: &str) -> UnixName {
        match name.strip_prefix(['@', '\0']) {
            Some(name) => UnixName::Abstract(name.as_bytes().into()),
            None => UnixName::Path(Path::new(name).into()),
        }
    }
}

impl From<&str> for UnixName {
    fn from(name: &str) -> UnixName {
        UnixName::new(name)
    }
}

impl From<String> for UnixName {
    fn from(name: String) -> UnixName {
        UnixName::new(&name)
    }
}

impl From<&Path> for UnixName {
    fn from(path: &Path) -> UnixName {
        UnixName::Path(path.into())
    }
}

impl From<PathBuf> for UnixName {
    fn from(path: PathBuf) -> UnixName {
        UnixName::Path(path.into())
    }
}

impl From<&PathBuf> for UnixName {
    fn from(path: &PathBuf) -> UnixName {
        UnixName::Path(path.as_path().into())
    }
}

impl From<UnixName> for Address {
    fn from(name: UnixName) -> Address {
        Address::Unix(name)
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Address {
        Address::Unix(UnixName::Path(path.into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(name) => name.fmt(f),
            Address::Pipe(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Not to be taken for an abstract name.
            UnixName::Path(path) if path.as_os_str().as_encoded_bytes().starts_with(b"@") => {
                write!(f, "unix:./{}", path.display())
            }
            UnixName::Path(path) => write!(f, "unix:{}", path.display()),
            UnixName::Abstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
            UnixName::Unnamed => f.write_str("unix:(unnamed)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_people_write_it() {
        let v6: SocketAddr = "[::1]:25".parse().unwrap();
        assert_eq!(Address::from(v6).to_string(), "[::1]:25");
        assert_eq!(Address::from(PathBuf::from("/run/s")).to_string(), "unix:/run/s");
        let name = UnixName::Abstract(Box::from(*b"bus\x01"));
        assert_eq!(Address::Unix(name).to_string(), "unix:@bus\\x01");
        assert_eq!(Address::from(PathBuf::from("@bus")).to_string(), "unix:./@bus");
    }

    #[test]
    fn only_the_first_sign_of_an_abstract_name_is_not_of_it() {
        for (written, name) in
            [("@@a", "@a"), ("@\0a", "\0a"), ("\0@a", "@a"), ("\0\0", "\0"), ("@", "")]
        {
            assert_eq!(UnixName::new(written), UnixName::Abstract(name.as_bytes().into()));
        }
    }

    #[test]
    fn an_address_is_no_larger_than_a_socket_address() {
        assert_eq!(size_of::<Address>(), size_of::<SocketAddr>());
    }
}
