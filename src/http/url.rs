// Where a request goes: RFC 3986 for `http` and `https`, read as the URL standard's parsers read it.
//
// # Theory
// A URL is taken apart once and kept in the form that is sent: the host in small ASCII letters, the path
// escaped and without dots, the fragment away. Two URLs that mean one place are then equal texts, which
// is what pools, cookies and redirects compare.
//
// Only what browsers and curl agree on is accepted. What they read in different ways, such as a
// backslash in the place of a slash or digits that are an address in disguise, is refused: one of two
// readers would go to another host than was checked.

use super::syntax::{is_authority, is_target, split_port};
use super::{Method, Target, TargetForm};
use std::error::Error;
use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The address of a page.
///
/// Without the fragment, which is never sent. A user's name and password are kept apart and shown by
/// neither `Display` nor `Debug`.
///
/// ```
/// use ropewalk::http::Url;
///
/// let url: Url = "HTTPS://Example.COM:443/a/../b c?q=1#here".parse()?;
/// assert_eq!(url.to_string(), "https://example.com/b%20c?q=1");
/// assert_eq!((url.host(), url.port(), url.is_secure()), ("example.com", 443, true));
///
/// let next = url.join("../d?e")?;
/// assert_eq!(next.to_string(), "https://example.com/d?e");
/// # Ok::<(), ropewalk::http::InvalidUrl>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    is_secure: bool,
    /// In brackets if it is an IPv6 address.
    host: String,
    /// `None` for the scheme's own.
    port: Option<u16>,
    /// Path and query; begins with a slash.
    target: String,
    /// Name and password, as they are escaped in a URL.
    credentials: Option<String>,
}

/// Why a text is no URL.
///
/// ```
/// use ropewalk::http::{InvalidUrl, Url};
///
/// assert_eq!("ftp://a/".parse::<Url>(), Err(InvalidUrl::Scheme));
/// assert_eq!("http://a b/".parse::<Url>(), Err(InvalidUrl::Host));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It does not begin with `http://` or `https://`.
    Scheme,
    /// Its host is no name and no address.
    Host,
    /// Its host has letters beyond ASCII, and the feature `idna` is not there.
    NotAscii,
    /// Its port is no number up to 65535.
    Port,
    /// A control character or a backslash stands in it.
    Byte,
}

impl Url {
    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// The host, in small letters; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// The port; the scheme's own where none was named.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_secure { 443 } else { 80 })
    }

    /// What the field `Host` says: the host, with the port where it is not the scheme's own.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Host and port, as a connection needs them.
    pub fn endpoint(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    /// Path and query, as a request names them.
    pub fn target(&self) -> Target<'_> {
        Target::parse(Method::Get, &self.target).unwrap_or(Target::new("/", TargetForm::Origin))
    }

    /// The user's name and password, decoded, if both are UTF-8.
    pub fn credentials(&self) -> Option<(String, String)> {
        let (name, password) =
            self.credentials.as_ref().map(|it| it.split_once(':').unwrap_or((it, "")))?;
        let decode = |text| super::target::percent_decode(text).ok().map(Into::into);
        Some((decode(name)?, decode(password)?))
    }

    /// Whether scheme, host and port are the same: what may see the other's secrets.
    pub fn is_same_origin(&self, other: &Url) -> bool {
        let origin = |url: &Url| (url.is_secure, url.port());
        origin(self) == origin(other) && self.host == other.host
    }

    /// The same place with a name and a value more in its query, escaped as forms escape.
    pub fn with_query(mut self, name: &str, value: &str) -> Url {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        append_form(&mut self.target, name);
        self.target.push('=');
        append_form(&mut self.target, value);
        self
    }

    /// What a reference on this page leads to: RFC 3986, 5.2.
    pub fn join(&self, reference: &str) -> Result<Url, InvalidUrl> {
        let reference = reference.trim_matches(is_trimmed);
        if has_scheme(reference) {
            return reference.parse();
        }
        if reference.starts_with("//") {
            return format!("{}:{reference}", self.scheme()).parse();
        }
        let path = self.target.split('?').next().unwrap_or("/");
        let target = match reference.bytes().next() {
            None | Some(b'#') => self.target.clone(),
            Some(b'?') => format!("{path}{reference}"),
            Some(b'/') => reference.to_owned(),
            Some(_) => {
                let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
                format!("{folder}{reference}")
            }
        };
        Ok(Url { target: normal_target(&target)?, ..self.clone() })
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Url, InvalidUrl> {
        let text = text.trim_matches(is_trimmed);
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::Scheme)?;
        let is_secure = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return Err(InvalidUrl::Scheme),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Of several, the last ends the credentials: so do browsers and curl.
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(encoded_credentials(credentials)?), place),
            None => (None, authority),
        };
        let (host, port) = split_port(place.as_bytes());
        let host = normal_host(&place[..host.len()])?;
        let port = match port {
            [] | [b':'] => None,
            [_, digits @ ..] => Some(read_port(digits)?),
        };
        let own = if is_secure { 443 } else { 80 };
        let port = port.filter(|&port| port != own);
        Ok(Url { is_secure, host, port, target: normal_target(target)?, credentials })
    }
}

