// What a site's connections share: limits, the list of them, and what is lent.
//
// # Invariants
// * Nothing is borrowed while a resource or a hook of the user's is called.
// * What is lent for a moment, buffers and exchanges, is empty when it comes back.

use super::channel::{Channel, Serve};
use super::exchange::{Exchange, Stage};
use super::log::{Outcome, Record};
use crate::deferred::Trigger;
use crate::http::h1::{Refusal, RequestHead};
use crate::http::headers::Headers;
use crate::http::limits::Limits;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// What a site's connections share.
pub(crate) struct Common {
    pub(super) root: Box<dyn Serve>,
    /// Borrowed to clone or replace it.
    pub(super) limits: RefCell<Rc<Limits>>,
    /// Likewise.
    pub(super) hook: RefCell<Option<Hook>>,
    pub(super) is_strict: Cell<bool>,
    pub(super) is_draining: Cell<bool>,
    /// Borrowed to add, remove or copy.
    channels: RefCell<Vec<Weak<Channel>>>,
    /// Whoever waits for the last one to go.
    pub(super) drained: RefCell<Vec<Trigger<()>>>,
    /// How many protocols were built and are there.
    pub(super) count: Cell<usize>,
    /// The Date of a second, as a line, and until when it is right.
    date: Cell<(DateLine, Option<Instant>)>,
    /// Memory of what is said.
    out: Cell<Vec<u8>>,
    /// Memory of heads.
    heads: Cell<Headers>,
    exchanges: RefCell<Vec<Rc<Exchange>>>,
}

pub(super) type Hook = Rc<dyn Fn(&Record<'_>)>;
type DateLine = [u8; 37];

/// So many exchanges are kept to be used again.
const EXCHANGES: usize = 16;
/// No more memory is kept for what is said.
const KEPT: usize = 256 << 10;

impl Common {
    pub(super) fn new(root: impl Serve + 'static) -> Common {
        Common {
            root: Box::new(root),
            limits: RefCell::default(),
            hook: RefCell::default(),
            is_strict: Cell::new(false),
            is_draining: Cell::new(false),
            channels: RefCell::default(),
            drained: RefCell::default(),
            count: Cell::new(0),
            date: Cell::new(([b' '; 37], None)),
            out: Cell::default(),
            heads: Cell::default(),
            exchanges: RefCell::default(),
        }
    }

    pub(super) fn limits(&self) -> Rc<Limits> {
        self.limits.borrow().clone()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    // ---- connections ----

    pub(super) fn add(&self, channel: &Rc<Channel>) {
        let mut channels = self.channels.borrow_mut();
        channel.place.set(channels.len());
        channels.push(Rc::downgrade(channel));
    }

    pub(super) fn remove(&self, channel: &Rc<Channel>) {
        let place = channel.place.get();
        let moved = {
            let mut channels = self.channels.borrow_mut();
            channels.swap_remove(place);
            channels.get(place).and_then(Weak::upgrade)
        };
        if let Some(moved) = moved {
            moved.place.set(place);
        }
    }

    /// A protocol is gone.
    pub(super) fn leave(&self) {
        self.count.set(self.count.get() - 1);
        self.tell_drained();
    }

    pub(super) fn living(&self) -> Vec<Rc<Channel>> {
        self.channels.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn tell_drained(&self) {
        if self.count.get() > 0 || !self.is_draining.get() {
            return;
        }
        for trigger in self.drained.take() {
            // Cancelled meanwhile: nobody waits.
            let _ = trigger.callback(());
        }
    }

    /// Tells the hook of an exchange that is over.
    #[inline]
    pub(super) fn record(&self, channel: &Channel, exchange: Option<&Exchange>, outcome: Outcome) {
        let hook = self.hook.borrow().clone();
        if let Some(hook) = hook {
            hook(&Record { transport: &channel.transport, exchange, outcome });
        }
    }

    /// Answers what is refused.
    pub(super) fn refuse(&self, channel: &Channel, refusal: &Refusal) {
        let date = self.date(channel);
        let mut fields = Headers::new();
        let date = str::from_utf8(&date[6..35]).unwrap_or_default();
        // Digits and letters are a value.
        let _ = fields.append("date", date);
        channel.is_refused.set(true);
        let is_answered = channel.say(|machine, out| machine.refuse(refusal, &fields, out));
        if !is_answered && channel.stage_of_current() == Some(Stage::Sending) {
            channel.transport.abort_connection();
        }
    }

    // ---- what is lent ----

    /// Memory for what is said, and for a head.
    #[inline]
    pub(super) fn lend(&self) -> (Vec<u8>, Headers) {
        (self.out.take(), self.heads.take())
    }

    #[inline]
    pub(super) fn lend_out(&self) -> Vec<u8> {
        self.out.take()
    }

    #[inline]
    pub(super) fn take_out_back(&self, out: Vec<u8>) {
        if out.capacity() <= KEPT {
            self.out.set(out);
        }
    }

    #[inline]
    pub(super) fn take_back(&self, out: Vec<u8>, head: Headers) {
        self.take_out_back(out);
        self.heads.set(head);
    }

    #[inline]
    pub(super) fn exchange(&self, head: RequestHead, now: Instant) -> Rc<Exchange> {
        let spare = self.exchanges.borrow_mut().pop();
        if let Some(mut exchange) = spare
            && let Some(own) = Rc::get_mut(&mut exchange)
        {
            own.renew(head, now);
            return exchange;
        }
        Rc::new(Exchange::new(head, now))
    }

    /// Keeps the memory of an exchange that nobody else has; gives that of its head.
    #[inline]
    pub(super) fn put_back(&self, mut exchange: Rc<Exchange>) -> Option<Headers> {
        let memory = Rc::get_mut(&mut exchange)?.clear();
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() < EXCHANGES {
            exchanges.push(exchange);
        }
        Some(memory)
    }

    /// The Date line of this second.
    #[inline]
    pub(super) fn date(&self, channel: &Channel) -> DateLine {
        let (line, until) = self.date.get();
        let now = channel.now();
        match until {
            Some(until) if now < until => line,
            _ => self.renew_date(channel, now),
        }
    }

    #[inline(never)]
    fn renew_date(&self, channel: &Channel, now: Instant) -> DateLine {
        let time = channel.reactor().system_time();
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = [b' '; 37];
        line[..6].copy_from_slice(b"date: ");
        let text = httpdate::fmt_http_date(time);
        line[6..35].copy_from_slice(&text.as_bytes()[..29]);
        line[35..].copy_from_slice(b"\r\n");
        let rest = Duration::from_nanos(1_000_000_000 - u64::from(since.subsec_nanos()));
        self.date.set((line, now.checked_add(rest)));
        line
    }
}
