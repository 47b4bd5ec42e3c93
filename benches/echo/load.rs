//! The load: connections that each send a batch, wait until all of it has come back, and send the
//! next.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    /// Bytes of a message.
    pub(crate) message: usize,
    /// Messages sent together.
    pub(crate) batch: usize,
    /// Whether the servers are to echo line by line; a message is then a line.
    pub(crate) lines: bool,
}

pub(crate) struct Crowd {
    poll: Poll,
    peers: Vec<Peer>,
    /// The bytes of one batch.
    batch: Vec<u8>,
    messages_per_batch: usize,
    scratch: Vec<u8>,
}

struct Peer {
    socket: TcpStream,
    /// Bytes of the batch that the socket has not taken yet.
    to_send: usize,
    /// Bytes of the batch that have not come back yet.
    to_receive: usize,
}

impl Crowd {
    pub(crate) fn connect(address: SocketAddr, load: Load) -> io::Result<Crowd> {
        let batch = load.text().repeat(load.batch);
        let poll = Poll::new()?;
        let mut peers = Vec::with_capacity(load.connections);
        for number in 0..load.connections {
            let socket = std::net::TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut socket, Token(number), both)?;
            peers.push(Peer { socket, to_send: batch.len(), to_receive: batch.len() });
        }
        let (messages_per_batch, scratch) = (load.batch, vec![0; 1 << 18]);
        Ok(Crowd { poll, peers, batch, messages_per_batch, scratch })
    }

    /// Keeps the server busy for so long; returns how many messages came back.
    pub(crate) fn run(&mut self, time: Duration) -> io::Result<u64> {
        let mut events = Events::with_capacity(1024);
        let mut messages = 0;
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.poll.poll(&mut events, Some(Duration::from_millis(20)))?;
            for event in &events {
                messages += self.serve(event.token().0)?;
            }
        }
        Ok(messages)
    }

    fn serve(&mut self, number: usize) -> io::Result<u64> {
        let peer = &mut self.peers[number];
        let mut messages = 0;
        peer.send(&self.batch)?;
        loop {
            let more = peer.receive(&mut self.scratch)?;
            if peer.to_receive == 0 {
                messages += self.messages_per_batch as u64;
                peer.to_receive = self.batch.len();
                peer.to_send = self.batch.len();
                peer.send(&self.batch)?;
            }
            if !more {
                return Ok(messages);
            }
        }
    }
}

impl Peer {
    fn send(&mut self, batch: &[u8]) -> io::Result<()> {
        while self.to_send > 0 {
            match self.socket.write(&batch[batch.len() - self.to_send..]) {
                Ok(n) => self.to_send -= n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether there may be more to read; after a short read there is not.
    fn receive(&mut self, scratch: &mut [u8]) -> io::Result<bool> {
        match self.socket.read(scratch) {
            Ok(0) => Err(io::Error::other("the server closed a connection")),
            Ok(n) if n > self.to_receive => Err(io::Error::other("the server sent too much")),
            Ok(n) => {
                self.to_receive -= n;
                Ok(n == scratch.len())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Load {
    fn text(&self) -> Vec<u8> {
        let mut text = vec![b'x'; self.message];
        if let [.., last] = &mut text[..] {
            *last = b'\n';
        }
        text
    }
}
