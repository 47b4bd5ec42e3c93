// The body of a request, in both faces.

use super::headers::Headers;
use super::reply::Error;
use super::server::channel::Channel;
use super::server::exchange::Exchange;
use super::server::incoming::{Receive, State};
use super::status::Status;
use crate::deferred::{Deferred, Trigger};
use crate::failure::{Failure, Result};
use futures_util::io::{AsyncBufRead, AsyncRead};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The body of a request, which may still be on its way.
///
/// It is pulled, by [`chunk`](Body::chunk) or as an [`AsyncBufRead`], taken as a whole, or pushed to a
/// [`BodyProtocol`]. Until it is read, the peer is let to send 64 KiB and no more.
///
/// ```
/// use ropewalk::http::{Request, leaf};
///
/// let count = leaf(async |request: Request| {
///     let (mut body, mut count) = (request.body(), 0);
///     while let Some(chunk) = body.chunk().await? {
///         count += chunk.len();
///     }
///     Ok(format!("{count} bytes"))
/// });
/// # let _ = count;
/// ```
pub struct Body {
    channel: Rc<Channel>,
    exchange: Rc<Exchange>,
    /// What was taken and not read.
    taken: Vec<u8>,
    /// How much of it was read.
    at: usize,
}

/// Meaning for the body of a request, as callbacks.
///
/// ```
/// use ropewalk::http::{Body, BodyProtocol, Headers, Request, leaf};
/// use ropewalk::Result;
///
/// struct Count(usize, Request);
/// impl BodyProtocol for Count {
///     fn data_received(&mut self, _: &Body, data: &[u8]) -> Result {
///         self.0 += data.len();
///         Ok(())
///     }
///     fn finished(&mut self, _: &Headers) {
///         self.1.respond(format!("{} bytes", self.0));
///     }
/// }
/// let count = leaf(|request: &Request| Ok(request.body().deliver(Count(0, request.clone()))));
/// # let _ = count;
/// ```
pub trait BodyProtocol {
    /// Bytes arrived; where they are cut means nothing. A failure is the handler's.
    #[doc(alias = "dataReceived")]
    fn data_received(&mut self, body: &Body, data: &[u8]) -> Result;

    /// That was all.
    fn finished(&mut self, trailers: &Headers) {
        let _ = trailers;
    }

    /// It will not be whole.
    #[doc(alias = "connectionLost")]
    fn lost(&mut self, reason: &Failure) {
        let _ = reason;
    }
}

impl Body {
    pub(super) fn new(channel: Rc<Channel>, exchange: Rc<Exchange>) -> Body {
        Body { channel, exchange, taken: Vec::new(), at: 0 }
    }

