// Heads as bytes: lines that can be read back as what they were meant to say.
//
// # Invariants
// * Framing is written by whoever knows it: fields that would say something of it are left out.
// * Names and values were looked at when they were set or read; here they are copied.

use crate::http::block::Block;
use crate::http::headers::Headers;
use crate::http::status::Status;
use crate::http::syntax::elements;
use std::io::Write;

/// Whether the fields name an option of the connection.
pub(super) fn has_option(headers: &Headers, wanted: &str) -> bool {
    let mut options = headers.all("connection").flat_map(elements);
    options.any(|option| option.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Writes the first line of an answer.
pub(super) fn write_status_line(status: Status, out: &mut Vec<u8>) {
    if status == Status::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    // Writing to memory does not fail.
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", status.code(), status.reason());
}

/// Writes the fields, but for those that are the machine's own; whether a Connection is among them.
///
/// Fields that lie one behind the other as they are to be sent are copied together: those of our own do
/// mostly without a look at them, and those of a head that was read do mostly. It saves 300 instructions
/// for three fields.
pub(super) fn write_fields(headers: &Headers, out: &mut Vec<u8>) -> bool {
    let Block { bytes, fields } = &headers.block;
    if !headers.is_mixed {
        out.extend_from_slice(bytes);
        return false;
    }
    let mut has_options = false;
    let mut run = 0..0;
    for field in fields {
        let (name, value) = (field.name, field.value);
        match name.len() {
            10 => has_options |= name.of(bytes).eq_ignore_ascii_case(b"connection"),
            14 if name.of(bytes).eq_ignore_ascii_case(b"content-length") => continue,
            17 if name.of(bytes).eq_ignore_ascii_case(b"transfer-encoding") => continue,
            _ => {}
        }
        let is_plain = bytes.get(name.end()..value.start()).is_some_and(|it| it == b": ")
            && bytes.get(value.end()..value.end() + 2).is_some_and(|it| it == b"\r\n");
        if is_plain && run.end == name.start() {
            run.end = value.end() + 2;
            continue;
        }
        out.extend_from_slice(&bytes[run]);
        run = match is_plain {
            true => name.start()..value.end() + 2,
            false => {
                for part in [name.of(bytes), b": ", value.of(bytes), b"\r\n"] {
                    out.extend_from_slice(part);
                }
                0..0
            }
        };
    }
    out.extend_from_slice(&bytes[run]);
    has_options
}

/// Writes a number in digits.
pub(super) fn write_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The line that says how long a body is, and the one that ends the head, at the end of `line`.
#[inline]
pub(super) fn length_line(mut length: usize, line: &mut [u8; 40]) -> &[u8] {
    const NAME: &[u8; 16] = b"content-length: ";
    line[36..].copy_from_slice(b"\r\n\r\n");
    let mut at = 36;
    loop {
        at -= 1;
        line[at] = b'0' + (length % 10) as u8;
        length /= 10;
        if length == 0 {
            break;
        }
    }
    line[at - NAME.len()..at].copy_from_slice(NAME);
    &line[at - NAME.len()..]
}
