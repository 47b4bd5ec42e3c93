// Frames in, events out, and the other way round.
//
// # Theory
// The bytes of a message are given out where they lie, unmasked in place, as soon as they are here: a
// message is never gathered. What is short is gathered: the head of a frame, and the 125 bytes that a
// ping, pong or close may have. Text is looked at as it comes and refused at its first wrong byte; the
// bytes before that one were still given out, so that what is told does not depend on the cuts.
//
// # Invariants
// * The last piece of a message says so, and each message has one, an empty one too.
// * Behind a close, and behind what is refused, nothing is read.
// * Behind a close of our own, nothing is sent.

use super::close::{Close, CloseCode};
use super::event::{Event, Payload, Piece, SendError};
use super::frame::{Head, HeadReader, Opcode, write_head};
use super::mask;
use super::utf8::Utf8;
use super::violation::Violation;
use std::fmt;
use std::mem;

/// Limits of one connection.
///
/// ```
/// use ropewalk::http::websocket::{Codec, Event, Limits, Violation};
///
/// let mut server = Codec::server(Limits::default());
/// let mut out = Vec::new();
/// server.send_text("too long", &mut out)?;
/// let limits = Limits { message: 3, ..Limits::default() };
/// let mut client = Codec::client(limits, || 1);
/// let Some(Event::Refused(violation)) = client.feed(&mut &mut out[..]) else { unreachable!() };
/// assert_eq!(violation, Violation::MessageTooLong { limit: 3 });
/// # Ok::<(), ropewalk::http::websocket::SendError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message: 1 MiB.
    pub message: u64,
    /// Frames of a message: 4096.
    pub fragments: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { message: 1 << 20, fragments: 4096 }
    }
}

/// One end of a WebSocket; the [module](super) shows both.
///
/// ```
/// use ropewalk::http::websocket::{Codec, Event, Limits};
///
/// let mut client = Codec::client(Limits::default(), || 0x89ab_cdef);
/// let mut out = Vec::new();
/// client.ping(b"there?", &mut out)?;
/// let mut server = Codec::server(Limits::default());
/// let Some(Event::Ping(payload)) = server.feed(&mut &mut out[..]) else { unreachable!() };
/// let mut answer = Vec::new();
/// server.pong(&payload, &mut answer)?;
/// assert!(matches!(client.feed(&mut &mut answer[..]), Some(Event::Pong(it)) if *it == *b"there?"));
/// # Ok::<(), ropewalk::http::websocket::SendError>(())
/// ```
pub struct Codec {
    limits: Limits,
    /// Makes the masks; a client's only.
    masks: Option<Box<dyn FnMut() -> u32>>,
    head: HeadReader,
    incoming: Incoming,
    /// The message whose frames come.
    message: Option<Incomplete>,
    /// What has come of a ping, pong or close.
    control: Payload,
    /// The kind of message whose next fragment we send; `None` between messages.
    sending: bool,
    has_closed: bool,
}

/// ```text
///        (1) head                       (2) all its bytes
/// Head ───────────► Payload ─────────────────────────────────► Head
///                      │ (3) a byte that is no text
///                      ▼
///                   Broken ── (4) told ──► Ended ◄── (5) close, or refused
/// ```
#[derive(Clone, Copy, Debug)]
enum Incoming {
    Head,
    /// In a frame, of which so many bytes were taken.
    Payload(Head, u64),
    Broken(Violation),
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Incomplete {
    /// What looks at it, if it is text.
    text: Option<Utf8>,
    length: u64,
    fragments: u64,
}

impl Codec {
    /// A server's end: it wants masks, and sends none.
    pub fn server(limits: Limits) -> Codec {
        Codec::new(limits, None)
    }

    /// A client's end: it sends masks, and wants none.
    ///
    /// Each frame asks for a mask. Masks must not be foreseen by who gives the data (RFC 6455, 10.3):
    /// take them from the reactor's random numbers.
    pub fn client(limits: Limits, masks: impl FnMut() -> u32 + 'static) -> Codec {
        Codec::new(limits, Some(Box::new(masks)))
    }

