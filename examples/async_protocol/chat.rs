//! A chat in lines: the first line of a guest is its name, and is looked up.

use ropewalk::framing::{AsyncLineProtocol, send_line};
use ropewalk::{Failure, Result, Transport};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Those who are in the room, by name.
pub(crate) type Room = Rc<RefCell<Vec<(String, Transport)>>>;

pub(crate) struct Guest {
    room: Room,
    name: Option<String>,
}

impl Guest {
    pub(crate) fn new(room: &Room) -> Guest {
        Guest { room: room.clone(), name: None }
    }

    fn say(&self, text: &str) -> Result {
        let all = self.room.borrow().clone();
        all.iter().try_for_each(|(_, other)| Ok(send_line(other, text)?))
    }
}

impl AsyncLineProtocol for Guest {
    async fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(send_line(transport, "Your name?")?)
    }

    async fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        let line = String::from_utf8_lossy(line);
        if let Some(name) = &self.name {
            return self.say(&format!("<{name}> {line}"));
        }
        // The lines that come meanwhile wait.
        transport.reactor().sleep(Duration::from_millis(50)).await;
        if self.room.borrow().iter().any(|(name, _)| *name == line) {
            return Ok(send_line(transport, "Taken. Another?")?);
        }
        self.name = Some(line.to_string());
        self.room.borrow_mut().push((line.to_string(), transport.clone()));
        self.say(&format!("{line} is here"))
    }

    fn connection_lost(&mut self, _: &Failure) {
        let Some(name) = self.name.take() else { return };
        self.room.borrow_mut().retain(|(other, _)| *other != name);
        // Everybody else hears of it; a line of a name is short.
        let _ = self.say(&format!("{name} is gone"));
    }
}
