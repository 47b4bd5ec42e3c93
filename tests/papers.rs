//! The papers are true: files that they name exist, public pages name nothing private, and public items
//! have examples.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many of a hundred public items have an example of their own, or stand in one of their type's page.
/// It may only be raised.
const SHOWN: usize = 75;

#[test]
fn the_files_that_the_papers_name_exist() {
    let papers = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "benches/README.md"];
    for paper in papers {
        let text = fs::read_to_string(root().join(paper)).unwrap();
        let missing: Vec<_> =
            files_in(&text).into_iter().filter(|file| !root().join(file).exists()).collect();
        assert!(missing.is_empty(), "{paper} names {missing:?}");
    }
}

#[test]
fn what_names_a_file_is_told_from_what_does_not() {
    let text =
        "`src/net/mod.rs`, `cargo test`, [here](benches/README.md), [there](https://a/b.md), `a/b`";
    assert_eq!(files_in(text), ["src/net/mod.rs", "benches/README.md"]);
}

#[test]
fn a_public_page_names_nothing_private() {
    let sources = sources();
    let public: BTreeSet<_> = sources.iter().flat_map(|it| types(it, "pub ")).collect();
    let private: BTreeSet<_> = sources
        .iter()
        .flat_map(|it| ["", "pub(crate) ", "pub(super) "].map(|before| types(it, before)))
        .flatten()
        .filter(|name| !public.contains(name))
        .collect();
    let pages = sources.iter().flat_map(pages);
    let found: Vec<_> = pages.flat_map(|page| faults(&page, &private)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_name_that_is_private_is_seen_on_a_page() {
    let private = BTreeSet::from(["Loop".to_owned()]);
    let of = |text: &str| faults(&Page { at: String::new(), text: text.into() }, &private).len();
    assert_eq!(of("the rest is in `turn.rs`, and [`Loop`] has it"), 2);
    assert_eq!(of("what it is for\n\n# Invariants\n* None."), 1, "these stand in the file's head");
    assert_eq!(of("a `Reactor`, a Loop, main.rs of yours\n```\nstruct Loop; // `Loop`\n```"), 0);
}

#[test]
fn most_public_items_have_an_example() {
    let (mut items, mut bare) = (0, Vec::new());
    for source in sources() {
        for item in items_of(&source) {
            items += 1;
            if !item.is_shown {
                bare.push(format!("{}: {}", source.name, item.name));
            }
        }
    }
    let shown = (items - bare.len()) * 100 / items;
    assert!(shown >= SHOWN, "{shown} of a hundred; without one:\n{}", bare.join("\n"));
    assert!(shown < SHOWN + 5, "they are {shown} of a hundred now: raise the number here");
}

/// What somebody who comes from tokio types into the search box of the pages.
const OF_TOKIO: &str = "block_on Runtime LocalSet current_thread Handle spawn spawn_local JoinHandle JoinSet \
    JoinError abort spawn_blocking block_in_place yield_now task_local select join try_join sleep sleep_until \
    timeout Elapsed interval interval_at pause advance DelayQueue TcpStream TcpListener UnixStream UnixListener \
    UdpSocket UnixDatagram bind accept connect lookup_host set_nodelay peer_addr local_addr split into_split \
    OwnedReadHalf OwnedWriteHalf AsyncRead AsyncWrite AsyncBufRead BufReader copy_bidirectional duplex Framed \
    LinesCodec stdin stdout oneshot mpsc unbounded_channel Sender Receiver Notify Semaphore Mutex \
    CancellationToken ctrl_c signal SignalKind Command Child ChildStdin ChildStdout wait wait_with_output kill";

#[test]
fn a_search_by_tokios_name_finds_ours() {
    let sources = sources();
    let aliases = sources
        .iter()
        .flat_map(|source| &source.lines)
        .filter_map(|line| line.trim_start().strip_prefix("#[doc(alias = \"")?.split('"').next());
    let names = sources.iter().flat_map(|source| &source.lines).filter_map(|line| {
        let line = line.trim_start();
        item(line).or_else(|| line.strip_prefix("impl ")?.split(' ').next())
    });
    let found: BTreeSet<&str> = aliases.chain(names).collect();
    let missing: Vec<_> = OF_TOKIO.split_whitespace().filter(|it| !found.contains(it)).collect();
    assert!(missing.is_empty(), "no alias and no item: {missing:?}");
}

/// One file of `src/`, without its tests.
struct Source {
    name: String,
    lines: Vec<String>,
    /// Its module has a page: it can be reached by its path.
    is_public: bool,
}

struct Page {
    at: String,
    text: String,
}

struct Item {
    name: String,
    is_shown: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let all = below(&src);
    all.iter().map(|path| source(&src, path)).collect()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths = entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] });
    let is_ours = |path: &PathBuf| {
        path.extension().is_some_and(|it| it == "rs")
            && !path.components().any(|part| part.as_os_str() == "tests")
            && !path.ends_with("tests.rs")
    };
    paths.filter(is_ours).collect()
}

