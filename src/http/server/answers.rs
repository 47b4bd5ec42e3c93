// One connection of a site: what it says.
//
// # Invariants
// * All bytes of HTTP go through `say`, so that they leave in the order in which the machine made them.
// * An answer is begun once: who comes second finds the stage beyond `Owed`, and nothing happens.

use super::channel::Channel;
use super::exchange::{Exchange, Stage};
use super::log::Outcome;
use crate::failure::{Failure, Result};
use crate::http::answering::send_reader;
use crate::http::h1::{Length, Machine, SendError};
use crate::http::headers::Headers;
use crate::http::method::Method;
use crate::http::request::Request;
use crate::http::response::{Outgoing, Response};
use crate::http::status::Status;
use std::fs::File;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// A body of so much is not copied before it is written.
const LARGE: usize = 16 << 10;
/// More than this waits for the peer: a write that is awaited waits too.
const HIGH: usize = 64 << 10;

impl Channel {
    /// Has the machine write, and sends that: at once, or with what else is said to the bytes that came.
    #[inline]
    pub(super) fn say<R>(&self, write: impl FnOnce(&mut Machine, &mut Vec<u8>) -> R) -> R {
        if !self.is_feeding.get() {
            return self.say_at_once(write);
        }
        let mut out = self.out.borrow_mut();
        let before = out.len();
        let result = write(&mut self.machine.borrow_mut(), &mut out);
        self.said.set(self.said.get() + out.len() - before);
        result
    }

    fn say_at_once<R>(&self, write: impl FnOnce(&mut Machine, &mut Vec<u8>) -> R) -> R {
        let mut out = self.site.lend();
        let result = write(&mut self.machine.borrow_mut(), &mut out);
        if !out.is_empty() {
            self.transport.write(&out);
            out.clear();
        }
        self.site.take_back(out);
        result
    }

    /// Writes what was said so far, so that something else can go behind it.
    fn send_said(&self) {
        let mut out = self.out.borrow_mut();
        if !out.is_empty() {
            self.transport.write(&*out);
            out.clear();
        }
    }

    pub(in crate::http) fn has_room(&self) -> bool {
        self.transport.waiting() + self.out.borrow().len() <= HIGH
    }

    // ---- whole answers ----

    /// Answers, unless somebody has.
    #[inline]
    pub(in crate::http) fn respond(self: &Rc<Self>, request: &Request, response: Response) {
        let exchange = &request.exchange;
        if !exchange.is_owed() {
            return self.answered_twice(request);
        }
        match response.body.bytes() {
            Some(bytes)
                if bytes.len() < LARGE && self.answer_at_once(exchange, &response, bytes) =>
            {
                self.finished(exchange);
            }
            // A success would say that the connection is a tunnel now: only `upgrade` does that.
            _ if request.method() == Method::Connect && response.status.is_success() => {
                self.respond(request, Response::from(Status::NOT_IMPLEMENTED));
            }
            Some(bytes) if bytes.len() < LARGE => {
                exchange.begin_sending(response.status);
                let date = self.site.date(self);
                let draft = exchange.draft.borrow();
                let kind = kind_of(&response, &draft);
                let length = bytes.len() as u64;
                let sent = self.say(|machine, out| {
                    let before = out.len();
                    machine.send_answer(
                        response.status,
                        [&date, kind],
                        [&draft, response.headers()],
                        Length::Known(length),
                        out,
                    )?;
                    machine.send_body(bytes, out)?;
                    machine.finish(out)?;
                    Ok(out.len() - before)
                });
                drop(draft);
                match sent {
                    Ok(count) => exchange.sent.set(count as u64),
                    Err(error) => return self.unsayable(request, error),
                }
                self.finished(exchange);
            }
            _ => self.respond_in_pieces(request, response),
        }
    }

    /// Answers as most are, with 200 and without fields of the handler's.
    #[inline]
    fn answer_at_once(&self, exchange: &Exchange, response: &Response, body: &[u8]) -> bool {
        let has_fields = !(response.headers().is_empty() && exchange.draft.borrow().is_empty());
        if has_fields || response.status != Status::OK {
            return false;
        }
        let lines = self.site.first_lines(self);
        let count = self.say(|machine, out| {
            let before = out.len();
            machine.answer_at_once(&lines, response.kind, body, out).then(|| out.len() - before)
        });
        let Some(count) = count else { return false };
        exchange.status.set(Status::OK);
        exchange.sent.set(count as u64);
        true
    }

