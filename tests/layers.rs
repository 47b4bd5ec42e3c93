//! Imports point down only: every room of `src/` stands on a shelf and names none above its own.
//! Comments and a file's own tests, which come last in it, may name anything.

use std::fs;
use std::path::{Path, PathBuf};

const SHELVES: [&str; 11] = [
    "failure address slots recycler buffer clock",
    "driver deferred",
    "reactor",
    "protocol transport",
    "net simulation",
    "tls stream awaited policies process",
    "endpoint ported",
    "framing",
    "http",
    "application conformance",
    "guide lib prelude",
];

/// A crate that is named in one place.
const PLACES: [(&str, &str); 4] = [
    ("mio::", "driver/system/"),
    ("nix::", "driver/system/"),
    ("rustls::", "tls/"),
    ("waker_fn::", "reactor/tasks.rs"),
];

/// Macros stand in the crate's root wherever they are written.
const MACROS: [(&str, &str); 2] =
    [("forward_byte_stream", "driver"), ("forward_protocol", "protocol")];

#[test]
fn imports_point_down_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(src.join("lib.rs")).expect("there is a src/lib.rs");
    let check = |path: PathBuf| {
        let file = path.strip_prefix(&src).expect("it was found there").to_string_lossy();
        let text = fs::read_to_string(&path).expect("it can be read");
        faults(&file.replace('\\', "/"), &text, &lib)
    };
    let faults: Vec<_> = sources(&src).into_iter().flat_map(check).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_checker_sees_what_is_planted_and_only_that() {
    let lib = "pub use net::{port::Port, Stream};\npub use clock::{Clock, DelayedCall};";
    let found = |file, text| faults(file, text, lib).len();
    assert_eq!(found("clock.rs", "use crate::net::Port;"), 1);
    assert_eq!(found("clock/heap.rs", "fn f() { crate::reactor::now() }"), 1);
    assert_eq!(found("driver/mod.rs", "use crate::{slots::{Key, Slots}, net, transport::T};"), 2);
    assert_eq!(found("driver/mod.rs", "use crate::Port;"), 1, "through the crate's root");
    assert_eq!(found("address.rs", "use super::net;"), 1, "through the file's parent");
    assert_eq!(found("driver/system/tcp.rs", "super::super::super::f()"), 1);
    assert_eq!(found("attic.rs", ""), 1, "a room without a shelf");
    assert_eq!(found("net/port.rs", "use crate::attic;"), 1);
    assert_eq!(found("net/port.rs", "use mio::net::TcpListener;"), 1);
    assert_eq!(found("net/port.rs", "use nix::sys::socket; use std::os::unix::net;"), 1);
    assert_eq!(found("net/port.rs", "use crate::{Clock, slots::{Key, net}}; use super::Port;"), 0);
    assert_eq!(
        found("net/port.rs", "// crate::tls\n#[cfg(test)]\nmod tests { use crate::tls; }"),
        0
    );
    assert_eq!(found("driver/system/tcp.rs", "use mio::net::TcpStream; use super::super::Key;"), 0);
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("the entry can be read").path());
    let below = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    paths.flat_map(below).filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}

/// What is wrong with one file; `lib` tells in which room the names of the crate's root are.
fn faults(file: &str, text: &str, lib: &str) -> Vec<String> {
    let modules: Vec<_> =
        file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    let own = shelf(modules[0]);
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with("mod tests")).collect();
    let code = lines.join("\n");
    let mut faults = Vec::new();
    if own.is_none() {
        faults.push(format!("src/{file}: its room stands on no shelf"));
    }
    if code.contains(&"super::".repeat(modules.len())) {
        faults.push(format!("src/{file}: `super::` reaches the crate's root"));
    }
    for name in names(&code) {
        let upward = shelf(room(name, lib)).is_none_or(|shelf| own.is_some_and(|own| shelf > own));
        if upward {
            faults.push(format!("src/{file}: `crate::{name}` is not below it"));
        }
    }
    for (name, place) in PLACES {
        let mut found = code.match_indices(name);
        if found.any(|(at, _)| !code[..at].ends_with(is_part)) && !file.starts_with(place) {
            faults.push(format!("src/{file}: `{name}` belongs in {place}"));
        }
    }
    faults
}

fn shelf(room: &str) -> Option<usize> {
    SHELVES.iter().position(|rooms| rooms.split(' ').any(|it| it == room))
}

/// The room of a name in the crate's root: itself, or where `lib.rs` takes it from.
fn room<'t>(name: &'t str, lib: &'t str) -> &'t str {
    if let Some((_, room)) = MACROS.iter().find(|(found, _)| *found == name) {
        return room;
    }
    let exports = lib.split("pub use ").skip(1).filter_map(|export| export.split(';').next());
    let mut exports = exports.filter(|export| export.split(|c| !is_part(c)).any(|it| it == name));
    exports.next().map_or(name, |export| word(export.trim_start_matches("crate::")))
}

/// What follows each `crate::`; for a group in braces, the first name of each of its parts.
fn names(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for path in code.split("crate::").skip(1) {
        let (mut depth, mut part_begins) = (0, true);
        for (i, c) in path.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' if depth == 1 => part_begins = true,
                c if part_begins && is_part(c) => {
                    names.push(word(&path[i..]));
                    part_begins = false;
                }
                _ => {}
            }
            if depth == 0 && !part_begins {
                break;
            }
        }
    }
    names
}

fn word(text: &str) -> &str {
    text.split(|c| !is_part(c)).next().unwrap_or_default()
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
