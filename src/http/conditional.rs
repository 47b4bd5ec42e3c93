// Which version of a thing a peer has, and what it asks for if it has it: RFC 9110, 8.8 and 13.
//
// # Theory
// Preconditions have one order, 13.2.2: If-Match or else If-Unmodified-Since say whether anything may
// be done at all, If-None-Match or else If-Modified-Since whether the peer has it already. If-Range
// comes after them and only says whether Range counts.
//
// A date has no fraction, so a file's time is cut to its second before it is compared. A field that
// cannot be read is as if it were not there, as 13.1.3 and 13.1.4 say for dates.

use super::list::elements;
use super::{Headers, Method};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The name of one version of a thing: RFC 9110, 8.8.3.
///
/// ```
/// use ropewalk::http::EntityTag;
///
/// let tag = EntityTag::strong("v17").unwrap();
/// assert_eq!(tag.to_string(), "\"v17\"");
/// assert_eq!(EntityTag::weak("v17").unwrap().to_string(), "W/\"v17\"");
/// assert_eq!(EntityTag::strong("a quote\" in it"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag {
    is_weak: bool,
    text: String,
}

impl EntityTag {
    /// One that names the very bytes; `None` for a quote, a blank or a control character in it.
    pub fn strong(text: impl Into<String>) -> Option<EntityTag> {
        let text = text.into();
        text.bytes().all(is_tag_byte).then_some(EntityTag { is_weak: false, text })
    }

    /// One that names what is as good as the same.
    pub fn weak(text: impl Into<String>) -> Option<EntityTag> {
        EntityTag::strong(text).map(|tag| EntityTag { is_weak: true, ..tag })
    }

    /// Whether it names no more than the meaning.
    pub fn is_weak(&self) -> bool {
        self.is_weak
    }

    fn read(value: &[u8]) -> Option<(bool, &[u8])> {
        let (is_weak, quoted) = match value.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, value),
        };
        let text = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        text.iter().all(|&byte| is_tag_byte(byte)).then_some((is_weak, text))
    }

    /// Neither is weak, and they are the same.
    fn is_strongly(&self, value: &[u8]) -> bool {
        EntityTag::read(value) == Some((false, self.text.as_bytes())) && !self.is_weak
    }

    fn is_weakly(&self, value: &[u8]) -> bool {
        EntityTag::read(value).is_some_and(|(_, text)| text == self.text.as_bytes())
    }
}

fn is_tag_byte(byte: u8) -> bool {
    byte == b'!' || (byte > b'"' && byte != 0x7f)
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\"{}\"", if self.is_weak { "W/" } else { "" }, self.text)
    }
}

/// What tells one version of a thing from another.
///
/// ```
/// use ropewalk::http::{EntityTag, Headers, Method, Precondition, Validators};
///
/// let validators = Validators { tag: EntityTag::strong("v17"), ..Validators::default() };
/// let mut headers = Headers::new();
/// headers.append("If-None-Match", "\"v16\", \"v17\"")?;
/// assert_eq!(validators.check(Method::Get, &headers), Precondition::NotModified);
/// assert_eq!(validators.check(Method::Put, &headers), Precondition::Failed);
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// Its tag.
    pub tag: Option<EntityTag>,
    /// When it was last changed.
    pub modified: Option<SystemTime>,
}

/// What a request's preconditions make of it.
///
/// See [`Validators`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It is to be done.
    Holds,
    /// The peer has it: 304.
    NotModified,
    /// It is not to be done: 412.
    Failed,
}

impl Validators {
    /// What the preconditions among some fields ask for: RFC 9110, 13.2.2.
    #[doc(alias = "setLastModified")]
    #[doc(alias = "setETag")]
    pub fn check(&self, method: Method, headers: &Headers) -> Precondition {
        let is_read = matches!(method, Method::Get | Method::Head);
        if headers.contains("if-match") {
            if !self.is_named(headers, "if-match", EntityTag::is_strongly) {
                return Precondition::Failed;
            }
        } else if self.is_newer_than(headers, "if-unmodified-since") == Some(true) {
            return Precondition::Failed;
        }
        if headers.contains("if-none-match") {
            if !self.is_named(headers, "if-none-match", EntityTag::is_weakly) {
                return Precondition::Holds;
            }
            return if is_read { Precondition::NotModified } else { Precondition::Failed };
        }
        if is_read && self.is_newer_than(headers, "if-modified-since") == Some(false) {
            return Precondition::NotModified;
        }
        Precondition::Holds
    }

    /// Whether `Range` counts: without `If-Range`, or where that names just this version.
    ///
    /// A date is as good as a tag only if nothing can have changed within its second: it is two
    /// seconds older than `now` at least.
    pub fn allow_range(&self, headers: &Headers, now: SystemTime) -> bool {
        let Some(value) = headers.get("if-range") else {
            return true;
        };
        if let Some(date) = read_date(value) {
            let Some(modified) = self.modified else {
                return false;
            };
            let age = now.duration_since(modified).unwrap_or_default();
            return to_second(modified) == date && age >= Duration::from_secs(2);
        }
        self.tag.as_ref().is_some_and(|tag| tag.is_strongly(value))
    }

