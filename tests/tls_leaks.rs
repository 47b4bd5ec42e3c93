//! A TLS server under hundreds of bad handshakes: it lives, it says what was wrong, and it keeps no
//! descriptor and no memory. Alone in its program, for it counts what the process has.

#![allow(clippy::unwrap_used)] // In a test a panic is the report.
#![cfg(all(target_os = "linux", feature = "tls"))]

mod kit;

use kit::{census, until};
use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
use ropewalk::{Address, ClientEndpoint, Protocol, Reactor, Result, ServerEndpoint, Transport};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// How an attacker leaves.
#[derive(Clone, Copy)]
enum Leave {
    /// Ends its half, and waits for the server to hang up.
    InOrder,
    /// Resets the connection.
    ByReset,
    /// Not before the server does.
    Never,
}

fn attack(at: SocketAddr, bytes: &[u8], leave: Leave) {
    let mut socket = TcpStream::connect(at).unwrap();
    // A server that has heard enough may be gone before all is written.
    let _ = socket.write_all(bytes);
    match leave {
        Leave::InOrder => _ = socket.shutdown(Shutdown::Write),
        Leave::ByReset => {
            let linger = Some(Duration::ZERO);
            return socket2::SockRef::from(&socket).set_linger(linger).unwrap();
        }
        Leave::Never => {}
    }
    let _ = socket.read_to_end(&mut Vec::new());
}

/// The first words of a client, as they are.
fn hello(reactor: &Reactor) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let config = ClientConfig::dangerously_trusting_anybody();
    let opening = reactor.open(ClientEndpoint::from(listener.local_addr().unwrap()).tls(&config));
    let mut caller = None;
    until(reactor, "a call", || {
        caller = listener.accept().ok();
        caller.is_some()
    });
    let (mut socket, _) = caller.unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut hello = vec![0; 4096];
    until(reactor, "a hello", || match socket.read(&mut hello) {
        Ok(count) => {
            hello.truncate(count);
            true
        }
        Err(_) => false,
    });
    opening.cancel();
    hello
}

/// What is no TLS: lengths beyond all bounds, other protocols, noise.
fn garbage() -> Vec<Vec<u8>> {
    let mut all = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x16\x03\x01\xff\xff".to_vec(),
        // A hello of sixteen million bytes, a record at a time.
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff".iter().copied().chain([0; 0x3ffc]).collect(),
    ];
    let mut noise = 1u32;
    for length in (0..20_000).step_by(200) {
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        // No kind of record that there is, be it by chance.
        all.push([0xfe].into_iter().chain((0..length).map(|_| next())).collect());
    }
    all
}

/// Returns how many handshakes were tried, and how many of them with what is no TLS at all.
fn wave(at: SocketAddr, hello: &[u8]) -> (usize, usize) {
    for cut in 0..hello.len() {
        for leave in [Leave::InOrder, Leave::ByReset] {
            attack(at, &hello[..cut], leave);
        }
    }
    // The server has answered, and is left alone with that.
    for leave in [Leave::InOrder, Leave::ByReset].repeat(50) {
        attack(at, hello, leave);
    }
    let silent: Vec<_> = [&b""[..], &hello[..5], &hello[..hello.len() - 1], hello]
        .iter()
        .map(|bytes| {
            let bytes = bytes.to_vec();
            std::thread::spawn(move || attack(at, &bytes, Leave::Never))
        })
        .collect();
    silent.into_iter().for_each(|attacker| attacker.join().unwrap());
    let garbage = garbage();
    for bytes in &garbage {
        attack(at, bytes, Leave::Never);
    }
    (2 * hello.len() + 100 + 4 + garbage.len(), garbage.len())
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Kilobytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn bad_handshakes_leave_nothing_behind_and_are_told_to_who_hears_of_peers_alone() {
    let reactor = Reactor::new().unwrap();
    let identity = Identity::self_signed(&["localhost"]).unwrap();
    let client = ClientConfig::trusting(identity.certificate_pem()).server_name("localhost");
    let server = ServerConfig::new(identity).handshake_timeout(Duration::from_millis(300));
    let port = reactor
        .listen(ServerEndpoint::from("127.0.0.1:0").tls(&server), |_: &Address| Echo)
        .unwrap();
    let at = port.host().socket_addr().unwrap();
    let hello = hello(&reactor);
    assert!(hello.len() > 200, "{} bytes", hello.len());
    kit::turn(&reactor);
    let said = Rc::new(RefCell::new(Vec::new()));
    let heard = said.clone();
    ropewalk::on_peer_fault(move |report| heard.borrow_mut().push(report.to_string()));
    let reports = kit::hear_reports();

    let alone = census(&reactor);
    let mut before = None;
    for _ in 0..2 {
        said.borrow_mut().clear();
        let hello = hello.clone();
        let attacker = std::thread::spawn(move || wave(at, &hello));
        until(&reactor, "the last attack", || attacker.is_finished());
        let (tried, garbage) = attacker.join().unwrap();
        until(&reactor, "the last end", || census(&reactor) == alone);
        // What the first wave needed is there for the second.
        let (descriptors, resident) = (descriptors(), resident());
        let (fds, kilobytes) = *before.get_or_insert((descriptors, resident));
        assert_eq!(descriptors, fds);
        assert!(resident < kilobytes + 2048, "{kilobytes} kB became {resident} kB");
        let said = said.borrow();
        let told = said.iter().filter(|line| line.contains("what it sent is not TLS")).count();
        println!("{tried} handshakes, {told} reports, {descriptors} descriptors, {resident} kB");
        assert_eq!(told, garbage, "{said:?}");
        assert!(said.iter().all(|line| line.contains("127.0.0.1:")), "{said:?}");
    }
    reports.expect(&[]);
    let opening = reactor.open(ClientEndpoint::from(&port.host()).tls(&client));
    let echo = reactor.run_until(async move {
        use futures_util::{AsyncReadExt, AsyncWriteExt};
        let mut stream = opening.await?;
        stream.write_all(b"alive").await?;
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).await?;
        Ok(echo)
    });
    assert_eq!(&echo.unwrap(), b"alive");
}
