//! What a throttle shares out, to the moment: nobody passes by who waits, and nothing is lost or kept.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::policies::{self, Throttle};
use ropewalk::simulation::{Host, Simulation};
use ropewalk::{Deferred, Stream, Transport};
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

/// Bytes a second. A tenth of them may pass at once; that is shared out when all of it is there, and half
/// of it passes if nobody waits.
const RATE: NonZeroU32 = NonZeroU32::new(1000).unwrap();

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn hosts() -> (Simulation, Host, Host) {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    (simulation, server, client)
}

/// Opens a stream that says so many bytes and hears so many: when that was done, and the stream.
fn exchange(
    world: &Simulation,
    client: &Host,
    said: usize,
    heard: usize,
) -> Deferred<(Duration, Stream)> {
    let (opening, world) = (client.reactor().open("server:1"), world.clone());
    client.reactor().spawn(async move {
        let mut stream = opening.await?;
        stream.write_all(&vec![b'?'; said]).await?;
        stream.read_exact(&mut vec![0; heard]).await?;
        Ok((world.time(), stream))
    })
}

#[test]
fn who_comes_while_another_waits_does_not_pass_by() {
    let (simulation, server, client) = hosts();
    let wanted = Cell::new(400);
    let handler = async move |mut stream: Stream| {
        let count = wanted.replace(60);
        stream.write_all(&vec![b'!'; count]).await?;
        stream.flush().await?;
        Ok(())
    };
    let throttle = Throttle::new().writing(RATE);
    server.reactor().serve("0.0.0.0:1", policies::handler(throttle, handler)).unwrap();
    let first = exchange(&simulation, &client, 0, 400);
    simulation.run_for(millis(70)).unwrap();
    // More than half is there, and the first one waits for all of it.
    let second = exchange(&simulation, &client, 0, 60);
    let (second, first) =
        (simulation.run_until(second).unwrap().0, simulation.run_until(first).unwrap().0);
    assert!(second > millis(100), "it had all after {second:?}");
    assert!(first < millis(600), "the first one had all after {first:?}");
}

/// A server that hears so many bytes of each connection at a time, and answers them with one.
fn hearing(server: &Host, count: usize) -> Rc<RefCell<Vec<Transport>>> {
    let transports = Rc::<RefCell<Vec<Transport>>>::default();
    let kept = transports.clone();
    let handler = async move |mut stream: Stream| {
        kept.borrow_mut().push(stream.transport());
        let mut bytes = vec![0; count];
        while stream.read_exact(&mut bytes).await.is_ok() {
            stream.write_all(b"!").await?;
        }
        Ok(())
    };
    let throttle = Throttle::new().reading(RATE);
    server.reactor().serve("0.0.0.0:1", policies::handler(throttle, handler)).unwrap();
    transports
}

#[test]
fn what_was_given_to_one_that_is_cut_off_goes_to_the_others() {
    let (simulation, server, client) = hosts();
    let transports = hearing(&server, 100);
    let first = exchange(&simulation, &client, 100, 1);
    let _first = simulation.run_until(first).unwrap();
    // All that is shared out is the first one's, which says nothing more.
    simulation.run_for(millis(130)).unwrap();
    transports.borrow()[0].abort_connection();
    let begun = simulation.time();
    let second = exchange(&simulation, &client, 100, 1);
    let taken = simulation.run_until(second).unwrap().0 - begun;
    assert!(taken < millis(40), "it waited for {taken:?}");
}

#[test]
fn what_was_given_to_one_that_says_nothing_is_not_kept_for_it() {
    let (simulation, server, client) = hosts();
    hearing(&server, 100);
    let (opening, world) = (client.reactor().open("server:1"), simulation.clone());
    let quiet = client.reactor().spawn(async move {
        let mut stream = opening.await?;
        stream.write_all(&[b'?'; 100]).await?;
        stream.read_exact(&mut [0]).await?;
        // It gets its share, another waits meanwhile, and what is shared out then is that one's.
        stream.reactor().sleep(millis(280)).await;
        let begun = world.time();
        stream.write_all(&[b'?'; 100]).await?;
        stream.read_exact(&mut [0]).await?;
        Ok(world.time() - begun)
    });
    simulation.run_for(millis(150)).unwrap();
    let busy = exchange(&simulation, &client, 1000, 10);
    let waited = simulation.run_until(quiet).unwrap();
    assert!(waited > millis(60), "it passed by after {waited:?}");
    simulation.run_until(busy.map(drop)).unwrap();
}

#[test]
fn who_wants_nothing_more_keeps_nobody_waiting() {
    let (simulation, server, client) = hosts();
    let throttle = Throttle::new().writing(RATE);
    let handler = policies::handler(throttle, async |mut stream: Stream| {
        stream.write_all(&[b'!'; 45]).await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    server.reactor().serve("0.0.0.0:1", handler).unwrap();
    let _first = simulation.run_until(exchange(&simulation, &client, 0, 45)).unwrap();
    // More than half is left.
    let begun = simulation.time();
    let second = exchange(&simulation, &client, 0, 45);
    let taken = simulation.run_until(second).unwrap().0 - begun;
    assert!(taken < millis(20), "it waited for {taken:?}");
}
