// A folder as a page.

use rustix::fs::{FileType, Stat};
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// One row of a listing.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_directory: bool,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
}

impl Entry {
    /// `None` for what is not served.
    pub(super) fn new(name: &str, stat: &Stat) -> Option<Entry> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_directory = kind == FileType::Directory;
        if !is_directory && kind != FileType::RegularFile {
            return None;
        }
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        // A time before 1970 is a fault of the file's.
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Some(Entry { name: name.to_owned(), is_directory, length, modified })
    }
}

/// The page of a folder: folders first, then by name. `title` is its path, decoded.
pub(super) fn page(title: &str, mut entries: Vec<Entry>) -> String {
    entries.sort_by(|a, b| (!a.is_directory, &a.name).cmp(&(!b.is_directory, &b.name)));
    let title = escaped(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n{STYLE}\n\
         <h1>{title}</h1>\n<table>\n"
    );
    if title != "/" {
        page.push_str("<tr><td><a href=\"../\">../</a><td><td>\n");
    }
    for entry in entries {
        let slash = if entry.is_directory { "/" } else { "" };
        let name = escaped(&entry.name);
        // `./` or a name with a colon would be read as a scheme.
        let link = encoded(&entry.name);
        let size = if entry.is_directory { String::new() } else { size(entry.length) };
        let date = httpdate::fmt_http_date(entry.modified);
        // A string takes all that is written.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a><td>{size}<td>{date}"
        );
    }
    page.push_str("</table>\n");
    page
}

const STYLE: &str = "<style>body{font:1em/1.5 sans-serif;margin:2em}td{padding-right:2em}\
                     td:nth-child(2){text-align:right}</style>";

/// As it may stand in text and in quoted attributes of HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// As it may stand as one segment of a URL: RFC 3986, 2.3.
pub(super) fn encoded(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Three digits and a unit.
fn size(length: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if length < 1024 {
        return format!("{length} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut size = length as f64 / 1024.0;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = if size < 9.95 { 1 } else { 0 };
    format!("{size:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, is_directory: bool) -> Entry {
        Entry { name: name.into(), is_directory, length: 1, modified: SystemTime::UNIX_EPOCH }
    }

    #[test]
    fn folders_come_first_and_names_are_in_order() {
        let entries = vec![entry("b", false), entry("a", false), entry("z", true)];
        let page = page("/", entries);
        let at = |text: &str| page.find(text).unwrap();
        assert!(at("./z/") < at("\"./a\"") && at("\"./a\"") < at("\"./b\""));
        assert!(!page.contains("../"));
    }

    #[test]
    fn a_name_is_neither_markup_nor_a_scheme_nor_another_path() {
        let page = page("/<b>/", vec![entry("<script>'\"&", false), entry("javascript:x", false)]);
        assert!(!page.contains("<script>") && !page.contains("<b>"));
        assert!(page.contains("href=\"./%3Cscript%3E%27%22%26\""));
        assert!(page.contains("href=\"./javascript%3Ax\""));
        assert!(page.contains("&lt;script&gt;&#39;&quot;&amp;"));
        assert!(page.contains("<a href=\"../\">"));
    }

    #[test]
    fn a_size_has_a_unit_and_at_most_three_digits() {
        for (length, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 << 10, "10 KiB"),
            (1023 << 10, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(size(length), text);
        }
    }
}
