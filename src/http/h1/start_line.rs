// The states of a request line and of a status line; the table is drawn at `head.rs`' `State`.

use super::head::{HeadParser, NeedsMore, Next, State, Stepped};
use super::refusal::Reason;
use crate::http::block::Span;
use crate::http::method::Method;
use crate::http::syntax::{is_target, is_token, is_value};

impl HeadParser {
    // ---- request line ----

    pub(super) fn start(&mut self, bytes: &[u8]) -> Stepped {
        let Some(byte) = self.byte(bytes) else { return Ok(NeedsMore) };
        if byte == b'\r' && self.skipped == 0 {
            self.at += 1;
            return Ok(Next(State::StartLf)); // 1
        }
        self.mark = self.at;
        Ok(Next(State::Method)) // 2
    }

    pub(super) fn start_end(&mut self, bytes: &[u8]) -> Stepped {
        let step = self.line_feed(bytes, Next(State::Start), Reason::MalformedRequestLine)?;
        if matches!(step, Next(_)) {
            self.skipped = 2;
        }
        Ok(step)
    }

    pub(super) fn method(&mut self, bytes: &[u8]) -> Stepped {
        let Some(stop) = self.skip(bytes, is_token) else { return Ok(NeedsMore) };
        let (from, at) = (self.mark as usize, self.at as usize);
        match stop {
            b' ' if at > from => {}
            b'\n' => return Err((Reason::BareLf, at)),
            _ => return Err((Reason::MalformedRequestLine, at)),
        }
        let Some(method) = Method::of_token(&bytes[from..at]) else {
            return Err((Reason::UnknownMethod, from));
        };
        self.method = Some(method);
        self.at += 1;
        self.mark = self.at;
        Ok(Next(State::Target)) // 3
    }

    pub(super) fn target(&mut self, bytes: &[u8]) -> Stepped {
        let Some(stop) = self.skip(bytes, is_target) else { return Ok(NeedsMore) };
        let (from, at) = (self.mark as usize, self.at as usize);
        self.text = Span::new(from, at);
        let next = match stop {
            b' ' if at > from => State::Version,
            b'\r' if at > from => State::Http09, // 4
            b'#' => return Err((Reason::FragmentInTarget, at)),
            b' ' | b'\r' => return Err((Reason::MalformedRequestLine, at)),
            b'\n' => return Err((Reason::BareLf, at)),
            _ => return Err((Reason::TargetByte, at)),
        };
        self.at += 1;
        self.mark = self.at;
        Ok(Next(next))
    }

    pub(super) fn http09(&mut self, bytes: &[u8]) -> Stepped {
        match self.byte(bytes) {
            None => Ok(NeedsMore),
            Some(b'\n') => Err((Reason::Http09, self.mark as usize)),
            Some(_) => Err((Reason::MalformedRequestLine, self.at as usize - 1)),
        }
    }

    /// Reads `HTTP/1.1` and what follows it: the line's end in a request, a space in a response.
    pub(super) fn version(&mut self, bytes: &[u8], malformed: Reason) -> Stepped {
        let is_request = self.state == State::Version;
        let (line, next): (&[u8], _) = match is_request {
            true => (b"HTTP/1.1\r\n", State::FieldStart),
            false => (b"HTTP/1.1 ", State::Code),
        };
        let from = self.mark as usize;
        if self.at == self.mark && bytes.get(from..).is_some_and(|rest| rest.starts_with(line)) {
            self.at += line.len() as u32;
            self.mark = self.at;
            return Ok(Next(next)); // 5, 10
        }
        while self.at as usize - from < line.len() {
            let Some(byte) = self.byte(bytes) else { return Ok(NeedsMore) };
            let at = self.at as usize;
            match (at - from, byte) {
                (5, b'0'..=b'9') => self.code = u16::from(byte - b'0'),
                (7, b'0'..=b'9') => self.minor = byte - b'0',
                (8, b'\n') if is_request => return Err((Reason::BareLf, at)),
                (place, byte) if place != 5 && place != 7 && line[place] == byte => {}
                _ => return Err((malformed, at)),
            }
            self.at += 1;
        }
        match self.code {
            1 => {}
            0 => return Err((Reason::Http09, from)),
            _ => return Err((Reason::MajorVersion, from)),
        }
        self.code = 0;
        self.mark = self.at;
        Ok(Next(next))
    }

    // ---- status line ----

    pub(super) fn status_code(&mut self, bytes: &[u8]) -> Stepped {
        while let Some(byte) = self.byte(bytes) {
            let (at, digits) = (self.at as usize, self.at - self.mark);
            match byte {
                b'0'..=b'9' if digits < 3 => self.code = self.code * 10 + u16::from(byte - b'0'),
                b' ' | b'\r' if digits == 3 && self.code >= 100 => {
                    self.at += 1;
                    self.mark = self.at;
                    self.text = Span::new(at + 1, at + 1);
                    // The space before an empty reason is left out by many.
                    let next = if byte == b' ' { State::Reason } else { State::ReasonLf };
                    return Ok(Next(next)); // 11
                }
                b'\n' => return Err((Reason::BareLf, at)),
                _ => return Err((Reason::MalformedStatusLine, at)),
            }
            self.at += 1;
        }
        Ok(NeedsMore)
    }

    pub(super) fn reason(&mut self, bytes: &[u8]) -> Stepped {
        let Some(stop) = self.skip(bytes, is_value) else { return Ok(NeedsMore) };
        let at = self.at as usize;
        match stop {
            b'\r' => {}
            b'\n' => return Err((Reason::BareLf, at)),
            _ => return Err((Reason::MalformedStatusLine, at)),
        }
        self.text = Span::new(self.mark as usize, at);
        self.at += 1;
        Ok(Next(State::ReasonLf))
    }
}
