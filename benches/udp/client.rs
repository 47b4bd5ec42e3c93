//! The client: a blocking socket, the same for every server.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

use crate::servers::{ECHO, SEND};

/// Bytes of a datagram in a burst, and how many they are.
pub(crate) const PIECE: usize = 1200;
pub(crate) const BURST: usize = 32;
/// Bytes of a datagram that goes to and fro alone.
pub(crate) const SMALL: usize = 64;

/// How a burst is sent.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Burst {
    OneByOne,
    Train,
}

pub(crate) struct Client {
    socket: UdpSocket,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(server: SocketAddr) -> io::Result<Client> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        // On the loopback nothing is late: what is not there by then is lost, and the bench fails.
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Client { socket, buffer: vec![ECHO; PIECE * BURST] })
    }

    /// Has so many small datagrams echoed, one after the other.
    pub(crate) fn ping_pong(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.socket.send(&self.buffer[..SMALL])?;
            self.receive(1)?;
        }
        Ok(())
    }

    /// Has bursts echoed, so many datagrams in all.
    pub(crate) fn echo(&mut self, count: usize, burst: Burst) -> io::Result<()> {
        for _ in 0..count / BURST {
            self.send_burst(burst)?;
            self.receive(BURST)?;
        }
        Ok(())
    }

    /// Has bursts sent out, so many datagrams in all.
    pub(crate) fn ask(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count / BURST {
            self.socket.send(&[SEND, BURST as u8])?;
            self.receive(BURST)?;
        }
        Ok(())
    }

    fn send_burst(&self, burst: Burst) -> io::Result<()> {
        let pieces = self.buffer.chunks(PIECE);
        if burst == Burst::OneByOne {
            return pieces.map(|piece| self.socket.send(piece)).try_for_each(|sent| sent.map(drop));
        }
        let (all, each) = ([IoSlice::new(&self.buffer)], PIECE as u16);
        let train = [ControlMessage::UdpGsoSegments(&each)];
        let socket = self.socket.as_raw_fd();
        sendmsg::<SockaddrStorage>(socket, &all, &train, MsgFlags::empty(), None)?;
        Ok(())
    }

    fn receive(&self, count: usize) -> io::Result<()> {
        let mut piece = [0; PIECE];
        (0..count).try_for_each(|_| self.socket.recv(&mut piece).map(drop))
    }
}
