//! The commands of the program `ropewalk`, each a [`ServiceMaker`] that a program of one's own can have, too.
//!
//! ```no_run
//! use ropewalk::application::commands::{echo, portforward};
//! use ropewalk::application::runner::Runner;
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     Runner::new("mytool").command(echo()).command(portforward()).main()
//! }
//! ```

// What all of them share: ports that are opened before privileges are given up.

mod echo;
mod inetd;
mod portforward;
mod procmon;
mod relay;
#[cfg(feature = "http")]
mod web;

pub use echo::echo;
pub use inetd::inetd;
pub use portforward::portforward;
pub use procmon::procmon;
#[cfg(feature = "http")]
pub use web::web;

#[cfg(doc)]
use super::runner::ServiceMaker;
use super::runner::{StartError, Status};
use crate::service::{Running, Service};
use crate::{ClientEndpoint, Deferred, Port, Result, ServerEndpoint, succeed};
use bpaf::{Parser, long};
use std::rc::Rc;

type Listen = Rc<dyn Fn(&Running, &ServerEndpoint) -> Result<Port>>;

/// A service of ports, each served in the same way.
struct Ports {
    name: String,
    at: Vec<ServerEndpoint>,
    listen: Listen,
    open: Vec<Port>,
}

impl Ports {
    fn new(
        name: impl Into<String>,
        at: Vec<ServerEndpoint>,
        listen: impl Fn(&Running, &ServerEndpoint) -> Result<Port> + 'static,
    ) -> Ports {
        Ports { name: name.into(), at, listen: Rc::new(listen), open: Vec::new() }
    }
}

impl Service for Ports {
    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    /// Here and not at the start: the port may be below 1024.
    fn privileged_start_service(&mut self, up: &Running) -> Deferred<()> {
        self.start_service(up)
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        if !self.open.is_empty() {
            return succeed(());
        }
        for at in &self.at {
            match (self.listen)(up, at) {
                Ok(port) => {
                    log(up).info(format_args!("listening at {}", port.host()));
                    self.open.push(port);
                }
                Err(failure) => return crate::fail(failure),
            }
        }
        succeed(())
    }

    fn stop_service(&mut self, up: &Running) -> Deferred<()> {
        up.drain(self.open.drain(..))
    }
}

/// The log of a service, called as it is.
fn log(up: &Running) -> super::log::Logger {
    super::log::Logger::named(up.name())
}

/// Where to listen, however often `--port` is said.
fn ports() -> impl Parser<Vec<ServerEndpoint>> {
    let port = long("port").short('p').help("Listen here; may be said more than once");
    let port = port.argument::<String>("ENDPOINT").parse(|text| server(&text));
    port.many()
}

/// One at least.
fn at_least_one(at: Vec<ServerEndpoint>) -> Result<Vec<ServerEndpoint>> {
    if at.is_empty() {
        let why = "say where to listen, as in --port tcp:8000:interface=127.0.0.1";
        return Err(StartError::new(Status::Usage, why).into());
    }
    Ok(at)
}

fn server(text: &str) -> Result<ServerEndpoint, String> {
    text.parse().map_err(|bad: crate::endpoint::EndpointError| bad.problem().to_owned())
}

fn client(text: &str) -> Result<ClientEndpoint, String> {
    text.parse().map_err(|bad: crate::endpoint::EndpointError| bad.problem().to_owned())
}
