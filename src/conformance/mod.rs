//! One battery of checks for every transport: what a connection promises, whatever carries it.
//!
//! A [`Harness`] is a way to connect two ends. [`run`] has every check of [`CHECKS`] play on it, each
//! on a reactor of its own and in one of three faces, protocols, awaited protocols and streams: echoes
//! in every cut, much data both ways, half-close, back-pressure, pausing, losing, aborting, failing, and that each connection is lost
//! exactly once. Whoever makes a transport of his own holds it to the same.
//!
//! ```
//! use ropewalk::conformance::{self, Endpoints};
//! use ropewalk::ClientEndpoint;
//!
//! let server = "tcp:0:interface=127.0.0.1".parse()?;
//! let tcp = Endpoints::new(server, |host| ClientEndpoint::from(host));
//! conformance::run(&tcp)?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```

// # Invariants
// * A check never waits for a time: it waits for what it expects, and fails after a minute.
// * A check that fails says its name and what it saw instead.
//
// # Not here
// What only some transports have: descriptors, certificates.

mod callbacks;
mod recorder;
mod streams;

use crate::address::Address;
use crate::awaited::Awaited;
use crate::deferred::{Deferred, Trigger, fail, maybe_deferred};
use crate::endpoint::{ClientEndpoint, ServerEndpoint};
use crate::failure::{Failure, Result};
use crate::ported::connect_protocol;
use crate::protocol::{Factory, Protocol};
use crate::reactor::Reactor;
use crate::stream::Stream;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

/// A way to connect two ends, for the checks to play on.
///
/// ```
/// use ropewalk::conformance::{self, Harness};
/// use ropewalk::{Deferred, Protocol, Reactor, Stream, fail, succeed};
/// use std::io::pipe;
///
/// /// Two pipes, one each way.
/// struct Pipes;
/// impl Harness for Pipes {
///     fn protocols(
///         &self,
///         reactor: &Reactor,
///         server: Box<dyn Protocol>,
///         client: Box<dyn Protocol>,
///     ) -> Deferred<()> {
///         let connect = || {
///             let ((there, from), (back, to)) = (pipe()?, pipe()?);
///             reactor.connect_pipes(there, to, server)?;
///             reactor.connect_pipes(back, from, client)?;
///             Ok(())
///         };
///         connect().map_or_else(|failure: ropewalk::Failure| fail(failure), succeed)
///     }
///     fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
///         let open = || {
///             let ((there, from), (back, to)) = (pipe()?, pipe()?);
///             Ok((reactor.open_pipes(there, to)?, reactor.open_pipes(back, from)?))
///         };
///         open().map_or_else(|failure: ropewalk::Failure| fail(failure), succeed)
///     }
///     fn resets(&self) -> bool {
///         false
///     }
/// }
/// conformance::run(&Pipes)?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
pub trait Harness {
    /// The reactor that a check runs on.
    fn reactor(&self) -> Result<Reactor> {
        Reactor::new()
    }

    /// Connects two protocols; fires when that is under way on both sides.
    fn protocols(
        &self,
        reactor: &Reactor,
        server: Box<dyn Protocol>,
        client: Box<dyn Protocol>,
    ) -> Deferred<()>;

    /// Connects two streams, the server's and the client's.
    fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)>;

    /// Whether a peer always sees an aborted connection as lost, not as ended in order.
    fn resets(&self) -> bool {
        true
    }

    /// Runs a check to its end; for grounds whose reactor does not run by itself.
    fn run(&self, reactor: &Reactor, check: Running) -> Result {
        reactor.run_until(check)
    }
}

/// A check under way.
pub type Running = Pin<Box<dyn Future<Output = Result>>>;

/// One promise of every transport, and how it is checked.
#[derive(Clone, Copy)]
pub struct Check {
    name: &'static str,
    face: Face,
    play: fn(Rc<Fixture>) -> Running,
}

#[derive(Clone, Copy, Debug)]
enum Face {
    Pushed,
    Pulled,
    Awaited,
}

impl Check {
    /// What is promised.
    ///
    /// ```
    /// assert!(ropewalk::conformance::CHECKS.iter().any(|check| check.name().contains("half")));
    /// ```
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Holds a ground to this promise alone.
    pub fn run(&self, ground: &dyn Harness) -> Result {
        // It is fired when it is there; a panic is a failure of this check alone.
        let told = maybe_deferred(|| self.play_on(ground)).now_or_never().unwrap_or(Ok(()));
        told.map_err(|failure| {
            let place = failure.location().map_or_else(String::new, |it| format!(" (at {it})"));
            let text = format!("{}: {failure}{place}", self.name);
            Failure::msg(text)
        })
    }

