// Fields of a head, in the order and case that they have.

use super::block::{Block, Field};
use super::syntax::{is_token, is_value, text_length, trim};
use std::error::Error;
use std::fmt;

/// The fields of a message's head, or of its trailers.
///
/// Order and case are kept as they came. Names are compared without regard to case. A value is bytes:
/// most are text, and [`Headers::text`] gives those that are.
///
/// `Debug` shows no credentials, and a peer's bytes only escaped.
///
/// ```
/// use ropewalk::http::Headers;
///
/// let mut headers = Headers::new();
/// headers.append("Accept", "text/html")?;
/// headers.append("Via", "1.1 first")?;
/// headers.append("via", "1.1 second")?;
/// assert_eq!(headers.get("accept"), Some(&b"text/html"[..]));
/// assert_eq!(headers.all("Via").count(), 2);
///
/// headers.set("VIA", "1.1 only")?; // in the place of the first
/// assert_eq!(headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["Accept", "VIA"]);
/// assert!(headers.append("X", "two\r\nlines").is_err());
/// # Ok::<(), ropewalk::http::InvalidHeader>(())
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    pub(crate) block: Block,
    /// The block holds more than the lines of the fields in their order, or a field that a machine looks
    /// at when it sends them.
    pub(crate) is_mixed: bool,
}

/// Why a field cannot be sent.
///
/// ```
/// use ropewalk::http::{Headers, InvalidHeader};
///
/// let mut headers = Headers::new();
/// assert_eq!(headers.append("a name", "x"), Err(InvalidHeader::Name));
/// assert_eq!(headers.append("a-name", "x\n"), Err(InvalidHeader::Value));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The name is no token.
    Name,
    /// The value has a CR, LF, NUL or another control character, or blanks around it.
    Value,
    /// All fields together are beyond 4 GiB.
    TooLong,
}

impl Headers {
    /// No fields.
    pub fn new() -> Headers {
        Headers::default()
    }

    pub(super) const fn none() -> Headers {
        let block = Block { bytes: Vec::new(), fields: Vec::new() };
        Headers { block, is_mixed: false }
    }

    /// Adds a field at the end, whether or not there is one of its name.
    #[doc(alias = "addRawHeader")]
    pub fn append(
        &mut self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidHeader> {
        let name = name.as_ref().as_bytes();
        let field = self.field(name, value.as_ref())?;
        self.is_mixed |= is_of_connection(name);
        self.block.fields.push(field);
        Ok(())
    }

    /// Makes this the only field of its name, in the place of the first.
    #[doc(alias = "setRawHeaders")]
    pub fn set(
        &mut self,
        name: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), InvalidHeader> {
        let name = name.as_ref();
        let field = self.field(name.as_bytes(), value.as_ref())?;
        let Some(first) = self.position(name) else {
            self.is_mixed |= is_of_connection(name.as_bytes());
            self.block.fields.push(field);
            return Ok(());
        };
        self.is_mixed = true;
        self.remove_from(first + 1, name);
        self.block.fields[first] = field;
        Ok(())
    }

    /// Takes all fields of a name away, and says whether there were any.
    #[doc(alias = "removeHeader")]
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.len();
        self.remove_from(0, name);
        self.len() < before
    }

    /// Takes all fields away, and keeps their memory.
    pub fn clear(&mut self) {
        self.block.clear();
    }

    /// The value of the first field of a name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The value of the first field of a name, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// The values of all fields of a name, in order.
    #[doc(alias = "getRawHeaders")]
    pub fn all<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let Block { bytes, fields } = &self.block;
        let fields = fields.iter().filter(move |it| it.name.len() == name.len());
        let fields =
            fields.filter(move |it| it.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()));
        fields.map(|field| field.value.of(bytes))
    }

    /// Whether there is a field of a name.
    #[doc(alias = "hasHeader")]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// Name and value of every field, in order.
    #[doc(alias = "getAllRawHeaders")]
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let Block { bytes, fields } = &self.block;
        fields.iter().map(|field| (self.block.text(field.name), field.value.of(bytes)))
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.block.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.block.fields.is_empty()
    }

    /// The fields as bytes, without looking at their names as text.
    #[inline]
    pub(crate) fn raw(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let Block { bytes, fields } = &self.block;
        fields.iter().map(|field| (field.name.of(bytes), field.value.of(bytes)))
    }

    fn field(&mut self, name: &[u8], value: &[u8]) -> Result<Field, InvalidHeader> {
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(InvalidHeader::Name);
        }
        if !may_be_value(value) {
            return Err(InvalidHeader::Value);
        }
        // As a line of a head, so that all can be sent as one piece.
        let end = self.block.bytes.len() + name.len() + value.len() + 4;
        u32::try_from(end).map_err(|_| InvalidHeader::TooLong)?;
        let mut append = |text| self.block.append(text).ok_or(InvalidHeader::TooLong);
        let name = append(name)?;
        append(b": ")?;
        let value = append(value)?;
        append(b"\r\n")?;
        Ok(Field { name, value })
    }

    fn position(&self, name: &str) -> Option<usize> {
        let Block { bytes, fields } = &self.block;
        fields.iter().position(|it| it.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
    }

    fn remove_from(&mut self, first: usize, name: &str) {
        self.is_mixed = true;
        let Block { bytes, fields } = &mut self.block;
        let mut at = 0;
        fields.retain(|field| {
            at += 1;
            at <= first || !field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes())
        });
    }
}

