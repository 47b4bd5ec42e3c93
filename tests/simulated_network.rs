//! What the simulated network does to bytes, datagrams and clocks, each kind of trouble by its effect.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "these are tests, with helpers of their own")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::net::ConnectError;
use ropewalk::simulation::{EventKind, Host, Latency, Link, Simulation, TraceEvent};
use ropewalk::{
    Address, ClientEndpoint, Connected, Deferred, Failure, Protocol, Result, Stream, Transport,
};
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A server that counts what it reads, and a client.
fn two_hosts(link: Link) -> (Simulation, Host, Host, Rc<Cell<usize>>) {
    let simulation = Simulation::new(1);
    simulation.keep_trace();
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    simulation.set_link(&client, &server, link);
    let read = Rc::new(Cell::new(0));
    let count = read.clone();
    server.boot(move |reactor| {
        let count = count.clone();
        let handler = async move |mut stream: Stream| {
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer).await? {
                    0 => return Ok(()),
                    more => count.set(count.get() + more),
                }
            }
        };
        reactor.serve("0.0.0.0:7", handler).map(drop)
    });
    (simulation, server, client, read)
}

fn quick() -> Link {
    Link::new().latency(Latency::Fixed(Duration::from_millis(1)))
}

/// Writes so much and waits until the server has ended too.
fn upload(client: &Host, bytes: usize) -> Deferred<()> {
    let reactor = client.reactor();
    client.reactor().spawn(async move {
        let mut stream = reactor.open("server:7").await?;
        stream.write_all(&vec![7; bytes]).await?;
        stream.close().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    })
}

