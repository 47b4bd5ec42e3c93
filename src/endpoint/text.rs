//! What a text is that says where: an address, or a description.

use super::arguments::digits;
use super::grammar::EndpointError;
use std::net::{Ipv6Addr, SocketAddr};
use std::ops::Range;

/// The types of descriptions, those of clients and of servers and of every feature: what a text means
/// depends neither on the side nor on the build.
const KINDS: [&str; 10] =
    ["tcp", "tcp6", "unix", "tls", "ssl", "stdio", "fd", "systemd", "haproxy", "process"];

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// A host without its brackets, and a port.
    Address(String, u16),
    Description,
}

impl Text {
    pub(super) fn read(text: &str) -> Result<Text, EndpointError> {
        // A host and a port are read from it once more below, as a scope must be kept as it is written.
        if text.parse::<SocketAddr>().is_err() {
            let kind = &text[..first_sign(text)];
            if KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
                return Ok(Text::Description);
            }
        }
        let (host, port) = host_and_port(text)?;
        Ok(Text::Address(host, port))
    }
}

/// Where the first word ends.
fn first_sign(text: &str) -> usize {
    text.find([':', '=', '\\']).unwrap_or(text.len())
}

/// Reads `host:port`, whatever the host is called.
pub(super) fn host_and_port(text: &str) -> Result<(String, u16), EndpointError> {
    let bad = |at: Range<usize>, problem: &str| Err(EndpointError::new(text, at, problem));
    let Some((host, port)) = text.rsplit_once(':') else {
        let (at, problem) = without_port(text);
        return bad(at, &problem);
    };
    if host.is_empty() {
        return bad(0..0, "the host is missing; for all interfaces write 0.0.0.0 or [::]");
    }
    let whole = 0..host.len();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_some_and(|bare| !is_ipv6(bare)) {
        return bad(whole, "what stands in brackets is an address of IPv6, as in [::1]:80");
    }
    if bare.is_none() && is_ipv6(host) {
        return bad(whole, "an address of IPv6 stands in brackets, as in [::1]:80");
    }
    if bare.is_none() && host.contains([':', '=', '\\', '[', ']']) {
        let problem = format!("there is no such type of endpoint, only {}", KINDS.join(", "));
        return bad(0..first_sign(text), &problem);
    }
    match digits(port) {
        Some(port) => Ok((bare.unwrap_or(host).to_owned(), port)),
        None => bad(host.len() + 1..text.len(), "the port is a number from 0 to 65535"),
    }
}

fn without_port(text: &str) -> (Range<usize>, String) {
    let whole = 0..text.len();
    if text.is_empty() {
        return (whole, "an address or a description was expected, as in 127.0.0.1:80".into());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return (whole, format!("a port needs its type, as in tcp:{text}"));
    }
    if text.starts_with(['/', '.', '@']) {
        return (whole, format!("a path needs its type, as in unix:{text}"));
    }
    if first_sign(text) < text.len() {
        return (0..first_sign(text), "the type comes first, as in tcp:8080".into());
    }
    (text.len()..text.len(), format!("the port is missing, as in {text}:80"))
}

/// With a scope behind `%` or without.
fn is_ipv6(host: &str) -> bool {
    match host.split_once('%') {
        Some((ip, _)) => ip.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv6Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match Text::read(text) {
            Ok(Text::Address(host, port)) => format!("{host} {port}"),
            Ok(Text::Description) => "description".into(),
            Err(bad) => format!("{}: {}", bad.position(), bad.problem()),
        }
    }

    #[test]
    fn an_address_is_a_host_without_brackets_and_a_port() {
        for (text, want) in [
            ("127.0.0.1:8000", "127.0.0.1 8000"),
            ("[::1]:80", "::1 80"),
            ("localhost:0", "localhost 0"),
            ("[fe80::1%2]:80", "fe80::1%2 80"),
            ("[fe80::1%eth0]:80", "fe80::1%eth0 80"),
            ("tpc:80", "tpc 80"),
            ("bücher.example:80", "bücher.example 80"),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }

    #[test]
    fn a_word_that_is_a_type_begins_a_description_in_any_case_and_in_every_build() {
        for text in [
            "tcp:8000",
            "TCP:80",
            "tcp6:80",
            "unix:/x",
            "tls:443",
            "ssl:443",
            "fd:3",
            "stdio",
            "stdio:",
            "systemd:INET:index=0",
            "haproxy:tcp:80",
            "process:/bin/cat",
            r"tcp\:80",
            "unix=/x",
            "Unix",
        ] {
            assert_eq!(read(text), "description", "{text}");
        }
    }

    #[test]
    fn a_host_that_is_called_as_a_type_is_written_with_a_dot() {
        assert_eq!(read("tls.:443"), "tls. 443");
        assert_eq!(read("fd.example:3"), "fd.example 3");
        assert_eq!(host_and_port("tls:443").unwrap(), ("tls".into(), 443));
    }

    #[test]
    fn what_is_neither_says_where_and_why() {
        let number = "the port is a number from 0 to 65535";
        let brackets = "an address of IPv6 stands in brackets, as in [::1]:80";
        for (text, want) in [
            ("", "0: an address or a description was expected, as in 127.0.0.1:80".to_owned()),
            ("localhost", "9: the port is missing, as in localhost:80".to_owned()),
            ("8080", "0: a port needs its type, as in tcp:8080".to_owned()),
            ("/run/bus", "0: a path needs its type, as in unix:/run/bus".to_owned()),
            ("@bus", "0: a path needs its type, as in unix:@bus".to_owned()),
            ("a=b", "0: the type comes first, as in tcp:8080".to_owned()),
            (":80", "0: the host is missing; for all interfaces write 0.0.0.0 or [::]".to_owned()),
            ("localhost:http", format!("10: {number}")),
            ("localhost:+1", format!("10: {number}")),
            ("localhost:", format!("10: {number}")),
            ("[::1]:65536", format!("6: {number}")),
            ("::1:80", format!("0: {brackets}")),
            ("::1%lo:80", format!("0: {brackets}")),
            (
                "[lo]:80",
                "0: what stands in brackets is an address of IPv6, as in [::1]:80".to_owned(),
            ),
            (
                "tpc:80:interface=x",
                format!("0: there is no such type of endpoint, only {}", KINDS.join(", ")),
            ),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }
}
