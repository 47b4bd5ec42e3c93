//! A client that asks again until it is answered.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::{Failure, Reactor, Result};
use std::time::Duration;

/// One request on one connection, made anew for every attempt.
async fn attempt(reactor: &Reactor, request: &str) -> Result<String> {
    let mut stream = reactor.open("server:6000").await?;
    stream.write_all(request.as_bytes()).await?;
    stream.close().await?;
    let mut answer = String::new();
    stream.take(100).read_to_string(&mut answer).await?;
    match answer.strip_suffix('\n') {
        Some(answer) => Ok(answer.to_owned()),
        None => Err(Failure::msg("the answer was cut short")),
    }
}

/// Asks until there is an answer.
pub(crate) async fn ask(reactor: &Reactor, request: &str, is_planted: bool) -> Result<String> {
    loop {
        let asked = reactor.timeout(Duration::from_secs(2), attempt(reactor, request)).await;
        match asked.unwrap_or_else(|late| Err(late.into())) {
            Ok(answer) => return Ok(answer),
            // The planted bug: a server that resets is thought to have done its work before.
            Err(failure) if is_planted && is_reset(&failure) => return Ok("ok".into()),
            Err(_) => reactor.sleep(Duration::from_millis(200)).await,
        }
    }
}

fn is_reset(failure: &Failure) -> bool {
    let error = failure.check::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}
