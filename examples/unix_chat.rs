//! A chat at a Unix socket: what anybody writes, everybody else gets, with the number of who wrote it.
//!
//!     cargo run --example unix_chat              at ./chat.sock, for this user only
//!     socat - UNIX-CONNECT:chat.sock             in two other terminals: type, and see
//!     cargo run --example unix_chat @chat        without a file (Linux): ABSTRACT-CONNECT:chat

use ropewalk::{Address, Failure, Protocol, Reactor, Result, ServerEndpoint, Transport};
use std::io::{Write, stdout};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

type Guests = Rc<RefCell<BTreeMap<u32, Transport>>>;

struct Guest {
    number: u32,
    guests: Guests,
}

impl Guest {
    fn tell_others(&self, text: &[u8]) {
        for (_, transport) in self.guests.borrow().iter().filter(|it| *it.0 != self.number) {
            transport.write(text);
        }
    }
}

impl Protocol for Guest {
    fn connection_made(&mut self, transport: &Transport) {
        self.guests.borrow_mut().insert(self.number, transport.clone());
        self.tell_others(format!("* {} comes\n", self.number).as_bytes());
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.tell_others(&[format!("{}: ", self.number).as_bytes(), data].concat());
        Ok(())
    }

    /// Who does not read would have the others' words kept: 64 KiB are enough.
    fn pause_writing(&mut self, transport: &Transport) {
        transport.abort_connection();
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.guests.borrow_mut().remove(&self.number);
        self.tell_others(format!("* {} goes\n", self.number).as_bytes());
    }
}

fn main() -> Result {
    let name = std::env::args().nth(1).unwrap_or_else(|| "chat.sock".into());
    if name.starts_with('-') {
        return Err(Failure::msg(format!("no option {name}; usage: unix_chat [PATH|@NAME]")));
    }
    let (reactor, guests, mut number) = (Reactor::new()?, Guests::default(), 0);
    let port = reactor.listen(ServerEndpoint::unix(name).mode(0o600), move |_: &Address| {
        number += 1;
        Guest { number, guests: guests.clone() }
    })?;
    writeln!(stdout(), "chatting at {}", port.host())?;
    reactor.run()
}
