//! The header of the PROXY protocol, in both versions: bytes in, addresses out.

use crate::address::{Address, UnixName};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) source: Address,
    pub(super) destination: Address,
}

/// A header's length and addresses; `None` while it is unfinished.
pub(super) type Header = Option<(usize, Option<Addresses>)>;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const LONGEST_LINE: usize = 107;

pub(super) fn parse(data: &[u8]) -> Result<Header, String> {
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
    let line = &head[..end];
    if line == b"PROXY UNKNOWN" || line.starts_with(b"PROXY UNKNOWN ") {
        // Whatever follows it, which need not be text.
        return Ok(Some((end + 2, None)));
    }
    let line = std::str::from_utf8(line).map_err(|_| "its line is no text")?;
    let ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] =
        line.split(' ').collect::<Vec<_>>()[..]
    else {
        return Err(format!("its line is {line:?}"));
    };
    let is_v6 = family == "TCP6";
    let addresses = Addresses {
        source: text_address(is_v6, source, from)?,
        destination: text_address(is_v6, destination, to)?,
    };
    Ok(Some((end + 2, Some(addresses))))
}

fn text_address(is_v6: bool, ip: &str, port: &str) -> Result<Address, String> {
    let ip = ip.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv6() == is_v6);
    let ip = ip.ok_or("an address in its line is none")?;
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    // A zero before a number might be meant to make it octal.
    let is_decimal = is_number && (port == "0" || !port.starts_with('0'));
    let port = port.parse().ok().filter(|_| is_decimal).ok_or("a port in its line is none")?;
    Ok(SocketAddr::new(ip, port).into())
}

// ---- version 2 ----

fn parse_block(data: &[u8]) -> Result<Header, String> {
    let (version, family) = (data.get(12), data.get(13));
    if let Some(version) = version.filter(|version| !matches!(version, 0x20 | 0x21)) {
        return Err(format!("its version and command are {version:#04x}"));
    }
    let is_local = version == Some(&0x20);
    let is_known = |family: u8| family >> 4 <= 3 && family & 0xf <= 2;
    if let Some(family) = family.filter(|&&family| !is_local && !is_known(family)) {
        return Err(format!("its family is {family:#04x}"));
    }
    let Some((head, rest)) = data.split_first_chunk::<16>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let addresses = if is_local { None } else { block_addresses(head[13], block)? };
    Ok(Some((head.len() + length, addresses)))
}

/// Reads an address and, at the start of the other slice, its port.
type Read = fn(&[u8], &[u8]) -> Option<Address>;

