//! Places to connect to.

use super::arguments::Arguments;
use super::given::{Given, Unusable};
use super::grammar::{Description, EndpointError};
#[cfg(feature = "process")]
use super::program::Program;
#[cfg(feature = "tls")]
use super::secure::{self, ClientTls};
use super::text::{Text, host_and_port};
use crate::address::UnixName;
use crate::deferred::{Deferred, fail, succeed};
use crate::driver::ByteStream;
use crate::net::ConnectError;
use crate::net::connect::ConnectTo;
use crate::net::connection::Connection;
use crate::net::connection::layer::Layer;
use crate::reactor::Reactor;
#[cfg(feature = "tls")]
use crate::tls::ClientConfig;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

/// Where to connect to: an address, a description such as `tcp:example.org:80`, or made in code.
///
/// Whatever takes one takes all that one can be made of: see [the module](crate::endpoint).
///
/// ```
/// use ropewalk::prelude::*;
///
/// let reactor = Reactor::new()?;
/// let port = reactor.serve("127.0.0.1:0", async |_stream| Ok(()))?;
/// let number = port.host().port().unwrap_or_default();
/// let ways: [ClientEndpoint; 4] = [
///     port.host().into(),
///     ("127.0.0.1", number).into(),
///     format!("localhost:{number}").into(),
///     format!("tcp:127.0.0.1:{number}:timeout=5").parse()?,
/// ];
/// for to in ways {
///     assert_eq!(reactor.run_until(reactor.open(to))?.peer(), port.host());
/// }
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "clientFromString")]
#[doc(alias = "IStreamClientEndpoint")]
#[doc(alias = "HostnameEndpoint")]
pub struct ClientEndpoint {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Socket(ConnectTo),
    Given(Given),
    Custom(Given<Box<dyn ByteStream>>),
    #[cfg(feature = "tls")]
    Tls(ClientTls, Box<Kind>),
    Stdio,
    #[cfg(feature = "process")]
    Process(Program),
    /// What nobody can connect to.
    Bad(Unusable),
}

impl ClientEndpoint {
    /// An address or a description; what is wrong is kept for whoever uses it.
    pub(super) fn read(text: &str) -> ClientEndpoint {
        text.parse().unwrap_or_else(|error: EndpointError| ClientEndpoint::bad(text, error))
    }

    pub(super) fn bad(text: &str, why: impl Into<Unusable>) -> ClientEndpoint {
        ClientEndpoint { text: text.to_owned(), kind: Kind::Bad(why.into()) }
    }

    fn socket(to: ConnectTo) -> ClientEndpoint {
        ClientEndpoint { text: to.to_string(), kind: Kind::Socket(to) }
    }

    /// TCP to a host and a port, as `host:port`; an IPv6 address stands in brackets.
    ///
    /// The host is one even if it is called as a type of endpoint is. A name beyond ASCII takes the
    /// feature `idna`, or is given as its A-label: `xn--bcher-kva.example:80`.
    ///
    /// ```
    /// use ropewalk::ClientEndpoint;
    /// use std::time::Duration;
    ///
    /// let to = ClientEndpoint::tcp("example.org:80").timeout(Duration::from_secs(5));
    /// assert_eq!(to.to_string(), "example.org:80");
    /// ```
    pub fn tcp(to: impl fmt::Display) -> ClientEndpoint {
        let text = to.to_string();
        match host_and_port(&text) {
            Ok(_) => ClientEndpoint::socket(ConnectTo::new(text)),
            Err(error) => ClientEndpoint::bad(&text, error),
        }
    }

    /// A Unix socket: a path, or a name in Linux' abstract namespace.
    ///
    /// ```
    /// assert_eq!(ropewalk::ClientEndpoint::unix("/run/bus").to_string(), "unix:/run/bus");
    /// ```
    pub fn unix(name: impl Into<UnixName>) -> ClientEndpoint {
        ClientEndpoint::socket(ConnectTo::unix(name))
    }

    /// Standard input and output.
    ///
    /// ```
    /// assert_eq!(ropewalk::ClientEndpoint::stdio().to_string(), "stdio");
    /// ```
    pub fn stdio() -> ClientEndpoint {
        ClientEndpoint { text: "stdio".into(), kind: Kind::Stdio }
    }

