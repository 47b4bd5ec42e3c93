//! Places to connect to.

use super::arguments::Arguments;
use super::grammar::{BadEndpoint, Description};
use crate::Address;
use crate::deferred::{Deferred, fail, succeed};
use crate::net::connection::Connection;
use crate::net::{ConnectTo, Connected};
use crate::protocol::{Factory, Protocol};
use crate::reactor::Reactor;
use crate::stream::Stream;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::str::FromStr;

/// Where to connect to, parsed from a text such as `tcp:example.org:80`.
///
/// ```
/// use futures_util::AsyncReadExt;
/// use ropewalk::Reactor;
/// use ropewalk::endpoint::{ClientEndpoint, ServerEndpoint};
///
/// let reactor = Reactor::new()?;
/// let server: ServerEndpoint = "tcp:0:interface=127.0.0.1".parse()?;
/// let port = server.serve(&reactor, async |_stream| Ok(()))?;
///
/// let address = port.host();
/// let client = format!("tcp:127.0.0.1:{}", address.port().unwrap_or_default());
/// let client: ClientEndpoint = client.parse()?;
/// let opening = client.open(&reactor);
/// let peer = reactor.run_until(async { Ok(opening.await?.peer()) })?;
/// assert_eq!(peer, address);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "clientFromString")]
#[doc(alias = "IStreamClientEndpoint")]
pub struct ClientEndpoint {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Socket(ConnectTo),
    #[cfg(feature = "tls")]
    Tls {
        to: ConnectTo,
        /// A file of certificates; the system's unless named.
        roots: Option<String>,
        /// Files of this end's own certificates and key.
        identity: Option<(String, String)>,
    },
    #[cfg(unix)]
    Stdio,
}

impl ClientEndpoint {
    /// Connects, and gives a way to reach the protocol that the factory builds.
    ///
    /// Fires right after `connection_made`. Cancelling gives up.
    ///
    /// ```
    /// use ropewalk::endpoint::ClientEndpoint;
    /// use ropewalk::{Address, ConnectError, Protocol, Reactor, Result, Transport};
    ///
    /// struct Quiet;
    /// impl Protocol for Quiet {
    ///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
    ///         Ok(())
    ///     }
    /// }
    /// let reactor = Reactor::new()?;
    /// let nobody: ClientEndpoint = "tcp:127.0.0.1:1".parse()?;
    /// let connecting = nobody.connect(&reactor, |_: &Address| Quiet);
    /// assert!(reactor.run_until(connecting).unwrap_err().is::<ConnectError>());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn connect<F>(&self, reactor: &Reactor, factory: F) -> Deferred<Connected<F::Protocol>>
    where
        F: Factory + 'static,
    {
        self.reach(reactor).add_callback(move |connection| Connected::begin(&connection, factory))
    }

    /// Connects for a protocol that is there already.
    ///
    /// ```
    /// # use ropewalk::endpoint::ClientEndpoint;
    /// # use ropewalk::{Protocol, Reactor, Result, Transport};
    /// # struct Quiet;
    /// # impl Protocol for Quiet {
    /// #     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result { Ok(()) }
    /// # }
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve_tcp("127.0.0.1:0", async |_| Ok(()))?;
    /// let connecting = ClientEndpoint::from(&port.host()).connect_protocol(&reactor, Quiet);
    /// reactor.run_until(connecting)?.transport().lose_connection();
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    #[doc(alias = "connectProtocol")]
    pub fn connect_protocol<P>(&self, reactor: &Reactor, protocol: P) -> Deferred<Connected<P>>
    where
        P: Protocol + 'static,
    {
        self.connect(reactor, Once(Some(protocol)))
    }

    /// Connects, and gives the stream.
    ///
    /// ```
    /// # use ropewalk::Reactor;
    /// # use ropewalk::endpoint::ClientEndpoint;
    /// let reactor = Reactor::new()?;
    /// let port = reactor.serve_tcp("127.0.0.1:0", async |_| Ok(()))?;
    /// let opening = ClientEndpoint::from(&port.host()).open(&reactor);
    /// assert_eq!(reactor.run_until(opening)?.peer(), port.host());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[track_caller]
    pub fn open(&self, reactor: &Reactor) -> Deferred<Stream> {
        self.reach(reactor).map(Stream::new)
    }

