//! Making a connection: names to addresses, a race of the addresses, all within a time limit.
//!
//! It is written as an `async fn` and run as a task; its Deferred gives a connection without a
//! face. Cancelling drops the task, and with it the socket that is being connected.

pub(crate) mod lookup;
pub(crate) mod naming;
mod racing;

use crate::address::{Address, UnixName};
use crate::deferred::Deferred;
use crate::driver::{ByteStream, Driver, Key, Readiness};
use crate::failure::{Failure, Place, Result};
use crate::net::connect::lookup::find;
use crate::net::connect::naming::literal;
use crate::net::connect::racing::{Causes, race};
use crate::net::connection::Connection;
use crate::net::connection::layer::{Layer, LayerRef};
use crate::reactor::{Loop, Reactor, Source};
use crate::transport::{ConnectionAborted, ConnectionLost};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Where to connect to, and how.
#[derive(Clone, Debug)]
pub(crate) struct ConnectTo {
    target: Target,
    timeout: Duration,
    attempt_delay: Duration,
    bind: Option<Local>,
    /// The outermost first.
    layers: Vec<LayerRef>,
}

#[derive(Clone, Debug)]
enum Target {
    /// A host and a port, as it was given.
    Name(String),
    Unix(UnixName),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Local {
    Address(SocketAddr),
    /// An address whose scope is looked at when it is needed.
    Scoped(String),
}

/// Twisted's own limit.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What RFC 8305 recommends, and the least that it allows.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
const LEAST_ATTEMPT_DELAY: Duration = Duration::from_millis(10);
const BACKLOG_PATIENCE: Duration = Duration::from_millis(5);

impl ConnectTo {
    /// A host and a port, as `host:port`; an IPv6 address stands in brackets.
    pub(crate) fn new(target: impl Into<String>) -> ConnectTo {
        ConnectTo::from(Target::Name(target.into()))
    }

    /// A host, without brackets, and a port.
    pub(crate) fn at(host: &str, port: u16) -> ConnectTo {
        ConnectTo::new(match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        })
    }

    pub(crate) fn unix(name: impl Into<UnixName>) -> ConnectTo {
        ConnectTo::from(Target::Unix(name.into()))
    }

    /// Puts a layer on the connection once it is there.
    pub(crate) fn through(mut self, layer: Rc<dyn Layer>) -> ConnectTo {
        self.layers.push(LayerRef(layer));
        self
    }

    /// How long finding the address and connecting may take in all; 30 s unless set.
    pub(crate) fn timeout(mut self, timeout: Duration) -> ConnectTo {
        self.timeout = timeout;
        self
    }

    /// How long an address is tried alone before the next one of the name is tried beside it; 250 ms
    /// unless set, and at least 10 ms.
    pub(crate) fn attempt_delay(mut self, delay: Duration) -> ConnectTo {
        self.attempt_delay = delay.max(LEAST_ATTEMPT_DELAY);
        self
    }

    /// The local address to connect from.
    pub(crate) fn bind(mut self, address: SocketAddr) -> ConnectTo {
        self.bind = Some(Local::Address(address));
        self
    }

    /// The local IP address to connect from, which may name its scope.
    pub(crate) fn bind_ip(mut self, ip: String) -> ConnectTo {
        self.bind = Some(Local::Scoped(ip));
        self
    }

    fn host_and_port(&self) -> io::Result<(&str, u16)> {
        let invalid = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
        let Target::Name(target) = &self.target else { return Err(invalid("it has no host")) };
        let (host, port) = target.rsplit_once(':').ok_or_else(|| invalid("it has no port"))?;
        let port = port.parse().map_err(|_| invalid("its port is no number below 65536"))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        Ok((host, port))
    }

    fn local(&self, driver: &dyn Driver) -> io::Result<Option<SocketAddr>> {
        match &self.bind {
            None => Ok(None),
            Some(Local::Address(address)) => Ok(Some(*address)),
            Some(Local::Scoped(ip)) => match literal(driver, ip, 0) {
                Some(address) => address.map(Some),
                None => Err(io::Error::new(io::ErrorKind::InvalidInput, "it binds to no address")),
            },
        }
    }

    fn cannot(&self, causes: Causes) -> ConnectError {
        ConnectError { target: self.to_string(), causes }
    }
}

impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Name(name) => f.write_str(name),
            Target::Unix(name) => name.fmt(f),
        }
    }
}

