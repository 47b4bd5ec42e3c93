// Bytes to head: request and response, and trailers, strict, in one pass.
//
// # Theory
// A table of states over the bytes of one head, drawn at [`State`]. Where bytes run out, the state
// and the place stay, and the next call goes on there: a head that comes byte by byte is looked at as
// often as one that comes whole. The caller keeps the bytes: all of the head so far is given again,
// where it lies. Nothing is copied here; fields are spans, counted from the head's first byte.
//
// # Invariants
// * `at` only grows; each byte is looked at once in its state, and once more by the trim of a value.
// * A refusal depends on the bytes alone, not on how they were cut: each is made at the byte that
//   decides, and the limit of the head counts bytes from its first.
//
// # Not here
// The states of a start line: `start_line.rs`. What fields mean: `framing.rs`; a head is complete here
// that is still refused there.

use super::framing::Marked;
use super::refusal::{Reason, Refusal};
use super::usual;
use crate::http::block::{Field, Span};
use crate::http::method::Method;
use crate::http::syntax::{is_blank, is_token, text_length, trim};

/// ```text
///              (1) CRLF, once          ┌────────── (5) "HTTP/1.x CRLF"
/// Start ─────► StartLf                 │
///   │(2) token                         ▼                (12) CRLF
///   └───────► Method ─(3)─► Target ─► Version ──► FieldStart ────► End ─► complete
///                             │(4) CR              ▲    │(6) token
///                             └─► Http09           │    ▼
/// Response ─(10)─► Code ─(11)─► Reason ─► ReasonLf ┤   Name ─(7) blank─► NameBlank ─► refused
///                                                  │    │(8) ':'
///                                                  │    ▼
///                                          ValueLf ◄─ Value ◄─ Blank
///                                             (9) CR
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Start,
    StartLf,
    Method,
    Target,
    /// The CR of a request line without a version is here.
    Http09,
    Version,
    Response,
    Code,
    Reason,
    ReasonLf,
    FieldStart,
    Name,
    NameBlank,
    /// The CR of a line without a colon is here.
    NoColonLf,
    Blank,
    Value,
    ValueLf,
    End,
}

/// The head that is being read.
#[derive(Debug)]
pub(super) struct HeadParser {
    pub(super) state: State,
    /// How many bytes were looked at.
    pub(super) at: u32,
    /// Where the token, value or line begins that `at` is in.
    pub(super) mark: u32,
    /// Of the field whose value is read.
    name: Span,
    pub(super) method: Option<Method>,
    /// Of a request's target, or of a response's reason.
    pub(super) text: Span,
    /// Digits of the version; the minor one's are read as 1 from 1 on.
    pub(super) minor: u8,
    pub(super) code: u16,
    /// Which fields `framing.rs` may want to look at.
    pub(super) marked: Marked,
    /// How many bytes of a blank line before the head were left out.
    pub(super) skipped: u8,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
    Trailers,
}

/// How long a head may be, and how many fields it may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    pub(super) bytes: usize,
    pub(super) fields: usize,
}

/// Where a state's bytes ended.
pub(super) enum Step {
    Next(State),
    NeedsMore,
    Complete,
}

pub(super) use Step::{Complete, NeedsMore, Next};

pub(super) type Stepped = Result<Step, (Reason, usize)>;

impl HeadParser {
    pub(super) fn new(kind: Kind) -> HeadParser {
        let state = match kind {
            Kind::Request => State::Start,
            Kind::Response => State::Response,
            Kind::Trailers => State::FieldStart,
        };
        HeadParser {
            state,
            at: 0,
            mark: 0,
            name: Span::default(),
            method: None,
            text: Span::default(),
            minor: 1,
            code: 0,
            marked: Marked::default(),
            skipped: 0,
            kind,
        }
    }

    /// Whether no byte of the head has come; a blank line before it is none.
    pub(super) fn is_untouched(&self) -> bool {
        self.at <= u32::from(self.skipped)
    }

    /// How many bytes stand before the head.
    pub(super) fn skipped(&self) -> u64 {
        u64::from(self.skipped)
    }

    /// Goes on in a head of which `bytes` is all that has come; the length of the head when it is whole.
    pub(super) fn parse(
        &mut self,
        bytes: &[u8],
        fields: &mut Vec<Field>,
        limits: HeadLimits,
    ) -> Result<Option<usize>, Refusal> {
        if self.at == 0 && self.kind == Kind::Request {
            let seen = bytes.get(..self.reach(limits.bytes)).unwrap_or(bytes);
            if self.usual_head(seen, fields, limits.fields) {
                return Ok(Some(self.at as usize));
            }
        }
        self.parse_by_states(bytes, fields, limits)
    }

