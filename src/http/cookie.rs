// Cookies: RFC 6265, with SameSite of its revision (RFC 6265bis, 4.1).

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A cookie that an answer sets.
///
/// What is safe is on: it is for the whole site, kept from scripts, and not sent with requests that
/// other sites make (`SameSite=Lax`). [`secure`](Cookie::secure) is to be asked for, since it needs TLS.
///
/// ```
/// use ropewalk::http::Cookie;
/// use std::time::Duration;
///
/// let cookie = Cookie::new("session", "a1b2")?.secure().max_age(Duration::from_secs(900));
/// assert_eq!(
///     cookie.to_string(),
///     "session=a1b2; Path=/; Max-Age=900; Secure; HttpOnly; SameSite=Lax",
/// );
/// assert!(Cookie::new("session", "a;b").is_err());
/// # Ok::<(), ropewalk::http::InvalidCookie>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<Duration>,
    same_site: SameSite,
    is_secure: bool,
    is_for_scripts: bool,
}

/// Which requests that another site makes bring a cookie along.
///
/// See [`Cookie::same_site`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Those that follow a link.
    Lax,
    /// All; browsers want [`Cookie::secure`] with it.
    None,
}

/// A name, value or attribute that a cookie cannot have.
///
/// ```
/// use ropewalk::http::{Cookie, InvalidCookie};
///
/// assert!(Cookie::new("a b", "").is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidCookie;

impl fmt::Display for InvalidCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or a value that no cookie can have")
    }
}

impl Error for InvalidCookie {}

impl Cookie {
    /// A cookie for as long as the browser runs.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Result<Cookie, InvalidCookie> {
        let (name, value) = (name.into(), value.into());
        let is_named = !name.is_empty() && name.bytes().all(super::syntax::is_token);
        if !is_named || !value.bytes().all(is_cookie_byte) {
            return Err(InvalidCookie);
        }
        Ok(Cookie {
            name,
            value,
            path: "/".into(),
            domain: None,
            max_age: None,
            same_site: SameSite::Lax,
            is_secure: false,
            is_for_scripts: false,
        })
    }

    /// One that makes a browser forget what was set by that name for the whole site.
    pub fn forget(name: impl Into<String>) -> Result<Cookie, InvalidCookie> {
        Ok(Cookie::new(name, "")?.max_age(Duration::ZERO))
    }

    /// Sent with requests below this path only.
    pub fn path(mut self, path: impl Into<String>) -> Result<Cookie, InvalidCookie> {
        self.path = attribute(path.into())?;
        Ok(self)
    }

    /// Sent to this domain and all below it, and not to this host alone.
    pub fn domain(mut self, domain: impl Into<String>) -> Result<Cookie, InvalidCookie> {
        self.domain = Some(attribute(domain.into())?);
        Ok(self)
    }

    /// Kept for so long, in whole seconds.
    pub fn max_age(mut self, age: Duration) -> Cookie {
        self.max_age = Some(age);
        self
    }

    /// Which requests of other sites bring it along.
    pub fn same_site(mut self, same_site: SameSite) -> Cookie {
        self.same_site = same_site;
        self
    }

    /// Sent over TLS only.
    pub fn secure(mut self) -> Cookie {
        self.is_secure = true;
        self
    }

    /// Shown to the page's scripts too.
    pub fn for_scripts(mut self) -> Cookie {
        self.is_for_scripts = true;
        self
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}; Path={}", self.name, self.value, self.path)?;
        if let Some(domain) = &self.domain {
            write!(f, "; Domain={domain}")?;
        }
        if let Some(age) = self.max_age {
            write!(f, "; Max-Age={}", age.as_secs())?;
        }
        if self.is_secure {
            f.write_str("; Secure")?;
        }
        if !self.is_for_scripts {
            f.write_str("; HttpOnly")?;
        }
        f.write_str(match self.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        })
    }
}

fn is_cookie_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

fn attribute(text: String) -> Result<String, InvalidCookie> {
    let is_good = text.bytes().all(|byte| (b' '..0x7f).contains(&byte) && byte != b';');
    if is_good && !text.is_empty() { Ok(text) } else { Err(InvalidCookie) }
}

/// The names and values of a request's `Cookie` fields, in order; quotes around a value are not of it.
pub(crate) fn read(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim_ascii();
        let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Some((name.trim_ascii(), quoted.unwrap_or(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_cookie_early_or_split_a_head_is_refused() {
        for (name, value) in [("", "x"), ("a;", "x"), ("a", "x;y"), ("a", "x\r\n"), ("a", "x y")] {
            assert_eq!(Cookie::new(name, value), Err(InvalidCookie), "{name:?} {value:?}");
        }
        let cookie = Cookie::new("a", "x").unwrap();
        assert!(cookie.clone().path("/;Domain=b").is_err());
        assert!(cookie.clone().domain("b\r\nSet-Cookie: c=d").is_err());
        assert!(cookie.path("").is_err());
    }

    #[test]
    fn pairs_are_read_as_browsers_write_them_and_what_is_none_is_left_out() {
        let all: Vec<_> = read("a=1; b=\"2\";c=;  d=e=f ; nothing; =g").collect();
        assert_eq!(all, [("a", "1"), ("b", "2"), ("c", ""), ("d", "e=f"), ("", "g")]);
    }

    #[test]
    fn a_cookie_to_forget_lives_for_no_time() {
        let cookie = Cookie::forget("a").unwrap().to_string();
        assert_eq!(cookie, "a=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }
}
