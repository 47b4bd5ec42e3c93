//! Descriptions of places to listen at.

use super::arguments::Arguments;
use super::grammar::{Description, EndpointError};
use super::inherited::Choice;
#[cfg(feature = "tls")]
use super::secure::ServerTls;
use super::server::Kind;
use crate::address::UnixName;
use crate::driver::UnixOptions;
use crate::net::listen::BACKLOG;

pub(super) fn parse(text: &str) -> Result<Kind, EndpointError> {
    parse_kind(text, Description::parse(text)?)
}

fn parse_kind(text: &str, description: Description) -> Result<Kind, EndpointError> {
    match &*description.kind.text.to_ascii_lowercase() {
        "tcp" => parse_tcp(text, description, &["port", "interface", "backlog"], "0.0.0.0"),
        "tcp6" => parse_tcp(text, description, &["port", "backlog", "interface"], "::"),
        "unix" => parse_unix(text, description),
        "stdio" => {
            description.expect_nothing(text)?;
            Ok(Kind::Stdio)
        }
        "fd" => parse_descriptor(text, description),
        "systemd" => parse_systemd(text, description),
        #[cfg(feature = "tls")]
        "tls" => parse_tls(text, description),
        #[cfg(feature = "tls")]
        "ssl" => parse_ssl(text, description),
        "haproxy" => parse_behind(text, description),
        _ => Err(unknown(text, &description)),
    }
}

fn parse_tcp(
    text: &str,
    description: Description,
    names: &'static [&'static str],
    everywhere: &str,
) -> Result<Kind, EndpointError> {
    let mut arguments = Arguments::new(text, description, names)?;
    at_port(arguments.port()?, &mut arguments, everywhere)
}

fn at_port(
    port: u16,
    arguments: &mut Arguments<'_>,
    everywhere: &str,
) -> Result<Kind, EndpointError> {
    let backlog = arguments.number("backlog")?.unwrap_or(BACKLOG);
    let interface = arguments.take("interface").map(|word| word.text);
    let interface = interface.filter(|text| !text.is_empty()).unwrap_or(everywhere.into());
    Ok(Kind::Tcp { interface, port, backlog, is_shared: false })
}

fn parse_behind(text: &str, description: Description) -> Result<Kind, EndpointError> {
    let nested = description.into_nested(text)?;
    if nested.kind.text.eq_ignore_ascii_case("haproxy") {
        // Not a matter of taste: whoever writes a long row of them must find no end of the stack.
        return Err(EndpointError::new(text, nested.kind.at, ONE_HEADER));
    }
    Ok(Kind::Behind(Box::new(parse_kind(text, nested)?)))
}

pub(super) const ONE_HEADER: &str = "one PROXY header names the peer, more have nothing to add";

#[cfg(feature = "tls")]
fn parse_tls(text: &str, description: Description) -> Result<Kind, EndpointError> {
    const NAMES: &[&str] = &["path", "port", "backlog", "interface", "endpoint"];
    let mut arguments = Arguments::new(text, description, NAMES)?;
    let tls = ServerTls::Directory(arguments.filled("path")?.text);
    let within = match arguments.take("endpoint") {
        Some(endpoint) => {
            arguments.refuse_beside_endpoint(&["port", "backlog", "interface"])?;
            endpoint.within(text, parse)?
        }
        None => {
            let port = if arguments.look("port").is_some() { arguments.port()? } else { 443 };
            at_port(port, &mut arguments, "::")?
        }
    };
    Ok(Kind::Tls(tls, Box::new(within)))
}

#[cfg(feature = "tls")]
fn parse_ssl(text: &str, description: Description) -> Result<Kind, EndpointError> {
    const NAMES: &[&str] = &[
        "port",
        "privateKey",
        "certKey",
        "sslmethod",
        "interface",
        "backlog",
        "extraCertChain",
        "dhParameters",
    ];
    let mut arguments = Arguments::new(text, description, NAMES)?;
    let within = at_port(arguments.port()?, &mut arguments, "0.0.0.0")?;
    Ok(Kind::Tls(ServerTls::parse(&mut arguments)?, Box::new(within)))
}