    fn is_named(&self, headers: &Headers, name: &str, is: fn(&EntityTag, &[u8]) -> bool) -> bool {
        headers
            .all(name)
            .flat_map(elements)
            .any(|element| element == b"*" || self.tag.as_ref().is_some_and(|tag| is(tag, element)))
    }

    fn is_newer_than(&self, headers: &Headers, name: &str) -> Option<bool> {
        let date = read_date(headers.get(name)?)?;
        Some(to_second(self.modified?) > date)
    }
}

fn read_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(str::from_utf8(value).ok()?).ok()
}

/// The time as a date can say it.
fn to_second(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn validators() -> Validators {
        let modified = SystemTime::UNIX_EPOCH + Duration::new(784_111_777, 500_000_000);
        Validators { tag: EntityTag::strong("x"), modified: Some(modified) }
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name, value).unwrap();
        }
        headers
    }

    #[test]
    fn preconditions_have_the_order_of_the_rfc() {
        use Precondition::{Failed, Holds, NotModified};
        let (get, put) = (Method::Get, Method::Put);
        for (method, fields, expected) in [
            (get, vec![], Holds),
            (get, vec![("If-Match", "\"x\"")], Holds),
            (get, vec![("If-Match", "\"y\", \"x\"")], Holds),
            (get, vec![("If-Match", "\"y\""), ("If-Match", "\"x\"")], Holds),
            (put, vec![("If-Match", "*")], Holds),
            (get, vec![("If-Match", "W/\"x\"")], Failed),
            (get, vec![("If-Match", "x")], Failed),
            (get, vec![("If-Match", "")], Failed),
            (put, vec![("If-Unmodified-Since", EARLIER)], Failed),
            (put, vec![("If-Unmodified-Since", DATE)], Holds),
            (put, vec![("If-Unmodified-Since", "yesterday")], Holds),
            (put, vec![("If-Match", "\"x\""), ("If-Unmodified-Since", EARLIER)], Holds),
            (get, vec![("If-None-Match", "\"x\"")], NotModified),
            (Method::Head, vec![("If-None-Match", "W/\"x\"")], NotModified),
            (get, vec![("If-None-Match", "*")], NotModified),
            (put, vec![("If-None-Match", "*")], Failed),
            (get, vec![("If-None-Match", "\"y\"")], Holds),
            (get, vec![("If-None-Match", "\"y\""), ("If-Modified-Since", LATER)], Holds),
            (get, vec![("If-Modified-Since", DATE)], NotModified),
            (get, vec![("If-Modified-Since", LATER)], NotModified),
            (get, vec![("If-Modified-Since", EARLIER)], Holds),
            (put, vec![("If-Modified-Since", LATER)], Holds),
            (get, vec![("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified),
            (get, vec![("If-Modified-Since", "Sun Nov  6 08:49:37 1994")], NotModified),
            (get, vec![("If-Modified-Since", "soon")], Holds),
            (get, vec![("If-Match", "\"y\""), ("If-None-Match", "\"x\"")], Failed),
        ] {
            let verdict = validators().check(method, &headers(&fields));
            assert_eq!(verdict, expected, "{method} {fields:?}");
        }
    }

    #[test]
    fn a_range_counts_only_for_the_very_version_that_if_range_names() {
        let now = validators().modified.unwrap() + Duration::from_secs(2);
        for (value, expected) in [
            ("\"x\"", true),
            ("W/\"x\"", false),
            ("\"y\"", false),
            (DATE, true),
            (LATER, false),
            (EARLIER, false),
            ("nonsense", false),
        ] {
            let headers = headers(&[("If-Range", value)]);
            assert_eq!(validators().allow_range(&headers, now), expected, "{value}");
        }
        let young = validators().modified.unwrap() + Duration::from_secs(1);
        assert!(!validators().allow_range(&headers(&[("If-Range", DATE)]), young));
        assert!(validators().allow_range(&headers(&[]), now));
        assert!(!Validators::default().allow_range(&headers(&[("If-Range", DATE)]), now));
    }

    #[test]
    fn a_weak_tag_is_never_strongly_the_same() {
        let weak = Validators { tag: EntityTag::weak("x"), modified: None };
        let ask = |name, value| weak.check(Method::Get, &headers(&[(name, value)]));
        assert_eq!(ask("If-Match", "W/\"x\""), Precondition::Failed);
        assert_eq!(ask("If-None-Match", "\"x\""), Precondition::NotModified);
        assert!(!weak.allow_range(&headers(&[("If-Range", "\"x\"")]), SystemTime::now()));
    }
}