impl From<Target> for ConnectTo {
    fn from(target: Target) -> ConnectTo {
        ConnectTo {
            target,
            timeout: TIMEOUT,
            attempt_delay: ATTEMPT_DELAY,
            bind: None,
            layers: Vec::new(),
        }
    }
}

/// No connection could be made.
///
/// ```
/// # #[cfg(feature = "simulation")] {
/// use ropewalk::net::ConnectError;
/// use ropewalk::simulation::Simulation;
/// use std::io::ErrorKind;
///
/// let simulation = Simulation::new(1);
/// simulation.host("server"); // where nobody listens
/// let opening = simulation.host("client").reactor().open("server:80");
/// let failure = simulation.run_until(opening).unwrap_err();
/// assert_eq!(failure.check::<ConnectError>().unwrap().kind(), ErrorKind::ConnectionRefused);
/// # }
/// ```
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    /// What each address answered; without an address, what stood before any attempt.
    causes: Causes,
}

impl ConnectError {
    /// What was wrong before any attempt.
    pub(crate) fn bad(target: &str, why: io::Error) -> ConnectError {
        ConnectError { target: target.to_owned(), causes: vec![(None, why)] }
    }

    /// What kind of error the last attempt ended with: `ConnectionRefused`, `TimedOut`,
    /// `NotFound` for a name that has no address, `InvalidInput` for a bad target, and so on.
    pub fn kind(&self) -> io::ErrorKind {
        self.causes.last().map_or(io::ErrorKind::NotFound, |(_, cause)| cause.kind())
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.target)?;
        for (position, (address, cause)) in self.causes.iter().enumerate() {
            f.write_str(if position == 0 { ": " } else { "; " })?;
            match address {
                Some(address) if address.to_string() != self.target => {
                    write!(f, "{address}: {cause}")?;
                }
                _ => write!(f, "{cause}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

impl Loop {
    /// A connection without a face, and not served yet. Cancelling gives up.
    #[track_caller]
    pub(crate) fn connect(self: &Rc<Self>, to: ConnectTo) -> Deferred<Rc<Connection>> {
        let (inner, here) = (self.clone(), Location::caller());
        self.spawn(async move {
            connect_in_time(&inner, &to).await.map_err(|failure| name_place(failure, here))
        })
    }

    /// A connection with layers on it, the outermost first. Cancelling gives up.
    #[track_caller]
    pub(crate) fn dress(
        self: &Rc<Self>,
        connection: Rc<Connection>,
        layers: Vec<Rc<dyn Layer>>,
    ) -> Deferred<Rc<Connection>> {
        let layers: Vec<_> = layers.into_iter().map(LayerRef).collect();
        let here = Location::caller();
        self.spawn(async move {
            let name = connection.peer.clone();
            let dressed = put_on(connection, &layers, None, &name).await;
            dressed.map_err(|failure| name_place(failure, here))
        })
    }
}

/// Names the line that asked for a connection, where there is none.
fn name_place(failure: Failure, place: Place) -> Failure {
    if failure.is::<ConnectError>() { failure.arose_at(place) } else { failure }
}

async fn connect_in_time(inner: &Rc<Loop>, to: &ConnectTo) -> Result<Rc<Connection>> {
    let limit = Reactor::from(inner.clone()).sleep(to.timeout);
    let causes = RefCell::new(Vec::new());
    match select(pin!(connect(inner, to, &causes)), limit).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            let why = format!("no connection within {:?}", to.timeout);
            let mut causes = causes.take();
            causes.push((None, io::Error::new(io::ErrorKind::TimedOut, why)));
            Err(to.cannot(causes).into())
        }
    }
}

async fn connect(
    inner: &Rc<Loop>,
    to: &ConnectTo,
    causes: &RefCell<Causes>,
) -> Result<Rc<Connection>> {
    let addresses = addresses(inner, to).await.map_err(|cause| to.cannot(vec![(None, cause)]))?;
    let from = to.local(&*inner.driver).map_err(|cause| to.cannot(vec![(None, cause)]))?;
    match race(inner, addresses, from, to.attempt_delay, causes).await {
        Some(connection) => {
            let host = to.host_and_port().ok().map(|(host, _)| host);
            put_on(connection, &to.layers, host, to).await
        }
        None => Err(to.cannot(causes.take()).into()),
    }
}

async fn addresses(inner: &Rc<Loop>, to: &ConnectTo) -> io::Result<Vec<Address>> {
    if let Target::Unix(name) = &to.target {
        return Ok(vec![name.clone().into()]);
    }
    let (host, port) = to.host_and_port()?;
    let found = find(inner, host, port).await?;
    Ok(found.into_iter().map(Address::from).collect())
}

/// Puts the layers on, and waits for the handshake of each.
async fn put_on(
    connection: Rc<Connection>,
    layers: &[LayerRef],
    host: Option<&str>,
    target: &dyn fmt::Display,
) -> Result<Rc<Connection>> {
    let mut shaking = Shaking(Some(connection.clone()));
    let cannot = |cause| ConnectError {
        target: target.to_string(),
        causes: vec![(Some(connection.peer.clone()), cause)],
    };
    for LayerRef(layer) in layers {
        let wrap = layer.prepare(host).map_err(cannot)?;
        if let Err(failure) = connection.dress(wrap, layer.limit()).await {
            return Err(match failure.check::<ConnectionLost>() {
                Some(lost) => cannot(io::Error::new(lost.kind(), lost.cause().to_string())).into(),
                None => failure,
            });
        }
    }
    shaking.0 = None;
    Ok(connection)
}

/// A connection that is given up with its handshake.
struct Shaking(Option<Rc<Connection>>);

impl Drop for Shaking {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            connection.abort(Failure::without_backtrace(ConnectionAborted::new(
                "the handshake was given up",
            )));
        }
    }
}

