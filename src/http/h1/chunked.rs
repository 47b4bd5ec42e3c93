// Bodies in chunks, in and out: RFC 9112, 7.1.
//
// # Theory
// The line before a chunk is read byte by byte: it is short. What it holds is given out where it lies.
// Extensions are looked at and dropped; they are bounded in each line and in all of a message, because
// a peer can send them for ever without sending a body. Trailers are a head without its first line.
//
// # Invariants
// * A number is followed by CRLF or `;`, and by nothing else, no blank either.
// * An empty chunk is never written but at the end: it would be the end.

use super::refusal::{Reason, Refusal};
use crate::http::limits::Limits;
use crate::http::syntax::{hex_digit, is_value};
use std::io::Write;

/// ```text
///          digit        ┌──────── (2) LF, not zero ──────► Data ──► DataCr ──► DataLf ─┐
///         ┌────┐        │                                                              │
/// Size ───┴────┴─ CR ─► SizeLf ── (3) LF, zero ──► the trailers                        │
///  ▲  └─ ';' ─► Extension ─ CR ─┘                                                      │
///  └──────────────────────────────────── (1) ──────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
}

/// Takes the chunks off what comes in.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkedReader {
    state: State,
    /// Of the chunk whose line is read; in its data, what is still to come.
    size: u64,
    /// How many bytes of the line came.
    line: usize,
    /// How many bytes of extensions came in the whole message.
    extensions: usize,
}

/// What comes next in a body of chunks.
pub(super) enum Piece<'a> {
    Data(&'a [u8]),
    /// The last chunk was here; trailers follow.
    Last,
}

impl ChunkedReader {
    pub(super) fn new() -> ChunkedReader {
        ChunkedReader { state: State::Size, size: 0, line: 0, extensions: 0 }
    }

    /// Takes the next piece off the input; `offset` counts the message's bytes, `received` its body's.
    pub(super) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
        offset: &mut u64,
        received: u64,
        limits: &Limits,
    ) -> Result<Option<Piece<'a>>, Refusal> {
        while let Some((&byte, rest)) = input.split_first() {
            super::head::count(1);
            if self.state == State::Data {
                let take = usize::try_from(self.size).unwrap_or(usize::MAX).min(input.len());
                let (data, rest) = input.split_at(take);
                (*input, self.size, *offset) =
                    (rest, self.size - take as u64, *offset + take as u64);
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Some(Piece::Data(data)));
            }
            let is_last = self.step(byte, limits).map_err(|it| Refusal::at(it, *offset))?;
            *input = rest;
            *offset += 1;
            // Said before its data come: how much of them is here must not matter.
            let body = received.saturating_add(self.size);
            if let Some(limit) = limits.body.filter(|&it| self.state == State::Data && body > it) {
                return Err(Refusal::new(Reason::BodyTooLarge { length: None, limit }));
            }
            if is_last {
                return Ok(Some(Piece::Last)); // 3
            }
        }
        Ok(None)
    }

    /// Looks at one byte that is no data; whether it ended the line of the last chunk.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<bool, Reason> {
        match self.state {
            State::Size | State::Extension => self.line_byte(byte, limits)?,
            State::SizeLf if byte == b'\n' && self.size == 0 => return Ok(true),
            State::SizeLf if byte == b'\n' => self.state = State::Data, // 2
            State::SizeLf => return Err(Reason::BareCr),
            State::DataCr if byte == b'\r' => self.state = State::DataLf,
            State::DataLf if byte == b'\n' => {
                (self.state, self.line) = (State::Size, 0); // 1
            }
            State::DataCr | State::DataLf | State::Data => return Err(Reason::ChunkEnd),
        }
        Ok(false)
    }

    fn line_byte(&mut self, byte: u8, limits: &Limits) -> Result<(), Reason> {
        let is_extension = self.state == State::Extension;
        match (byte, hex_digit(byte)) {
            (b'\n', _) => return Err(Reason::BareLf),
            (b'\r', _) if self.line > 0 => {
                self.state = State::SizeLf;
                return Ok(());
            }
            _ if self.line >= limits.chunk_line => return Err(Reason::ChunkLine),
            (_, Some(digit)) if !is_extension => self.push_digit(digit)?,
            (b';', _) if self.line > 0 => self.state = State::Extension,
            _ if !is_extension => return Err(Reason::ChunkSize),
            _ if !is_value(byte) => return Err(Reason::ControlInExtension),
            _ => {}
        }
        self.line += 1;
        if self.state == State::Extension {
            self.extensions += 1;
            if self.extensions > limits.chunk_extensions {
                return Err(Reason::ChunkExtensions { limit: limits.chunk_extensions });
            }
        }
        Ok(())
    }

    fn push_digit(&mut self, digit: u8) -> Result<(), Reason> {
        if self.line == 0 {
            self.size = 0;
        }
        if self.size >> 59 != 0 {
            return Err(Reason::ChunkTooLarge);
        }
        self.size = self.size << 4 | u64::from(digit);
        Ok(())
    }
}

/// Writes a chunk; nothing for no data.
pub(super) fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    // Writing to memory does not fail.
    let _ = write!(out, "{:x}\r\n", data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The trailer that a name may not be (RFC 9110, 6.5.1): what frames, routes, authorizes, or must be
/// known before the body is.
pub(super) fn forbidden_trailer(name: &[u8]) -> Option<&'static str> {
    FORBIDDEN.into_iter().find(|it| it.as_bytes().eq_ignore_ascii_case(name))
}

const FORBIDDEN: [&str; 36] = [
    "Content-Length",
    "Transfer-Encoding",
    "Host",
    "Trailer",
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Cookie",
    "Set-Cookie",
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Upgrade",
    "TE",
    "Expect",
    "Cache-Control",
    "Pragma",
    "Age",
    "Expires",
    "Date",
    "Location",
    "Retry-After",
    "Vary",
    "Max-Forwards",
    "Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "If-Range",
    "Content-Encoding",
    "Content-Type",
    "Content-Range",
    "Forwarded",
    "X-Forwarded-For",
];
