// Which bytes may stand where: RFC 9110, 5.5 and 5.6, RFC 3986, 3.2.
//
// # Theory
// A table answers for one byte. Where runs are long, a word of eight bytes is looked at first: `x - 0x20`
// borrows out of a byte that is below 0x20, `x + 1` carries into the high bit of DEL, and `& !x` drops
// the bytes that had their high bit set before. Words are read little-endian, so the lowest mark is
// first. A borrow or carry may put a false mark above a byte, never a true one too few: where a word
// is marked, the table goes on from its lowest mark.

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const fn is_target_byte(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && byte != b'#'
}

/// Of `uri-host`, brackets and what they may hold left aside.
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const HOST: u8 = 4;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let it = byte as u8;
        classes[byte] = if is_token_byte(it) { TOKEN } else { 0 }
            | if is_target_byte(it) { TARGET } else { 0 }
            | if is_host_byte(it) { HOST } else { 0 };
        byte += 1;
    }
    classes
};

#[inline]
pub(crate) fn is_token(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TOKEN != 0
}

/// May stand in a request target: printable ASCII without the space and the fragment's `#`.
#[inline]
pub(crate) fn is_target(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TARGET != 0
}

#[inline]
fn is_host(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & HOST != 0
}

/// May stand in a field's value: printable ASCII, space, tab, and the bytes beyond ASCII.
pub(crate) fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

const LOW: u64 = u64::MAX / 255;
const HIGH: u64 = LOW << 7;

/// How many bytes a token takes from the front.
#[inline]
pub(crate) fn token_length(bytes: &[u8]) -> usize {
    // Names are letters and hyphens but for few.
    let run = run_of(bytes, |word| {
        let small = (word | (LOW * 0x20)) & !HIGH;
        let letters = (small + LOW * 0x1f) & !(small + LOW * 0x05) & !word;
        let hyphen = word ^ (LOW * 0x2d);
        let others = ((hyphen & !HIGH) + !HIGH) | hyphen;
        others & !letters
    });
    // What ends most names.
    if bytes.get(run) == Some(&b':') { run } else { go_on(bytes, run, is_token) }
}

/// How many bytes a target takes from the front.
#[inline]
pub(crate) fn target_length(bytes: &[u8]) -> usize {
    let run = run_of(bytes, |word| {
        let fragment = word ^ (LOW * 0x23);
        let low = word.wrapping_sub(LOW * 0x21) | (fragment.wrapping_sub(LOW) & !fragment);
        low | word | word.wrapping_add(LOW)
    });
    if bytes.get(run) == Some(&b' ') { run } else { go_on(bytes, run, is_target) }
}

/// How many bytes stand before the first control character, tab and DEL among them.
#[inline]
pub(crate) fn text_length(bytes: &[u8]) -> usize {
    let run =
        run_of(bytes, |word| (word.wrapping_sub(LOW * 0x20) | word.wrapping_add(LOW)) & !word);
    let is_text = |byte| byte >= b' ' && byte != 0x7f;
    if bytes.get(run) == Some(&b'\r') { run } else { go_on(bytes, run, is_text) }
}

/// How many bytes stand before the first whose high bit `marks` sets in its word.
#[inline]
fn run_of(bytes: &[u8], marks: impl Fn(u64) -> u64) -> usize {
    let mut rest = bytes;
    while let Some((word, next)) = rest.split_first_chunk::<8>() {
        let marks = marks(u64::from_le_bytes(*word)) & HIGH;
        if marks != 0 {
            return bytes.len() - rest.len() + (marks.trailing_zeros() / 8) as usize;
        }
        rest = next;
    }
    bytes.len() - rest.len()
}

/// Goes on byte by byte, where a word's mark was not yet the end or no word is left.
fn go_on(bytes: &[u8], run: usize, class: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(run..).unwrap_or_default();
    run + rest.iter().position(|&byte| !class(byte)).unwrap_or(rest.len())
}

