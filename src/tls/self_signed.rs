//! A certificate for development, in one call: X.509 as far as one self-signed certificate needs it.
//!
//! DER is a tree of tagged, counted strings; each function here writes one kind of node. The key is
//! on the curve P-256, which everybody can verify.

use crate::failure::{Failure, Result};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// From when until when a certificate holds.
pub(super) struct Validity {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

impl Validity {
    /// From a day ago, for clocks that are late, for so many days.
    pub(super) fn days(days: u32) -> Validity {
        let now = SystemTime::now();
        Validity { from: now - DAY, until: now + DAY * days }
    }
}

/// A certificate for these names, and its key, both in DER.
pub(super) fn certify(names: &[Cow<'_, str>], validity: &Validity) -> Result<(Vec<u8>, Vec<u8>)> {
    let random = SystemRandom::new();
    let unlucky = |_| Failure::in_loop_msg("the system gave no random numbers for a key");
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
    let key = document.map_err(unlucky)?.as_ref().to_vec();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key, &random)
        .map_err(|error| Failure::in_loop_msg(format!("a new key was rejected: {error}")))?;
    let mut serial = [0; 16];
    random.fill(&mut serial).map_err(unlucky)?;
    // Positive, and of no fewer bytes than it is written in.
    serial[0] = serial[0] & 0x3f | 0x40;
    let body = body(names, validity, &serial, pair.public_key().as_ref());
    let signature = pair.sign(&random, &body).map_err(unlucky)?;
    let certificate = sequence(&[body, algorithm(), bits(signature.as_ref())]);
    Ok((certificate, key))
}

fn body(names: &[Cow<'_, str>], validity: &Validity, serial: &[u8], key: &[u8]) -> Vec<u8> {
    let common = names.first().map_or("localhost", |name| name);
    let name = distinguished_name(common);
    let validity = sequence(&[time(validity.from), time(validity.until)]);
    let on_curve = sequence(&[object(EC_PUBLIC_KEY), object(P256)]);
    let extensions = sequence(&[alternative_names(names)]);
    sequence(&[
        node(0xa0, &node(INTEGER, &[2])),
        node(INTEGER, serial),
        algorithm(),
        name.clone(),
        validity,
        name,
        sequence(&[on_curve, bits(key)]),
        node(0xa3, &extensions),
    ])
}

fn alternative_names(names: &[Cow<'_, str>]) -> Vec<u8> {
    let names: Vec<Vec<u8>> = names.iter().map(|name| alternative_name(name)).collect();
    sequence(&[object(SUBJECT_ALTERNATIVE_NAME), node(OCTETS, &sequence(&names))])
}

fn alternative_name(name: &str) -> Vec<u8> {
    match name.parse() {
        Ok(IpAddr::V4(ip)) => node(0x87, &ip.octets()),
        Ok(IpAddr::V6(ip)) => node(0x87, &ip.octets()),
        Err(_) => node(0x82, name.as_bytes()),
    }
}

fn distinguished_name(common: &str) -> Vec<u8> {
    let attribute = sequence(&[object(COMMON_NAME), node(UTF8, common.as_bytes())]);
    sequence(&[node(SET, &attribute)])
}

fn algorithm() -> Vec<u8> {
    sequence(&[object(ECDSA_WITH_SHA256)])
}

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTF8: u8 = 0x0c;
const GENERALIZED_TIME: u8 = 0x18;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

// The numbers of the standards, each as DER writes it.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

fn node(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut node = vec![tag];
    match content.len() {
        short @ 0..0x80 => node.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let used = &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..];
            node.push(0x80 | used.len() as u8);
            node.extend_from_slice(used);
        }
    }
    node.extend_from_slice(content);
    node
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    node(SEQUENCE, &parts.concat())
}

fn object(number: &[u8]) -> Vec<u8> {
    node(OBJECT, number)
}

fn bits(bytes: &[u8]) -> Vec<u8> {
    node(BITS, &[&[0], bytes].concat())
}

/// In two digits of the year until 2049, in four after it, as the standard wants.
fn time(at: SystemTime) -> Vec<u8> {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(seconds / DAY.as_secs());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    match year {
        ..2050 => node(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes()),
        _ => node(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes()),
    }
}

/// The date of the day that is so many days after 1 January 1970.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(59), (1970, 3, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_778), (2026, 11, 21));
        assert_eq!(date(47_540), (2100, 2, 28));
        assert_eq!(date(47_541), (2100, 3, 1));
    }

    #[test]
    fn a_long_node_counts_in_as_many_bytes_as_it_needs() {
        assert_eq!(node(OCTETS, &[7])[..3], [4, 1, 7]);
        assert_eq!(node(OCTETS, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(node(OCTETS, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }
}
