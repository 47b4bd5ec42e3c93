//! Passes every connection made to one endpoint on to another, both ways, half-closes included.
//!
//!     cargo run --example port_forward -- --from tcp:8080 --to tcp:example.org:80
//!     cargo run --example port_forward -- --from unix:/tmp/db --to 'tcp:\:\:1:5432'
//!
//! With `--features tls` TLS is put on, or taken off: `--to tls:example.org:443`. Whoever sends faster
//! than the other end takes is held back. When one end is lost, so is the other.

use futures_util::AsyncWriteExt;
use futures_util::future::try_join;
use futures_util::io::copy_buf;
use ropewalk::{ClientEndpoint, ServerEndpoint};
use ropewalk::{Failure, Reactor, ReadHalf, Result, Stream, Transport, WriteHalf};
use std::io::{Write, stdout};
use std::process::ExitCode;

async fn forward(near: Stream, to: &ClientEndpoint) -> Result {
    let far = near.reactor().open(to).await?;
    let ends = [near.transport(), far.transport()];
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    let passed = try_join(pass(near_read, far_write), pass(far_read, near_write)).await;
    if passed.is_err() {
        ends.iter().for_each(Transport::abort_connection);
    }
    passed.map(drop)
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
    let ((from, to), reactor) = (arguments()?, Reactor::new()?);
    let text = to.to_string();
    let port = reactor.serve(&from, async move |near| forward(near, &to).await)?;
    writeln!(stdout(), "forwarding {} to {text}", port.host())?;
    reactor.run()
}