fn read_port(digits: &[u8]) -> Result<u16, InvalidUrl> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(InvalidUrl::Port);
    }
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(InvalidUrl::Port)
}

fn encoded_credentials(text: &str) -> Result<String, InvalidUrl> {
    if text.chars().any(is_refused) {
        return Err(InvalidUrl::Byte);
    }
    Ok(text.to_owned())
}

fn normal_host(host: &str) -> Result<String, InvalidUrl> {
    if let Some(inner) = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().map_err(|_| InvalidUrl::Host)?;
        return Ok(format!("[{ip}]"));
    }
    let host = if host.is_ascii() { host.to_ascii_lowercase() } else { a_label(host)? };
    // An escape in a name is read by some and not by others; a bracket or colon is left over.
    if host.is_empty() || host.contains(['%', '[', ']', ':']) || !is_authority(host.as_bytes()) {
        return Err(InvalidUrl::Host);
    }
    // `127.1` and `0x7f000001` are addresses to some resolvers, and names to whoever checks them.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && last.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'x');
    let is_all_digits = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if is_number && is_all_digits && host.parse::<Ipv4Addr>().is_err() {
        return Err(InvalidUrl::Host);
    }
    Ok(host)
}

#[cfg(feature = "idna")]
fn a_label(host: &str) -> Result<String, InvalidUrl> {
    let converted = idna::domain_to_ascii_cow(host.as_bytes(), idna::AsciiDenyList::URL);
    converted.map(Into::into).map_err(|_| InvalidUrl::Host)
}

#[cfg(not(feature = "idna"))]
fn a_label(_: &str) -> Result<String, InvalidUrl> {
    Err(InvalidUrl::NotAscii)
}

/// Path and query without fragment and dots, with all escaped that cannot be sent.
fn normal_target(text: &str) -> Result<String, InvalidUrl> {
    let text = text.split('#').next().unwrap_or_default();
    if text.chars().any(is_refused) {
        return Err(InvalidUrl::Byte);
    }
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let mut target = String::new();
    for segment in without_dots(path) {
        target.push('/');
        append_escaped(&mut target, segment);
    }
    if let Some(query) = query {
        target.push('?');
        append_escaped(&mut target, query);
    }
    Ok(target)
}

/// The segments of a path, where `.` and `..` are followed: RFC 3986, 5.2.4.
fn without_dots(path: &str) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => {}
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        // A dot at the end stands for a folder.
        if is_last {
            kept.push("");
        }
    }
    kept
}

fn append_escaped(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if is_target(byte) && !b"\"<>`{}|^".contains(&byte) {
            target.push(char::from(byte));
        } else {
            append_escape(target, byte);
        }
    }
}

/// As a form's name or value: the URL standard's application/x-www-form-urlencoded.
pub(crate) fn append_form(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => append_escape(out, byte),
        }
    }
}

fn append_escape(out: &mut String, byte: u8) {
    // A string takes all that is written.
    let _ = write!(out, "%{byte:02X}");
}

fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?', '#']);
    end.is_some_and(|at| at > 0 && reference.as_bytes()[at] == b':')
}

fn is_trimmed(letter: char) -> bool {
    letter.is_ascii_control() || letter == ' '
}

fn is_refused(letter: char) -> bool {
    letter.is_control() || letter == '\\'
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.target)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidUrl::Scheme => "the URL does not begin with http:// or https://",
            InvalidUrl::Host => "the host in the URL is no name and no address",
            InvalidUrl::NotAscii => {
                "the host in the URL is not ASCII: give its A-label, as in xn--bcher-kva.example, or \
                 build ropewalk with its feature `idna`"
            }
            InvalidUrl::Port => "the port in the URL is no number up to 65535",
            InvalidUrl::Byte => "a control character or a backslash in the URL",
        })
    }
}

