// Events that a server sends for as long as a page listens: HTML, 9.2.
//
// # Theory
// An event is lines, and an empty one behind them. A line of data cannot have a line's end in it, so each
// line of a text becomes a line of data; a name or an id cannot at all. A connection on which nothing is
// said is cut off by what lies between, and a peer that is gone is noticed only by a write: so a comment
// is sent every 15 seconds.

use super::answering::Writing;
use super::headers::InvalidHeader;
use super::request::Request;
use futures_util::future::{Either, select};
use std::fmt::{self, Write};
use std::pin::pin;
use std::time::Duration;

/// One event; see [`EventStream`].
///
/// ```
/// use ropewalk::http::ServerEvent;
///
/// let event = ServerEvent::new("two\nlines").name("note").id("7");
/// assert_eq!(event.to_string(), "event: note\nid: 7\ndata: two\ndata: lines\n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerEvent {
    data: String,
    name: Option<String>,
    id: Option<String>,
    retry: Option<Duration>,
}

impl ServerEvent {
    /// An event with a text.
    pub fn new(data: impl Into<String>) -> ServerEvent {
        ServerEvent { data: data.into(), ..ServerEvent::default() }
    }

    /// What kind it is; a page listens for that name. What follows a line's end in it is left out.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> ServerEvent {
        ServerEvent { name: Some(line(name.into())), ..self }
    }

    /// What a page names in [`Request::last_event_id`] when it comes again. What follows a line's end, or
    /// a NUL, in it is left out.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> ServerEvent {
        ServerEvent { id: Some(line(id.into())), ..self }
    }

    /// How long a page that was cut off waits before it comes again.
    #[must_use]
    pub fn retry(self, after: Duration) -> ServerEvent {
        ServerEvent { retry: Some(after), ..self }
    }
}

impl<T: Into<String>> From<T> for ServerEvent {
    fn from(data: T) -> ServerEvent {
        ServerEvent::new(data)
    }
}

fn line(mut text: String) -> String {
    let end = text.find(['\r', '\n', '\0']).unwrap_or(text.len());
    text.truncate(end);
    text
}

impl fmt::Display for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            writeln!(f, "event: {name}")?;
        }
        if let Some(id) = &self.id {
            writeln!(f, "id: {id}")?;
        }
        if let Some(after) = self.retry {
            writeln!(f, "retry: {}", after.as_millis())?;
        }
        // CR alone ends a line too, as a page reads it.
        let data = self.data.replace("\r\n", "\n").replace('\r', "\n");
        for line in data.split('\n') {
            writeln!(f, "data: {line}")?;
        }
        f.write_char('\n')
    }
}

/// An answer of events, which a page listens to (`EventSource`); [`Request::event_stream`] begins it.
///
/// It ends when it is dropped, or when the site stops: pages come again by themselves, and find another.
///
/// ```
/// use ropewalk::http::{Request, ServerEvent, leaf};
/// use std::time::Duration;
///
/// let clock = leaf(async |request: Request| {
///     let events = request.event_stream()?;
///     for second in 0.. {
///         events.send(ServerEvent::new(format!("{second} s")).id(second.to_string())).await?;
///         ropewalk::sleep(Duration::from_secs(1)).await;
///     }
///     Ok(())
/// });
/// # let _ = clock;
/// ```
#[derive(Debug)]
pub struct EventStream {
    request: Request,
}

/// A comment goes out each time that so long nothing has.
const ALIVE: Duration = Duration::from_secs(15);

impl Request {
    /// Answers with events, now and later.
    pub fn event_stream(&self) -> Result<EventStream, InvalidHeader> {
        self.set_header("Content-Type", "text/event-stream")?;
        self.set_header("Cache-Control", "no-cache")?;
        // The head goes out now: a page is told that it is heard.
        let _not_awaited = self.write("");
        let request = self.clone();
        drop(self.reactor().spawn(async move {
            keep_alive(&request).await;
            Ok(())
        }));
        Ok(EventStream { request: self.clone() })
    }

    /// The id of the last event that a page has seen, if it comes again.
    #[doc(alias = "Last-Event-ID")]
    pub fn last_event_id(&self) -> Option<&str> {
        self.header("last-event-id")
    }
}

/// Says something now and then, and ends the answer when the site stops.
async fn keep_alive(request: &Request) {
    loop {
        let silence = pin!(request.reactor().sleep(ALIVE));
        match select(request.draining(), silence).await {
            Either::Left(_) => break,
            // Who writes meanwhile has more said than is needed, and no harm done.
            Either::Right(_) => {
                let _not_awaited = request.write(":\n\n");
            }
        }
    }
    if !request.is_finished() {
        request.finish();
    }
}

impl EventStream {
    /// Sends an event; awaited, it waits until the peer has taken enough. Once the peer is gone it fails, if
    /// it is awaited, and does nothing otherwise.
    pub fn send(&self, event: impl Into<ServerEvent>) -> Writing<'_> {
        self.request.write(event.into().to_string())
    }

    /// Whether nobody listens any more.
    pub fn is_lost(&self) -> bool {
        self.request.is_lost()
    }

    /// The request that it answers.
    pub fn request(&self) -> &Request {
        &self.request
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if !self.request.is_finished() {
            self.request.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_an_event_early_or_begins_another_field() {
        for (event, text) in [
            (ServerEvent::new(""), "data: \n\n"),
            (ServerEvent::new("a\r\nb\rc\n"), "data: a\ndata: b\ndata: c\ndata: \n\n"),
            (ServerEvent::new("x").name("n\ndata: y"), "event: n\ndata: x\n\n"),
            (ServerEvent::new("x").id("1\0 2\r3"), "id: 1\ndata: x\n\n"),
            (ServerEvent::new("x").retry(Duration::from_secs(2)), "retry: 2000\ndata: x\n\n"),
        ] {
            assert_eq!(event.to_string(), text);
        }
    }
}
