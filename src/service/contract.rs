// The trait; what becomes of a service is the room's page.

use super::limits::READY_WITHIN;
use super::naming::called_after;
use super::restart::RestartType;
use super::running::Running;
use crate::Deferred;
use crate::deferred::succeed;
use std::fmt;
use std::time::Duration;

/// A part of a program that is started, may fail, and is stopped in order.
///
/// What it starts through [`Running`], and inside of its methods, is its own: when it has stopped, all of
/// that is gone. `start_service` may be called again after that.
///
/// ```
/// use ropewalk::prelude::*;
/// use ropewalk::service::{Running, Service};
/// use ropewalk::succeed;
///
/// struct Discard;
/// impl Protocol for Discard {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
///
/// #[derive(Default)]
/// struct Sink {
///     port: Option<Port>,
/// }
/// impl Service for Sink {
///     fn start_service(&mut self, up: &Running) -> Deferred<()> {
///         match up.listen("127.0.0.1:0", |_: &Address| Discard) {
///             Ok(port) => self.port = Some(port),
///             Err(failure) => return ropewalk::fail(failure),
///         }
///         succeed(())
///     }
///     fn stop_service(&mut self, up: &Running) -> Deferred<()> {
///         up.drain(self.port.take())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no service",
    note = "`start_service` is all that `impl Service` asks for",
    note = "an async function becomes one by `service(\"name\", async |up: Running| ..)`"
)]
#[doc(alias = "IService")]
pub trait Service {
    /// What it is called among its siblings. Without a name it is called after its [`kind`](Service::kind),
    /// and numbered if there are more of these.
    fn name(&self) -> Option<&str> {
        None
    }

    /// What services like this one are called: their type, unless told otherwise.
    fn kind(&self) -> &str {
        called_after::<Self>()
    }

    /// Whether it is started again when it ends by itself: if it failed, unless told otherwise.
    fn restart_type(&self) -> RestartType {
        RestartType::Transient
    }

    /// So long its start may take until it is ready: 60 s, unless told otherwise.
    fn ready_within(&self) -> Duration {
        READY_WITHIN
    }

    /// Begins what needs privileges, before `start_service` and before the program gives them up: ports
    /// below 1024. Not called again at a restart.
    #[doc(alias = "privilegedStartService")]
    fn privileged_start_service(&mut self, up: &Running) -> Deferred<()> {
        let _ = up;
        succeed(())
    }

    /// Begins. It is ready when the Deferred fires; the next service is started then. A failure stops
    /// those that were started before, in reverse.
    #[doc(alias = "startService")]
    fn start_service(&mut self, up: &Running) -> Deferred<()>;

    /// Ends: its ports are closed and its connections done with by then. What is left once the
    /// Deferred has fired is cut off. The default has nothing to do.
    #[doc(alias = "stopService")]
    fn stop_service(&mut self, up: &Running) -> Deferred<()> {
        let _ = up;
        succeed(())
    }

    /// Reads anew what it was configured by. A failure leaves it as it was. The default has nothing to do.
    fn reload(&mut self, up: &Running) -> Deferred<()> {
        let _ = up;
        succeed(())
    }

    /// The same under another name.
    ///
    /// ```
    /// use ropewalk::service::{MultiService, Service};
    ///
    /// let service = MultiService::new("workers").named("readers");
    /// assert_eq!(service.name(), Some("readers"));
    /// ```
    #[doc(alias = "setName")]
    fn named(self, name: impl Into<String>) -> Configured<Self>
    where
        Self: Sized,
    {
        Configured::new(self).named(name)
    }

    /// The same, started again whenever it ends.
    fn permanent(self) -> Configured<Self>
    where
        Self: Sized,
    {
        Configured::new(self).restarted(RestartType::Permanent)
    }

    /// The same, never started again.
    fn temporary(self) -> Configured<Self>
    where
        Self: Sized,
    {
        Configured::new(self).restarted(RestartType::Temporary)
    }

    /// The same, with another time to become ready in.
    fn start_timeout(self, limit: Duration) -> Configured<Self>
    where
        Self: Sized,
    {
        Configured::new(self).within(limit)
    }
}

impl Service for Box<dyn Service> {
    fn name(&self) -> Option<&str> {
        (**self).name()
    }

    fn kind(&self) -> &str {
        (**self).kind()
    }

    fn restart_type(&self) -> RestartType {
        (**self).restart_type()
    }

    fn ready_within(&self) -> Duration {
        (**self).ready_within()
    }

    fn privileged_start_service(&mut self, up: &Running) -> Deferred<()> {
        (**self).privileged_start_service(up)
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        (**self).start_service(up)
    }

    fn stop_service(&mut self, up: &Running) -> Deferred<()> {
        (**self).stop_service(up)
    }

    fn reload(&mut self, up: &Running) -> Deferred<()> {
        (**self).reload(up)
    }
}

/// A service under another name, or kept in another way; see [`Service::named`].
pub struct Configured<S> {
    service: S,
    name: Option<String>,
    restart_type: Option<RestartType>,
    ready_within: Option<Duration>,
}

impl<S> Configured<S> {
    pub(super) fn new(service: S) -> Configured<S> {
        Configured { service, name: None, restart_type: None, ready_within: None }
    }

    pub(super) fn named(mut self, name: impl Into<String>) -> Configured<S> {
        self.name = Some(name.into());
        self
    }

    pub(super) fn restarted(mut self, restart_type: RestartType) -> Configured<S> {
        self.restart_type = Some(restart_type);
        self
    }

    pub(super) fn within(mut self, limit: Duration) -> Configured<S> {
        self.ready_within = Some(limit);
        self
    }
}

impl<S: Service> Service for Configured<S> {
    fn name(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.service.name())
    }

    fn kind(&self) -> &str {
        self.service.kind()
    }

    fn restart_type(&self) -> RestartType {
        self.restart_type.unwrap_or_else(|| self.service.restart_type())
    }

    fn ready_within(&self) -> Duration {
        self.ready_within.unwrap_or_else(|| self.service.ready_within())
    }

    fn privileged_start_service(&mut self, up: &Running) -> Deferred<()> {
        self.service.privileged_start_service(up)
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        self.service.start_service(up)
    }

    fn stop_service(&mut self, up: &Running) -> Deferred<()> {
        self.service.stop_service(up)
    }

    fn reload(&mut self, up: &Running) -> Deferred<()> {
        self.service.reload(up)
    }
}

impl<S> fmt::Debug for Configured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured").field("name", &self.name).finish_non_exhaustive()
    }
}
