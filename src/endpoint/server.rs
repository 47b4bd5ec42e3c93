//! Places to listen at.

use super::arguments::Arguments;
use super::grammar::{BadEndpoint, Description};
use super::haproxy::behind_proxy;
use super::inherited::{Choice, passed};
use crate::deferred::IntoDeferred;
use crate::failure::Result;
use crate::net::port::{BACKLOG, Welcome, reception};
use crate::net::{CannotListen, ListenUnix, Port};
use crate::protocol::Factory;
use crate::reactor::{Loop, Reactor};
use crate::stream::{Stream, service};
use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::rc::Rc;
use std::str::FromStr;

/// Where to listen, parsed from a text such as `tcp:8080:interface=127.0.0.1`.
///
/// ```
/// use ropewalk::endpoint::ServerEndpoint;
/// use ropewalk::{Address, Protocol, Reactor, Result, Transport};
///
/// struct Echo;
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
/// let reactor = Reactor::new()?;
/// let endpoint: ServerEndpoint = "tcp:0:interface=127.0.0.1".parse()?;
/// let port = endpoint.listen(&reactor, |_: &Address| Echo)?;
/// assert_ne!(port.host().port(), Some(0)); // the system chose one
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "serverFromString")]
#[doc(alias = "IStreamServerEndpoint")]
pub struct ServerEndpoint {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Tcp { interface: String, port: u16, backlog: u32 },
    Unix(ListenUnix),
    Descriptor(u32),
    Passed(Choice),
    Behind(Box<Kind>),
}

impl ServerEndpoint {
    /// Accepts connections and gives each a protocol of the factory's.
    ///
    /// Fails with [`CannotListen`]. An interface that is a host name is looked up while you wait.
    #[doc(alias = "listenTCP")]
    pub fn listen<F>(&self, reactor: &Reactor, factory: F) -> Result<Port>
    where
        F: Factory + 'static,
    {
        self.open(reactor, reception(factory))
    }

    /// Accepts connections and runs the handler for each, in a task of its own.
    ///
    /// ```
    /// use futures_util::AsyncWriteExt;
    /// use ropewalk::Reactor;
    /// use ropewalk::endpoint::ServerEndpoint;
    ///
    /// let reactor = Reactor::new()?;
    /// let endpoint: ServerEndpoint = "tcp:0:interface=127.0.0.1".parse()?;
    /// endpoint.serve(&reactor, async |mut stream| {
    ///     stream.write_all(b"good day\r\n").await?;
    ///     Ok(())
    /// })?;
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn serve<H, R>(&self, reactor: &Reactor, handler: H) -> Result<Port>
    where
        H: AsyncFn(Stream) -> R + 'static,
        R: IntoDeferred<Output = ()> + 'static,
    {
        self.open(reactor, service(handler))
    }

    fn open(&self, reactor: &Reactor, welcome: Box<dyn Welcome>) -> Result<Port> {
        let port = self.kind.open(reactor.inner(), welcome);
        Ok(port.map_err(|cause| CannotListen::new(&self.text, cause))?)
    }
}

impl Kind {
    fn open(&self, inner: &Rc<Loop>, welcome: Box<dyn Welcome>) -> io::Result<Port> {
        match self {
            Kind::Tcp { interface, port, backlog } => {
                let addresses = (interface.as_str(), *port).to_socket_addrs()?;
                inner.listen_first(addresses, *backlog, welcome)
            }
            Kind::Unix(at) => inner.listen_at_unix(at, welcome),
            Kind::Descriptor(number) => inner.listen_inherited(*number, welcome),
            Kind::Passed(choice) => inner.listen_inherited(passed(choice)?, welcome),
            Kind::Behind(kind) => kind.open(inner, behind_proxy(welcome)),
        }
    }
}

impl FromStr for ServerEndpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<ServerEndpoint, BadEndpoint> {
        let kind = parse_kind(text, Description::parse(text)?)?;
        Ok(ServerEndpoint { text: text.to_owned(), kind })
    }
}

