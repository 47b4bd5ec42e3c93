//! A chat in lines: the first line of a guest is its name, and is looked up.

use crate::room::Room;
use ropewalk::framing::{AsyncLineProtocol, send_line};
use ropewalk::{Failure, Result, Transport};
use std::time::Duration;

pub(crate) struct Guest {
    room: Room,
    name: Option<String>,
}

impl Guest {
    pub(crate) fn new(room: &Room) -> Guest {
        Guest { room: room.clone(), name: None }
    }
}

impl AsyncLineProtocol for Guest {
    async fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(send_line(transport, "Your name?")?)
    }

    async fn line_received(&mut self, transport: &Transport, line: &[u8]) -> Result {
        let line = String::from_utf8_lossy(line);
        if let Some(name) = &self.name {
            return self.room.say(&format!("<{name}> {line}"));
        }
        // The lines that come meanwhile wait.
        transport.reactor().sleep(Duration::from_millis(50)).await;
        if self.room.has(&line) {
            return Ok(send_line(transport, "Taken. Another?")?);
        }
        self.room.enter(&line, transport);
        self.name = Some(line.to_string());
        self.room.say(&format!("{line} is here"))
    }

    fn connection_lost(&mut self, _: &Failure) {
        let Some(name) = self.name.take() else { return };
        self.room.leave(&name);
        // Everybody else hears of it; a line of a name is short.
        let _ = self.room.say(&format!("{name} is gone"));
    }
}
