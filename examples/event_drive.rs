//! The smallest event framework: handlers are registered, then each is executed in that order.
//!
//!     cargo run --release --example event_drive
//!
//! Only what implements [`Execute`] can be registered. Take the comment from the last line but one,
//! and the compiler says: the trait bound `&str: Execute` is not satisfied.

use ropewalk::{Reactor, Result};
use std::io::{Write, stdout};

trait Execute {
    fn execute(&mut self) -> Result;
}

struct EventDrive {
    reactor: Reactor,
}

impl EventDrive {
    fn new() -> Result<EventDrive> {
        Ok(EventDrive { reactor: Reactor::new()? })
    }

    fn register(&self, mut handler: impl Execute + 'static) {
        self.reactor.call_when_running(move || handler.execute());
    }

    fn run(self) -> Result {
        let reactor = self.reactor.clone();
        self.reactor.call_when_running(move || reactor.stop());
        self.reactor.run()
    }
}

struct Greet(&'static str);

impl Execute for Greet {
    fn execute(&mut self) -> Result {
        Ok(writeln!(stdout(), "Hello, {}!", self.0)?)
    }
}

struct Count {
    strands: u32,
}

impl Execute for Count {
    fn execute(&mut self) -> Result {
        Ok(writeln!(stdout(), "{} strands make a rope.", self.strands)?)
    }
}

fn main() -> Result {
    let drive = EventDrive::new()?;
    drive.register(Greet("ropemaker"));
    drive.register(Count { strands: 3 });
    drive.register(Greet("sailor"));
    // drive.register("a text cannot execute");
    drive.run()
}
