//! Policies: what a server demands of connections, whatever is spoken on them.
//!
//! A [`Policy`] says two things of a connection: whether it is admitted, by its peer's address, and
//! what is put under it. What watches or holds back bytes is a layer between the connection and its
//! stream, so that both faces have it and neither knows. [`factory`] and [`handler`] put a policy
//! around a server of either face; several are one as a tuple.
//!
//! ```
//! use ropewalk::Reactor;
//! use ropewalk::policies::{self, ConnectionLimit, IdleTimeout};
//! use std::time::Duration;
//!
//! let reactor = Reactor::new()?;
//! let limit = ConnectionLimit::new().total(1000).per_peer(10);
//! let policy = (limit, IdleTimeout::new(Duration::from_secs(600)));
//! reactor.serve("127.0.0.1:0", policies::handler(policy, async |_stream| Ok(())))?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # Deviations from Twisted
//! The bytes themselves are held back, not only their producers, and exactly; a peer is counted by its
//! address without the port; a connection refused is closed, there is no protocol for the overflow.

// # Invariants
// * What a policy counts is given back when the connection's protocol or handler is dropped.
// * No code of the user's runs while a layer is called: a log is told of bytes a little later.

mod idle;
mod layer;
mod limit;
mod throttle;
mod traffic;

pub use idle::{IdleTimeout, Timeout};
pub use limit::{Admission, ConnectionLimit};
pub use throttle::Throttle;
pub use traffic::{Traffic, TrafficLog};

use crate::address::Address;
use crate::deferred::IntoDeferred;
use crate::failure::Result;
use crate::forward_protocol;
use crate::protocol::{Factory, Protocol};
use crate::stream::Stream;
use crate::transport::Transport;

/// What is demanded of a connection.
///
/// ```
/// use ropewalk::policies::Policy;
/// use ropewalk::{Address, Result, Transport};
/// use std::time::Duration;
///
/// /// Only peers of this machine, and they are probed.
/// struct Local;
/// impl Policy for Local {
///     type Pass = ();
///     fn admit(&self, peer: &Address) -> Option<()> {
///         peer.ip()?.is_loopback().then_some(())
///     }
///     fn apply(&self, transport: &Transport) -> Result {
///         transport.set_keepalive(Some(Duration::from_secs(60)))
///     }
/// }
/// ```
pub trait Policy {
    /// Kept as long as the connection lives.
    type Pass: 'static;

    /// Admits a connection with this peer, or refuses it with `None`.
    fn admit(&self, peer: &Address) -> Option<Self::Pass>;

    /// Puts what it needs under a connection that was admitted and has moved no byte yet.
    fn apply(&self, transport: &Transport) -> Result {
        let _ = transport;
        Ok(())
    }
}

impl<A: Policy, B: Policy> Policy for (A, B) {
    type Pass = (A::Pass, B::Pass);

    fn admit(&self, peer: &Address) -> Option<Self::Pass> {
        Some((self.0.admit(peer)?, self.1.admit(peer)?))
    }

    fn apply(&self, transport: &Transport) -> Result {
        self.0.apply(transport)?;
        self.1.apply(transport)
    }
}

/// Puts a policy around a factory.
///
/// ```
/// use ropewalk::policies::{self, ConnectionLimit};
/// use ropewalk::{Address, Protocol, Reactor, Result, Transport};
///
/// struct Discard;
/// impl Protocol for Discard {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// let reactor = Reactor::new()?;
/// let limited = policies::factory(ConnectionLimit::new().total(100), |_: &Address| Discard);
/// reactor.listen("127.0.0.1:0", limited)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "WrappingFactory")]
pub fn factory<P, F>(policy: P, factory: F) -> Policed<P, F>
where
    P: Policy + Clone + 'static,
    F: Factory,
{
    Policed { policy, factory }
}

/// Puts a policy around a handler.
///
/// A connection that is refused is closed, and the handler does not hear of it.
pub fn handler<P, H, R>(policy: P, handler: H) -> impl AsyncFn(Stream) -> Result
where
    P: Policy,
    H: AsyncFn(Stream) -> R,
    R: IntoDeferred<Output = ()>,
{
    async move |stream: Stream| {
        let Some(pass) = policy.admit(&stream.peer()) else { return Ok(()) };
        policy.apply(&stream.transport())?;
        let outcome = handler(stream).await.into_deferred().await;
        drop(pass);
        outcome
    }
}

/// A factory with a policy around it, as [`factory()`] makes it.
#[derive(Debug)]
pub struct Policed<P, F> {
    policy: P,
    factory: F,
}

impl<P: Policy + Clone + 'static, F: Factory> Factory for Policed<P, F> {
    type Protocol = PolicedProtocol<P, F::Protocol>;

    fn build_protocol(&mut self, peer: &Address) -> Option<Self::Protocol> {
        let pass = self.policy.admit(peer)?;
        let protocol = self.factory.build_protocol(peer)?;
        Some(PolicedProtocol { protocol, policy: self.policy.clone(), _pass: pass })
    }

    fn started(&mut self) {
        self.factory.started();
    }

    fn stopped(&mut self) {
        self.factory.stopped();
    }
}

/// A protocol whose connection obeys a policy.
#[derive(Debug)]
#[doc(alias = "ProtocolWrapper")]
pub struct PolicedProtocol<P: Policy, Q> {
    protocol: Q,
    policy: P,
    _pass: P::Pass,
}

impl<P: Policy, Q: Protocol> Protocol for PolicedProtocol<P, Q> {
    forward_protocol!(self.protocol: all except connection_made);

    fn connection_made(&mut self, transport: &Transport) {
        if let Err(failure) = self.policy.apply(transport) {
            crate::failure::report("policy that could not be applied", &failure);
            transport.abort_connection();
        }
        self.protocol.connection_made(transport);
    }
}
