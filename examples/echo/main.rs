//! An echo server: what comes in goes back. The same server in three faces, and line by line.
//!
//!     cargo run --release --example echo -- --face stream --lines --listen 127.0.0.1:8007
//!
//! Then type something into `nc 127.0.0.1 8000`. With `--lines` each line is a write of its own; corked.

mod awaited;
mod lines;
mod protocol;
mod stream;

use lexopt::prelude::*;
use ropewalk::{Address, Failure, Reactor, Result};
use std::{io::Write, io::stdout, process::ExitCode};
use {lines::EchoLines, protocol::Echo};

const USAGE: &str = "usage: echo [--listen ADDR] [--face protocol|stream|awaited] [--lines]";

struct Options {
    listen: String,
    face: String,
    lines: bool,
}

fn main() -> ExitCode {
    let Err(failure) = run() else { return ExitCode::SUCCESS };
    eprintln!("echo: {failure}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let options = options().map_err(|error| Failure::msg(format!("{error}; {USAGE}")));
    let (Options { listen, face, lines }, reactor) = (options?, Reactor::new()?);
    let port = match (face.as_str(), lines) {
        ("protocol", false) => reactor.listen(listen, |_: &Address| Echo)?,
        ("protocol", true) => reactor.listen(listen, |_: &Address| EchoLines::default())?,
        ("stream", false) => reactor.serve(listen, stream::echo)?,
        ("stream", true) => reactor.serve(listen, stream::echo_lines)?,
        ("awaited", false) => reactor.listen(listen, awaited::echo)?,
        ("awaited", true) => reactor.listen(listen, awaited::echo_lines)?,
        _ => return Err(Failure::msg(format!("no such face: '{face}'; {USAGE}"))),
    };
    writeln!(stdout(), "Listening on {}", port.host())?;
    reactor.run()
}

fn options() -> Result<Options, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let (listen, face) = ("127.0.0.1:8000".into(), "protocol".into());
    let mut options = Options { listen, face, lines: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => options.listen = parser.value()?.string()?,
            Long("face") => options.face = parser.value()?.string()?,
            Long("lines") => options.lines = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}
