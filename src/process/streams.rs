//! A child whose descriptors are streams, for tasks.

use super::child::{Process, follow};
use super::options::{End, ProcessOptions, Spawned};
use super::terminal::connection;
use crate::address::Address;
use crate::deferred::{Deferred, IntoDeferred};
use crate::failure::Result;
use crate::reactor::Reactor;
use crate::stream::Stream;
use std::collections::BTreeMap;

/// A child process and the streams to and from it; dropping a stream closes it.
///
/// ```
/// use futures_util::{AsyncReadExt, AsyncWriteExt};
/// use ropewalk::{Reactor, process::ProcessOptions};
///
/// let reactor = Reactor::new()?;
/// let opening = reactor.open_process(ProcessOptions::new("tr").args(["a-z", "A-Z"]));
/// let heard = reactor.run_until(async move {
///     let mut child = opening.await?;
///     child.stdio.write_all(b"rope").await?;
///     child.stdio.close().await?;
///     let mut heard = String::new();
///     child.stdio.read_to_string(&mut heard).await?;
///     assert!(child.process.ended().await?.success());
///     Ok(heard)
/// });
/// assert_eq!(heard?, "ROPE");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Debug)]
pub struct ProcessStreams {
    /// Reads what the child writes to its standard output and writes what it reads from its standard
    /// input; its terminal, if it has one, on which to close it is to type Ctrl-D.
    pub stdio: Stream,
    /// The other descriptors, 2 for standard error, each in the one direction that it has.
    pub others: BTreeMap<i32, Stream>,
    /// The child itself.
    pub process: Process,
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
        let Spawned { child, program, mut pipes, .. } = options.spawn(self)?;
        let stream = |end: End, name: &str| {
            let name = Address::pipe(format!("{name} of {program}"));
            Ok(Stream::new(connection(self, end, name)?))
        };
        let mut both = pipes.remove(&1).unwrap_or_default();
        if let Some(stdin) = pipes.remove(&0) {
            both.output = stdin.output;
        }
        let stdio = stream(both, "stdio")?;
        let others = pipes.into_iter().map(|(number, end)| {
            let stream = stream(end, &format!("descriptor {number}"));
            stream.map(|stream| (number, stream))
        });
        let others = others.collect::<Result<_>>()?;
        Ok(ProcessStreams { stdio, others, process: follow(self, child, program)? })
    }
}