impl Error for InvalidUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn one_place_has_one_text() {
        for (text, expected) in [
            ("http://a", "http://a/"),
            ("  HTTP://A:80?b#c ", "http://a/?b"),
            ("http://a:/", "http://a/"),
            ("https://a:80/", "https://a:80/"),
            ("http://a/./b/../c/%2E%2e/d/.", "http://a/d/"),
            ("http://a/../../..", "http://a/"),
            ("http://a//b///", "http://a//b///"),
            ("http://a/ä b?\"<>|", "http://a/%C3%A4%20b?%22%3C%3E%7C"),
            ("http://a/%2f%zz", "http://a/%2f%zz"),
            ("http://[0:0::1]:8080/", "http://[::1]:8080/"),
            ("http://127.0.0.1/", "http://127.0.0.1/"),
            ("http://u:p@a/", "http://a/"),
            ("http://a/u@b", "http://a/u@b"),
            ("http://a./", "http://a./"),
        ] {
            let parsed = url(text);
            assert_eq!(parsed.to_string(), expected, "{text}");
            assert_eq!(url(expected).to_string(), expected);
            assert_eq!(
                parsed.target().as_str(),
                &expected[expected.find(&parsed.authority()).unwrap() + parsed.authority().len()..]
            );
        }
    }

    #[test]
    fn what_readers_read_in_two_ways_is_refused() {
        for (text, expected) in [
            ("a", InvalidUrl::Scheme),
            ("//a/", InvalidUrl::Scheme),
            ("file:///etc/passwd", InvalidUrl::Scheme),
            ("http:a", InvalidUrl::Scheme),
            ("http:///a", InvalidUrl::Host),
            ("http://u@/", InvalidUrl::Host),
            ("http://a b/", InvalidUrl::Host),
            ("http://a%2e/", InvalidUrl::Host),
            ("http://[::1/", InvalidUrl::Host),
            ("http://::1/", InvalidUrl::Host),
            ("http://[::1%25lo]/", InvalidUrl::Host),
            ("http://127.1/", InvalidUrl::Host),
            ("http://2130706433/", InvalidUrl::Host),
            ("http://0x7f000001/", InvalidUrl::Host),
            ("http://1.2.3.4.5/", InvalidUrl::Host),
            ("http://256.0.0.1/", InvalidUrl::Host),
            ("http://a\\b/", InvalidUrl::Host),
            ("http://u\\@a/", InvalidUrl::Byte),
            ("http://a/b\\c", InvalidUrl::Byte),
            ("http://a/b\r\nX: c", InvalidUrl::Byte),
            ("http://a:65536/", InvalidUrl::Port),
            ("http://a:+80/", InvalidUrl::Port),
            ("http://a:b/", InvalidUrl::Port),
        ] {
            assert_eq!(text.parse::<Url>(), Err(expected), "{text}");
        }
        for text in
            ["http://a1/", "http://1a/", "http://face/", "http://4.example/", "http://a.1b/"]
        {
            assert!(text.parse::<Url>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_reference_is_joined_as_the_rfc_has_it() {
        let base = url("http://a/b/c/d;p?q");
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("g..", "http://a/b/c/g.."),
            ("./../g", "http://a/b/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("https://h", "https://h/"),
            ("a/b:c", "http://a/b/c/a/b:c"),
        ] {
            assert_eq!(base.join(reference).unwrap().to_string(), expected, "{reference}");
        }
        assert_eq!(base.join("mailto:x"), Err(InvalidUrl::Scheme));
        assert_eq!(base.join("//"), Err(InvalidUrl::Host));
    }

    #[test]
    fn credentials_are_kept_apart_and_never_shown() {
        let url = url("http://al%40ice:s%3Acret@a/");
        assert_eq!(url.credentials(), Some(("al@ice".into(), "s:cret".into())));
        assert!(!format!("{url} {url:?}").contains("cret"));
        assert_eq!(url.join("/b").unwrap().credentials(), url.credentials());
        assert_eq!(url.join("//b").unwrap().credentials(), None);
    }

    #[test]
    fn a_query_grows_by_escaped_pairs() {
        let url = url("http://a/b").with_query("q", "red ink&ä").with_query("n", "*-._");
        assert_eq!(url.to_string(), "http://a/b?q=red+ink%26%C3%A4&n=*-._");
    }

    #[test]
    fn only_the_same_scheme_host_and_port_are_one_origin() {
        let a = url("http://a/x");
        assert!(a.is_same_origin(&url("HTTP://A:80/y")));
        for other in ["https://a/", "http://b/", "http://a:81/", "http://a./"] {
            assert!(!a.is_same_origin(&url(other)), "{other}");
        }
    }
}
