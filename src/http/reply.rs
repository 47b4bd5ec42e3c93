// What a handler gives, and how it becomes an answer.

use super::response::Response;
use super::status::Status;
use crate::deferred::Deferred;
use crate::failure::{Failure, Result};
use std::borrow::Cow;
use std::fmt;

/// What a resource says to a request: an answer, or that it comes later.
///
/// Handlers return what becomes one by [`IntoReply`]. There is no `NOT_DONE_YET`: who answers later
/// keeps a clone of the request, and whoever loses the last one unanswered has it answered with 500.
///
/// ```
/// use ropewalk::http::{IntoReply, Reply, Status};
///
/// assert!(matches!(().into_reply(), Reply::Later));
/// let Reply::Answer(response) = Status::NOT_FOUND.into_reply() else { unreachable!() };
/// assert_eq!(response.status(), Status::NOT_FOUND);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// By a clone of the request that somebody keeps.
    Later,
    /// This one.
    Answer(Response),
    /// The one that comes of it.
    Deferred(Box<Deferred<Reply>>),
    /// None: the failure says which.
    Failed(Failure),
}

/// What can be said to a request.
///
/// | value | answer |
/// |---|---|
/// | `()` | later |
/// | `&'static str`, `String` | 200, `text/plain; charset=utf-8` |
/// | `Vec<u8>`, `&'static [u8]` | 200, `application/octet-stream` |
/// | [`Status`] | the status, with its words as the body if it is an error |
/// | `(Status, T)` | what `T` is, with another status |
/// | [`Response`] | itself |
/// | `Option<T>` | what `T` is, 404 for `None` |
/// | `Result<T>` | what `T` is; an [`Error`] its status, another failure 500 and a report |
/// | `Deferred<T>` | what `T` is, when it comes |
///
/// ```
/// use ropewalk::http::{IntoReply, Reply, Status};
///
/// let Reply::Answer(response) = None::<&str>.into_reply() else { unreachable!() };
/// assert_eq!(response.status(), Status::NOT_FOUND);
/// let Reply::Answer(response) = (Status::CREATED, "as /notes/7").into_reply() else { unreachable!() };
/// assert_eq!(response.status(), Status::CREATED);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer to a request",
    note = "a text, bytes, a `Status`, a `Response`, `()` for later, or a Result, Option or Deferred of these is one"
)]
pub trait IntoReply {
    /// The reply that it is.
    fn into_reply(self) -> Reply;
}

/// A failure that is an answer: a status and a sentence for the peer.
///
/// A handler that fails with it is answered so, and nothing is reported.
///
/// ```
/// use ropewalk::http::{Error, Request, Status};
///
/// fn only_local(request: &Request) -> ropewalk::Result<&'static str> {
///     if !request.peer().ip().is_some_and(|ip| ip.is_loopback()) {
///         return Err(Error::new(Status::FORBIDDEN, "from this machine only").into());
///     }
///     Ok("welcome")
/// }
/// # let _ = only_local;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "HTTPException")]
pub struct Error {
    status: Status,
    message: Cow<'static, str>,
}

impl Error {
    /// An answer of that status with that sentence as its body.
    pub fn new(status: Status, message: impl Into<Cow<'static, str>>) -> Error {
        Error { status, message: message.into() }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Error {
        Error::new(status, status.reason())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.code(), self.message)
    }
}

impl std::error::Error for Error {}

impl IntoReply for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

impl IntoReply for () {
    fn into_reply(self) -> Reply {
        Reply::Later
    }
}

impl IntoReply for Response {
    #[inline]
    fn into_reply(self) -> Reply {
        Reply::Answer(self)
    }
}

impl IntoReply for &'static str {
    #[inline]
    fn into_reply(self) -> Reply {
        Reply::Answer(Response::from(self))
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Reply {
        Reply::Answer(Response::from(self))
    }
}

impl IntoReply for Cow<'static, str> {
    fn into_reply(self) -> Reply {
        match self {
            Cow::Borrowed(text) => text.into_reply(),
            Cow::Owned(text) => text.into_reply(),
        }
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Reply {
        Reply::Answer(Response::from(self))
    }
}

impl IntoReply for &'static [u8] {
    fn into_reply(self) -> Reply {
        Reply::Answer(Response::from(self))
    }
}

impl IntoReply for Status {
    fn into_reply(self) -> Reply {
        Reply::Answer(Response::from(self))
    }
}

impl IntoReply for Error {
    fn into_reply(self) -> Reply {
        Reply::Answer(Response::from(self))
    }
}

impl<T: IntoReply> IntoReply for (Status, T) {
    fn into_reply(self) -> Reply {
        let (status, reply) = self;
        reply.into_reply().map(move |response| response.with_status(status))
    }
}

impl<T: IntoReply> IntoReply for Option<T> {
    fn into_reply(self) -> Reply {
        self.map_or_else(|| Status::NOT_FOUND.into_reply(), T::into_reply)
    }
}

impl<T: IntoReply> IntoReply for Result<T> {
    #[inline]
    fn into_reply(self) -> Reply {
        self.map_or_else(Reply::Failed, T::into_reply)
    }
}

impl<T: IntoReply + 'static> IntoReply for Deferred<T> {
    fn into_reply(self) -> Reply {
        Reply::Deferred(Box::new(self.map(T::into_reply)))
    }
}

impl Reply {
    /// The same with its answer changed, whenever it comes.
    fn map(self, change: impl FnOnce(Response) -> Response + 'static) -> Reply {
        match self {
            Reply::Answer(response) => Reply::Answer(change(response)),
            Reply::Deferred(reply) => {
                Reply::Deferred(Box::new(reply.map(|reply| reply.map(change))))
            }
            Reply::Later | Reply::Failed(_) => self,
        }
    }
}
