// A site: what answers, and what all its connections share.
//
// # Invariants
// * Nothing is borrowed while a resource or a hook of the user's is called.
// * What is lent for a moment, buffers and exchanges, is empty when it comes back.

use super::channel::Channel;
use super::exchange::{Exchange, Stage};
use super::log::{Outcome, Record};
use super::protocol::HttpProtocol;
use crate::address::Address;
use crate::deferred::{Deferred, Trigger};
use crate::failure::Result;
use crate::http::h1::{Refusal, RequestHead};
use crate::http::headers::Headers;
use crate::http::limits::Limits;
use crate::http::reply::{Error, IntoReply, Reply};
use crate::http::request::Request;
use crate::http::resource::{Handler, Resource, leaf};
use crate::http::status::Status;
use crate::protocol::Factory;
use crate::reactor::Reactor;
use crate::{Port, ServerEndpoint};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant, UNIX_EPOCH};

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
    pub(super) shared: Rc<Shared>,
}

/// What a site's connections share.
pub(crate) struct Shared {
    root: Rc<dyn Resource>,
    /// Borrowed to clone or replace it.
    limits: RefCell<Rc<Limits>>,
    /// Likewise.
    hook: RefCell<Option<Hook>>,
    pub(super) is_strict: Cell<bool>,
    is_draining: Cell<bool>,
    /// Borrowed to add, remove or copy.
    channels: RefCell<Vec<Weak<Channel>>>,
    /// Whoever waits for the last one to go.
    drained: RefCell<Vec<Trigger<()>>>,
    /// How many protocols were built and are there.
    count: Cell<usize>,
    /// The Date of a second, as a line, and until when it is right.
    date: Cell<(DateLine, Option<Instant>)>,
    /// Memory of what is said.
    out: Cell<Vec<u8>>,
    /// Memory of heads.
    heads: Cell<Headers>,
    exchanges: RefCell<Vec<Rc<Exchange>>>,
}

type Hook = Rc<dyn Fn(&Record<'_>)>;
type DateLine = [u8; 37];

/// So many exchanges are kept to be used again.
const EXCHANGES: usize = 16;
/// No more memory is kept for what is said.
const KEPT: usize = 256 << 10;

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
        let shared = Shared {
            root: Rc::new(root),
            limits: RefCell::default(),
            hook: RefCell::default(),
            is_strict: Cell::new(false),
            is_draining: Cell::new(false),
            channels: RefCell::default(),
            drained: RefCell::default(),
            count: Cell::new(0),
            date: Cell::new(([b' '; 37], None)),
            out: Cell::default(),
            heads: Cell::default(),
            exchanges: RefCell::default(),
        };
        Site { shared: Rc::new(shared) }
    }

    /// A site that a handler answers for alone.
    #[track_caller]
    pub fn of<Face>(handler: impl Handler<Face>) -> Site {
        Site::new(leaf(handler))
    }

    /// With other limits, for connections from now on.
    #[must_use]
    pub fn limits(self, limits: impl Into<Rc<Limits>>) -> Site {
        self.shared.limits.replace(limits.into());
        self
    }

    /// Refuses requests whose Host and target name different hosts; see
    /// [`Machine::strict_authority`](crate::http::h1::Machine::strict_authority).
    #[must_use]
    pub fn strict_authority(self) -> Site {
        self.shared.is_strict.set(true);
        self
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
        let former = self.shared.hook.replace(Some(Rc::new(hook)));
        drop(former);
        self
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.shared.count.get()
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
    /// simulation.host("client").reactor().open("server:80");
    /// simulation.run_for(Duration::from_secs(1))?;
    /// assert_eq!(site.connections(), 1);
    /// port.stop_listening();
    /// simulation.run_until(site.drain(&host.reactor(), Duration::from_secs(30)))?;
    /// assert_eq!(site.connections(), 0);
    /// # }
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    pub fn drain(&self, reactor: &Reactor, limit: Duration) -> Deferred<()> {
        self.shared.is_draining.set(true);
        let (trigger, deferred) = Deferred::new();
        self.shared.drained.borrow_mut().push(trigger);
        self.shared.living().iter().for_each(|channel| channel.drain_all());
        let shared = self.shared.clone();
        let abort = reactor.call_later(limit, move || {
            shared.living().iter().for_each(|channel| channel.transport.abort_connection());
        });
        self.shared.tell_drained();
        deferred.map(move |()| {
            // It may have been made.
            let _ = abort.cancel();
        })
    }
}

impl Factory for Site {
    type Protocol = HttpProtocol;

    fn build_protocol(&mut self, _: &Address) -> Option<HttpProtocol> {
        if self.shared.count.get() >= self.shared.limits().connections {
            return None;
        }
        self.shared.count.set(self.shared.count.get() + 1);
        Some(HttpProtocol::new(self.shared.clone()))
    }
}