fn parse_unix(text: &str, description: Description) -> Result<Kind, EndpointError> {
    let mut arguments =
        Arguments::new(text, description, &["address", "mode", "backlog", "lockfile"])?;
    let name = arguments.filled("address")?;
    let options = UnixOptions {
        mode: Some(arguments.octal("mode")?.unwrap_or(UNIX_MODE)),
        backlog: arguments.number("backlog")?.unwrap_or(BACKLOG),
        lock: arguments.number("lockfile")? != Some(0),
    };
    Ok(Kind::Unix(UnixName::new(&name.text), options))
}

/// Twisted's own: whoever may enter the directory may connect.
const UNIX_MODE: u32 = 0o666;

fn parse_descriptor(text: &str, description: Description) -> Result<Kind, EndpointError> {
    let mut arguments = Arguments::new(text, description, &["number"])?;
    let number = arguments.require("number")?;
    let parsed = number.text.parse().ok().filter(|&number| number <= i32::MAX as u32);
    parsed.map(Kind::Descriptor).ok_or_else(|| arguments.bad(&number, "it is no descriptor"))
}

fn parse_systemd(text: &str, description: Description) -> Result<Kind, EndpointError> {
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
            Err(EndpointError::new(text, end..end, "either an index or a name was expected"))
        }
    }
}

fn unknown(text: &str, description: &Description) -> EndpointError {
    let problem = match &*description.kind.text.to_ascii_lowercase() {
        #[cfg(not(feature = "tls"))]
        "tls" | "ssl" => return description.lacks(text, "tls"),
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("a port needs its type, as in tcp:{port}")
        }
        _ => format!("there is no such type of server, only {KINDS}"),
    };
    EndpointError::new(text, description.kind.at.clone(), problem)
}

