//! A program that is one asynchronous function.

use super::Reactor;
use crate::failure::Result;
use crate::{IntoDeferred, maybe_deferred};
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::process::ExitCode;
use std::rc::Rc;

/// Runs `main` on a reactor of its own and makes the program's exit status of what becomes of it.
///
/// The status is 0 if it succeeds, also if the reactor was stopped first; 1 if it fails, and standard
/// error says why; and the number of an [`ExitStatus`] if that is the error. The reactor shuts down in
/// order in any case.
///
/// `main` may be an async function or return a Deferred; both are futures.
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
pub fn react<F, W>(main: F) -> ExitCode
where
    F: FnOnce(Reactor) -> W + 'static,
    W: Future<Output: IntoDeferred<Output = ()>> + 'static,
{
    let result = Reactor::new().and_then(|reactor| run_main(&reactor, main));
    let Err(failure) = result else { return ExitCode::SUCCESS };
    if let Some(status) = failure.check::<ExitStatus>() {
        return ExitCode::from(status.0);
    }
    eprintln!("main function encountered error: {failure:?}");
    ExitCode::FAILURE
}

fn run_main<F, W>(reactor: &Reactor, main: F) -> Result
where
    F: FnOnce(Reactor) -> W + 'static,
    W: Future<Output: IntoDeferred<Output = ()>> + 'static,
{
    let ended = Rc::new(Cell::new(Ok(())));
    let (inside, result) = (reactor.clone(), ended.clone());
    reactor.call_when_running(move || {
        let worker = inside.clone();
        let work = maybe_deferred(move || worker.clone().spawn(main(worker)));
        work.add_both(move |outcome| {
            result.set(outcome);
            inside.stop()
        })
    });
    reactor.run()?;
    ended.replace(Ok(()))
}

/// An exit status that a [`react`] main function may fail with.
///
/// ```
/// use ropewalk::{ExitStatus, react};
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
