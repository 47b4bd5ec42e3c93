//! What was written and not waited for, when a run is over: sent, or cut off so that the peer sees it.

use super::kit::{MUCH, Peer, alone, path, pattern, until};
use futures_util::AsyncWriteExt;
use ropewalk::simulation::Simulation;
use ropewalk::{Address, Protocol, Reactor, Result, Stream, Transport, react};
use std::cell::{Cell, RefCell};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// In simulation more is not more.
const SOME: usize = 1024 * 1024;

/// A peer in a thread of its own, which reads to the end: how many bytes, and how it ended.
fn reader() -> (SocketAddr, JoinHandle<(usize, std::io::Result<usize>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let reading = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let (mut buffer, mut total) = (vec![0; 256 * 1024], 0);
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => return (total, Ok(0)),
                Ok(count) => total += count,
                Err(error) => return (total, Err(error)),
            }
        }
    });
    (at, reading)
}

/// Writes much without waiting until it is gone, and lets go of it.
async fn send_and_drop(reactor: Reactor, at: SocketAddr) -> Result {
    let stream = reactor.open(at).await?;
    stream.transport().write(pattern(MUCH));
    Ok(drop(stream))
}

#[track_caller]
fn all_arrived(reading: JoinHandle<(usize, std::io::Result<usize>)>) {
    let (total, end) = reading.join().unwrap();
    assert_eq!((total, end.ok()), (MUCH, Some(0)));
}

#[test]
fn run_until_returns_when_a_closing_connection_has_sent_all() {
    let (at, reading) = reader();
    let reactor = Reactor::new().unwrap();
    reactor.run_until(send_and_drop(reactor.clone(), at)).unwrap();
    drop(reactor);
    all_arrived(reading);
}

#[test]
fn run_returns_when_a_closing_connection_has_sent_all() {
    struct Sender(Reactor);
    impl Protocol for Sender {
        fn connection_made(&mut self, transport: &Transport) {
            transport.write(pattern(MUCH));
            transport.lose_connection();
            self.0.stop().unwrap();
        }
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let (at, reading) = reader();
    let reactor = Reactor::new().unwrap();
    let handle = reactor.clone();
    drop(reactor.connect(at, move |_: &Address| Sender(handle.clone())));
    reactor.run().unwrap();
    drop(reactor);
    all_arrived(reading);
}

#[test]
fn react_returns_when_a_closing_connection_has_sent_all() {
    let (at, reading) = reader();
    assert_eq!(react(|reactor| send_and_drop(reactor, at)), ExitCode::SUCCESS);
    all_arrived(reading);
}

/// Too little time, and a peer that reads nothing meanwhile.
#[test]
fn what_is_left_when_the_reactor_is_dropped_is_reset() {
    for is_closing in [true, false] {
        let reactor = Reactor::new().unwrap();
        reactor.set_flush_timeout(Duration::ZERO);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let stream = reactor.run_until(reactor.open(at)).unwrap();
        let mut peer = Peer::over(listener.accept().unwrap().0);
        stream.transport().write(pattern(MUCH));
        let kept = if is_closing { None } else { Some(stream) };
        reactor.turn(Some(Duration::ZERO)).unwrap();
        drop((reactor, kept));
        let other = Reactor::new().unwrap();
        assert_eq!(peer.until_end(&other), "ConnectionReset", "closing: {is_closing}");
        assert!(peer.got.len() < MUCH);
    }
}

#[test]
fn an_open_connection_is_reset_with_its_reactor_though_all_was_sent() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.serve("127.0.0.1:0", async |mut stream: Stream| {
        stream.write_all(b"half a story").await?;
        stream.flush().await?;
        std::future::pending::<Result>().await
    });
    let mut peer = Peer::call(&port.unwrap());
    until(&reactor, "half is heard", || peer.hear() == b"half a story");
    drop(reactor);
    assert_eq!(peer.until_end(&Reactor::new().unwrap()), "ConnectionReset");
}

#[test]
fn a_connection_whose_own_half_has_ended_is_not_reset_with_its_reactor() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.serve("127.0.0.1:0", async |mut stream: Stream| {
        stream.write_all(b"the whole story").await?;
        stream.close().await?;
        std::future::pending::<Result>().await
    });
    let mut peer = Peer::call(&port.unwrap());
    until(&reactor, "all is heard", || {
        peer.hear();
        peer.end.is_some()
    });
    drop(reactor);
    assert_eq!(
        (peer.end.as_deref(), &peer.got[..]),
        (Some("end of stream"), &b"the whole story"[..])
    );
}

