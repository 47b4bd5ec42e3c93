//! Looking up the addresses of a host, for whoever connects by other means.

use crate::deferred::Deferred;
use crate::failure::Failure;
use crate::net::connect::naming::{ascii_name, literal};
use crate::reactor::{Loop, Reactor};
use futures_util::FutureExt;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

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

/// The addresses of a literal, or of a name.
pub(super) async fn find(inner: &Rc<Loop>, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match literal(&*inner.driver, host, port) {
        Some(address) => Ok(vec![address?]),
        None => resolve(inner, &ascii_name(host)?, port).await,
    }
}

/// As `find`, for whoever listens: of a name, what is known at once, because a port is open or is not when
/// the call for it returns, and nothing but the loop's own wait may block.
pub(crate) fn find_now(inner: &Rc<Loop>, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the host is missing"));
    }
    let takes_time = || {
        let why = format!(
            "the addresses of {host} are not known at once: look them up with Reactor::resolve, and \
             listen at one of them"
        );
        Err(io::Error::new(io::ErrorKind::WouldBlock, why))
    };
    find(inner, host, port).now_or_never().unwrap_or_else(takes_time)
}

async fn resolve(inner: &Rc<Loop>, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = match inner.resolver() {
        Some(resolver) => resolver.resolve(host, port).await.map_err(io_error),
        None => ask_driver(inner, host, port).await,
    };
    let why = |cause: String| {
        io::Error::new(io::ErrorKind::NotFound, format!("the name {host} has no address: {cause}"))
    };
    match found {
        Ok(found) if found.is_empty() => Err(why("the answer is empty".into())),
        found => found.map_err(|error| why(error.to_string())),
    }
}

fn io_error(failure: Failure) -> io::Error {
    io::Error::other(failure.to_string())
}

async fn ask_driver(inner: &Rc<Loop>, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let answer = Arc::new(Mutex::new(Lookup { answer: None, waker: None }));
    let desk = answer.clone();
    inner.driver.resolve(host, port, Box::new(move |answer| Lookup::fill(&desk, answer)));
    std::future::poll_fn(|context| Lookup::poll(&answer, context)).await
}

/// Where a resolver, in whatever thread, leaves its answer.
struct Lookup {
    answer: Option<io::Result<Vec<SocketAddr>>>,
    waker: Option<Waker>,
}

impl Lookup {
    fn fill(desk: &Mutex<Lookup>, answer: io::Result<Vec<SocketAddr>>) {
        let mut lookup = desk.lock().unwrap_or_else(PoisonError::into_inner);
        lookup.answer = Some(answer);
        let waker = lookup.waker.take();
        drop(lookup);
        waker.into_iter().for_each(Waker::wake);
    }

    fn poll(desk: &Mutex<Lookup>, context: &mut Context<'_>) -> Poll<io::Result<Vec<SocketAddr>>> {
        let mut lookup = desk.lock().unwrap_or_else(PoisonError::into_inner);
        match lookup.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                lookup.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
