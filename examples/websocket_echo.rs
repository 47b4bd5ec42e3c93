//! Echoes the messages of WebSockets, in both faces: for load generators and conformance suites.
//!
//!     cargo run --release --features websocket --example websocket_echo -- --face async --listen 127.0.0.1:9001
//!
//! Messages may have up to 64 MiB. Ctrl-C ends it.

use lexopt::prelude::*;
use ropewalk::http::websocket::{Limits, Options, Socket, WebSocketProtocol};
use ropewalk::http::{Request, Site, leaf};
use ropewalk::{Failure, Reactor, Result};
use std::process::ExitCode;

struct Echo;

impl WebSocketProtocol for Echo {
    fn text(&mut self, socket: &Socket, text: &str) -> Result {
        Ok(socket.send_text(text)?)
    }

    fn binary(&mut self, socket: &Socket, data: &[u8]) -> Result {
        Ok(socket.send_binary(data)?)
    }
}

fn main() -> ExitCode {
    let Err(failure) = run() else { return ExitCode::SUCCESS };
    eprintln!("websocket_echo: {failure}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let (face, listen) = options()?;
    let limits = Limits { message: 64 << 20, fragments: 1 << 20 };
    let options = Options::new().limits(limits).queue(256 << 20);
    let echo = match face.as_str() {
        "callbacks" => leaf(move |request: &Request| request.accept_websocket(&options, Echo)),
        "async" => leaf(async move |request: Request| {
            let mut socket = request.accept_websocket_stream(&options)?;
            while let Some(message) = socket.next().await? {
                socket.send(message).await?;
            }
            Ok(())
        }),
        _ => return Err(Failure::msg(format!("no such face: '{face}'"))),
    };
    let reactor = Reactor::new()?;
    let port = reactor.listen(listen, Site::new(echo))?;
    println!("Listening on {}", port.host());
    reactor.run()
}

fn options() -> Result<(String, String)> {
    let mut parser = lexopt::Parser::from_env();
    let (mut face, mut listen) = ("callbacks".into(), "127.0.0.1:9001".into());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("face") => face = parser.value()?.string()?,
            Long("listen") => listen = parser.value()?.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok((face, listen))
}