#[test]
fn what_a_stop_cuts_off_is_reset_and_what_was_sent_ends_in_order() {
    for (bytes, end) in [(MUCH, "ConnectionReset"), (5, "end of stream")] {
        let reactor = Reactor::new().unwrap();
        let (transports, handle) = (Rc::new(RefCell::new(Vec::new())), reactor.clone());
        let kept = transports.clone();
        let port = reactor.serve("127.0.0.1:0", async move |stream: Stream| {
            stream.transport().write(pattern(bytes));
            kept.borrow_mut().push(stream);
            handle.stop()
        });
        let mut peer = Peer::call(&port.unwrap());
        reactor.run().unwrap();
        let other = Reactor::new().unwrap();
        assert_eq!(peer.until_end(&other), end, "{bytes} bytes");
        drop(transports);
    }
}

#[test]
fn an_open_connection_stays_for_the_next_run() {
    let (at, reading) = reader();
    let reactor = Reactor::new().unwrap();
    let stream = reactor.run_until(reactor.open(at)).unwrap();
    stream.transport().write(pattern(MUCH));
    reactor.run_until(async { Ok(()) }).unwrap();
    assert!(stream.transport().is_connected());
    reactor
        .run_until(async {
            let mut stream = stream;
            Ok(stream.close().await?)
        })
        .unwrap();
    all_arrived(reading);
}

#[test]
fn a_run_waits_no_longer_than_the_flush_timeout_for_a_peer_that_does_not_read() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let at = server.reactor().serve("0.0.0.0:80", async |stream: Stream| {
        let _stream = stream;
        std::future::pending::<Result>().await
    });
    at.unwrap();
    let reactor = client.reactor();
    for limit in [5, 30] {
        reactor.set_flush_timeout(Duration::from_secs(limit));
        let began = Cell::new(Duration::ZERO);
        reactor
            .run_until(async {
                let stream = reactor.open("server:80").await?;
                stream.transport().write(pattern(SOME));
                began.set(simulation.time());
                Ok(())
            })
            .unwrap();
        assert_eq!((simulation.time() - began.get()).as_secs(), limit);
    }
}

#[test]
fn a_run_on_a_simulated_host_flushes_what_is_closing() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let heard = Rc::new(Cell::new(None));
    let total = heard.clone();
    let at = server.reactor().serve("0.0.0.0:80", async move |mut stream: Stream| {
        let mut all = Vec::new();
        futures_util::AsyncReadExt::read_to_end(&mut stream, &mut all).await?;
        total.set(Some(all.len()));
        Ok(())
    });
    at.unwrap();
    let reactor = client.reactor();
    let handle = reactor.clone();
    drop(reactor.spawn(async move {
        let stream = handle.open("server:80").await?;
        stream.transport().write(pattern(SOME));
        drop(stream);
        handle.stop()
    }));
    reactor.run().unwrap();
    simulation.run_for(Duration::from_secs(10)).unwrap();
    assert_eq!(heard.get(), Some(SOME));
}

#[test]
fn a_unix_socket_and_a_pipe_are_flushed_too() {
    let reactor = Reactor::new().unwrap();
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    let reading = thread::spawn(move || far.read_to_end(&mut Vec::new()));
    let (input, output) = (near.try_clone().unwrap(), near);
    reactor
        .run_until(async {
            let stream = reactor.open_pipes(input, output)?;
            stream.transport().write(pattern(MUCH));
            Ok(())
        })
        .unwrap();
    drop(reactor);
    assert_eq!(reading.join().unwrap().unwrap(), MUCH);
}

/// The stream is kept open: standard output is flushed all the same.
#[cfg(target_os = "linux")]
#[test]
fn standard_output_is_flushed_though_it_is_open() {
    let name = "flushing::standard_output_is_flushed_though_it_is_open";
    let child = alone(name, || {
        for is_run in [false, true] {
            let reactor = Reactor::new().unwrap();
            let stream = reactor.open_stdio().unwrap();
            stream.transport().write(vec![b'~'; MUCH]);
            if is_run {
                let stopper = reactor.clone();
                reactor.call_when_running(move || stopper.stop());
                reactor.run().unwrap();
            } else {
                reactor.run_until(async { Ok(()) }).unwrap();
            }
            drop((reactor, stream));
        }
    });
    if let Some(child) = child {
        let arrived = child.stdout.iter().filter(|&&byte| byte == b'~').count();
        assert_eq!(arrived, 2 * MUCH);
        assert!(child.status.success());
    }
}

#[cfg(feature = "process")]
#[test]
fn a_childs_standard_input_is_flushed_too() {
    let reactor = Reactor::new().unwrap();
    let file = path("flushed");
    let script = format!("cat > {}", file.display());
    reactor
        .run_until(async {
            let options = ropewalk::process::ProcessOptions::new("sh").args(["-c", &script]);
            let child = reactor.open_process(options).await?;
            child.stdin.transport().write(pattern(MUCH));
            Ok(drop(child.stdin))
        })
        .unwrap();
    drop(reactor);
    let other = Reactor::new().unwrap();
    until(&other, "the child wrote all", || {
        std::fs::metadata(&file).is_ok_and(|it| it.len() == MUCH as u64)
    });
    std::fs::remove_file(&file).unwrap();
}
