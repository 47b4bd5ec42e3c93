//! The program `ropewalk`: services that are ready to run.
//!
//!     ropewalk echo --port tcp:8000:interface=127.0.0.1
#![forbid(unsafe_code)]

use ropewalk::application::commands::{echo, inetd, portforward, procmon};
use ropewalk::application::runner::Runner;
use std::process::ExitCode;

fn main() -> ExitCode {
    Runner::new("ropewalk")
        .command(echo())
        .command(portforward())
        .command(inetd())
        .command(procmon())
        .main()
}
