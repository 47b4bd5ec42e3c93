// The handle by which an application speaks, and the connection's own part of the talk.
//
// # Theory
// Both faces are one machine: what arrives is read by `connection`, which calls a protocol; the awaited
// face is a protocol that keeps messages. What both may say goes through here: frames are encoded into
// one memory that all sockets of a reactor share, and written.
//
// ```text
//          1 made             2 close sent, or the peer's close answered        3 lost
//   early ───────► open ────────────────────────────────────────────► closing ───────► lost
//                    └──────────────── a ping unanswered, 3 ──────────────────────────►
// ```
//
// # Invariants
// * No borrow is alive while a protocol is called.
// * One timer per socket: it sends pings, and once closing it is the limit of that.

use super::{Close, CloseCode, Codec, Message, Options, Prepared, SendError};
use crate::address::Address;
use crate::clock::DelayedCall;
use crate::deferred::Deferred;
use crate::reactor::Reactor;
use crate::transport::Transport;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// A handle on a WebSocket, by which messages are sent; clones speak to the same one.
///
/// A send is refused with [`SendError::Full`] when the peer has not taken what was sent before
/// ([`Options::queue`]): drop the message, or the peer.
///
/// ```
/// use ropewalk::Result;
/// use ropewalk::http::websocket::{CloseCode, Socket, WebSocketProtocol};
///
/// struct Quit;
/// impl WebSocketProtocol for Quit {
///     fn text(&mut self, socket: &Socket, text: &str) -> Result {
///         match text {
///             "quit" => socket.close(CloseCode::NORMAL, "as you wish"),
///             other => socket.send(other)?,
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Socket(pub(super) Rc<Inner>);

pub(super) struct Inner {
    /// Borrowed for one event, or one frame.
    codec: RefCell<Codec>,
    /// Absent until the answer to the handshake is written; set once.
    transport: RefCell<Option<Transport>>,
    /// What was sent before that.
    early: RefCell<Vec<u8>>,
    /// Where frames are encoded and read; all sockets of a reactor share it.
    pub(super) scratch: Rc<Scratch>,
    pub(super) options: Rc<Options>,
    agreed: Option<String>,
    reactor: Reactor,
    timer: Cell<Option<DelayedCall>>,
    /// The peer sent something since the last ping.
    is_heard: Cell<bool>,
    /// What the peer said when it closed.
    pub(super) close: RefCell<Option<Close>>,
}

#[derive(Default)]
pub(super) struct Scratch {
    pub(super) incoming: Cell<Vec<u8>>,
    outgoing: Cell<Vec<u8>>,
}

/// What the shared memory may grow to.
const SCRATCH: usize = 256 << 10;

impl Socket {
    pub(super) fn server(options: Rc<Options>, agreed: Option<String>, reactor: Reactor) -> Socket {
        let codec = Codec::server(options.limits.clone());
        Socket(Rc::new(Inner {
            codec: RefCell::new(codec),
            transport: RefCell::default(),
            early: RefCell::default(),
            scratch: reactor.local(),
            options,
            agreed,
            reactor,
            timer: Cell::default(),
            is_heard: Cell::new(true),
            close: RefCell::default(),
        }))
    }