    #[track_caller]
    fn reach(&self, reactor: &Reactor) -> Deferred<Rc<Connection>> {
        match &self.kind {
            Kind::Socket(to) => reactor.inner().connect(to.clone()),
            #[cfg(feature = "tls")]
            Kind::Tls { to, roots, identity } => match tls_config(roots, identity) {
                Ok(config) => reactor.inner().connect(to.clone().tls(&config)),
                Err(failure) => fail(failure),
            },
            #[cfg(unix)]
            Kind::Stdio => match crate::stdio::standard_stream(reactor.inner()) {
                Ok((stream, name)) => succeed(Connection::open(reactor.inner(), stream, name)),
                Err(failure) => fail(failure),
            },
        }
    }
}

impl FromStr for ClientEndpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<ClientEndpoint, BadEndpoint> {
        let description = Description::parse(text)?;
        let kind = match &*description.kind.text.to_ascii_lowercase() {
            "tcp" => Kind::Socket(parse_tcp(text, description)?),
            "unix" => Kind::Socket(parse_unix(text, description)?),
            #[cfg(feature = "tls")]
            "tls" => parse_tls(text, description)?,
            #[cfg(unix)]
            "stdio" => {
                description.expect_nothing(text)?;
                Kind::Stdio
            }
            other => return Err(unknown(text, &description, other)),
        };
        Ok(ClientEndpoint { text: text.to_owned(), kind })
    }
}

fn parse_tcp(text: &str, description: Description) -> Result<ConnectTo, BadEndpoint> {
    // As in Twisted: with the host by keyword, what has none is the port.
    let names: &[_] = match description.has_keyword("host") {
        true => &["port", "host", "timeout", "bindAddress"],
        false => &["host", "port", "timeout", "bindAddress"],
    };
    to_host(Arguments::new(text, description, names)?)
}

fn to_host(mut arguments: Arguments<'_>) -> Result<ConnectTo, BadEndpoint> {
    let host = arguments.require("host")?;
    if host.text.is_empty() {
        return Err(arguments.bad(&host, "the host is missing"));
    }
    let mut to = ConnectTo::from((&*host.text, arguments.port()?));
    if let Some(timeout) = arguments.seconds("timeout")? {
        to = to.timeout(timeout);
    }
    if let Some(ip) = arguments.ip("bindAddress")? {
        to = to.bind(SocketAddr::new(ip, 0));
    }
    Ok(to)
}

#[cfg(feature = "tls")]
fn parse_tls(text: &str, description: Description) -> Result<Kind, BadEndpoint> {
    let names: &[_] =
        &["host", "port", "timeout", "bindAddress", "certificate", "privateKey", "trustRoots"];
    let mut arguments = Arguments::new(text, description, names)?;
    let mut file = |name| arguments.take(name).map(|word| word.text);
    let (roots, certificate, key) = (file("trustRoots"), file("certificate"), file("privateKey"));
    // One file may hold both, as in Twisted.
    let identity = certificate.map(|file| (file.clone(), key.unwrap_or(file)));
    Ok(Kind::Tls { to: to_host(arguments)?, roots, identity })
}

#[cfg(feature = "tls")]
fn tls_config(
    roots: &Option<String>,
    identity: &Option<(String, String)>,
) -> crate::Result<crate::tls::ClientConfig> {
    use crate::tls::{ClientConfig, Identity};
    let unreadable =
        |file: &str, error| crate::Failure::msg(format!("cannot read {file}: {error}"));
    let config = match roots {
        Some(file) => {
            ClientConfig::trusting(std::fs::read(file).map_err(|error| unreadable(file, error))?)
        }
        None => ClientConfig::new(),
    };
    Ok(match identity {
        Some((certificates, key)) => config.identity(Identity::from_files(certificates, key)?),
        None => config,
    })
}

fn parse_unix(text: &str, description: Description) -> Result<ConnectTo, BadEndpoint> {
    let mut arguments = Arguments::new(text, description, &["path", "lockfile", "timeout"])?;
    let path = arguments.require("path")?;
    if path.text.is_empty() {
        return Err(arguments.bad(&path, "the path is missing"));
    }
    // Whether a server is there is found out by connecting: its lock need not be looked at.
    arguments.number("lockfile")?;
    let to = ConnectTo::unix(&*path.text);
    Ok(match arguments.seconds("timeout")? {
        Some(timeout) => to.timeout(timeout),
        None => to,
    })
}

