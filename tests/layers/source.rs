//! The sources as the checkers read them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files below `src/` by their names, without comments and without their own tests.
pub(crate) type Sources = BTreeMap<String, String>;

/// All that there are; files of tests are none.
pub(crate) fn read() -> Sources {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let file = path.strip_prefix(&src).expect("it was found there").to_string_lossy();
        let text = fs::read_to_string(&path).expect("it can be read");
        (file.replace('\\', "/"), code(&text))
    };
    let is_code =
        |(file, _): &(String, String)| !file.contains("/tests/") && !file.ends_with("/tests.rs");
    below(&src).into_iter().map(read).filter(is_code).collect()
}

/// Sources that a test makes up.
pub(crate) fn planted(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|(file, text)| ((*file).to_owned(), code(text))).collect()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("the entry can be read").path());
    let below = |path: PathBuf| if path.is_dir() { below(&path) } else { vec![path] };
    paths.flat_map(below).filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}

pub(crate) fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with("mod tests {")).collect();
    without_links(&lines.join("\n"))
}

/// What is imported for the links of comments alone is none of the code's.
fn without_links(code: &str) -> String {
    let mut parts = code.split("#[cfg(doc)]");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once(';').map_or("", |it| it.1))
}

/// The path of the module that a file is.
pub(crate) fn module(file: &str) -> Vec<&str> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { Vec::new() } else { path.split('/').collect() }
}

/// One name that a `use` line brings, and whether the line is an export.
pub(crate) struct Import<'t> {
    pub(crate) path: Vec<&'t str>,
    pub(crate) name: &'t str,
    pub(crate) is_export: bool,
}

/// What the `use` lines of a file bring.
pub(crate) fn imports(code: &str) -> Vec<Import<'_>> {
    let mut imports = Vec::new();
    for (at, found) in code.match_indices("use ") {
        let before = code[..at].rsplit('\n').next().unwrap_or_default();
        let is_export = before.starts_with("pub");
        if is_export || before.is_empty() {
            let tree = code[at + found.len()..].split(';').next().unwrap_or_default();
            leaves(tree, &mut |path, name| imports.push(Import { path, name, is_export }));
        }
    }
    imports
}

/// Every path of a tree like `crate::{a::B, c::{D, E as F}}`, and the name that it gets.
pub(crate) fn leaves<'t>(tree: &'t str, leaf: &mut dyn FnMut(Vec<&'t str>, &'t str)) {
    within(tree, &[], leaf);
}

fn within<'t>(tree: &'t str, before: &[&'t str], leaf: &mut dyn FnMut(Vec<&'t str>, &'t str)) {
    let (head, group) = match tree.split_once('{') {
        Some((head, group)) => (head, group.rsplit_once('}').map(|it| it.0)),
        None => (tree, None),
    };
    let (head, alias) =
        head.split_once(" as ").map_or((head, None), |(head, name)| (head, Some(name)));
    let parts = head.split("::").map(str::trim).filter(|part| !part.is_empty());
    let path: Vec<_> = before.iter().copied().chain(parts).collect();
    match (group, path.last().copied()) {
        (Some(group), _) => branches(group).for_each(|branch| within(branch, &path, leaf)),
        (None, Some(last)) if path.len() > before.len() => {
            leaf(path, alias.map_or(last, str::trim));
        }
        _ => {}
    }
}

/// The parts of a group, cut at its own commas.
fn branches(group: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(&group[std::mem::replace(&mut start, at + 1)..at]),
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts.into_iter()
}

/// The word that a text begins with.
pub(crate) fn word(text: &str) -> &str {
    text.split(|c| !is_part(c)).next().unwrap_or_default()
}

pub(crate) fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
