// Bytes in, events out.

use super::{Event, Incoming, Machine, Outgoing, Role};
use crate::http::block::Block;
use crate::http::h1::chunked::{Piece, forbidden_trailer};
use crate::http::h1::framing::{self, Framing, Said};
use crate::http::h1::head::{HeadLimits, HeadParser, Kind};
use crate::http::h1::messages::{Asked, RequestHead, ResponseHead};
use crate::http::h1::refusal::{Reason, Refusal};
use crate::http::headers::Headers;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::http::target::{InvalidTarget, Target, TargetForm};
use crate::http::version::Version;
use std::mem;

/// What the input gave; small, so that an event is made once, where it is returned.
enum Found<'a> {
    Nothing,
    Body(&'a [u8]),
    /// The message is whole; its trailers lie in the block.
    End,
    Upgraded,
}

/// What a head says, in short.
#[derive(Clone, Copy)]
struct Brief {
    framing: Framing,
    form: TargetForm,
    persists: bool,
    upgrade: bool,
    expects_continue: bool,
}

type Read<'a> = Result<Found<'a>, Refusal>;

impl Machine {
    /// Takes one event off the input; `None` when there is none in it.
    ///
    /// What it used of the input is gone from it. Call it until it gives `None`, also with an empty
    /// input: the end of a message without a body is told by itself.
    #[inline]
    pub fn feed<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        // Two of the three calls for a request without a body end here; it saves 100 instructions.
        match self.incoming {
            Incoming::Head if input.is_empty() => None,
            Incoming::Head => self.take_head(input),
            Incoming::Length(0) => Some(self.message_ended()), // 2
            Incoming::Answering => None,
            _ => self.take_event(input),
        }
    }

    fn take_event<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        match self.read(input) {
            Ok(Found::Nothing) => None,
            Ok(Found::Body(data)) => Some(Event::Body(data)),
            Ok(Found::End) => Some(self.message_ended()),
            Ok(Found::Upgraded) => Some(Event::Upgraded),
            Err(refusal) => {
                *input = &[];
                Some(self.refused(refusal))
            }
        }
    }

    /// Apart from the others, and answers apart from requests: together they take a hundred
    /// instructions more.
    fn take_head<'a>(&mut self, input: &mut &'a [u8]) -> Option<Event<'a>> {
        match self.read_head(input) {
            Ok(None) => None,
            Ok(Some(brief)) => Some(match self.role {
                Role::Server => Event::Request(self.request(brief)),
                Role::Client => self.response(brief),
            }),
            Err(refusal) => {
                *input = &[];
                Some(self.refused(refusal))
            }
        }
    }

    /// Says that the peer sends no more, when all that it sent was fed; call it until it gives `None`.
    ///
    /// A server may still answer what was asked.
    ///
    /// ```
    /// use ropewalk::http::Limits;
    /// use ropewalk::http::h1::{Event, Machine, Reason};
    ///
    /// let mut machine = Machine::server(Limits::default());
    /// assert!(machine.feed(&mut &b"GET / HT"[..]).is_none());
    /// let Some(Event::Refused(refusal)) = machine.end() else { unreachable!() };
    /// assert_eq!(refusal.reason(), Reason::Truncated);
    /// ```
    pub fn end(&mut self) -> Option<Event<'static>> {
        self.peer_ended = true;
        match self.incoming {
            Incoming::Length(0) => Some(self.message_ended()),
            Incoming::UntilClose => {
                self.is_last = true;
                Some(self.message_ended()) // 4
            }
            Incoming::Head if self.is_between_messages() => {
                self.close();
                Some(Event::Closed)
            }
            Incoming::Head | Incoming::Length(_) | Incoming::Chunked(_) | Incoming::Trailers => {
                Some(self.refused(Refusal::new(Reason::Truncated)))
            }
            Incoming::Upgrading => {
                self.incoming = Incoming::Upgraded;
                Some(Event::Upgraded)
            }
            Incoming::Answering | Incoming::Upgraded | Incoming::Closed => None,
        }
    }

    fn is_between_messages(&self) -> bool {
        self.parser.is_untouched() && self.awaited.is_empty() && self.informational == 0
    }

    #[inline(never)]
    fn refused(&mut self, refusal: Refusal) -> Event<'static> {
        self.incoming = Incoming::Closed; // 9
        self.block = Block::default();
        // A server may still tell the peer; of what is under way there nothing more can come.
        let may_answer = self.role == Role::Server && refusal.status().is_some();
        if !may_answer {
            self.outgoing = Outgoing::Closed;
        }
        Event::Refused(refusal)
    }

    #[inline]
    fn read<'a>(&mut self, input: &mut &'a [u8]) -> Read<'a> {
        loop {
            match &mut self.incoming {
                Incoming::Length(0) => return Ok(Found::End),
                Incoming::Length(_) | Incoming::UntilClose if input.is_empty() => {
                    return Ok(Found::Nothing);
                }
                Incoming::Length(left) => {
                    let data = take(input, *left);
                    *left -= data.len() as u64;
                    self.offset += data.len() as u64;
                    if self.is_wanted(data) {
                        return Ok(Found::Body(data));
                    }
                }
                Incoming::UntilClose => {
                    let limit = self.limits.body.unwrap_or(u64::MAX);
                    let data = take(input, limit - self.received);
                    if data.is_empty() {
                        return Err(Refusal::new(Reason::BodyTooLarge { length: None, limit }));
                    }
                    self.received += data.len() as u64;
                    return Ok(Found::Body(data));
                }
                Incoming::Chunked(reader) => {
                    match reader.next(input, &mut self.offset, self.received, &self.limits)? {
                        None => return Ok(Found::Nothing),
                        Some(Piece::Last) => {
                            self.incoming = Incoming::Trailers;
                            self.parser = HeadParser::new(Kind::Trailers);
                        }
                        Some(Piece::Data(data)) => {
                            if self.is_wanted(data) {
                                return Ok(Found::Body(data));
                            }
                        }
                    }
                }
                Incoming::Trailers => {
                    let offset = self.offset;
                    return self.read_trailers(input).map_err(|it| it.moved(offset));
                }
                Incoming::Head | Incoming::Answering | Incoming::Upgraded => {
                    return Ok(Found::Nothing);
                }
                Incoming::Upgrading => {
                    self.incoming = Incoming::Upgraded;
                    return Ok(Found::Upgraded);
                }
                Incoming::Closed => {
                    *input = &[];
                    return Ok(Found::Nothing);
                }
            }
        }
    }

    /// Counts a piece of a body; whether anybody still reads it.
    fn is_wanted(&mut self, data: &[u8]) -> bool {
        self.owes_continue = false;
        self.received += data.len() as u64;
        if self.outgoing != Outgoing::Done {
            return true;
        }
        self.dropped += data.len() as u64;
        if self.dropped > self.limits.unread_body {
            self.close();
        }
        false
    }

    // ---- heads ----

    #[inline]
    fn read_head(&mut self, input: &mut &[u8]) -> Result<Option<Brief>, Refusal> {
        if self.role == Role::Client && self.awaited.is_empty() {
            return Err(Refusal::new(Reason::Surplus));
        }
        let bytes = match self.role {
            Role::Server => self.limits.request_head,
            Role::Client => self.limits.response_head,
        };
        let limits = HeadLimits { bytes, fields: self.limits.fields };
        if !self.parse(input, limits)? {
            return Ok(None);
        }
        match self.role {
            Role::Server => {
                let skipped = self.parser.skipped();
                self.check_request().map(Some).map_err(|refusal| refusal.moved_back(skipped))
            }
            Role::Client => self.check_response().map(Some),
        }
    }

    /// Goes on in a head; whether it is whole, and then lies in the block.
    #[inline]
    fn parse(&mut self, input: &mut &[u8], limits: HeadLimits) -> Result<bool, Refusal> {
        let Block { bytes, fields } = &mut self.block;
        let before = bytes.len();
        if before == 0 {
            let length = self.parser.parse(input, fields, limits)?;
            let (head, rest) = input.split_at(length.unwrap_or(input.len()));
            bytes.extend_from_slice(head);
            *input = rest;
            return Ok(length.is_some());
        }
        // No more than may be of the head; the two are a blank line before it.
        let room = limits.bytes.saturating_add(2).saturating_sub(before);
        let (more, rest) = input.split_at(room.min(input.len()));
        bytes.extend_from_slice(more);
        let length = self.parser.parse(bytes, fields, limits)?;
        match length {
            Some(length) => {
                bytes.truncate(length);
                *input = input.get(length - before..).unwrap_or_default();
            }
            None => *input = rest,
        }
        Ok(length.is_some())
    }

    #[inline]
    fn version(&self) -> Version {
        if self.parser.minor == 0 { Version::Http10 } else { Version::Http11 }
    }

    #[inline]
    fn check_request(&mut self) -> Result<Brief, Refusal> {
        let (version, target) = (self.version(), self.parser.text);
        let method = self.parser.method.unwrap_or(Method::Get);
        let form = TargetForm::of(method, target.of(&self.block.bytes)).map_err(|error| {
            let is_host = error == InvalidTarget::Host;
            let reason = if is_host { Reason::InvalidHost } else { Reason::MalformedRequestLine };
            Refusal::at(reason, target.start() as u64)
        })?;
        let said = framing::read(&self.block, self.parser.marked, version)?;
        framing::check_host(&said, &self.block.bytes, version)?;
        if self.strict_authority {
            self.check_authority(&said, form)?;
        }
        let framing = said.of_request();
        self.check_length(framing)?;
        Ok(Brief::new(&said, version, form, framing))
    }

    /// Begins with a request whose head was found good.
    #[inline]
    fn request(&mut self, brief: Brief) -> RequestHead {
        let Brief { framing, form, .. } = brief;
        let method = self.parser.method.unwrap_or(Method::Get);
        let version = self.version();
        self.offset = self.block.bytes.len() as u64 - self.parser.skipped();
        self.asked = Asked::new(method, brief.upgrade, !brief.persists);
        self.asked.old = version == Version::Http10;
        self.is_last |= self.asked.last;
        self.owes_continue = brief.expects_continue && framing != Framing::Length(0);
        self.outgoing = Outgoing::Owed; // 1
        self.expect_body(framing); // 1
        RequestHead {
            headers: Headers { block: mem::take(&mut self.block), is_mixed: true },
            method,
            form,
            target: self.parser.text,
            version,
            framing,
            expects_continue: self.owes_continue,
            upgrade: brief.upgrade,
        }
    }

    fn check_authority(&self, said: &Said, form: TargetForm) -> Result<(), Refusal> {
        let target = Target::new(self.block.text(self.parser.text), form);
        let Some(authority) = target.authority() else { return Ok(()) };
        let scheme = target.scheme().unwrap_or_default();
        match framing::is_same_host(said, &self.block.bytes, authority, scheme) {
            true => Ok(()),
            false => Err(Refusal::new(Reason::HostMismatch)),
        }
    }

    #[inline]
    pub(super) fn check_length(&self, framing: Framing) -> Result<(), Refusal> {
        match (framing, self.limits.body) {
            (Framing::Length(length), Some(limit)) if length > limit => {
                Err(Refusal::new(Reason::BodyTooLarge { length: Some(length), limit }))
            }
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn check_response(&mut self) -> Result<Brief, Refusal> {
        let version = self.version();
        let said = framing::read(&self.block, self.parser.marked, version)?;
        let asked = self.awaited.front().copied().unwrap_or_default();
        let status = self.status();
        if status == Status::SWITCHING_PROTOCOLS && !asked.upgrade {
            return Err(Refusal::new(Reason::UnaskedSwitch));
        }
        if self.is_interim() {
            let limit = self.limits.informational;
            self.informational += 1;
            if self.informational > limit {
                return Err(Refusal::new(Reason::TooManyInformational { limit }));
            }
        }
        let framing = match asked.head || self.is_switch() || status.has_no_body() {
            true => Framing::Length(0),
            false => said.of_response(),
        };
        self.check_length(framing)?;
        Ok(Brief::new(&said, version, TargetForm::Origin, framing))
    }

    /// Begins with an answer whose head was found good.
    #[inline(never)]
    fn response(&mut self, brief: Brief) -> Event<'static> {
        let framing = brief.framing;
        let (version, is_switch, is_interim) =
            (self.version(), self.is_switch(), self.is_interim());
        let head = ResponseHead {
            headers: Headers { block: mem::take(&mut self.block), is_mixed: true },
            status: self.status(),
            words: Some(self.parser.text),
            version,
            framing,
        };
        if is_interim {
            let count = self.informational;
            self.expect_head();
            self.informational = count;
            return Event::Informational(head);
        }
        self.offset = head.headers.block.bytes.len() as u64;
        self.expect_body(framing); // 1
        if is_switch {
            self.awaited.pop_front();
            self.incoming = Incoming::Upgrading; // 8
            self.outgoing = Outgoing::Upgraded; // 7
            return Event::Response(head);
        }
        let asked = self.awaited.front().copied().unwrap_or_default();
        self.is_last |= asked.last || !brief.persists;
        Event::Response(head)
    }

    fn status(&self) -> Status {
        Status::new(self.parser.code).unwrap_or(Status::OK)
    }

    /// Whether no HTTP follows the head of an answer.
    fn is_switch(&self) -> bool {
        let connects = self.awaited.front().is_some_and(|asked| asked.connect);
        let status = self.status();
        status == Status::SWITCHING_PROTOCOLS || (connects && status.is_success())
    }

    /// Whether the head of the answer itself is still to come.
    fn is_interim(&self) -> bool {
        self.status().is_informational() && self.status() != Status::SWITCHING_PROTOCOLS
    }

    // ---- ends ----

    fn read_trailers<'a>(&mut self, input: &mut &'a [u8]) -> Read<'a> {
        let bytes = self.limits.trailers;
        let limits = HeadLimits { bytes, fields: self.limits.trailer_fields };
        if !self.parse(input, limits)? {
            return Ok(Found::Nothing);
        }
        let Block { bytes, fields } = &self.block;
        for field in fields {
            if let Some(name) = forbidden_trailer(field.name.of(bytes)) {
                let reason = Reason::ForbiddenTrailer(name);
                return Err(Refusal::at(reason, field.name.start() as u64));
            }
        }
        Ok(Found::End) // 3
    }

    #[inline]
    fn message_ended(&mut self) -> Event<'static> {
        let has_trailers = matches!(self.incoming, Incoming::Trailers);
        let trailers = if has_trailers { mem::take(&mut self.block) } else { Block::default() };
        self.owes_continue = false;
        match self.role {
            Role::Server if self.outgoing == Outgoing::Upgraded => {
                self.incoming = Incoming::Upgrading; // 8
            }
            Role::Server => {
                self.incoming = Incoming::Answering; // 5
                self.complete_exchange();
            }
            Role::Client => {
                self.awaited.pop_front();
                if self.is_last {
                    self.close(); // 9
                } else {
                    self.expect_head(); // 7
                }
            }
        }
        Event::End(Headers { block: trailers, is_mixed: true })
    }
}

impl Brief {
    #[inline]
    fn new(said: &Said, version: Version, form: TargetForm, framing: Framing) -> Brief {
        let persists = said.persists(version);
        let (upgrade, expects_continue) = (said.asks_for_upgrade(), said.expects_continue);
        Brief { framing, form, persists, upgrade, expects_continue }
    }
}

/// Takes so many bytes off the input, or what there is.
fn take<'a>(input: &mut &'a [u8], most: u64) -> &'a [u8] {
    let count = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    let (taken, rest) = input.split_at(count);
    *input = rest;
    taken
}
