//! Twisted's model for Rust: a reactor, Deferreds, protocols, transports and endpoints, and
//! async/await as an equal face of all of it. One thread, no `unsafe`.
//!
//! For people who write network servers and clients: one protocol as callbacks or as `async fn`, a
//! Deferred that is a future, water marks and back-pressure without asking, and a seeded simulator of
//! networks to test it all in. It is no work-stealing runtime: a reactor is one thread, for more cores
//! run more of them. If your program lives on crates that want tokio (hyper, tonic, sqlx), take tokio.
//!
//! The same echo server in both faces:
//!
//! ```no_run
//! use ropewalk::prelude::*;
//!
//! struct Echo;
//! impl Protocol for Echo {
//!     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         transport.write(data);
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result {
//!     let reactor = Reactor::new()?;
//!     reactor.listen("127.0.0.1:8000", |_: &Address| Echo)?; // callbacks
//!     reactor.serve("127.0.0.1:8001", async |mut stream| { // async
//!         let mut buf = [0; 4096];
//!         loop {
//!             let n = stream.read(&mut buf).await?;
//!             if n == 0 {
//!                 return Ok(());
//!             }
//!             stream.write_all(&buf[..n]).await?;
//!         }
//!     })?;
//!     reactor.run()
//! }
//! ```
//!
//! ```text
//!    a protocol's callbacks      a handler's async fn       tasks, Deferreds, timers
//!              ▲                          ▲                            ▲
//!              └──────── a connection ────┘                            │
//!        TCP, Unix, TLS, pipes, a child process, simulated             │
//!                            ▲                                         │
//!                            └───────────── a reactor ─────────────────┘
//!                                               ▲
//!                         a driver: the operating system, or a simulation
//! ```
//!
//! | you want to | call |
//! |---|---|
//! | listen, with callbacks or an `async fn` | [`Reactor::listen`], [`Reactor::serve`], [`Reactor::accept`] |
//! | connect | [`Reactor::connect`], [`Reactor::open`] |
//! | run, until a future is done, until stopped | [`Reactor::run_until`], [`Reactor::run`], [`react`] for a whole `main` |
//! | start a task, wait for its result | [`Reactor::spawn`], whose [`Deferred`] you await |
//! | wait, limit a wait, do something again and again | [`sleep`], [`timeout`], [`interval`], [`deferred::LoopingCall`] |
//! | await inside a protocol's callbacks | [`awaited`] |
//! | run blocking code | [`Reactor::defer_to_thread`] |
//! | ask a database | `guide::databases`, with feature `sqlite` |
//! | speak TLS, UDP; use pipes, children | [`tls`], [`UdpSocket`], [`process`] |
//! | cut lines and strings, limit and throttle | [`framing`], [`policies`] |
//! | make a program of parts; start, restart, drain, stop them | [`service`], [`application`], [`guide::services`] |
//! | stop in order | SIGINT and SIGTERM do; [`Reactor::stop`], [`Reactor::on_shutdown`] |
//! | run a program of services, with options, logs and signals | [`application`], `application::runner` |
//! | log, to files, syslog or the screen | [`application::log`] |
//! | test without a network | [`simulation`], [`guide::testing`] |
//! | port a program from Twisted | [`guide::from_twisted`], [`ported`] |
//! | come from tokio | [`guide::from_tokio`] |
//! | use hyper, tungstenite, codecs | [`guide::with_other_crates`] |
//!
//! # What happens behind your back
//!
//! * What a callback or a poll writes leaves in one system call when it returns.
//! * TCP connections have `TCP_NODELAY` set: writes are gathered here already.
//! * `run` watches SIGINT and SIGTERM (feature `signals`); one that the process was started to ignore stays
//!   ignored, and a handler that you installed before is called as well.
//! * Names are looked up, files read and [`Reactor::defer_to_thread`]'s calls made in at most ten threads,
//!   which start when they are needed.
//! * A failure that nobody handled is one line on standard error, or what [`on_report`] makes of it.
//!
//! When something goes wrong, [`guide::errors`] says where failures come from and how to read one.
//!
//! # Features
//!
//! Without any it is 17 crates more than this one.
//!
//! | feature | gives | crates more |
//! |---|---|---:|
//! | `signals` (default) | an orderly end at SIGINT and SIGTERM; signals as callbacks and Deferreds | 3 |
//! | `tls` | TLS over any stream, by rustls | 11 |
//! | `process` | child processes, their pipes and terminals | 8 |
//! | `tracing` | events of the crate `tracing` in our logs, and ours there | 4 |
//! | `runner` | programs of services: options, the background, another user, systemd, restart in place | 12 |
//! | `idna` | names of hosts beyond ASCII | 10, or some 30 with the newest `idna_adapter` |
//! | `database` | a pool of connections for databases whose calls block | 0 |
//! | `sqlite` | SQLite for it, compiled in: asks for a C compiler | 5, and 5 to build it |
//! | `http`, `websocket` | an HTTP server; HTTP/1 and WebSocket as bytes and events | 1 |
//! | `simulation` | the simulator and the tools to test without a network, for `dev-dependencies` | 0 |
//! | `conformance` | the battery that a transport of your own is held to, likewise | 0 |
//!
//! # Stability
//!
//! Before 1.0 a minor version may change what is public; the changelog says how. It asks for Rust 1.89
//! (which builds it in CI; 1.95 runs the tests) and a Unix; it is built, tested and measured on Linux.
#![forbid(unsafe_code)]
// What only the simulator and the battery ask of the rooms below is no less theirs without them.
#![cfg_attr(
    not(all(feature = "simulation", feature = "conformance")),
    allow(dead_code, unused_imports)
)]

#[cfg(not(unix))]
compile_error!("ropewalk needs a Unix: sockets, pipes and descriptors as POSIX has them");

mod address;
pub mod application;
pub mod awaited;
mod buffer;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "database")]
pub mod database;
pub mod deferred;
pub mod driver;
pub mod endpoint;
mod failure;
pub mod framing;
pub mod guide;
#[cfg(feature = "http")]
pub mod http;
pub mod net;
pub mod policies;
pub mod ported;
pub mod prelude;
pub mod process;
pub mod protocol;
pub mod reactor;
mod recycler;
pub mod service;
#[cfg(feature = "simulation")]
pub mod simulation;
mod slots;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;
pub mod transport;

pub use address::{Address, UnixName};
pub use deferred::chain::Deferred;
pub use deferred::into::IntoDeferred;
pub use deferred::many::{gather_results, race};
pub use deferred::ready::{fail, succeed};
pub use deferred::trigger::Trigger;
pub use endpoint::client::ClientEndpoint;
pub use endpoint::listener::Listener;
pub use endpoint::server::ServerEndpoint;
pub use failure::{
    Failure, FailureError, Panicked, Report, Result, on_peer_fault, on_report, peer_faults,
};
pub use net::connected::Connected;
pub use net::datagram::UdpSocket;
pub use net::listen::Port;
pub use protocol::contract::{Factory, Protocol};
pub use reactor::current::{interval, sleep, spawn, timeout, yield_now};
pub use reactor::handle::Reactor;
pub use reactor::react::react;
pub use reactor::remote::Remote;
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use transport::handle::Transport;

/// The README's programs compile and run.
#[cfg(all(doctest, feature = "simulation", feature = "http"))]
#[doc = include_str!("../README.md")]
struct Readme;
