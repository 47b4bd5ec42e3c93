// Who asked, when a proxy stands between: what it says counts if it is trusted, and nothing else.
//
// # Theory
// Every proxy adds the address that it got the request from behind those that it found. So the list is read
// from its end: as long as the one who says something is trusted, what it says is believed, and the first
// address that is not trusted is the client's. What stands before it may be anybody's invention.

use super::headers::Headers;
use super::syntax::elements;
use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, as `10.0.0.0/8` or `::1`.
///
/// ```
/// use ropewalk::http::IpRange;
///
/// let private: IpRange = "10.0.0.0/8".parse()?;
/// assert!(private.contains("10.1.2.3".parse().unwrap()));
/// assert!(private.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!private.contains("11.0.0.1".parse().unwrap()));
/// # Ok::<(), ropewalk::http::InvalidIpRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    address: IpAddr,
    /// How many bits are common.
    bits: u8,
}

/// Not an address, alone or with a slash and how many of its bits count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidIpRange(String);

impl IpRange {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u32::from(own) ^ u32::from(other)).checked_shr(32 - bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (u128::from(own) ^ u128::from(other)).checked_shr(128 - bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for IpRange {
    type Err = InvalidIpRange;

    fn from_str(text: &str) -> Result<IpRange, InvalidIpRange> {
        let invalid = || InvalidIpRange(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            return Err(invalid());
        }
        Ok(IpRange { address: address.to_canonical(), bits })
    }
}

impl fmt::Display for InvalidIpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no range of addresses", self.0)
    }
}

impl Error for InvalidIpRange {}

/// What trusted proxies say of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) client: Option<IpAddr>,
    pub(super) scheme: Option<String>,
    pub(super) host: Option<String>,
}

/// Reads what the proxies say, if the peer is one of the trusted.
pub(super) fn read(peer: Option<IpAddr>, headers: &Headers, trusted: &[IpRange]) -> Said {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    if !peer.is_some_and(is_trusted) {
        return Said::default();
    }
    let hops =
        if headers.contains("forwarded") { forwarded(headers) } else { x_forwarded(headers) };
    let mut said = Said::default();
    for hop in hops.into_iter().rev() {
        said = Said { scheme: hop.scheme.or(said.scheme), host: hop.host.or(said.host), ..said };
        match hop.client {
            Some(client) => {
                said.client = Some(client);
                if !is_trusted(client) {
                    break;
                }
            }
            // Hidden, or no address: whoever is before it cannot be told from an invention.
            None => break,
        }
    }
    said
}

/// RFC 7239.
fn forwarded(headers: &Headers) -> Vec<Said> {
    let elements = headers.all("forwarded").flat_map(|value| split_quoted(value, b','));
    let hop = |element: Vec<u8>| {
        let mut hop = Said::default();
        for pair in split_quoted(&element, b';') {
            let text = String::from_utf8_lossy(&pair).into_owned();
            let Some((name, value)) = text.split_once('=') else { continue };
            let value = value.trim().trim_matches('"').replace("\\\"", "\"");
            match &name.trim().to_ascii_lowercase()[..] {
                "for" => hop.client = address(&value),
                "proto" => hop.scheme = scheme(&value),
                "host" => hop.host = host(&value),
                _ => {}
            }
        }
        hop
    };
    elements.map(hop).collect()
}

/// What everybody had before. Scheme and host are the last proxy's.
fn x_forwarded(headers: &Headers) -> Vec<Said> {
    let texts = headers.all("x-forwarded-for").flat_map(elements);
    let address_of = |it| str::from_utf8(it).ok().and_then(address);
    let mut hops: Vec<_> =
        texts.map(|it| Said { client: address_of(it), ..Said::default() }).collect();
    let last = |name| {
        let last = headers.all(name).flat_map(elements).last()?;
        str::from_utf8(last).ok().map(str::to_owned)
    };
    let proto = last("x-forwarded-proto").and_then(|it| scheme(&it));
    let named = last("x-forwarded-host").and_then(|it| host(&it));
    match hops.last_mut() {
        Some(hop) => (hop.scheme, hop.host) = (proto, named),
        None => hops.push(Said { client: None, scheme: proto, host: named }),
    }
    hops
}

/// Cuts at a separator that is not in quotes.
fn split_quoted(text: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let (mut parts, mut part, mut quoted, mut escaped) = (Vec::new(), Vec::new(), false, false);
    for &byte in text {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            _ if byte == separator && !quoted => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        escaped = byte == b'\\' && quoted && !escaped;
        part.push(byte);
    }
    parts.push(part);
    parts
}

/// An address with or without a port, an IPv6 one in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let host = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text.split_once(':')?.0,
    };
    host.parse::<IpAddr>().ok().map(|it| it.to_canonical())
}

fn scheme(text: &str) -> Option<String> {
    let scheme = text.trim().to_ascii_lowercase();
    ["http", "https"].contains(&&scheme[..]).then_some(scheme)
}

fn host(text: &str) -> Option<String> {
    let text = text.trim();
    let is_host = !text.is_empty() && super::syntax::is_authority(text.as_bytes());
    is_host.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(peer: &str, fields: &[(&str, &str)]) -> Said {
        let mut headers = Headers::new();
        fields.iter().for_each(|(name, value)| headers.append(name, value).unwrap());
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        read(peer.parse().ok(), &headers, &trusted)
    }

    fn client(peer: &str, fields: &[(&str, &str)]) -> Option<String> {
        said(peer, fields).client.map(|it| it.to_string())
    }

    #[test]
    fn the_first_address_from_the_end_that_is_not_trusted_is_the_clients() {
        let chain =
            [("X-Forwarded-For", "6.6.6.6, 192.0.2.9, 10.1.1.1"), ("x-forwarded-for", "10.2.2.2")];
        assert_eq!(client("10.0.0.1", &chain).as_deref(), Some("192.0.2.9"));
        assert_eq!(client("::1", &chain).as_deref(), Some("192.0.2.9"));
        assert_eq!(client("192.0.2.1", &chain), None, "nobody asked that one");
        let chain = [
            ("Forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:80\";proto=https;host=a"),
            ("X-Forwarded-For", "7.7.7.7"),
        ];
        let found = said("10.0.0.1", &chain);
        assert_eq!(found.client.unwrap().to_string(), "2001:db8::1");
        assert_eq!((found.scheme.as_deref(), found.host.as_deref()), (Some("https"), Some("a")));
    }

    #[test]
    fn what_hides_an_address_hides_what_is_before_it() {
        assert_eq!(client("10.0.0.1", &[("Forwarded", "for=6.6.6.6, for=_hidden")]), None);
        assert_eq!(client("10.0.0.1", &[("X-Forwarded-For", "6.6.6.6, unknown")]), None);
        assert_eq!(
            client("10.0.0.1", &[("X-Forwarded-For", "6.6.6.6, unknown, 10.3.3.3")]).as_deref(),
            Some("10.3.3.3")
        );
        assert_eq!(said("10.0.0.1", &[("X-Forwarded-Proto", "gopher")]), Said::default());
        assert_eq!(said("10.0.0.1", &[("Forwarded", "host=\"a/b\"")]), Said::default());
    }

    #[test]
    fn a_range_of_no_bits_is_everybody_and_one_of_too_many_is_none() {
        let all: IpRange = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("192.0.2.1".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
        for bad in ["10.0.0.0/33", "::/129", "10.0.0/8", "x", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(bad.parse::<IpRange>().is_err(), "{bad}");
        }
    }
}
