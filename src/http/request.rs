// The handle by which handlers speak of a request: what it asks.
//
// What is said in answer stands in `answering.rs`. A handle is two pointers, to the exchange and to the
// channel that carries it; neither keeps the other alive, but for the time of the exchange.

use super::body::Body;
use super::forwarded;
use super::h1::RequestHead;
use super::headers::Headers;
use super::method::Method;
use super::names::Names;
use super::reply::{Error, IntoReply, Reply};
use super::resource::Resource;
use super::server::channel::Channel;
use super::server::exchange::Exchange;
use super::status::Status;
use super::syntax::split_port;
use super::target::{InvalidEscape, Target, percent_decode};
use super::version::Version;
use crate::address::Address;
use crate::failure::Result;
use crate::reactor::Reactor;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::panic::Location;
use std::rc::Rc;

/// A request that is being answered; clones speak of the same one.
///
/// A handler is given it when the head is there, and the body may still be on its way. It answers by what
/// it returns, or by the methods of [the pushing face](Request#answering), now or later, by a clone that it
/// keeps. If the last clone is dropped and there was no answer, the answer is 500, and a report names
/// the handler.
///
/// ```
/// use ropewalk::http::{Request, leaf};
/// use std::time::Duration;
///
/// let greeting = leaf(|request: &Request| Ok(format!("hello, {}", request.peer())));
/// let later = leaf(|request: &Request| {
///     let request_later = request.clone();
///     request.reactor().call_later(Duration::from_secs(1), move || request_later.respond("at last"));
///     Ok(())
/// });
/// # let _ = (greeting, later);
/// ```
#[doc(alias = "IRequest")]
pub struct Request {
    pub(super) channel: Rc<Channel>,
    pub(super) exchange: Rc<Exchange>,
}

/// # What is asked
impl Request {
    pub(super) fn new(channel: Rc<Channel>, exchange: Rc<Exchange>) -> Request {
        exchange.add_handle();
        Request { channel, exchange }
    }

    /// What is to be done.
    pub fn method(&self) -> Method {
        self.head().method()
    }

