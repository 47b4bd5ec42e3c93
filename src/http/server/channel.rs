// One connection of a site: what it hears.
//
// # Theory
// Bytes become events in the machine, events become calls of handlers and of who reads a body. All that
// the handlers say meanwhile collects in `out`, and leaves as one write when the bytes are used up: so
// sixteen requests that came together are answered together. What is said at other times leaves at once.
//
// A handler that is not done holds up the requests behind its own: they wait as bytes in `kept`, at most
// `read_ahead` of them, and are taken up again by a call of the reactor's, never from inside a method that
// a handler called.
//
// # Invariants
// * The machine is borrowed for one call of its own; no code of the user's runs meanwhile.
// * `current` is the exchange whose answer is owed or under way; it is none between two.
// * While bytes are kept, those that come go behind them.
//
// # Not here
// What is said: `answers.rs`. How long each thing may take: `deadlines.rs`.

use super::common::Common;
use super::deadline::{Deadline, Phase};
use super::exchange::{Exchange, Stage};
use super::log::Outcome;
use crate::failure::{Failure, Result};
use crate::http::forwarded::IpRange;
use crate::http::h1::{Event, Framing, Machine, Reason, Refusal};
use crate::http::limits::Limits;
use crate::protocol::Protocol;
use crate::reactor::Reactor;
use crate::transport::Transport;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// So much is said before the transport has its turn, and the peer its word.
const BATCH: usize = 64 << 10;

pub(crate) struct Channel {
    pub(super) site: Rc<Common>,
    pub(super) limits: Rc<Limits>,
    pub(super) transport: Transport,
    pub(super) machine: RefCell<Machine>,
    pub(super) current: RefCell<Option<Rc<Exchange>>>,
    /// What was said while bytes are fed, and not written yet. Borrowed together with the machine.
    pub(super) out: RefCell<Vec<u8>>,
    /// What came and waits for its turn.
    kept: RefCell<Vec<u8>>,
    pub(super) is_feeding: Cell<bool>,
    /// When the feeding began.
    fed_at: Cell<Instant>,
    /// So many bytes were said since the feeding began.
    pub(super) said: Cell<usize>,
    /// The peer takes less than is said.
    pub(super) is_full: Cell<bool>,
    /// Why nothing is read, as bits.
    pub(super) pauses: Cell<u8>,
    /// The end of a request's body is still to come.
    pub(super) has_body: Cell<bool>,
    /// Taking up what is kept was asked for.
    is_called: Cell<bool>,
    pub(in crate::http) has_producer: Cell<bool>,
    peer_ended: Cell<bool>,
    /// Nothing more is said, and what comes is dropped.
    pub(super) is_closing: Cell<bool>,
    /// What came was refused.
    pub(super) is_refused: Cell<bool>,
    /// How many bytes waited for the peer when that was last looked at.
    pub(super) waiting: Cell<usize>,
    /// So much was dropped since.
    dropped: Cell<u64>,
    pub(in crate::http) outcome: Cell<Outcome>,
    pub(super) deadline: Deadline,
    /// Its place in the site's list.
    pub(super) place: Cell<usize>,
    /// The protocol that has the connection, or will have it.
    pub(super) upgraded: RefCell<Option<Box<dyn Protocol>>>,
    pub(super) is_handed_over: Cell<bool>,
}

/// Who answers the requests of a channel.
pub(crate) trait Serve {
    /// Answers now or later; a panic of the user's ends there.
    fn serve(&self, channel: &Rc<Channel>, exchange: &Rc<Exchange>);
}

/// Bits of `pauses`.
const READ_AHEAD: u8 = 1;
pub(super) const BODY: u8 = 2;

