//! Sends back standard input in capitals, as callbacks or (with `--async`) as an `async fn`.
//!
//! Type `echo rope | cargo run --example stdio`, or start it alone and type lines.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::transport::ConnectionDone;
use ropewalk::{Deferred, Failure, Protocol, Transport, Trigger};
use ropewalk::{Reactor, Result, react};
use std::process::ExitCode;

struct Capitals(Trigger<()>);

impl Protocol for Capitals {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data.to_ascii_uppercase());
        Ok(())
    }

    fn pause_writing(&mut self, transport: &Transport) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &Transport) {
        transport.resume_reading();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let outcome = if reason.is::<ConnectionDone>() { Ok(()) } else { Err(reason.clone()) };
        self.0.fire(outcome).expect("it is lost once");
    }
}

fn in_callbacks(reactor: Reactor) -> Result<Deferred<()>> {
    let (trigger, ended) = Deferred::new();
    reactor.connect_stdio(Capitals(trigger))?;
    Ok(ended)
}

async fn in_async(reactor: Reactor) -> Result {
    let mut stream = reactor.open_stdio()?;
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(stream.close().await?);
        }
        stream.write_all(&buffer[..length].to_ascii_uppercase()).await?;
    }
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => react(|reactor| async { in_callbacks(reactor)?.await }),
        Some("--async") => react(in_async),
        Some(other) => {
            eprintln!("stdio: no option {other}; usage: stdio [--async]");
            ExitCode::FAILURE
        }
    }
}