#[test]
fn a_stream_over_a_link_that_loses_comes_late_and_whole() {
    let (simulation, server, client, read) = two_hosts(quick());
    let mut stream = simulation.run_until(client.reactor().open("server:7")).unwrap();
    // Only now, so that it is the stream's bytes that are late.
    simulation.set_link(&client, &server, quick().loss(0.9));
    let start = simulation.time();
    let writing = client.reactor().spawn(async move {
        stream.write_all(&[7; 1000]).await?;
        stream.close().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    simulation.run_until(writing).unwrap();
    assert!(simulation.time() - start > SECOND / 5, "after 200 ms something is sent again");
    assert_eq!(read.get(), 1000);
}

#[test]
fn segments_that_were_lost_hold_those_behind_them_back() {
    let (simulation, _, client, _) = two_hosts(quick().loss(0.3));
    let reactor = client.reactor();
    let writing = client.reactor().spawn(async move {
        let mut stream = reactor.open("server:7").await?;
        for number in 0..50u8 {
            stream.write_all(&[number]).await?;
            reactor.sleep(Duration::from_millis(10)).await;
        }
        stream.close().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    simulation.run_until(writing).unwrap();
    let sent = simulation.trace_events().into_iter().filter_map(|event| match event.what {
        EventKind::Arrived { sent, .. } if &*event.host == "server" => Some(sent),
        _ => None,
    });
    let sent: Vec<Duration> = sent.collect();
    assert!(sent.len() > 5 && sent.is_sorted(), "{sent:?}");
}

#[test]
fn connections_share_the_bandwidth_of_a_link() {
    let (simulation, _, client, read) = two_hosts(quick().bandwidth(100_000));
    let uploads = [upload(&client, 100_000), upload(&client, 100_000)];
    uploads.into_iter().for_each(|upload| simulation.run_until(upload).unwrap());
    assert!(simulation.time() > 2 * SECOND, "{:?}", simulation.time());
    assert_eq!(read.get(), 200_000);
}

#[test]
fn datagrams_wait_for_the_bandwidth_of_a_link() {
    let (simulation, server, client, _) = two_hosts(quick().bandwidth(10_000));
    let mouth = client.reactor().bind_udp("0.0.0.0:0").unwrap();
    let ear = server.reactor().bind_udp("0.0.0.0:53").unwrap();
    let to = Address::from(SocketAddr::new(server.ip(), 53));
    let sending = client.reactor().spawn(async move {
        for _ in 0..10 {
            mouth.send_to([7; 1000], &to).await?;
        }
        Ok(())
    });
    simulation.run_until(sending).unwrap();
    simulation
        .run_until(async move {
            for _ in 0..10 {
                ear.recv_from(&mut [0; 1000]).await?;
            }
            Ok(())
        })
        .unwrap();
    assert!(simulation.time() >= SECOND, "{:?}", simulation.time());
}

#[test]
fn a_link_that_loses_everything_lets_nobody_connect() {
    let (simulation, _, client, _) = two_hosts(quick().loss(1.0));
    let to = ClientEndpoint::from("server:7").timeout(600 * SECOND);
    let failure = simulation.run_until(client.reactor().open(to)).unwrap_err();
    assert_eq!(failure.check::<ConnectError>().map(ConnectError::kind), Some(ErrorKind::TimedOut));
}

/// What is sent and not read yet is no more than the window.
#[test]
fn a_peer_that_does_not_read_takes_a_window_and_no_more() {
    let (simulation, server, client, _) = two_hosts(quick().window(10_000));
    let reactor = client.reactor();
    let opening = client.reactor().open("server:7");
    let mut stream = simulation.run_until(opening).unwrap();
    simulation.run_for(SECOND).unwrap();
    server.pause();
    let writing = reactor.spawn(async move {
        stream.write_all(&[7; 50_000]).await?;
        stream.close().await?;
        Ok(stream)
    });
    simulation.run_for(10 * SECOND).unwrap();
    let sent = |event: &TraceEvent| match event.what {
        EventKind::Sent(bytes) => bytes,
        _ => 0,
    };
    let total: usize = simulation.trace_events().iter().map(sent).sum();
    assert_eq!(total, 10_000);
    server.resume();
    simulation.run_until(writing).unwrap();
}

/// Keeps its reason.
struct Witness(Rc<RefCell<Vec<String>>>);

impl Protocol for Witness {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.0.borrow_mut().push(reason.to_string());
    }
}

fn witness(
    simulation: &Simulation,
    client: &Host,
) -> (Connected<Witness>, Rc<RefCell<Vec<String>>>) {
    let reasons = Rc::<RefCell<Vec<String>>>::default();
    let mut made = Some(Witness(reasons.clone()));
    let connecting = client.reactor().connect("server:7", move |_: &Address| made.take().unwrap());
    let connected = simulation.run_until(connecting).unwrap();
    simulation.run_for(SECOND).unwrap();
    (connected, reasons)
}

#[test]
fn a_connection_over_a_way_that_stays_cut_is_given_up_after_a_quarter_of_an_hour() {
    let (simulation, server, client, _) = two_hosts(quick());
    let (connected, reasons) = witness(&simulation, &client);
    simulation.cut(&server, &client);
    connected.transport().write(b"hello?");
    simulation.run_for(600 * SECOND).unwrap();
    assert!(reasons.borrow().is_empty());
    simulation.run_for(1200 * SECOND).unwrap();
    assert!(reasons.borrow()[0].contains("timed out"), "{:?}", reasons.borrow());
}

#[test]
fn a_peer_that_is_gone_is_noticed_by_who_probes_it() {
    let (simulation, server, client, _) = two_hosts(quick());
    let (connected, reasons) = witness(&simulation, &client);
    let (_other, unaware) = witness(&simulation, &client);
    connected.transport().set_keepalive(Some(60 * SECOND)).unwrap();
    server.crash();
    simulation.run_for(3600 * SECOND).unwrap();
    assert_eq!((reasons.borrow().len(), unaware.borrow().len()), (1, 0));
}

#[test]
fn who_waits_for_room_goes_on_when_the_way_back_is_healed() {
    let (simulation, _, client, read) = two_hosts(quick().window(10_000));
    simulation.script("cut server>client at 5 ms for 10 s").unwrap();
    let uploading = upload(&client, 100_000);
    simulation.run_for(9 * SECOND).unwrap();
    assert!(read.get() <= 20_000, "{}", read.get());
    simulation.run_until(uploading).unwrap();
    assert_eq!(read.get(), 100_000);
}

#[test]
fn a_clock_that_jumps_rings_what_is_due_by_it() {
    let simulation = Simulation::new(1);
    let host = simulation.host("laptop");
    let nap = host.reactor().sleep(3600 * SECOND);
    host.jump_clock(3600 * SECOND);
    simulation.run_until(nap).unwrap();
    assert!(simulation.time() < SECOND);
}

#[test]
fn a_host_that_crashed_holds_no_descriptor_and_no_port_of_its_former_life() {
    let simulation = Simulation::new(1);
    let server = simulation.host("server");
    let boot = |reactor: &ropewalk::Reactor| {
        let socket = reactor.bind_udp("0.0.0.0:53")?;
        drop(reactor.spawn(async move { socket.recv_from(&mut [0; 9]).await.map(drop) }));
        reactor.serve("0.0.0.0:53", async |_| Ok(())).map(drop)
    };
    server.boot(boot);
    assert_eq!(server.descriptors(), 2);
    server.crash();
    assert_eq!(server.descriptors(), 0);
    server.restart();
    assert_eq!(server.descriptors(), 2);
    simulation.run_for(SECOND).unwrap();
}