impl Channel {
    pub(super) fn new(site: Rc<Common>, transport: Transport) -> Channel {
        let (limits, now) = (site.limits(), transport.reactor().now());
        let machine = Machine::server(limits.clone());
        let machine = if site.is_strict.get() { machine.strict_authority() } else { machine };
        Channel {
            site,
            limits,
            transport,
            machine: RefCell::new(machine),
            current: RefCell::default(),
            out: RefCell::default(),
            kept: RefCell::default(),
            is_feeding: Cell::new(false),
            fed_at: Cell::new(now),
            said: Cell::new(0),
            is_full: Cell::new(false),
            pauses: Cell::new(0),
            has_body: Cell::new(false),
            is_called: Cell::new(false),
            has_producer: Cell::new(false),
            peer_ended: Cell::new(false),
            is_closing: Cell::new(false),
            is_refused: Cell::new(false),
            waiting: Cell::new(0),
            dropped: Cell::new(0),
            outcome: Cell::new(Outcome::Answered),
            deadline: Deadline::default(),
            place: Cell::new(0),
            upgraded: RefCell::default(),
            is_handed_over: Cell::new(false),
        }
    }

    pub(in crate::http) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(in crate::http) fn reactor(&self) -> Reactor {
        self.transport.reactor()
    }

    pub(in crate::http) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(in crate::http) fn trusted(&self) -> Rc<[IpRange]> {
        self.site.trusted.borrow().clone()
    }

    pub(super) fn now(&self) -> Instant {
        self.transport.reactor().now()
    }

    pub(super) fn current(&self) -> Option<Rc<Exchange>> {
        self.current.borrow().clone()
    }

    pub(super) fn is_current(&self, exchange: &Exchange) -> bool {
        self.current.borrow().as_ref().is_some_and(|it| std::ptr::eq(&**it, exchange))
    }

    // ---- bytes in ----

    #[inline]
    pub(super) fn receive(self: &Rc<Self>, data: &[u8]) -> Result {
        let is_plain = !self.is_closing.get() && !self.machine.borrow().is_upgraded();
        if !is_plain {
            return self.receive_otherwise(data);
        }
        let now = self.now();
        if !self.kept.borrow().is_empty() || self.is_feeding.get() {
            self.kept.borrow_mut().extend_from_slice(data);
            self.feed_kept(now);
            return Ok(());
        }
        let mut input = data;
        self.feed_all(&mut input, now);
        if !input.is_empty() {
            self.keep(input);
        }
        self.settle(now);
        if self.machine.borrow().is_upgraded() {
            return self.hand_over();
        }
        Ok(())
    }

    /// Bytes that are no HTTP.
    #[inline(never)]
    fn receive_otherwise(&self, data: &[u8]) -> Result {
        if self.is_closing.get() {
            let dropped = self.dropped.get().saturating_add(data.len() as u64);
            self.dropped.set(dropped);
            if dropped > self.limits.linger {
                self.transport.lose_connection();
            }
            return Ok(());
        }
        let received = self.with_upgraded(|protocol| protocol.data_received(&self.transport, data));
        match received {
            Some(outcome) => outcome,
            None => {
                self.kept.borrow_mut().extend_from_slice(data);
                Ok(())
            }
        }
    }

    /// Feeds what came, and writes what is said to it.
    #[inline]
    fn feed_all(self: &Rc<Self>, input: &mut &[u8], now: Instant) {
        self.is_feeding.set(true);
        self.fed_at.set(now);
        self.said.set(0);
        self.out.replace(self.site.lend());
        self.feed(input, now);
        self.is_feeding.set(false);
        let mut out = self.out.take();
        if !out.is_empty() {
            self.transport.write(&out);
            out.clear();
        }
        self.site.take_back(out);
    }

    #[inline]
    fn feed(self: &Rc<Self>, input: &mut &[u8], now: Instant) {
        let mut spare = self.site.spare_exchange(now);
        while self.said.get() < BATCH {
            if self.read_at_once(&mut spare, input, now) {
                self.serve(&spare);
                spare = self.reuse(spare, now);
                continue;
            }
            // Its own statement: the borrow ends before anybody is called.
            let event = self.machine.borrow_mut().feed(input);
            match event {
                None => break,
                Some(Event::Request(head)) => self.serve(&Rc::new(Exchange::new(head, now))),
                Some(Event::End(trailers)) => self.body_ended(trailers),
                Some(Event::Body(data)) => self.deliver(data),
                Some(Event::Refused(refusal)) => {
                    self.refuse(&refusal);
                    break;
                }
                Some(_) => break,
            }
        }
        self.site.put_back(spare);
    }

