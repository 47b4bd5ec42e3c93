// Methods of requests.

use super::syntax::is_token;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// What a request asks to be done.
///
/// Methods are told apart by case: `get` is not `GET`.
///
/// ```
/// use ropewalk::http::Method;
///
/// assert_eq!(Method::Get.as_str(), "GET");
/// let method: Method = "PROPFIND".parse()?;
/// assert_eq!(method, "PROPFIND");
/// assert!(Method::Put.is_idempotent() && !Method::Put.is_safe());
/// assert!("a method".parse::<Method>().is_err());
/// # Ok::<(), ropewalk::http::InvalidMethod>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Give me it.
    Get,
    /// Give me its head alone.
    Head,
    /// Take this and do with it what you do.
    Post,
    /// Put this in its place.
    Put,
    /// Take it away.
    Delete,
    /// Connect me to there; what follows is no HTTP.
    Connect,
    /// What may be asked?
    Options,
    /// Send back what you received.
    Trace,
    /// Change it so (RFC 5789).
    Patch,
    /// Any other.
    Other(MethodName),
}

/// The name of a method that has no place of its own in [`Method`], at most 23 bytes.
///
/// ```
/// use ropewalk::http::Method;
///
/// let Ok(Method::Other(name)) = "MKCOL".parse::<Method>() else { unreachable!() };
/// assert_eq!(name.as_str(), "MKCOL");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MethodName {
    length: u8,
    /// Zeros after `length`, so that equal names are equal.
    bytes: [u8; MethodName::MAX],
}

/// It is no token, or longer than 23 bytes.
///
/// ```
/// use ropewalk::http::Method;
///
/// let error = "GET /".parse::<Method>().unwrap_err();
/// assert_eq!(error.to_string(), "not a method: a token of at most 23 bytes");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidMethod;

impl Method {
    /// The method of a token; `None` if it is longer than any that anybody implements.
    pub(crate) fn of_token(token: &[u8]) -> Option<Method> {
        Some(match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => {
                let mut bytes = [0; MethodName::MAX];
                bytes.get_mut(..token.len())?.copy_from_slice(token);
                Method::Other(MethodName { length: token.len() as u8, bytes })
            }
        })
    }

    /// The method as a request line names it.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(name) => name.as_str(),
        }
    }

    /// Whether it only reads (RFC 9110, 9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }

    /// Whether doing it twice does no more than doing it once (RFC 9110, 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }

    /// Whether a request without a body says that it has none.
    pub(crate) fn announces_an_empty_body(&self) -> bool {
        !self.is_safe() && !matches!(self, Method::Delete | Method::Connect)
    }
}

impl MethodName {
    /// Longer names are answered with 501: RFC 9112, 3 lets a server do so with what is longer than
    /// any method that it implements. The longest that is registered has 17 bytes.
    pub(crate) const MAX: usize = 23;

    /// The name as a request line has it.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl FromStr for Method {
    type Err = InvalidMethod;

    fn from_str(text: &str) -> Result<Method, InvalidMethod> {
        let token = text.as_bytes();
        if token.is_empty() || !token.iter().all(|&byte| is_token(byte)) {
            return Err(InvalidMethod);
        }
        Method::of_token(token).ok_or(InvalidMethod)
    }
}

impl PartialEq<str> for Method {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Method {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for InvalidMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a method: a token of at most 23 bytes")
    }
}

impl Error for InvalidMethod {}