    /// A program that is started for each connection, which is its standard input and output.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// let cat = reactor.open(ClientEndpoint::process("/bin/cat", ["-u"]));
    /// let answer = reactor.run_until(async move {
    ///     let mut cat = cat.await?;
    ///     cat.write_all(b"x").await?;
    ///     let mut answer = [0];
    ///     cat.read_exact(&mut answer).await?;
    ///     Ok(answer)
    /// })?;
    /// assert_eq!(answer, *b"x");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[cfg(feature = "process")]
    #[doc(alias = "ProcessEndpoint")]
    pub fn process<A: Into<String>>(
        program: impl Into<String>,
        arguments: impl IntoIterator<Item = A>,
    ) -> ClientEndpoint {
        let program = Program::new(program, arguments);
        ClientEndpoint { text: program.to_string(), kind: Kind::Process(program) }
    }

    /// A socket of your own that is connected already: a `std::net::TcpStream`, say, or a `UnixStream`.
    ///
    /// It can be used once; clones of the endpoint have the same socket.
    ///
    /// ```
    /// use ropewalk::prelude::*;
    ///
    /// let (mut here, there) = std::os::unix::net::UnixStream::pair()?;
    /// std::io::Write::write_all(&mut here, b"x")?;
    /// let reactor = Reactor::new()?;
    /// let opening = reactor.open(ClientEndpoint::connected(there));
    /// let byte = reactor.run_until(async move {
    ///     let mut byte = [0];
    ///     opening.await?.read_exact(&mut byte).await?;
    ///     Ok(byte)
    /// })?;
    /// assert_eq!(byte, *b"x");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[doc(alias = "from_std")]
    #[doc(alias = "adoptStreamConnection")]
    pub fn connected(socket: impl Into<OwnedFd>) -> ClientEndpoint {
        let kind = Kind::Given(Given::new(socket.into()));
        ClientEndpoint { text: "a connection of one's own".into(), kind }
    }

    /// A stream of your own that is connected already, over whatever carries its bytes.
    ///
    /// It can be used once; clones of the endpoint have the same stream.
    /// [The guide](crate::guide#joints) has a transport of one's own.
    ///
    /// ```
    /// use ropewalk::driver::ByteStream;
    /// use ropewalk::{ClientEndpoint, Deferred, Reactor, Stream};
    ///
    /// fn open(reactor: &Reactor, tunnel: impl ByteStream + 'static) -> Deferred<Stream> {
    ///     reactor.open(ClientEndpoint::custom(tunnel))
    /// }
    /// ```
    pub fn custom(stream: impl ByteStream + 'static) -> ClientEndpoint {
        let kind = Kind::Custom(Given::new(Box::new(stream)));
        ClientEndpoint { text: "a connection of one's own".into(), kind }
    }

    /// How long finding the address and connecting may take in all; 30 s unless set.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> ClientEndpoint {
        self.with("timeout", |to| to.timeout(timeout))
    }

    /// How long an address is tried alone before the next one of the name is tried beside it; 250 ms
    /// unless set, and at least 10 ms.
    #[doc(alias = "attemptDelay")]
    #[must_use]
    pub fn attempt_delay(self, delay: Duration) -> ClientEndpoint {
        self.with("attempt delay", |to| to.attempt_delay(delay))
    }

    /// The local address to connect from.
    #[doc(alias = "bindAddress")]
    #[must_use]
    pub fn bind(self, address: SocketAddr) -> ClientEndpoint {
        self.with("address to bind", |to| to.bind(address))
    }

    /// Speaks TLS there.
    ///
    /// The name that the server must be able to prove is that of the configuration, or else the host
    /// that is connected to. Twice, it is TLS in TLS: the first one is the outer one.
    ///
    /// ```
    /// use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
    /// use ropewalk::{ClientEndpoint, Reactor, ServerEndpoint};
    ///
    /// let identity = Identity::self_signed(&["127.0.0.1"])?;
    /// let trusting = ClientConfig::trusting(identity.certificate_pem());
    /// let reactor = Reactor::new()?;
    /// let at = ServerEndpoint::tcp("127.0.0.1:0").tls(&ServerConfig::new(identity));
    /// let port = reactor.serve(at, async |_| Ok(()))?;
    ///
    /// let to = ClientEndpoint::tcp(port.host()).tls(&trusting);
    /// let stream = reactor.run_until(reactor.open(to))?;
    /// assert!(ropewalk::tls::session(&stream.transport()).is_some());
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[cfg(feature = "tls")]
    #[doc(alias = "wrapClientTLS")]
    #[must_use]
    pub fn tls(self, config: &ClientConfig) -> ClientEndpoint {
        let ClientEndpoint { text, kind } = self;
        let tls = ClientTls::Given(config.clone());
        ClientEndpoint { text: format!("TLS over {text}"), kind: Kind::Tls(tls, Box::new(kind)) }
    }

    /// Changes what is below all layers, if that has such an option.
    fn with(mut self, option: &str, change: impl FnOnce(ConnectTo) -> ConnectTo) -> ClientEndpoint {
        let kind = self.kind.below_layers();
        match kind {
            Kind::Socket(to) => *to = change(to.clone()),
            Kind::Bad(_) => {}
            kind => *kind = Kind::Bad(format!("it has no {option}").into()),
        }
        self
    }

    /// A connection without a face. Cancelling gives up.
    #[track_caller]
    pub(crate) fn reach(&self, reactor: &Reactor) -> Deferred<Rc<Connection>> {
        if let Err(gone) = reactor.inner().check_alive() {
            return fail(gone);
        }
        match self.kind.why_not() {
            Some(why) => fail(ConnectError::bad(&self.text, why.into())),
            None => self.kind.reach(reactor, Vec::new()),
        }
    }
}

