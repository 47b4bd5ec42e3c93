// Parts of a thing: RFC 9110, 14.
//
// # Theory
// A `Range` that is no list of byte ranges is as if it were not there, and so is one with more parts
// than anybody needs: the whole is always a right answer. Parts that overlap or nearly touch are sent
// as one (14.2 allows it): what lies between two costs less than the lines of another part.

use crate::http::list::elements;
use std::ops::Range;

/// What a `Range` asks for, of a thing of some length.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: 200.
    Whole,
    /// In the order asked, none empty, none past the end: 206.
    Parts(Vec<Range<u64>>),
    /// Nothing that is there: 416.
    Unsatisfiable,
}

/// Parts in one answer.
const MOST: usize = 16;
/// What lies between two parts that are sent as one, at most.
const GAP: u64 = 80;

pub(super) fn asked(value: &[u8], length: u64) -> Asked {
    let set = str::from_utf8(value).ok().and_then(|text| text.split_once('='));
    let Some((unit, set)) = set else {
        return Asked::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let mut parts = Vec::new();
    let mut count = 0;
    for element in elements(set.as_bytes()) {
        let Some(part) = part(element, length) else {
            return Asked::Whole;
        };
        count += 1;
        parts.extend((!part.is_empty()).then_some(part));
        if parts.len() > MOST {
            return Asked::Whole;
        }
    }
    match (count, parts.is_empty()) {
        (0, _) => Asked::Whole,
        (_, true) => Asked::Unsatisfiable,
        (_, false) => Asked::Parts(coalesced(parts)),
    }
}

/// One range, cut to what is there; `None` for what is no range.
fn part(element: &[u8], length: u64) -> Option<Range<u64>> {
    let (first, last) = str::from_utf8(element).ok()?.split_once('-')?;
    let (first, last) = (first.trim_ascii_end(), last.trim_ascii_start());
    match (first, last) {
        ("", "") => None,
        ("", suffix) => Some(length - number(suffix)?.min(length)..length),
        (first, "") => Some(number(first)?.min(length)..length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            let end = last.saturating_add(1).min(length);
            (first <= last).then_some(first.min(end)..end)
        }
    }
}

/// Digits; more of them than fit are more than any thing is long.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Those that overlap or nearly touch as one, in the place of the first of them.
fn coalesced(parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut kept: Vec<Range<u64>> = Vec::new();
    for mut part in parts {
        // What it reaches may in turn reach others.
        let mut place = kept.len();
        while let Some(at) = kept.iter().position(|it| {
            it.start <= part.end.saturating_add(GAP) && part.start <= it.end.saturating_add(GAP)
        }) {
            let it = kept.remove(at);
            part = part.start.min(it.start)..part.end.max(it.end);
            place = place.min(at);
        }
        kept.insert(place.min(kept.len()), part);
    }
    kept
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says_and_cut_to_what_is_there() {
        let parts = |parts: &[Range<u64>]| Asked::Parts(parts.to_vec());
        for (value, expected) in [
            ("bytes=0-499", parts(&[0..500])),
            ("bytes=500-999", parts(&[500..1000])),
            ("bytes=-500", parts(&[9500..10000])),
            ("bytes=9500-", parts(&[9500..10000])),
            ("bytes=0-0,-1", parts(&[0..1, 9999..10000])),
            ("BYTES= 500-600 , 5000-5100", parts(&[500..601, 5000..5101])),
            ("bytes=500-600,601-999", parts(&[500..1000])),
            ("bytes=500-700,601-999", parts(&[500..1000])),
            ("bytes=9000-99999", parts(&[9000..10000])),
            ("bytes=0-18446744073709551615", parts(&[0..10000])),
            ("bytes=0-99999999999999999999999", parts(&[0..10000])),
            ("bytes=-99999", parts(&[0..10000])),
            ("bytes=10000-,0-1", parts(&[0..2])),
            ("bytes=10000-", Asked::Unsatisfiable),
            ("bytes=10000-10001,-0", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
            ("bytes=", Asked::Whole),
            ("bytes=,", Asked::Whole),
            ("bytes=1-0", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=0-1,x", Asked::Whole),
            ("bytes 0-1", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(asked(value.as_bytes(), 10000), expected, "{value}");
        }
        assert_eq!(asked(b"bytes=0-", 0), Asked::Unsatisfiable);
    }

    #[test]
    fn more_parts_than_sixteen_are_answered_by_the_whole() {
        let set = |count: u64| {
            let parts: Vec<_> = (0..count).map(|n| format!("{}-{}", n * 500, n * 500)).collect();
            format!("bytes={}", parts.join(","))
        };
        assert!(
            matches!(asked(set(16).as_bytes(), 10000), Asked::Parts(parts) if parts.len() == 16)
        );
        assert_eq!(asked(set(17).as_bytes(), 10000), Asked::Whole);
    }

    #[test]
    fn no_order_of_parts_makes_a_byte_come_twice() {
        let asked = asked(b"bytes=5000-5999,0-99,4000-4999,3900-4100,100-3899", 10000);
        assert_eq!(asked, Asked::Parts(vec![0..6000]));
    }
}