/// Whether a machine leaves it out, or must know of it, when it sends a head.
fn is_of_connection(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"connection", b"content-length", b"transfer-encoding"];
    NAMES.iter().any(|it| name.eq_ignore_ascii_case(it))
}

/// Blanks around a value are not part of it: they would be gone when it is read.
fn may_be_value(value: &[u8]) -> bool {
    let control = text_length(value);
    value[control..].iter().all(|&byte| is_value(byte)) && trim(value).len() == value.len()
}

/// What no log may show.
fn is_secret(name: &str) -> bool {
    const SECRETS: [&str; 5] =
        ["authorization", "proxy-authorization", "cookie", "set-cookie", "authentication-info"];
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, value) in self.iter() {
            if is_secret(name) {
                map.entry(&name, &format_args!("<{} bytes>", value.len()));
            } else {
                map.entry(&name, &format_args!("\"{}\"", value.escape_ascii()));
            }
        }
        map.finish()
    }
}

/// Equal are those with the same names, whatever their case, and values in the same order.
impl PartialEq for Headers {
    fn eq(&self, other: &Headers) -> bool {
        let mut pairs = self.iter().zip(other.iter());
        self.len() == other.len()
            && pairs.all(|(own, its)| own.0.eq_ignore_ascii_case(its.0) && own.1 == its.1)
    }
}

impl Eq for Headers {}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidHeader::Name => "the name of a field is not a token",
            InvalidHeader::Value => {
                "the value of a field has a control character, or blanks around it"
            }
            InvalidHeader::TooLong => "fields of more than 4 GiB",
        })
    }
}

impl Error for InvalidHeader {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown_and_bytes_only_escaped() {
        let mut headers = Headers::new();
        headers.append("Authorization", "Basic c2VjcmV0").unwrap();
        headers.append("cookie", "session=c2VjcmV0").unwrap();
        headers.append("Proxy-Authorization", "c2VjcmV0").unwrap();
        headers.append("X", &b"\xe9\""[..]).unwrap();
        let shown = format!("{headers:?}");
        assert!(!shown.contains("c2VjcmV0"), "{shown}");
        assert!(shown.contains(r#""X": "\xe9\"""#), "{shown}");
    }

    #[test]
    fn what_would_split_a_head_is_refused_where_it_is_set() {
        let mut headers = Headers::new();
        for bad in ["a\r\nb", "a\rb", "a\nb", "a\0b", "a\x7fb", " a", "a\t", "\x1b[2J"] {
            assert_eq!(headers.append("X", bad), Err(InvalidHeader::Value), "{bad:?}");
            assert_eq!(headers.set("X", bad), Err(InvalidHeader::Value), "{bad:?}");
        }
        for bad in ["", "a b", "a:", "a\r", "é"] {
            assert_eq!(headers.append(bad, "x"), Err(InvalidHeader::Name), "{bad:?}");
        }
        assert!(headers.is_empty());
        headers.append("X", "a\tb").unwrap();
    }

    #[test]
    fn setting_replaces_the_first_and_takes_the_others_away() {
        let mut headers = Headers::new();
        for (name, value) in [("a", "1"), ("b", "2"), ("A", "3"), ("c", "4"), ("a", "5")] {
            headers.append(name, value).unwrap();
        }
        headers.set("A", "6").unwrap();
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("A", &b"6"[..]), ("b", b"2"), ("c", b"4")]);
        assert!(headers.remove("B") && !headers.remove("B"));
        assert_eq!(headers.len(), 2);
    }
}
