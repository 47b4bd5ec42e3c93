//! Twisted's model for Rust: a reactor, Deferreds, protocols and transports, with async/await as an
//! equal face of all of it.
#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("ropewalk needs a Unix: sockets, pipes and descriptors as POSIX has them");

mod address;
mod buffer;
mod clock;
pub mod conformance;
pub mod deferred;
pub mod driver;
pub mod endpoint;
mod failure;
pub mod framing;
pub mod guide;
#[cfg(feature = "http")]
pub mod http;
mod net;
pub mod policies;
mod ported;
pub mod process;
pub mod protocol;
pub mod reactor;
pub mod simulation;
mod slots;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;

pub use address::{Address, UnixName};
pub use clock::{Clock, DelayedCall, NotPendingError, TestClock, WeakClock};
pub use deferred::{
    AlreadyCalled, AlreadyLoopingError, Cancelled, CooperativeTask, Cooperator, Deferred,
    DeferredFilesystemLock, DeferredList, DeferredLock, DeferredQueue, DeferredSemaphore,
    FailureGroup, FilesystemPermit, FirstError, IntoDeferred, LoopingCall, NeverFired,
    NoTokensError, NotLoopingError, NotPaused, OneOrAll, Permit, QueueClosed, QueueFull,
    QueueOverflow, QueueUnderflow, TaskFinished, TimedOut, Trigger, defer_later, execute, fail,
    gather_results, maybe_deferred, race, succeed,
};
pub use failure::{
    Failure, FailureError, Panicked, Report, Result, on_peer_fault, on_report, peer_faults,
};
pub use net::{
    ConnectError, ConnectTo, Connected, DatagramProtocol, DatagramTransport, ListenError,
    ListenUnix, NoProtocolError, Port, SendError, UdpSocket,
};
pub use ported::{
    ClientCreator, ClientFactory, Connector, NotConnectingError, NotDisconnectedError,
    ReconnectingClientFactory, Retrying,
};
pub use protocol::{Factory, Protocol};
#[cfg(any(feature = "signals", feature = "process"))]
pub use reactor::Signal;
#[cfg(feature = "signals")]
pub use reactor::SignalWatch;
pub use reactor::{
    Descriptor, Event, ExitStatus, Interval, Phase, Reactor, ReactorAlreadyRunning, ReactorGone,
    ReactorNotRunning, ReactorStopped, ReadDescriptor, Remote, Resolver, Sendable, Sleep,
    SystemEventTrigger, UnhandledFailure, WouldDeadlockError, WriteDescriptor, YieldNow, react,
};
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use transport::{ConnectionAborted, ConnectionDone, ConnectionLost, Transport};
pub use transport::{Producer, ProducerStopped, Producing};

/// The README's programs compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
