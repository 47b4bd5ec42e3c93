//! For those who know Twisted: what it is called here, what differs, and three ports.
//!
//! # Names
//!
//! A method has Twisted's name in `snake_case`, and the search box of these pages finds it by the old one.
//!
//! | Twisted | here |
//! |---|---|
//! | `reactor` (a global) | [`Reactor`], a value; `transport.reactor()`, `stream.reactor()`, [`Reactor::current`] inside a turn |
//! | `run stop iterate callLater callWhenRunning` | `run stop turn call_later call_when_running`; [`Reactor::run_until`] a future completes |
//! | `addSystemEventTrigger` | `add_system_event_trigger(Phase, Event, f)`; `on_shutdown(f)` for the common case |
//! | `callFromThread callInThread deferToThread` | [`Remote::call_from_thread`], `call_in_thread`, `defer_to_thread` |
//! | `addReader addWriter`, `IReadDescriptor` | `add_reader add_writer`, [`ReadDescriptor`] with `fileno`, `do_read`, `connection_lost` |
//! | `Deferred()`, `d.callback`, `d.errback` | [`Deferred::new`] gives `(trigger, d)`; `trigger.callback`, `trigger.errback` |
//! | `addCallback addErrback addCallbacks addBoth addTimeout` | `add_callback add_errback add_callbacks add_both add_timeout`, and `map` |
//! | `succeed fail maybeDeferred execute` | `succeed fail maybe_deferred execute` |
//! | `DeferredList gatherResults race FirstError` | [`DeferredList`] `gather_results race FirstError` |
//! | `DeferredLock DeferredSemaphore DeferredQueue` | the same; what you acquire is a [`Permit`] |
//! | `LoopingCall Cooperator deferLater react` | [`LoopingCall`] [`Cooperator`] [`defer_later`] [`react`] |
//! | `inlineCallbacks`, `ensureDeferred` | `async`, [`Reactor::spawn`] |
//! | `connectionMade dataReceived connectionLost` | `connection_made data_received connection_lost`, each with `&Transport` |
//! | `readConnectionLost writeConnectionLost` | `read_closed write_closed` |
//! | `transport.pauseProducing resumeProducing` | `pause_reading resume_reading` |
//! | `getPeer getHost` | `peer host` |
//! | `Factory.buildProtocol startFactory stopFactory` | `Factory::build_protocol started stopped`; a closure is a factory |
//! | `task.Clock` | [`TestClock`] |
//! | `serverFromString clientFromString`, `quoteStringArgument` | `"tcp:8080".parse::<`[`ServerEndpoint`]`>()`, [`ClientEndpoint`]; [`quote`](crate::endpoint::quote) |
//! | `endpoint.listen(factory)`, `endpoint.connect(factory)` | the same with the reactor first; `serve(async fn)`, `open()` |
//! | `HostnameEndpoint`, `connectProtocol` | [`ClientEndpoint`]; [`ported::connect_protocol`] |
//! | `wrapClientTLS wrapServerTLS` | `ClientEndpoint::tls ServerEndpoint::tls` (feature `tls`) |
//! | `optionsForClientTLS`, `CertificateOptions` | `tls::ClientConfig`, `tls::ServerConfig` |
//! | `twistd`, `IServiceMaker`, `twisted.application.runner` | `application::runner` (feature `runner`), with a table of what differs |
//! | `Logger`, `globalLogPublisher`, `LogFile`, `capturedLogs` | [`application::log`] |
//! | `ProcessEndpoint` | `"process:/bin/cat:-u".parse::<ClientEndpoint>()` (feature `process`) |
//!
//! # A chain of callbacks
//!
//! ```python
//! def fetch_length(get_page, url):
//!     d = get_page(url)
//!     d.addCallback(lambda page: int(page.split()[0]))
//!
//!     def no_number(failure):
//!         failure.trap(ValueError)
//!         return 0
//!     d.addErrback(no_number)
//!     return d
//! ```
//!
//! ```
//! use ropewalk::{Deferred, succeed};
//! use std::num::ParseIntError;
//!
//! fn fetch_length(get_page: impl Fn(&str) -> Deferred<String>, url: &str) -> Deferred<u32> {
//!     get_page(url)
//!         .add_callback(|page| Ok(page.split(' ').next().unwrap_or("").parse::<u32>()?))
//!         .add_errback(|failure| {
//!             failure.trap::<ParseIntError>()?; // another failure goes on
//!             Ok(0)
//!         })
//! }
//!
//! fetch_length(|_| succeed("42 bytes".into()), "/").map(|n| assert_eq!(n, 42));
//! fetch_length(|_| succeed("no idea".into()), "/").map(|n| assert_eq!(n, 0));
//! ```
//!
//! What is new: each step gives another Deferred, so a result keeps its type; a step that can fail
//! returns a `Result`, and `?` raises.
//!
//! # A LoopingCall
//!
//! ```python
//! loop = LoopingCall(lambda: print(next(counter)))
//! done = loop.start(1.0)
//! reactor.callLater(3.5, loop.stop)
//! done.addCallback(lambda _: reactor.stop())
//! reactor.run()
//! ```
//!
//! ```
//! use ropewalk::deferred::LoopingCall;
//! use ropewalk::Reactor;
//! use std::time::Duration;
//!
//! let reactor = Reactor::new()?;
//! let mut counter = 0..;
//! let looping = LoopingCall::new(&reactor, move || println!("{:?}", counter.next()));
//! let done = looping.start(Duration::from_millis(10));
//! reactor.call_later(Duration::from_millis(35), move || Ok(looping.stop()?));
//! let stopper = reactor.clone();
//! done.add_callback(move |_looping| stopper.stop());
//! reactor.run()?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # A function of inlineCallbacks
//!
//! ```python
//! @inlineCallbacks
//! def copy(source, target, lock):
//!     yield lock.acquire()
//!     try:
//!         value = yield source.get()
//!         target.put(value)
//!     finally:
//!         lock.release()
//! ```
//!
//! ```
//! use ropewalk::deferred::{DeferredLock, DeferredQueue};
//! use ropewalk::{Reactor, Result};
//!
//! async fn copy(
//!     source: DeferredQueue<u32>,
//!     target: DeferredQueue<u32>,
//!     lock: DeferredLock,
//! ) -> Result {
//!     let _permit = lock.acquire().await?; // given back at the end, however that comes
//!     let value = source.get().await?;
//!     Ok(target.put(value)?)
//! }
//!
//! let (source, target) = (DeferredQueue::new(), DeferredQueue::new());
//! let reactor = Reactor::new()?;
//! let copied = reactor.spawn(copy(source.clone(), target.clone(), DeferredLock::new()));
//! source.put(7)?;
//! reactor.run_until(copied)?;
//! assert_eq!(target.len(), 1);
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # A coroutine as `dataReceived`
//!
//! ```python
//! class Finger(LineReceiver):
//!     def lineReceived(self, name):
//!         self.transport.pauseProducing()
//!         d = ensureDeferred(self.answer(name))
//!         d.addBoth(lambda _: self.transport.resumeProducing())
//!
//!     async def answer(self, name):
//!         self.sendLine(await self.factory.look_up(name))
//! ```
//!
//! ```
//! use ropewalk::awaited::Awaited;
//! use ropewalk::framing::{AsyncLineProtocol, LineReceiver, send_line};
//! use ropewalk::{Address, Deferred, Reactor, Result, Transport, succeed};
//!
//! struct Finger(fn(&[u8]) -> Deferred<String>);
//! impl AsyncLineProtocol for Finger {
//!     async fn line_received(&mut self, transport: &Transport, name: &[u8]) -> Result {
//!         Ok(send_line(transport, (self.0)(name).await?)?)
//!     }
//! }
//! let reactor = Reactor::new()?;
//! let look_up = |name: &[u8]| succeed(format!("{} is in", name.escape_ascii()));
//! reactor.listen("127.0.0.1:0", move |_: &Address| LineReceiver::new(Awaited::new(Finger(look_up))))?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! What is new: the next line waits by itself, a failure resets the connection and is told, and a connection
//! that is lost drops what its handler waits for. A protocol that calls itself from timers and Deferreds, as
//! `self` does in Twisted, is the first program of the guide's page on joints.
//!
//! # What differs
//!
//! Each module says so at its head; here are names of hosts, which stand in many, and Deferreds.
//!
//! Names beyond ASCII (IDNA): Twisted turns them into A-labels by itself, with a package for that or with
//! Python's older rules. Here it takes the feature `idna` (UTS 46, as browsers do it), which is off unless
//! asked for: its tables are ten to thirty crates, and most programs never see such a name. It then holds
//! wherever a name does: connecting, listening, verifying, choosing a certificate. Without it,
//! `bücher.example` is an error that says to give `xn--bcher-kva.example`; it is never looked up as it is.
//!
#![doc = include_str!("../deferred/deviations.md")]

#[cfg(doc)]
use crate::{clock::*, deferred::*, reactor::*, *};
