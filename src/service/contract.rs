// The trait; what becomes of a service is the room's page.

use super::Running;
use crate::Deferred;
use crate::deferred::succeed;

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
    /// What it is called among its siblings; without one it is called after its type.
    fn name(&self) -> Option<&str> {
        None
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
}

impl Service for Box<dyn Service> {
    fn name(&self) -> Option<&str> {
        (**self).name()
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
