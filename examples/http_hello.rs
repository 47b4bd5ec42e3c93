//! The smallest site, in both faces, and what it takes to see what it does.
//!
//!     cargo run --release --features http --example http_hello -- --face async --listen 127.0.0.1:8080
//!
//! Then `curl -i http://127.0.0.1:8080/`. All limits and deadlines are on; at the end, by Ctrl-C, it says how
//! many requests it answered.

use lexopt::prelude::*;
use ropewalk::http::{Request, Site, leaf};
use ropewalk::{Failure, Reactor, Result};
use std::cell::Cell;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::rc::Rc;

fn main() -> ExitCode {
    let Err(failure) = run() else { return ExitCode::SUCCESS };
    eprintln!("http_hello: {failure}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let (face, listen) = options().map_err(|error| {
        Failure::msg(format!("{error}; usage: http_hello [--face callbacks|async] [--listen ADDR]"))
    })?;
    let site = match face.as_str() {
        "callbacks" => Site::new(leaf(|_: &Request| Ok("Hello, World!"))),
        "async" => Site::new(leaf(async |_: Request| Ok("Hello, World!"))),
        _ => return Err(Failure::msg(format!("no such face: '{face}'"))),
    };
    let answered = Rc::new(Cell::new(0_u64));
    let count = answered.clone();
    let site = site.on_exchange(move |record| {
        count.set(count.get() + u64::from(record.status().is_some()));
    });
    let reactor = Reactor::new()?;
    let port = reactor.listen(listen, site)?;
    writeln!(stdout(), "Listening on {}", port.host())?;
    reactor.run()?;
    writeln!(stdout(), "{} requests answered", answered.get())?;
    Ok(())
}

fn options() -> Result<(String, String), lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let (mut face, mut listen) = ("callbacks".into(), "127.0.0.1:8080".into());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("face") => face = parser.value()?.string()?,
            Long("listen") => listen = parser.value()?.string()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok((face, listen))
}
