//! Twisted's model for Rust: a reactor, Deferreds, protocols and transports, with async/await as an
//! equal face of all of it.
#![forbid(unsafe_code)]
// What only the simulator and the battery ask of the rooms below is no less theirs without them.
#![cfg_attr(
    not(all(feature = "simulation", feature = "conformance")),
    allow(dead_code, unused_imports)
)]

#[cfg(not(unix))]
compile_error!("ropewalk needs a Unix: sockets, pipes and descriptors as POSIX has them");

mod address;
pub mod awaited;
mod buffer;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
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
#[cfg(all(doctest, feature = "simulation"))]
#[doc = include_str!("../README.md")]
struct Readme;
