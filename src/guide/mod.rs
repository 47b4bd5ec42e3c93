//! How to think in this crate: pages to read, with programs that run.
//!
//! * [Tutorial](tutorial): one service grown in ten steps that each run.
//! * [From Twisted](from_twisted): the names, the differences, three ports side by side.
//! * [From tokio](from_tokio): what it is called here, and three surprises.
//! * [Deferreds and futures](deferreds_and_futures): which to use, how to convert, what dropping and
//!   cancelling mean.
//! * HTTP (feature `http`): handlers, sites, bodies, limits, testing; and what twisted.web's names are here.
//! * Databases (feature `sqlite`): a pool of connections, which call for what, and adbapi's names.
//! * [Errors](errors): failures, `?`, and what becomes of a failure that nobody handles.
//! * [Services](services): a program of several parts, its start, its stop, and what a failure costs.
//! * [Testing without a network](testing): from a recording transport to a partition under many seeds.
//! * [In production](in_production): a unit for systemd, drain, reload, restart in place, logs, many machines.
//! * [With other crates](with_other_crates): hyper, tungstenite, tokio-util's codecs, tokio's sockets.
//! * [Joints](joints): a protocol that reaches itself; a framing, a layer, a policy and a transport of one's own.

#[cfg(feature = "sqlite")]
pub mod databases;
pub mod deferreds_and_futures;
pub mod errors;
pub mod from_tokio;
pub mod from_twisted;
#[cfg(feature = "http")]
pub mod from_twisted_web;
#[cfg(feature = "http")]
pub mod http;
pub mod in_production;
#[cfg(all(feature = "simulation", feature = "conformance"))]
pub mod joints;
pub mod services;
#[cfg(feature = "simulation")]
pub mod testing;
pub mod tutorial;
pub mod with_other_crates;
