//! The PROXY protocol: a load balancer says, before anything else, whom it speaks for.
//!
//! # Theory
//! It is a layer whose handshake is the header. Once that is in, the connection's `peer` and `host`
//! are those that the header names, the factory is asked for a protocol for that peer, and the bytes
//! behind the header are the first that it receives. Version 1 (a line) and 2 (binary) are told apart
//! by their first bytes. `LOCAL` and `UNKNOWN`, a balancer's own checks, keep the real addresses.
//!
//! # Invariants
//! * A header has a limit (107 bytes, or 4 KiB in version 2) and a time limit of ten seconds; what is
//!   no header ends the connection, and the report names the peer.
//!
//! Whoever can connect can say anything in a header: listen where only the balancer can.

use crate::address::{Address, UnixName};
use crate::driver::{AnyStream, ByteStream, pass_on};
use crate::net::connection::Connection;
use crate::net::layer::{Dressed, Layer};
use crate::net::port::Welcome;
use crate::reactor::Loop;
use crate::transport::Wrap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// What a port behind a balancer does: headers first, and then what the welcome below does.
pub(super) fn behind_proxy(below: Box<dyn Welcome>) -> Box<dyn Welcome> {
    Box::new(Dressed::new(Rc::new(Headers), Box::new(Renamed(below))))
}

struct Headers;