    /// The next bytes, however many; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        poll_fn(|context| self.poll_taken(context)).await?;
        let chunk = match self.at {
            0 => std::mem::take(&mut self.taken),
            at => self.taken.split_off(at),
        };
        self.consume_taken(self.taken.len());
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }

    /// All of it, if that is no more than `limit` bytes; else it fails with an [`Error`] of 413.
    pub fn read_all(self, limit: usize) -> Deferred<Vec<u8>> {
        if let Some(length) = self.length()
            && length > limit as u64
        {
            return crate::fail(too_large(Some(length), limit));
        }
        let (trigger, deferred) = Deferred::new();
        self.deliver(Whole { bytes: Vec::new(), limit, trigger: Some(trigger) });
        deferred
    }

    /// All of it, within the site's [`whole_body`](super::Limits::whole_body).
    pub fn bytes(self) -> Deferred<Vec<u8>> {
        let limit = self.channel.limits().whole_body;
        self.read_all(limit)
    }

    /// All of it as text, likewise; what is no UTF-8 is an [`Error`] of 400.
    pub fn text(self) -> Deferred<String> {
        self.bytes().add_callback(|bytes| {
            let text = String::from_utf8(bytes);
            Ok(text.map_err(|_| Error::new(Status::BAD_REQUEST, "the body is not UTF-8"))?)
        })
    }

    /// Has it pushed to a receiver, from now on.
    #[doc(alias = "deliverBody")]
    pub fn deliver(self, receiver: impl BodyProtocol + 'static) {
        let (channel, exchange) = (self.channel.clone(), self.exchange.clone());
        let receiver: Box<dyn Receive> = Box::new(Delivered { receiver, body: self });
        let former = exchange.with_extras(|extras| extras.incoming.receiver.replace(receiver));
        drop(former);
        channel.deliver_kept(&exchange);
    }

    /// Has the receiver called no more for now; what is sent then waits, and the peer with it.
    #[doc(alias = "pauseProducing")]
    pub fn pause(&self) {
        self.exchange.with_extras(|extras| extras.incoming.is_paused = true);
    }

    /// Has the receiver called again, from the next turn on.
    #[doc(alias = "resumeProducing")]
    pub fn resume(&self) {
        let was_paused = self
            .exchange
            .with_extras(|extras| std::mem::replace(&mut extras.incoming.is_paused, false));
        if was_paused {
            self.channel.deliver_later(&self.exchange);
        }
    }

    /// The fields behind a body in chunks, once it was read to its end.
    pub fn trailers(&self) -> Option<Headers> {
        self.exchange.with_extras(|extras| extras.incoming.trailers.clone())
    }

    /// How long it is by its head; `None` in chunks.
    pub fn length(&self) -> Option<u64> {
        self.exchange.head.framing().length()
    }

    /// What it says that it is.
    pub(super) fn content_type(&self) -> Option<String> {
        self.exchange.head.headers().text("content-type").map(str::to_owned)
    }

    /// Waits until something was taken, or the end: nothing is taken then.
    fn poll_taken(&mut self, context: &mut Context<'_>) -> Poll<Result> {
        if self.at < self.taken.len() {
            return Poll::Ready(Ok(()));
        }
        self.taken.clear();
        self.at = 0;
        let empty = std::mem::take(&mut self.taken);
        let (taken, state) = self.exchange.with_extras(|extras| {
            (extras.incoming.take_kept(empty), extras.incoming.state.clone())
        });
        if taken.is_empty() && matches!(state, State::Coming) {
            let waker = context.waker().clone();
            let former = self.exchange.with_extras(|extras| extras.incoming.set_waker(waker));
            drop(former);
        }
        self.taken = taken;
        self.channel.body_was_taken();
        match state {
            _ if !self.taken.is_empty() => Poll::Ready(Ok(())),
            State::Whole => Poll::Ready(Ok(())),
            State::Failed(failure) => Poll::Ready(Err(failure)),
            State::Coming => Poll::Pending,
        }
    }

    fn consume_taken(&mut self, count: usize) {
        self.at = (self.at + count).min(self.taken.len());
    }
}

/// A receiver, and the body that it is shown.
struct Delivered<P> {
    receiver: P,
    body: Body,
}

impl<P: BodyProtocol> Receive for Delivered<P> {
    fn data_received(&mut self, data: &[u8]) -> Result {
        self.receiver.data_received(&self.body, data)
    }

    fn finished(&mut self, trailers: &Headers) {
        self.receiver.finished(trailers);
    }

    fn lost(&mut self, reason: &Failure) {
        self.receiver.lost(reason);
    }
}

fn too_large(length: Option<u64>, limit: usize) -> Failure {
    let message = match length {
        Some(length) => format!("body of {length} bytes, the limit is {limit}"),
        None => format!("body of more bytes than the limit, which is {limit}"),
    };
    Error::new(Status::CONTENT_TOO_LARGE, message).into()
}

/// Collects a body.
struct Whole {
    bytes: Vec<u8>,
    limit: usize,
    trigger: Option<Trigger<Vec<u8>>>,
}

impl Whole {
    fn fire(&mut self, outcome: Result<Vec<u8>>) {
        if let Some(trigger) = self.trigger.take() {
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.fire(outcome);
        }
    }
}

impl BodyProtocol for Whole {
    fn data_received(&mut self, _: &Body, data: &[u8]) -> Result {
        if self.trigger.is_none() {
            return Ok(());
        }
        if self.bytes.len() + data.len() > self.limit {
            self.bytes = Vec::new();
            self.fire(Err(too_large(None, self.limit)));
            return Ok(());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn finished(&mut self, _: &Headers) {
        let bytes = std::mem::take(&mut self.bytes);
        self.fire(Ok(bytes));
    }

    fn lost(&mut self, reason: &Failure) {
        self.fire(Err(reason.clone()));
    }
}

impl AsyncBufRead for Body {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let body = self.get_mut();
        ready!(body.poll_taken(context)).map_err(|it| io::Error::other(it.into_error()))?;
        Poll::Ready(Ok(&body.taken[body.at..]))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        self.get_mut().consume_taken(count);
    }
}

impl AsyncRead for Body {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let there = ready!(self.as_mut().poll_fill_buf(context))?;
        let count = there.len().min(buffer.len());
        buffer[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("length", &self.length()).finish_non_exhaustive()
    }
}
