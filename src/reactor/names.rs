//! Who finds the addresses of a name: the driver, unless somebody was put in its place.

use super::{Loop, Reactor};
use crate::deferred::Deferred;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// Finds the addresses of a host; any `Fn(&str, u16) -> Deferred<Vec<SocketAddr>>` is one.
///
/// ```
/// use ropewalk::reactor::Resolver;
/// use ropewalk::{Deferred, Reactor, succeed};
/// use std::net::SocketAddr;
///
/// struct Fixed(Vec<SocketAddr>);
/// impl Resolver for Fixed {
///     fn resolve(&self, _host: &str, _port: u16) -> Deferred<Vec<SocketAddr>> {
///         succeed(self.0.clone())
///     }
/// }
/// let reactor = Reactor::new()?;
/// let port = reactor.serve("127.0.0.1:0", async |_| Ok(()))?;
/// let address = port.host().socket_addr().into_iter().collect();
/// reactor.install_name_resolver(Fixed(address));
/// let stream = reactor.run_until(reactor.open("database.test:1"))?;
/// assert_eq!(stream.peer(), port.host());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "IHostnameResolver")]
#[doc(alias = "IResolverSimple")]
pub trait Resolver {
    /// The addresses of a host, each with this port, those to be preferred first.
    ///
    /// Cancelling the Deferred means that nobody waits any more.
    fn resolve(&self, host: &str, port: u16) -> Deferred<Vec<SocketAddr>>;
}

impl<F> Resolver for F
where
    F: Fn(&str, u16) -> Deferred<Vec<SocketAddr>>,
{
    fn resolve(&self, host: &str, port: u16) -> Deferred<Vec<SocketAddr>> {
        self(host, port)
    }
}

/// The resolver that was installed, if any. Borrowed to clone or exchange.
#[derive(Default)]
pub(super) struct Names(RefCell<Option<Rc<dyn Resolver>>>);

impl Names {
    pub(super) fn forget(&self) {
        let former = self.0.take();
        drop(former);
    }
}

impl Reactor {
    /// Asks `resolver` for the addresses of names from now on, instead of the system.
    ///
    /// [`resolve`](Reactor::resolve) and whatever connects by name ask it; literals it never hears of.
    #[doc(alias = "installNameResolver")]
    #[doc(alias = "installResolver")]
    pub fn install_name_resolver(&self, resolver: impl Resolver + 'static) {
        if self.inner().is_over() {
            return self.inner().refuse(resolver);
        }
        let former = self.inner().names.0.replace(Some(Rc::new(resolver)));
        drop(former);
    }
}

impl Loop {
    pub(crate) fn resolver(&self) -> Option<Rc<dyn Resolver>> {
        self.names.0.borrow().clone()
    }
}
