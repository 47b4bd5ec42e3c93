// An answer as a value.

use super::headers::{Headers, InvalidHeader};
use super::reply::Error;
use super::status::Status;
use futures_util::io::AsyncBufRead;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

/// An answer: status, fields, body.
///
/// ```
/// use ropewalk::http::{Response, Status};
///
/// let response = Response::from("<h1>Hello</h1>").header("Content-Type", "text/html")?;
/// assert_eq!(response.status(), Status::OK);
/// let moved = Response::from(Status::SEE_OTHER).header("Location", "/notes/7")?;
/// assert_eq!(moved.headers().text("location"), Some("/notes/7"));
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
pub struct Response {
    pub(super) status: Status,
    /// In a box: most have none, and are smaller to pass on.
    fields: Option<Box<Headers>>,
    /// The line that says what the body is, unless a field does.
    pub(super) kind: &'static [u8],
    pub(super) body: Outgoing,
    /// It is an error that says no more than that.
    pub(super) is_plain: bool,
}

/// The body of an answer.
///
/// ```
/// use ropewalk::http::{Outgoing, Response};
/// use std::rc::Rc;
///
/// let page: Rc<[u8]> = Rc::from(&b"<h1>the same for everybody</h1>"[..]);
/// let response = Response::from(Outgoing::Shared(page.clone())).header("Content-Type", "text/html")?;
/// assert_eq!(response.body().length(), Some(page.len() as u64));
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
#[derive(Default)]
#[non_exhaustive]
pub enum Outgoing {
    /// None.
    #[default]
    Empty,
    /// Bytes of the program.
    Static(&'static [u8]),
    /// Bytes of this answer.
    Bytes(Vec<u8>),
    /// Bytes of many.
    Shared(Rc<[u8]>),
    /// Bytes of a file, which others may read meanwhile; moved by the system where it can.
    File(Arc<File>, Range<u64>),
    /// What can be read here, as fast as the peer takes it: so many bytes, or to the end.
    Reader(Pin<Box<dyn AsyncBufRead>>, Option<u64>),
}

const TEXT: &[u8] = b"content-type: text/plain; charset=utf-8\r\n";
const BYTES: &[u8] = b"content-type: application/octet-stream\r\n";

impl Response {
    /// An answer without fields and body.
    pub fn new(status: Status) -> Response {
        Response { status, fields: None, kind: b"", body: Outgoing::Empty, is_plain: false }
    }

    /// 200 with a body.
    pub fn ok(body: impl Into<Response>) -> Response {
        body.into()
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The fields that were set.
    #[inline]
    pub fn headers(&self) -> &Headers {
        static NONE: Headers = Headers::none();
        self.fields.as_deref().unwrap_or(&NONE)
    }

    /// The fields, to be changed.
    pub fn headers_mut(&mut self) -> &mut Headers {
        self.fields.get_or_insert_default()
    }

    /// The body.
    pub fn body(&self) -> &Outgoing {
        &self.body
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Response {
        self.status = status;
        self
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Outgoing>) -> Response {
        self.body = body.into();
        self.is_plain = false;
        self
    }

    /// The same with a field, in the place of all others of its name.
    pub fn header(
        mut self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<Response, InvalidHeader> {
        self.headers_mut().set(name, value)?;
        Ok(self)
    }

    /// The same with one field more.
    pub fn append_header(
        mut self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<Response, InvalidHeader> {
        self.headers_mut().append(name, value)?;
        Ok(self)
    }
}

impl Response {
    /// What it says, if it is plain.
    pub(super) fn into_error(self) -> Error {
        let text = self.body.bytes().unwrap_or_default();
        Error::new(self.status, String::from_utf8_lossy(text).trim_end().to_owned())
    }
}

/// 200 without fields and body.
impl Default for Response {
    fn default() -> Response {
        Response::new(Status::OK)
    }
}

impl Outgoing {
    /// How many bytes it has, if that is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Outgoing::Empty => Some(0),
            Outgoing::Static(bytes) => Some(bytes.len() as u64),
            Outgoing::Bytes(bytes) => Some(bytes.len() as u64),
            Outgoing::Shared(bytes) => Some(bytes.len() as u64),
            Outgoing::File(_, range) => Some(range.end.saturating_sub(range.start)),
            Outgoing::Reader(_, length) => *length,
        }
    }

    /// What a reader gives, until its end.
    ///
    /// ```
    /// use futures_util::io::Cursor;
    /// use ropewalk::http::Outgoing;
    ///
    /// assert_eq!(Outgoing::reader(Cursor::new("line by line")).length(), None);
    /// ```
    pub fn reader(reader: impl AsyncBufRead + 'static) -> Outgoing {
        Outgoing::Reader(Box::pin(reader), None)
    }

    /// The bytes, if they are here.
    #[inline]
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Outgoing::Empty => Some(b""),
            Outgoing::Static(bytes) => Some(bytes),
            Outgoing::Bytes(bytes) => Some(bytes),
            Outgoing::Shared(bytes) => Some(bytes),
            Outgoing::File(..) | Outgoing::Reader(..) => None,
        }
    }
}

impl From<Outgoing> for Response {
    fn from(body: Outgoing) -> Response {
        Response { kind: BYTES, body, ..Response::new(Status::OK) }
    }
}

impl From<&'static str> for Response {
    #[inline]
    fn from(text: &'static str) -> Response {
        let body = Outgoing::Static(text.as_bytes());
        Response { status: Status::OK, fields: None, kind: TEXT, body, is_plain: false }
    }
}

impl From<String> for Response {
    fn from(text: String) -> Response {
        let body = Outgoing::Bytes(text.into_bytes());
        Response { kind: TEXT, body, ..Response::new(Status::OK) }
    }
}

impl From<Vec<u8>> for Response {
    fn from(bytes: Vec<u8>) -> Response {
        Response::from(Outgoing::Bytes(bytes))
    }
}

impl From<&'static [u8]> for Response {
    fn from(bytes: &'static [u8]) -> Response {
        Response::from(Outgoing::Static(bytes))
    }
}

/// An error says what it is; other statuses speak for themselves.
impl From<Status> for Response {
    fn from(status: Status) -> Response {
        let is_error = status.is_client_error() || status.is_server_error();
        match is_error {
            true => Response::from(Error::from(status)),
            false => Response::new(status),
        }
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Response {
        let text = Response::from(format!("{}\n", error.message()));
        Response { is_plain: true, ..text.with_status(error.status()) }
    }
}

macro_rules! bodies {
    ($($type:ty, $text:ident => $body:expr;)*) => {
        $(impl From<$type> for Outgoing {
            fn from($text: $type) -> Outgoing {
                $body
            }
        })*
    };
}

bodies! {
    &'static str, it => Outgoing::Static(it.as_bytes());
    &'static [u8], it => Outgoing::Static(it);
    String, it => Outgoing::Bytes(it.into_bytes());
    Vec<u8>, it => Outgoing::Bytes(it);
    Rc<[u8]>, it => Outgoing::Shared(it);
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", self.headers())
            .field("body", &self.body)
            .finish()
    }
}

/// How long it is; what is in it is nobody's business.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length() {
            Some(length) => write!(f, "<{length} bytes>"),
            None => f.write_str("<bytes>"),
        }
    }
}
