//! The life of a connection on real loopback sockets, in both faces, and of the reactor around it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "../kit/mod.rs"]
mod kit;

mod accepting;
mod calling;
mod connected;
mod connectors;
mod ends;
mod failing;
mod layers;
mod lifecycle;
mod many;
#[cfg(feature = "simulation")]
mod marks;
mod reactors;
#[cfg(target_os = "linux")]
#[cfg(feature = "simulation")]
mod refusing;
#[cfg(feature = "simulation")]
mod settling;
mod signals;
mod threads;
mod told;
mod watched;
