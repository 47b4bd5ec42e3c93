//! The servers under load. ropewalk's are those of `examples/echo`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use ropewalk::{Address, Failure, Port, Reactor, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::machine::stay_on;

#[path = "../../examples/echo/awaited.rs"]
mod awaited;
#[path = "../../examples/echo/lines.rs"]
mod lines;
#[path = "../../examples/echo/protocol.rs"]
mod protocol;
#[path = "../../examples/echo/stream.rs"]
mod stream;

/// Names of servers, the one that the others are compared with first.
pub(crate) const ALL: [&str; 5] = ["mio", "callbacks", "awaited", "async", "tokio"];

const ANY_PORT: &str = "127.0.0.1:0";

/// Runs a server by its name (`mio`, or `mio-lines` for the line by line edition) until killed.
pub(crate) fn serve(name: &str, cpu: &str) -> Result {
    stay_on(cpu.parse()?)?;
    let reactor = Reactor::new()?;
    let port = match name {
        // The floor: it writes what it read, whole, and looks for no lines.
        "mio" | "mio-lines" => return Ok(mio_server()?),
        "tokio" => return Ok(tokio_server(false)?),
        "tokio-lines" => return Ok(tokio_server(true)?),
        "callbacks" => reactor.listen(ANY_PORT, |_: &Address| protocol::Echo)?,
        "callbacks-lines" => reactor.listen(ANY_PORT, |_: &Address| lines::EchoLines::default())?,
        "awaited" => reactor.listen(ANY_PORT, awaited::echo)?,
        "awaited-lines" => reactor.listen(ANY_PORT, awaited::echo_lines)?,
        "async" => reactor.serve(ANY_PORT, stream::echo)?,
        "async-lines" => reactor.serve(ANY_PORT, stream::echo_lines)?,
        _ => return Err(Failure::msg(format!("there is no server '{name}'"))),
    };
    announce(&port);
    reactor.run()
}

fn announce(port: &Port) {
    println!("{}", port.host());
}

fn tokio_server(lines: bool) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(ANY_PORT).await?;
        println!("{}", listener.local_addr()?);
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            // An error is the end of one connection, and of nothing else.
            tokio::spawn(async move {
                let _ = if lines { tokio_lines(socket).await } else { tokio_echo(socket).await };
            });
        }
    })
}

async fn tokio_echo(mut socket: tokio::net::TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 65536];
    loop {
        let n = socket.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        socket.write_all(&buffer[..n]).await?;
    }
}

async fn tokio_lines(socket: tokio::net::TcpStream) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut line = Vec::new();
    while socket.read_until(b'\n', &mut line).await? > 0 {
        socket.write_all(&line).await?;
        line.clear();
    }
    Ok(())
}

const LISTENER: Token = Token(usize::MAX - 1);

/// One edge-triggered loop, one buffer for all connections, a backlog for who does not keep up.
struct MioServer {
    poll: Poll,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    vacant: Vec<usize>,
    buffer: Vec<u8>,
}

struct Peer {
    socket: TcpStream,
    backlog: Vec<u8>,
}

fn mio_server() -> io::Result<()> {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut listener = TcpListener::bind(any_port)?;
    println!("{}", listener.local_addr()?);
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (peers, vacant, buffer) = (Vec::new(), Vec::new(), vec![0; 65536]);
    let mut server = MioServer { poll, listener, peers, vacant, buffer };
    let mut events = Events::with_capacity(1024);
    loop {
        server.poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => server.accept()?,
                Token(number) => server.exchange(number, event.is_readable())?,
            }
        }
    }
}

impl MioServer {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let number = self.vacant.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(number), both)?;
            self.peers[number] = Some(Peer { socket, backlog: Vec::new() });
        }
    }

    fn exchange(&mut self, number: usize, readable: bool) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(number).and_then(Option::as_mut) else {
            return Ok(());
        };
        let echoed = match peer.flush() {
            Ok(()) if readable => peer.echo(&mut self.buffer),
            flushed => flushed,
        };
        if echoed.is_err() {
            self.poll.registry().deregister(&mut peer.socket)?;
            self.peers[number] = None;
            self.vacant.push(number);
        }
        Ok(())
    }
}

impl Peer {
    fn flush(&mut self) -> io::Result<()> {
        if !self.backlog.is_empty() {
            let sent = send(&mut self.socket, &self.backlog)?;
            self.backlog.drain(..sent);
        }
        Ok(())
    }

    fn echo(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let n = match self.socket.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let idle = self.backlog.is_empty();
            let sent = if idle { send(&mut self.socket, &buffer[..n])? } else { 0 };
            self.backlog.extend_from_slice(&buffer[sent..n]);
            if n < buffer.len() {
                // A short read: nothing is left, and the next bytes are a new edge.
                return Ok(());
            }
        }
    }
}

/// Sends what the socket takes at once.
fn send(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        sent => sent,
    }
}