const KINDS: &str = "tcp, tcp6, unix, tls, ssl, stdio, fd, systemd, haproxy";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ListenError;
    use crate::{Reactor, ServerEndpoint};

    fn parsed(text: &str) -> String {
        match text.parse::<ServerEndpoint>() {
            Ok(endpoint) => format!("{:?}", endpoint.kind),
            Err(bad) => format!("{}: {}", bad.position(), bad.problem()),
        }
    }

    fn tcp(interface: &str, port: u16, backlog: u32) -> String {
        format!("{:?}", Kind::Tcp { interface: interface.into(), port, backlog, is_shared: false })
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
        let unix = |at: ServerEndpoint| format!("{:?}", at.kind);
        let at = || ServerEndpoint::unix("/run/s").mode(0o666);
        assert_eq!(parsed("unix:/run/s"), unix(at()));
        assert_eq!(parsed("unix:/run/s:660:7"), unix(at().mode(0o660).backlog(7)));
        assert_eq!(parsed("unix:address=/run/s:lockfile=0"), unix(at().without_lock()));
    }

    #[test]
    fn inherited_sockets_are_chosen_by_number_index_or_name() {
        assert_eq!(parsed("fd:7"), "Descriptor(7)");
        let passed = |choice| format!("{:?}", Kind::Passed(choice));
        assert_eq!(parsed("systemd:domain=INET:index=1"), passed(Choice::Index(1)));
        assert_eq!(parsed("systemd:name=http"), passed(Choice::Name("http".into())));
    }

    #[test]
    fn stdio_takes_nothing_with_or_without_its_colon() {
        assert_eq!([parsed("stdio"), parsed("STDIO:")], ["Stdio", "Stdio"]);
    }

    #[test]
    fn behind_haproxy_stands_another_description_as_it_is() {
        let behind = |kind: String| format!("Behind({kind})");
        assert_eq!(parsed("haproxy:tcp:80:backlog=7"), behind(tcp("0.0.0.0", 80, 7)));
        let at = ServerEndpoint::unix("/a:b").mode(0o666);
        assert_eq!(parsed(r"haproxy:unix:/a\:b"), behind(format!("{:?}", at.kind)));
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
            ("stdio:here", "6: it takes no arguments"),
            ("fd:-1", "3: it is no descriptor"),
            ("systemd:domain=TCP:index=0", "15: the domain is INET, INET6 or UNIX"),
            ("systemd:index=0:name=a", "22: either an index or a name was expected"),
            ("haproxy", "7: another description was expected after it, as in haproxy:tcp:80"),
            (
                r"haproxy:tcp\:80",
                "8: there is no such type of server, only tcp, tcp6, unix, tls, ssl, stdio, fd, systemd, haproxy",
            ),
            ("haproxy:tcp:http", "12: the port is a number from 0 to 65535"),
            (
                "haproxy:HAProxy:tcp:80",
                "8: one PROXY header names the peer, more have nothing to add",
            ),
            (
                "process:/bin/cat",
                "0: there is no such type of server, only tcp, tcp6, unix, tls, ssl, stdio, fd, systemd, haproxy",
            ),
        ] {
            assert_eq!(parsed(text), want, "{text}");
        }
    }

    #[test]
    fn an_interface_of_somebody_else_is_an_error_that_names_the_endpoint() {
        let reactor = Reactor::new().unwrap();
        let endpoint: ServerEndpoint = "tcp:0:interface=192.0.2.1".parse().unwrap();
        let failure = reactor.serve(&endpoint, async |_| Ok(())).unwrap_err();
        assert!(failure.is::<ListenError>());
        assert!(failure.to_string().starts_with("cannot listen at tcp:0:interface=192.0.2.1: "));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn tls_listens_at_443_unless_told_where_and_ssl_names_its_files() {
        let tls = |tls: ServerTls, within: &str| {
            let within = within.parse::<ServerEndpoint>().unwrap().kind;
            format!("{:?}", Kind::Tls(tls, Box::new(within)))
        };
        let directory = || ServerTls::Directory("/certs".into());
        let files = |certificate: &str, key: &str, chain: Option<&str>| ServerTls::Files {
            certificate: certificate.into(),
            key: key.into(),
            chain: chain.map(str::to_owned),
        };
        assert_eq!(parsed("tls:/certs"), tls(directory(), "tcp6:443"));
        assert_eq!(parsed("tls:/certs:8443:7:127.0.0.1"), tls(directory(), "tcp:8443:127.0.0.1:7"));
        assert_eq!(parsed(r"tls:endpoint=tcp\:443:/certs"), tls(directory(), "tcp:443"));
        assert_eq!(
            parsed(r"tls:/certs:endpoint=haproxy\:unix\:/a\\\:b"),
            tls(directory(), r"haproxy:unix:/a\:b")
        );
        assert_eq!(parsed("ssl:443"), tls(files("server.pem", "server.pem", None), "tcp:443"));
        assert_eq!(
            parsed("ssl:443:k.pem:c.pem:TLS_METHOD:10.0.0.1:7:more.pem"),
            tls(files("c.pem", "k.pem", Some("more.pem")), "tcp:443:10.0.0.1:7")
        );
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_bad_description_of_tls_says_where_and_why() {
        for (text, want) in [
            ("tls", "3: the path is missing"),
            ("tls::443", "4: the path is missing"),
            ("tls:/certs:https", "11: the port is a number from 0 to 65535"),
            (
                r"tls:/certs:443:endpoint=tcp\:443",
                "11: the port is the endpoint's within: say it there",
            ),
            (r"tls:/certs:endpoint=tcp\:https", "25: the port is a number from 0 to 65535"),
            (r"tls:/certs:endpoint=443", "20: a port needs its type, as in tcp:443"),
            ("ssl", "3: the port is missing"),
            (
                "ssl:443:sslmethod=TLSv1_METHOD",
                "18: the best of TLS 1.2 and 1.3 is spoken, as TLS_METHOD has it: leave it out",
            ),
            (
                "ssl:443:dhParameters=dh.pem",
                "21: keys are agreed upon by elliptic curves here, not by parameters: leave it out",
            ),
        ] {
            assert_eq!(parsed(text), want, "{text}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_names_the_feature() {
        let want = |kind| format!("{kind} needs ropewalk's feature `tls`, built without it");
        assert_eq!(parsed("tls:/certs"), format!("0: {}", want("tls")));
        assert_eq!(parsed("haproxy:ssl:443"), format!("8: {}", want("ssl")));
    }
}