    fn new(limits: Limits, masks: Option<Box<dyn FnMut() -> u32>>) -> Codec {
        Codec {
            limits,
            masks,
            head: HeadReader::default(),
            incoming: Incoming::Head,
            message: None,
            control: Payload::default(),
            sending: false,
            has_closed: false,
        }
    }

    // ---- in ----

    /// Takes one event off the input, which is unmasked where it lies; `None` when there is none in it.
    pub fn feed<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        loop {
            let found = match self.incoming {
                Incoming::Ended => {
                    *input = &mut [];
                    return None;
                }
                Incoming::Broken(violation) => Err(violation), // 4
                Incoming::Head => match self.head.read(input, self.masks.is_none()) {
                    Ok(None) => return None,
                    Ok(Some(head)) => self.begin(head).map(|()| None),
                    Err(violation) => Err(violation),
                },
                Incoming::Payload(head, taken) => {
                    if input.is_empty() && taken < head.length {
                        return None;
                    }
                    self.read(head, taken, input)
                }
            };
            match found {
                Ok(None) => {}
                Ok(Some(event)) => return Some(event),
                Err(violation) => {
                    *input = &mut [];
                    self.incoming = Incoming::Ended; // 5
                    return Some(Event::Refused(violation));
                }
            }
        }
    }

    /// Says that the peer sends no more; what is wrong with that, if it had not closed.
    pub fn end(&mut self) -> Option<Violation> {
        let was = mem::replace(&mut self.incoming, Incoming::Ended);
        match was {
            Incoming::Ended => None,
            Incoming::Broken(violation) => Some(violation),
            Incoming::Head | Incoming::Payload(..) => Some(Violation::Truncated),
        }
    }

    /// Whether this end has sent its close.
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Whether the peer sends no more: it has closed, or was refused.
    pub fn has_ended(&self) -> bool {
        matches!(self.incoming, Incoming::Ended)
    }

    /// Looks whether a frame may stand here.
    fn begin(&mut self, head: Head) -> Result<(), Violation> {
        let Limits { message: most, fragments } = self.limits;
        let kind = match head.opcode {
            Opcode::Text => Some(Some(Utf8::default())),
            Opcode::Binary => Some(None),
            _ => None,
        };
        match (&mut self.message, kind) {
            _ if head.opcode.is_control() => self.control.clear(),
            (Some(_), Some(_)) => return Err(Violation::Interleaved),
            (None, None) => return Err(Violation::Continuation),
            (none @ None, Some(text)) => {
                *none = Some(Incomplete { text, length: head.length, fragments: 1 });
            }
            (Some(message), None) => {
                message.length = message.length.saturating_add(head.length);
                message.fragments += 1;
            }
        }
        if let Some(message) = self.message {
            if message.length > most {
                return Err(Violation::MessageTooLong { limit: most });
            }
            if message.fragments > fragments {
                return Err(Violation::TooManyFragments { limit: fragments });
            }
        }
        self.incoming = Incoming::Payload(head, 0); // 1
        Ok(())
    }