fn parse_kind(text: &str, description: Description) -> Result<Kind, BadEndpoint> {
    match &*description.kind.text.to_ascii_lowercase() {
        "tcp" => parse_tcp(text, description, &["port", "interface", "backlog"], "0.0.0.0"),
        "tcp6" => parse_tcp(text, description, &["port", "backlog", "interface"], "::"),
        "unix" => parse_unix(text, description),
        "fd" => parse_descriptor(text, description),
        "systemd" => parse_systemd(text, description),
        "haproxy" => {
            let nested = description.into_nested(text)?;
            Ok(Kind::Behind(Box::new(parse_kind(text, nested)?)))
        }
        other => Err(unknown(text, &description, other)),
    }
}

fn parse_tcp(
    text: &str,
    description: Description,
    names: &'static [&'static str],
    everywhere: &str,
) -> Result<Kind, BadEndpoint> {
    let mut arguments = Arguments::new(text, description, names)?;
    let port = arguments.port()?;
    let backlog = arguments.number("backlog")?.unwrap_or(BACKLOG);
    let interface = arguments.take("interface").map(|word| word.text);
    let interface = interface.filter(|text| !text.is_empty()).unwrap_or(everywhere.into());
    Ok(Kind::Tcp { interface, port, backlog })
}

fn parse_unix(text: &str, description: Description) -> Result<Kind, BadEndpoint> {
    let mut arguments =
        Arguments::new(text, description, &["address", "mode", "backlog", "lockfile"])?;
    let name = arguments.require("address")?;
    if name.text.is_empty() {
        return Err(arguments.bad(&name, "the address is missing"));
    }
    let mode = arguments.octal("mode")?.unwrap_or(UNIX_MODE);
    let mut at = ListenUnix::new(&*name.text).mode(mode);
    if let Some(backlog) = arguments.number("backlog")? {
        at = at.backlog(backlog);
    }
    match arguments.number("lockfile")? {
        Some(0) => Ok(Kind::Unix(at.without_lock())),
        _ => Ok(Kind::Unix(at)),
    }
}

/// Twisted's own: whoever may enter the directory may connect.
const UNIX_MODE: u32 = 0o666;

fn parse_descriptor(text: &str, description: Description) -> Result<Kind, BadEndpoint> {
    let mut arguments = Arguments::new(text, description, &["number"])?;
    let number = arguments.require("number")?;
    let parsed = number.text.parse().ok().filter(|&number| number <= i32::MAX as u32);
    parsed.map(Kind::Descriptor).ok_or_else(|| arguments.bad(&number, "it is no descriptor"))
}

fn parse_systemd(text: &str, description: Description) -> Result<Kind, BadEndpoint> {
    let mut arguments = Arguments::new(text, description, &["domain", "index", "name"])?;
    // What the socket is, it says itself.
    if let Some(domain) = arguments.take("domain")
        && !["INET", "INET6", "UNIX"].contains(&&*domain.text.to_ascii_uppercase())
    {
        return Err(arguments.bad(&domain, "the domain is INET, INET6 or UNIX"));
    }
    match (arguments.number("index")?, arguments.take("name")) {
        (Some(index), None) => Ok(Kind::Passed(Choice::Index(index))),
        (None, Some(name)) => Ok(Kind::Passed(Choice::Name(name.text))),
        _ => {
            let end = text.len();
            Err(BadEndpoint::new(text, end..end, "either an index or a name was expected"))
        }
    }
}

fn unknown(text: &str, description: &Description, kind: &str) -> BadEndpoint {
    let problem = match kind {
        "tls" | "ssl" | "stdio" => {
            format!("this build has no {kind} servers, only {KINDS}")
        }
        _ if kind.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("a port needs its type, as in tcp:{kind}")
        }
        _ => format!("there is no such type of server, only {KINDS}"),
    };
    BadEndpoint::new(text, description.kind.at.clone(), problem)
}

const KINDS: &str = "tcp, tcp6, unix, fd, systemd, haproxy";

