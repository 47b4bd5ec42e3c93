// Values that are lists: RFC 9110, 5.6.1 and 12.4.2.
//
// # Theory
// A comma inside of a quoted string ends no element; an element that is empty counts for nothing. A
// quality is kept in thousandths, as it is written with three digits at most.

/// The elements of a list, without blanks around them and without those that are empty.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let all = rest?;
        let end = end_of_element(all);
        rest = all.get(end + 1..);
        Some(all[..end].trim_ascii())
    })
    .filter(|element| !element.is_empty())
}

/// Where the first comma stands that is not quoted.
fn end_of_element(value: &[u8]) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return at,
            _ => {}
        }
    }
    value.len()
}

/// An element with its quality in thousandths: `gzip;q=0.5`. One that cannot be read is left out.
pub(crate) fn weighted(value: &[u8]) -> impl Iterator<Item = (&str, u16)> {
    elements(value).filter_map(|element| {
        let element = str::from_utf8(element).ok()?;
        let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
        let mut quality = 1000;
        for parameter in parameters.split(';') {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if key.trim().eq_ignore_ascii_case("q") {
                quality = thousandths(value.trim())?;
            }
        }
        Some((name.trim(), quality))
    })
}

/// `0`, `1`, or either with a point and up to three digits, but not above 1.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || digits.len() > 3 {
        return None;
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{digits:0<3}").parse().ok()?;
    let quality = if whole == "1" { 1000 + fraction } else { fraction };
    (quality <= 1000).then_some(quality)
}

/// Which of some content codings, the best first, a peer takes: `None` for the bytes as they are.
///
/// RFC 9110, 12.5.3: what is named counts, then `*`; without the field nothing but the bytes as they
/// are is sent, since what a peer did not ask for it may not know.
pub(crate) fn coding<'c>(accepted: &[u8], codings: &[&'c str]) -> Option<&'c str> {
    let quality = |coding: &str| {
        let of = |name: &str| {
            let mut named = weighted(accepted).filter(|(it, _)| it.eq_ignore_ascii_case(name));
            named.next().map(|(_, quality)| quality)
        };
        of(coding).or_else(|| of("*")).unwrap_or(0)
    };
    // Not max_by_key: of equal ones it takes the last.
    let mut best = None;
    for &coding in codings {
        let quality = quality(coding);
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((coding, quality));
        }
    }
    best.map(|(coding, _)| coding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_comma_ends_no_element_and_empty_ones_are_left_out() {
        let all: Vec<_> = elements(b" a , \"b,\\\",c\" ,, d,").collect();
        assert_eq!(all, [&b"a"[..], b"\"b,\\\",c\"", b"d"]);
        assert_eq!(elements(b"").count(), 0);
        assert_eq!(elements(b",").count(), 0);
    }

    #[test]
    fn a_quality_has_three_digits_at_most_and_is_not_above_one() {
        for (text, quality) in [
            ("1", Some(1000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("0.125", Some(125)),
            ("1.000", Some(1000)),
            ("0.", Some(0)),
            ("1.001", None),
            ("0.1234", None),
            ("2", None),
            (".5", None),
            ("-0", None),
            ("", None),
        ] {
            assert_eq!(thousandths(text), quality, "{text}");
        }
    }

    #[test]
    fn the_coding_with_the_highest_quality_is_taken_and_the_first_of_equal_ones() {
        let codings = ["br", "zstd", "gzip"];
        for (accepted, expected) in [
            ("gzip, br", Some("br")),
            ("gzip;q=0.9, br;q=0.8", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("*", Some("br")),
            ("*, br;q=0", Some("zstd")),
            ("identity", None),
            ("gzip;q=0", None),
            ("gzip;q=nonsense", None),
            ("deflate", None),
            ("", None),
        ] {
            assert_eq!(coding(accepted.as_bytes(), &codings), expected, "{accepted}");
        }
    }
}
