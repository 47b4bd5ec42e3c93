//! The program `ropewalk`: services that are ready to run.
//!
//!     ropewalk echo --port tcp:8000:interface=127.0.0.1
//!     ropewalk web --path . --listing
#![forbid(unsafe_code)]

#[cfg(feature = "http")]
use ropewalk::application::commands::web;
use ropewalk::application::commands::{echo, inetd, portforward, procmon};
use ropewalk::application::runner::Runner;
use std::process::ExitCode;

fn main() -> ExitCode {
    let runner = Runner::new("ropewalk")
        .command(echo())
        .command(portforward())
        .command(inetd())
        .command(procmon());
    #[cfg(feature = "http")]
    let runner = runner.command(web());
    runner.main()
}
