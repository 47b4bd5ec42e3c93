// How a connection says that it ends: RFC 6455, 7.4.

use super::violation::Violation;
use std::fmt;

/// The code of a close.
///
/// ```
/// use ropewalk::http::websocket::CloseCode;
///
/// assert_eq!(CloseCode::new(1000), Some(CloseCode::NORMAL));
/// assert!(CloseCode::new(4321).is_some()); // an application's own
/// assert!(CloseCode::new(1006).is_none()); // stands for "none was sent", and is never sent
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server stops, or the user leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the rules.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// Text where binary is wanted, or the other way round.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// Text that is not UTF-8, or otherwise not what its kind says.
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// Refused, without more to say.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// A message beyond the limit.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);
    /// The server failed.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);

    /// A code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    pub fn new(code: u16) -> Option<CloseCode> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(CloseCode(code))
    }

    /// The code as a number.
    pub fn code(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a peer said when it closed.
///
/// ```
/// use ropewalk::http::websocket::{CloseCode, Codec, Event, Limits};
///
/// let mut server = Codec::server(Limits::default());
/// let mut out = Vec::new();
/// server.close(Some((CloseCode::GOING_AWAY, "bye")), &mut out)?;
/// let mut client = Codec::client(Limits::default(), || 0x1234_5678);
/// let Some(Event::Close(close)) = client.feed(&mut &mut out[..]) else { unreachable!() };
/// assert_eq!((close.code(), close.reason()), (Some(CloseCode::GOING_AWAY), "bye"));
/// # Ok::<(), ropewalk::http::websocket::SendError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    code: Option<CloseCode>,
    reason: String,
}

impl Close {
    pub(super) fn parse(payload: &[u8]) -> Result<Close, Violation> {
        let (code, reason) = match payload {
            [] => return Ok(Close { code: None, reason: String::new() }),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
            [_] => return Err(Violation::BadClose),
        };
        let code = CloseCode::new(code).ok_or(Violation::BadClose)?;
        let reason = str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
        Ok(Close { code: Some(code), reason: reason.to_owned() })
    }

    /// Its code, if it had one.
    pub fn code(&self) -> Option<CloseCode> {
        self.code
    }

    /// Its words; the peer's, so escape them where they are shown.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
