//! Deferreds: `get_poem` gives a poem to come, and the caller says what happens then.

use std::rc::Rc;

use ropewalk::transport::ConnectionDone;
use ropewalk::{Address, Deferred, Failure, Protocol, Reactor, Result, Transport, Trigger};

use crate::recital::{Recital, Task};

struct PoetryProtocol {
    poem: Vec<u8>,
    finished: Trigger<Vec<u8>>,
    task: Task,
    recital: Rc<Recital>,
}

pub(crate) fn get(recital: &Rc<Recital>) -> Result {
    let reactor = Reactor::new()?;
    recital.stops_with(&reactor);
    for task in recital.tasks() {
        let on_poem = {
            let recital = recital.clone();
            move |poem: Vec<u8>| recital.finished(task, &poem, recital.elapsed())
        };
        let on_failure = {
            let recital = recital.clone();
            move |failure: Failure| recital.failed(task, &failure)
        };
        let at_the_end = {
            let (recital, reactor) = (recital.clone(), reactor.clone());
            move |_| if recital.is_over() { reactor.stop() } else { Ok(()) }
        };
        get_poem(&reactor, recital, task).add_callbacks(on_poem, on_failure).add_both(at_the_end);
    }
    reactor.run()
}

fn get_poem(reactor: &Reactor, recital: &Rc<Recital>, task: Task) -> Deferred<Vec<u8>> {
    let (trigger, poem) = Deferred::new();
    let (finished, listener) = (trigger.clone(), recital.clone());
    let factory = move |_: &Address| PoetryProtocol {
        poem: Vec::new(),
        finished: finished.clone(),
        task,
        recital: listener.clone(),
    };
    reactor.connect(recital.address(task), factory).add_both(move |connected| {
        if let Err(failure) = connected {
            trigger.errback(failure)?;
        }
        Ok(())
    });
    poem
}

impl Protocol for PoetryProtocol {
    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.recital.piece(self.task, &mut self.poem, data)
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let fired = if reason.is::<ConnectionDone>() {
            self.finished.callback(std::mem::take(&mut self.poem))
        } else {
            self.finished.errback(reason.clone())
        };
        fired.expect("a connection is lost once");
    }
}
