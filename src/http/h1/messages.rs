// Heads as values: what a machine reads, and what it is given to write.
//
// # Invariants
// * Start line and fields lie in one block, which no user can exchange: a head gives its fields out for
//   reading, and changes them itself.

use super::framing::Framing;
use crate::http::block::Span;
use crate::http::headers::{Headers, InvalidHeader};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::{InvalidTarget, Target, TargetForm};
use crate::http::version::Version;
use std::fmt;

/// The head of a request: method, target, fields.
///
/// ```
/// use ropewalk::http::Method;
/// use ropewalk::http::h1::RequestHead;
///
/// let mut head = RequestHead::new(Method::Get, "/index.html")?;
/// head.set_header("Host", "example.com")?;
/// assert_eq!(head.target().path(), "/index.html");
/// assert_eq!(head.headers().text("host"), Some("example.com"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RequestHead {
    pub(super) headers: Headers,
    pub(super) method: Method,
    pub(super) form: TargetForm,
    pub(super) target: Span,
    pub(super) version: Version,
    pub(super) framing: Framing,
    pub(super) expects_continue: bool,
    pub(super) upgrade: bool,
}

/// The head of an answer: status, fields.
///
/// ```
/// use ropewalk::http::Status;
/// use ropewalk::http::h1::ResponseHead;
///
/// let mut head = ResponseHead::new(Status::OK);
/// head.set_header("Content-Type", "text/plain")?;
/// assert_eq!((head.status(), head.reason()), (Status::OK, "OK"));
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
#[derive(Clone)]
pub struct ResponseHead {
    pub(super) headers: Headers,
    pub(super) status: Status,
    /// Of one that was read; `None` for one of our own.
    pub(super) words: Option<Span>,
    pub(super) version: Version,
    pub(super) framing: Framing,
}

impl RequestHead {
    /// A request without fields; one of HTTP/1.1 needs a Host before it can be sent.
    pub fn new(method: Method, target: &str) -> Result<RequestHead, InvalidTarget> {
        let form = Target::parse(method, target)?.form();
        let mut headers = Headers::new();
        let target = headers.block.append(target.as_bytes()).ok_or(InvalidTarget::Form)?;
        headers.is_mixed = true;
        Ok(RequestHead {
            headers,
            method,
            form,
            target,
            version: Version::Http11,
            framing: Framing::Length(0),
            expects_continue: false,
            upgrade: false,
        })
    }

    /// What is to be done.
    pub fn method(&self) -> Method {
        self.method
    }

    /// With what.
    pub fn target(&self) -> Target<'_> {
        Target::new(self.headers.block.text(self.target), self.form)
    }

    /// Whether it is about the server itself.
    pub(crate) fn is_of_server(&self) -> bool {
        self.form == TargetForm::Asterisk
    }

    /// The version of the peer.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body of a request that was read is delimited.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the peer waits for a 100 before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// One that is to be read into.
    pub(crate) fn empty() -> RequestHead {
        RequestHead {
            headers: Headers::new(),
            method: Method::Get,
            form: TargetForm::Origin,
            target: Span::default(),
            version: Version::Http11,
            framing: Framing::Length(0),
            expects_continue: false,
            upgrade: false,
        }
    }

    /// Whether the peer asks for another protocol; its names are in the field `Upgrade`.
    pub fn asks_for_upgrade(&self) -> bool {
        self.upgrade
    }
}

impl ResponseHead {
    /// An answer without fields.
    pub fn new(status: Status) -> ResponseHead {
        ResponseHead {
            headers: Headers::new(),
            status,
            words: None,
            version: Version::Http11,
            framing: Framing::Length(0),
        }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What stands behind the status; means nothing. Empty if it is not ASCII.
    pub fn reason(&self) -> &str {
        match self.words {
            Some(span) => self.headers.block.text(span),
            None => self.status.reason(),
        }
    }

    /// The version of the peer.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body of an answer that was read is delimited.
    pub fn framing(&self) -> Framing {
        self.framing
    }
}

macro_rules! fields_of {
    ($head:ident) => {
        impl $head {
            /// The fields.
            pub fn headers(&self) -> &Headers {
                &self.headers
            }

            /// The fields alone; [`Machine::recycle`](super::Machine::recycle) uses their memory again.
            pub fn into_headers(self) -> Headers {
                self.headers
            }

            /// Adds a field; see [`Headers::append`].
            pub fn append_header(
                &mut self,
                name: impl AsRef<str>,
                value: impl AsRef<[u8]>,
            ) -> Result<(), InvalidHeader> {
                self.headers.append(name, value)
            }

            /// Makes this the only field of its name; see [`Headers::set`].
            #[doc(alias = "setHeader")]
            pub fn set_header(
                &mut self,
                name: impl AsRef<str>,
                value: impl AsRef<[u8]>,
            ) -> Result<(), InvalidHeader> {
                self.headers.set(name, value)
            }

            /// Takes the fields of a name away; see [`Headers::remove`].
            pub fn remove_header(&mut self, name: &str) -> bool {
                self.headers.remove(name)
            }
        }
    };
}

fields_of!(RequestHead);
fields_of!(ResponseHead);

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("target", &self.target().as_str())
            .field("version", &self.version)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// What one end asked of the other: decides how the answer is read or written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) head: bool,
    pub(super) connect: bool,
    pub(super) upgrade: bool,
    /// The asking end closes after the answer.
    pub(super) last: bool,
    /// It speaks HTTP/1.0.
    pub(super) old: bool,
}

impl Asked {
    #[inline]
    pub(super) fn new(method: Method, upgrade: bool, last: bool) -> Asked {
        let (head, connect) = (method == Method::Head, method == Method::Connect);
        Asked { head, connect, upgrade, last, old: false }
    }
}
