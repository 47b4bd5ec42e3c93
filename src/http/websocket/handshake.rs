// How HTTP becomes a WebSocket: RFC 6455, 4.2.

use super::connection::Connection;
use super::protocol::WebSocketProtocol;
use super::stream::{Pulled, WebSocket};
use super::{Options, Socket};
use crate::failure::Result;
use crate::http::list::elements;
use crate::http::{Error, Method, Request, Status, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::rc::Rc;

impl Request {
    /// Makes the connection a WebSocket, whose messages a protocol is called with.
    ///
    /// Fails with an [`Error`] that is the right answer where the request is no such handshake: 426, 400, or
    /// 403 for an origin that is not let in.
    ///
    /// ```
    /// use ropewalk::Result;
    /// use ropewalk::http::websocket::{Options, Socket, WebSocketProtocol};
    /// use ropewalk::http::{Request, leaf};
    ///
    /// struct Echo;
    /// impl WebSocketProtocol for Echo {
    ///     fn text(&mut self, socket: &Socket, text: &str) -> Result {
    ///         Ok(socket.send(text)?)
    ///     }
    /// }
    /// let echo = leaf(|request: &Request| request.accept_websocket(&Options::new(), Echo));
    /// # let _ = echo;
    /// ```
    #[doc(alias = "WebSocketResource")]
    pub fn accept_websocket(
        &self,
        options: &Options,
        protocol: impl WebSocketProtocol + 'static,
    ) -> Result {
        let socket = self.shake_hands(options)?;
        self.upgrade(Connection::new(socket, protocol))
    }

    /// Makes the connection a WebSocket, whose messages are awaited. It fails as
    /// [`accept_websocket`](Request::accept_websocket).
    ///
    /// ```
    /// use ropewalk::http::websocket::Options;
    /// use ropewalk::http::{Request, leaf};
    ///
    /// let echo = leaf(async |request: Request| {
    ///     let mut socket = request.accept_websocket_stream(&Options::new())?;
    ///     while let Some(message) = socket.next().await? {
    ///         socket.send(message).await?;
    ///     }
    ///     Ok(())
    /// });
    /// # let _ = echo;
    /// ```
    pub fn accept_websocket_stream(&self, options: &Options) -> Result<WebSocket> {
        let socket = self.shake_hands(options)?;
        let (pulled, stream) = Pulled::new(&socket);
        self.upgrade(Connection::new(socket, pulled))?;
        Ok(stream)
    }

    /// Looks whether this is a handshake, and sets the fields of its answer.
    fn shake_hands(&self, options: &Options) -> Result<Socket> {
        let headers = self.headers();
        let key = self.asked_key().inspect_err(|error| {
            if error.status() == Status::UPGRADE_REQUIRED {
                // Both are good values.
                let _ = self.set_header("Upgrade", "websocket");
                let _ = self.set_header("Sec-WebSocket-Version", "13");
            }
        })?;
        options.admit(headers)?;
        let agreed = options.agreed(headers).map(str::to_owned);
        if let Some(protocol) = &agreed {
            self.set_header("Sec-WebSocket-Protocol", protocol)?;
        }
        self.set_header("Upgrade", "websocket")?;
        self.set_header("Sec-WebSocket-Accept", accept_of(&key))?;
        Ok(Socket::server(Rc::new(options.clone()), agreed, self.reactor()))
    }

    fn asked_key(&self) -> Result<String, Error> {
        let required = |why| Err(Error::new(Status::UPGRADE_REQUIRED, why));
        let bad = |why| Err(Error::new(Status::BAD_REQUEST, why));
        let headers = self.headers();
        let names = |name: &[u8]| {
            headers.all("upgrade").flat_map(elements).any(|it| it.eq_ignore_ascii_case(name))
        };
        if self.method() != Method::Get || !self.asks_for_upgrade() || !names(b"websocket") {
            return required("a WebSocket is here");
        }
        if self.version() < Version::Http11 {
            return bad("a WebSocket begins with HTTP/1.1");
        }
        if headers.text("sec-websocket-version") != Some("13") {
            return required("the version of WebSocket is 13");
        }
        let mut keys = headers.all("sec-websocket-key");
        match (keys.next().map(str::from_utf8), keys.next()) {
            (Some(Ok(key)), None) if STANDARD.decode(key).is_ok_and(|it| it.len() == 16) => {
                Ok(key.to_owned())
            }
            _ => bad("Sec-WebSocket-Key is not 16 bytes, once"),
        }
    }
}

/// What a server proves with that it read the key.
pub(super) fn accept_of(key: &str) -> String {
    const NAME: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(NAME.as_bytes());
    STANDARD.encode(hash.digest().bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, 1.3.
    #[test]
    fn the_key_of_the_rfc_is_answered_as_it_says() {
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
