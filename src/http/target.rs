// What a request is about: the four forms of RFC 9112, 3.2.
//
// # Theory
// A target is text that is cut where it is asked for, and decoded last: first the segments, then the
// escapes in one, so that `%2F` stays inside its segment. Nothing is decoded twice.
//
// # Invariants
// * Printable ASCII only, no `#`: the parser and [`Target::parse`] have looked.
// * The form fits the method: `*` is for OPTIONS, a host with its port for CONNECT.

use super::method::Method;
use super::syntax::{hex_digit, is_authority, is_target, split_port};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The target of a request, as it was sent.
///
/// ```
/// use ropewalk::http::{TargetForm, Method, Target};
///
/// let target = Target::parse(Method::Get, "/notes/a%2Fb?tag=red%20ink&all")?;
/// assert_eq!(target.form(), TargetForm::Origin);
/// assert_eq!(target.path(), "/notes/a%2Fb");
/// let segments: Result<Vec<_>, _> = target.segments().collect();
/// assert_eq!(segments.unwrap(), ["notes", "a/b"]);
/// let pairs: Result<Vec<_>, _> = target.pairs().collect();
/// assert_eq!(pairs.unwrap(), [("tag".into(), "red ink".into()), ("all".into(), "".into())]);
///
/// let target = Target::parse(Method::Get, "http://example.com:8080/")?;
/// assert_eq!(target.authority(), Some("example.com:8080"));
/// # Ok::<(), ropewalk::http::InvalidTarget>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    text: &'a str,
    form: TargetForm,
}

/// Which of its four forms a target has.
///
/// ```
/// use ropewalk::http::{TargetForm, Method, Target};
///
/// let form = |method, text| Target::parse(method, text).map(|target| target.form());
/// assert_eq!(form(Method::Connect, "example.com:443"), Ok(TargetForm::Authority));
/// assert_eq!(form(Method::Options, "*"), Ok(TargetForm::Asterisk));
/// assert!(form(Method::Get, "*").is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetForm {
    /// `/path?query`: to the server itself.
    Origin,
    /// `http://host/path?query`: to a proxy.
    Absolute,
    /// `host:port`, with CONNECT.
    Authority,
    /// `*`, with OPTIONS.
    Asterisk,
}

/// Why a text is not a request's target.
///
/// ```
/// use ropewalk::http::{InvalidTarget, Method, Target};
///
/// let parse = |text| Target::parse(Method::Get, text).unwrap_err();
/// assert_eq!(parse("/a b"), InvalidTarget::Byte(2));
/// assert_eq!(parse("/a#b"), InvalidTarget::Fragment(2));
/// assert_eq!(parse("a/b"), InvalidTarget::Form);
/// assert_eq!(parse("http://user@host/"), InvalidTarget::Host);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// The byte there is not printable ASCII.
    Byte(usize),
    /// A fragment begins there.
    Fragment(usize),
    /// None of the four forms, or not one for this method.
    Form,
    /// Its host is none; a user's name before it is not allowed.
    Host,
}

/// An escape that is none, or one that makes no UTF-8.
///
/// ```
/// use ropewalk::http::{Method, Target};
///
/// let target = Target::parse(Method::Get, "/100%/%ff").unwrap();
/// assert!(target.segments().all(|segment| segment.is_err()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidEscape;

impl<'a> Target<'a> {
    /// The target that a text is for a method.
    pub fn parse(method: Method, text: &'a str) -> Result<Target<'a>, InvalidTarget> {
        if let Some(at) = text.bytes().position(|byte| !is_target(byte)) {
            let is_fragment = text.as_bytes()[at] == b'#';
            return Err(if is_fragment {
                InvalidTarget::Fragment(at)
            } else {
                InvalidTarget::Byte(at)
            });
        }
        Ok(Target { text, form: TargetForm::of(method, text.as_bytes())? })
    }

    pub(crate) fn new(text: &'a str, form: TargetForm) -> Target<'a> {
        Target { text, form }
    }

    /// The whole text.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Which form it has.
    pub fn form(&self) -> TargetForm {
        self.form
    }

    /// What stands before `://`.
    pub fn scheme(&self) -> Option<&'a str> {
        match self.form {
            TargetForm::Absolute => self.text.split_once("://").map(|(scheme, _)| scheme),
            _ => None,
        }
    }

    /// The host with its port, where the target names one.
    pub fn authority(&self) -> Option<&'a str> {
        match self.form {
            TargetForm::Absolute => Some(split_absolute(self.text).0),
            TargetForm::Authority => Some(self.text),
            TargetForm::Origin | TargetForm::Asterisk => None,
        }
    }

    /// The path, not decoded; `/` where the target has none, `*` for an asterisk.
    pub fn path(&self) -> &'a str {
        let text = match self.form {
            TargetForm::Asterisk => return "*",
            TargetForm::Authority => return "/",
            TargetForm::Origin => self.text,
            TargetForm::Absolute => split_absolute(self.text).1,
        };
        match text.split_once('?').map_or(text, |(path, _)| path) {
            "" => "/",
            path => path,
        }
    }

    /// What follows the first `?`, not decoded.
    pub fn query(&self) -> Option<&'a str> {
        self.text.split_once('?').map(|(_, query)| query)
    }

    /// The segments of the path, each decoded by itself.
    ///
    /// `/` has one, which is empty. Dots are not followed: who opens files by segments looks at them.
    #[doc(alias = "prepath")]
    #[doc(alias = "postpath")]
    pub fn segments(&self) -> impl Iterator<Item = Result<Cow<'a, str>, InvalidEscape>> + use<'a> {
        let path = self.path();
        path.strip_prefix('/').unwrap_or(path).split('/').map(percent_decode)
    }

    /// Names and values of the query, decoded as forms encode them.
    #[doc(alias = "args")]
    pub fn pairs(
        &self,
    ) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>), InvalidEscape>> + use<'a> {
        form_pairs(self.query().unwrap_or_default())
    }
}

