//! Names of hosts, and addresses in their place.
//!
//! An address is never looked up, whoever looks names up. One of IPv6 may name its scope behind `%`: a
//! number, or an interface, which the driver knows. Peers know nothing of scopes, so TLS gets none.
//!
//! The DNS and TLS know ASCII alone; `bücher.example` is `xn--bcher-kva.example` to them, its A-label. Finding
//! that takes the tables of Unicode, so it is the feature `idna`; without it a name has to be given as
//! its A-label, and an error says so. Names in ASCII pass as they are.

use crate::driver::Driver;
use std::borrow::Cow;
use std::io;
#[cfg(feature = "tls")]
use std::net::Ipv6Addr;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// The address that stands in the place of a name, with brackets or without; `None` if it is a name.
pub(crate) fn literal(
    driver: &dyn Driver,
    host: &str,
    port: u16,
) -> Option<io::Result<SocketAddr>> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = host.parse() {
        return Some(Ok(SocketAddr::new(ip, port)));
    }
    let (ip, scope) = host.split_once('%')?;
    let IpAddr::V6(ip) = ip.parse().ok()? else {
        let why = format!("{host} has a scope, and only addresses of IPv6 have one");
        return Some(Err(io::Error::new(io::ErrorKind::InvalidInput, why)));
    };
    Some(scope_id(driver, scope).map(|scope| SocketAddrV6::new(ip, port, 0, scope).into()))
}

fn scope_id(driver: &dyn Driver, scope: &str) -> io::Result<u32> {
    // Digits alone: the standard parser takes a sign as well.
    let number = scope.bytes().all(|byte| byte.is_ascii_digit()).then(|| scope.parse().ok());
    number.flatten().map_or_else(|| driver.interface(scope), Ok)
}

/// A host as a peer knows it: the scope of an address is this machine's own.
#[cfg(feature = "tls")]
pub(crate) fn without_scope(host: &str) -> &str {
    match host.split_once('%') {
        Some((ip, _)) if ip.parse::<Ipv6Addr>().is_ok() => ip,
        _ => host,
    }
}

/// The name as the DNS knows it.
pub(crate) fn ascii_name(name: &str) -> io::Result<Cow<'_, str>> {
    if name.is_ascii() {
        return Ok(name.into());
    }
    a_label(name).map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))
}

#[cfg(feature = "idna")]
fn a_label(name: &str) -> Result<Cow<'_, str>, String> {
    let converted = idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::URL);
    converted.map_err(|_| format!("{name:?} is no name of a host"))
}

#[cfg(not(feature = "idna"))]
fn a_label(name: &str) -> Result<Cow<'_, str>, String> {
    Err(format!(
        "the name {name:?} is not ASCII: give its A-label, as in xn--bcher-kva.example, or build \
         ropewalk with its feature `idna`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_ascii_stays_as_it_is() {
        for name in ["example.org", "_Srv.Example.ORG", "xn--bcher-kva.example", "*", "", "a b"] {
            assert_eq!(ascii_name(name).unwrap(), name);
        }
    }

    #[cfg(feature = "idna")]
    #[test]
    fn a_name_beyond_ascii_becomes_its_a_label_or_an_error() {
        for (name, want) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("*.bücher.example", "*.xn--bcher-kva.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ] {
            assert_eq!(ascii_name(name).unwrap(), want);
        }
        for name in ["bü cher", "ü/x", "\u{200d}ü"] {
            assert!(ascii_name(name).unwrap_err().to_string().ends_with(" is no name of a host"));
        }
    }

    #[cfg(not(feature = "idna"))]
    #[test]
    fn a_name_beyond_ascii_is_an_error_that_says_what_to_give_instead() {
        let error = ascii_name("bücher.example").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("give its A-label"), "{error}");
    }
}