impl Layer for Headers {
    fn prepare(&self, _: Option<&str>) -> io::Result<Wrap> {
        Ok(Box::new(|stream| Box::new(Headed::new(stream))))
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Gives each connection the addresses of its header before anybody sees it.
struct Renamed(Box<dyn Welcome>);

impl Welcome for Renamed {
    fn started(&mut self) {
        self.0.started();
    }

    fn welcome(&mut self, inner: &Rc<Loop>, stream: AnyStream, peer: Address) {
        self.0.welcome(inner, stream, peer);
    }

    fn serve(&mut self, connection: Rc<Connection>) {
        connection.ask_for_peer();
        self.0.serve(connection);
    }

    fn stopped(&mut self) {
        self.0.stopped();
    }
}

/// A stream behind its header.
struct Headed {
    stream: Box<dyn ByteStream>,
    /// The header until it is whole, then what came behind it until that is read.
    kept: Vec<u8>,
    /// Set once the header is whole; none inside if it names none.
    addresses: Option<Option<Addresses>>,
    /// Something was handed out of `kept`: whether the stream has more was not asked yet.
    is_behind: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Addresses {
    source: Address,
    destination: Address,
}

impl Headed {
    fn new(stream: Box<dyn ByteStream>) -> Headed {
        Headed { stream, kept: Vec::new(), addresses: None, is_behind: false }
    }

    fn take_in(&mut self) -> io::Result<()> {
        let mut piece = [0; 512];
        let count = self.stream.read(&mut piece)?;
        if count == 0 {
            let why = "it ended before its PROXY header did";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.kept.extend_from_slice(&piece[..count]);
        Ok(())
    }

    fn named(&self) -> Option<&Addresses> {
        self.addresses.as_ref()?.as_ref()
    }
}

impl ByteStream for Headed {
    pass_on! {
        stream: register, write, write_vectored, shutdown_write, set_abort, is_standard, set_nodelay,
        set_keepalive, must_hear_out
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.addresses.is_none() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.is_behind = !self.kept.is_empty();
        if !self.is_behind {
            return self.stream.read(buffer);
        }
        let count = self.kept.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.kept[..count]);
        self.kept.drain(..count);
        Ok(count)
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.kept.is_empty() && self.stream.is_at_end()?)
    }

    fn finish_connecting(&mut self) -> io::Result<()> {
        while self.addresses.is_none() {
            match parse(&self.kept) {
                Ok(Some((length, addresses))) => {
                    self.kept.drain(..length);
                    self.addresses = Some(addresses);
                }
                Ok(None) => self.take_in()?,
                Err(why) => {
                    let why = format!("it sent no PROXY header: {why}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
        Ok(())
    }

    fn peer(&self) -> io::Result<Address> {
        self.named().map_or_else(|| self.stream.peer(), |named| Ok(named.source.clone()))
    }

    fn host(&self) -> io::Result<Address> {
        self.named().map_or_else(|| self.stream.host(), |named| Ok(named.destination.clone()))
    }

    fn is_plain(&self) -> bool {
        false
    }

    fn holds_more(&mut self) -> bool {
        self.is_behind || self.stream.holds_more()
    }
}

/// A header's length and addresses; `None` while it is unfinished.
type Header = Option<(usize, Option<Addresses>)>;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const LONGEST_LINE: usize = 107;
const LONGEST_BLOCK: usize = 4096;

fn parse(data: &[u8]) -> Result<Header, String> {
    if begins_alike(data, SIGNATURE) {
        return parse_block(data);
    }
    if begins_alike(data, b"PROXY ") {
        return parse_line(data);
    }
    let start = &data[..data.len().min(SIGNATURE.len())];
    Err(format!("it began with \"{}\"", start.escape_ascii()))
}

fn begins_alike(data: &[u8], pattern: &[u8]) -> bool {
    let common = data.len().min(pattern.len());
    data[..common] == pattern[..common]
}

// ---- version 1 ----

fn parse_line(data: &[u8]) -> Result<Header, String> {
    let head = &data[..data.len().min(LONGEST_LINE)];
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        let is_too_long = head.len() == LONGEST_LINE;
        return if is_too_long { Err("its line has no end".into()) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&head[..end]).map_err(|_| "its line is no text")?;
    let addresses = match line.split(' ').collect::<Vec<_>>()[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let is_v6 = family == "TCP6";
            Some(Addresses {
                source: text_address(is_v6, source, from)?,
                destination: text_address(is_v6, destination, to)?,
            })
        }
        _ => return Err(format!("its line is {line:?}")),
    };
    Ok(Some((end + 2, addresses)))
}

fn text_address(is_v6: bool, ip: &str, port: &str) -> Result<Address, String> {
    let ip = ip.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv6() == is_v6);
    let ip = ip.ok_or("an address in its line is none")?;
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| is_number).ok_or("a port in its line is none")?;
    Ok(SocketAddr::new(ip, port).into())
}

// ---- version 2 ----

fn parse_block(data: &[u8]) -> Result<Header, String> {
    let Some((head, rest)) = data.split_first_chunk::<16>() else { return Ok(None) };
    let [version, family, high, low] = [head[12], head[13], head[14], head[15]];
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_BLOCK {
        return Err(format!("its block has {length} bytes"));
    }
    if !matches!(version, 0x20 | 0x21) {
        return Err(format!("its version and command are {version:#04x}"));
    }
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let addresses = if version == 0x20 { None } else { block_addresses(family, block)? };
    Ok(Some((head.len() + length, addresses)))
}

/// Reads an address and, at the start of the other slice, its port.
type Read = fn(&[u8], &[u8]) -> Option<Address>;

fn block_addresses(family: u8, block: &[u8]) -> Result<Option<Addresses>, String> {
    let (size, read): (usize, Read) = match family {
        0x00 => return Ok(None),
        0x11 => (4, v4_address),
        0x21 => (16, v6_address),
        0x31 => (108, unix_address),
        other => return Err(format!("its family is {other:#04x}")),
    };
    let find = || {
        let (source, rest) = block.split_at_checked(size)?;
        let (destination, ports) = rest.split_at_checked(size)?;
        Some(Addresses {
            source: read(source, ports)?,
            destination: read(destination, ports.get(2..).unwrap_or_default())?,
        })
    };
    find().map(Some).ok_or_else(|| "its block is too short for its addresses".into())
}

fn port(ports: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*ports.first_chunk()?))
}

fn v4_address(ip: &[u8], ports: &[u8]) -> Option<Address> {
    let ip = Ipv4Addr::from(*ip.first_chunk::<4>()?);
    Some(SocketAddr::new(ip.into(), port(ports)?).into())
}

fn v6_address(ip: &[u8], ports: &[u8]) -> Option<Address> {
    let ip = Ipv6Addr::from(*ip.first_chunk::<16>()?);
    Some(SocketAddr::new(ip.into(), port(ports)?).into())
}

fn unix_address(name: &[u8], _: &[u8]) -> Option<Address> {
    let until_zero = |bytes: &[u8]| bytes.split(|&byte| byte == 0).next().map(<[u8]>::to_vec);
    let name = match name {
        [0, name @ ..] => match until_zero(name)? {
            empty if empty.is_empty() => UnixName::Unnamed,
            name => UnixName::Abstract(name.into()),
        },
        path => UnixName::from(PathBuf::from(String::from_utf8(until_zero(path)?).ok()?)),
    };
    Some(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &[u8]) -> String {
        match parse(data) {
            Ok(None) => "unfinished".into(),
            Ok(Some((length, None))) => format!("{length}: nobody"),
            Ok(Some((length, Some(Addresses { source, destination })))) => {
                format!("{length}: {source} to {destination}")
            }
            Err(why) => format!("bad: {why}"),
        }
    }

    fn block(version: u8, family: u8, length: u16, body: &[u8]) -> Vec<u8> {
        let mut data = SIGNATURE.to_vec();
        data.extend([version, family]);
        data.extend(length.to_be_bytes());
        data.extend(body);
        data
    }

    fn good() -> Vec<(Vec<u8>, &'static str)> {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x10, 0, 0, 80];
        let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 15], &[1, 0, 9, 0, 80]].concat();
        let mut unix = vec![0; 216];
        unix[..6].copy_from_slice(b"/run/s");
        unix[109..112].copy_from_slice(b"bus");
        let line = |text: &str| text.as_bytes().to_vec();
        vec![
            (
                line("PROXY TCP4 192.0.2.1 192.0.2.2 4096 80\r\n"),
                "40: 192.0.2.1:4096 to 192.0.2.2:80",
            ),
            (line("PROXY TCP6 ::1 ::2 1 65535\r\n"), "28: [::1]:1 to [::2]:65535"),
            (line("PROXY UNKNOWN\r\n"), "15: nobody"),
            (line("PROXY UNKNOWN ::1 what ever\r\n"), "29: nobody"),
            (block(0x21, 0x11, 12, &v4), "28: 192.0.2.1:4096 to 192.0.2.2:80"),
            (
                block(0x21, 0x11, 15, &[&v4[..], &[4, 0, 0]].concat()),
                "31: 192.0.2.1:4096 to 192.0.2.2:80",
            ),
            (block(0x21, 0x21, 36, &v6), "52: [2001:db8::1]:9 to [::1]:80"),
            (block(0x21, 0x31, 216, &unix), "232: unix:/run/s to unix:@bus"),
            (block(0x20, 0xff, 0, &[]), "16: nobody"),
            (block(0x21, 0x00, 3, &[1, 2, 3]), "19: nobody"),
        ]
    }

    #[test]
    fn a_header_is_the_same_whatever_follows_it_and_unfinished_at_every_cut() {
        for (header, want) in good() {
            assert_eq!(shown(&header), want);
            assert_eq!(shown(&[&header[..], b"GET /\r\n"].concat()), want);
            (0..header.len())
                .for_each(|cut| assert_eq!(shown(&header[..cut]), "unfinished", "{want}"));
        }
    }

    #[test]
    fn what_is_no_header_is_refused_with_its_reason() {
        let long = format!("PROXY UNKNOWN {}", "x".repeat(200));
        let lines = [
            "GET / HTTP/1.1\r\n",
            "PROXY\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY \u{fe}\r\n",
            &long,
        ];
        for line in lines {
            assert!(
                shown(line.as_bytes()).starts_with("bad: "),
                "{line}: {}",
                shown(line.as_bytes())
            );
        }
        for data in [
            block(0x21, 0x11, 5000, &[]),
            block(0x11, 0x11, 12, &[0; 12]),
            block(0x22, 0, 0, &[]),
            block(0x21, 0x12, 12, &[0; 12]),
            block(0x21, 0x11, 11, &[0; 11]),
            block(0x21, 0x21, 12, &[0; 12]),
            block(0x21, 0x31, 215, &[0; 215]),
        ] {
            assert!(shown(&data).starts_with("bad: "), "{}", data.escape_ascii());
        }
    }

    #[test]
    fn random_bytes_behind_a_good_beginning_never_panic() {
        let mut state = 0x5eed_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        for round in 0..100_000 {
            let (header, _) = &good()[round % 10];
            let mut data = header.clone();
            let at = usize::from(random()) % data.len();
            data[at] = random();
            data.truncate(usize::from(random()));
            shown(&data);
        }
    }
}
