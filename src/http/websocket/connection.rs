// A connection after its handshake: bytes in, calls of the application's protocol out.
//
// # Theory
// The codec unmasks where bytes lie, and those of a transport are lent; so they are copied into memory
// that all sockets share, once. A message in one piece is handed on from there; one in several is
// gathered, within the limit that the codec keeps.
//
// # Not here
// What is sent, and when a peer is given up: `socket.rs`.

use super::protocol::{Closed, WebSocketProtocol};
use super::{CloseCode, Event, Piece, Socket, Violation};
use crate::failure::{Failure, Result};
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::mem;

pub(super) struct Connection<P> {
    socket: Socket,
    protocol: P,
    /// The pieces so far of a message that came in several.
    gathered: Vec<u8>,
    /// What the peer did that it may not.
    violation: Option<Violation>,
}

/// What reading memory may grow to.
const SCRATCH: usize = 256 << 10;

impl<P: WebSocketProtocol> Connection<P> {
    pub(super) fn new(socket: Socket, protocol: P) -> Connection<P> {
        Connection { socket, protocol, gathered: Vec::new(), violation: None }
    }

    fn read(&mut self, mut input: &mut [u8]) -> Result {
        while let Some(event) = self.socket.with_codec(|codec| codec.feed(&mut input)) {
            match event {
                Event::Text(piece) => self.piece(piece, P::text_bytes)?,
                Event::Binary(piece) => self.piece(piece, P::binary)?,
                Event::Ping(payload) => {
                    self.socket.pong(&payload);
                    self.protocol.ping(&self.socket, &payload);
                }
                Event::Pong(payload) => self.protocol.pong(&self.socket, &payload),
                Event::Close(close) => {
                    self.socket.say_close(close.code().map(|code| (code, "")));
                    self.socket.0.close.replace(Some(close));
                    self.end();
                }
                Event::Refused(violation) => self.refuse(violation),
            }
        }
        Ok(())
    }

    #[inline]
    fn piece(&mut self, piece: Piece<'_>, tell: fn(&mut P, &Socket, &[u8]) -> Result) -> Result {
        if !piece.is_last {
            self.gathered.extend_from_slice(piece.data);
            return Ok(());
        }
        if self.gathered.is_empty() {
            return tell(&mut self.protocol, &self.socket, piece.data);
        }
        let mut message = mem::take(&mut self.gathered);
        message.extend_from_slice(piece.data);
        tell(&mut self.protocol, &self.socket, &message)
    }

    fn refuse(&mut self, violation: Violation) {
        self.violation = Some(violation);
        self.socket.say_close(Some((violation.close_code(), &violation.to_string())));
        self.end();
    }

    fn end(&self) {
        if let Some(transport) = self.socket.transport() {
            transport.lose_connection();
        }
    }
}

/// Text that the codec has looked at.
trait TextBytes: WebSocketProtocol {
    fn text_bytes(&mut self, socket: &Socket, data: &[u8]) -> Result {
        match str::from_utf8(data) {
            Ok(text) => self.text(socket, text),
            Err(error) => Err(error.into()),
        }
    }
}

impl<P: WebSocketProtocol> TextBytes for P {}

impl<P: WebSocketProtocol> Protocol for Connection<P> {
    fn connection_made(&mut self, transport: &Transport) {
        self.socket.made(transport);
        self.protocol.opened(&self.socket);
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.socket.note_heard();
        let scratch = self.socket.0.scratch.clone();
        // Taken out: another socket's may be read while this one's protocol is called.
        let mut input = scratch.incoming.take();
        input.clear();
        input.extend_from_slice(data);
        let outcome = self.read(&mut input);
        if input.capacity() <= SCRATCH {
            scratch.incoming.set(input);
        }
        if outcome.is_err() {
            self.socket.say_close(Some((CloseCode::INTERNAL_ERROR, "")));
        }
        outcome
    }

    fn pause_writing(&mut self, _: &Transport) {
        self.protocol.pause_writing(&self.socket);
    }

    fn resume_writing(&mut self, _: &Transport) {
        self.protocol.resume_writing(&self.socket);
    }

    fn drain(&mut self, _: &Transport) {
        self.socket.close(CloseCode::GOING_AWAY, "the server stops");
    }

    fn read_closed(&mut self, _: &Transport) {
        if let Some(violation) = self.socket.with_codec(|codec| codec.end()) {
            self.refuse(violation);
        }
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.socket.forget();
        let close = self.socket.0.close.take();
        let failure = self.violation.map_or_else(|| reason.clone(), Failure::from);
        self.protocol.closed(&Closed { close, failure });
    }
}
