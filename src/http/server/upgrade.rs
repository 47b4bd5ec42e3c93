// One connection of a site: the end of HTTP on it, and who has it then.
//
// # Theory
// A handler says 101, or 200 to CONNECT, and names the protocol that follows. The machine tells when the
// bytes are no HTTP any more; from then on every call of the connection is that protocol's, and what was
// read ahead are its first bytes.

use super::channel::Channel;
use super::log::Outcome;
use crate::failure::{Failure, Report, Result};
use crate::http::h1::{Length, SendError};
use crate::http::request::Request;
use crate::http::status::Status;
use crate::protocol::Protocol;
use std::rc::Rc;

impl Channel {
    /// Answers with 101, or 200 to CONNECT, and lets another protocol have the connection.
    pub(in crate::http) fn upgrade(
        self: &Rc<Self>,
        request: &Request,
        protocol: Box<dyn Protocol>,
    ) -> Result<(), SendError> {
        if !request.exchange.is_owed() {
            return Err(SendError::NotNow);
        }
        let is_connect = request.method() == crate::http::Method::Connect;
        let status = if is_connect { Status::OK } else { Status::SWITCHING_PROTOCOLS };
        let date = self.site.date(self);
        let draft = request.exchange.draft.borrow();
        self.say(|machine, out| {
            machine.send_answer(status, [&date, b""], [&draft], Length::Known(0), out)
        })?;
        drop(draft);
        request.exchange.begin_sending(status);
        self.upgraded.replace(Some(protocol));
        request.exchange.finish();
        self.exchange_ended(&request.exchange, Outcome::Answered);
        if !self.is_feeding.get() {
            self.call_later();
        }
        Ok(())
    }

    /// The bytes are no HTTP any more: those that were kept are the other protocol's first.
    pub(super) fn hand_over(&self) -> Result {
        self.is_handed_over.set(true);
        self.deadline.forget();
        let kept = self.take_kept();
        let outcome = self.with_upgraded(|protocol| {
            protocol.connection_made(&self.transport);
            match kept.is_empty() {
                true => Ok(()),
                false => protocol.data_received(&self.transport, &kept),
            }
        });
        self.unpause();
        if self.has_peer_ended() {
            self.with_upgraded(|protocol| protocol.read_closed(&self.transport));
        }
        outcome.unwrap_or(Ok(()))
    }

    /// As `hand_over`, where nobody takes a failure.
    pub(super) fn hand_over_later(&self) {
        if let Err(failure) = self.hand_over() {
            let (peer, host) = (self.transport.peer(), self.transport.host());
            Report::new("unhandled failure in data_received", &failure, None)
                .of(&peer, Some(&host))
                .tell();
            self.transport.abort_connection();
        }
    }

    /// Calls the protocol that has the connection, if it is not HTTP.
    #[inline]
    pub(super) fn with_upgraded<R>(&self, call: impl FnOnce(&mut dyn Protocol) -> R) -> Option<R> {
        if !self.is_handed_over.get() {
            return None;
        }
        // Out of its place while it is called.
        let mut protocol = self.upgraded.take()?;
        let result = call(&mut *protocol);
        self.upgraded.replace(Some(protocol));
        Some(result)
    }

    /// The connection is lost; whoever had it is told, and dropped.
    pub(super) fn lose_upgraded(&self, reason: &Failure) {
        self.with_upgraded(|protocol| protocol.connection_lost(reason));
        drop(self.upgraded.take());
    }
}