impl Kind {
    fn below_layers(&mut self) -> &mut Kind {
        match self {
            #[cfg(feature = "tls")]
            Kind::Tls(_, within) => within.below_layers(),
            kind => kind,
        }
    }

    fn why_not(&self) -> Option<&Unusable> {
        match self {
            Kind::Bad(why) => Some(why),
            #[cfg(feature = "tls")]
            Kind::Tls(_, within) => within.why_not(),
            _ => None,
        }
    }

    /// Connects, and puts the layers on, the outermost first.
    #[track_caller]
    fn reach(&self, reactor: &Reactor, layers: Vec<Rc<dyn Layer>>) -> Deferred<Rc<Connection>> {
        match self {
            Kind::Socket(to) => {
                let to = layers.into_iter().fold(to.clone(), ConnectTo::through);
                reactor.inner().connect(to)
            }
            #[cfg(feature = "tls")]
            Kind::Tls(tls, within) => match tls.layer() {
                Ok(layer) => within.reach(reactor, [vec![layer], layers].concat()),
                Err(failure) => fail(failure),
            },
            Kind::Given(socket) => dressed(reactor, adopt(reactor, socket), layers),
            Kind::Custom(stream) => dressed(reactor, attach(reactor, stream), layers),
            Kind::Stdio => dressed(reactor, crate::process::standard_connection(reactor), layers),
            #[cfg(feature = "process")]
            Kind::Process(program) => dressed(reactor, program.start(reactor), layers),
            Kind::Bad(why) => fail(ConnectError::bad("it", why.into())),
        }
    }

    fn parse(text: &str) -> Result<Kind, EndpointError> {
        let description = Description::parse(text)?;
        match &*description.kind.text.to_ascii_lowercase() {
            "tcp" => Ok(Kind::Socket(to_host(&mut host_arguments(text, description, TCP)?)?)),
            "unix" => Ok(Kind::Socket(parse_unix(text, description)?)),
            #[cfg(feature = "tls")]
            "tls" => parse_tls(text, description),
            #[cfg(feature = "tls")]
            "ssl" => parse_ssl(text, description),
            "stdio" => {
                description.expect_nothing(text)?;
                Ok(Kind::Stdio)
            }
            #[cfg(feature = "process")]
            "process" => Ok(Kind::Process(Program::parse(text, description)?)),
            _ => Err(unknown(text, &description)),
        }
    }
}

fn adopt(reactor: &Reactor, socket: &Given) -> crate::Result<Rc<Connection>> {
    let stream = reactor.inner().driver.adopt_stream(socket.take()?)?;
    attach(reactor, &Given::new(stream))
}

fn attach(reactor: &Reactor, stream: &Given<Box<dyn ByteStream>>) -> crate::Result<Rc<Connection>> {
    let stream = stream.take()?;
    let peer = stream.peer()?;
    Ok(Connection::open(reactor.inner(), stream, peer))
}

/// A connection that is there already, with its layers.
#[track_caller]
fn dressed(
    reactor: &Reactor,
    connection: crate::Result<Rc<Connection>>,
    layers: Vec<Rc<dyn Layer>>,
) -> Deferred<Rc<Connection>> {
    match connection {
        Ok(connection) if layers.is_empty() => succeed(connection),
        Ok(connection) => reactor.inner().dress(connection, layers),
        Err(failure) => fail(failure),
    }
}

impl FromStr for ClientEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<ClientEndpoint, EndpointError> {
        let kind = match Text::read(text)? {
            // As it is written, scope and all.
            Text::Address(..) => Kind::Socket(ConnectTo::new(text)),
            Text::Description => Kind::parse(text)?,
        };
        Ok(ClientEndpoint { text: text.to_owned(), kind })
    }
}

