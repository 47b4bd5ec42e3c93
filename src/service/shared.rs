// What is used at every start of its service: ports and connectors take their factories for good.

use crate::ported::{ClientFactory, Connector};
use crate::{Address, Factory, Failure};
use std::cell::Cell;
use std::rc::Rc;

/// Absent while it is called: user code calls back.
pub(super) struct Lent<F>(Rc<Cell<Option<F>>>);

impl<F> Lent<F> {
    pub(super) fn new(factory: F) -> Lent<F> {
        Lent(Rc::new(Cell::new(Some(factory))))
    }

    pub(super) fn with<R>(&self, call: impl FnOnce(&mut F) -> R) -> Option<R> {
        /// Puts it back, also after a panic.
        struct Back<'t, F>(&'t Cell<Option<F>>, Option<F>);
        impl<F> Drop for Back<'_, F> {
            fn drop(&mut self) {
                self.0.set(self.1.take());
            }
        }
        let mut out = Back(&self.0, self.0.take());
        out.1.as_mut().map(call)
    }
}

impl<F> Clone for Lent<F> {
    fn clone(&self) -> Lent<F> {
        Lent(self.0.clone())
    }
}

impl<F: Factory> Factory for Lent<F> {
    type Protocol = F::Protocol;

    fn build_protocol(&mut self, peer: &Address) -> Option<F::Protocol> {
        self.with(|factory| factory.build_protocol(peer)).flatten()
    }

    fn started(&mut self) {
        self.with(|factory| factory.started());
    }

    fn stopped(&mut self) {
        self.with(|factory| factory.stopped());
    }
}

/// The same for the factory of a connector.
pub(super) struct SharedClientFactory<F>(Lent<F>);

impl<F> SharedClientFactory<F> {
    pub(super) fn new(factory: F) -> SharedClientFactory<F> {
        SharedClientFactory(Lent::new(factory))
    }
}

impl<F> Clone for SharedClientFactory<F> {
    fn clone(&self) -> SharedClientFactory<F> {
        SharedClientFactory(self.0.clone())
    }
}

#[deny(clippy::missing_trait_methods)]
impl<F: ClientFactory> ClientFactory for SharedClientFactory<F> {
    type Protocol = F::Protocol;

    fn started(&mut self) {
        self.0.with(|factory| factory.started());
    }

    fn started_connecting(&mut self, connector: &Connector) {
        self.0.with(|factory| factory.started_connecting(connector));
    }

    fn build_protocol(&mut self, peer: &Address) -> Option<F::Protocol> {
        self.0.with(|factory| factory.build_protocol(peer)).flatten()
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &Failure) {
        self.0.with(|factory| factory.client_connection_failed(connector, reason));
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Failure) {
        self.0.with(|factory| factory.client_connection_lost(connector, reason));
    }

    fn stopped(&mut self) {
        self.0.with(|factory| factory.stopped());
    }
}
