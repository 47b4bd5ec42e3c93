// Versions of HTTP/1.

use std::fmt;

/// The version of a message of HTTP/1.
///
/// Minor versions from 2 to 9 are served as 1.1, as RFC 9110, 2.5 asks.
///
/// ```
/// use ropewalk::http::Version;
///
/// assert!(Version::Http10 < Version::Http11);
/// assert_eq!(Version::Http11.to_string(), "HTTP/1.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0: a connection for each exchange unless both ends say `keep-alive`, no chunks.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// The version as a start line names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
