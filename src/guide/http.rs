//! HTTP: a server in both faces, from one line to a site.
//!
//! # One handler
//! ```no_run
//! use ropewalk::{Reactor, Result, http};
//!
//! fn main() -> Result {
//!     let reactor = Reactor::new()?;
//!     http::serve(&reactor, "127.0.0.1:8080", async |request| {
//!         let text = request.body().text().await?;
//!         Ok(text.to_uppercase())
//!     })?;
//!     reactor.run()
//! }
//! ```
//!
//! What a handler returns is its answer: a text, bytes, a [`Status`], a [`Response`], an `Option` (404 for
//! none), a Deferred of these ([`IntoReply`]). What it fails with is 500 and a report; an [`Error`] is an
//! answer instead. Callbacks are handlers too, where the type of what they take is written:
//! `|request: &Request| Ok("hello")`.
//!
//! # A site
//! ```
//! use ropewalk::http::{Error, ErrorPages, Request, Response, Routes, Site, Status};
//! use ropewalk::{Reactor, Result};
//! use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
//!
//! type Notes = Rc<RefCell<BTreeMap<String, String>>>;
//!
//! fn routes(notes: &Notes) -> Result<Routes> {
//!     let mut routes = Routes::new();
//!     let shelf = notes.clone();
//!     routes.get("/notes/{name}", move |request: &Request| {
//!         Ok(request.param("name").and_then(|name| shelf.borrow().get(&*name).cloned()))
//!     })?;
//!     let shelf = notes.clone();
//!     routes.put("/notes/{name}", async move |request: Request| {
//!         let text = request.body().read_all(10_000).await?; // more is 413, by the `?`
//!         let text = String::from_utf8(text).map_err(|_| Error::from(Status::BAD_REQUEST))?;
//!         let name = request.param("name").ok_or(Error::from(Status::NOT_FOUND))?.into_owned();
//!         let former = shelf.borrow_mut().insert(name, text);
//!         Ok(if former.is_some() { Status::NO_CONTENT } else { Status::CREATED })
//!     })?;
//!     Ok(routes)
//! }
//!
//! let reactor = Reactor::new()?;
//! let pages = ErrorPages::new(routes(&Notes::default())?, |request, error| {
//!     Response::from(format!("{}: {}\n", request.path(), error.message()))
//! });
//! let site = Site::new(pages).on_exchange(|record| println!("{}", record.combined()));
//! reactor.listen("127.0.0.1:0", site)?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! A [`Site`] is a [`Factory`](crate::Factory): it listens wherever one does, `"tls:/etc/certs:443"`, a Unix
//! socket, behind a PROXY header, under a [policy](crate::policies), in the simulator. [`Routes`], [`Tree`],
//! [`VirtualHosts`] are resources and nest. Who wants something of every request puts a resource around
//! the others, and hands on by [`Request::render_by`].
//!
//! # Bodies
//! A handler is called when the head is there. The body comes when it is asked for, and no faster than it is
//! read:
//!
//! | to read | as a task | as callbacks |
//! |---|---|---|
//! | all, within a limit | `request.body().read_all(limit).await?` | the same Deferred, with a callback |
//! | piece by piece | `body.chunk().await?`, or `AsyncBufRead` | [`Body::deliver`] to a [`BodyProtocol`] |
//!
//! | to write | as a task | as callbacks |
//! |---|---|---|
//! | what is there | return it | return it, or [`Request::respond`] |
//! | piece by piece | `request.write(piece).await?` and [`Request::finish`] | [`Request::register_producer`] |
//! | a reader, a file | [`Outgoing::reader`], [`Outgoing::File`] | the same |
//!
//! A handler that refuses an upload simply answers: what is still coming is read and dropped, so that the
//! peer gets to read the answer.
//!
//! # Going away
//! A peer may go while its answer is made. [`Request::lost`] is a future for that, to be raced with the work;
//! [`Request::notify_finish`] a Deferred that fails. What is written afterwards is dropped.
//!
//! [`Site::drain`] ends a site in order; a port that is closed by a [service](crate::service) does so by itself.
//!
//! # Limits
//! They are on, and stand in one place: [`Limits`]. A head has 10 s, a connection without a request 60 s, a
//! body and a peer that reads 240 bytes a second after 5 s, a site 10 000 connections.
//!
//! # Testing
//! A site needs no port to be tested: a simulated host listens, another one connects, and time is virtual.
//!
//! ```
//! # #[cfg(feature = "simulation")] {
//! use ropewalk::http::{Request, Site};
//! use ropewalk::prelude::*;
//! use ropewalk::simulation::Simulation;
//! use std::time::Duration;
//!
//! let simulation = Simulation::new(7);
//! let site = Site::of(async |_: Request| {
//!     ropewalk::sleep(Duration::from_secs(3600)).await;
//!     Ok("an hour later")
//! });
//! simulation.host("server").reactor().listen("0.0.0.0:80", site)?;
//! let opening = simulation.host("client").reactor().open("server:80");
//! let answer = simulation.run_until(async move {
//!     let mut stream = opening.await?;
//!     stream.write_all(b"GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n").await?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer).await?;
//!     Ok(answer)
//! })?;
//! assert!(answer.ends_with("an hour later"));
//! # }
//! # Ok::<(), ropewalk::Failure>(())
//! ```

#[cfg(doc)]
use crate::http::*;
