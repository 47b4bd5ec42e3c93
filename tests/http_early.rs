//! An upload that is refused before it is whole: its answer arrives.
#![cfg(all(feature = "http", feature = "simulation"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use futures_util::future::{Either, select};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::http::{Error, Request, Site, Status, leaf};
use ropewalk::simulation::{Latency, Link, Simulation, for_each_seed};
use ropewalk::{Failure, Result};
use std::pin::pin;
use std::time::Duration;

/// More than the lingering close of a transport would hear out, and than any buffers hold.
const UPLOAD: usize = 6 << 20;

fn site() -> Site {
    Site::new(leaf(async |request: Request| {
        // The second reads a little of it first.
        if request.path() == "/late" {
            request.body().chunk().await?;
        }
        Err::<(), _>(Error::new(Status::CONTENT_TOO_LARGE, "no more than a postcard").into())
    }))
}

/// Sends all of it before it reads, as many clients do; what it read then.
async fn sends_all(simulation: &Simulation, path: &str) -> Result<String> {
    let mut stream = simulation.host("client").reactor().open("server:80").await?;
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let piece = vec![b'x'; 64 << 10];
    for _ in 0..UPLOAD / piece.len() {
        stream.write_all(&piece).await?;
    }
    let mut got = String::new();
    stream.read_to_string(&mut got).await?;
    Ok(got)
}

/// Reads while it sends, and stops sending when the answer is there.
async fn sends_until_answered(simulation: &Simulation, path: &str) -> Result<String> {
    let stream = simulation.host("client").reactor().open("server:80").await?;
    let (mut reader, mut writer) = stream.split();
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n");
    writer.write_all(head.as_bytes()).await?;
    let sending = async move {
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..UPLOAD / piece.len() {
            writer.write_all(&piece).await?;
        }
        Ok::<_, Failure>(writer)
    };
    let mut answer = [0; 4096];
    let read = {
        let (sending, reading) = (pin!(sending), pin!(reader.read(&mut answer)));
        match select(sending, reading).await {
            Either::Left((writer, reading)) => {
                let _open = writer?;
                reading.await?
            }
            Either::Right((read, _)) => read?,
        }
    };
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

fn expect(got: &str) -> Result {
    let is_whole = got.starts_with("HTTP/1.1 413 ") && got.ends_with("no more than a postcard\n");
    match is_whole && got.contains("connection: close\r\n") {
        true => Ok(()),
        false => Err(Failure::msg(format!("got {got:?}"))),
    }
}

fn refused(seeds: std::ops::Range<u64>, path: &'static str, all: bool) {
    let link = Link::new()
        .latency(Latency::Uniform(Duration::from_millis(25), Duration::from_millis(75)))
        .window(512 << 10)
        .loss(0.01);
    let run = for_each_seed(seeds, move |simulation| {
        simulation.set_default_link(link.clone());
        simulation.host("server").reactor().listen("0.0.0.0:80", site())?;
        let inside = simulation.clone();
        let got = simulation.run_until(async move {
            match all {
                true => sends_all(&inside, path).await,
                false => sends_until_answered(&inside, path).await,
            }
        })?;
        expect(&got)
    });
    run.unwrap();
}

/// `ROPEWALK_SEEDS` says how many; a thousand were tried.
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("ROPEWALK_SEEDS").ok().and_then(|it| it.parse().ok());
    0..count.unwrap_or(12)
}

#[test]
fn a_client_that_sends_all_before_it_reads_gets_the_413_over_a_slow_network() {
    refused(seeds(), "/", true);
    refused(seeds(), "/late", true);
}

#[test]
fn a_client_that_reads_while_it_sends_gets_the_413_over_a_slow_network() {
    refused(seeds(), "/", false);
    refused(seeds(), "/late", false);
}
