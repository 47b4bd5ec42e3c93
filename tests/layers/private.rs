//! Rooms above `endpoint` use public paths only: what they need of a connection a user's protocol can have
//! too.
//!
//! A path `crate::room::Name` is public if the room is `pub` in `lib.rs` and its page exports or has the name
//! as `pub`, or if `lib.rs` exports that name itself; further modules on the path are `pub` as well. Of what
//! has no path, methods, the names are compared: one that lower rooms have as `pub(crate)` alone is not
//! called above. A name that is also somebody's public or private one passes: a test cannot tell types.

use crate::shelves::{MACROS, shelf};
use crate::source::{Sources, is_part, leaves, module, planted, read, word};
use std::collections::BTreeSet;

/// The last shelf that may reach inside: `endpoint`'s.
const INSIDE: usize = 6;

/// What the standard library has too.
const STANDARD: [&str; 1] = ["get_mut"];

#[test]
fn rooms_above_endpoint_use_public_paths_only() {
    let faults = faults(&read());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn private_paths_that_are_planted_are_seen_and_only_those() {
    let found = |text: &str| {
        let files = [
            (
                "lib.rs",
                "pub mod net;\nmod slots;\npub mod http;\npub use net::port::Port;\npub use slots::Key;",
            ),
            (
                "net/mod.rs",
                "pub mod open;\nmod port;\npub use port::{Port, Shut as Closed};\npub(crate) use port::Inner;\npub fn listen() {}\npub(crate) fn begin() {}",
            ),
            ("net/open.rs", "pub struct Open;\npub(crate) struct Half;"),
            (
                "net/port.rs",
                "impl Port { pub fn host() {}\n pub(crate) fn inner() {}\n pub(crate) fn len() {} }",
            ),
            ("slots.rs", "pub(crate) struct Slots;\nimpl Slots { fn len() {} }"),
            ("http/wire.rs", text),
        ];
        faults(&planted(&files)).len()
    };
    assert_eq!(found("use crate::net::Inner;"), 1, "exported for the crate alone");
    assert_eq!(found("use crate::net::{Port, port::Port};"), 1, "through a private module");
    assert_eq!(found("use crate::net::open::{Half, Open};"), 1, "private in a public module");
    assert_eq!(found("fn f() { crate::net::begin() }"), 2, "by its path and by its name");
    assert_eq!(found("use crate::slots::Slots;"), 1, "of a private room");
    assert_eq!(found("fn f(port: Port) { port.inner(); Port::inner(); }"), 2, "private methods");
    assert_eq!(found("impl Reactor {\n fn f() {} }"), 1, "a method for the reactor");
    assert_eq!(found("impl crate::http::Reach for Reactor {}"), 0, "a trait of its own");
    let allowed = "use crate::net::{self, Closed, listen, open::Open};\nuse crate::{Port, http::wire};\n\
                   use crate::slots::Key;\nuse super::anything;\nfn f(port: Port) { port.host(); port.len(); }\n\
                   // crate::net::Inner\nmod tests { use crate::net::Inner; }";
    assert_eq!(found(allowed), 0);
}

fn is_above(file: &str) -> bool {
    file != "lib.rs" && shelf(module(file)[0]) > Some(INSIDE)
}

fn faults(sources: &Sources) -> Vec<String> {
    let private = private_methods(sources);
    let mut faults = Vec::new();
    for (file, code) in sources.iter().filter(|(file, _)| is_above(file)) {
        let room = module(file)[0];
        for path in paths(code).into_iter().filter(|path| path[0] != room) {
            if !is_public(sources, &path) {
                faults.push(format!("src/{file}: `crate::{}` is private", path.join("::")));
            }
        }
        for name in called(code).filter(|name| private.contains(name)) {
            faults.push(format!("src/{file}: the method `{name}` is private"));
        }
        if code.contains("impl Reactor ") {
            faults.push(format!("src/{file}: `impl Reactor` above `endpoint`"));
        }
    }
    faults
}

/// Every path behind a `crate::`, in `use` lines and elsewhere.
fn paths(code: &str) -> Vec<Vec<&str>> {
    let mut paths = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let tree = &code[at + found.len()..];
        let is_use = code[..at].ends_with("use ");
        let end = if is_use { tree.find(';') } else { tree.find(|c| !is_part(c) && c != ':') };
        leaves(&tree[..end.unwrap_or(tree.len())], &mut |path, _| paths.push(path));
    }
    paths
}