    fn play_on(&self, ground: &dyn Harness) -> Result {
        let reactor = ground.reactor()?;
        let (server, client) = (recorder::Log::new(), recorder::Log::new());
        let pair = match self.face {
            Face::Pulled => Pair::Streams(ground.streams(&reactor)),
            Face::Pushed => {
                let (for_server, for_client) = (server.recorder(), client.recorder());
                let (for_server, for_client) = (Box::new(for_server), Box::new(for_client));
                Pair::Protocols(ground.protocols(&reactor, for_server, for_client))
            }
            Face::Awaited => {
                let for_server = Box::new(Awaited::new(server.recorder()).reads_while_full());
                let for_client = Box::new(Awaited::new(client.recorder()).reads_while_full());
                Pair::Protocols(ground.protocols(&reactor, for_server, for_client))
            }
        };
        let scene = Rc::new(Fixture {
            pair: Cell::new(Some(pair)),
            resets: ground.resets(),
            reactor: reactor.clone(),
            server,
            client,
        });
        let playing = (self.play)(scene);
        let limit = reactor.sleep(LIMIT);
        let in_time = async move {
            match select(playing, pin!(limit)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Err(Failure::msg("it did not come to its end")),
            }
        };
        ground.run(&reactor, Box::pin(in_time))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

const LIMIT: Duration = Duration::from_secs(60);

/// What a check has.
struct Fixture {
    /// The two ends, while they are being connected.
    pair: Cell<Option<Pair>>,
    resets: bool,
    reactor: Reactor,
    server: recorder::Log,
    client: recorder::Log,
}

enum Pair {
    Protocols(Deferred<()>),
    Streams(Deferred<(Stream, Stream)>),
}

macro_rules! callbacks {
    ($name:literal, $play:ident) => {
        Check { name: $name, face: Face::Pushed, play: |scene| Box::pin(callbacks::$play(scene)) }
    };
}

macro_rules! awaited {
    ($name:literal, $play:ident) => {
        Check { name: $name, face: Face::Awaited, play: |scene| Box::pin(callbacks::$play(scene)) }
    };
}

macro_rules! streams {
    ($name:literal, $play:ident) => {
        Check { name: $name, face: Face::Pulled, play: |scene| Box::pin(streams::$play(scene)) }
    };
}

/// Every promise.
pub const CHECKS: &[Check] = &[
    callbacks!("protocols echo in every split", echo),
    callbacks!("protocols move much both ways", much),
    callbacks!("protocols half-close", half_close),
    callbacks!("a full transport says so, and again", pressure),
    callbacks!("a paused protocol gets nothing", pause),
    callbacks!("lose_connection sends what was written", lose),
    callbacks!("abort_connection ends both at once", abort),
    callbacks!("an error ends its own connection", error),
    callbacks!("drained and addresses are told", told),
    awaited!("awaited protocols echo in every split", echo),
    awaited!("awaited protocols move much both ways", much),
    awaited!("awaited protocols half-close", half_close),
    awaited!("a paused protocol awaits nothing", pause),
    awaited!("lose_connection sends what a handler wrote", lose),
    awaited!("abort_connection ends both handlers", abort),
    awaited!("an error of a handler ends its own connection", error),
    awaited!("drained and addresses are told to handlers", told),
    streams!("streams echo in every split", echo),
    streams!("streams move much both ways", much),
    streams!("streams half-close", half_close),
    streams!("a full stream waits", pressure),
    streams!("a dropped stream sends what was written", lose),
    streams!("an aborted stream ends both", abort),
];

/// Holds a ground to every promise; the error names all those that it broke.
pub fn run(ground: &dyn Harness) -> Result {
    let broken: Vec<_> = CHECKS.iter().filter_map(|check| check.run(ground).err()).collect();
    if broken.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = broken.iter().map(Failure::to_string).collect();
    Err(Failure::msg(format!("{} promises broken:\n  {}", lines.len(), lines.join("\n  "))))
}

/// The ground of two endpoints.
pub struct Endpoints<C> {
    server: ServerEndpoint,
    client: C,
    resets: bool,
}

impl<C: Fn(&Address) -> ClientEndpoint> Endpoints<C> {
    /// A server, and what connects to the address that it got.
    pub fn new(server: ServerEndpoint, client: C) -> Endpoints<C> {
        Endpoints { server, client, resets: true }
    }

    /// Where a peer need not see that a connection was aborted, as over Unix sockets.
    #[must_use]
    pub fn without_resets(mut self) -> Endpoints<C> {
        self.resets = false;
        self
    }
}

impl<C: Fn(&Address) -> ClientEndpoint> Harness for Endpoints<C> {
    fn protocols(
        &self,
        reactor: &Reactor,
        server: Box<dyn Protocol>,
        client: Box<dyn Protocol>,
    ) -> Deferred<()> {
        let (trigger, accepted) = Deferred::new();
        let port = match reactor.listen(&self.server, One { protocol: Some(server), trigger }) {
            Ok(port) => port,
            Err(failure) => return fail(failure),
        };
        let connecting = connect_protocol(reactor, (self.client)(&port.host()), client);
        reactor.spawn(async move {
            connecting.await?;
            // A port that closes resets what it has not accepted.
            accepted.await?;
            port.stop_listening().await
        })
    }

    fn resets(&self) -> bool {
        self.resets
    }

    fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
        let (trigger, served) = Deferred::new();
        let give = async move |stream| Ok(trigger.callback(stream)?);
        let port = match reactor.serve(&self.server, give) {
            Ok(port) => port,
            Err(failure) => return fail(failure),
        };
        let opening = reactor.open((self.client)(&port.host()));
        reactor.spawn(async move {
            let client = opening.await?;
            let server = served.await?;
            port.stop_listening().await?;
            Ok((server, client))
        })
    }
}

impl<C> fmt::Debug for Endpoints<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoints").field("server", &self.server).finish_non_exhaustive()
    }
}

struct One {
    protocol: Option<Box<dyn Protocol>>,
    trigger: Trigger<()>,
}

impl Factory for One {
    type Protocol = Box<dyn Protocol>;

    fn build_protocol(&mut self, _: &Address) -> Option<Box<dyn Protocol>> {
        // A second connection gets none.
        let _ = self.trigger.callback(());
        self.protocol.take()
    }
}

/// A promise within a check.
#[track_caller]
fn expect(holds: bool, or_else: impl FnOnce() -> String) -> Result {
    if holds { Ok(()) } else { Err(Failure::msg(or_else())) }
}

/// Bytes that do not repeat soon.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}
