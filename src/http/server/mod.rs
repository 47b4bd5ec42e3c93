// The server: a site and its connections.
//
// `site` is what all connections share, `channel` one connection, what it hears; `answers` what it says;
// `deadlines` how long things may take; `exchange` one request and its answer, `incoming` its body;
// `log` what is known of it in the end. `protocol` is what a connection calls, `bodies` are the channel's ways
// with bodies, `upgrade` its end of HTTP.

mod answers;
mod bodies;
pub(super) mod channel;
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
