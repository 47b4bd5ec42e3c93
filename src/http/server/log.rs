// What is known of an exchange that is over, and its forms as lines of a log.
//
// # Invariants
// * A peer's bytes are escaped wherever they are printed, and its credentials never are printed.

use super::exchange::Exchange;
use crate::address::Address;
use crate::http::h1::{Reason, RequestHead};
use crate::http::headers::Headers;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::transport::Transport;
use std::fmt;
use std::time::{Duration, SystemTime};

/// How an exchange ended.
///
/// ```
/// use ropewalk::http::{Outcome, Request, Site, leaf};
///
/// let site = Site::new(leaf(|_: &Request| Ok("Hello"))).on_exchange(|record| {
///     if record.outcome() == Outcome::Abandoned {
///         println!("{} went before its answer", record.peer());
///     }
/// });
/// # drop(site);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The answer was sent, whatever it says.
    Answered,
    /// The handler failed, panicked or forgot to answer.
    Failed,
    /// What came was no HTTP, or too much, or too late.
    Refused(Reason),
    /// The peer went before the answer was sent.
    Abandoned,
}

/// An exchange that is over, as [`Site::on_exchange`](super::Site::on_exchange) gets it.
///
/// Of a request that was refused before its head was whole there is the peer and the outcome alone.
pub struct Record<'a> {
    pub(super) transport: &'a Transport,
    pub(super) exchange: Option<&'a Exchange>,
    pub(super) outcome: Outcome,
}

impl<'a> Record<'a> {
    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Who asked.
    pub fn peer(&self) -> Address {
        self.transport.peer()
    }

    /// What was to be done.
    pub fn method(&self) -> Option<Method> {
        self.head().map(RequestHead::method)
    }

    /// With what; printable ASCII.
    pub fn target(&self) -> Option<&'a str> {
        self.head().map(|head| head.target().as_str())
    }

    /// The fields of the request, which have credentials among them.
    pub fn headers(&self) -> Option<&'a Headers> {
        self.head().map(RequestHead::headers)
    }

    /// The status of the answer; of one that was refused the refusal's.
    pub fn status(&self) -> Option<Status> {
        match self.outcome {
            Outcome::Refused(reason) => crate::http::h1::Refusal::new(reason).status(),
            Outcome::Abandoned => {
                self.exchange.filter(|it| it.sent.get() > 0).map(|it| it.status.get())
            }
            _ => self.exchange.map(|it| it.status.get()),
        }
    }

    /// How many bytes of the body came.
    pub fn received(&self) -> u64 {
        self.exchange.map_or(0, |exchange| exchange.received.get())
    }

    /// How many bytes were written in answer, head and all.
    pub fn sent(&self) -> u64 {
        self.exchange.map_or(0, |exchange| exchange.sent.get())
    }

    /// How long it took from the head of the request to the end of the answer.
    pub fn took(&self) -> Duration {
        let now = self.transport.reactor().now();
        self.exchange.map_or(Duration::ZERO, |it| now.saturating_duration_since(it.began))
    }

    /// When it ended, that is now, on the wall.
    pub fn time(&self) -> SystemTime {
        self.transport.reactor().system_time()
    }

    /// As a line of the combined log format, which most readers of logs know, without the line's end.
    pub fn combined(&self) -> impl fmt::Display + use<'_, 'a> {
        written(|f| {
            match self.peer().ip() {
                Some(ip) => write!(f, "{ip}")?,
                None => f.write_str("-")?,
            }
            write!(f, " - - [{}] \"", CommonDate(self.time()))?;
            if let Some(head) = self.head() {
                write!(
                    f,
                    "{} {} {}",
                    head.method(),
                    head.target().as_str().escape_default(),
                    head.version()
                )?;
            }
            match self.status() {
                Some(status) => write!(f, "\" {} {}", status.code(), self.sent())?,
                None => write!(f, "\" - {}", self.sent())?,
            }
            for name in ["referer", "user-agent"] {
                match self.headers().and_then(|headers| headers.get(name)) {
                    Some(value) => write!(f, " \"{}\"", value.escape_ascii())?,
                    None => f.write_str(" \"-\"")?,
                }
            }
            Ok(())
        })
    }

    /// As an object of JSON on one line, without the line's end.
    pub fn json(&self) -> impl fmt::Display + use<'_, 'a> {
        written(|f| {
            write!(f, "{{\"time\":\"{}\",\"peer\":", httpdate::fmt_http_date(self.time()))?;
            json_text(f, self.peer().to_string().as_bytes())?;
            if let Some(head) = self.head() {
                write!(f, ",\"method\":\"{}\",\"target\":", head.method())?;
                json_text(f, head.target().as_str().as_bytes())?;
            }
            if let Some(status) = self.status() {
                write!(f, ",\"status\":{}", status.code())?;
            }
            let took = self.took().as_micros();
            write!(
                f,
                ",\"received\":{},\"sent\":{},\"took_us\":{took}",
                self.received(),
                self.sent()
            )?;
            for name in ["referer", "user-agent"] {
                if let Some(value) = self.headers().and_then(|headers| headers.get(name)) {
                    write!(f, ",\"{name}\":")?;
                    json_text(f, value)?;
                }
            }
            let outcome = match self.outcome {
                Outcome::Answered => "answered",
                Outcome::Failed => "failed",
                Outcome::Refused(_) => "refused",
                Outcome::Abandoned => "abandoned",
            };
            write!(f, ",\"outcome\":\"{outcome}\"")?;
            if let Outcome::Refused(reason) = self.outcome {
                f.write_str(",\"why\":")?;
                json_text(f, reason.to_string().as_bytes())?;
            }
            f.write_str("}")
        })
    }

    fn head(&self) -> Option<&'a RequestHead> {
        self.exchange.map(|exchange| &exchange.head)
    }
}

/// What a closure writes: `std::fmt::from_fn`, which the minimal Rust version does not have.
fn written<F>(write: F) -> impl fmt::Display
where
    F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
{
    struct Written<F>(F);

    impl<F> fmt::Display for Written<F>
    where
        F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
    {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.0)(f)
        }
    }

    Written(write)
}

/// A text of JSON; bytes that are no UTF-8 are replaced.
fn json_text(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            // Also what moves a terminal's cursor, or turns the direction of what follows.
            it if it.is_control()
                || matches!(it, '\u{200e}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                let mut units = [0; 2];
                for unit in it.encode_utf16(&mut units) {
                    write!(f, "\\u{unit:04x}")?;
                }
            }
            it => write!(f, "{it}")?,
        }
    }
    f.write_str("\"")
}

/// `28/Nov/2026:16:34:03 +0000`.
struct CommonDate(SystemTime);

impl fmt::Display for CommonDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Sat, 28 Nov 2026 16:34:03 GMT`
        let date = httpdate::fmt_http_date(self.0);
        let mut parts = date.split(' ').skip(1);
        let mut part = || parts.next().unwrap_or_default();
        write!(f, "{}/{}/{}:{} +0000", part(), part(), part(), part())
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("outcome", &self.outcome)
            .field("method", &self.method())
            .field("target", &self.target())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