    /// Takes bytes of a frame; an event, unless they neither are nor end anything.
    fn read<'a>(
        &mut self,
        head: Head,
        taken: u64,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Event<'a>>, Violation> {
        let left = head.length - taken;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let (data, rest) = mem::take(input).split_at_mut(count);
        *input = rest;
        mask::apply(data, head.mask, taken);
        let is_whole = count as u64 == left;
        self.incoming = match is_whole {
            true => Incoming::Head, // 2
            false => Incoming::Payload(head, taken + count as u64),
        };
        if head.opcode.is_control() {
            self.control.extend(data);
            return if is_whole { self.control(head.opcode).map(Some) } else { Ok(None) };
        }
        let is_last = is_whole && head.is_final;
        self.piece(data, is_last)
    }

    fn piece<'a>(
        &mut self,
        mut data: &'a [u8],
        mut is_last: bool,
    ) -> Result<Option<Event<'a>>, Violation> {
        let Some(message) = &mut self.message else { return Err(Violation::Continuation) };
        let is_text = message.text.is_some();
        if let Some(text) = &mut message.text {
            let wrong = match text.push(data) {
                Err(at) => Some(at),
                // A character that the message does not end is wrong at its end.
                Ok(()) => (is_last && !text.is_whole()).then_some(data.len()),
            };
            if let Some(at) = wrong {
                self.incoming = Incoming::Broken(Violation::NotUtf8); // 3
                (data, is_last) = (&data[..at], false);
            }
        }
        if is_last {
            self.message = None;
        }
        if data.is_empty() && !is_last {
            return Ok(None);
        }
        let piece = Piece { data, is_last };
        Ok(Some(if is_text { Event::Text(piece) } else { Event::Binary(piece) }))
    }

    fn control<'a>(&mut self, opcode: Opcode) -> Result<Event<'a>, Violation> {
        match opcode {
            Opcode::Ping => Ok(Event::Ping(self.control)),
            Opcode::Pong => Ok(Event::Pong(self.control)),
            _ => {
                let close = Close::parse(&self.control)?;
                self.incoming = Incoming::Ended; // 5
                Ok(Event::Close(close))
            }
        }
    }

    // ---- out ----

    /// Writes a message of text, whole.
    pub fn send_text(&mut self, text: impl AsRef<str>, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_whole(Opcode::Text, text.as_ref().as_bytes(), out)
    }

    /// Writes a message of bytes, whole.
    pub fn send_binary(
        &mut self,
        data: impl AsRef<[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_whole(Opcode::Binary, data.as_ref(), out)
    }

    /// Writes a part of a message of text; the last one ends it. Pings may go between them.
    pub fn send_fragment(
        &mut self,
        text: impl AsRef<str>,
        is_last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_part(Opcode::Text, text.as_ref().as_bytes(), is_last, out)
    }

    /// Writes a part of a message of bytes; the last one ends it.
    ///
    /// What was begun with [`send_fragment`](Codec::send_fragment) goes on as text, whichever is called.
    pub fn send_binary_fragment(
        &mut self,
        data: impl AsRef<[u8]>,
        is_last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_part(Opcode::Binary, data.as_ref(), is_last, out)
    }

    /// Writes a ping.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, out)
    }

    /// Writes a pong: the answer to a ping, with what it carried.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, out)
    }

    /// Writes a close, with a code and words for it; nothing can be sent behind it.
    pub fn close(
        &mut self,
        reason: Option<(CloseCode, &str)>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let mut payload = Vec::new();
        if let Some((code, words)) = reason {
            payload.extend_from_slice(&code.code().to_be_bytes());
            payload.extend_from_slice(words.as_bytes());
        }
        self.send_control(Opcode::Close, &payload, out)?;
        self.has_closed = true;
        Ok(())
    }

    /// Whether a whole message may be sent now.
    pub(super) fn may_send_whole(&self) -> Result<(), SendError> {
        match (self.has_closed, self.sending) {
            (true, _) => Err(SendError::Closed),
            (false, true) => Err(SendError::Interleaved),
            (false, false) => Ok(()),
        }
    }

    fn send_whole(
        &mut self,
        kind: Opcode,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.may_send_whole()?;
        self.send_part(kind, data, true, out)
    }

    fn send_part(
        &mut self,
        kind: Opcode,
        data: &[u8],
        is_last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let opcode = if self.sending { Opcode::Continuation } else { kind };
        self.send_frame(opcode, is_last, data, out)?;
        self.sending = !is_last;
        Ok(())
    }

    fn send_control(
        &mut self,
        opcode: Opcode,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if data.len() > 125 {
            return Err(SendError::TooLong);
        }
        self.send_frame(opcode, true, data, out)
    }

    fn send_frame(
        &mut self,
        opcode: Opcode,
        is_final: bool,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.has_closed {
            return Err(SendError::Closed);
        }
        let mask = self.masks.as_mut().map(|masks| masks().to_ne_bytes());
        out.reserve(data.len() + 14);
        write_head(opcode, is_final, data.len(), mask, out);
        let start = out.len();
        out.extend_from_slice(data);
        if let Some(mask) = mask {
            mask::apply(&mut out[start..], mask, 0);
        }
        Ok(())
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec")
            .field("is_client", &self.masks.is_some())
            .field("incoming", &self.incoming)
            .field("has_closed", &self.has_closed)
            .finish_non_exhaustive()
    }
}
