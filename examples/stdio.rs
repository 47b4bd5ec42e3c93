//! Sends back what it reads from standard input in capitals, as callbacks or (with `--async`) as an
//! `async fn`.
//!
//! Type `echo rope | cargo run --example stdio`, or `cargo run --example stdio < README.md`, or start
//! it alone and type lines; the end of the input ends it.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::{
    ConnectionDone, Deferred, Failure, Protocol, Reactor, Result, Transport, Trigger, react,
};
use std::process::ExitCode;

struct Capitals(Trigger<()>);

impl Protocol for Capitals {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data.to_ascii_uppercase());
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let told = match reason.is::<ConnectionDone>() {
            true => self.0.callback(()),
            false => self.0.errback(reason.clone()),
        };
        told.expect("it is lost once");
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
