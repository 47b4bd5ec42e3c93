// Messages as values, and one that goes to many.

use super::frame::{Opcode, write_head};
use super::{SendError, Socket};

/// A message, whole.
///
/// ```
/// use ropewalk::http::websocket::Message;
///
/// assert_eq!(Message::from("hi"), Message::Text("hi".into()));
/// assert_eq!(Message::from(vec![1, 2]).as_bytes(), [1, 2]);
/// assert_eq!(Message::from("hi").as_text(), Some("hi"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Of text.
    Text(String),
    /// Of bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The bytes of either.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message::Text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Message {
        Message::Binary(bytes)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Message {
        Message::Binary(bytes.into())
    }
}

/// A message of a server's that is encoded once, for any number of sockets; see [`broadcast`].
#[derive(Clone, Debug)]
pub struct Prepared(Vec<u8>);

impl Prepared {
    /// Encodes a message.
    pub fn new(message: impl Into<Message>) -> Prepared {
        let message = message.into();
        let opcode = match message {
            Message::Text(_) => Opcode::Text,
            Message::Binary(_) => Opcode::Binary,
        };
        let data = message.as_bytes();
        let mut frame = Vec::with_capacity(data.len() + 10);
        write_head(opcode, true, data.len(), None, &mut frame);
        frame.extend_from_slice(data);
        Prepared(frame)
    }

    pub(super) fn frame(&self) -> &[u8] {
        &self.0
    }
}

/// Sends a message to many, encoded once; gives those that did not get it: they have closed, or take too
/// little.
///
/// ```
/// use ropewalk::http::websocket::{CloseCode, Socket, broadcast};
///
/// fn tell(guests: &[Socket], text: &str) {
///     for (slow, _) in broadcast(guests, text) {
///         slow.close(CloseCode::POLICY_VIOLATION, "too slow for this chat");
///     }
/// }
/// # tell(&[], "nobody");
/// ```
pub fn broadcast<'s>(
    sockets: impl IntoIterator<Item = &'s Socket>,
    message: impl Into<Message>,
) -> Vec<(&'s Socket, SendError)> {
    let message = Prepared::new(message);
    let refused = |socket: &'s Socket| Some((socket, socket.send_prepared(&message).err()?));
    sockets.into_iter().filter_map(refused).collect()
}
