//! No files in a circle of imports, but small ones.
//!
//! The graph is that of `use` lines, through re-exports to the file where a name is written: an import from
//! `crate::net` is one from `net/listen/mod.rs`, if that is where the name is. A re-export is no import.

use crate::source::{Sources, imports, module, planted, read};
use std::collections::{BTreeMap, BTreeSet};

/// So many files may need each other: two sides of one thing, and what they share.
const MOST: usize = 3;

#[test]
fn no_more_than_three_files_import_each_other_in_a_circle() {
    let sources = read();
    let circles = circles(&sources);
    let found: Vec<_> = circles.iter().filter(|circle| circle.len() > MOST).collect();
    assert!(found.is_empty(), "circles of more than {MOST} files: {found:#?}");
}

#[test]
fn the_graph_sees_circles_that_are_planted_and_only_those() {
    let a_to_d = [
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
        ("a.rs", "use crate::b::B;\npub struct A;"),
        ("b.rs", "use crate::{c::C as Sea, e};\npub struct B;"),
        ("c/mod.rs", "mod deep;\nuse crate::d::{self, D};\npub use deep::C;"),
        ("c/deep.rs", "use super::super::d::D;\npub struct C;"),
        ("d.rs", "use crate::a::{A};\npub struct D;"),
        ("e.rs", "// use crate::a::A;\npub struct E;\nmod tests { use crate::b::B; }"),
    ];
    let sources = planted(&a_to_d);
    assert_eq!(circles(&sources), [["a.rs", "b.rs", "c/deep.rs", "d.rs"]]);
    let broken: Vec<_> = a_to_d.iter().copied().filter(|(file, _)| *file != "c/deep.rs").collect();
    assert!(circles(&planted(&broken)).iter().all(|circle| circle.len() <= MOST));
    let own = [
        ("f/mod.rs", "mod g;\nmod h;\npub use g::G;\npub struct F;"),
        ("f/g.rs", "use super::F;\npub struct G;"),
        ("f/h.rs", "use super::{F, G};"),
    ];
    assert!(circles(&planted(&own)).is_empty(), "a room's page is no circle with its files");
}

/// The circles, each in order of its files' names.
fn circles(sources: &Sources) -> Vec<Vec<&str>> {
    let graph = Graph::of(sources);
    let reached: BTreeMap<_, _> =
        graph.edges.keys().map(|&file| (file, graph.reached_from(file))).collect();
    let mut circles = BTreeSet::new();
    for (file, targets) in &reached {
        if targets.contains(file) {
            let is_back = |other: &&&str| reached[**other].contains(file);
            circles.insert(targets.iter().filter(is_back).copied().collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

struct Graph<'t> {
    sources: &'t Sources,
    modules: BTreeMap<Vec<&'t str>, &'t str>,
    edges: BTreeMap<&'t str, BTreeSet<&'t str>>,
}

impl<'t> Graph<'t> {
    fn of(sources: &'t Sources) -> Graph<'t> {
        let modules = sources.keys().map(|file| (module(file), file.as_str())).collect();
        let mut graph = Graph { sources, modules, edges: BTreeMap::new() };
        for (file, code) in sources.iter().filter(|(file, _)| *file != "lib.rs") {
            let taken = imports(code).into_iter().filter(|import| !import.is_export);
            let targets =
                taken.filter_map(|import| graph.file_of(&graph.absolute(file, &import.path)?, 0));
            let targets = targets.filter(|target| *target != "lib.rs" && target != file).collect();
            graph.edges.insert(file, targets);
        }
        graph
    }

    /// A path from the crate's root; `None` for another crate's.
    fn absolute(&self, file: &'t str, path: &[&'t str]) -> Option<Vec<&'t str>> {
        let mut own = module(file);
        let mut rest = path;
        match *path.first()? {
            "crate" => own.clear(),
            "self" => {}
            "super" => {
                while let Some((&"super", behind)) = rest.split_first() {
                    own.pop();
                    rest = behind;
                }
                return Some([own, rest.to_vec()].concat());
            }
            child => {
                own.push(child);
                return self.modules.contains_key(&own).then(|| [own, rest[1..].to_vec()].concat());
            }
        }
        Some([own, rest[1..].to_vec()].concat())
    }

    /// Where the last name of a path is written, through at most a few re-exports.
    fn file_of(&self, path: &[&'t str], depth: usize) -> Option<&'t str> {
        let length = (0..=path.len()).rev().find(|&it| self.modules.contains_key(&path[..it]))?;
        let file = self.modules[&path[..length]];
        let (Some(name), true) = (path.get(length), depth < 8) else { return Some(file) };
        let exported = imports(&self.sources[file]).into_iter().find(|it| it.name == *name);
        match exported.map(|import| self.absolute(file, &import.path)) {
            None => Some(file),
            Some(found) => self.file_of(&[found?, path[length + 1..].to_vec()].concat(), depth + 1),
        }
    }

    fn reached_from(&self, file: &'t str) -> BTreeSet<&'t str> {
        let (mut reached, mut waiting) = (BTreeSet::new(), vec![file]);
        while let Some(next) = waiting.pop() {
            let targets = self.edges.get(next).into_iter().flatten().copied();
            waiting.extend(targets.filter(|target| reached.insert(*target)));
        }
        reached
    }
}
