// A request's head that is whole and has nothing unusual, in a straight line.
//
// # Theory
// The table of states in `head.rs` can stop at any byte and go on. Most heads come whole, and need none of
// that: a method that is known, a target, HTTP/1.1, and lines with one blank behind the colon and
// none at their end. Those are taken here, a word of eight bytes at a time; it saves half of the
// instructions. At whatever is unusual this stops, and the states go on from the last line that was taken:
// what is refused, and with which words, is theirs alone.

use super::framing::Marked;
use super::head::count;
use crate::http::block::{Field, Span};
use crate::http::method::Method;
use crate::http::syntax::{target_length, text_length, token_length};

/// The request line of a usual head.
#[derive(Clone, Copy)]
pub(super) struct UsualLine {
    pub(super) method: Method,
    pub(super) target: Span,
    /// Where it ends.
    pub(super) end: usize,
}

/// Takes a request line, if it is whole and usual.
#[inline]
pub(super) fn request_line(bytes: &[u8]) -> Option<UsualLine> {
    const VERSION: &[u8; 11] = b" HTTP/1.1\r\n";
    let (method, start) = match bytes {
        [b'G', b'E', b'T', b' ', ..] => (Method::Get, 4),
        [b'P', b'O', b'S', b'T', b' ', ..] => (Method::Post, 5),
        [b'H', b'E', b'A', b'D', b' ', ..] => (Method::Head, 5),
        [b'P', b'U', b'T', b' ', ..] => (Method::Put, 4),
        _ => return None,
    };
    let run = target_length(&bytes[start..]);
    let end = start + run;
    if run == 0 || !bytes[end..].starts_with(VERSION) {
        return None;
    }
    count(run / 8);
    Some(UsualLine { method, target: Span::new(start, end), end: end + VERSION.len() })
}

/// Takes fields that are whole and usual, one line after the other, from a place on; where it stopped, and
/// what is left.
#[inline]
pub(super) fn fields<'b>(
    bytes: &'b [u8],
    from: usize,
    fields: &mut Vec<Field>,
    marked: &mut Marked,
    most: usize,
) -> (usize, &'b [u8]) {
    let mut line = from;
    let mut rest = bytes.get(line..).unwrap_or_default();
    while fields.len() < most {
        let name = token_length(rest);
        let Some((_, [b':', value @ ..])) = rest.split_at_checked(name) else { break };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let length = text_length(value);
        let Some((text, [b'\r', b'\n', next @ ..])) = value.split_at_checked(length) else { break };
        if name == 0 || matches!(text, [b' ', ..] | [.., b' ']) {
            break;
        }
        count((name + length) / 8);
        let from = line + (rest.len() - value.len());
        let value = Span::new(from, from + length);
        marked.mark(fields.len(), &rest[..name], value);
        fields.push(Field { name: Span::new(line, line + name), value });
        line = from + length + 2;
        rest = next;
        if let [b'\r', ..] = rest {
            break;
        }
    }
    (line, rest)
}
