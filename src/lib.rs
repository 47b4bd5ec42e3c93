//! Twisted's model for Rust: a reactor, Deferreds, protocols and transports, with async/await as an
//! equal face of all of it.
#![forbid(unsafe_code)]

mod address;
mod buffer;
mod clock;
pub mod deferred;
pub mod driver;
mod failure;
mod net;
pub mod protocol;
pub mod reactor;
mod slots;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;

pub use address::{Address, UnixName};
pub use clock::{Clock, DelayedCall, NotPending, TestClock};
pub use deferred::{
    AlreadyCalled, Cancelled, Deferred, DeferredList, FailureGroup, FirstError, IntoDeferred,
    NeverFired, OneOrAll, TimedOut, Trigger, execute, fail, gather_results, maybe_deferred, race,
    succeed,
};
pub use failure::{Failure, Panicked, Report, Result, on_report};
pub use net::{
    CannotListen, ClientFactory, ConnectError, ConnectTo, Connected, Connector, ListenUnix,
    NoProtocol, NotConnecting, NotDisconnected, Port,
};
pub use protocol::{Factory, Protocol};
pub use reactor::{
    Descriptor, Event, Phase, Reactor, ReactorAlreadyRunning, ReactorGone, ReactorNotRunning,
    ReactorStopped, ReadDescriptor, Remote, Sleep, SystemEventTrigger, WriteDescriptor, YieldNow,
};
pub use stream::{ReadHalf, Stream, WriteHalf};
pub use transport::{ConnectionAborted, ConnectionDone, ConnectionLost, Transport};

/// The README's programs compile and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
