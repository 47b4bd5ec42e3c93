//! The program `ropewalk` as the system and its users see it: statuses, lines, signals, files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(all(feature = "runner", target_os = "linux"))]

mod commands;
mod daemon;
mod example;
#[path = "../kit/examples.rs"]
mod examples;
mod kit;
#[path = "../kit/peers.rs"]
mod peers;
mod restart;
mod signals;
mod systemd;
mod usage;
