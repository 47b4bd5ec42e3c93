//! Protocol and ClientFactory: the protocol collects one poem, the factory watches its connection.

use std::rc::Rc;

use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::transport::ConnectionDone;
use ropewalk::{Address, Failure, Protocol, Reactor, Result, Transport};

use crate::recital::{Recital, Task};

struct PoetryProtocol {
    poem: Vec<u8>,
    task: Task,
    recital: Rc<Recital>,
}

struct PoetryFactory {
    task: Task,
    recital: Rc<Recital>,
    reactor: Reactor,
}

pub(crate) fn get(recital: &Rc<Recital>) -> Result {
    let reactor = Reactor::new()?;
    recital.stops_with(&reactor);
    for task in recital.tasks() {
        let factory = PoetryFactory { task, recital: recital.clone(), reactor: reactor.clone() };
        reactor.connect_tcp(recital.address(task), factory);
    }
    reactor.run()
}

impl Protocol for PoetryProtocol {
    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.recital.piece(self.task, &mut self.poem, data)
    }

    fn connection_lost(&mut self, reason: &Failure) {
        if reason.is::<ConnectionDone>() {
            self.recital.finished(self.task, &self.poem, self.recital.elapsed());
        } else {
            self.recital.failed(self.task, reason);
        }
    }
}

impl ClientFactory for PoetryFactory {
    type Protocol = PoetryProtocol;

    fn build_protocol(&mut self, _address: &Address) -> Option<PoetryProtocol> {
        let (task, recital) = (self.task, self.recital.clone());
        Some(PoetryProtocol { poem: Vec::new(), task, recital })
    }

    fn client_connection_failed(&mut self, _connector: &Connector, reason: &Failure) {
        self.recital.failed(self.task, reason);
        self.stop_after_the_last();
    }

    fn client_connection_lost(&mut self, _connector: &Connector, _reason: &Failure) {
        self.stop_after_the_last();
    }
}

impl PoetryFactory {
    fn stop_after_the_last(&self) {
        if self.recital.is_over() {
            let _ = self.reactor.stop();
        }
    }
}
