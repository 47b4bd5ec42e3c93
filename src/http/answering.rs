// The handle by which handlers speak of a request: what is said in answer.

use super::h1::Length;
use super::headers::{Headers, InvalidHeader};
use super::reply::{Error, IntoReply, Reply};
use super::request::Request;
use super::response::{Outgoing, Response};
use super::server::exchange::{Gone, Stage};
use super::server::log::Outcome;
use super::status::Status;
use crate::deferred::{Deferred, execute};
use crate::failure::{Failure, Report, Result};
use crate::protocol::Protocol;
use crate::transport::{Producer, Producing, Transport};
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// # Answering
/// What a handler returns is its answer; these are for who answers later, or piece by piece. What is
/// written once the peer is gone does nothing, as with a transport.
impl Request {
    /// Answers with anything that is an answer; the first one counts.
    pub fn respond(&self, reply: impl IntoReply) {
        self.settle(Ok(reply.into_reply()));
    }

    /// The status of an answer that is written piece by piece; 200 unless told.
    #[doc(alias = "setResponseCode")]
    pub fn set_status(&self, status: Status) {
        if self.exchange.is_owed() {
            self.exchange.status.set(status);
        }
    }

    /// Sets a field of the answer, in the place of all others of its name; also of one that is returned,
    /// if that has no such field itself.
    #[doc(alias = "setHeader")]
    pub fn set_header(
        &self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidHeader> {
        self.exchange.draft.borrow_mut().set(name, value)
    }

    /// Adds a field to the answer.
    pub fn append_header(
        &self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidHeader> {
        self.exchange.draft.borrow_mut().append(name, value)
    }

    /// Sends a piece of the body; the head goes before the first. In chunks, or to a peer of HTTP/1.0 until
    /// the connection ends, unless a `Content-Length` was set.
    ///
    /// Awaited, it waits until the peer has taken enough for more to be written; not awaited, it is sent
    /// all the same, and who writes on fills the memory: a producer is told when to pause.
    ///
    /// ```
    /// use ropewalk::http::{Request, leaf};
    ///
    /// let numbers = leaf(async |request: Request| {
    ///     for number in 0..1_000_000 {
    ///         request.write(format!("{number}\n")).await?;
    ///     }
    ///     request.finish();
    ///     Ok(())
    /// });
    /// # let _ = numbers;
    /// ```
    pub fn write(&self, data: impl AsRef<[u8]>) -> Writing<'_> {
        self.channel.write(self, data.as_ref());
        Writing { request: self, has_waited: false }
    }

    /// Ends the body. Without a piece of it before, that is an answer without a body.
    pub fn finish(&self) {
        self.finish_with(&Headers::new());
    }

    /// Ends the body with trailers, which only bodies in chunks have.
    ///
    /// A field that may not be a trailer is left out, and reported.
    pub fn finish_with(&self, trailers: &Headers) {
        self.channel.finish(self, trailers);
    }

    /// Answers with a redirection, 302.
    ///
    /// ```
    /// use ropewalk::http::{Request, leaf};
    ///
    /// let old = leaf(|request: &Request| Ok(request.redirect("/new")?));
    /// # let _ = old;
    /// ```
    pub fn redirect(&self, to: &str) -> Result<(), InvalidHeader> {
        let response = Response::new(Status::FOUND).header("Location", to)?;
        self.respond(response);
        Ok(())
    }

    /// Says something before the answer: 102, or 103 with the links that will be in it.
    pub fn inform(&self, status: Status, headers: &Headers) -> Result {
        Ok(self.channel.inform(status, headers)?)
    }

    /// Has a producer write the body as fast as the peer takes it; it ends with
    /// [`finish`](Request::finish).
    #[doc(alias = "registerProducer")]
    pub fn register_producer(
        &self,
        producer: impl BodyProducer + 'static,
        producing: Producing,
    ) -> Result {
        self.channel.begin(self, self.announced());
        if !self.exchange.is_open() {
            return Err(Failure::msg("the request is answered, or its peer is gone"));
        }
        let producer = Produced { producer, request: self.clone() };
        self.channel.has_producer.set(true);
        self.channel.transport().register_producer(producer, producing)
    }

    /// Lets another protocol have the connection: answers with 101 and the fields that were set, to CONNECT
    /// with 200. `Upgrade` is a field to be set. Its `connection_made` comes when the answer is written.
    ///
    /// Fails if the peer did not ask for it, or its request has a body still to come.
    ///
    /// ```
    /// use ropewalk::http::{Error, Request, Status, leaf};
    /// use ropewalk::{Protocol, Result, Transport};
    ///
    /// struct Echo;
    /// impl Protocol for Echo {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         transport.write(data);
    ///         Ok(())
    ///     }
    /// }
    /// let echo = leaf(|request: &Request| {
    ///     if request.header("upgrade") != Some("echo") {
    ///         return Err(Error::new(Status::UPGRADE_REQUIRED, "this is echo").into());
    ///     }
    ///     request.set_header("Upgrade", "echo")?;
    ///     request.upgrade(Echo)
    /// });
    /// # let _ = echo;
    /// ```
    pub fn upgrade(&self, protocol: impl Protocol + 'static) -> Result {
        Ok(self.channel.upgrade(self, Box::new(protocol))?)
    }

    /// Fires when the answer is sent; fails if the peer is lost before.
    ///
    /// Each call gives another one.
    #[doc(alias = "notifyFinish")]
    pub fn notify_finish(&self) -> Deferred<()> {
        match self.exchange.stage() {
            Stage::Finished => crate::succeed(()),
            Stage::Lost => crate::fail(self.exchange.reason().unwrap_or_else(|| Gone.into())),
            Stage::Owed | Stage::Sending => {
                let (trigger, deferred) = Deferred::new();
                self.exchange.add_finish(trigger);
                deferred
            }
        }
    }

    /// Waits until the peer is gone: that its answer is for nobody. Pending for ever if that does not happen.
    ///
    /// A peer that has ended its half of the connection counts as gone a second later: it may have, and
    /// the answer is sent all the same.
    ///
    /// ```
    /// use futures_util::future::{Either, select};
    /// use ropewalk::http::{Request, leaf};
    /// use std::{pin::pin, time::Duration};
    ///
    /// let slow = leaf(async |request: Request| {
    ///     let work = pin!(ropewalk::sleep(Duration::from_secs(60)));
    ///     Ok(match select(work, request.lost()).await {
    ///         Either::Left(_) => "a minute later",
    ///         Either::Right(_) => "for nobody",
    ///     })
    /// });
    /// # let _ = slow;
    /// ```
    pub fn lost(&self) -> Lost<'_> {
        Lost { request: self }
    }

