//! Restart in place: the program is started once more with the listening sockets of this one, and takes over
//! when it is ready.
//!
//! # Invariants
//! * No socket is closed before the successor says that it listens; so nobody is refused.
//! * A successor that is not ready in time, or cannot be started, leaves everything as it was.

use super::daemon::{READY, hear, program};
use super::pid_file::PidFile;
use crate::failure::{Failure, Result};
use crate::process::{ChildDescriptor, Process, ProcessOptions, ProcessProtocol};
use crate::reactor::{Reactor, Signal};
use futures_util::FutureExt;
use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, PipeReader, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

/// So long a successor may take to become ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that shall take this one's place.
pub(super) struct Successor {
    process: Process,
    pipe: RefCell<Option<PipeReader>>,
}

struct Unheard;

impl ProcessProtocol for Unheard {
    fn process_ended(&mut self, _reason: &Failure) {}
}

impl Successor {
    /// Starts it with all that is listened at here.
    pub(super) fn start(
        reactor: &Reactor,
        arguments: &[OsString],
        pid_file: Option<&PidFile>,
    ) -> Result<Rc<Successor>> {
        let file = program()?;
        if !file.is_file() {
            let why = format!("there is no file {} to start", file.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, why).into());
        }
        let (ours, theirs) = pipe()?;
        let share = |descriptor: io::Result<OwnedFd>| descriptor.map(ChildDescriptor::Share);
        let mut options = ProcessOptions::new(file)
            .args(arguments)
            .descriptor(0, share(io::stdin().as_fd().try_clone_to_owned())?)
            .descriptor(1, share(io::stdout().as_fd().try_clone_to_owned())?)
            .descriptor(2, share(io::stderr().as_fd().try_clone_to_owned())?)
            .hand_over(READY, theirs.into());
        // The manager of services is the same; the number in WATCHDOG_PID would not be.
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC"] {
            if let Some(value) = std::env::var_os(name) {
                options = options.env(name, value);
            }
        }
        for (name, port) in reactor.open_ports() {
            options = options.hand_over(&name, port.try_clone_descriptor()?);
        }
        if let Some(pid_file) = pid_file {
            options = pid_file.hand_over(options)?;
        }
        // It has started when this returns, or never will.
        let started = reactor.spawn_process(Unheard, options).now_or_never();
        let process = started.unwrap_or_else(|| Err(Failure::msg("it did not start")))?;
        Ok(Rc::new(Successor { process, pipe: RefCell::new(Some(ours)) }))
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it: nobody needs it any more.
    pub(super) fn kill(&self) {
        // It may have ended by itself.
        let _ = self.process.signal(Signal::Kill);
    }

    /// Completes when it is ready; fails with what it says, and it is gone then.
    pub(super) async fn ready(&self, reactor: &Reactor) -> Result {
        let Some(pipe) = self.pipe.take() else { return Ok(()) };
        let told = reactor.defer_to_thread(move || Ok(hear(pipe)));
        let outcome = match reactor.timeout(PATIENCE, told).await {
            Ok(told) => told?.map_err(|(_, why)| Failure::msg(why)),
            Err(late) => Err(late.into()),
        };
        if outcome.is_err() {
            self.kill();
        }
        outcome
    }
}
