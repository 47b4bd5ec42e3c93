//! Where a UDP socket is opened.

use crate::address::Address;
use crate::net::connect::lookup::find_now;
use crate::reactor::Loop;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

/// Where a UDP socket is opened: an address, or a host and a port, of which 0 lets the system choose.
///
/// Made of an address (`SocketAddr`, [`Address`], an IP address and a port), of a text (`"127.0.0.1:53"`,
/// `"[::1%eth0]:53"`) or of a host and a port. A bad one is told by the call that opens the socket. A name has
/// to be known at once, as `localhost` is; others are looked up first, with
/// [`Reactor::resolve`](crate::Reactor::resolve).
///
/// ```
/// use ropewalk::Reactor;
/// use std::net::Ipv4Addr;
///
/// let reactor = Reactor::new()?;
/// let one = reactor.bind_udp("127.0.0.1:0")?;
/// assert!(reactor.bind_udp(one.host()).is_err(), "that port is taken");
/// assert!(reactor.bind_udp((Ipv4Addr::LOCALHOST, 0)).is_ok());
/// assert!(reactor.bind_udp(("localhost", 0)).is_ok());
/// let failure = reactor.bind_udp("localhost").unwrap_err();
/// assert_eq!(failure.to_string(), "cannot listen at localhost: the port is missing");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug)]
pub struct UdpAddress(Given);

#[derive(Clone, Debug)]
enum Given {
    Address(SocketAddr),
    Host(String, u16),
    Bad { text: String, why: &'static str },
}

impl UdpAddress {
    pub(super) fn find_now(&self, inner: &Rc<Loop>) -> io::Result<Vec<SocketAddr>> {
        match &self.0 {
            Given::Address(address) => Ok(vec![*address]),
            Given::Host(host, port) => find_now(inner, host, *port),
            Given::Bad { why, .. } => Err(io::Error::new(io::ErrorKind::InvalidInput, *why)),
        }
    }
}

impl From<SocketAddr> for UdpAddress {
    fn from(address: SocketAddr) -> UdpAddress {
        UdpAddress(Given::Address(address))
    }
}

impl From<&str> for UdpAddress {
    fn from(text: &str) -> UdpAddress {
        let bad = |why| UdpAddress(Given::Bad { text: text.to_owned(), why });
        if let Ok(address) = text.parse::<SocketAddr>() {
            return address.into();
        }
        let Some((host, port)) = text.rsplit_once(':') else { return bad("the port is missing") };
        match port.parse() {
            Ok(port) => UdpAddress::from((host, port)),
            Err(_) => bad("the port is no number up to 65535"),
        }
    }
}

/// The host is a name or an address.
impl From<(&str, u16)> for UdpAddress {
    fn from((host, port): (&str, u16)) -> UdpAddress {
        UdpAddress(Given::Host(host.to_owned(), port))
    }
}

/// That of a port or a peer.
impl From<&Address> for UdpAddress {
    fn from(address: &Address) -> UdpAddress {
        match address.socket_addr() {
            Some(address) => address.into(),
            None => {
                UdpAddress(Given::Bad { text: address.to_string(), why: "UDP is no way there" })
            }
        }
    }
}

/// What is turned into something that is one already.
macro_rules! through {
    ($($from:ty: $value:ident => $into:expr;)*) => {$(
        impl From<$from> for UdpAddress {
            fn from($value: $from) -> UdpAddress {
                $into.into()
            }
        }
    )*};
}

through! {
    &SocketAddr: address => *address;
    (IpAddr, u16): address => SocketAddr::from(address);
    (Ipv4Addr, u16): address => SocketAddr::from(address);
    (Ipv6Addr, u16): address => SocketAddr::from(address);
    (String, u16): address => (address.0.as_str(), address.1);
    String: text => text.as_str();
    &String: text => text.as_str();
    Address: address => &address;
}

impl fmt::Display for UdpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Given::Address(address) => address.fmt(f),
            Given::Host(host, port) => write!(f, "{host}:{port}"),
            Given::Bad { text, .. } => f.write_str(text),
        }
    }
}