    /// Reads a usual request in the memory of an exchange.
    #[inline]
    fn read_at_once(&self, spare: &mut Rc<Exchange>, input: &mut &[u8], now: Instant) -> bool {
        let Some(own) = Rc::get_mut(spare) else { return false };
        if input.is_empty() || !self.machine.borrow_mut().read_at_once(input, &mut own.head) {
            return false;
        }
        own.renew(now);
        true
    }

    /// Memory for the next exchange: that of this one, unless somebody has it still.
    #[inline]
    fn reuse(&self, mut exchange: Rc<Exchange>, now: Instant) -> Rc<Exchange> {
        if let Some(own) = Rc::get_mut(&mut exchange) {
            own.clear();
            return exchange;
        }
        self.site.spare_exchange(now)
    }

    /// The time for what is said: while bytes are fed, that of the first.
    #[inline]
    pub(super) fn said_at(&self) -> Instant {
        if self.is_feeding.get() { self.fed_at.get() } else { self.now() }
    }

    fn feed_kept(self: &Rc<Self>, now: Instant) {
        if self.is_feeding.get() || self.is_closing.get() {
            return;
        }
        let kept = self.kept.take();
        let mut input = &kept[..];
        self.feed_all(&mut input, now);
        if !input.is_empty() {
            let came = self.kept.replace(input.to_vec());
            self.kept.borrow_mut().extend_from_slice(&came);
        }
        self.limit_kept();
        if self.machine.borrow().is_upgraded() && !self.is_handed_over.get() {
            return self.hand_over_later();
        }
        self.settle(now);
    }

    pub(super) fn take_kept(&self) -> Vec<u8> {
        self.kept.take()
    }

    #[inline(never)]
    fn keep(&self, input: &[u8]) {
        self.kept.borrow_mut().extend_from_slice(input);
        self.limit_kept();
    }

    /// Reads no more while more is kept than may be, and goes on when it is not.
    fn limit_kept(&self) {
        let is_much = self.kept.borrow().len() >= self.limits.read_ahead;
        self.set_pause(READ_AHEAD, is_much);
    }

    pub(super) fn has_kept(&self) -> bool {
        !self.kept.borrow().is_empty()
    }

    /// Takes up what is kept in the next turn; now, whoever is calling would be called.
    pub(super) fn go_on_later(self: &Rc<Self>) {
        if self.has_kept() {
            self.call_later();
        }
    }

    pub(super) fn call_later(self: &Rc<Self>) {
        if self.is_called.replace(true) {
            return;
        }
        let channel = self.clone();
        self.reactor().call_later(Duration::ZERO, move || {
            channel.is_called.set(false);
            channel.feed_kept(channel.now());
        });
    }

    pub(super) fn set_pause(&self, why: u8, on: bool) {
        let before = self.pauses.get();
        let after = if on { before | why } else { before & !why };
        if before == after {
            return;
        }
        self.pauses.set(after);
        match after {
            0 => self.transport.resume_reading(),
            _ if before == 0 => self.transport.pause_reading(),
            _ => {}
        }
    }

    /// Reads whatever was the reason not to.
    pub(super) fn unpause(&self) {
        self.set_pause(READ_AHEAD | BODY, false);
    }

    // ---- one exchange ----

    /// Has an exchange answered.
    #[inline]
    fn serve(self: &Rc<Self>, exchange: &Rc<Exchange>) {
        if self.site.is_draining() {
            self.machine.borrow_mut().close_when_done();
        }
        let has_body = exchange.head.framing() != Framing::Length(0);
        if has_body {
            self.has_body.set(true);
            self.current.replace(Some(exchange.clone()));
        }
        self.site.root.serve(self, exchange);
        if !has_body && exchange.is_open() {
            self.current.replace(Some(exchange.clone()));
        }
    }