fn unknown(text: &str, description: &Description, kind: &str) -> BadEndpoint {
    let problem = match kind {
        "tls" | "ssl" | "process" => {
            format!("this build has no {kind} clients, only tcp, unix, stdio")
        }
        _ => "there is no such type of client, only tcp, unix, stdio".into(),
    };
    BadEndpoint::new(text, description.kind.at.clone(), problem)
}

impl From<ConnectTo> for ClientEndpoint {
    fn from(to: ConnectTo) -> ClientEndpoint {
        ClientEndpoint { text: to.to_string(), kind: Kind::Socket(to) }
    }
}

impl From<&Address> for ClientEndpoint {
    fn from(address: &Address) -> ClientEndpoint {
        ConnectTo::from(address).into()
    }
}

impl fmt::Display for ClientEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A factory of one protocol.
struct Once<P>(Option<P>);

impl<P: Protocol + 'static> Factory for Once<P> {
    type Protocol = P;

    fn build_protocol(&mut self, _: &Address) -> Option<P> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parsed(text: &str) -> String {
        match text.parse::<ClientEndpoint>() {
            Ok(endpoint) => match endpoint.kind {
                Kind::Socket(to) => format!("{to:?}"),
                #[cfg(feature = "tls")]
                Kind::Tls { to, roots, identity } => format!("{to:?} {roots:?} {identity:?}"),
                #[cfg(unix)]
                Kind::Stdio => "stdio".into(),
            },
            Err(bad) => format!("{}: {}", bad.position(), bad.problem()),
        }
    }

    #[test]
    fn host_and_port_come_in_order_or_by_keyword_in_any_case() {
        let want = format!("{:?}", ConnectTo::new("example.org:80"));
        for text in [
            "tcp:example.org:80",
            "TCP:example.org:80",
            "tcp:host=example.org:port=80",
            "tcp:PORT=80:example.org",
            "tcp:80:host=example.org",
            r"tcp:exam\ple.org:80",
        ] {
            assert_eq!(parsed(text), want, "{text}");
        }
    }

    #[test]
    fn an_ipv6_host_is_escaped_and_gets_its_brackets() {
        assert_eq!(parsed(r"tcp:\:\:1:80"), format!("{:?}", ConnectTo::new("[::1]:80")));
    }

    #[test]
    fn a_unix_path_is_one_and_its_lock_is_not_asked_for() {
        let to = ConnectTo::unix("/run/s").timeout(Duration::from_secs(2));
        assert_eq!(parsed("unix:/run/s:lockfile=1:timeout=2"), format!("{to:?}"));
        assert_eq!(parsed("unix:@bus"), format!("{:?}", ConnectTo::unix("@bus")));
    }

    #[test]
    fn timeout_and_bind_address_are_taken_over() {
        let to = ConnectTo::new("h:1")
            .timeout(Duration::from_millis(2500))
            .bind(SocketAddr::from(([127, 0, 0, 2], 0)));
        assert_eq!(parsed("tcp:h:1:timeout=2.5:bindAddress=127.0.0.2"), format!("{to:?}"));
    }

    #[test]
    fn a_bad_description_says_where_and_why() {
        for (text, want) in [
            ("", "0: a type was expected, as in tcp:8080"),
            ("a=b", "0: the type comes first, as in tcp:8080"),
            ("tcp", "3: the host is missing"),
            ("tcp::80", "4: the host is missing"),
            ("tcp:h", "5: the port is missing"),
            ("tcp:h:65536", "6: the port is a number from 0 to 65535"),
            ("tcp:h:+1", "6: the port is a number from 0 to 65535"),
            ("tcp:h:1:soon", "8: the timeout is a number of seconds"),
            ("tcp:h:1:timeout=-1", "16: the timeout is a number of seconds"),
            ("tcp:h:1:bindAddress=here", "20: the bindAddress is an IP address"),
            (
                "tcp:h:1:2:127.0.0.1:x",
                "20: there are too many arguments; it takes host, port, timeout, bindAddress",
            ),
            ("tcp:h:1:port=2", "8: the port is given twice"),
            (
                "tcp:h:1:speed=9",
                "8: there is no such keyword here, only host, port, timeout, bindAddress",
            ),
            ("icmp:h", "0: there is no such type of client, only tcp, unix, stdio"),
        ] {
            assert_eq!(parsed(text), want, "{text}");
        }
    }
}
