//! How long an end in order waits, to the moment: for a peer that takes nothing, and for a producer.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::driver::{ByteStream, Layer};
use ropewalk::forward_byte_stream;
use ropewalk::policies::{self, TrafficLog};
use ropewalk::simulation::{Host, Link, Simulation};
use ropewalk::transport::{Producer, Producing};
use ropewalk::{Address, Failure, Protocol, Result, Stream, Transport};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

fn hosts() -> (Simulation, Host, Host) {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    (simulation, server, client)
}

/// Writes more than its peer's system keeps, and ends in order a second later.
struct Says(Rc<RefCell<Option<String>>>);

impl Protocol for Says {
    fn connection_made(&mut self, transport: &Transport) {
        transport.set_close_timeout(LIMIT);
        transport.write(vec![b'x'; 1 << 20]);
        let own = transport.clone();
        transport.reactor().call_later(Duration::from_secs(1), move || own.lose_connection());
    }
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
    fn connection_lost(&mut self, reason: &Failure) {
        self.0.replace(Some(reason.to_string()));
    }
}

#[test]
fn what_a_peer_took_before_the_end_began_gives_it_no_time_after_it() {
    for is_layered in [false, true] {
        let (simulation, server, client) = hosts();
        let end = Rc::new(RefCell::new(None));
        let told = end.clone();
        let build = move |_: &Address| Says(told.clone());
        match is_layered {
            true => {
                let log = TrafficLog::new(|_| ());
                server.reactor().listen("0.0.0.0:1", policies::factory(log, build)).unwrap()
            }
            false => server.reactor().listen("0.0.0.0:1", build).unwrap(),
        };
        let _deaf = simulation.run_until(client.reactor().open("server:1")).unwrap();
        simulation.run_for(Duration::from_millis(10_900)).unwrap();
        assert_eq!(*end.borrow(), None, "layered: {is_layered}");
        simulation.run_for(Duration::from_millis(300)).unwrap();
        let end = end.borrow().clone().expect("it is cut off after the limit, and no later");
        assert!(end.ends_with("took no byte for 10s"), "{end}");
    }
}

/// Writes when it is done with something else.
struct Slow;

impl Producer for Slow {
    fn resume_producing(&mut self, _: &Transport) {}
    fn pause_producing(&mut self) {}
    fn stop_producing(&mut self) {}
}

#[test]
fn a_producer_that_takes_long_is_not_the_peers_delay() {
    struct Produces;
    impl Protocol for Produces {
        fn connection_made(&mut self, transport: &Transport) {
            transport.set_close_timeout(LIMIT);
            transport.register_producer(Slow, Producing::Push).unwrap();
            transport.lose_connection();
            let own = transport.clone();
            transport.reactor().call_later(LIMIT * 10, move || {
                own.write(b"at last");
                own.unregister_producer();
            });
        }
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let (simulation, server, client) = hosts();
    server.reactor().listen("0.0.0.0:1", |_: &Address| Produces).unwrap();
    let opening = client.reactor().open("server:1");
    let heard = simulation.run_until(client.reactor().spawn(async move {
        let mut text = String::new();
        opening.await?.read_to_string(&mut text).await?;
        Ok(text)
    }));
    assert_eq!(heard.unwrap(), "at last");
}

/// Takes all, and passes it on as the stream below takes it.
struct Keeps {
    below: Box<dyn ByteStream>,
    kept: Vec<u8>,
}

impl ByteStream for Keeps {
    forward_byte_stream!(self.below: all except write, write_vectored, as_layer);

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.kept.extend_from_slice(data);
        Ok(data.len())
    }
    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.write(slices.first().map_or(&[], |slice| slice))
    }
    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

impl Layer for Keeps {
    fn flush(&mut self) -> io::Result<()> {
        while !self.kept.is_empty() {
            let count = self.below.write(&self.kept)?;
            self.kept.drain(..count);
        }
        Ok(())
    }
    fn close_notify(&mut self) -> io::Result<()> {
        self.flush()
    }
}

#[test]
fn a_slow_peer_that_takes_what_a_layer_kept_is_waited_for() {
    const MUCH: usize = 500_000;
    let (simulation, server, client) = hosts();
    // Fifty seconds for all of it.
    simulation.set_link(&server, &client, Link::new().bandwidth(10_000).window(30_000));
    let handler = async |mut stream: Stream| {
        let transport = stream.transport();
        transport.set_close_timeout(LIMIT);
        transport.replace_stream(|below| Box::new(Keeps { below, kept: Vec::new() }))?;
        stream.write_all(&vec![b'x'; MUCH]).await?;
        Ok(())
    };
    server.reactor().serve("0.0.0.0:1", handler).unwrap();
    let opening = client.reactor().open("server:1");
    let heard = simulation.run_until(client.reactor().spawn(async move {
        let mut all = Vec::new();
        opening.await?.read_to_end(&mut all).await?;
        Ok(all.len())
    }));
    assert_eq!(heard.unwrap(), MUCH);
    assert!(simulation.time() > LIMIT * 4, "{:?}", simulation.time());
}
