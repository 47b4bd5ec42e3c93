//! Places to listen at.

use super::arguments::Arguments;
use super::grammar::{BadEndpoint, Description};
use crate::deferred::IntoDeferred;
use crate::failure::Result;
use crate::net::port::{BACKLOG, Welcome, reception};
use crate::net::{CannotListen, Port};
use crate::protocol::Factory;
use crate::reactor::Reactor;
use crate::stream::{Stream, service};
use std::fmt;
use std::net::ToSocketAddrs;
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
        let cannot = |cause| CannotListen::new(&self.text, cause);
        match &self.kind {
            Kind::Tcp { interface, port, backlog } => {
                let addresses = (interface.as_str(), *port).to_socket_addrs().map_err(cannot)?;
                Ok(reactor.inner().listen_first(addresses, *backlog, welcome).map_err(cannot)?)
            }
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

fn unknown(text: &str, description: &Description, kind: &str) -> BadEndpoint {
    let problem = match kind {
        "unix" | "tls" | "ssl" | "stdio" => {
            format!("this build has no {kind} servers, only {KINDS}")
        }
        _ if kind.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("a port needs its type, as in tcp:{kind}")
        }
        _ => format!("there is no such type of server, only {KINDS}"),
    };
    BadEndpoint::new(text, description.kind.at.clone(), problem)
}

const KINDS: &str = "tcp, tcp6";

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
    fn a_bad_description_says_where_and_why() {
        for (text, want) in [
            ("8080", "0: a port needs its type, as in tcp:8080"),
            ("tcp", "3: the port is missing"),
            ("tcp:", "4: the port is a number from 0 to 65535"),
            ("tcp:80:backlog=many", "15: the backlog is a number"),
            ("tcp:80:port=80", "7: the port is given twice"),
            ("gopher:70", "0: there is no such type of server, only tcp, tcp6"),
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
