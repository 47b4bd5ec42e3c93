//! Child processes (feature `process`) and this process' own standard input and output, in both faces.
//!
//! # Standard input and output
//! What is read comes from standard input, what is written goes to standard output: one connection
//! like any other, with its water marks, its half-close and its one end. Pipes, terminals and files do
//! equally well; a file is read in turns, as everything is. The end of input is
//! [`Protocol::read_closed`](crate::Protocol::read_closed), whose default ends the connection after what was written; a reader of
//! the output that went away is a [`ConnectionLost`](crate::transport::ConnectionLost).
//!
//! A terminal, a pipe or a socket is left as it is for others who have it open, and never has the reactor
//! wait whatever they make of it. What else there is (a device, a pipe or terminal that is another user's)
//! does not block while the connection lives, for others neither, and is put back at the end.
//!
//! The process' own descriptors stay open, so that it can print when the connection is over: a peer
//! hears the end when the process ends, or as soon as the writing half is ended
//! ([`Transport::lose_write_connection`](crate::Transport::lose_write_connection), closing the stream). What is printed after that is lost.
//!
//! # Child processes
//! A child's descriptors are pipes, and each pipe is a connection like any other: what the child does
//! not read waits here, with water marks, and what is not read here waits with the child. Its exit is
//! noticed through a descriptor of the system's for the process, so that no signal handler is needed
//! and no other child is ever waited for by mistake.
//!
//! ```text
//!            1 exit noticed                   2 the last pipe ended
//!   running ────────────────► exited ─────────────────────────────────► ended
//!      │ 2 the last pipe ended                                            ▲
//!      └──────────────────────► silent ───────────────────────────────────┘ 1
//! ```
//! A grandchild that keeps a pipe open delays the end, not the exit.
//!
//! A child's status is to be had once. Where somebody else takes it, or the system keeps none because
//! SIGCHLD is ignored, the exit and the end are told all the same, with [`ProcessStatusUnknown`].
//!
//! # What differs from Twisted
//! * A child inherits this process' environment unless told otherwise; Twisted's is empty.
//! * A program that cannot be started is always a failure that names it, whatever else is asked for.
//! * `process_output` minds the exit status, and not whether the child wrote to standard error;
//!   `process_value` fails when a signal ended the child.
//! * Of descriptors that are not mentioned the first three are the null device; others are closed if
//!   whoever opened them marked them so, as all of Rust does.

// # Not here
// A shell: give one as the program, with `-c`.

#[cfg(feature = "process")]
mod child;
#[cfg(feature = "process")]
mod error;
#[cfg(feature = "process")]
mod options;
#[cfg(feature = "process")]
mod output;
#[cfg(feature = "process")]
mod process_stream;
#[cfg(feature = "process")]
mod protocol;
mod stdio;
#[cfg(feature = "process")]
mod streams;
#[cfg(feature = "process")]
mod terminal;

#[cfg(feature = "process")]
pub use child::Process;
#[cfg(feature = "process")]
pub use error::{
    ProcessDone, ProcessExitedAlready, ProcessStatusUnknown, ProcessTerminated, SpawnError,
};
#[cfg(feature = "process")]
pub use options::{ChildDescriptor, ProcessOptions};
#[cfg(feature = "process")]
pub use output::ProcessOutput;
#[cfg(feature = "process")]
pub(crate) use process_stream::connect;
#[cfg(feature = "process")]
pub use protocol::ProcessProtocol;
pub(crate) use stdio::{standard_connection, standard_stream};
#[cfg(feature = "process")]
pub use streams::ProcessStreams;
