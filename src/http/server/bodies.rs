// One connection of a site: the bodies of its requests, on their way to whoever reads them.
//
// # Invariants
// * Bytes reach a receiver in the order in which they came; it is out of its place while it is called.
// * `BODY` is among the pauses while `body_ahead` bytes or more wait for their reader.

use super::channel::{BODY, Channel};
use super::exchange::{Exchange, Gone};
use super::incoming::{Receive, State};
use crate::failure::{Failure, Result};
use crate::http::headers::Headers;
use crate::http::request::Request;
use std::mem;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

impl Channel {
    /// Somebody asks for the body.
    pub(in crate::http) fn touch_body(self: &Rc<Self>, exchange: &Exchange) {
        let was_touched =
            exchange.with_extras(|extras| mem::replace(&mut extras.incoming.is_touched, true));
        if was_touched {
            return;
        }
        if !self.has_body.get() || !self.is_current(exchange) {
            exchange.with_extras(|extras| {
                if extras.incoming.is_coming() {
                    extras.incoming.state = State::Whole;
                }
            });
            return;
        }
        self.send_continue();
        if !self.is_feeding.get() {
            self.settle(self.now());
        }
    }

    pub(super) fn deliver(self: &Rc<Self>, data: &[u8]) {
        let Some(exchange) = self.current() else { return };
        exchange.received.set(exchange.received.get() + data.len() as u64);
        self.deadline.count(data.len());
        let receiver = exchange.with_extras(|extras| {
            let incoming = &mut extras.incoming;
            if incoming.is_paused || !incoming.kept.is_empty() {
                return None;
            }
            incoming.receiver.take()
        });
        match receiver {
            Some(receiver) => self.push(&exchange, receiver, |it| it.data_received(data)),
            None => self.keep_body(&exchange, data),
        }
    }

    fn keep_body(&self, exchange: &Exchange, data: &[u8]) {
        let (waker, kept) = exchange.with_extras(|extras| {
            extras.incoming.kept.extend_from_slice(data);
            (extras.incoming.take_waker(), extras.incoming.kept.len())
        });
        self.set_pause(BODY, kept >= self.limits.body_ahead);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn body_ended(self: &Rc<Self>, trailers: Headers) {
        if !self.has_body.replace(false) {
            return;
        }
        let Some(exchange) = self.current() else { return };
        let waker = exchange.with_extras(|extras| {
            extras.incoming.trailers = Some(trailers);
            extras.incoming.state = State::Whole;
            extras.incoming.take_waker()
        });
        waker.into_iter().for_each(Waker::wake);
        self.deliver_kept(&exchange);
    }

    /// Calls the receiver of a body, which is out of its place meanwhile.
    fn push(
        self: &Rc<Self>,
        exchange: &Rc<Exchange>,
        mut receiver: Box<dyn Receive>,
        call: impl FnOnce(&mut dyn Receive) -> Result,
    ) {
        let request = Request::new(self.clone(), exchange.clone());
        let called = request.catch(|| call(&mut *receiver));
        match called.unwrap_or_else(Err) {
            // Another may have been put there meanwhile: it is in the place of this one.
            Ok(()) => {
                let spare = exchange.with_extras(|extras| match extras.incoming.receiver {
                    Some(_) => Some(receiver),
                    None => extras.incoming.receiver.replace(receiver),
                });
                drop(spare);
            }
            Err(failure) => request.settle(Err(failure)),
        }
    }

    /// Calls the receiver with what is kept, and with the end.
    pub(in crate::http) fn deliver_kept(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        loop {
            let found = exchange.with_extras(|extras| {
                let incoming = &mut extras.incoming;
                if incoming.is_paused || (incoming.kept.is_empty() && incoming.is_coming()) {
                    return None;
                }
                let receiver = incoming.receiver.take()?;
                Some((receiver, mem::take(&mut incoming.kept), incoming.state.clone()))
            });
            let Some((mut receiver, kept, state)) = found else { break };
            if !kept.is_empty() {
                self.push(exchange, receiver, |it| it.data_received(&kept));
                continue;
            }
            let request = Request::new(self.clone(), exchange.clone());
            let trailers = exchange.with_extras(|extras| extras.incoming.trailers.clone());
            let told = request.catch(|| match &state {
                State::Failed(reason) => receiver.lost(reason),
                State::Coming | State::Whole => receiver.finished(&trailers.unwrap_or_default()),
            });
            if let Err(panic) = told {
                request.settle(Err(panic));
            }
            drop(receiver);
            break;
        }
        self.body_was_taken();
    }

    pub(in crate::http) fn deliver_later(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        let (channel, exchange) = (self.clone(), exchange.clone());
        self.reactor().call_later(Duration::ZERO, move || channel.deliver_kept(&exchange));
    }

    /// Room was made for more of the body.
    pub(in crate::http) fn body_was_taken(&self) {
        if self.pauses.get() & BODY != 0 {
            let kept = match self.current() {
                Some(exchange) => exchange.with_extras(|extras| extras.incoming.kept.len()),
                None => 0,
            };
            self.set_pause(BODY, kept >= self.limits.body_ahead);
        }
    }

    /// Nobody will read the rest of a body: its exchange is over.
    pub(super) fn give_up_body(&self, exchange: &Exchange) {
        if exchange.has_extras() {
            let waker = exchange.with_extras(|extras| {
                let incoming = &mut extras.incoming;
                incoming.kept = Vec::new();
                if incoming.is_coming() {
                    incoming.state = State::Failed(Gone.into());
                }
                incoming.take_waker()
            });
            waker.into_iter().for_each(Waker::wake);
        }
        self.set_pause(BODY, false);
    }

    pub(super) fn fail_body(self: &Rc<Self>, exchange: &Rc<Exchange>, reason: &Failure) {
        if !exchange.has_extras() {
            return;
        }
        let waker = exchange.with_extras(|extras| {
            if extras.incoming.is_coming() {
                extras.incoming.state = State::Failed(reason.clone());
            }
            extras.incoming.is_paused = false;
            extras.incoming.take_waker()
        });
        waker.into_iter().for_each(Waker::wake);
        self.deliver_kept(exchange);
    }
}
