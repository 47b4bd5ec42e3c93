// What a server agrees to, and what it keeps of a peer.

use super::Limits;
use crate::http::list::elements;
use crate::http::{Error, Headers, Status};
use std::borrow::Cow;
use std::time::Duration;

/// How a server accepts a WebSocket, and how it treats the connection then.
///
/// ```
/// use ropewalk::http::websocket::Options;
///
/// let options = Options::new().protocols(["chat.v2", "chat.v1"]).origins(["https://example.com"]);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) limits: Limits,
    protocols: Vec<Cow<'static, str>>,
    origins: Option<Vec<Cow<'static, str>>>,
    pub(super) ping: Duration,
    pub(super) close: Duration,
    pub(super) queue: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// No subprotocol, pages of any origin; a ping each 20 s that has to be answered within as much, 10 s to
    /// close, 1 MiB that the peer has not taken.
    pub fn new() -> Options {
        Options {
            limits: Limits::default(),
            protocols: Vec::new(),
            origins: None,
            ping: Duration::from_secs(20),
            close: Duration::from_secs(10),
            queue: 1 << 20,
        }
    }

    /// With other limits of messages.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Options {
        Options { limits, ..self }
    }

    /// Subprotocols that are spoken, the best first; of those that the peer offers too, that one is agreed on.
    #[must_use]
    pub fn protocols(
        self,
        protocols: impl IntoIterator<Item = impl Into<Cow<'static, str>>>,
    ) -> Options {
        Options { protocols: protocols.into_iter().map(Into::into).collect(), ..self }
    }

    /// Refuses, with 403, pages that are not of one of these origins. Programs name none, and are let in:
    /// this keeps the pages of others from using a visitor's cookies.
    #[must_use]
    pub fn origins(
        self,
        origins: impl IntoIterator<Item = impl Into<Cow<'static, str>>>,
    ) -> Options {
        Options { origins: Some(origins.into_iter().map(Into::into).collect()), ..self }
    }

    /// How often a ping is sent; a peer of which nothing is heard from one to the next but one is cut off.
    #[must_use]
    pub fn ping_every(self, time: Duration) -> Options {
        Options { ping: time, ..self }
    }

    /// How long the peer may take to answer a close.
    #[must_use]
    pub fn close_within(self, time: Duration) -> Options {
        Options { close: time, ..self }
    }

    /// How many bytes may wait for the peer to take them; beyond it a send is refused.
    #[must_use]
    pub fn queue(self, bytes: usize) -> Options {
        Options { queue: bytes, ..self }
    }

    pub(super) fn agreed(&self, headers: &Headers) -> Option<&str> {
        let offers = |name: &str| {
            headers.all("sec-websocket-protocol").flat_map(elements).any(|it| it == name.as_bytes())
        };
        self.protocols.iter().map(|name| &**name).find(|name| offers(name))
    }

    pub(super) fn admit(&self, headers: &Headers) -> Result<(), Error> {
        let (Some(origins), Some(origin)) = (&self.origins, headers.get("origin")) else {
            return Ok(());
        };
        match origins.iter().any(|it| it.as_bytes().eq_ignore_ascii_case(origin)) {
            true => Ok(()),
            false => Err(Error::new(Status::FORBIDDEN, "not for pages of this origin")),
        }
    }
}