impl Shared {
    pub(super) fn limits(&self) -> Rc<Limits> {
        self.limits.borrow().clone()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    // ---- connections ----

    pub(super) fn add(&self, channel: &Rc<Channel>) {
        let mut channels = self.channels.borrow_mut();
        channel.place.set(channels.len());
        channels.push(Rc::downgrade(channel));
    }

    pub(super) fn remove(&self, channel: &Rc<Channel>) {
        let place = channel.place.get();
        let moved = {
            let mut channels = self.channels.borrow_mut();
            channels.swap_remove(place);
            channels.get(place).and_then(Weak::upgrade)
        };
        if let Some(moved) = moved {
            moved.place.set(place);
        }
    }

    /// A protocol is gone.
    pub(super) fn leave(&self) {
        self.count.set(self.count.get() - 1);
        self.tell_drained();
    }

    fn living(&self) -> Vec<Rc<Channel>> {
        self.channels.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    fn tell_drained(&self) {
        if self.count.get() > 0 || !self.is_draining.get() {
            return;
        }
        for trigger in self.drained.take() {
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.callback(());
        }
    }

    // ---- requests ----

    /// Finds the resource of a path, and has it answer.
    #[inline]
    pub(super) fn render(&self, request: &Request) -> Result<Reply> {
        if self.root.is_leaf() {
            request.follow(1);
            return self.root.render(request);
        }
        render_below(&self.root, request)
    }

    /// Tells the hook of an exchange that is over.
    #[inline]
    pub(super) fn record(&self, channel: &Channel, exchange: Option<&Exchange>, outcome: Outcome) {
        let hook = self.hook.borrow().clone();
        if let Some(hook) = hook {
            hook(&Record { channel, exchange, outcome });
        }
    }

    /// Answers what is refused.
    pub(super) fn refuse(&self, channel: &Channel, refusal: &Refusal) {
        let date = self.date(channel);
        let mut fields = Headers::new();
        let date = str::from_utf8(&date[6..35]).unwrap_or_default();
        // Digits and letters are a value.
        let _ = fields.append("date", date);
        channel.is_refused.set(true);
        let is_answered = channel.say(|machine, out| machine.refuse(refusal, &fields, out));
        if !is_answered && channel.stage_of_current() == Some(Stage::Sending) {
            channel.transport.abort_connection();
        }
    }

    // ---- what is lent ----

    /// Memory for what is said, and for a head.
    #[inline]
    pub(super) fn lend(&self) -> (Vec<u8>, Headers) {
        (self.out.take(), self.heads.take())
    }

    #[inline]
    pub(super) fn lend_out(&self) -> Vec<u8> {
        self.out.take()
    }

    #[inline]
    pub(super) fn take_out_back(&self, out: Vec<u8>) {
        if out.capacity() <= KEPT {
            self.out.set(out);
        }
    }

    #[inline]
    pub(super) fn take_back(&self, out: Vec<u8>, head: Headers) {
        self.take_out_back(out);
        self.heads.set(head);
    }

    #[inline]
    pub(super) fn exchange(&self, head: RequestHead, now: Instant) -> Rc<Exchange> {
        let spare = self.exchanges.borrow_mut().pop();
        if let Some(mut exchange) = spare
            && let Some(own) = Rc::get_mut(&mut exchange)
        {
            own.renew(head, now);
            return exchange;
        }
        Rc::new(Exchange::new(head, now))
    }

    /// Keeps the memory of an exchange that nobody else has; gives that of its head.
    #[inline]
    pub(super) fn put_back(&self, mut exchange: Rc<Exchange>) -> Option<Headers> {
        let memory = Rc::get_mut(&mut exchange)?.clear();
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() < EXCHANGES {
            exchanges.push(exchange);
        }
        Some(memory)
    }

    /// The Date line of this second.
    #[inline]
    pub(super) fn date(&self, channel: &Channel) -> DateLine {
        let (line, until) = self.date.get();
        let now = channel.now();
        match until {
            Some(until) if now < until => line,
            _ => self.renew_date(channel, now),
        }
    }

    #[cold]
    fn renew_date(&self, channel: &Channel, now: Instant) -> DateLine {
        let time = channel.reactor().system_time();
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = [b' '; 37];
        line[..6].copy_from_slice(b"date: ");
        let text = httpdate::fmt_http_date(time);
        line[6..35].copy_from_slice(&text.as_bytes()[..29]);
        line[35..].copy_from_slice(b"\r\n");
        let rest = Duration::from_nanos(1_000_000_000 - u64::from(since.subsec_nanos()));
        self.date.set((line, now.checked_add(rest)));
        line
    }
}

/// Follows the path from a resource, segment by segment.
fn render_below(root: &Rc<dyn Resource>, request: &Request) -> Result<Reply> {
    let path = request.path();
    let mut resource = root.clone();
    let mut rest = usize::from(path.starts_with('/'));
    while rest <= path.len() && !resource.is_leaf() {
        let raw = path[rest..].split('/').next().unwrap_or_default();
        let segment = crate::http::target::percent_decode(raw)
            .map_err(|error| Error::new(Status::BAD_REQUEST, error.to_string()))?;
        rest += raw.len() + 1;
        request.follow(rest);
        let Some(child) = resource.child(&segment, request) else {
            return Ok(Status::NOT_FOUND.into_reply());
        };
        resource = child;
    }
    resource.render(request)
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("connections", &self.connections()).finish_non_exhaustive()
    }
}
