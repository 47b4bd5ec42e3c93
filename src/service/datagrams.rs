// Services for datagrams.

use super::contract::Service;
use super::running::Running;
use crate::deferred::{fail, succeed};
use crate::net::{DatagramProtocol, DatagramTransport};
use crate::{Deferred, Result};
use std::fmt;
use std::rc::Rc;

/// A UDP socket with a protocol for as long as it runs.
///
/// ```
/// use ropewalk::net::{DatagramProtocol, DatagramTransport};
/// use ropewalk::service::UdpServer;
/// use ropewalk::{Address, Result};
///
/// struct Echo;
/// impl DatagramProtocol for Echo {
///     fn datagram_received(&mut self, to: &DatagramTransport, data: &[u8], from: &Address) -> Result {
///         to.write_to(data, from)
///     }
/// }
/// let service = UdpServer::new("127.0.0.1:7", || Echo);
/// # let _ = service;
/// ```
#[doc(alias = "UDPServer")]
pub struct UdpServer {
    kind: &'static str,
    open: Open,
    on_listening: Option<OnListening>,
    transport: Option<DatagramTransport>,
}

type Open = Box<dyn FnMut(&Running) -> Result<DatagramTransport>>;
type OnListening = Rc<dyn Fn(&DatagramTransport)>;

impl UdpServer {
    /// At an address, with a protocol that `build` makes at each start.
    pub fn new<P>(at: impl Into<String>, build: impl FnMut() -> P + 'static) -> UdpServer
    where
        P: DatagramProtocol + 'static,
    {
        let (at, mut build) = (at.into(), build);
        UdpServer::of_kind("UdpServer", move |up| {
            let protocol = build();
            up.owner().enter(|| up.reactor().listen_udp(&*at, protocol))
        })
    }

    fn of_kind(
        kind: &'static str,
        open: impl FnMut(&Running) -> Result<DatagramTransport> + 'static,
    ) -> UdpServer {
        UdpServer { kind, open: Box::new(open), on_listening: None, transport: None }
    }

    /// Calls `call` with the socket each time that it is open: for a port that the system chose, or to join
    /// a group.
    #[must_use]
    pub fn on_listening(mut self, call: impl Fn(&DatagramTransport) + 'static) -> UdpServer {
        self.on_listening = Some(Rc::new(call));
        self
    }

    fn open(&mut self, up: &Running) -> Deferred<()> {
        match (self.open)(up) {
            Ok(transport) => {
                if let Some(call) = self.on_listening.clone() {
                    call(&transport);
                }
                self.transport = Some(transport);
                succeed(())
            }
            Err(failure) => fail(failure),
        }
    }
}

impl Service for UdpServer {
    fn kind(&self) -> &str {
        self.kind
    }

    fn privileged_start_service(&mut self, up: &Running) -> Deferred<()> {
        self.open(up)
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        if up.has_begun_privileged() {
            return succeed(());
        }
        self.open(up)
    }

    fn stop_service(&mut self, _: &Running) -> Deferred<()> {
        self.transport.take().map_or_else(|| succeed(()), |transport| transport.stop_listening())
    }
}

impl fmt::Debug for UdpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.kind).field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// A [`UdpServer`] whose port others of this machine may have as well, to hear a group together.
///
/// ```
/// use ropewalk::net::{DatagramProtocol, DatagramTransport};
/// use ropewalk::service::MulticastServer;
/// use ropewalk::{Address, Result};
/// use std::net::Ipv4Addr;
///
/// struct Hears;
/// impl DatagramProtocol for Hears {
///     fn started(&mut self, transport: &DatagramTransport) {
///         let group = Ipv4Addr::new(228, 0, 0, 5);
///         if let Err(failure) = transport.join_group(group.into(), Ipv4Addr::UNSPECIFIED) {
///             failure.report("not in the group");
///         }
///     }
///     fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
///         Ok(())
///     }
/// }
/// let service = MulticastServer::new("0.0.0.0:9999", || Hears);
/// # let _ = service;
/// ```
#[derive(Debug)]
pub struct MulticastServer(());

impl MulticastServer {
    /// At an address, with a protocol that `build` makes at each start.
    #[expect(clippy::new_ret_no_self, reason = "a kind of that service, as Twisted calls it")]
    pub fn new<P>(at: impl Into<String>, build: impl FnMut() -> P + 'static) -> UdpServer
    where
        P: DatagramProtocol + 'static,
    {
        let (at, mut build) = (at.into(), build);
        UdpServer::of_kind("MulticastServer", move |up| {
            let protocol = build();
            up.owner().enter(|| up.reactor().listen_multicast(&*at, protocol))
        })
    }
}
