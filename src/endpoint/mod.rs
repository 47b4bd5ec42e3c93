//! Endpoints: where to listen and where to connect, as an address, as a text that a user can write, or in
//! code.
//!
//! A reactor's five verbs take them:
//!
//! | | callbacks | async |
//! |---|---|---|
//! | come in | [`Reactor::listen`] | [`Reactor::serve`], [`Reactor::accept`] |
//! | go out | [`Reactor::connect`] | [`Reactor::open`] |
//!
//! | where | server | client |
//! |---|---|---|
//! | an address | `"127.0.0.1:80"`, `("::1", 80)`, a `SocketAddr`, an [`Address`] | the same |
//! | a Unix socket | a path, a [`UnixName`] | the same |
//! | a description | `"tcp:80"`, `"tls:/etc/certs:443"` | `"tcp:example.org:80"`, `"tls:example.org:443"` |
//! | in code | [`ServerEndpoint::tcp`], [`unix`](ServerEndpoint::unix), [`listener`](ServerEndpoint::listener), [`stdio`](ServerEndpoint::stdio), [`custom`](ServerEndpoint::custom) | [`ClientEndpoint::tcp`], [`unix`](ClientEndpoint::unix), [`connected`](ClientEndpoint::connected), [`stdio`](ClientEndpoint::stdio), [`custom`](ClientEndpoint::custom), `process` |
//! | with options | `backlog reuse_port mode without_lock` | `bind timeout attempt_delay` |
//! | with layers | `tls behind_proxy` | `tls` |
//!
//! ```
//! use ropewalk::prelude::*;
//!
//! let reactor = Reactor::new()?;
//! for at in ["127.0.0.1:0", "localhost:0", "tcp:0:interface=127.0.0.1"] {
//!     let port = reactor.serve(at, async |mut stream| Ok(stream.write_all(b"hello").await?))?;
//!     reactor.run_until(reactor.open(&port.host()))?;
//! }
//! # Ok::<(), ropewalk::Failure>(())
//! ```
//!
//! # What a text is
//! 1. A socket address as the standard library reads it, `127.0.0.1:80`, `[::1]:80`; a scope is kept.
//! 2. Else a description, if the word before the first `:`, `=` or `\` is a type, in any case and
//!    whatever features are built.
//! 3. Else `host:number`.
//! 4. Else it is bad. `parse` says so; an endpoint that is made by `from`, or by a verb, keeps its error, and
//!    the verb tells it, with a caret under the place.
//!
//! A host that is called as a type is, is written with a dot, `tls.:443`, or in a description, `tcp:tls:443`.
//!
//! # Descriptions
//! A description is a type and its arguments, all separated by colons:
//! ```text
//!   type [ ":" argument ]*         argument = value | keyword "=" value
//! ```
//! A backslash takes the next character as it is, whatever it is. In an argument the first `=` ends a
//! keyword, later ones are part of the value. Arguments without a keyword are taken in the order of
//! the tables below. Types and keywords are read in any case. [`quote`] escapes a text for use as an
//! argument.
//!
//! | server | arguments, in order |
//! |---|---|
//! | `tcp` | `port`, `interface` (all of IPv4), `backlog` (1024) |
//! | `tcp6` | `port`, `backlog`, `interface` (`::`) |
//! | `unix` | `address`, `mode` (666, octal), `backlog`, `lockfile` (1) |
//! | `tls` | `path` (a directory of certificates and keys), `port` (443), `backlog`, `interface` (`::`), or instead of these three `endpoint` |
//! | `ssl` | `port`, `privateKey` (`server.pem`), `certKey` (the same), `sslmethod`, `interface`, `backlog`, `extraCertChain` |
//! | `stdio` | nothing: one connection, over standard input and output |
//! | `fd` | `number`: a listening socket that this process was started with |
//! | `systemd` | `domain` (`INET`, `INET6`, `UNIX`), `index` or `name`: one that systemd handed over |
//! | `haproxy` | another description as it is, `haproxy:tcp:80`: connections begin with a PROXY header |
//!
//! | client | arguments, in order |
//! |---|---|
//! | `tcp` | `host`, `port`, `timeout` (30 seconds), `bindAddress` |
//! | `unix` | `path`, `lockfile`, `timeout` |
//! | `tls` | `host`, `port`, `timeout`, `bindAddress`, `certificate`, `privateKey`, `trustRoots`, `endpoint` |
//! | `ssl` | `host`, `port`, `timeout`, `bindAddress`, `privateKey`, `certKey`, `caCertsDir`, `hostname` (the host) |
//! | `stdio` | nothing |
//! | `process` | a program and its arguments, one after the other: `process:/bin/cat:-u` |
//!
//! `tls` and `ssl` take the feature `tls`, `process` the feature of its name. What is called a
//! certificate, a key, roots or a chain is the name of a PEM file, or, for roots, of a directory of such.
//!
//! * `endpoint` is another description, escaped once more, that TLS is spoken at instead:
//!   `tls:example.org:443:endpoint=unix\:/run/relay`, `tls:/etc/certs:endpoint=haproxy\:tcp\:443`. The
//!   host is then only the name to be verified.
//! * A `tls` server shows each client the certificate of the name that it is called by, and sees
//!   renewed ones by itself: [`tls::ServerConfig::from_directory`](crate::tls::ServerConfig::from_directory).
//! * A `process` is started for each connection. What it writes to standard error goes where this
//!   process' own goes; the connection ends as the program does: well, or lost by
//!   [`ProcessTerminated`](crate::process::ProcessTerminated). One that is aborted kills it.
//!
//! # Deviations from Twisted's grammar
//! Types and keywords never depend on case (Twisted's do for some types); an argument given twice is
//! an error (there the later wins, or a `TypeError`); `tcp` clients use IPv6 as well; [`quote`] also
//! escapes `=`; `fd` is ours; a `unix` name that begins with `@` is one of Linux' abstract namespace.
//!
//! `ssl` clients verify the server, with `hostname` or without; a server's `sslmethod` may say
//! `TLS_METHOD` or `SSLv23_METHOD`, which it does anyway, and `dhParameters` have no use; files are
//! read when they are needed, not when the text is. The text for `process`, and `endpoint` for `tls`
//! servers, are ours: there both can be had as objects only. `haproxy` within
//! `haproxy` is refused.

// # Invariants
// * A description that cannot be used says where and why, with a caret under the place; none makes
//   a panic.
// * A socket that is named by its number, `fd` or `systemd`, is taken over: its port alone has it, and what
//   is open under the number afterwards is `/dev/null`. So it can be listened at once.
// * Nothing is opened, looked up or read before a verb is called.
//
// # Not here
// How connecting by name races its addresses: `net/connect/`.

mod arguments;
pub(crate) mod client;
mod from;
mod given;
mod grammar;
mod haproxy;
mod inherited;
pub(crate) mod listener;
mod open_ports;
#[cfg(feature = "process")]
mod program;
mod proxy_header;
#[cfg(feature = "tls")]
mod secure;
pub(crate) mod server;
mod server_text;
mod text;
mod verbs;

pub(crate) use client::ClientEndpoint;
pub use grammar::{EndpointError, quote};
pub(crate) use server::ServerEndpoint;

#[cfg(doc)]
use crate::address::{Address, UnixName};
#[cfg(doc)]
use crate::reactor::Reactor;

#[cfg(test)]
mod fuzz;
