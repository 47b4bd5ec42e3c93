//! A child whose descriptors are streams, for tasks.

use super::child::{Process, follow};
use super::options::{End, ProcessOptions, Spawned};
use super::terminal::connection;
use crate::address::Address;
use crate::deferred::{Deferred, IntoDeferred};
use crate::failure::Result;
use crate::reactor::Reactor;
use crate::stream::{ReadHalf, Stream, WriteHalf};
use std::collections::BTreeMap;
use std::process::ExitStatus;

/// A child process and the streams to and from it; dropping one closes it.
///
/// What the child has no pipe for, because the options say so, is at its end: reading gives the end, writing
/// fails.
///
/// ```
/// use futures_util::{AsyncReadExt, AsyncWriteExt};
/// use ropewalk::{Reactor, process::ProcessOptions};
///
/// let reactor = Reactor::new()?;
/// let heard = reactor.run_until(async {
///     let mut child = reactor.open_process(ProcessOptions::new("tr").args(["a-z", "A-Z"])).await?;
///     child.stdin.write_all(b"rope").await?;
///     child.stdin.close().await?;
///     let mut heard = String::new();
///     child.stdout.read_to_string(&mut heard).await?;
///     assert!(child.wait().await?.success());
///     Ok(heard)
/// });
/// assert_eq!(heard?, "ROPE");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
///
/// Whoever writes much and reads much does both at once, and gives each task its field:
///
/// ```
/// use futures_util::{AsyncReadExt, AsyncWriteExt};
/// use ropewalk::{Reactor, process::ProcessStreams};
///
/// let reactor = Reactor::new()?;
/// let count = reactor.run_until(async {
///     let ProcessStreams { mut stdin, mut stdout, process, .. } =
///         reactor.open_process("cat").await?;
///     let writing = reactor.spawn(async move {
///         stdin.write_all(&vec![b'x'; 1_000_000]).await?;
///         Ok(stdin.close().await?)
///     });
///     let count = stdout.read_to_end(&mut Vec::new()).await?;
///     writing.await?;
///     assert!(process.wait().await?.success());
///     Ok(count)
/// });
/// assert_eq!(count?, 1_000_000);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "ChildStdout")]
#[doc(alias = "ChildStdin")]
#[derive(Debug)]
#[doc(alias = "Child")]
pub struct ProcessStreams {
    /// What is written here the child reads from its standard input, or its terminal, on which to close
    /// it is to type Ctrl-D.
    pub stdin: WriteHalf,
    /// What the child writes to its standard output, or to its terminal.
    pub stdout: ReadHalf,
    /// What the child writes to its standard error; nothing, if it has a terminal.
    pub stderr: ReadHalf,
    /// The descriptors from 3 on, each in the one direction that it has.
    pub others: BTreeMap<i32, Stream>,
    /// The child itself.
    pub process: Process,
}

impl ProcessStreams {
    /// Ends the child's standard input, after what was written, and fires when the child has ended.
    ///
    /// A child that writes more than a pipe holds waits for somebody to read it: read first, or drop the
    /// streams. [`Process::wait`] leaves the standard input open.
    #[doc(alias = "wait_with_output")]
    pub fn wait(&mut self) -> Deferred<ExitStatus> {
        self.stdin.transport().lose_write_connection();
        self.process.wait()
    }
}

impl Reactor {
    /// Starts a program whose descriptors are streams; the Deferred has fired when this returns, with
    /// the child or with [`SpawnError`](super::SpawnError).
    #[track_caller]
    pub fn open_process(&self, options: impl Into<ProcessOptions>) -> Deferred<ProcessStreams> {
        self.start_with_streams(options.into()).into_deferred()
    }

    #[track_caller]
    fn start_with_streams(&self, options: ProcessOptions) -> Result<ProcessStreams> {
        self.inner().check_alive()?;
        let Spawned { child, program, mut pipes, is_terminal } = options.spawn(self)?;
        let mut stream = |number: i32, name: &str| {
            let end = pipes.remove(&number).unwrap_or_default();
            self.open_end(end, name, &program)
        };
        let stdout = stream(1, if is_terminal { "terminal" } else { "stdout" })?;
        let (stdin, stdout) = match is_terminal {
            true => {
                let (stdout, stdin) = stdout.split();
                (stdin, stdout)
            }
            false => (stream(0, "stdin")?.split().1, stdout.split().0),
        };
        let stderr = stream(2, "stderr")?.split().0;
        let others = pipes.into_iter().map(|(number, end)| {
            Ok((number, self.open_end(end, &format!("descriptor {number}"), &program)?))
        });
        let others = others.collect::<Result<_>>()?;
        Ok(ProcessStreams { stdin, stdout, stderr, others, process: follow(self, child, program)? })
    }

    #[track_caller]
    fn open_end(&self, end: End, name: &str, program: &str) -> Result<Stream> {
        let name = Address::pipe(format!("{name} of {program}"));
        Ok(Stream::new(connection(self, end, name)?))
    }
}