    #[inline]
    fn finished(self: &Rc<Self>, exchange: &Exchange) {
        exchange.finish();
        self.exchange_ended(exchange, Outcome::Answered);
    }

    fn respond_in_pieces(self: &Rc<Self>, request: &Request, response: Response) {
        let length = response.body.announced();
        let begun = {
            let draft = request.exchange.draft.borrow();
            let kind = kind_of(&response, &draft);
            self.send_head(request, response.status, kind, [&draft, response.headers()], length)
        };
        if let Err(error) = begun {
            return self.unsayable(request, error);
        }
        match response.body {
            Outgoing::File(file, range) => self.send_file(request, file, range),
            Outgoing::Reader(reader, _) => {
                let request = request.clone();
                let task = async move {
                    let sent = send_reader(&request, reader).await;
                    if let Err(failure) = sent {
                        request.fail(failure);
                    }
                };
                drop(self.reactor().spawn(task));
            }
            body => {
                self.write(request, body.bytes().unwrap_or_default());
                self.finish(request, &Headers::new());
            }
        }
    }

    fn send_file(self: &Rc<Self>, request: &Request, file: Arc<File>, range: Range<u64>) {
        let length = range.end.saturating_sub(range.start);
        let is_wanted = self.say(|machine, _| machine.sent_elsewhere(length));
        if !matches!(is_wanted, Ok(true)) {
            return self.finish(request, &Headers::new());
        }
        self.send_said();
        let request = request.clone();
        let sending = self.transport.send_file_part(file, range);
        sending.add_both(move |sent: Result<u64>| match sent {
            Ok(count) if count == length => {
                request.exchange.sent.set(request.exchange.sent.get() + count);
                request.finish();
            }
            Ok(count) => request
                .fail(Failure::msg(format_args!("a file of {length} bytes ended after {count}"))),
            Err(failure) => request.fail(failure),
        });
    }

    // ---- answers in pieces ----

    /// Sends the head, unless that was done.
    pub(in crate::http) fn begin(self: &Rc<Self>, request: &Request, length: Length) {
        if !request.exchange.is_owed() {
            return;
        }
        let is_tunnel = request.method() == Method::Connect;
        let status = request.exchange.status.get();
        let status = match status {
            it if is_tunnel && it.is_success() => Status::NOT_IMPLEMENTED,
            it => it,
        };
        let begun = {
            let draft = request.exchange.draft.borrow();
            self.send_head(request, status, b"", [&draft], length)
        };
        if let Err(error) = begun {
            self.unsayable(request, error);
        }
    }

    fn send_head<const N: usize>(
        self: &Rc<Self>,
        request: &Request,
        status: Status,
        kind: &[u8],
        headers: [&Headers; N],
        length: Length,
    ) -> Result<(), SendError> {
        let date = self.site.date(self);
        request.exchange.begin_sending(status);
        let count = self.say(|machine, out| {
            let before = out.len();
            machine.send_answer(status, [&date, kind], headers, length, out)?;
            Ok(out.len() - before)
        })?;
        request.exchange.sent.set(count as u64);
        if !self.is_feeding.get() {
            self.settle(self.now());
        }
        Ok(())
    }

    pub(in crate::http) fn write(self: &Rc<Self>, request: &Request, data: &[u8]) {
        let exchange = &request.exchange;
        if exchange.is_owed() {
            self.begin(request, request.announced());
        }
        if exchange.stage() != Stage::Sending || data.is_empty() {
            return;
        }
        let sent = match data.len() {
            0..LARGE => self.say(|machine, out| machine.send_body(data, out)),
            _ => self.write_large(data),
        };
        exchange.sent.set(exchange.sent.get() + data.len() as u64);
        if let Err(error) = sent {
            self.unsayable(request, error);
        }
    }

