//! Those who are in the room, and what waits for each.

use ropewalk::framing::send_line;
use ropewalk::{Result, Transport};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// So many bytes may wait for a guest who does not read; then it has to go.
const MOST: usize = 1024 * 1024;

#[derive(Clone)]
struct Seat {
    name: Rc<str>,
    transport: Transport,
    /// Written, and not taken by the system yet.
    waiting: Rc<Cell<usize>>,
}

#[derive(Clone, Default)]
pub(crate) struct Room(Rc<RefCell<Vec<Seat>>>);

impl Room {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.borrow().iter().any(|seat| *seat.name == *name)
    }

    pub(crate) fn enter(&self, name: &str, transport: &Transport) {
        let (name, transport, waiting) = (name.into(), transport.clone(), Rc::default());
        self.0.borrow_mut().push(Seat { name, transport, waiting });
    }

    pub(crate) fn leave(&self, name: &str) {
        self.0.borrow_mut().retain(|seat| *seat.name != *name);
    }

    pub(crate) fn say(&self, text: &str) -> Result {
        // May stay borrowed: a transport never calls a protocol.
        self.0.borrow().iter().try_for_each(|seat| seat.hear(text))
    }
}

impl Seat {
    fn hear(&self, line: &str) -> Result {
        send_line(&self.transport, line)?;
        let before = self.waiting.replace(self.waiting.get() + line.len() + 2);
        if before > MOST {
            self.transport.abort_connection();
        } else if before == 0 {
            let waiting = self.waiting.clone();
            self.transport.drained().map(move |()| waiting.set(0)).add_errback(|_| ());
        }
        Ok(())
    }
}