    #[inline(never)]
    fn parse_by_states(
        &mut self,
        bytes: &[u8],
        fields: &mut Vec<Field>,
        limits: HeadLimits,
    ) -> Result<Option<usize>, Refusal> {
        loop {
            let limit = self.reach(limits.bytes);
            let seen = bytes.get(..limit).unwrap_or(bytes);
            match self.walk(seen, fields, limits.fields) {
                Ok(true) => return Ok(Some(self.at as usize)),
                // The blank line that came with these bytes does not count: its two are looked at too.
                Ok(false) if limit < self.reach(limits.bytes) && seen.len() < bytes.len() => {}
                Ok(false) if seen.len() >= self.reach(limits.bytes) => {
                    return Err(Refusal::new(self.too_long(limits.bytes)));
                }
                Ok(false) => return Ok(None),
                Err((reason, at)) => {
                    return Err(Refusal::at(reason, at as u64 - u64::from(self.skipped)));
                }
            }
        }
    }

    /// How many bytes the head may have, with the blank line before it.
    fn reach(&self, limit: usize) -> usize {
        limit.min(u32::MAX as usize).saturating_add(usize::from(self.skipped))
    }

    fn too_long(&self, limit: usize) -> Reason {
        match (self.kind, self.state) {
            (Kind::Trailers, _) => Reason::TrailersTooLarge { limit },
            (Kind::Request, State::Start | State::StartLf | State::Method | State::Target)
            | (Kind::Request, State::Http09 | State::Version) => Reason::TargetTooLong { limit },
            _ => Reason::HeadTooLarge { limit },
        }
    }

    /// Walks the table until the head is whole, bytes run out, or one is wrong.
    fn walk(
        &mut self,
        bytes: &[u8],
        fields: &mut Vec<Field>,
        most: usize,
    ) -> Result<bool, (Reason, usize)> {
        loop {
            let step = match self.state {
                State::FieldStart => {
                    self.usual_fields(bytes, fields, most);
                    self.field_start(bytes)?
                }
                State::Name => self.name(bytes)?,
                State::Blank => self.blank(bytes),
                State::Value => self.value(bytes)?,
                State::ValueLf => self.value_end(bytes, fields, most)?,
                State::End => self.line_feed(bytes, Complete, Reason::BareCr)?,
                State::Start => self.start(bytes)?,
                State::StartLf => self.start_end(bytes)?,
                State::Method => self.method(bytes)?,
                State::Target => self.target(bytes)?,
                State::Http09 => self.http09(bytes)?,
                State::Version => self.version(bytes, Reason::MalformedRequestLine)?,
                State::Response => self.version(bytes, Reason::MalformedStatusLine)?,
                State::Code => self.status_code(bytes)?,
                State::Reason => self.reason(bytes)?,
                State::ReasonLf => {
                    self.line_feed(bytes, Next(State::FieldStart), Reason::BareCr)?
                }
                State::NameBlank => self.name_blank(bytes)?,
                State::NoColonLf => {
                    let at = self.mark as usize;
                    match self.byte(bytes) {
                        None => NeedsMore,
                        Some(b'\n') => return Err((Reason::NoColon, at)),
                        Some(_) => return Err((Reason::BareCr, self.at as usize - 1)),
                    }
                }
            };
            match step {
                Next(state) => self.state = state,
                NeedsMore => return Ok(false),
                Complete => return Ok(true),
            }
        }
    }

    // ---- what is usual ----

    /// Takes a usual head as far as it goes; whether it is whole.
    #[inline]
    fn usual_head(&mut self, bytes: &[u8], fields: &mut Vec<Field>, most: usize) -> bool {
        let Some(line) = usual::request_line(bytes) else { return false };
        self.method = Some(line.method);
        self.text = line.target;
        self.at = line.end as u32;
        self.state = State::FieldStart;
        let is_whole = self.usual_fields(bytes, fields, most).starts_with(b"\r\n");
        if is_whole {
            self.at += 2;
        }
        is_whole
    }

