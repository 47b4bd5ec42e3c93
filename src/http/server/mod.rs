// The server: a site and its connections.
//
// ```text
//   site ──► protocol ──► channel ◄── answers, bodies, deadlines, upgrade: what it does
//     │                      │
//     └──► common ◄──────────┤ what all connections share
//                            ▼
//            exchange ──► incoming        one request and its answer; its body
// ```
// A channel knows no request handle, and no resource: who answers is behind [`Serve`](channel::Serve). The
// handle knows the channel and the exchange, the resources know the handle.

mod answers;
mod bodies;
pub(super) mod channel;
mod common;
mod deadline;
mod deadlines;
pub(super) mod exchange;
pub(super) mod incoming;
pub(super) mod log;
mod protocol;
mod site;
mod upgrade;

pub use log::{Outcome, Record};
pub use protocol::HttpProtocol;
pub use site::{Site, serve};
