// Values that both directions and all versions share stand here, one file each; `h1/` is HTTP/1 as bytes,
// `websocket/` its frames, `server/` a site and its connections. A head is one block of bytes with spans into
// it (`block`), which `Headers` and the heads of `h1` read and write. Which bytes may stand where is asked of
// `syntax` alone.
//
// What a handler meets: `request` and `answering` are the two halves of its handle, `body` what comes in,
// `response` what goes out, `reply` what it may return, `resource` how it is found.
//
// Everything above `h1/` uses public paths of the other rooms only.

//! HTTP: a server in both faces, and the sans-io core that it is made of.
//!
//! ```no_run
//! use ropewalk::http::{self, Request, Site, leaf};
//! use ropewalk::{Reactor, Result};
//!
//! fn main() -> Result {
//!     let reactor = Reactor::new()?;
//!     // async: one handler for everything
//!     http::serve(&reactor, "127.0.0.1:8080", async |request| {
//!         let upload = request.body().read_all(1 << 20).await?;
//!         Ok(format!("{} bytes from {}", upload.len(), request.peer()))
//!     })?;
//!     // callbacks, and what else a site can be told
//!     let site = Site::new(leaf(|request: &Request| Ok(format!("hello, {}", request.peer()))))
//!         .on_exchange(|record| println!("{}", record.combined()));
//!     reactor.listen("127.0.0.1:8081", site)?;
//!     reactor.run()
//! }
//! ```
//!
//! # What there is
//! | for | there is |
//! |---|---|
//! | serving | [`serve`], and [`Site`], a [`Factory`](crate::Factory): any endpoint, TLS, Unix sockets, policies, the simulator carry it |
//! | answering | a handler in either face ([`leaf`]), or a [`Resource`]; what it returns is an [`IntoReply`] |
//! | what was asked | [`Request`], [`Headers`], [`Target`], [`Body`] |
//! | what is answered | [`Response`] with an [`Outgoing`] body; or piece by piece, by [`Request`]'s methods |
//! | finding who answers | [`Routes`] by pattern and method, [`Tree`] as in Twisted, [`VirtualHosts`], [`Redirect`]; they nest |
//! | errors that are answers | [`Error`]; [`ErrorPages`] gives them a page |
//! | proxies before this server | [`Site::trusting`], [`Request::client`] |
//! | looking on | [`Site::on_exchange`] with a [`Record`] of each |
//! | bytes alone | [`h1::Machine`], both roles; with the feature `websocket` the module of that name |
//!
//! # Rules
//! * A handler is called when the head is there; the body comes when it is asked for, and `100 Continue` is
//!   sent then. Who answers without asking gets rid of the body: 256 KiB of it are dropped, beyond that the
//!   connection ends once the peer had time to read the answer.
//! * One request of a connection is handled at a time, and answers leave in the order of their requests.
//! * A handler that fails is answered for with 500 and reported; so is one that forgets its request. An
//!   [`Error`] is an answer, and nothing is reported.
//! * What a peer may make this end hold or wait for is limited, by default; [`Limits`].
//! * Strict: what two readers could read in two ways is refused, with a sentence and the place; the
//!   table of all refusals stands at [`h1`].
//! * Fields keep their order and case; [`Headers`].
//! * The framing of messages, `Content-Length`, `Transfer-Encoding` and what `Connection` must say, is the
//!   server's; so is `Date`.
//!
//! # Deviations from Twisted
//! | Twisted | here |
//! |---|---|
//! | `NOT_DONE_YET` | `()`, which is "later"; a request that everybody forgets is answered with 500 |
//! | the resource is looked for when the whole body is there | when the head is |
//! | 100 is sent at once | when the body is first asked for |
//! | the timeout is moved by every byte, and off while a request is handled | each phase has its deadline |
//! | `write` after a loss raises | it does nothing |

mod answering;
mod authentication;
mod block;
mod body;
mod conditional;
mod cookie;
mod events;
mod files;
mod form;
mod forwarded;
mod guard;
pub mod h1;
mod headers;
mod limits;
mod list;
mod method;
mod multipart;
mod names;
mod parameters;
mod reply;
mod request;
mod resource;
mod response;
mod routes;
mod server;
mod status;
mod syntax;
mod target;
mod tree;
mod url;
mod version;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use answering::{BodyProducer, Draining, Lost, Writing};
pub use body::{Body, BodyProtocol};
pub use conditional::{EntityTag, Precondition, Validators};
pub use cookie::{Cookie, InvalidCookie, SameSite};
pub use events::{EventStream, ServerEvent};
pub use files::Files;
pub use form::Form;
pub use forwarded::{InvalidIpRange, IpRange};
pub use guard::{Guard, User, Verdict};
pub use headers::{Headers, InvalidHeader};
pub use limits::Limits;
pub use method::{InvalidMethod, Method, MethodName};
pub use multipart::{InvalidMultipart, Multipart, MultipartLimits, Part, PartHead};
pub use reply::{Error, IntoReply, Reply};
pub use request::Request;
pub use resource::{Awaited, Called, Handler, Leaf, Resource, leaf};
pub use response::{Outgoing, Response};
pub use routes::{RouteError, Routes};
pub use server::{HttpProtocol, Outcome, Record, Site, serve};
pub use status::Status;
pub(crate) use target::percent_decode;
pub use target::{InvalidEscape, InvalidTarget, Target, TargetForm};
pub use tree::{ErrorPages, Redirect, Tree, VirtualHosts};
pub use url::{InvalidUrl, Url};
pub use version::Version;