fn is_public(sources: &Sources, path: &[&str]) -> bool {
    let (lib, name) = (&sources["lib.rs"], path[path.len() - 1]);
    if path.len() == 1 || path[1] == "self" || path[1] == "*" {
        let is_macro = MACROS.iter().any(|(found, _)| *found == name);
        return is_macro || path[0] == "*" || has_public(lib, path[0]);
    }
    // A name of the root's may be taken from its room, which is how this crate does it.
    let mut of_root = false;
    for export in exports(lib).iter().map(|export| export.trim_start_matches("pub use ")) {
        leaves(export, &mut |whole, name| of_root |= whole[0] == path[0] && path[1..] == [name]);
    }
    if of_root {
        return true;
    }
    let mut is_public = has_public(lib, path[0]);
    for length in 1..path.len() {
        let file = page(sources, &path[..length]);
        let Some(code) = file else { break };
        is_public &= ["self", "*"].contains(&path[length]) || has_public(code, path[length]);
    }
    is_public
}

fn page<'t>(sources: &'t Sources, path: &[&str]) -> Option<&'t str> {
    let path = path.join("/");
    let names = [format!("{path}.rs"), format!("{path}/mod.rs")];
    names.iter().find_map(|name| sources.get(name)).map(String::as_str)
}

/// Whether a module has a name as `pub`, or exports it.
fn has_public(code: &str, name: &str) -> bool {
    let mut items = code.split("pub ").skip(1).map(|item| item.lines().next().unwrap_or_default());
    let kinds = ["mod ", "struct ", "enum ", "trait ", "fn ", "const ", "type ", "static "];
    let names = |item: &str| {
        kinds.iter().any(|kind| {
            item.split_once(kind).is_some_and(|(before, it)| {
                (before.is_empty() || before == "async " || before == "const ") && word(it) == name
            })
        })
    };
    items.any(names) || exports(code).iter().any(|export| has_word(export, name))
}

fn exports(code: &str) -> Vec<&str> {
    let at = code.match_indices("pub use ").map(|(at, _)| at);
    at.filter_map(|at| code[at..].split(';').next()).collect()
}

fn has_word(text: &str, name: &str) -> bool {
    text.split(|c| !is_part(c)).any(|word| word == name)
}

/// Names of functions that are `pub(crate)` in rooms up to `endpoint`, and nothing else anywhere.
fn private_methods(sources: &Sources) -> BTreeSet<&str> {
    let (mut private, mut others) = (BTreeSet::new(), BTreeSet::from(STANDARD));
    for (file, code) in sources {
        for (at, found) in code.match_indices("fn ") {
            let line = code[..at].rsplit('\n').next().unwrap_or_default().trim_start();
            let is_private = line.starts_with("pub(crate) ") && !is_above(file);
            let names = if is_private { &mut private } else { &mut others };
            names.insert(word(&code[at + found.len()..]));
        }
    }
    private.difference(&others).copied().filter(|name| !name.is_empty()).collect()
}

/// Names that are called as methods or by a path.
fn called(code: &str) -> impl Iterator<Item = &str> {
    let name = |(at, _)| {
        let before: &str = &code[..at];
        let start = before.rfind(|c| !is_part(c))?;
        let joint = &before[..=start];
        (joint.ends_with('.') || joint.ends_with("::")).then(|| &before[start + 1..])
    };
    code.match_indices('(').filter_map(name)
}
