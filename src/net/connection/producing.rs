//! A connection and its producer: who is told what, and when.
//!
//! # Invariants
//! * A producer is out of its place while it is called, and goes back unless it was unregistered.
//! * Until it is unregistered, an end in order waits.

use crate::failure::{Failure, NO_PLACE, Result, catch_panic};
use crate::net::connection::Connection;
use crate::net::connection::outbound::{ProducerSlot, Told};
use crate::transport::{Producer, Producing, Transport};
use std::rc::Rc;

impl Connection {
    pub(super) fn set_producer(
        &self,
        mut producer: Box<dyn Producer>,
        producing: Producing,
    ) -> Result {
        if self.has_producer() {
            return Err(Failure::msg("a producer is registered already"));
        }
        if !self.state.get().takes_writes() {
            self.run_reporting_panic("panic in stop_producing", || producer.stop_producing());
            return Err(Failure::msg("the connection takes nothing any more"));
        }
        let place = ProducerSlot::new(producer, producing);
        self.with_extras(|extras| extras.producer = Some(Box::new(place)));
        self.mark_dirty();
        Ok(())
    }

    pub(super) fn forget_producer(&self) {
        if self.has_producer() {
            let former = self.with_extras(|extras| extras.producer.take());
            self.mark_dirty();
            drop(former);
        }
    }

    pub(super) fn has_producer(&self) -> bool {
        self.has_extras() && self.with_extras(|extras| extras.producer.is_some())
    }

    /// Whether writes are taken although the connection is ending, because a producer is not done.
    pub(super) fn still_produces(&self) -> bool {
        self.state.get().sends() && self.has_producer()
    }

    /// Tells the producer what it has to know, if there is one.
    pub(super) fn tend_producer(self: &Rc<Self>) {
        if !self.still_produces() {
            return;
        }
        let waiting = self.waiting();
        let told = self.with_extras(|extras| {
            let place = extras.producer.as_mut()?;
            let told = place.next(waiting)?;
            Some((place.producer.take()?, told))
        });
        let Some((mut producer, told)) = told else { return };
        let transport = self.transport();
        let called = catch_panic(NO_PLACE, || tell(&mut *producer, told, &transport));
        self.put_producer_back(producer);
        if let Err(failure) = called {
            self.report("panic in a producer", &failure);
            self.application_failed(failure);
        }
    }

    fn put_producer_back(&self, producer: Box<dyn Producer>) {
        let mut producer = Some(producer);
        self.with_extras(|extras| {
            if let Some(place) = extras.producer.as_mut()
                && place.producer.is_none()
            {
                place.producer = producer.take();
            }
        });
        // Unregistered meanwhile: dropped here, with no borrow alive.
        drop(producer);
    }

    /// The connection is lost.
    pub(super) fn stop_producer(&self) {
        let place = self.with_extras(|extras| extras.producer.take());
        if let Some(mut producer) = place.and_then(|place| place.producer) {
            self.run_reporting_panic("panic in stop_producing", || producer.stop_producing());
            self.run_reporting_panic("panic in the drop of a producer", || drop(producer));
        }
    }
}

fn tell(producer: &mut dyn Producer, told: Told, transport: &Transport) {
    match told {
        Told::Resume => producer.resume_producing(transport),
        Told::Pause => producer.pause_producing(),
    }
}