    /// With what, as it was sent.
    #[doc(alias = "uri")]
    pub fn target(&self) -> Target<'_> {
        self.head().target()
    }

    /// The path, not decoded.
    pub fn path(&self) -> &str {
        self.target().path()
    }

    /// The segment of the path with that number, decoded; `None` if there are fewer, or if it has an
    /// escape that is none.
    ///
    /// ```
    /// use ropewalk::http::{Error, Request, Status, leaf};
    ///
    /// let note = leaf(|request: &Request| {
    ///     let Some(name) = request.segment(1) else { return Err(Error::from(Status::NOT_FOUND).into()) };
    ///     Ok(format!("the note {name}"))
    /// });
    /// # let _ = note;
    /// ```
    pub fn segment(&self, number: usize) -> Option<Cow<'_, str>> {
        self.target().segments().nth(number)?.ok()
    }

    /// What no resource on the way has followed: the path behind the place of the one that is asked, not
    /// decoded and without a slash before it.
    #[doc(alias = "postpath")]
    pub fn rest(&self) -> &str {
        self.path().get(self.exchange.rest.get()..).unwrap_or_default()
    }

    /// The first value of a name in the query; `None` if there is none, or if it cannot be decoded.
    #[doc(alias = "args")]
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut pairs = self.target().pairs().filter_map(Result::ok);
        pairs.find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// What a name in the pattern of the [route](super::Routes) stands for, decoded; a rest as it is.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        let matched = self.context::<Matched>()?;
        let (number, is_rest) = matched.names.find(name)?;
        let mut rest = self.path().get(matched.base..)?;
        for _ in 0..number {
            rest = rest.split_once('/')?.1;
        }
        if is_rest {
            return Some(Cow::Borrowed(rest));
        }
        percent_decode(rest.split('/').next().unwrap_or_default()).ok()
    }

    /// The host that was asked for, with its port if one was named: that of the target, else of `Host`.
    #[doc(alias = "getRequestHostname")]
    pub fn authority(&self) -> Option<&str> {
        self.target().authority().or_else(|| self.header("host"))
    }

    /// The name in it, without the port.
    pub fn host_name(&self) -> Option<&str> {
        let authority = self.authority()?;
        let (name, _) = split_port(authority.as_bytes());
        authority.get(..name.len())
    }

    /// Who asked: the peer, or whom the [trusted](super::Site::trusting) proxies say it is, by `Forwarded` or
    /// `X-Forwarded-For`. `None` for a Unix socket, unless a proxy says more.
    pub fn client(&self) -> Option<IpAddr> {
        self.forwarded().client.or_else(|| self.peer().ip())
    }

    /// `http` or `https`, as the client spoke it: to this server, or to the first trusted proxy.
    pub fn scheme(&self) -> Cow<'static, str> {
        match self.forwarded().scheme {
            Some(scheme) => Cow::Owned(scheme),
            None => Cow::Borrowed(if self.is_secure() { "https" } else { "http" }),
        }
    }

    /// The host that the client asked for, as the trusted proxies say; else [`authority`](Request::authority).
    pub fn client_authority(&self) -> Option<Cow<'_, str>> {
        match self.forwarded().host {
            Some(host) => Some(Cow::Owned(host)),
            None => self.authority().map(Cow::Borrowed),
        }
    }

    fn forwarded(&self) -> forwarded::Said {
        let trusted = self.channel.trusted();
        match trusted.is_empty() {
            true => forwarded::Said::default(),
            false => forwarded::read(self.peer().ip(), self.headers(), &trusted),
        }
    }

    /// A name for this request in logs: that which a [trusted](super::Site::trusting) proxy gave it
    /// (`X-Request-Id`), or one that is drawn when it is first asked for.
    ///
    /// ```
    /// use ropewalk::http::{Request, leaf};
    ///
    /// let told = leaf(|request: &Request| {
    ///     request.set_header("X-Request-Id", &*request.id())?;
    ///     Ok("look it up")
    /// });
    /// # let _ = told;
    /// ```
    pub fn id(&self) -> Rc<str> {
        if let Some(id) = self.context::<Id>() {
            return id.0.clone();
        }
        let is_trusted = self
            .peer()
            .ip()
            .is_some_and(|ip| self.channel.trusted().iter().any(|range| range.contains(ip)));
        let given = self.header("x-request-id").filter(|id| is_trusted && is_id(id));
        let id: Rc<str> = match given {
            Some(id) => id.into(),
            None => {
                let bits = self.reactor().random_bytes();
                format!("{:032x}", u128::from_be_bytes(bits)).into()
            }
        };
        self.set_context(Id(id.clone()));
        id
    }

    /// Names and values of the query, in order.
    pub fn pairs(
        &self,
    ) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), InvalidEscape>> {
        self.target().pairs()
    }

    /// The version that the peer speaks.
    #[doc(alias = "clientproto")]
    pub fn version(&self) -> Version {
        self.head().version()
    }

    /// The fields of the head.
    #[doc(alias = "requestHeaders")]
    pub fn headers(&self) -> &Headers {
        self.head().headers()
    }

    /// The first value of a field, if it is UTF-8.
    #[doc(alias = "getHeader")]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().text(name)
    }

    /// The value of the first cookie of a name, as it was sent.
    ///
    /// ```
    /// use ropewalk::http::{Cookie, Request, Response, leaf};
    ///
    /// let visits = leaf(|request: &Request| {
    ///     let before = request.cookie("visits").and_then(|it| it.parse().ok()).unwrap_or(0);
    ///     let cookie = Cookie::new("visits", format!("{}", before + 1))?;
    ///     Ok(Response::from(format!("visit {}", before + 1)).append_header("Set-Cookie", cookie.to_string())?)
    /// });
    /// # let _ = visits;
    /// ```
    #[doc(alias = "getCookie")]
    #[doc(alias = "received_cookies")]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let fields = self.headers().all("cookie").filter_map(|value| str::from_utf8(value).ok());
        let mut cookies = fields.flat_map(super::cookie::read);
        cookies.find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Whether the peer asks for another protocol; its names are in the field `Upgrade`.
    pub fn asks_for_upgrade(&self) -> bool {
        self.head().asks_for_upgrade()
    }

    /// The body, on its way. A peer that waits to be asked for it is asked now.
    #[doc(alias = "content")]
    pub fn body(&self) -> Body {
        self.channel.touch_body(&self.exchange);
        Body::new(self.channel.clone(), self.exchange.clone())
    }

    /// The other end's address. What a proxy before this server says of it is not looked at.
    #[doc(alias = "getClientAddress")]
    pub fn peer(&self) -> Address {
        self.channel.transport().peer()
    }

    /// This end's address.
    #[doc(alias = "getHost")]
    pub fn host(&self) -> Address {
        self.channel.transport().host()
    }

    /// Whether it came over TLS.
    #[doc(alias = "isSecure")]
    pub fn is_secure(&self) -> bool {
        #[cfg(feature = "tls")]
        return crate::tls::session(self.channel.transport()).is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// The reactor that it is answered on.
    pub fn reactor(&self) -> Reactor {
        self.channel.reactor()
    }

    /// What was kept with this request by its type: for who looks at it before the handler does.
    ///
    /// ```
    /// use ropewalk::http::{Reply, Request, Resource, leaf};
    /// use ropewalk::Result;
    ///
    /// struct User(String);
    /// struct Known<R>(R);
    /// impl<R: Resource> Resource for Known<R> {
    ///     fn is_leaf(&self) -> bool {
    ///         true
    ///     }
    ///     fn render(&self, request: &Request) -> Result<Reply> {
    ///         request.set_context(User("somebody".into()));
    ///         self.0.render(request)
    ///     }
    /// }
    /// let greeting = Known(leaf(|request: &Request| {
    ///     Ok(request.context::<User>().map(|user| format!("hello, {}", user.0)))
    /// }));
    /// # let _ = greeting;
    /// ```
    pub fn context<T: 'static>(&self) -> Option<Rc<T>> {
        self.exchange.context()
    }

    /// Keeps a value with this request, in the place of another of its type.
    pub fn set_context<T: 'static>(&self, value: T) {
        self.exchange.set_context(value);
    }

    /// Has another resource answer, which follows the rest of the path: for a resource around others, as
    /// one that asks who it is first.
    ///
    /// ```
    /// use ropewalk::http::{Files, Reply, Request, Resource, Status, IntoReply};
    /// use ropewalk::Result;
    /// use std::rc::Rc;
    ///
    /// struct FromHere(Rc<dyn Resource>);
    /// impl Resource for FromHere {
    ///     fn is_leaf(&self) -> bool {
    ///         true // so that it is asked itself, whatever the path
    ///     }
    ///     fn render(&self, request: &Request) -> Result<Reply> {
    ///         match request.peer().ip().is_some_and(|ip| ip.is_loopback()) {
    ///             true => request.render_by(&self.0),
    ///             false => Ok(Status::FORBIDDEN.into_reply()),
    ///         }
    ///     }
    /// }
    /// let files = FromHere(Rc::new(Files::new("src")?));
    /// # let _ = files;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "getChildForRequest")]
    pub fn render_by(&self, resource: &Rc<dyn Resource>) -> Result<Reply> {
        let path = self.path();
        let mut resource = resource.clone();
        let mut rest = self.exchange.rest.get();
        while rest <= path.len() && !resource.is_leaf() {
            let raw = path[rest..].split('/').next().unwrap_or_default();
            let segment = percent_decode(raw)
                .map_err(|error| Error::new(Status::BAD_REQUEST, error.to_string()))?;
            rest += raw.len() + 1;
            self.follow(rest);
            let Some(child) = resource.child(&segment, self) else {
                return Ok(Status::NOT_FOUND.into_reply());
            };
            resource = child;
        }
        resource.render(self)
    }

    pub(super) fn head(&self) -> &RequestHead {
        &self.exchange.head
    }

    /// Notes the line that made the handler, for what is reported of it.
    pub(super) fn set_place(&self, place: &'static Location<'static>) {
        self.exchange.place.set(Some(place));
    }

    /// Notes the names in the pattern of its route, and where that begins in the path.
    pub(super) fn set_names(&self, names: Rc<Names>, base: usize) {
        self.set_context(Matched { names, base });
    }

    /// Follows a segment: what is behind it is the rest.
    pub(super) fn follow(&self, rest: usize) {
        self.exchange.rest.set(rest);
    }
}

/// The names in the pattern of a route, and where that begins in the path.
struct Matched {
    names: Rc<Names>,
    base: usize,
}

/// The name of a request.
struct Id(Rc<str>);

/// What may stand in a log as it is.
fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.:+/=@".contains(&it))
}

impl Clone for Request {
    fn clone(&self) -> Request {
        Request::new(self.channel.clone(), self.exchange.clone())
    }
}

impl Drop for Request {
    #[inline]
    fn drop(&mut self) {
        if self.exchange.remove_handle() && self.exchange.is_open() {
            self.channel.forgotten(&self.exchange);
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("target", &self.target().as_str())
            .field("headers", self.headers())
            .finish_non_exhaustive()
    }
}
