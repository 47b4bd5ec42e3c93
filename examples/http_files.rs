//! Serves a folder: with listings, conditions, ranges, and files beside it that are compressed.
//!
//!     cargo run --release --features http --example http_files -- --path . --listen 127.0.0.1:8080
//!
//! Then open <http://127.0.0.1:8080/>, or `curl -r 0-99 -i http://127.0.0.1:8080/README.md`. With `--keep`
//! a thousand files are kept open, and looked at again after a second. Ctrl-C ends it.

use lexopt::prelude::*;
use ropewalk::http::{Files, Site};
use ropewalk::{Failure, Reactor, Result};
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

struct Options {
    path: PathBuf,
    listen: String,
    keeps: bool,
}

fn main() -> ExitCode {
    let Err(failure) = run() else { return ExitCode::SUCCESS };
    eprintln!("http_files: {failure}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let options = options().map_err(|error| {
        Failure::msg(format!("{error}; usage: http_files [--path DIR] [--listen ADDR] [--keep]"))
    })?;
    let mut files = Files::new(&options.path)?.listing();
    if options.keeps {
        files = files.keep_open(1000, Duration::from_secs(1));
    }
    let reactor = Reactor::new()?;
    let port = reactor.listen(options.listen, Site::new(files))?;
    writeln!(stdout(), "{} at http://{}/", options.path.display(), port.host())?;
    reactor.run()?;
    Ok(())
}

fn options() -> Result<Options, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let listen = "127.0.0.1:8080".into();
    let mut options = Options { path: ".".into(), listen, keeps: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("path") => options.path = parser.value()?.into(),
            Long("listen") => options.listen = parser.value()?.string()?,
            Long("keep") => options.keeps = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}