    #[inline]
    fn usual_fields<'b>(
        &mut self,
        bytes: &'b [u8],
        fields: &mut Vec<Field>,
        most: usize,
    ) -> &'b [u8] {
        let from = self.at as usize;
        let (at, rest) = usual::fields(bytes, from, fields, &mut self.marked, most);
        self.at = at as u32;
        rest
    }

    // ---- what the states have in common ----

    #[inline]
    pub(super) fn byte(&self, bytes: &[u8]) -> Option<u8> {
        bytes.get(self.at as usize).copied()
    }

    /// Goes on to the first byte that is not in a class, and gives it.
    #[inline]
    pub(super) fn skip(&mut self, bytes: &[u8], class: impl Fn(u8) -> bool) -> Option<u8> {
        let rest = bytes.get(self.at as usize..).unwrap_or_default();
        let run = rest.iter().position(|&byte| !class(byte));
        self.at += run.unwrap_or(rest.len()) as u32;
        count(run.unwrap_or(rest.len()));
        run.map(|run| rest[run])
    }

    /// Expects the LF of a line whose CR was just passed.
    pub(super) fn line_feed(&mut self, bytes: &[u8], then: Step, otherwise: Reason) -> Stepped {
        let Some(byte) = self.byte(bytes) else { return Ok(NeedsMore) };
        if byte != b'\n' {
            return Err((otherwise, self.at as usize - 1));
        }
        self.at += 1;
        self.mark = self.at;
        Ok(then)
    }

    // ---- fields ----

    #[inline]
    fn field_start(&mut self, bytes: &[u8]) -> Stepped {
        let Some(byte) = self.byte(bytes) else { return Ok(NeedsMore) };
        let at = self.at as usize;
        if is_token(byte) {
            self.mark = self.at;
            return Ok(Next(State::Name)); // 6
        }
        match byte {
            b'\r' => {
                self.at += 1;
                Ok(Next(State::End)) // 12
            }
            b'\n' => Err((Reason::BareLf, at)),
            b' ' | b'\t' => Err((Reason::FoldedLine, at)),
            b':' => Err((Reason::EmptyName, at)),
            _ => Err((Reason::InvalidName, at)),
        }
    }

    #[inline]
    fn name(&mut self, bytes: &[u8]) -> Stepped {
        let Some(stop) = self.skip(bytes, is_token) else { return Ok(NeedsMore) };
        let at = self.at as usize;
        self.name = Span::new(self.mark as usize, at);
        self.at += 1;
        match stop {
            b':' => Ok(Next(State::Blank)), // 8
            b' ' | b'\t' => {
                self.mark = at as u32;
                Ok(Next(State::NameBlank)) // 7
            }
            b'\r' => Ok(Next(State::NoColonLf)),
            b'\n' => Err((Reason::BareLf, at)),
            _ => Err((Reason::InvalidName, at)),
        }
    }

    fn name_blank(&mut self, bytes: &[u8]) -> Stepped {
        match self.skip(bytes, is_blank) {
            None => Ok(NeedsMore),
            Some(b':') => Err((Reason::BlankBeforeColon, self.mark as usize)),
            Some(_) => Err((Reason::InvalidName, self.mark as usize)),
        }
    }

    #[inline]
    fn blank(&mut self, bytes: &[u8]) -> Step {
        if self.skip(bytes, is_blank).is_none() {
            return NeedsMore;
        }
        self.mark = self.at;
        Next(State::Value)
    }

    #[inline]
    fn value(&mut self, bytes: &[u8]) -> Stepped {
        loop {
            let length = text_length(bytes.get(self.at as usize..).unwrap_or_default());
            count(length / 8);
            self.at += length as u32;
            let at = self.at as usize;
            match bytes.get(at) {
                None => return Ok(NeedsMore),
                Some(b'\t') => self.at += 1,
                Some(b'\r') => {
                    self.at += 1;
                    return Ok(Next(State::ValueLf)); // 9
                }
                Some(b'\n') => return Err((Reason::BareLf, at)),
                Some(_) => return Err((Reason::ControlInValue, at)),
            }
        }
    }

    #[inline]
    fn value_end(&mut self, bytes: &[u8], fields: &mut Vec<Field>, most: usize) -> Stepped {
        let Some(byte) = self.byte(bytes) else { return Ok(NeedsMore) };
        let (from, end) = (self.mark as usize, self.at as usize - 1);
        if byte != b'\n' {
            return Err((Reason::BareCr, end));
        }
        if fields.len() >= most {
            let reason = match self.kind {
                Kind::Trailers => Reason::TooManyTrailers { limit: most },
                _ => Reason::TooManyFields { limit: most },
            };
            return Err((reason, end));
        }
        // Blanks before it are gone already.
        let length = trim(&bytes[from..end]).len();
        let value = Span::new(from, from + length);
        self.marked.mark(fields.len(), self.name.of(bytes), value);
        fields.push(Field { name: self.name, value });
        self.at += 1;
        Ok(Next(State::FieldStart))
    }
}

/// Counts what the loops look at, for the test that says it grows with the input and no faster.
#[inline]
pub(super) fn count(steps: usize) {
    #[cfg(test)]
    super::tests::STEPS.with(|count| count.set(count.get() + 1 + steps as u64));
    let _ = steps;
}
