// How a client service connects: with a protocol, or with a handler. What both give is a connection and the
// knowledge of its end.

use super::flag::Flag;
use super::running::Running;
use super::shared::Lent;
use crate::net::Reachable;
use crate::{
    Address, ClientEndpoint, Connected, Deferred, Factory, Failure, IntoDeferred, Protocol, Result,
    Stream, Transport, forward_protocol,
};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

pub(super) trait Dial<C> {
    fn dial(&self, to: &ClientEndpoint, up: &Running) -> Deferred<Dialed<C>>;
}

/// A connection, and how it ends.
pub(super) struct Dialed<C> {
    pub(super) connected: C,
    pub(super) lost: Lost,
    transport: Transport,
}

impl<C> Dialed<C> {
    /// Ends it in order; done when its protocol was told.
    pub(super) async fn close(&mut self) {
        self.transport.lose_connection();
        self.lost.wait().await;
    }
}

/// Whether a connection is lost, and why.
#[derive(Clone, Default)]
pub(super) struct Lost {
    flag: Rc<Flag>,
    reason: Rc<RefCell<Option<Failure>>>,
}

impl Lost {
    fn note(&self, reason: &Failure) {
        self.reason.replace(Some(reason.clone()));
        self.flag.set();
    }

    pub(super) fn reason(&self) -> Option<Failure> {
        self.reason.borrow().clone()
    }

    pub(super) fn wait(&self) -> impl Future<Output = Failure> + Unpin + use<> {
        let (flag, lost) = (self.flag.wait(), self.clone());
        let gone = || Failure::msg("the connection is gone");
        Box::pin(async move {
            flag.await;
            lost.reason().unwrap_or_else(gone)
        })
    }
}

/// With a protocol of the factory's.
pub(super) struct Protocols<F>(pub(super) Lent<F>);

/// Around the user's: it tells of the end, after it was told itself.
pub(super) struct Watched<P> {
    inner: Reachable<P>,
    lost: Lost,
    reason: Option<Failure>,
}

impl<P: Protocol + 'static> Protocol for Watched<P> {
    forward_protocol!(self.inner: all except connection_lost);

    fn connection_lost(&mut self, reason: &Failure) {
        self.reason = Some(reason.clone());
        self.inner.connection_lost(reason);
    }
}

/// Also after a panic in `connection_lost`, and for a connection that never began.
impl<P> Drop for Watched<P> {
    fn drop(&mut self) {
        let gone = || Failure::msg("the connection is gone");
        self.lost.note(&self.reason.take().unwrap_or_else(gone));
    }
}

impl<F: Factory + 'static> Dial<Connected<F::Protocol>> for Protocols<F> {
    fn dial(&self, to: &ClientEndpoint, up: &Running) -> Deferred<Dialed<Connected<F::Protocol>>> {
        let (me, lost) = (Rc::<Cell<_>>::default(), Lost::default());
        let watching = Watching { factory: self.0.clone(), me: me.clone(), lost: lost.clone() };
        up.reactor().connect(to.clone(), watching).add_callback(move |connected| {
            let transport = connected.transport().clone();
            let connected = me.take().ok_or_else(|| Failure::msg("the connection is gone"))?;
            Ok(Dialed { connected, lost, transport })
        })
    }
}

/// Builds for one connection.
struct Watching<F: Factory> {
    factory: Lent<F>,
    me: Rc<Cell<Option<Connected<F::Protocol>>>>,
    lost: Lost,
}

impl<F: Factory> Factory for Watching<F> {
    type Protocol = Watched<F::Protocol>;

    fn build_protocol(&mut self, peer: &Address) -> Option<Watched<F::Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        let me = self.me.clone();
        let inner = Reachable::new(move |myself| {
            me.set(Some(myself));
            protocol
        });
        Some(Watched { inner, lost: self.lost.clone(), reason: None })
    }
}

/// With an async function.
pub(super) struct Handling<H>(pub(super) Rc<H>);

impl<H, R> Dial<Transport> for Handling<H>
where
    H: AsyncFn(Stream) -> R + 'static,
    R: IntoDeferred<Output = ()> + 'static,
{
    fn dial(&self, to: &ClientEndpoint, up: &Running) -> Deferred<Dialed<Transport>> {
        let (handler, lost, up) = (self.0.clone(), Lost::default(), up.clone());
        up.reactor().open(to.clone()).add_callback(move |stream| {
            let transport = stream.transport();
            let (told, aborts) = (lost.clone(), transport.clone());
            let handling = up.spawn(async move { handler(stream).await });
            drop(handling.add_both(move |outcome: Result| {
                let done = || Failure::from(crate::transport::ConnectionDone);
                if outcome.is_err() {
                    // As of any handler that fails.
                    aborts.abort_connection();
                }
                told.note(&outcome.err().unwrap_or_else(done));
            }));
            Ok(Dialed { connected: transport.clone(), lost, transport })
        })
    }
}
