//! Datagrams, each with an awaited handler.

use super::events::Driven;
use super::handling::{Handling, Holds};
use crate::address::Address;
use crate::failure::{Failure, NO_PLACE, Result, catch_panic, report};
use crate::net::datagram::{DatagramProtocol, DatagramTransport};
use crate::reactor::Reactor;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

/// Meaning for datagrams, as async callbacks: each is awaited to its end before the next is called.
///
/// Datagrams that come while one is handled wait, 256 at most; what comes then is lost, as datagrams
/// are. A handler that fails or panics is reported, and the socket serves on.
///
/// ```
/// use ropewalk::awaited::{AsyncDatagramProtocol, AwaitedDatagrams};
/// use ropewalk::net::DatagramTransport;
/// use ropewalk::{Address, Reactor, Result};
/// use std::time::Duration;
///
/// struct Echo;
/// impl AsyncDatagramProtocol for Echo {
///     async fn datagram_received(
///         &mut self,
///         transport: &DatagramTransport,
///         data: &[u8],
///         from: &Address,
///     ) -> Result {
///         transport.reactor().sleep(Duration::from_millis(1)).await;
///         transport.write_to(data, from)
///     }
/// }
/// let reactor = Reactor::new()?;
/// reactor.listen_udp("127.0.0.1:0", AwaitedDatagrams::new(Echo))?;
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[allow(async_fn_in_trait, reason = "a reactor has one thread: nobody asks whether they are Send")]
#[doc(alias = "IDatagramProtocol")]
pub trait AsyncDatagramProtocol {
    /// The socket is open; what this awaits is awaited before the first datagram is handled.
    #[doc(alias = "startProtocol")]
    async fn started(&mut self, transport: &DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A datagram arrived, whole.
    #[doc(alias = "datagramReceived")]
    async fn datagram_received(
        &mut self,
        transport: &DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result;

    /// The peer that the socket is connected to refused an earlier datagram, or cannot be reached.
    #[doc(alias = "connectionRefused")]
    async fn connection_refused(
        &mut self,
        transport: &DatagramTransport,
        reason: &Failure,
    ) -> Result {
        let _ = (transport, reason);
        Ok(())
    }

    /// The socket is closed. A handler that waited is dropped.
    #[doc(alias = "stopProtocol")]
    fn stopped(&mut self) {}
}

/// The [`DatagramProtocol`] around an [`AsyncDatagramProtocol`].
pub struct AwaitedDatagrams<P> {
    /// Until the socket is open; then the handlers have it.
    protocol: Option<P>,
    handling: Option<Rc<Handling<DatagramTransport, Event>>>,
}

enum Event {
    Started,
    Datagram(Address),
    Refused(Failure),
}

/// So many datagrams wait for the handler of an earlier one.
const MOST: usize = 256;

impl<P: AsyncDatagramProtocol> AwaitedDatagrams<P> {
    /// Around a protocol, for one socket.
    pub fn new(protocol: P) -> AwaitedDatagrams<P> {
        AwaitedDatagrams { protocol: Some(protocol), handling: None }
    }
}

impl<P> AwaitedDatagrams<P> {
    /// What fails is reported where it does.
    fn handle(&self, event: Event, data: &[u8]) -> Result {
        match &self.handling {
            Some(handling) => handling.handle(event, data),
            None => Ok(()),
        }
    }
}

impl<P: AsyncDatagramProtocol + 'static> DatagramProtocol for AwaitedDatagrams<P> {
    fn started(&mut self, transport: &DatagramTransport) {
        let Some(protocol) = self.protocol.take() else { return };
        self.handling = Some(Handling::new(protocol, transport, |it, _| it.stopped(), drive));
        let _ = self.handle(Event::Started, &[]);
    }

    fn datagram_received(&mut self, _: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        match &self.handling {
            Some(handling) if handling.waiting() < MOST => {
                handling.handle(Event::Datagram(from.clone()), data)
            }
            _ => Ok(()),
        }
    }

    fn connection_refused(&mut self, _: &DatagramTransport, reason: &Failure) {
        let _ = self.handle(Event::Refused(reason.clone()), &[]);
    }

    fn stopped(&mut self) {
        if let Some(handling) = &self.handling {
            handling.lose(Failure::without_backtrace(crate::transport::ConnectionDone));
        }
    }
}

/// Has every event handled; a panic is a failure here: the socket serves on.
async fn drive<P: AsyncDatagramProtocol>(
    mut events: Driven<P, DatagramTransport, Event>,
) -> Infallible {
    loop {
        let event = events.next_event().await;
        let (protocol, transport, data) = events.parts();
        let outcome = contain(handle(protocol, transport, event, data)).await;
        events.done(outcome);
    }
}

async fn contain(handler: impl Future<Output = Result>) -> Result {
    let mut handler = pin!(handler);
    poll_fn(|context| {
        let polled = catch_panic(NO_PLACE, || handler.as_mut().poll(context));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panic)))
    })
    .await
}

async fn handle<P: AsyncDatagramProtocol>(
    protocol: &mut P,
    transport: &DatagramTransport,
    event: Event,
    data: &[u8],
) -> Result {
    match event {
        Event::Datagram(from) => protocol.datagram_received(transport, data, &from).await,
        Event::Started => protocol.started(transport).await,
        Event::Refused(reason) => protocol.connection_refused(transport, &reason).await,
    }
}

impl Holds for DatagramTransport {
    fn hold(&self) {}

    fn release(&self) {}

    fn take_failure(&self, failure: Failure) -> Option<Failure> {
        report("unhandled failure in a handler", &failure);
        None
    }

    fn fail(&self, _: Failure) {}

    fn tell_last_panic(&self, failure: &Failure) {
        report("panic in stopped", failure);
    }

    fn reactor(&self) -> Reactor {
        DatagramTransport::reactor(self)
    }
}

impl<P> Drop for AwaitedDatagrams<P> {
    fn drop(&mut self) {
        if let Some(handling) = &self.handling {
            handling.abandon();
        }
    }
}

impl<P> fmt::Debug for AwaitedDatagrams<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitedDatagrams").finish_non_exhaustive()
    }
}
