//! A page that is told of events while it is open: server-sent events, one stream to each browser.
//!
//!     cargo run --features http --example http_events
//!
//! Then open http://127.0.0.1:8080/ in some windows, or `curl -N http://127.0.0.1:8080/events`.

use ropewalk::http::{IntoReply, Reply, Request, Response, Routes, Site};
use ropewalk::{Reactor, Result};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const PAGE: &str = "<!doctype html><title>Ticks</title><h1>Ticks</h1><ol id=list></ol><script>
new EventSource('/events').onmessage = event => {
  list.append(Object.assign(document.createElement('li'), {textContent: event.data}));
}</script>";

/// Whoever is connected.
type Listeners = Rc<RefCell<Vec<Request>>>;

fn main() -> Result {
    let reactor = Reactor::new()?;
    let listeners = Listeners::default();
    let mut routes = Routes::new();
    routes.get("/", |_: &Request| {
        Ok(Response::from(PAGE).header("Content-Type", "text/html; charset=utf-8")?)
    })?;
    let joining = listeners.clone();
    routes.get("/events", move |request: &Request| join(&joining, request))?;
    let ticks = Cell::new(0);
    let ticker = reactor.clone();
    reactor.spawn(async move {
        loop {
            ticker.sleep(Duration::from_secs(1)).await;
            ticks.set(ticks.get() + 1);
            tell(&listeners, &format!("data: tick {}\n\n", ticks.get()));
        }
        #[allow(unreachable_code, reason = "the type of the task")]
        Ok(())
    });
    let port = reactor.listen("127.0.0.1:8080", Site::new(routes))?;
    println!("Listening on {}", port.host());
    reactor.run()
}

fn join(listeners: &Listeners, request: &Request) -> Result<Reply> {
    request.set_header("Content-Type", "text/event-stream")?;
    request.set_header("Cache-Control", "no-store")?;
    request.write("retry: 1000\n\n");
    listeners.borrow_mut().push(request.clone());
    Ok(().into_reply())
}

fn tell(listeners: &Listeners, event: &str) {
    listeners.borrow_mut().retain(|request| !request.is_lost());
    for request in &*listeners.borrow() {
        request.write(event);
    }
}
