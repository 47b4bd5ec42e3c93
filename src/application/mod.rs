//! A program made of services.
//!
//! ```
//! # #[cfg(feature = "simulation")] {
//! use ropewalk::application::Application;
//! use ropewalk::prelude::*;
//! use ropewalk::service::{Running, service};
//! use ropewalk::simulation::Simulation;
//!
//! let greeter = service("greeter", async |up: Running| {
//!     up.serve("0.0.0.0:7", async |mut stream| Ok(stream.write_all(b"hello\r\n").await?))?;
//!     up.ready();
//!     up.stopping().await;
//!     up.connections_closed().await
//! });
//! let simulation = Simulation::new(1);
//! let host = simulation.host("host");
//! let running = Application::new("greetings").add_service(greeter).run_on(&host.reactor());
//! let running = simulation.run_until(running)?;
//! assert!(running.is_ready());
//! simulation.run_until(running.stop_service())?;
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```

#[cfg(all(feature = "runner", target_os = "linux"))]
pub mod commands;
pub mod console;
pub mod log;
#[cfg(all(feature = "runner", target_os = "linux"))]
pub mod runner;

use crate::reactor::{Reactor, SystemEventTrigger};
use crate::service::{Drain, MultiService, Restart, Running, Service};
use crate::{Deferred, Result};
use std::fmt;

/// The services of a program, and how they are kept.
#[derive(Debug)]
pub struct Application {
    services: MultiService,
    drain: Drain,
}

impl Application {
    /// Without services yet.
    pub fn new(name: impl Into<String>) -> Application {
        Application { services: MultiService::new(name), drain: Drain::default() }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        self.services.name().unwrap_or_default()
    }

    /// Adds a service behind the others: they are started in this order, and stopped in reverse.
    #[doc(alias = "setServiceParent")]
    #[must_use]
    pub fn add_service(mut self, service: impl Service + 'static) -> Application {
        self.services = self.services.add_service(service);
        self
    }

    /// How the services are kept: which are started again when one has ended, and how often.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Application {
        self.services = self.services.restart(restart);
        self
    }

    /// How long a stop may take.
    #[must_use]
    pub fn drain(mut self, drain: Drain) -> Application {
        self.drain = drain;
        self
    }

    /// Puts the services on a reactor, none of them started yet. A stop of the reactor stops them first.
    pub fn on(self, reactor: &Reactor) -> Launch {
        let (running, root) = Running::root(reactor, self.services);
        running.set_drain(self.drain);
        let stopped = running.clone();
        let trigger = reactor.on_shutdown(move || {
            let _kept = &root;
            stopped.stop_service()
        });
        Launch { running, trigger }
    }

    /// Starts the services on a reactor, one after the other, and fires when all are ready. If one fails,
    /// those before it are stopped in reverse, and its failure is this one's.
    pub fn run_on(self, reactor: &Reactor) -> Deferred<Running> {
        let launch = self.on(reactor);
        reactor.spawn(async move { launch.start().await })
    }
}

/// An application on its reactor.
pub struct Launch {
    running: Running,
    trigger: SystemEventTrigger,
}

impl Launch {
    /// The services' parent.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Starts what needs privileges, and then all. Fails with the failure of the service that failed.
    pub async fn start(self) -> Result<Running> {
        let outcome = async {
            self.running.privileged_start_service().await?;
            self.running.start_service().await
        };
        match outcome.await {
            Ok(()) => Ok(self.running),
            Err(failure) => {
                self.trigger.remove();
                Err(failure)
            }
        }
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("running", &self.running).finish_non_exhaustive()
    }
}