    /// The answer is sent, or nobody waits for it.
    pub(super) fn exchange_ended(self: &Rc<Self>, exchange: &Exchange, outcome: Outcome) {
        let former = match self.is_current(exchange) {
            true => self.current.take(),
            false => None,
        };
        let outcome = match self.outcome.get() {
            Outcome::Answered => outcome,
            worse => {
                self.outcome.set(Outcome::Answered);
                worse
            }
        };
        self.site.record(self, Some(exchange), outcome);
        if self.has_body.get() {
            self.give_up_body(exchange);
        }
        if !self.is_feeding.get() {
            self.go_on_later();
            self.settle(self.now());
        }
        drop(former);
    }

    // ---- ends ----

    pub(super) fn peer_ended(self: &Rc<Self>) {
        self.peer_ended.set(true);
        if self.is_closing.get() {
            return self.transport.lose_connection();
        }
        self.feed_kept(self.now());
        loop {
            let event = self.machine.borrow_mut().end();
            match event {
                None => break,
                Some(Event::End(trailers)) => self.body_ended(trailers),
                Some(Event::Refused(refusal)) => {
                    let reason = refusal_failure(&refusal);
                    self.lose_exchange(&reason);
                    return self.transport.lose_connection();
                }
                Some(_) => {}
            }
        }
        let now = self.now();
        match self.current() {
            Some(_) => self.set_deadline(Phase::PeerEnded, now, self.limits.half_closed_time),
            None if self.has_kept() => self.go_on_later(),
            None => self.transport.lose_connection(),
        }
    }

    /// Whether the peer has ended its half.
    pub(super) fn has_peer_ended(&self) -> bool {
        self.peer_ended.get()
    }

    pub(super) fn refuse(self: &Rc<Self>, refusal: &Refusal) {
        self.site.refuse(self, refusal);
        if refusal.reason() == Reason::Truncated {
            return;
        }
        let reason = refusal_failure(refusal);
        self.outcome.set(Outcome::Refused(refusal.reason()));
        match self.current() {
            Some(_) => self.lose_exchange(&reason),
            None => self.site.record(self, None, Outcome::Refused(refusal.reason())),
        }
        self.outcome.set(Outcome::Answered);
    }

    /// The exchange under way will have no answer, or had it from somebody else.
    pub(super) fn lose_exchange(self: &Rc<Self>, reason: &Failure) {
        let Some(exchange) = self.current.take() else { return };
        exchange.lose(reason);
        let outcome = match self.outcome.replace(Outcome::Answered) {
            Outcome::Answered => Outcome::Abandoned,
            other => other,
        };
        self.site.record(self, Some(&exchange), outcome);
        self.fail_body(&exchange, reason);
    }

    /// As `drain`, whoever has the connection.
    pub(super) fn drain_all(self: &Rc<Self>) {
        let transport = &self.transport;
        if self.with_upgraded(|protocol| protocol.drain(transport)).is_none() {
            self.drain();
        }
    }

    /// The site stops: ends now if nothing is under way, else with the answer.
    pub(super) fn drain(self: &Rc<Self>) {
        if self.machine.borrow().is_idle() && !self.has_kept() {
            self.transport.lose_connection();
        } else {
            self.machine.borrow_mut().close_when_done();
            if let Some(exchange) = self.current() {
                exchange.wake();
            }
        }
    }

    pub(in crate::http) fn is_draining(&self) -> bool {
        self.site.is_draining() || self.machine.borrow().must_close()
    }

    pub(super) fn lost(self: &Rc<Self>, reason: &Failure) {
        self.is_closing.set(true);
        self.deadline.forget();
        drop(self.kept.take());
        self.lose_exchange(reason);
    }

    pub(in crate::http) fn is_full(&self) -> bool {
        self.is_full.get()
    }

    pub(super) fn stage_of_current(&self) -> Option<Stage> {
        self.current.borrow().as_ref().map(|exchange| exchange.stage())
    }
}

fn refusal_failure(refusal: &Refusal) -> Failure {
    Failure::from(*refusal).of_peer()
}