    /// Much at once is not copied, if its length is known.
    fn write_large(&self, data: &[u8]) -> Result<(), SendError> {
        if self.machine.borrow().is_sending_unknown() {
            return self.say(|machine, out| machine.send_body(data, out));
        }
        if self.say(|machine, _| machine.sent_elsewhere(data.len() as u64))? {
            self.send_said();
            self.transport.write(data);
            self.said.set(self.said.get() + data.len());
        }
        Ok(())
    }

    pub(in crate::http) fn finish(self: &Rc<Self>, request: &Request, trailers: &Headers) {
        let exchange = &request.exchange;
        if exchange.is_owed() {
            let announced = request.announced();
            self.begin(
                request,
                if announced == Length::Unknown { Length::Known(0) } else { announced },
            );
        }
        match exchange.stage() {
            Stage::Sending => {}
            Stage::Finished => return self.answered_twice(request),
            Stage::Owed | Stage::Lost => return,
        }
        let ended = self.say(|machine, out| machine.finish_with(trailers, out));
        let ended = match ended {
            Err(SendError::Trailer(name)) => {
                request.report("trailer left out", &SendError::Trailer(name).into());
                self.say(|machine, out| machine.finish(out))
            }
            ended => ended,
        };
        if self.has_producer.replace(false) {
            self.transport.unregister_producer();
        }
        match ended {
            Ok(()) => self.finished(exchange),
            Err(error) => self.unsayable(request, error),
        }
    }

    pub(in crate::http) fn inform(
        &self,
        status: Status,
        headers: &Headers,
    ) -> Result<(), SendError> {
        self.say(|machine, out| machine.send_informational(status, headers, out))
    }

    pub(super) fn send_continue(&self) {
        if self.machine.borrow().owes_continue() {
            // It is owed, so it can be said.
            let _ = self.inform(Status::CONTINUE, &Headers::new());
        }
    }

    // ---- what goes wrong ----

    /// The last handle of a request went, and there was no answer.
    #[inline(never)]
    pub(in crate::http) fn forgotten(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        let request = Request::new(self.clone(), exchange.clone());
        let (method, path) = (request.method(), request.path());
        let failure = match exchange.stage() {
            Stage::Owed => Failure::msg(format_args!("{method} {path} was not answered")),
            _ => Failure::msg(format_args!("the answer to {method} {path} was not finished")),
        };
        let failure = match exchange.place.get() {
            Some(place) => failure.arose_at(place),
            None => failure,
        };
        request.report("a handler forgot its request", &failure);
        self.fail(&request);
    }

    /// Answers 500; what is half sent is cut off, so that the peer does not take it for all.
    #[inline(never)]
    pub(in crate::http) fn fail(self: &Rc<Self>, request: &Request) {
        self.outcome.set(Outcome::Failed);
        if request.exchange.is_owed() {
            request.exchange.draft.borrow_mut().clear();
            let page = request.page(Response::from(Status::INTERNAL_SERVER_ERROR));
            return self.respond(request, page);
        }
        if request.exchange.is_open() {
            self.send_said();
            self.transport.abort_connection();
        }
    }

    /// The handler says what is no answer here.
    #[inline(never)]
    fn unsayable(self: &Rc<Self>, request: &Request, error: SendError) {
        if !request.exchange.is_open() || error == SendError::Closed {
            return;
        }
        request.report("an answer that cannot be sent", &error.into());
        if self.machine.borrow().owes_answer() {
            request.exchange.reopen();
        }
        self.fail(request);
    }

    #[inline(never)]
    fn answered_twice(&self, request: &Request) {
        if request.exchange.stage() == Stage::Lost {
            return;
        }
        let (method, path) = (request.method(), request.path());
        let failure = Failure::msg(format_args!("{method} {path} was answered before"));
        let failure = match request.exchange.place.get() {
            Some(place) => failure.arose_at(place),
            None => failure,
        };
        request.report("a second answer", &failure);
        self.outcome.set(Outcome::Answered);
    }
}

/// The line that says what the body is, unless a field does.
#[inline]
fn kind_of<'a>(response: &'a Response, draft: &Headers) -> &'a [u8] {
    const NAME: &str = "content-type";
    let is_told = |headers: &Headers| !headers.is_empty() && headers.contains(NAME);
    if is_told(response.headers()) || is_told(draft) { b"" } else { response.kind }
}