impl fmt::Display for ServerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Kind, String> {
        let endpoint = text.parse::<ServerEndpoint>();
        let bad = |bad: BadEndpoint| format!("{}: {}", bad.position(), bad.problem());
        endpoint.map(|endpoint| endpoint.kind).map_err(bad)
    }

    fn tcp(interface: &str, port: u16, backlog: u32) -> Result<Kind, String> {
        Ok(Kind::Tcp { interface: interface.into(), port, backlog })
    }

    #[test]
    fn tcp_and_tcp6_take_their_arguments_in_orders_of_their_own() {
        assert_eq!(parsed("tcp:80"), tcp("0.0.0.0", 80, BACKLOG));
        assert_eq!(parsed("tcp:80:10.0.0.1:7"), tcp("10.0.0.1", 80, 7));
        assert_eq!(parsed(r"TCP:port=80:interface=\:\:1"), tcp("::1", 80, BACKLOG));
        assert_eq!(parsed("tcp:80:"), tcp("0.0.0.0", 80, BACKLOG));
        assert_eq!(parsed("tcp6:80"), tcp("::", 80, BACKLOG));
        assert_eq!(parsed(r"tcp6:80:7:\:\:1"), tcp("::1", 80, 7));
    }

    #[test]
    fn a_unix_address_takes_its_mode_in_octal_and_a_lock_unless_told_otherwise() {
        let unix = |at: ListenUnix| Ok(Kind::Unix(at));
        let at = || ListenUnix::new("/run/s").mode(0o666);
        assert_eq!(parsed("unix:/run/s"), unix(at()));
        assert_eq!(parsed("unix:/run/s:660:7"), unix(at().mode(0o660).backlog(7)));
        assert_eq!(parsed("unix:address=/run/s:lockfile=0"), unix(at().without_lock()));
    }

    #[test]
    fn inherited_sockets_are_chosen_by_number_index_or_name() {
        assert_eq!(parsed("fd:7"), Ok(Kind::Descriptor(7)));
        let passed = |choice| Ok(Kind::Passed(choice));
        assert_eq!(parsed("systemd:domain=INET:index=1"), passed(Choice::Index(1)));
        assert_eq!(parsed("systemd:name=http"), passed(Choice::Name("http".into())));
    }

    #[test]
    fn behind_haproxy_stands_another_description_as_it_is() {
        let behind = |kind: Result<Kind, String>| kind.map(|kind| Kind::Behind(Box::new(kind)));
        assert_eq!(parsed("haproxy:tcp:80:backlog=7"), behind(tcp("0.0.0.0", 80, 7)));
        let at = ListenUnix::new("/a:b").mode(0o666);
        assert_eq!(parsed(r"haproxy:unix:/a\:b"), behind(Ok(Kind::Unix(at))));
    }

    #[test]
    fn a_bad_description_says_where_and_why() {
        for (text, want) in [
            ("8080", "0: a port needs its type, as in tcp:8080"),
            ("tcp", "3: the port is missing"),
            ("tcp:", "4: the port is a number from 0 to 65535"),
            ("tcp:80:backlog=many", "15: the backlog is a number"),
            ("tcp:80:port=80", "7: the port is given twice"),
            ("unix:", "5: the address is missing"),
            ("unix:/s:mode=89", "13: the mode is an octal number"),
            ("fd:-1", "3: it is no descriptor"),
            ("systemd:domain=TCP:index=0", "15: the domain is INET, INET6 or UNIX"),
            ("systemd:index=0:name=a", "22: either an index or a name was expected"),
            ("haproxy", "7: another description was expected after it, as in haproxy:tcp:80"),
            (
                r"haproxy:tcp\:80",
                "8: there is no such type of server, only tcp, tcp6, unix, fd, systemd, haproxy",
            ),
            ("haproxy:tcp:http", "12: the port is a number from 0 to 65535"),
            (
                "tls:/etc/certs",
                "0: this build has no tls servers, only tcp, tcp6, unix, fd, systemd, haproxy",
            ),
            (
                "gopher:70",
                "0: there is no such type of server, only tcp, tcp6, unix, fd, systemd, haproxy",
            ),
        ] {
            assert_eq!(parsed(text), Err(want.into()), "{text}");
        }
    }

    #[test]
    fn an_interface_of_somebody_else_is_an_error_that_names_the_endpoint() {
        let reactor = Reactor::new().unwrap();
        let endpoint: ServerEndpoint = "tcp:0:interface=192.0.2.1".parse().unwrap();
        let failure = endpoint.serve(&reactor, async |_| Ok(())).unwrap_err();
        assert!(failure.is::<CannotListen>());
        assert!(failure.to_string().starts_with("cannot listen at tcp:0:interface=192.0.2.1: "));
    }
}
