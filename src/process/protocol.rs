//! What a child process means to a program, as callbacks.

use super::child::{self, Process};
use super::options::ProcessOptions;
use crate::deferred::{Deferred, IntoDeferred};
use crate::failure::{Failure, Result};
use crate::reactor::Reactor;

// Named by the pages.
#[cfg(doc)]
use super::error::{ProcessDone, ProcessStatusUnknown, ProcessTerminated, SpawnError};

/// Meaning for what a child process writes, as callbacks.
///
/// # Its life
/// 1. `connection_made` is called when the child has been started.
/// 2. `out_received`, `err_received` or, for other descriptors, `child_data_received` is called with
///    whatever bytes arrive; `child_connection_lost` once for each descriptor that ended.
/// 3. `process_exited` is called as soon as the child has ended.
/// 4. `process_ended` is called, exactly once and last, when also all its descriptors have; the
///    protocol is dropped.
///
/// A failure that a method returns, or a panic, closes the descriptor that it was about, and is
/// reported.
#[doc(alias = "IProcessProtocol")]
pub trait ProcessProtocol {
    /// The child has been started.
    #[doc(alias = "connectionMade")]
    fn connection_made(&mut self, process: &Process) {
        let _ = process;
    }

    /// Bytes arrived on one of the child's descriptors; the default passes on those of 1 and 2.
    #[doc(alias = "childDataReceived")]
    fn child_data_received(&mut self, process: &Process, descriptor: i32, data: &[u8]) -> Result {
        match descriptor {
            1 => self.out_received(process, data),
            2 => self.err_received(process, data),
            _ => Ok(()),
        }
    }

    /// The child wrote to its standard output, or to its terminal.
    #[doc(alias = "outReceived")]
    fn out_received(&mut self, process: &Process, data: &[u8]) -> Result {
        let _ = (process, data);
        Ok(())
    }

    /// The child wrote to its standard error.
    #[doc(alias = "errReceived")]
    fn err_received(&mut self, process: &Process, data: &[u8]) -> Result {
        let _ = (process, data);
        Ok(())
    }

    /// One of the child's descriptors was closed, at either end.
    #[doc(alias = "childConnectionLost")]
    #[doc(alias = "outConnectionLost")]
    fn child_connection_lost(&mut self, process: &Process, descriptor: i32) {
        let _ = (process, descriptor);
    }

    /// The child has ended; some of what it wrote may still come.
    #[doc(alias = "processExited")]
    fn process_exited(&mut self, reason: &Failure) {
        let _ = reason;
    }

    /// The child has ended and so has all it had to say: [`ProcessDone`](super::ProcessDone) for an exit status of 0, else
    /// [`ProcessTerminated`](super::ProcessTerminated);
    /// [`ProcessStatusUnknown`](super::ProcessStatusUnknown) where the system has no status to give.
    #[doc(alias = "processEnded")]
    fn process_ended(&mut self, reason: &Failure) {
        let _ = reason;
    }
}

impl Reactor {
    /// Starts a program; the Deferred has fired when this returns, with the child or with
    /// [`SpawnError`](super::SpawnError).
    ///
    /// A child that outlives its reactor is left alone.
    ///
    /// ```
    /// use ropewalk::process::{Process, ProcessDone, ProcessOptions, ProcessProtocol};
    /// use ropewalk::{Failure, Reactor, Result};
    ///
    /// struct Greeting(Reactor, Vec<u8>);
    /// impl ProcessProtocol for Greeting {
    ///     fn connection_made(&mut self, process: &Process) {
    ///         process.write(b"hello");
    ///         process.close_stdin();
    ///     }
    ///     fn out_received(&mut self, _: &Process, data: &[u8]) -> Result {
    ///         Ok(self.1.extend_from_slice(data))
    ///     }
    ///     fn process_ended(&mut self, reason: &Failure) {
    ///         assert!(reason.is::<ProcessDone>());
    ///         assert_eq!(self.1, b"hello");
    ///         let _ = self.0.stop();
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// reactor.spawn_process(Greeting(reactor.clone(), Vec::new()), ProcessOptions::new("cat"));
    /// reactor.run()?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "spawnProcess")]
    #[track_caller]
    pub fn spawn_process(
        &self,
        protocol: impl ProcessProtocol + 'static,
        options: impl Into<ProcessOptions>,
    ) -> Deferred<Process> {
        child::spawn(self, Box::new(protocol), options.into()).into_deferred()
    }
}