/// The orders of arguments: with the host by keyword, what has none is the port, as in Twisted.
type Orders = [&'static [&'static str]; 2];

const TCP: Orders =
    [&["host", "port", "timeout", "bindAddress"], &["port", "host", "timeout", "bindAddress"]];

fn host_arguments(
    text: &str,
    description: Description,
    [names, with_host]: Orders,
) -> Result<Arguments<'_>, EndpointError> {
    let names = if description.has_keyword("host") { with_host } else { names };
    Arguments::new(text, description, names)
}

fn to_host(arguments: &mut Arguments<'_>) -> Result<ConnectTo, EndpointError> {
    let host = arguments.filled("host")?;
    let mut to = ConnectTo::at(&host.text, arguments.port()?);
    if let Some(timeout) = arguments.seconds("timeout")? {
        to = to.timeout(timeout);
    }
    if let Some(ip) = arguments.ip("bindAddress")? {
        to = to.bind_ip(ip);
    }
    Ok(to)
}

#[cfg(feature = "tls")]
fn parse_tls(text: &str, description: Description) -> Result<Kind, EndpointError> {
    const NAMES: &[&str] = &[
        "host",
        "port",
        "timeout",
        "bindAddress",
        "certificate",
        "privateKey",
        "trustRoots",
        "endpoint",
    ];
    let mut arguments = Arguments::new(text, description, NAMES)?;
    let tls = ClientTls::parse(&mut arguments, &secure::TLS)?;
    let within = match arguments.take("endpoint") {
        Some(endpoint) => {
            arguments.refuse_beside_endpoint(&["timeout", "bindAddress"])?;
            arguments.filled("host")?;
            endpoint.within(text, Kind::parse)?
        }
        None => Kind::Socket(to_host(&mut arguments)?),
    };
    Ok(Kind::Tls(tls, Box::new(within)))
}

#[cfg(feature = "tls")]
fn parse_ssl(text: &str, description: Description) -> Result<Kind, EndpointError> {
    const ORDERS: Orders = [
        &[
            "host",
            "port",
            "timeout",
            "bindAddress",
            "privateKey",
            "certKey",
            "caCertsDir",
            "hostname",
        ],
        &[
            "port",
            "host",
            "timeout",
            "bindAddress",
            "privateKey",
            "certKey",
            "caCertsDir",
            "hostname",
        ],
    ];
    let mut arguments = host_arguments(text, description, ORDERS)?;
    let tls = ClientTls::parse(&mut arguments, &secure::SSL)?;
    Ok(Kind::Tls(tls, Box::new(Kind::Socket(to_host(&mut arguments)?))))
}

fn parse_unix(text: &str, description: Description) -> Result<ConnectTo, EndpointError> {
    let mut arguments = Arguments::new(text, description, &["path", "lockfile", "timeout"])?;
    let path = arguments.filled("path")?;
    // Whether a server is there is found out by connecting: its lock need not be looked at.
    arguments.number("lockfile")?;
    let to = ConnectTo::unix(&*path.text);
    Ok(match arguments.seconds("timeout")? {
        Some(timeout) => to.timeout(timeout),
        None => to,
    })
}

fn unknown(text: &str, description: &Description) -> EndpointError {
    match &*description.kind.text.to_ascii_lowercase() {
        #[cfg(not(feature = "tls"))]
        "tls" | "ssl" => description.lacks(text, "tls"),
        #[cfg(not(feature = "process"))]
        "process" => description.lacks(text, "process"),
        _ => {
            let problem = format!("there is no such type of client, only {KINDS}");
            EndpointError::new(text, description.kind.at.clone(), problem)
        }
    }
}

const KINDS: &str = "tcp, unix, tls, ssl, stdio, process";

impl fmt::Display for ClientEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn parsed(text: &str) -> String {
        match text.parse::<ClientEndpoint>() {
            Ok(ClientEndpoint { kind: Kind::Socket(to), .. }) => format!("{to:?}"),
            Ok(other) => format!("{other:?}"),
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
        let to =
            ConnectTo::new("h:1").timeout(Duration::from_millis(2500)).bind_ip("127.0.0.2".into());
        assert_eq!(parsed("tcp:h:1:timeout=2.5:bindAddress=127.0.0.2"), format!("{to:?}"));
    }

