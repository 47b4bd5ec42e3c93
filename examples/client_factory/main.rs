//! Clients of protocols, told as it happens: a factory with its connector, then a creator of clients.
//!
//! ```text
//! cargo run --example client_factory                   by TCP and Unix
//! cargo run --example client_factory --features tls    and by TLS
//! ```
//! The servers are its own, and it ends by itself.

mod creator;
mod factory;

use factory::Calls;
use futures_util::AsyncWriteExt;
use futures_util::io::{copy, sink};
use ropewalk::{Reactor, Result, Stream};
use std::io::{Write, stdout};

async fn greet(mut stream: Stream) -> Result {
    stream.write_all(b"hello").await?;
    copy(&mut stream, &mut sink()).await?;
    Ok(())
}

/// A closed output is nobody's loss.
fn tell(what: impl std::fmt::Display) {
    let _ = writeln!(stdout(), "{what}");
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    let port = reactor.serve("127.0.0.1:0", greet)?;
    reactor.connect_tcp(port.host(), Calls::default());
    reactor.run()?;
    creator::connect_every_way(&reactor)
}