/// Without the blanks around it.
#[inline]
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a list with commas, without the blanks around them; empty ones are left out.
pub(crate) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Whether it is a host with or without a port, as `Host` and the authority of a target have it.
#[inline]
pub(crate) fn is_authority(text: &[u8]) -> bool {
    // A name or an IPv4 address is looked at in one go.
    let length = host_length(text);
    match text[length..].split_first() {
        None => true,
        Some((b':', port)) => is_port(port),
        Some(_) => {
            let (host, port) = split_port(text);
            is_host_name(host) && port.strip_prefix(b":").is_none_or(is_port)
        }
    }
}

/// How many bytes of a name or an IPv4 address stand at the front.
///
/// They are few: byte by byte, it takes less than by words.
#[inline]
fn host_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(&byte) = text.get(length)
        && is_host(byte)
    {
        length += 1;
    }
    length
}

/// The host, and the port with its colon; brackets around an IPv6 address hide its colons.
pub(crate) fn split_port(text: &[u8]) -> (&[u8], &[u8]) {
    let from = text.iter().rposition(|&byte| byte == b']').map_or(0, |at| at + 1);
    let colon = text[from..].iter().position(|&byte| byte == b':');
    text.split_at(colon.map_or(text.len(), |at| from + at))
}

fn is_host_name(host: &[u8]) -> bool {
    if let [b'[', inner @ .., b']'] = host {
        let inner = str::from_utf8(inner).unwrap_or_default();
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let mut bytes = host.iter();
    while let Some(&byte) = bytes.next() {
        let escaped = byte == b'%'
            && bytes.next().is_some_and(u8::is_ascii_hexdigit)
            && bytes.next().is_some_and(u8::is_ascii_hexdigit);
        if !escaped && !is_host(byte) {
            return false;
        }
    }
    true
}

/// The number of a port, or nothing.
#[inline]
fn is_port(digits: &[u8]) -> bool {
    let is_digit = |byte: u8| byte.wrapping_sub(b'0') < 10;
    match *digits {
        // What most have: without a loop.
        [a, b, c, d] => is_digit(a) & is_digit(b) & is_digit(c) & is_digit(d),
        [] => true,
        _ => {
            let fits = digits.len() < 5 || (digits.len() == 5 && digits <= b"65535");
            fits && digits.iter().all(u8::is_ascii_digit)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_control_character_is_found_wherever_it_stands() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![[0xff, b'~'][length % 2]; length];
                    bytes[at] = byte;
                    // Another one behind it must not be found instead.
                    if let Some(last) = bytes.get_mut(at + 2) {
                        *last = 0;
                    }
                    let slow = bytes.iter().position(|&it| it < b' ' || it == 0x7f);
                    assert_eq!(text_length(&bytes), slow.unwrap_or(length), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_byte_that_is_no_token_is_found_wherever_it_stands() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b"aZ-9_"[length % 5]; length];
                    bytes[at] = byte;
                    if let Some(last) = bytes.get_mut(at + 2) {
                        *last = b':';
                    }
                    let slow = bytes.iter().position(|&it| !is_token(it));
                    assert_eq!(token_length(&bytes), slow.unwrap_or(length), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_byte_that_no_target_has_is_found_wherever_it_stands() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b"/~!z\""[length % 5]; length];
                    bytes[at] = byte;
                    if let Some(last) = bytes.get_mut(at + 2) {
                        *last = b' ';
                    }
                    let slow = bytes.iter().position(|&it| !is_target(it));
                    assert_eq!(target_length(&bytes), slow.unwrap_or(length), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn the_first_byte_that_no_name_of_a_host_has_is_found_wherever_it_stands() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b"az.-9Z0~"[length % 8]; length];
                    bytes[at] = byte;
                    if let Some(last) = bytes.get_mut(at + 2) {
                        *last = b':';
                    }
                    let slow = bytes.iter().position(|&it| !is_host(it));
                    assert_eq!(host_length(&bytes), slow.unwrap_or(length), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn a_host_is_told_from_what_is_none() {
        for good in ["", "a", "a.b:80", "[::1]", "[::1]:8080", "127.0.0.1:", "a%20b", "a_b-c~"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "a b", "a/b", "u@a", "[::1", "::1", "[::g]", "a:b", "a:65536", "a%2", "a:1:2", "é",
            "[::1]x", "a?b", "a\\b",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