    #[test]
    fn a_bad_description_says_where_and_why() {
        for (text, want) in [
            ("", "0: an address or a description was expected, as in 127.0.0.1:80"),
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
            (
                "fd:3",
                "0: there is no such type of client, only tcp, unix, tls, ssl, stdio, process",
            ),
        ] {
            assert_eq!(parsed(text), want, "{text}");
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_names_its_files_and_may_run_at_another_endpoint() {
        let tls =
            |name: &str, identity: Option<(&str, &str)>, roots: Option<&str>, within: &str| {
                let owned = |(one, other): (&str, &str)| (one.to_owned(), other.to_owned());
                let (name, identity) = (name.to_owned(), identity.map(owned));
                let tls = ClientTls::Files { name, identity, roots: roots.map(str::to_owned) };
                let within = within.parse::<ClientEndpoint>().unwrap().kind;
                format!("{:?}", Kind::Tls(tls, Box::new(within)))
            };
        let kind = |text: &str| format!("{:?}", text.parse::<ClientEndpoint>().unwrap().kind);
        let (one, both) = (Some(("c.pem", "c.pem")), Some(("c.pem", "k.pem")));
        assert_eq!(kind("tls:h:1:2:127.0.0.1"), tls("h", None, None, "tcp:h:1:2:127.0.0.1"));
        assert_eq!(kind("TLS:h:1:certificate=c.pem"), tls("h", one, None, "tcp:h:1"));
        assert_eq!(
            kind("tls:h:1:trustRoots=r:privateKey=k.pem:certificate=c.pem"),
            tls("h", both, Some("r"), "tcp:h:1")
        );
        assert_eq!(kind(r"tls:h:1:endpoint=unix\:/a\\\:b"), tls("h", None, None, r"unix:/a\:b"));
        assert_eq!(kind("ssl:1:host=h"), tls("h", None, None, "tcp:h:1"));
        assert_eq!(
            kind("ssl:10.0.0.1:1:hostname=h:caCertsDir=r:certKey=c.pem"),
            tls("h", one, Some("r"), "tcp:10.0.0.1:1")
        );
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_bad_description_of_tls_says_where_and_why() {
        for (text, want) in [
            ("tls", "3: the host is missing"),
            ("tls:h", "5: the port is missing"),
            ("tls::1", "4: the host is missing"),
            ("ssl:h", "5: the port is missing"),
            ("tls:h:1:privateKey=k.pem", "19: a privateKey needs its certificate"),
            ("ssl:h:1:privateKey=k.pem", "19: a privateKey needs its certKey"),
            (
                r"tls:h:1:2:endpoint=unix\:/s",
                "8: the timeout is the endpoint's within: say it there",
            ),
            (r"tls:endpoint=unix\:/s", "21: the host is missing"),
            (r"tls:h:1:endpoint=tcp\:h\:http", "25: the port is a number from 0 to 65535"),
            (r"tls:h:1:endpoint=tcp\:h", "23: the port is missing"),
            (
                r"tls:h:1:endpoint=gopher\:h",
                "17: there is no such type of client, only tcp, unix, tls, ssl, stdio, process",
            ),
            (
                "ssl:h:1:trustRoots=r",
                "8: there is no such keyword here, only host, port, timeout, bindAddress, \
                 privateKey, certKey, caCertsDir, hostname",
            ),
        ] {
            assert_eq!(parsed(text), want, "{text}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_names_the_feature() {
        let want = |kind| format!("0: {kind} needs ropewalk's feature `tls`, built without it");
        assert_eq!(parsed("tls:h:1"), want("tls"));
        assert_eq!(parsed("SSL:h:1"), want("ssl"));
    }

    #[cfg(feature = "process")]
    #[test]
    fn a_program_takes_its_arguments_as_they_are() {
        let kind = |text: &str| format!("{:?}", text.parse::<ClientEndpoint>().unwrap().kind);
        assert_eq!(
            kind(r"process:/bin/x:-a::b\:c:d\=e"),
            r#"Process(Program { name: "/bin/x", arguments: ["-a", "", "b:c", "d=e"] })"#
        );
        assert_eq!(parsed("process"), "7: the program is missing");
        assert_eq!(parsed("process::-a"), "7: the program is missing");
        assert_eq!(
            parsed("process:env:A=b"),
            r"12: a program's arguments have no keywords: write \= for ="
        );
    }

    #[cfg(not(feature = "process"))]
    #[test]
    fn a_build_without_processes_names_the_feature() {
        let want = "0: process needs ropewalk's feature `process`, built without it";
        assert_eq!(parsed("process:/bin/cat"), want);
    }
}
