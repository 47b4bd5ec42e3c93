//! Slow poetry: servers that send a poem a few bytes at a time, and five clients that fetch several
//! of them, one after the other or all at once.
//!
//! The show, under 20 seconds (three servers, the five clients in turn, a table of the times):
//!
//!     cargo run --release --example poetry
//!
//! Piece by piece, in two terminals:
//!
//!     cargo run --release --example poetry serve --port 10000 --delay 0.1
//!     cargo run --release --example poetry get-async 10000 127.0.0.1:10000
//!
//! The clients differ in one file each: `get_blocking` is the standard library alone, `get_bare`
//! hands descriptors to the reactor, `get_protocol` is a Protocol with a ClientFactory,
//! `get_deferred` chains Deferreds, `get_async` awaits.

mod arguments;
mod get_async;
mod get_bare;
mod get_blocking;
mod get_deferred;
mod get_protocol;
mod recital;
mod serve;
mod serve_blocking;
mod show;
mod voice;

use std::process::ExitCode;
use std::rc::Rc;

use arguments::{Client, Command, USAGE};
use recital::Recital;
use ropewalk::Result;
use voice::{AllAtOnce, OneByOne, Voice, say};

fn main() -> ExitCode {
    let command = match Command::from_env() {
        Ok(command) => command,
        Err(error) => {
            eprintln!("poetry: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    run(command).unwrap_or_else(|failure| {
        eprintln!("poetry: {failure}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Help => say(USAGE),
        Command::Show => return show::run(),
        Command::Serve(options) => serve::run(options)?,
        Command::ServeBlocking(options) => serve_blocking::run(options)?,
        Command::Get(client, addresses) => return get(client, addresses),
    }
    Ok(ExitCode::SUCCESS)
}

fn get(client: Client, addresses: Vec<String>) -> Result<ExitCode> {
    let voice: Box<dyn Voice> = match client {
        Client::Blocking => Box::new(OneByOne),
        _ => Box::new(AllAtOnce),
    };
    let recital = Rc::new(Recital::new(addresses, voice));
    client.get(&recital)?;
    Ok(recital.close())
}