fn source(src: &Path, path: &Path) -> Source {
    let name = path.strip_prefix(src).unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().take_while(|line| !line.starts_with("mod tests")).map(String::from);
    Source { is_public: is_public(src, path), lines: lines.collect(), name }
}

/// Whether its `//!` are a page: each module down to it is declared public.
fn is_public(src: &Path, path: &Path) -> bool {
    let mut module = path.with_extension("");
    if module.ends_with("mod") {
        module.pop();
    }
    while module != src && !module.ends_with("lib") {
        let name = module.file_name().unwrap().to_string_lossy().into_owned();
        module.pop();
        let parents = [module.join("mod.rs"), module.join("lib.rs"), module.with_extension("rs")];
        let declared = format!("pub mod {name};");
        let is_declared = |parent: &PathBuf| {
            fs::read_to_string(parent).is_ok_and(|text| text.lines().any(|it| it == declared))
        };
        if !parents.iter().any(is_declared) {
            return false;
        }
    }
    true
}

/// What stands in backticks or behind a link, and looks like a file of this repository.
fn files_in(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let linked = text.split("](").skip(1).filter_map(|it| it.split(')').next());
    let is_file = |it: &&str| {
        let ends = [".rs", ".md", ".toml", ".txt"].iter().any(|end| it.ends_with(end));
        ends && it.contains('/') && !it.contains([' ', '*', ':'])
    };
    quoted.chain(linked).filter(is_file).collect()
}

/// Names of the types that are declared with `before` and no more.
fn types(source: &Source, before: &str) -> Vec<String> {
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let name = |line: &String| {
        let rest = line.strip_prefix(before)?;
        let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
        Some(rest.split(|c: char| !c.is_alphanumeric()).next()?.to_owned())
    };
    source.lines.iter().filter_map(name).collect()
}

/// The page of a public module, and those of the public items in a file.
fn pages(source: &Source) -> Vec<Page> {
    let head = source.lines.iter().map_while(|line| line.strip_prefix("//!")).collect::<Vec<_>>();
    let page = |at: usize, text: &[&str]| Page {
        at: format!("{}:{at}", source.name),
        text: text.join("\n"),
    };
    let mut pages = Vec::new();
    if source.is_public {
        pages.push(page(1, &head));
    }
    let mut doc = Vec::new();
    for (number, line) in source.lines.iter().enumerate() {
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text);
        } else if !line.starts_with("#[") {
            if line.starts_with("pub ") && !doc.is_empty() {
                pages.push(page(number + 1, &doc));
            }
            doc.clear();
        }
    }
    pages
}

/// Where a page names a file of ours in prose, or a private type in backticks.
fn faults(page: &Page, private: &BTreeSet<String>) -> Vec<String> {
    let prose: String = page.text.split("```").step_by(2).collect();
    let quoted = prose.split('`').skip(1).step_by(2);
    let is_private = |word: &&str| {
        let is_file = word.ends_with(".rs") && !word.contains("main.rs") && !word.contains(' ');
        is_file || private.contains(*word)
    };
    let ours = ["# Theory", "# Invariants", "# Not here"];
    let titles = prose.lines().map(str::trim).filter(|line| ours.contains(line));
    quoted.filter(is_private).chain(titles).map(|what| format!("{}: {what}", page.at)).collect()
}

/// The public items of a file; those in an `impl` stand under its type.
fn items_of(source: &Source) -> Vec<Item> {
    let head: Vec<&str> = source.lines.iter().map_while(|it| it.strip_prefix("//!")).collect();
    let examples: String = source
        .lines
        .iter()
        .filter_map(|line| line.trim_start().strip_prefix("///"))
        .chain(head)
        .fold((String::new(), false), |(text, inside), line| {
            let is_fence = line.trim_start().starts_with("```");
            let inside = inside != is_fence;
            (if inside && !is_fence { text + line + "\n" } else { text }, inside)
        })
        .0;
    let words: BTreeSet<&str> =
        examples.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let (mut items, mut has_example) = (Vec::new(), false);
    for line in source.lines.iter().map(|line| line.trim_start()) {
        if let Some(text) = line.strip_prefix("///") {
            has_example |= text.trim_start().starts_with("```");
        } else if !line.starts_with("#[") {
            if let Some(name) = item(line) {
                items.push(Item {
                    is_shown: has_example || words.contains(name),
                    name: name.into(),
                });
            }
            has_example = false;
        }
    }
    items
}

fn item(line: &str) -> Option<&str> {
    let kinds = ["fn ", "async fn ", "const fn ", "struct ", "enum ", "trait ", "type ", "const "];
    let rest = line.strip_prefix("pub ")?;
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()
}
