//! A protocol that is there before its connection.

use crate::address::Address;
use crate::deferred::Deferred;
use crate::endpoint::ClientEndpoint;
use crate::net::Connected;
use crate::protocol::{Factory, Protocol};
use crate::reactor::Reactor;

/// Connects for a protocol that is there already; see [`Reactor::connect`].
///
/// ```
/// use ropewalk::ported::connect_protocol;
/// use ropewalk::prelude::*;
///
/// struct Quiet;
/// impl Protocol for Quiet {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// let reactor = Reactor::new()?;
/// let port = reactor.serve("127.0.0.1:0", async |_| Ok(()))?;
/// let connected = reactor.run_until(connect_protocol(&reactor, &port.host(), Quiet))?;
/// assert_eq!(connected.transport().peer(), port.host());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "connectProtocol")]
#[track_caller]
pub fn connect_protocol<P>(
    reactor: &Reactor,
    to: impl Into<ClientEndpoint>,
    protocol: P,
) -> Deferred<Connected<P>>
where
    P: Protocol + 'static,
{
    reactor.connect(to, Once(Some(protocol)))
}

/// A factory of one protocol.
struct Once<P>(Option<P>);

impl<P: Protocol + 'static> Factory for Once<P> {
    type Protocol = P;

    fn build_protocol(&mut self, _: &Address) -> Option<P> {
        self.0.take()
    }
}