pub(super) async fn connect_one(
    inner: &Rc<Loop>,
    to: &Address,
    from: Option<SocketAddr>,
) -> io::Result<Rc<Connection>> {
    let from = from.map(Address::from);
    let mut stream = loop {
        match inner.driver.connect(to, from.as_ref()) {
            // A Unix socket with a full backlog: no event tells when there is room.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Reactor::from(inner.clone()).sleep(BACKLOG_PATIENCE).await;
            }
            outcome => break outcome?,
        }
    };
    let attempt = inner.insert_source(|key| {
        Rc::new(Attempt { key, waker: Cell::default(), found: Cell::default() })
    });
    let mut attempting = Attempting { inner: inner.clone(), attempt, stream: None, is_made: false };
    stream.register(attempting.attempt.key)?;
    attempting.stream = Some(stream);
    attempting.await
}

/// The table's side of an attempt: wakes the task that waits for it.
struct Attempt {
    key: Key,
    waker: Cell<Option<Waker>>,
    found: Cell<Found>,
}

#[derive(Clone, Copy, Default)]
struct Found {
    /// What came is left to the connection: the driver does not say it again.
    readiness: Readiness,
    /// The reactor ended.
    is_lost: bool,
}

impl Source for Attempt {
    fn name(&self) -> String {
        "an attempt to connect".to_owned()
    }

    fn ready(self: Rc<Self>, readiness: Readiness, _scratch: &mut [u8]) {
        let found = self.found.get();
        self.found.set(Found { readiness: found.readiness.and(readiness), ..found });
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    fn lose(self: Rc<Self>, _reason: &Failure) {
        // The task is told when the loop next polls it, or is dropped with the loop.
        self.found.set(Found { is_lost: true, ..self.found.get() });
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

/// The task's side of an attempt; dropping it gives the attempt up.
struct Attempting {
    inner: Rc<Loop>,
    attempt: Rc<Attempt>,
    /// Absent while it is not registered yet, and once it has become a connection's or failed.
    stream: Option<Box<dyn ByteStream>>,
    /// The key is a connection's now.
    is_made: bool,
}

impl Future for Attempting {
    type Output = io::Result<Rc<Connection>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.attempt.waker.set(Some(context.waker().clone()));
        let Found { readiness, is_lost } = self.attempt.found.get();
        if is_lost {
            return Poll::Ready(Err(io::Error::other("the reactor was stopped")));
        }
        if readiness == Readiness::NONE {
            return Poll::Pending;
        }
        let Some(mut stream) = self.stream.take() else { return Poll::Pending };
        match stream.finish_connecting().and_then(|()| stream.peer()) {
            Ok(peer) => {
                self.is_made = true;
                Poll::Ready(Ok(Connection::adopt(
                    &self.inner,
                    self.attempt.key,
                    stream.into(),
                    peer,
                    readiness,
                )))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.stream = Some(stream);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Attempting {
    fn drop(&mut self) {
        if !self.is_made {
            self.inner.sources.remove(self.attempt.key);
        }
    }
}
