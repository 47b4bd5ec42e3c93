// A service of services.

use super::contract::Service;
use super::restart::Restart;
use super::running::{Running, Tree};
use crate::Deferred;
use std::fmt;
use std::time::Duration;

/// Services that are started one after the other, and stopped in reverse.
///
/// ```
/// use ropewalk::service::{MultiService, Running, service};
///
/// let idle = |name: &str| service(name, async |up: Running| {
///     up.ready();
///     Ok(up.stopping().await)
/// });
/// let both = MultiService::new("both").add_service(idle("first")).add_service(idle("second"));
/// # let _ = both;
/// ```
#[doc(alias = "IServiceCollection")]
pub struct MultiService {
    name: String,
    /// Those that were not started yet; then the tree has them.
    added: Vec<Box<dyn Service>>,
    restart: Restart,
}

impl MultiService {
    /// None yet.
    pub fn new(name: impl Into<String>) -> MultiService {
        MultiService { name: name.into(), added: Vec::new(), restart: Restart::default() }
    }

    /// Adds one behind the others.
    #[doc(alias = "addService")]
    #[doc(alias = "setServiceParent")]
    #[must_use]
    pub fn add_service<S: Service + 'static>(mut self, service: S) -> MultiService {
        self.added.push(Box::new(service));
        self
    }

    /// How they are kept: which are started again when one has ended.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> MultiService {
        self.restart = restart;
        self
    }
}

impl Service for MultiService {
    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn ready_within(&self) -> Duration {
        // Each of them has its own.
        Duration::MAX
    }

    fn privileged_start_service(&mut self, up: &Running) -> Deferred<()> {
        up.set_restart(self.restart.clone());
        up.start_children(std::mem::take(&mut self.added), Tree::Privileged)
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        up.set_restart(self.restart.clone());
        up.start_children(std::mem::take(&mut self.added), Tree::Whole)
    }
}

impl fmt::Debug for MultiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiService").field("name", &self.name).finish_non_exhaustive()
    }
}
