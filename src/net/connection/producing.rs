//! A connection and its producer: who is told what, and when.
//!
//! # Invariants
//! * A producer is out of its place while it is called, and goes back unless it was unregistered.
//! * Until it is unregistered, an end in order waits.

use crate::failure::{Failure, NO_PLACE, Result, catch_panic};
use crate::net::connection::Connection;
use crate::net::connection::outbound::{HIGH, LOW};
use crate::transport::{Producer, Producing, Transport};
use std::rc::Rc;

/// Where a connection keeps its producer.
pub(super) struct Place {
    /// Absent while it is called.
    producer: Option<Box<dyn Producer>>,
    producing: Producing,
    is_paused: bool,
}

#[derive(Clone, Copy)]
enum Told {
    Resume,
    Pause,
}

impl Place {
    /// What the producer has to be told, with so much waiting to be sent.
    fn next(&mut self, waiting: usize) -> Option<Told> {
        match self.producing {
            Producing::Pull => (waiting == 0).then_some(Told::Resume),
            Producing::Push if waiting > HIGH && !self.is_paused => {
                self.is_paused = true;
                Some(Told::Pause)
            }
            Producing::Push if waiting <= LOW && self.is_paused => {
                self.is_paused = false;
                Some(Told::Resume)
            }
            Producing::Push => None,
        }
    }
}

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
        let place = Place { producer: Some(producer), producing, is_paused: false };
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
    #[cold]
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
