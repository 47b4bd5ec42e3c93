//! Running a program for its output, or for its exit status alone.

use super::child::{Process, spawn};
use super::options::{ChildDescriptor, ProcessOptions};
use super::{ProcessProtocol, ProcessTerminated};
use crate::deferred::{Deferred, Trigger};
use crate::failure::{Failure, Result};
use crate::reactor::{Reactor, Signal};
use std::cell::RefCell;
use std::panic::Location;
use std::process::ExitStatus;
use std::rc::Rc;

/// What a program wrote, and how it ended.
///
/// ```
/// use ropewalk::process::{ProcessOptions, ProcessOutput};
/// use ropewalk::Reactor;
///
/// let reactor = Reactor::new()?;
/// let script = ProcessOptions::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]);
/// let ProcessOutput { stdout, stderr, status } =
///     reactor.run_until(reactor.process_output_and_value(script))?;
/// assert_eq!((stdout, stderr, status.code()), (b"out\n".into(), b"err\n".into(), Some(3)));
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessOutput {
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub status: ExitStatus,
}

impl Reactor {
    /// Runs a program and gives what it wrote to its standard output.
    ///
    /// Fails with [`SpawnError`](super::SpawnError), and with [`ProcessTerminated`], which quotes
    /// the end of its standard error, unless it exits with 0. Its standard input is empty. Cancelling
    /// kills it.
    ///
    /// ```
    /// use ropewalk::{Reactor, process::ProcessOptions};
    ///
    /// let reactor = Reactor::new()?;
    /// let output = reactor.process_output(ProcessOptions::new("echo").arg("hello"));
    /// assert_eq!(reactor.run_until(output)?, b"hello\n");
    ///
    /// let output = reactor.process_output("no-such-program");
    /// let failure = reactor.run_until(output).unwrap_err();
    /// assert!(failure.to_string().starts_with("cannot start no-such-program: "));
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "getProcessOutput")]
    #[track_caller]
    pub fn process_output(&self, options: impl Into<ProcessOptions>) -> Deferred<Vec<u8>> {
        let options = options.into();
        let (program, here) = (options.program(), Location::caller());
        self.process_output_and_value(options).add_callback(move |output| {
            match output.status.success() {
                true => Ok(output.stdout),
                false => Err(Failure::at(here, terminated(program, &output))),
            }
        })
    }

    /// Runs a program and gives its exit status; what it writes is thrown away unless the options say
    /// where it goes.
    ///
    /// Fails with [`SpawnError`](super::SpawnError), and with [`ProcessTerminated`] if a signal
    /// ended it. Cancelling kills it.
    ///
    /// ```
    /// use ropewalk::{Reactor, process::ProcessOptions};
    ///
    /// let reactor = Reactor::new()?;
    /// let value = reactor.process_value(ProcessOptions::new("sh").args(["-c", "exit 3"]));
    /// assert_eq!(reactor.run_until(value)?, 3);
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "getProcessValue")]
    #[track_caller]
    pub fn process_value(&self, options: impl Into<ProcessOptions>) -> Deferred<i32> {
        let options = options
            .into()
            .unless_said(1, ChildDescriptor::Null)
            .unless_said(2, ChildDescriptor::Null);
        let (program, here) = (options.program(), Location::caller());
        self.process_output_and_value(options).add_callback(move |output| {
            let ended = output.status.code();
            ended.ok_or_else(|| Failure::at(here, terminated(program, &output)))
        })
    }

    /// Runs a program and gives all that it wrote and how it ended, be that well or not.
    ///
    /// Fails with [`SpawnError`](super::SpawnError), and if it writes more than the options allow.
    /// Cancelling kills it.
    #[doc(alias = "getProcessOutputAndValue")]
    #[track_caller]
    pub fn process_output_and_value(
        &self,
        options: impl Into<ProcessOptions>,
    ) -> Deferred<ProcessOutput> {
        let options = options.into().unless_said(0, ChildDescriptor::Null);
        let running = Rc::new(RefCell::new(None));
        let to_kill = running.clone();
        let (trigger, deferred) = Deferred::with_canceller(move |_| {
            let process: Option<Process> = to_kill.take();
            process.iter().for_each(kill);
        });
        let (stdout, stderr, left) = (Vec::new(), Vec::new(), options.most_output);
        let collecting =
            Collecting { stdout, stderr, left, trigger: trigger.clone(), process: None };
        match spawn(self, Box::new(collecting), options) {
            Ok(process) => drop(running.replace(Some(process))),
            // It was not fired before: nothing was started.
            Err(failure) => drop(trigger.errback(failure)),
        }
        deferred
    }
}

fn kill(process: &Process) {
    // It may have ended this very moment.
    let _ = process.signal(Signal::Kill);
    process.lose_connection();
}

/// So much of what a program said last is quoted.
const LAST_WORDS: usize = 500;

fn terminated(program: Box<str>, output: &ProcessOutput) -> ProcessTerminated {
    let from = output.stderr.len().saturating_sub(LAST_WORDS);
    let last_words = String::from_utf8_lossy(&output.stderr[from..]).trim().into();
    ProcessTerminated { program, status: output.status, last_words }
}

struct Collecting {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// So many bytes more are taken.
    left: usize,
    trigger: Trigger<ProcessOutput>,
    process: Option<Process>,
}

impl Collecting {
    fn take_from_limit(&mut self, process: &Process, length: usize) -> Result {
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                kill(process);
                let why = format!("{process:?} wrote more than may be collected, and was killed");
                // It is told once; cancelled meanwhile, nobody waits.
                let _ = self.trigger.errback(Failure::msg(why));
                Err(crate::transport::ConnectionDone.into())
            }
        }
    }
}

impl ProcessProtocol for Collecting {
    fn connection_made(&mut self, process: &Process) {
        self.process = Some(process.clone());
    }

    fn out_received(&mut self, process: &Process, data: &[u8]) -> Result {
        self.take_from_limit(process, data.len())?;
        self.stdout.extend_from_slice(data);
        Ok(())
    }

    fn err_received(&mut self, process: &Process, data: &[u8]) -> Result {
        self.take_from_limit(process, data.len())?;
        self.stderr.extend_from_slice(data);
        Ok(())
    }

    fn process_ended(&mut self, reason: &Failure) {
        let status = self.process.as_ref().and_then(Process::status);
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        // Cancelled, or over the limit: it was told already.
        let _ = match status {
            Some(status) => self.trigger.callback(ProcessOutput { stdout, stderr, status }),
            None => self.trigger.errback(reason.clone()),
        };
    }
}