fn block_addresses(family: u8, block: &[u8]) -> Result<Option<Addresses>, String> {
    let (size, read): (usize, Read) = match family {
        0x11 => (4, v4_address),
        0x21 => (16, v6_address),
        0x31 => (108, unix_address),
        // Unspecified, or of datagrams: the connection is taken as it is.
        _ => return Ok(None),
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
    let name = match name {
        // Zeros may be of the name; those at its end only fill the field.
        [0, rest @ ..] => match rest.iter().rposition(|&byte| byte != 0) {
            Some(last) => UnixName::Abstract(rest[..=last].into()),
            None => UnixName::Unnamed,
        },
        path => {
            let path = path.split(|&byte| byte == 0).next()?;
            UnixName::Path(Path::new(OsStr::from_bytes(path)).into())
        }
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
            (b"PROXY UNKNOWN \xff\n\r \0\r\n".to_vec(), "21: nobody"),
            (
                line("PROXY TCP4 0.0.0.0 255.255.255.255 0 10\r\n"),
                "41: 0.0.0.0:0 to 255.255.255.255:10",
            ),
            (
                block(0x21, 0x21, 36 + 600, &[&v6[..], &[4; 600]].concat()),
                "652: [2001:db8::1]:9 to [::1]:80",
            ),
            (block(0x20, 0x11, 12, &v4), "28: nobody"),
        ]
    }

    #[test]
    fn what_is_unspecified_or_of_datagrams_keeps_the_real_addresses() {
        for family in [0x00, 0x01, 0x02, 0x10, 0x12, 0x20, 0x22, 0x30, 0x32] {
            for length in [0, 12, 36, 216, 5000] {
                let header = block(0x21, family, length, &vec![7; usize::from(length)]);
                assert_eq!(shown(&header), format!("{}: nobody", 16 + length), "{family:#04x}");
            }
        }
    }

    #[test]
    fn a_check_of_the_balancers_own_is_taken_whatever_its_family_is() {
        for family in 0..=255 {
            assert_eq!(shown(&block(0x20, family, 2, &[1, 2])), "18: nobody");
        }
    }

    #[test]
    fn no_other_command_version_or_family_is_taken_and_one_byte_tells() {
        let known = |family: u8| family >> 4 <= 3 && family & 0xf <= 2;
        for byte in 0..=255 {
            let unfinished = |header: &[u8]| shown(header) == "unfinished";
            let version = block(byte, 0x11, 0, &[]);
            assert_eq!(unfinished(&version[..13]), byte == 0x20 || byte == 0x21, "{byte:#04x}");
            let family = block(0x21, byte, 0, &[]);
            assert_eq!(unfinished(&family[..14]), known(byte), "{byte:#04x}");
        }
    }

    #[test]
    fn a_header_may_be_as_long_as_its_version_says_and_no_longer() {
        let line = |length: usize| {
            let fill = length - b"PROXY UNKNOWN \r\n".len();
            format!("PROXY UNKNOWN {}\r\n", "x".repeat(fill)).into_bytes()
        };
        assert_eq!(shown(&line(107)), "107: nobody");
        assert_eq!(shown(&line(107)[..106]), "unfinished");
        assert_eq!(shown(&line(108)), "bad: its line has no end");
        assert_eq!(shown(&line(108)[..107]), "bad: its line has no end");
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x10, 0, 0, 80];
        let whole = block(0x21, 0x11, u16::MAX, &[&v4[..], &vec![0; 65535 - 12]].concat());
        assert_eq!(shown(&whole), "65551: 192.0.2.1:4096 to 192.0.2.2:80");
        assert_eq!(shown(&whole[..65550]), "unfinished");
    }

    #[test]
    fn a_unix_name_is_taken_as_it_is() {
        let header = |source: &[u8], destination: &[u8]| {
            let mut body = [0; 216];
            body[..source.len()].copy_from_slice(source);
            body[108..][..destination.len()].copy_from_slice(destination);
            block(0x21, 0x31, 216, &body)
        };
        let names = |data: &[u8]| match parse(data) {
            Ok(Some((_, Some(Addresses { source, destination })))) => [source, destination],
            other => panic!("{other:?}"),
        };
        let path = |bytes: &[u8]| {
            Address::Unix(UnixName::Path(Path::new(OsStr::from_bytes(bytes)).into()))
        };
        let hidden = |bytes: &[u8]| Address::Unix(UnixName::Abstract(bytes.into()));
        let long = [b'x'; 108];
        assert_eq!(names(&header(b"/\xff\xfe", &long)), [path(b"/\xff\xfe"), path(&long)]);
        assert_eq!(names(&header(b"/a\0b", b"")), [path(b"/a"), Address::Unix(UnixName::Unnamed)]);
        assert_eq!(names(&header(b"\0a\0\xff", b"\0\0b")), [hidden(b"a\0\xff"), hidden(b"\0b")]);
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
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 00 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
            "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
            "PROXY TCP6 12345::1 ::1 1 2\r\n",
            "PROXY TCP6 1::2::3 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY  UNKNOWN\r\n",
            "PROXY unknown\r\n",
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
            block(0x11, 0x11, 12, &[0; 12]),
            block(0x22, 0, 0, &[]),
            block(0x21, 0x13, 12, &[0; 12]),
            block(0x21, 0x41, 12, &[0; 12]),
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
        let all = good();
        for round in 0..100_000 {
            let (header, _) = &all[round % all.len()];
            let mut data = header.clone();
            let at = usize::from(random()) % data.len();
            data[at] = random();
            data.truncate(usize::from(random()));
            shown(&data);
        }
    }
}