    /// Waits until the site stops, or the exchange is over: for answers that have no end of their own.
    pub fn draining(&self) -> Draining<'_> {
        Draining { request: self }
    }

    /// Whether nothing that is said reaches the peer any more.
    pub fn is_lost(&self) -> bool {
        self.exchange.stage() == Stage::Lost
    }

    /// Whether the answer is whole, or for nobody.
    pub fn is_finished(&self) -> bool {
        !self.exchange.is_open()
    }

    /// Whether the answer is not begun.
    pub fn is_unanswered(&self) -> bool {
        self.exchange.is_owed()
    }

    // ---- for the room ----

    /// How long the body is by the field that the handler set.
    pub(super) fn announced(&self) -> Length {
        let draft = self.exchange.draft.borrow();
        let length = draft.text("content-length").and_then(|it| it.parse().ok());
        length.map_or(Length::Unknown, Length::Known)
    }

    /// Does with the outcome of a handler what is to be done.
    pub(super) fn settle(&self, outcome: Result<Reply>) {
        match outcome {
            Ok(Reply::Answer(response)) => {
                let response = if response.is_plain { self.page(response) } else { response };
                self.channel.respond(self, response);
            }
            Ok(Reply::Later) => {}
            Ok(Reply::Failed(failure)) | Err(failure) => self.fail(failure),
            Ok(Reply::Deferred(reply)) => {
                let request = self.clone();
                reply.add_both(move |outcome| request.settle(outcome));
            }
        }
    }

    /// The handler failed: an [`Error`] is an answer, another failure is 500 and reported.
    #[inline(never)]
    pub(super) fn fail(&self, failure: Failure) {
        if !self.exchange.is_open() && self.is_told(&failure) {
            return;
        }
        if let Some(error) = failure.check::<Error>() {
            if self.exchange.is_owed() {
                let response = self.page(Response::from(error.clone()));
                return self.channel.respond(self, response);
            }
        } else {
            self.report("unhandled failure in a handler of requests", &failure);
        }
        self.channel.fail(self);
    }

    /// Whether the failure only says what the end of the exchange did.
    fn is_told(&self, failure: &Failure) -> bool {
        use crate::transport::{ConnectionAborted, ConnectionDone, ConnectionLost};
        let reason = self.exchange.reason().map(|reason| reason.to_string());
        reason.is_some_and(|reason| failure.to_string() == reason)
            || failure.is::<ConnectionLost>()
            || failure.is::<ConnectionDone>()
            || failure.is::<ConnectionAborted>()
            || failure.is::<Gone>()
            || failure.is::<Error>()
            || failure.is_of_peer()
            || failure.chain().any(|it| it.is::<std::io::Error>())
    }

    /// The page for an error, if somebody makes pages.
    pub(super) fn page(&self, response: Response) -> Response {
        let Some(pages) = self.context::<Pages>() else { return response };
        let status = response.status();
        let error = response.into_error();
        match self.catch(|| (pages.0)(self, &error)) {
            Ok(page) => page.with_status(status),
            Err(panic) => {
                self.report("panic in an error's page", &panic);
                Response::from(error)
            }
        }
    }

    pub(super) fn report(&self, what: &str, failure: &Failure) {
        let (peer, host) = (self.peer(), self.host());
        Report::new(what, failure, self.exchange.place.get()).of(&peer, Some(&host)).tell();
        self.channel.outcome.set(Outcome::Failed);
    }

    /// Runs code of the handler; a panic becomes a failure.
    #[inline]
    pub(super) fn catch<T>(&self, code: impl FnOnce() -> T) -> Result<T> {
        // Unwind safe: what the code could leave half done is its own, and it is not run again.
        catch_unwind(AssertUnwindSafe(code)).map_err(panicked)
    }
}

