//! Looking up the addresses of a host, for whoever connects by other means.

use super::connector::find;
use crate::deferred::Deferred;
use crate::failure::Failure;
use crate::reactor::Reactor;
use std::net::SocketAddr;
use std::panic::Location;

impl Reactor {
    /// Looks the addresses of a host up, each with this port, those to be preferred first.
    ///
    /// A literal is an address already, and nobody is asked; a name is asked of the resolver that was
    /// installed, or of the system, or of the simulation. There is at least one address, or a failure
    /// that says what became of the name. Cancelling means that nobody waits any more.
    ///
    /// ```
    /// use ropewalk::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// let found = reactor.run_until(reactor.resolve("127.0.0.1", 80))?;
    /// assert_eq!(found, ["127.0.0.1:80".parse()?]);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "lookup_host")]
    #[doc(alias = "resolveHostName")]
    #[doc(alias = "getHostByName")]
    #[track_caller]
    pub fn resolve(&self, host: &str, port: u16) -> Deferred<Vec<SocketAddr>> {
        let (inner, host, place) = (self.inner().clone(), host.to_owned(), Location::caller());
        self.spawn(async move {
            find(&inner, &host, port).await.map_err(|error| Failure::at(place, error))
        })
    }
}
