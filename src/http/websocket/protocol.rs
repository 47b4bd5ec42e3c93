// What messages mean, as callbacks.

use super::{Close, Socket};
use crate::failure::{Failure, Result};

/// Meaning for the messages of a WebSocket; each call comes in order, and never from inside a send.
///
/// A failure of `text` or `binary` is reported, the peer told 1011, and the connection reset.
///
/// ```
/// use ropewalk::Result;
/// use ropewalk::http::websocket::{Closed, Socket, WebSocketProtocol};
///
/// #[derive(Default)]
/// struct Count(usize);
/// impl WebSocketProtocol for Count {
///     fn opened(&mut self, socket: &Socket) {
///         let _ = socket.send("I count."); // refused only if the peer is gone
///     }
///     fn binary(&mut self, socket: &Socket, data: &[u8]) -> Result {
///         self.0 += data.len();
///         Ok(socket.send(self.0.to_string())?)
///     }
///     fn closed(&mut self, closed: &Closed) {
///         println!("{} bytes until {}", self.0, closed.code());
///     }
/// }
/// ```
#[doc(alias = "IWebSocketServerProtocol")]
pub trait WebSocketProtocol {
    /// The handshake is done.
    #[doc(alias = "onOpen")]
    #[doc(alias = "negotiationFinished")]
    fn opened(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// A message of text.
    #[doc(alias = "onMessage")]
    #[doc(alias = "textMessageReceived")]
    fn text(&mut self, socket: &Socket, text: &str) -> Result {
        let _ = (socket, text);
        Ok(())
    }

    /// A message of bytes.
    #[doc(alias = "bytesMessageReceived")]
    fn binary(&mut self, socket: &Socket, data: &[u8]) -> Result {
        let _ = (socket, data);
        Ok(())
    }

    /// A ping; it is answered by itself.
    #[doc(alias = "onPing")]
    fn ping(&mut self, socket: &Socket, payload: &[u8]) {
        let _ = (socket, payload);
    }

    /// A pong.
    #[doc(alias = "onPong")]
    #[doc(alias = "pongReceived")]
    fn pong(&mut self, socket: &Socket, payload: &[u8]) {
        let _ = (socket, payload);
    }

    /// More than 64 KiB wait for the peer: send no more for now.
    #[doc(alias = "pauseProducing")]
    fn pause_writing(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The peer has taken all but 16 KiB: go on.
    #[doc(alias = "resumeProducing")]
    fn resume_writing(&mut self, socket: &Socket) {
        let _ = socket;
    }

    /// The connection is lost; once, and last.
    #[doc(alias = "onClose")]
    #[doc(alias = "connectionLost")]
    fn closed(&mut self, closed: &Closed) {
        let _ = closed;
    }
}

/// How a WebSocket ended.
///
/// See [`WebSocketProtocol::closed`].
#[derive(Clone, Debug)]
pub struct Closed {
    pub(super) close: Option<Close>,
    pub(super) failure: Failure,
}

impl Closed {
    /// The code that the peer closed with: 1005 if it gave none, 1006 if it did not close.
    pub fn code(&self) -> u16 {
        match &self.close {
            Some(close) => close.code().map_or(1005, |code| code.code()),
            None => 1006,
        }
    }

    /// The peer's words; escape them where they are shown.
    pub fn reason(&self) -> &str {
        self.close.as_ref().map_or("", |close| close.reason())
    }

    /// Whether the peer closed, or answered our close.
    pub fn is_clean(&self) -> bool {
        self.close.is_some()
    }

    /// How the connection below ended.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }
}
