//! Services: parts of a program that are started in order, stopped in reverse, and drained.

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
