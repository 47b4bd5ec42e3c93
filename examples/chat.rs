//! A chat: each line goes to everyone else.
//!
//!     cargo run --release --example chat [127.0.0.1:8000]
//!
//! Then `nc 127.0.0.1 8000` in two more terminals, and type into both.

use ropewalk::framing::{LineProtocol, LineReceiver};
use ropewalk::{Address, Failure, Reactor, Result, Transport};
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// May stay borrowed while lines are written: a transport never calls a protocol.
type Room = Rc<RefCell<BTreeMap<u64, Transport>>>;

struct Member {
    number: u64,
    room: Room,
}

impl LineProtocol for Member {
    fn connection_made(&mut self, transport: &Transport) {
        self.room.borrow_mut().insert(self.number, transport.clone());
    }

    fn line_received(&mut self, _transport: &Transport, line: &[u8]) -> Result {
        for (_, other) in self.room.borrow().iter().filter(|it| *it.0 != self.number) {
            other.write(line);
            other.write(b"\n");
        }
        Ok(())
    }

    /// Who does not read would have the room keep all that is said: 64 KiB are enough.
    fn pause_writing(&mut self, transport: &Transport) {
        transport.abort_connection();
    }

    fn connection_lost(&mut self, _reason: &Failure) {
        self.room.borrow_mut().remove(&self.number);
    }
}

fn main() -> ExitCode {
    let Err(failure) = run() else { return ExitCode::SUCCESS };
    eprintln!("chat: {failure}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let (reactor, room, mut number) = (Reactor::new()?, Room::default(), 0);
    let port = reactor.listen(address, move |_: &Address| {
        number += 1;
        LineReceiver::new(Member { number, room: room.clone() }).delimiter(b"\n")
    })?;
    writeln!(stdout(), "Listening on {}", port.host())?;
    reactor.run()
}
