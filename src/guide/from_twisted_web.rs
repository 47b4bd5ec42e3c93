//! From twisted.web: what it is called here, and what differs.
//!
//! | twisted.web | here |
//! |---|---|
//! | `server.Site(resource)` | [`Site::new`]`(resource)` |
//! | `Resource`, `getChild`, `isLeaf`, `render_GET` | [`Resource`] with `child`, `is_leaf`, `render`; or a handler: [`leaf`], [`Routes`] |
//! | `putChild(b"a", r)` | [`Tree::put`]`("a", r)` |
//! | `return b"..."` | `Ok("...")`, anything that is an [`IntoReply`] |
//! | `return NOT_DONE_YET` | `Ok(())`, with a clone of the request kept |
//! | `inlineCallbacks` around it | `async \|request: Request\| ..` |
//! | `request.write`, `finish` | [`Request::write`], [`Request::finish`] |
//! | `request.args` | [`Request::query`], [`Request::pairs`]; a form is read from the body |
//! | `request.content` | [`Request::body`], which is still on its way |
//! | `request.postpath`, `prepath` | [`Request::rest`], [`Request::segment`] |
//! | `setResponseCode`, `setHeader` | [`Request::set_status`], [`Request::set_header`], or a [`Response`] |
//! | `request.redirect` | [`Request::redirect`] |
//! | `notifyFinish` | [`Request::notify_finish`]; [`Request::lost`] to await |
//! | `registerProducer` | [`Request::register_producer`], with the request in the transport's place |
//! | `util.Redirect`, `NameVirtualHost`, `ErrorPage` | [`Redirect`], [`VirtualHosts`], [`ErrorPages`] |
//! | `web.error.Error(404, "..")` raised | `Err(`[`Error::new`]`(Status::NOT_FOUND, "..").into())` |
//! | `Site(logPath=..)` | [`Site::on_exchange`] with [`Record::combined`] |
//! | `static.File` | [`Files`] |
//!
//! ```text
//! class Greeting(resource.Resource):
//!     isLeaf = True
//!     def render_GET(self, request):
//!         def greet(name):
//!             request.write(b"hello, " + name)
//!             request.finish()
//!         look_up(request.args[b"id"][0]).addCallback(greet)
//!         return server.NOT_DONE_YET
//!
//! reactor.listenTCP(8080, server.Site(Greeting()))
//! ```
//!
//! ```
//! use ropewalk::http::{Request, Site};
//! use ropewalk::{Deferred, Reactor, succeed};
//!
//! fn look_up(id: &str) -> Deferred<String> {
//!     succeed(format!("number {id}"))
//! }
//!
//! let reactor = Reactor::new()?;
//! // A Deferred is an answer:
//! let greeting = |request: &Request| {
//!     let id = request.query("id").unwrap_or_default();
//!     Ok(look_up(&id).map(|name| format!("hello, {name}")))
//! };
//! reactor.listen("127.0.0.1:0", Site::of(greeting))?;
//! // and so is what comes after awaiting one:
//! let greeting = async |request: Request| {
//!     let name = look_up(&request.query("id").unwrap_or_default()).await?;
//!     Ok(format!("hello, {name}"))
//! };
//! reactor.listen("127.0.0.1:0", Site::of(greeting))?;
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # What differs
//! * The resource is looked for when the head is there, not after the whole body: an upload can be
//!   refused before it is sent, and `100 Continue` is sent when the body is asked for.
//! * A request that is forgotten is answered with 500 and reported with the line of its handler; it cannot
//!   hang.
//! * Deadlines are of each phase and cannot be put off by a byte a minute; `Limits` has them all.
//! * Requests are read strictly: no folded lines, no bare LF, one Host, one length. The
//!   [table](crate::http::h1#what-is-refused) has every refusal with its words.
//! * Answers of errors are one line of text, unless [`ErrorPages`] makes pages of them.
//! * `getHeader` gives the last field of a name; [`Request::header`] the first.
//! * There is no `Server` field unless a handler sets it.
//! * HTTP/1.0 keeps its connection where both ends ask for it.

#[cfg(doc)]
use crate::http::*;
