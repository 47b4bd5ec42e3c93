//! Services: the parts of a program that begin one after the other, may fail, and end in order.
//!
//! A program of more than one part has to start them in order, take back what was started when one fails,
//! start again what fails later, say whether it is ready, and at its end finish what is under way without
//! waiting for ever. A [`Service`] is such a part, as callbacks or as an async function; an
//! [`Application`](crate::application::Application) is what they make together, and
//! [`Running`] the handle on one that runs.
//!
//! ```
//! # #[cfg(feature = "simulation")] {
//! use ropewalk::application::Application;
//! use ropewalk::prelude::*;
//! use ropewalk::service::{Running, Service, service};
//! use ropewalk::simulation::Simulation;
//!
//! struct Line;
//! impl Protocol for Line {
//!     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         transport.write(data);
//!         Ok(())
//!     }
//!     fn drain(&mut self, transport: &Transport) {
//!         transport.write("bye\r\n"); // the server stops
//!         transport.lose_connection();
//!     }
//! }
//!
//! // Callbacks.
//! #[derive(Default)]
//! struct Echo {
//!     port: Option<Port>,
//! }
//! impl Service for Echo {
//!     fn start_service(&mut self, up: &Running) -> Deferred<()> {
//!         match up.listen("0.0.0.0:7", |_: &Address| Line) {
//!             Ok(port) => self.port = Some(port),
//!             Err(failure) => return ropewalk::fail(failure),
//!         }
//!         ropewalk::succeed(())
//!     }
//!     fn stop_service(&mut self, up: &Running) -> Deferred<()> {
//!         up.drain(self.port.take())
//!     }
//! }
//!
//! // Async: another one.
//! let greeter = service("greeter", async |up: Running| {
//!     let port = up.serve("0.0.0.0:17", async |mut stream| Ok(stream.write_all(b"hello\r\n").await?))?;
//!     up.ready();
//!     up.stopping().await; // by a signal, its parent, or whoever keeps it
//!     port.stop_listening().await?;
//!     up.connections_closed().await
//! });
//!
//! let simulation = Simulation::new(1);
//! let host = simulation.host("host"); // in a program: `Reactor::new()?`, and its `run`
//! let application = Application::new("both").add_service(Echo::default()).add_service(greeter);
//! let running = simulation.run_until(application.run_on(&host.reactor()))?;
//! assert!(running.is_ready());
//! simulation.run_until(running.stop_service())?; // the greeter first
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # There already
//! | for | |
//! |---|---|
//! | an endpoint, with a factory or an async function | [`StreamServerEndpointService`], [`TcpServer`], [`UnixServer`], `TlsServer` |
//! | datagrams | [`UdpServer`], [`MulticastServer`] |
//! | a client that comes back | [`ClientService`] |
//! | a client by Twisted's client factories | [`TcpClient`], [`UnixClient`], `TlsClient` |
//! | something again and again, or in small steps | [`TimerService`], [`CooperatorService`] |
//! | services in services | [`MultiService`] |
//!
//! # Rules
//! ```text
//!                1 start            2 ready                3 stop asked         4 drained, or late
//!   stopped ────────────► starting ─────────► ready ─────────────────► draining ────────────────► stopping
//!      ▲  ▲                   │ fails           │ ends by itself                                      │
//!      │  └───────────────────┘                 ▼                                                     │
//!      │                                      ended ── its parent starts it again, after a wait       │
//!      └──────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! 1. **Start.** Each is ready before the next begins. If one fails, or is not ready within 60 s, those before
//!    it are stopped in reverse, nothing is left behind, and its failure is the start's.
//! 2. **Stop.** Readiness goes first; after [`lame_duck`](Drain::lame_duck) all ports are closed, and what
//!    connections have under way may be finished for 20 s, in all services at once. Then each service stops,
//!    the last one first, each awaited before the next, 5 s each and 30 s in all. What is late is cut off, and
//!    named: `web: 3 connections, 1 task spawned at src/a.rs:9`, in a [`LateError`].
//! 3. **Owning.** What begins in a service is its own: ports, connections, tasks, timers, and what begins in
//!    these; see [`Owner`](crate::reactor::Owner). A drain waits for connections that were accepted and for the
//!    tasks that began for them. When it has stopped nothing of it is left.
//! 4. **Ending by itself.** One that failed is started again ([`RestartType`]), alone or with those behind it
//!    ([`Restart`]), 5 times in 30 s at most, 0.2 s to 30 s apart. After that its parent has failed; at the root
//!    all stops in order, and [`Running::when_over`] fails.
//! 5. **Readiness** is the tree's: each service in it is ready and none drains.
//! 6. **Draining asks**: [`Protocol::drain`](crate::Protocol::drain) and
//!    [`Stream::draining`](crate::Stream::draining). Whoever does nothing about it is cut off at the deadline.
//! 7. **A second stop** waits for nobody, nor does a second SIGINT or SIGTERM.
//! 8. **Names** are unique among siblings. A second start is an error. What is disowned is stopped.
//!
//! A service has only what it began itself to fear: one that fails or panics takes no other with it, unless
//! that was asked for.
//!
//! # Deviations from Twisted
//! | Twisted | here |
//! |---|---|
//! | A child that raises in `startService` leaves those before it running, and `running` set. | They are stopped in reverse, and the start fails with its failure. |
//! | `startService` does not wait for a child's Deferred. | Each child is ready before the next is started. |
//! | `stopService` asks all children at once. | In reverse, each awaited before the next; connections drain before that, all at once. |
//! | A stop waits for Deferreds without a limit, and never fails. | It has limits, and fails with [`LateError`], which names who was late. |
//! | A service that is started twice starts twice, or warns. | [`ServiceError::AlreadyStarted`]. |
//! | A service that fails later is of no concern to its parent. | It is started again, or the parent has failed. |
//! | `setName` raises under a parent. | A service is named before it is given away: [`Service::named`]. |
//! | `setServiceParent`, `addService` on a running parent: privileged start and start. | [`Running::add_service`]: start alone, for privileges are gone by then. |
//! | `StreamServerEndpointService`: a port that cannot be had is logged. | The start fails, as with `strports.service`. |
//! | A stopped port leaves its connections alone. | They are drained. |
//! | `TimerService`: a failure is logged, and `running` stays 1. | The service failed, and is started again. |
//! | `ClientService`: a connection that is made has failures forgotten. | One that lasts for [`healthy_after`](ClientService::healthy_after) has: 10 s. |
//! | `prepareConnection` that raises leaves the connection open; it being lost meanwhile raises `NoTransition`. | The connection is closed, and the attempt has failed. |
//! | Every failure to connect is tried again. | [`Permanent`] ones end the service, and so does an endpoint that is none. |
//! | `whenConnected` fires in the same call as a connection that is made at once. | A connection is made in a later turn. |
//! | Legacy clients and servers are constructors with `reactor` methods' arguments. | They take endpoints; UDP takes a function that makes the protocol, for there may be a restart. |

// # Not here
// Whose is what (`reactor/owners.rs`), the program around the services (`application/`).

mod awaited;
mod backoff;
mod client;
mod clients;
mod contract;
mod datagrams;
mod dialing;
mod error;
mod flag;
mod late;
mod life;
mod limits;
mod multi;
mod naming;
mod restart;
mod running;
mod servers;
mod shared;
mod stopping;
mod tending;
mod timer;

pub use awaited::{AsyncService, service};
pub use backoff::BackoffPolicy;
pub use client::ClientService;
#[cfg(feature = "tls")]
pub use clients::TlsClient;
pub use clients::{TcpClient, UnixClient};
pub use contract::{Configured, Service};
pub use datagrams::{MulticastServer, UdpServer};
pub use error::{FailedError, Permanent, ServiceError, TooManyRestartsError};
pub use late::{Late, LateError};
pub use life::ServiceState;
pub use limits::Drain;
pub use multi::MultiService;
pub use restart::{Restart, RestartType};
pub use running::{Root, Running};
#[cfg(feature = "tls")]
pub use servers::TlsServer;
pub use servers::{StreamServerEndpointService, TcpServer, UnixServer};
pub use timer::{CooperatorService, TimerService};
