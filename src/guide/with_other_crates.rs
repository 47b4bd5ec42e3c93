//! With crates that know nothing of this one: hyper, tungstenite, tokio-util's codecs, tokio's own sockets.
//!
//! A [`Stream`](crate::Stream) has futures' `AsyncRead`, `AsyncBufRead` and `AsyncWrite`, and a
//! [`Deferred`](crate::Deferred) is a future: whatever takes those works as it is. What asks for tokio's
//! traits takes `stream.compat()` of tokio-util. What starts tasks or timers on tokio by itself (reqwest,
//! tonic, sqlx) needs tokio's runtime: run it in a thread, and reach the reactor through its
//! [`Remote`](crate::Remote).
//!
//! The three programs below are compiled and run by the tests of this crate.
//!
//! # hyper
//!
//! hyper 1 has traits of its own, for which forty lines are enough. Nothing is copied but into hyper's
//! buffer.
//!
//! ```ignore
#![doc = include_str!("with/hyper.rs")]
//! ```
//!
//! # WebSockets: async-tungstenite
//!
//! ```ignore
#![doc = include_str!("with/tungstenite.rs")]
//! ```
//!
//! # Codecs of tokio-util
//!
//! ```ignore
#![doc = include_str!("with/codecs.rs")]
//! ```
//!
//! # Sockets of tokio
//!
//! A socket that tokio made is given over by its descriptor: `socket.into_std()`, then
//! [`ClientEndpoint::connected`](crate::ClientEndpoint::connected), or
//! [`ServerEndpoint::listener`](crate::ServerEndpoint::listener) for one that listens.