impl TargetForm {
    /// The form of a text whose bytes may all stand in a target.
    #[inline]
    pub(crate) fn of(method: Method, text: &[u8]) -> Result<TargetForm, InvalidTarget> {
        if method == Method::Connect {
            let (host, port) = split_port(text);
            let whole = !host.is_empty() && port.len() > 1;
            return match is_authority(text) && whole {
                true => Ok(TargetForm::Authority),
                false => Err(InvalidTarget::Form),
            };
        }
        match text {
            [b'/', ..] => Ok(TargetForm::Origin),
            b"*" if method == Method::Options => Ok(TargetForm::Asterisk),
            _ => TargetForm::of_absolute(text),
        }
    }

    fn of_absolute(text: &[u8]) -> Result<TargetForm, InvalidTarget> {
        let end = text.windows(3).position(|it| it == b"://").ok_or(InvalidTarget::Form)?;
        let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        if !text[0].is_ascii_alphabetic() || !text[..end].iter().all(is_scheme) {
            return Err(InvalidTarget::Form);
        }
        let rest = &text[end + 3..];
        let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
        let is_host = is_authority(&rest[..end]) && !split_port(&rest[..end]).0.is_empty();
        if is_host { Ok(TargetForm::Absolute) } else { Err(InvalidTarget::Host) }
    }
}

/// Authority and what follows it.
fn split_absolute(text: &str) -> (&str, &str) {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
}

/// Each `%` with two hexadecimal digits becomes their byte; what comes out is UTF-8.
pub(crate) fn percent_decode(text: &str) -> Result<Cow<'_, str>, InvalidEscape> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(hex_digit).ok_or(InvalidEscape);
        decoded.push(if byte == b'%' { digit()? << 4 | digit()? } else { byte });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| InvalidEscape)
}

/// Names and values of a query or a form.
pub(crate) fn form_pairs(
    text: &str,
) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), InvalidEscape>> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((form_decode(name)?, form_decode(value)?))
    })
}

/// The same, and `+` is a space.
fn form_decode(text: &str) -> Result<Cow<'_, str>, InvalidEscape> {
    if !text.contains('+') {
        return percent_decode(text);
    }
    let spaced = text.replace('+', " ");
    Ok(Cow::Owned(percent_decode(&spaced)?.into_owned()))
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidTarget::Byte(at) => {
                write!(f, "a byte outside of printable ASCII in a request's target (byte {at})")
            }
            InvalidTarget::Fragment(at) => {
                write!(f, "a fragment in a request's target (byte {at})")
            }
            InvalidTarget::Form => f.write_str("not a request's target, or not for its method"),
            InvalidTarget::Host => f.write_str("the host in a request's target is none"),
        }
    }
}

impl Error for InvalidTarget {}

impl fmt::Display for InvalidEscape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an escape that is none, or makes no UTF-8")
    }
}

impl Error for InvalidEscape {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_slash_stays_in_its_segment_and_nothing_is_decoded_twice() {
        let target = Target::parse(Method::Get, "/a%2fb//%252e%2e/").unwrap();
        let segments: Vec<_> = target.segments().map(Result::unwrap).collect();
        assert_eq!(segments, ["a/b", "", "%2e.", ""]);
    }

    #[test]
    fn a_broken_escape_is_an_error_where_it_stands() {
        let target = Target::parse(Method::Get, "/%/%4/%4g/%+1/ok/%ff?a=%zz&b=+%2B").unwrap();
        let good: Vec<_> = target.segments().map(|segment| segment.is_ok()).collect();
        assert_eq!(good, [false, false, false, false, true, false]);
        let pairs: Vec<_> = target.pairs().collect();
        assert_eq!(pairs[0], Err(InvalidEscape));
        assert_eq!(pairs[1], Ok(("b".into(), " +".into())));
    }

    #[test]
    fn an_absolute_target_is_cut_into_its_parts() {
        let target = Target::parse(Method::Get, "http://[::1]:80?a=/b?c").unwrap();
        assert_eq!(target.scheme(), Some("http"));
        assert_eq!(target.authority(), Some("[::1]:80"));
        assert_eq!((target.path(), target.query()), ("/", Some("a=/b?c")));
        let target = Target::parse(Method::Get, "/redirect?to=http://a/b").unwrap();
        assert_eq!((target.scheme(), target.path()), (None, "/redirect"));
    }

    #[test]
    fn a_form_that_does_not_fit_its_method_is_refused() {
        for (method, text) in [
            (Method::Connect, "/"),
            (Method::Connect, "http://a/"),
            (Method::Connect, "a"),
            (Method::Connect, ":80"),
            (Method::Get, "*"),
            (Method::Get, "a:80"),
            (Method::Options, "**"),
            (Method::Get, ""),
            (Method::Get, "1http://a/"),
            (Method::Get, "http:///a"),
        ] {
            assert!(Target::parse(method, text).is_err(), "{method} {text}");
        }
    }
}
