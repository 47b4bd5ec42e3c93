//! How a child ends, and what may go wrong with one.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// A child ended with an exit status of 0.
///
/// ```
/// use ropewalk::process::{Process, ProcessDone, ProcessProtocol};
/// use ropewalk::{Failure, Reactor};
///
/// struct Task(Reactor);
/// impl ProcessProtocol for Task {
///     fn process_ended(&mut self, reason: &Failure) {
///         assert!(reason.is::<ProcessDone>());
///         let _ = self.0.stop();
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.spawn_process(Task(reactor.clone()), "true");
/// reactor.run()?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessDone;

impl fmt::Display for ProcessDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process ended well")
    }
}

impl std::error::Error for ProcessDone {}

/// A child ended with another exit status than 0, or by a signal.
///
/// ```
/// use ropewalk::Reactor;
/// use ropewalk::process::{ProcessOptions, ProcessTerminated};
///
/// let reactor = Reactor::new()?;
/// let output = reactor.process_output(ProcessOptions::new("sh").args(["-c", "echo why >&2; exit 3"]));
/// let failure = reactor.run_until(output).unwrap_err();
/// let ended = failure.check::<ProcessTerminated>().unwrap();
/// assert_eq!((ended.exit_code(), ended.signal()), (Some(3), None));
/// assert!(!ended.status().success());
/// assert!(failure.to_string().ends_with("saying: why"));
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessTerminated {
    pub(super) program: Box<str>,
    pub(super) status: ExitStatus,
    /// The end of what it wrote to standard error, where that was collected.
    pub(super) last_words: Box<str>,
}

impl ProcessTerminated {
    /// The exit status, unless a signal ended it.
    #[doc(alias = "exitCode")]
    pub fn exit_code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The number of the signal that ended it, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// What the system said of the end.
    pub fn status(&self) -> ExitStatus {
        self.status
    }
}

impl fmt::Display for ProcessTerminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the process {} ended with {}", self.program, self.status)?;
        match &*self.last_words {
            "" => Ok(()),
            words => write!(f, ", saying: {words}"),
        }
    }
}

impl std::error::Error for ProcessTerminated {}

/// A child ended, and nobody can tell how: the process was started with SIGCHLD ignored, or another part
/// of it waits for children that are not its own.
///
/// ```
/// use ropewalk::process::{ProcessOutput, ProcessStatusUnknown};
/// use ropewalk::Result;
///
/// /// What can be said of a child whose status is somebody else's.
/// fn outcome(output: Result<ProcessOutput>) -> Result<String> {
///     match output {
///         Err(failure) if failure.is::<ProcessStatusUnknown>() => Ok("it ended, somehow".into()),
///         output => Ok(output?.status.to_string()),
///     }
/// }
/// # let _ = outcome;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStatusUnknown {
    pub(super) program: Box<str>,
}

impl fmt::Display for ProcessStatusUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the process {} ended, and somebody else took its status", self.program)
    }
}

impl std::error::Error for ProcessStatusUnknown {}

/// A program could not be started.
///
/// ```
/// use ropewalk::{Reactor, process::SpawnError};
/// use std::io::ErrorKind;
///
/// let reactor = Reactor::new()?;
/// let failure = reactor.run_until(reactor.process_output("no-such-program")).unwrap_err();
/// assert_eq!(failure.check::<SpawnError>().unwrap().kind(), ErrorKind::NotFound);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
pub struct SpawnError {
    pub(super) program: Box<str>,
    pub(super) cause: io::Error,
}

impl SpawnError {
    /// What kind of error the system named: `NotFound` when there is no such program or directory.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start {}: {}", self.program, self.cause)
    }
}

impl std::error::Error for SpawnError {}

/// A signal was sent to a child that had ended before.
///
/// ```
/// use ropewalk::process::ProcessExitedAlready;
/// use ropewalk::{Reactor, reactor::Signal};
///
/// let reactor = Reactor::new()?;
/// let mut child = reactor.run_until(reactor.open_process("true"))?;
/// reactor.run_until(child.wait())?;
/// assert!(child.process.signal(Signal::Term).unwrap_err().is::<ProcessExitedAlready>());
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessExitedAlready {
    pub(super) program: Box<str>,
}

impl fmt::Display for ProcessExitedAlready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the process {} has ended already", self.program)
    }
}

impl std::error::Error for ProcessExitedAlready {}
