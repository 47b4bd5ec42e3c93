//! Passes every connection made to one endpoint on to another, both ways, half-closes included.
//!
//!     cargo run --release --example port_forward -- --from tcp:8080 --to tcp:example.org:80
//!     cargo run --release --example port_forward -- --from unix:/tmp/db --to 'tcp:\:\:1:5432'
//!
//! With `--features tls` TLS is taken off, or put on:
//!
//!     ... --from tls:/etc/certs --to tcp:localhost:8080
//!     ... --from tcp:8080:interface=127.0.0.1 --to tls:example.org:443
//!
//! Whoever sends faster than the other end takes is held back; what is under way stays small.

use futures_util::AsyncWriteExt;
use futures_util::future::try_join;
use futures_util::io::copy_buf;
use ropewalk::endpoint::{ClientEndpoint, ServerEndpoint};
use ropewalk::{Failure, Reactor, ReadHalf, Result, Stream, WriteHalf};
use std::io::{Write, stdout};
use std::process::ExitCode;

async fn forward(near: Stream, to: &ClientEndpoint) -> Result {
    let far = to.open(&near.reactor()).await?;
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    try_join(pass(near_read, far_write), pass(far_read, near_write)).await?;
    Ok(())
}

async fn pass(from: ReadHalf, mut to: WriteHalf) -> Result {
    copy_buf(from, &mut to).await?;
    Ok(to.close().await?)
}

fn arguments() -> Result<(ServerEndpoint, ClientEndpoint)> {
    let (mut from, mut to) = (None, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("from") => from = Some(arguments.value()?.to_string_lossy().parse()?),
            lexopt::Arg::Long("to") => to = Some(arguments.value()?.to_string_lossy().parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    from.zip(to).ok_or_else(|| Failure::msg("usage: port_forward --from ENDPOINT --to ENDPOINT"))
}

fn main() -> ExitCode {
    let Err(failure) = run() else { return ExitCode::SUCCESS };
    eprintln!("port_forward: {failure}");
    ExitCode::FAILURE
}

fn run() -> Result {
    let (from, to) = arguments()?;
    let reactor = Reactor::new()?;
    let whereto = to.clone();
    let port = from.serve(&reactor, async move |near| forward(near, &whereto).await)?;
    writeln!(stdout(), "forwarding {} to {to}", port.host())?;
    reactor.run()
}
