// The async face of a service: a function that runs for as long as the service does.

use super::contract::Service;
use super::error::ServiceError;
use super::running::Running;
use crate::deferred::succeed;
use crate::{Deferred, IntoDeferred};
use std::fmt;
use std::rc::Rc;

/// A service that is an async function: it is up while that runs.
///
/// It says [`up.ready()`](Running::ready) when it has begun, and returns when
/// [`up.stopping()`](Running::stopping) is over and it has done what it has to do then. If it returns before,
/// it has ended by itself: with an error it failed.
///
/// ```
/// use ropewalk::prelude::*;
/// use ropewalk::service::{Running, service};
///
/// let greeter = service("greeter", async |up: Running| {
///     up.serve("127.0.0.1:0", async |mut stream| Ok(stream.write_all(b"hello\r\n").await?))?;
///     up.ready();
///     up.stopping().await;
///     up.connections_closed().await
/// });
/// # let _ = greeter;
/// ```
pub fn service<F, R>(name: impl Into<String>, run: F) -> AsyncService<F>
where
    F: AsyncFn(Running) -> R + 'static,
    R: IntoDeferred<Output = ()> + 'static,
{
    AsyncService { name: name.into(), run: Rc::new(run), running: None }
}

/// The [`Service`] that [`service`] makes of an async function.
pub struct AsyncService<F> {
    name: String,
    run: Rc<F>,
    /// Until the function returns.
    running: Option<Deferred<()>>,
}

impl<F, R> Service for AsyncService<F>
where
    F: AsyncFn(Running) -> R + 'static,
    R: IntoDeferred<Output = ()> + 'static,
{
    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        let (run, given) = (self.run.clone(), up.clone());
        let (ready, is_ready) = Deferred::new();
        up.tell_ready(ready.clone());
        let (told, name) = (up.clone(), self.name.clone());
        let (ended, has_ended) = Deferred::new();
        let running = up.spawn(async move { run(given).await }).add_both(move |outcome| {
            let early = match &outcome {
                Ok(()) => ServiceError::EndedEarly(name).into(),
                Err(failure) => failure.clone(),
            };
            // Nobody waits for what nobody hears.
            let is_early = ready.errback(early).is_ok();
            // Nor here.
            let _ = match told.is_stopping() {
                true => ended.fire(outcome),
                false => {
                    if !is_early {
                        told.ended(outcome);
                    }
                    ended.callback(())
                }
            };
            Ok(())
        });
        drop(running);
        self.running = Some(has_ended);
        is_ready
    }

    fn stop_service(&mut self, _: &Running) -> Deferred<()> {
        self.running.take().unwrap_or_else(|| succeed(()))
    }
}

impl<F> fmt::Debug for AsyncService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncService").field("name", &self.name).finish_non_exhaustive()
    }
}
