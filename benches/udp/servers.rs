//! The servers. What a datagram begins with says what is asked for: to be echoed, or so many others.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use ropewalk::net::{DatagramProtocol, DatagramTransport};
use ropewalk::{Address, Failure, Reactor, Result};

use crate::client::PIECE;
use crate::machine::stay_on;

/// Names of servers, the one that the others are compared with first.
pub(crate) const ALL: [&str; 4] = ["mio", "callbacks", "async", "tokio"];

/// The first byte of a datagram that is to be echoed.
pub(crate) const ECHO: u8 = b'=';
/// The first byte of one whose second says how many datagrams are wanted.
pub(crate) const SEND: u8 = b'>';

const ANY_PORT: &str = "127.0.0.1:0";
const ANSWER: [u8; PIECE] = [7; PIECE];

/// Runs a server by its name until killed.
pub(crate) fn serve(name: &str, cpu: &str) -> Result {
    stay_on(cpu.parse()?)?;
    match name {
        "mio" => return Ok(mio_server()?),
        "tokio" => return Ok(tokio_server()?),
        _ => {}
    }
    let reactor = Reactor::new()?;
    let host = match name {
        "callbacks" => reactor.listen_udp(ANY_PORT, Callbacks)?.host(),
        "async" => open(&reactor)?,
        _ => return Err(Failure::msg(format!("there is no server '{name}'"))),
    };
    println!("{host}");
    reactor.run()
}

/// How many datagrams are asked for, if not an echo.
fn wanted(request: &[u8]) -> Option<u8> {
    match request {
        [SEND, count] => Some(*count),
        _ => None,
    }
}

struct Callbacks;

impl DatagramProtocol for Callbacks {
    fn datagram_received(
        &mut self,
        transport: &DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        match wanted(data) {
            None => transport.write_to(data, from),
            Some(count) => (0..count).try_for_each(|_| transport.write_to(ANSWER, from)),
        }
    }
}

fn open(reactor: &Reactor) -> Result<Address> {
    let socket = reactor.bind_udp(ANY_PORT)?;
    let host = socket.host();
    let serving = reactor.spawn(async move {
        let mut buffer = vec![0; 65536];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await?;
            match wanted(&buffer[..length]) {
                None => socket.send_to(&buffer[..length], &from).await?,
                Some(count) => {
                    for _ in 0..count {
                        socket.send_to(&ANSWER, &from).await?;
                    }
                }
            }
        }
        #[expect(unreachable_code, reason = "says what the task would return")]
        Ok(())
    });
    drop(serving);
    Ok(host)
}

fn tokio_server() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let socket = tokio::net::UdpSocket::bind(ANY_PORT).await?;
        println!("{}", socket.local_addr()?);
        let mut buffer = vec![0; 65536];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await?;
            match wanted(&buffer[..length]) {
                None => drop(socket.send_to(&buffer[..length], from).await?),
                Some(count) => {
                    for _ in 0..count {
                        socket.send_to(&ANSWER, from).await?;
                    }
                }
            }
        }
    })
}

fn mio_server() -> io::Result<()> {
    let mut socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("{}", socket.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 65536]);
    loop {
        poll.poll(&mut events, None)?;
        match answer_all(&socket, &mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            outcome => outcome?,
        }
    }
}

/// Answers until there is nothing more to read.
fn answer_all(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        let (length, from) = socket.recv_from(buffer)?;
        match wanted(&buffer[..length]) {
            None => drop(socket.send_to(&buffer[..length], from)?),
            Some(count) => {
                for _ in 0..count {
                    socket.send_to(&ANSWER, from)?;
                }
            }
        }
    }
}
