//! Imports point down only: every room of `src/` stands on a shelf and names none above its own.

use crate::source::{Sources, code, is_part, read, word};

/// The shelves of DESIGN, by their numbers. Only rooms that are there stand on one.
const SHELVES: [(usize, &str); 10] = [
    (0, "failure address slots recycler buffer clock"),
    (1, "driver deferred"),
    (2, "reactor"),
    (3, "protocol transport"),
    (4, "net simulation"),
    (5, "stream tls awaited policies process"),
    (6, "endpoint ported"),
    (7, "framing service"),
    (9, "http database"),
    (10, "application conformance"),
];

/// What stands on top of all.
const TOP: (usize, &str) = (11, "guide lib prelude bin");

/// A crate that is named in one place, or few.
const PLACES: [(&str, &str); 5] = [
    ("mio::", "driver/system/"),
    ("nix::", "driver/system/ application/"),
    ("rustls::", "tls/"),
    ("rusqlite::", "database/sqlite/"),
    ("waker_fn::", "reactor/tasks.rs"),
];

/// Macros stand in the crate's root wherever they are written.
pub(crate) const MACROS: [(&str, &str); 4] = [
    ("forward_byte_stream", "driver"),
    ("forward_protocol", "protocol"),
    ("await_protocol", "awaited"),
    ("reach_protocol", "net"),
];

#[test]
fn imports_point_down_only() {
    let sources = read();
    let lib = &sources["lib.rs"];
    let faults: Vec<_> = sources.iter().flat_map(|(file, code)| faults(file, code, lib)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_word_on_a_shelf_names_a_room() {
    let words = |shelves: &[(usize, &str)], sources: &Sources| {
        let words = shelves.iter().flat_map(|(_, rooms)| rooms.split(' ')).map(str::to_owned);
        words.filter(|room| !is_room(room, sources)).collect::<Vec<_>>()
    };
    let sources = read();
    assert_eq!(words(&SHELVES, &sources), [""; 0]);
    assert_eq!(words(&[TOP], &sources), [""; 0]);
    assert_eq!(words(&[(0, "clock attic"), (1, "net")], &sources), ["attic"], "a planted one");
}

fn is_room(word: &str, sources: &Sources) -> bool {
    let names = [format!("{word}.rs"), format!("{word}/mod.rs")];
    // The programs have no file that has them all.
    let is_folder = || sources.keys().any(|file| file.starts_with("bin/")) && word == "bin";
    names.iter().any(|name| sources.contains_key(name)) || is_folder()
}

#[test]
fn the_checker_sees_what_is_planted_and_only_that() {
    let lib = "pub use net::{port::Port, Stream};\npub use clock::{Clock, DelayedCall};";
    let found = |file, text| faults(file, &code(text), lib).len();
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

/// What is wrong with one file; `lib` tells in which room the names of the crate's root are.
fn faults(file: &str, code: &str, lib: &str) -> Vec<String> {
    let modules: Vec<_> =
        file.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
    let own = shelf(modules[0]);
    let mut faults = Vec::new();
    if own.is_none() {
        faults.push(format!("src/{file}: its room stands on no shelf"));
    }
    if code.contains(&"super::".repeat(modules.len())) {
        faults.push(format!("src/{file}: `super::` reaches the crate's root"));
    }
    for name in names(code) {
        let upward = shelf(room(name, lib)).is_none_or(|shelf| own.is_some_and(|own| shelf > own));
        if upward {
            faults.push(format!("src/{file}: `crate::{name}` is not below it"));
        }
    }
    for (name, place) in PLACES {
        let mut found = code.match_indices(name);
        let is_there = place.split(' ').any(|place| file.starts_with(place));
        if found.any(|(at, _)| !code[..at].ends_with(is_part)) && !is_there {
            faults.push(format!("src/{file}: `{name}` belongs in {place}"));
        }
    }
    faults
}

pub(crate) fn shelf(room: &str) -> Option<usize> {
    let mut shelves = SHELVES.iter().chain([&TOP]);
    shelves.find(|(_, rooms)| rooms.split(' ').any(|it| it == room)).map(|(shelf, _)| *shelf)
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
