// A site: what answers, and how it is set up.

use super::channel::{Channel, Serve};
use super::common::Common;
use super::exchange::Exchange;
use super::log::Record;
use super::protocol::HttpProtocol;
use crate::address::Address;
use crate::deferred::Deferred;
use crate::failure::Result;
use crate::http::forwarded::{InvalidIpRange, IpRange};
use crate::http::limits::Limits;
use crate::http::reply::IntoReply;
use crate::http::request::Request;
use crate::http::resource::{Handler, Resource, leaf};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::protocol::Factory;
use crate::reactor::Reactor;
use crate::{Port, ServerEndpoint};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// A server of HTTP, for whatever listens: it is a [`Factory`].
///
/// Clones are handles on the same site, so that it can be [drained](Site::drain) and listen at several
/// places. Limits and deadlines are on ([`Limits`]).
///
/// ```
/// use ropewalk::Reactor;
/// use ropewalk::http::{Request, Site, leaf};
///
/// let reactor = Reactor::new()?;
/// let site = Site::new(leaf(|_: &Request| Ok("Hello, World!")));
/// reactor.listen("127.0.0.1:0", site.clone())?; // or "tls:/etc/certs:443", or a Unix socket
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone)]
#[doc(alias = "HTTPFactory")]
pub struct Site {
    pub(super) common: Rc<Common>,
}

/// Listens, and answers requests by an `async` handler; the port can be stopped and asked for its address.
///
/// ```
/// use ropewalk::{Reactor, http};
///
/// let reactor = Reactor::new()?;
/// let port = http::serve(&reactor, "127.0.0.1:0", async |request| {
///     let upload = request.body().read_all(1 << 20).await?;
///     Ok(format!("{} bytes from {}", upload.len(), request.peer()))
/// })?;
/// # drop(port);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[track_caller]
pub fn serve<H, R>(reactor: &Reactor, at: impl Into<ServerEndpoint>, handler: H) -> Result<Port>
where
    H: AsyncFn(Request) -> Result<R> + 'static,
    R: IntoReply + 'static,
{
    reactor.listen(at, Site::new(leaf(handler)))
}

impl Site {
    /// A site whose paths begin at a resource.
    pub fn new(root: impl Resource + 'static) -> Site {
        let root = Root(Rc::new(root));
        Site { common: Rc::new(Common::new(root)) }
    }

    /// A site that a handler answers for alone.
    #[track_caller]
    pub fn of<Face>(handler: impl Handler<Face>) -> Site {
        Site::new(leaf(handler))
    }

    /// With other limits, for connections from now on.
    #[must_use]
    pub fn limits(self, limits: impl Into<Rc<Limits>>) -> Site {
        self.common.limits.replace(limits.into());
        self
    }

    /// Refuses requests whose Host and target name different hosts; see
    /// [`Machine::strict_authority`](crate::http::h1::Machine::strict_authority).
    #[must_use]
    pub fn strict_authority(self) -> Site {
        self.common.is_strict.set(true);
        self
    }

    /// Believes proxies at these addresses what they say of who asked, and how: nobody else is believed.
    ///
    /// ```
    /// use ropewalk::http::{Request, Site, leaf};
    ///
    /// let site = Site::new(leaf(|request: &Request| {
    ///     Ok(request.client().map(|client| format!("you are {client}")))
    /// }));
    /// let site = site.trusting(["127.0.0.1", "10.0.0.0/8"])?;
    /// # drop(site);
    /// # Ok::<(), ropewalk::http::InvalidIpRange>(())
    /// ```
    pub fn trusting<'r>(
        self,
        proxies: impl IntoIterator<Item = &'r str>,
    ) -> Result<Site, InvalidIpRange> {
        let ranges: Result<Vec<IpRange>, _> = proxies.into_iter().map(str::parse).collect();
        self.common.trusted.replace(ranges?.into());
        Ok(self)
    }

    /// Hears of every exchange when it is over, also of those that were refused or abandoned.
    ///
    /// ```
    /// use ropewalk::http::{Request, Site, leaf};
    ///
    /// let site = Site::new(leaf(|_: &Request| Ok("Hello")))
    ///     .on_exchange(|record| println!("{}", record.combined()));
    /// # drop(site);
    /// ```
    #[must_use]
    pub fn on_exchange(self, hook: impl Fn(&Record<'_>) + 'static) -> Site {
        let former = self.common.hook.replace(Some(Rc::new(hook)));
        drop(former);
        self
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.common.count.get()
    }

    /// Ends all connections in order: idle ones now, the others with the answer that they are at. Those
    /// that are left after `limit` are aborted. Fires when none is left.
    ///
    /// New ones are served one request each: stop the port first.
    ///
    /// ```
    /// # #[cfg(feature = "simulation")] {
    /// use ropewalk::http::{Request, Site, leaf};
    /// use ropewalk::simulation::Simulation;
    /// use std::time::Duration;
    ///
    /// let simulation = Simulation::new(1);
    /// let host = simulation.host("server");
    /// let site = Site::new(leaf(|_: &Request| Ok("Hello")));
    /// let port = host.reactor().listen("0.0.0.0:80", site.clone())?;
    /// let opening = simulation.host("client").reactor().open("server:80");
    /// let _stream = simulation.run_until(opening)?;
    /// simulation.run_for(Duration::from_secs(1))?; // the server has accepted it
    /// assert_eq!(site.connections(), 1);
    /// port.stop_listening();
    /// simulation.run_until(site.drain(&host.reactor(), Duration::from_secs(30)))?;
    /// assert_eq!(site.connections(), 0);
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn drain(&self, reactor: &Reactor, limit: Duration) -> Deferred<()> {
        self.common.is_draining.set(true);
        let (trigger, deferred) = Deferred::new();
        self.common.drained.borrow_mut().push(trigger);
        self.common.living().iter().for_each(|channel| channel.drain_all());
        let common = self.common.clone();
        let abort = reactor.call_later(limit, move || {
            common.living().iter().for_each(|channel| channel.transport.abort_connection());
        });
        self.common.tell_drained();
        deferred.map(move |()| {
            // It may have been made.
            let _ = abort.cancel();
        })
    }
}

impl Factory for Site {
    type Protocol = HttpProtocol;

    fn build_protocol(&mut self, _: &Address) -> Option<HttpProtocol> {
        if self.common.count.get() >= self.common.limits().connections {
            return None;
        }
        self.common.count.set(self.common.count.get() + 1);
        Some(HttpProtocol::new(self.common.clone()))
    }
}

/// The first resource of a site.
struct Root(Rc<dyn Resource>);

impl Serve for Root {
    #[inline]
    fn serve(&self, channel: &Rc<Channel>, exchange: &Rc<Exchange>) {
        let request = Request::new(channel.clone(), exchange.clone());
        request.follow(1);
        let outcome = request.catch(|| match self.0.is_leaf() {
            // RFC 9110, 9.3.7: of the server itself, which no resource speaks for.
            _ if exchange.head.is_of_server() => Ok(Response::new(Status::NO_CONTENT).into_reply()),
            true => self.0.render(&request),
            false => request.render_by(&self.0),
        });
        request.settle(outcome.unwrap_or_else(Err));
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("connections", &self.connections()).finish_non_exhaustive()
    }
}
