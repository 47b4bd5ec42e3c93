//! The PROXY protocol: a load balancer says, before anything else, whom it speaks for.
//!
//! # Theory
//! It is a layer whose handshake is the header. Once that is in, the connection's `peer` and `host`
//! are those that the header names, the factory is asked for a protocol for that peer, and the bytes
//! behind the header are the first that it receives. Version 1 (a line) and 2 (binary) are told apart
//! by their first bytes. `LOCAL` and `UNKNOWN`, a balancer's own checks, keep the real addresses, and so
//! does what version 2 leaves unspecified or forwards of datagrams. What follows its addresses, be it
//! certificates, is skipped.
//!
//! # Invariants
//! * A header has a limit (107 bytes, or the 64 KiB that version 2 can say) and a time limit of ten
//!   seconds; what is no header ends the connection as soon as that is certain, and the report names the
//!   peer.
//!
//! # Not here
//! What a header is: `proxy_header.rs`.
//!
//! Whoever can connect can say anything in a header: listen where only the balancer can.

use super::proxy_header::{Addresses, parse};
use crate::address::Address;
use crate::driver::{AnyStream, ByteStream, Layer, Socket};
use crate::forward_byte_stream;
use crate::net::connection::Connection;
use crate::net::connection::layer::{self, HandshakingAcceptor};
use crate::net::listen::Acceptor;
use crate::reactor::Loop;
use crate::transport::Wrap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// What a port behind a balancer does: headers first, and then what the welcome below does.
pub(super) fn behind_proxy(below: Box<dyn Acceptor>) -> Box<dyn Acceptor> {
    Box::new(HandshakingAcceptor::new(Rc::new(Headers), Box::new(Renamed(below))))
}

struct Headers;

impl layer::Layer for Headers {
    fn prepare(&self, _: Option<&str>) -> io::Result<Wrap> {
        Ok(Box::new(|stream| Box::new(Headed::new(stream))))
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Gives each connection the addresses of its header before anybody sees it.
struct Renamed(Box<dyn Acceptor>);

impl Acceptor for Renamed {
    fn started(&mut self) {
        self.0.started();
    }

    fn accepted(&mut self, inner: &Rc<Loop>, stream: AnyStream, peer: Address) {
        self.0.accepted(inner, stream, peer);
    }

    fn serve(&mut self, connection: Rc<Connection>) {
        connection.ask_for_peer();
        self.0.serve(connection);
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }

    fn stopped(&mut self) {
        self.0.stopped();
    }
}

/// A stream behind its header.
struct Headed {
    stream: Box<dyn ByteStream>,
    /// The header until it is whole, then what came behind it until that is read.
    kept: Vec<u8>,
    /// Set once the header is whole; none inside if it names none.
    addresses: Option<Option<Addresses>>,
    /// Something was handed out of `kept`: whether the stream has more was not asked yet.
    is_behind: bool,
}

impl Headed {
    fn new(stream: Box<dyn ByteStream>) -> Headed {
        Headed { stream, kept: Vec::new(), addresses: None, is_behind: false }
    }

    fn take_in(&mut self) -> io::Result<()> {
        let mut piece = [0; 512];
        let count = self.stream.read(&mut piece)?;
        if count == 0 {
            let why = "it ended before its PROXY header did";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.kept.extend_from_slice(&piece[..count]);
        Ok(())
    }

    fn named(&self) -> Option<&Addresses> {
        self.addresses.as_ref()?.as_ref()
    }
}

impl ByteStream for Headed {
    forward_byte_stream!(self.stream: all except read, peer, host, as_socket, as_layer);

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.addresses.is_none() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.is_behind = !self.kept.is_empty();
        if !self.is_behind {
            return self.stream.read(buffer);
        }
        let count = self.kept.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.kept[..count]);
        self.kept.drain(..count);
        Ok(count)
    }

    fn peer(&self) -> io::Result<Address> {
        self.named().map_or_else(|| self.stream.peer(), |named| Ok(named.source.clone()))
    }

    fn host(&self) -> io::Result<Address> {
        self.named().map_or_else(|| self.stream.host(), |named| Ok(named.destination.clone()))
    }

    fn as_socket(&mut self) -> Option<&mut dyn Socket> {
        Some(self)
    }

    fn as_layer(&mut self) -> Option<&mut dyn Layer> {
        Some(self)
    }
}

impl Socket for Headed {
    forward_byte_stream!(self.stream: socket except is_at_end);

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.kept.is_empty() && self.stream.is_at_end()?)
    }
}

impl Layer for Headed {
    forward_byte_stream!(self.stream: layer except handshake, has_pending);

    fn handshake(&mut self) -> io::Result<()> {
        while self.addresses.is_none() {
            match parse(&self.kept) {
                Ok(Some((length, addresses))) => {
                    self.kept.drain(..length);
                    self.addresses = Some(addresses);
                }
                Ok(None) => self.take_in()?,
                Err(why) => {
                    let why = format!("it sent no PROXY header: {why}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
        Ok(())
    }

    fn has_pending(&mut self) -> bool {
        self.is_behind || self.stream.has_pending()
    }
}