/// The failure that a panic becomes everywhere in this crate.
#[inline(never)]
pub(super) fn panicked(payload: Box<dyn std::any::Any + Send>) -> Failure {
    let failure = Rc::new(Cell::new(None));
    let found = failure.clone();
    let run = execute(move || -> () { resume_unwind(payload) });
    run.add_errback(move |failure| {
        found.set(Some(failure));
        Ok(())
    });
    failure.take().unwrap_or_else(|| Failure::msg("panicked"))
}

/// Makes pages of errors; kept with each request that it is for.
#[derive(Clone)]
pub(super) struct Pages(pub(super) Rc<MakePage>);

type MakePage = dyn Fn(&Request, &Error) -> Response;

/// A write that may be awaited; [`Request::write`] gives it.
#[derive(Debug)]
pub struct Writing<'a> {
    request: &'a Request,
    has_waited: bool,
}

impl Future for Writing<'_> {
    type Output = Result;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result> {
        let Request { channel, exchange } = self.request;
        match exchange.stage() {
            Stage::Lost => {
                return Poll::Ready(Err(exchange.reason().unwrap_or_else(|| Gone.into())));
            }
            Stage::Owed | Stage::Sending | Stage::Finished => {}
        }
        if channel.has_room() {
            return Poll::Ready(Ok(()));
        }
        if channel.is_full() {
            exchange.add_waker(context.waker());
            // It may be lost by a time limit before it takes anything.
        } else {
            // What was written is sent at the end of this turn: the next one shows what is left.
            self.has_waited = true;
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// A wait for the peer's end; [`Request::lost`] gives it.
#[derive(Debug)]
pub struct Lost<'a> {
    request: &'a Request,
}

impl Future for Lost<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let exchange = &self.request.exchange;
        if exchange.is_deserted() {
            return Poll::Ready(());
        }
        exchange.add_waker(context.waker());
        Poll::Pending
    }
}

/// A wait for the end of the site; [`Request::draining`] gives it.
#[derive(Debug)]
pub struct Draining<'a> {
    request: &'a Request,
}

impl Future for Draining<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Request { channel, exchange } = self.request;
        if channel.is_draining() || !exchange.is_open() {
            return Poll::Ready(());
        }
        exchange.add_waker(context.waker());
        Poll::Pending
    }
}

/// Writes the body of an answer as fast as the peer takes it; [`Request::register_producer`].
///
/// The contract is that of [`Producer`], with the request in the place of the transport.
#[doc(alias = "IBodyProducer")]
pub trait BodyProducer {
    /// Write now: once if pulled, from now on if pushing. After the last piece: [`Request::finish`].
    #[doc(alias = "resumeProducing")]
    fn resume_producing(&mut self, request: &Request);

    /// Write no more for now. Pulled producers are never told so.
    #[doc(alias = "pauseProducing")]
    fn pause_producing(&mut self) {}

    /// The peer is gone.
    #[doc(alias = "stopProducing")]
    fn stop_producing(&mut self) {}
}

/// A producer of bodies as one of a transport.
struct Produced<P> {
    producer: P,
    request: Request,
}

impl<P: BodyProducer> Producer for Produced<P> {
    fn resume_producing(&mut self, _: &Transport) {
        if self.request.exchange.is_open() {
            self.producer.resume_producing(&self.request);
        }
    }

    fn pause_producing(&mut self) {
        self.producer.pause_producing();
    }

    fn stop_producing(&mut self) {
        self.producer.stop_producing();
    }
}

/// Sends what a reader gives.
pub(super) async fn send_reader(
    request: &Request,
    mut reader: Pin<Box<dyn futures_util::io::AsyncBufRead>>,
) -> Result {
    use futures_util::io::AsyncBufReadExt;
    loop {
        let piece = reader.fill_buf().await?;
        let count = piece.len();
        if count == 0 {
            break;
        }
        request.write(piece).await?;
        reader.consume_unpin(count);
    }
    request.finish();
    Ok(())
}

impl Outgoing {
    pub(super) fn announced(&self) -> Length {
        self.length().map_or(Length::Unknown, Length::Known)
    }
}