    /// Sends a message: text, or bytes.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        match message.into() {
            Message::Text(text) => self.send_text(&text),
            Message::Binary(bytes) => self.send_binary(&bytes),
        }
    }

    /// Sends a message of text.
    #[inline]
    pub fn send_text(&self, text: &str) -> Result<(), SendError> {
        self.encode(|codec, out| codec.send_text(text, out))
    }

    /// Sends a message of bytes.
    #[inline]
    pub fn send_binary(&self, data: &[u8]) -> Result<(), SendError> {
        self.encode(|codec, out| codec.send_binary(data, out))
    }

    /// Sends a part of a message of text; the last one ends it.
    pub fn send_fragment(&self, text: &str, is_last: bool) -> Result<(), SendError> {
        self.encode(|codec, out| codec.send_fragment(text, is_last, out))
    }

    /// Sends a message that was encoded once for many; see [`broadcast`](super::broadcast).
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), SendError> {
        self.refuse_if_full()?;
        self.0.codec.borrow().may_send_whole()?;
        self.put(message.frame());
        Ok(())
    }

    /// Sends a ping, with up to 125 bytes that the pong will carry. Pings are sent by themselves as well.
    pub fn ping(&self, payload: &[u8]) -> Result<(), SendError> {
        self.encode(|codec, out| codec.ping(payload, out))
    }

    /// Closes: nothing is sent behind it, and the connection ends when the peer has answered, or its
    /// [time](Options::close_within) for that is over. Words of more than 123 bytes are cut.
    #[doc(alias = "loseConnection")]
    pub fn close(&self, code: CloseCode, reason: &str) {
        let end = (0..=reason.len().min(123)).rev().find(|&at| reason.is_char_boundary(at));
        let reason = &reason[..end.unwrap_or(0)];
        // Closed already, it is the first that counts.
        if self.encode_always(|codec, out| codec.close(Some((code, reason)), out)).is_ok() {
            self.watch_close(); // 2
        }
    }

    /// Cuts the connection off.
    #[doc(alias = "abortConnection")]
    pub fn abort(&self) {
        if let Some(transport) = self.transport() {
            transport.abort_connection();
        }
    }

    /// Whether messages can be sent: neither end has closed.
    pub fn is_open(&self) -> bool {
        !self.0.codec.borrow().has_closed() && self.transport().is_none_or(|it| it.is_connected())
    }

    /// How many of the bytes sent so far wait for the peer to take them.
    pub fn waiting(&self) -> usize {
        self.transport().map_or(self.0.early.borrow().len(), |transport| transport.waiting())
    }

    /// Fires when the peer has taken all that was sent.
    pub fn drained(&self) -> Deferred<()> {
        self.transport().map_or_else(|| crate::succeed(()), |transport| transport.drained())
    }

    /// Has nothing more read from the peer; what was read already still comes.
    #[doc(alias = "pauseProducing")]
    pub fn pause_reading(&self) {
        if let Some(transport) = self.transport() {
            transport.pause_reading();
        }
    }

    /// Has the peer read again.
    #[doc(alias = "resumeProducing")]
    pub fn resume_reading(&self) {
        if let Some(transport) = self.transport() {
            transport.resume_reading();
        }
    }

    /// The subprotocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.0.agreed.as_deref()
    }

    /// The other end's address; `None` before the connection is handed over.
    pub fn peer(&self) -> Option<Address> {
        self.transport().map(|transport| transport.peer())
    }

    /// The reactor that it is on.
    pub fn reactor(&self) -> Reactor {
        self.0.reactor.clone()
    }

    // ---- for the room ----

    pub(super) fn transport(&self) -> Option<Transport> {
        self.0.transport.borrow().clone()
    }

    pub(super) fn with_codec<R>(&self, call: impl FnOnce(&mut Codec) -> R) -> R {
        call(&mut self.0.codec.borrow_mut())
    }

    /// The connection is here.
    pub(super) fn made(&self, transport: &Transport) {
        self.0.transport.replace(Some(transport.clone())); // 1
        transport.write(self.0.early.take());
        if self.0.codec.borrow().has_closed() {
            return self.watch_close();
        }
        self.set_timer(self.0.options.ping, Socket::tick);
    }

    /// The connection is lost.
    pub(super) fn forget(&self) {
        if let Some(timer) = self.0.timer.take() {
            // It may have been made.
            let _ = timer.cancel();
        }
    }

    #[inline]
    pub(super) fn note_heard(&self) {
        self.0.is_heard.set(true);
    }

    /// Says why before the connection ends, whatever waits.
    pub(super) fn say_close(&self, reason: Option<(CloseCode, &str)>) {
        // Closed already, it is the first that counts.
        let _ = self.encode_always(|codec, out| codec.close(reason, out));
    }

    pub(super) fn pong(&self, payload: &[u8]) {
        // A peer that asks and takes no answer gets none; behind a close none is owed.
        let _ = self.encode(|codec, out| codec.pong(payload, out));
    }

    #[inline]
    fn encode(
        &self,
        write: impl FnOnce(&mut Codec, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        self.refuse_if_full()?;
        self.encode_always(write)
    }

    #[inline]
    fn encode_always(
        &self,
        write: impl FnOnce(&mut Codec, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let mut out = self.0.scratch.outgoing.take();
        let written = write(&mut self.0.codec.borrow_mut(), &mut out);
        self.put(&out);
        if out.capacity() <= SCRATCH {
            out.clear();
            self.0.scratch.outgoing.set(out);
        }
        written
    }

    fn put(&self, bytes: &[u8]) {
        // Not under a borrow: a layer below may be the user's.
        match self.transport() {
            Some(transport) => transport.write(bytes),
            None => self.0.early.borrow_mut().extend_from_slice(bytes),
        }
    }

    fn refuse_if_full(&self) -> Result<(), SendError> {
        if self.waiting() > self.0.options.queue { Err(SendError::Full) } else { Ok(()) }
    }

    // ---- the timer ----

    fn set_timer(&self, after: Duration, call: fn(&Socket)) {
        let inner = Rc::downgrade(&self.0);
        let timer = self.0.reactor.call_later(after, move || {
            if let Some(inner) = inner.upgrade() {
                call(&Socket(inner));
            }
        });
        if let Some(former) = self.0.timer.replace(Some(timer)) {
            // It may have been made.
            let _ = former.cancel();
        }
    }

    fn watch_close(&self) {
        if self.transport().is_some_and(|transport| transport.is_connected()) {
            self.set_timer(self.0.options.close, Socket::abort);
        }
    }

    fn tick(&self) {
        if !self.0.is_heard.replace(false) {
            return self.abort(); // 3
        }
        // A peer that takes nothing is found out by its silence.
        let _ = self.ping(b"");
        self.set_timer(self.0.options.ping, Socket::tick);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("is_open", &self.is_open())
            .field("protocol", &self.protocol())
            .finish_non_exhaustive()
    }
}
