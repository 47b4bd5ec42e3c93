// The traits; the rules that both sides keep are the room's page.

use crate::address::Address;
use crate::failure::{Failure, Result};
use crate::forward_protocol;
use crate::transport::Transport;
use std::os::fd::OwnedFd;

/// Meaning for the bytes of one connection, as callbacks.
///
/// ```
/// use ropewalk::{Protocol, Result, Transport};
///
/// struct Echo;
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no protocol",
    note = "`data_received` is all that `impl Protocol` asks for",
    note = "a `LineProtocol` or `StringProtocol` is one inside its receiver: `LineReceiver::new(..)`"
)]
#[doc(alias = "IProtocol")]
#[doc(alias = "IHalfCloseableProtocol")]
pub trait Protocol {
    /// The connection is there.
    #[doc(alias = "connectionMade")]
    fn connection_made(&mut self, transport: &Transport) {
        let _ = transport;
    }

    /// Bytes arrived; where they are cut means nothing.
    ///
    /// An error or a panic resets the connection, so that the peer does not take what it got for all,
    /// and is what `connection_lost` is told. What was written before still goes out if the system takes
    /// it. To answer and then end in order: `write`, `lose_connection`, `Ok`.
    #[doc(alias = "dataReceived")]
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result;

    /// Reading goes on after it was paused: what a framing kept back meanwhile can be delivered.
    ///
    /// Bytes that arrived since come after it. An error resets the connection.
    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The connection has ended:
    /// [`ConnectionDone`](crate::transport::ConnectionDone) in order, [`ConnectionLost`](crate::transport::ConnectionLost) by
    /// the network or the peer, [`ConnectionAborted`](crate::transport::ConnectionAborted) by this end, or the
    /// protocol's own failure.
    #[doc(alias = "connectionLost")]
    fn connection_lost(&mut self, reason: &Failure) {
        let _ = reason;
    }

    /// The peer will send nothing more. The default ends the connection, after what was written.
    #[doc(alias = "readConnectionLost")]
    fn read_closed(&mut self, transport: &Transport) {
        transport.lose_connection();
    }

    /// Nothing more can be written: `lose_write_connection` was called, and its time has come.
    #[doc(alias = "writeConnectionLost")]
    fn write_closed(&mut self, transport: &Transport) {
        let _ = transport;
    }

    /// More than 64 KiB wait for the peer to take them: better write no more for now.
    ///
    /// The default goes on. Whoever writes because of what is read, as an echo or a proxy does, reads no
    /// more meanwhile: `transport.pause_reading()` here and `resume_reading()` in `resume_writing`, else
    /// a peer that does not read makes the buffer grow. That is not the default because two ends that
    /// first write much and then read would wait for each other for ever.
    #[doc(alias = "pauseProducing")]
    fn pause_writing(&mut self, transport: &Transport) {
        let _ = transport;
    }

    /// The peer has taken all but 16 KiB: go on.
    #[doc(alias = "resumeProducing")]
    fn resume_writing(&mut self, transport: &Transport) {
        let _ = transport;
    }

    /// The server stops: finish what is under way, and then end the connection.
    ///
    /// The default does nothing, and the connection lives on until its peer ends it or the
    /// [time](crate::service) for that is over. Told once at most, with reading going on as before.
    fn drain(&mut self, transport: &Transport) {
        let _ = transport;
    }

    /// A descriptor came through a Unix socket, with the bytes that are received next. The default
    /// closes it.
    #[doc(alias = "fileDescriptorReceived")]
    fn file_descriptor_received(&mut self, transport: &Transport, descriptor: OwnedFd) {
        let _ = (transport, descriptor);
    }
}

// One wrapper of all that clippy reads: a method that the macro does not know is found here.
#[deny(clippy::missing_trait_methods)]
impl<P: Protocol + ?Sized> Protocol for Box<P> {
    forward_protocol!(*self: all);
}

/// Builds a protocol for each connection; any `FnMut(&Address) -> P` is one.
///
/// A closure says the type of what it takes, `|_: &Address| Echo`: without it the compiler takes the
/// closure for one of a single lifetime, and says that "implementation of `FnMut` is not general enough".
///
/// ```
/// use ropewalk::{Address, Factory, Protocol, Result, Transport};
///
/// struct Quiet;
/// impl Protocol for Quiet {
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// struct OnlyLocal;
/// impl Factory for OnlyLocal {
///     type Protocol = Quiet;
///     fn build_protocol(&mut self, peer: &Address) -> Option<Quiet> {
///         peer.ip()?.is_loopback().then_some(Quiet)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` builds no protocols",
    note = "a factory is a closure that makes a protocol for each connection: `|_: &Address| Echo`"
)]
#[doc(alias = "IProtocolFactory")]
pub trait Factory {
    /// What it builds.
    type Protocol: Protocol + 'static;

    /// The protocol for a connection with this peer; `None` closes the connection.
    #[doc(alias = "buildProtocol")]
    fn build_protocol(&mut self, peer: &Address) -> Option<Self::Protocol>;

    /// A port or connector begins to use this factory.
    #[doc(alias = "startFactory")]
    fn started(&mut self) {}

    /// The port or connector that used this factory is done.
    #[doc(alias = "stopFactory")]
    fn stopped(&mut self) {}
}

impl<F, P> Factory for F
where
    F: FnMut(&Address) -> P,
    P: Protocol + 'static,
{
    type Protocol = P;

    fn build_protocol(&mut self, peer: &Address) -> Option<P> {
        Some(self(peer))
    }
}
