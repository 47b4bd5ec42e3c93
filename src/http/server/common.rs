// What a site's connections share: limits, the list of them, and what is lent.
//
// # Invariants
// * Nothing is borrowed while a resource or a hook of the user's is called.
// * What is lent for a moment, buffers and exchanges, is empty when it comes back.

use super::channel::{Channel, Serve};
use super::exchange::{Exchange, Stage};
use super::log::{Outcome, Record};
use crate::deferred::Trigger;
use crate::http::forwarded::IpRange;
use crate::http::h1::{FirstLines, Refusal, RequestHead};
use crate::http::headers::Headers;
use crate::http::limits::Limits;
use std::cell::{Cell, Ref, RefCell};
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
    /// Proxies that are believed. Likewise.
    pub(super) trusted: RefCell<Rc<[IpRange]>>,
    pub(super) is_draining: Cell<bool>,
    /// Borrowed to add, remove or copy.
    channels: RefCell<Vec<Weak<Channel>>>,
    /// Whoever waits for the last one to go.
    pub(super) drained: RefCell<Vec<Trigger<()>>>,
    /// How many protocols were built and are there.
    pub(super) count: Cell<usize>,
    /// Borrowed to copy or replace them.
    first_lines: RefCell<FirstLines>,
    /// Until when their Date is right.
    date_until: Cell<Option<Instant>>,
    /// Memory of what is said.
    out: Cell<Vec<u8>>,
    exchanges: RefCell<Vec<Rc<Exchange>>>,
}

pub(super) type Hook = Rc<dyn Fn(&Record<'_>)>;
type DateLine = [u8; 37];

const STATUS: &str = "HTTP/1.1 200 OK\r\n";

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
            trusted: RefCell::new(Rc::new([])),
            is_draining: Cell::new(false),
            channels: RefCell::default(),
            drained: RefCell::default(),
            count: Cell::new(0),
            first_lines: RefCell::new([b' '; 54]),
            date_until: Cell::new(None),
            out: Cell::default(),
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

    /// Memory for what is said.
    #[inline]
    pub(super) fn lend(&self) -> Vec<u8> {
        self.out.take()
    }

    #[inline]
    pub(super) fn take_back(&self, out: Vec<u8>) {
        if out.capacity() <= KEPT {
            self.out.set(out);
        }
    }

    /// Memory for an exchange, which nobody else has.
    #[inline]
    pub(super) fn spare_exchange(&self, now: Instant) -> Rc<Exchange> {
        let spare = self.exchanges.borrow_mut().pop();
        spare.unwrap_or_else(|| Rc::new(Exchange::new(RequestHead::empty(), now)))
    }

    /// Keeps the memory of an exchange, if nobody else has it.
    #[inline]
    pub(super) fn put_back(&self, mut exchange: Rc<Exchange>) {
        let Some(own) = Rc::get_mut(&mut exchange) else { return };
        own.clear();
        let mut exchanges = self.exchanges.borrow_mut();
        if exchanges.len() < EXCHANGES {
            exchanges.push(exchange);
        }
    }

    /// The first lines of most answers: 200, and the Date of this second.
    #[inline]
    pub(super) fn first_lines(&self, channel: &Channel) -> Ref<'_, FirstLines> {
        let now = channel.said_at();
        if self.date_until.get().is_none_or(|until| now >= until) {
            self.renew_date(channel, now);
        }
        self.first_lines.borrow()
    }

    /// The Date line of this second.
    pub(super) fn date(&self, channel: &Channel) -> DateLine {
        let mut line = [0; 37];
        line.copy_from_slice(&self.first_lines(channel)[STATUS.len()..]);
        line
    }

    #[inline(never)]
    fn renew_date(&self, channel: &Channel, now: Instant) {
        let time = channel.reactor().system_time();
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let lines = format!("{STATUS}date: {}\r\n", httpdate::fmt_http_date(time));
        // It has the same length in all years of four digits.
        if let Ok(lines) = FirstLines::try_from(lines.as_bytes()) {
            self.first_lines.replace(lines);
        }
        let rest = Duration::from_nanos(1_000_000_000 - u64::from(since.subsec_nanos()));
        self.date_until.set(now.checked_add(rest));
    }
}
