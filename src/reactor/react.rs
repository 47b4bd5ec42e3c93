//! A program that is one asynchronous function.

use super::Reactor;
use super::run::Main;
use crate::IntoDeferred;
use crate::failure::{Place, Result, catch_panic};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::process::ExitCode;

/// Runs `main` on a reactor of its own and makes the program's exit status of what becomes of it.
///
/// The status is 0 if it succeeds, also if the reactor was stopped first, as by Ctrl-C; 1 if it fails, and
/// standard error says why; and the number of an [`ExitStatus`] if that is the error. The reactor shuts
/// down in order in any case: connections that are ending, and standard output, are flushed.
///
/// `main` may be an async function or return a Deferred; both are futures, polled in place, and may borrow.
/// The reactor ends when this returns; what `main` was given is a handle on it.
///
/// ```
/// use std::process::ExitCode;
/// use std::time::Duration;
///
/// fn main() -> ExitCode {
///     ropewalk::react(|reactor| async move {
///         reactor.sleep(Duration::from_millis(1)).await;
///         Ok(println!("that was the whole program"))
///     })
/// }
/// ```
#[track_caller]
pub fn react<F, W>(main: F) -> ExitCode
where
    F: FnOnce(Reactor) -> W,
    W: Future<Output: IntoDeferred<Output = ()>>,
{
    let made = Location::caller();
    let result = Reactor::new().and_then(|reactor| run_main(&reactor, main, made));
    let Err(failure) = result else { return ExitCode::SUCCESS };
    if let Some(status) = failure.check::<ExitStatus>() {
        return ExitCode::from(status.0);
    }
    eprintln!("main function encountered error: {failure:?}");
    ExitCode::FAILURE
}

fn run_main<F, W>(reactor: &Reactor, main: F, made: Place) -> Result
where
    F: FnOnce(Reactor) -> W,
    W: Future<Output: IntoDeferred<Output = ()>>,
{
    let running = reactor.inner().start_running()?;
    let handle = reactor.clone();
    let future = catch_panic(made, || main(handle));
    let mut main = pin!(Main::new(&running, async { future?.await.into_deferred().await }, made));
    let ran = main.as_mut().run().and_then(|()| main.as_mut().shut_down());
    main.as_mut().give_up();
    let outcome = main.take_outcome().unwrap_or(Ok(()));
    // Its own error comes first: it tells most.
    outcome.and(ran).and_then(|()| reactor.inner().unexpected_report())
}

/// An exit status that a [`react`] main function may fail with.
///
/// ```
/// use ropewalk::reactor::ExitStatus;
/// use ropewalk::react;
/// use std::process::ExitCode;
///
/// let code = react(|_| async { Err::<(), _>(ExitStatus(3).into()) });
/// assert_eq!(code, ExitCode::from(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "SystemExit")]
pub struct ExitStatus(
    /// What the operating system gets to see.
    pub u8,
);

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit with status {}", self.0)
    }
}

impl Error for ExitStatus {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deferred, Failure, succeed};
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn success_is_zero() {
        assert_eq!(react(|_| async { Ok(()) }), ExitCode::SUCCESS);
        assert_eq!(react(|_| succeed(())), ExitCode::SUCCESS);
    }

    #[test]
    fn failure_and_panic_are_one() {
        let failed = react(|_| async { Err::<(), _>(Failure::msg("no")) });
        assert_eq!(failed, ExitCode::FAILURE);
        let panicked = react(|_| -> Deferred<()> { panic!("before it began") });
        assert_eq!(panicked, ExitCode::FAILURE);
    }

    #[test]
    fn a_reactor_that_is_stopped_first_is_success() {
        let code = react(|reactor| async move {
            reactor.stop()?;
            Deferred::<()>::new().1.await
        });
        assert_eq!(code, ExitCode::SUCCESS);
    }

    #[test]
    fn main_may_borrow() {
        let seen = Cell::new(0);
        let code = react(async |reactor| {
            reactor.yield_now().await;
            seen.set(7);
            Ok(())
        });
        assert_eq!((code, seen.get()), (ExitCode::SUCCESS, 7));
    }

    /// Who drains at the shutdown waits for what main does then.
    #[test]
    fn main_goes_on_while_a_shutdown_is_waited_for() {
        let ended = Cell::new(false);
        let code = react(async |reactor| {
            let (asked, shutdown) = Deferred::<()>::new();
            let (drained, done) = Deferred::<()>::new();
            reactor.on_shutdown(move || {
                asked.callback(()).expect("a shutdown is told once");
                done
            });
            reactor.stop()?;
            shutdown.await?;
            ended.set(true);
            Ok(drained.callback(())?)
        });
        assert_eq!((code, ended.get()), (ExitCode::SUCCESS, true));
    }

    #[test]
    fn the_reactor_shuts_down_in_order() {
        let shut_down = Rc::new(Cell::new(false));
        let flag = shut_down.clone();
        react(move |reactor| async move {
            reactor.on_shutdown(move || flag.set(true));
            Ok(())
        });
        assert!(shut_down.get());
    }
}
