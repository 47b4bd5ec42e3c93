//! The command that runs this program, or this one test of it, again.
//!
//! # Theory
//! A test runs in a program that cargo made, in a thread that has the test's name. What cargo was told of
//! packages, features and profiles is in cargo's own arguments, and cargo is the parent process; which
//! target the program is of, its name and the package's files tell. What cannot be told is left out, if
//! the command is true without it; a program that cargo did not start is run as it was.

use std::path::{Path, PathBuf};

/// What to type to run this program, or this one test of it, again.
pub(super) fn command() -> String {
    let package = std::env::var("CARGO_PKG_NAME").ok();
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let run = Run {
        arguments: std::env::args().collect(),
        test: std::thread::current().name().filter(|name| *name != "main").map(str::to_owned),
        package: package.zip(folder),
        cargo: cargo_arguments(),
    };
    run.command()
}

/// How this program runs.
struct Run {
    /// The program first.
    arguments: Vec<String>,
    /// The test that this thread runs.
    test: Option<String>,
    /// The package's name and folder, if cargo started the program.
    package: Option<(String, PathBuf)>,
    /// What cargo was called with; none if that cannot be known.
    cargo: Option<Vec<String>>,
}

/// The arguments of the parent process, if that is cargo.
fn cargo_arguments() -> Option<Vec<String>> {
    let parent = std::os::unix::process::parent_id();
    let text = std::fs::read(format!("/proc/{parent}/cmdline")).ok()?;
    let text = String::from_utf8(text).ok()?;
    let mut arguments = text.split('\0').map(str::to_owned);
    let program = arguments.next()?;
    let is_cargo = Path::new(&program).file_stem().is_some_and(|name| name == "cargo");
    is_cargo.then(|| arguments.collect())
}

impl Run {
    fn command(&self) -> String {
        let program = self.arguments.first().map(String::as_str).unwrap_or_default();
        let words = match (&self.package, target_name(program)) {
            (Some((package, folder)), Some(name)) => {
                let mut words = vec!["cargo".into(), "test".into(), "-p".into(), package.clone()];
                words.extend(self.build_options());
                words.extend(target(folder, package, name));
                words.push("--".into());
                words.extend(self.test_arguments());
                words
            }
            _ if self.test.is_some() => {
                [program.to_owned()].into_iter().chain(self.test_arguments()).collect()
            }
            _ => self.arguments.clone(),
        };
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }

    /// For the test's program: this test alone, or what it was called with.
    fn test_arguments(&self) -> Vec<String> {
        let own = self.arguments.iter().skip(1);
        let Some(test) = &self.test else { return own.cloned().collect() };
        let mut words = vec!["--exact".into(), test.clone()];
        let runs_ignored = |it: &&String| *it == "--ignored" || *it == "--include-ignored";
        words.extend(own.filter(runs_ignored).take(1).map(|_| "--include-ignored".to_owned()));
        words
    }

    /// What decides of what is built: features and the profile.
    fn build_options(&self) -> Vec<String> {
        let Some(cargo) = &self.cargo else { return own_features() };
        let mut words = Vec::new();
        let mut arguments = cargo.iter().take_while(|word| *word != "--");
        while let Some(word) = arguments.next() {
            let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
            match name {
                "--all-features" | "--no-default-features" | "--release" | "-r" => {
                    words.push(word.clone());
                }
                "--features" | "-F" | "--profile" | "--target" | "--manifest-path" => {
                    words.push(word.clone());
                    // Its value is the next word, unless it stands behind an equals sign.
                    if name == word {
                        words.extend(arguments.next().cloned());
                    }
                }
                _ => {}
            }
        }
        words
    }
}

/// The features of this crate that are in force, where nothing else is known.
fn own_features() -> Vec<String> {
    let features = [
        ("signals", cfg!(feature = "signals")),
        ("process", cfg!(feature = "process")),
        ("tls", cfg!(feature = "tls")),
        ("http", cfg!(feature = "http")),
        ("idna", cfg!(feature = "idna")),
    ];
    let is_own = std::env::var("CARGO_PKG_NAME").is_ok_and(|name| name == env!("CARGO_PKG_NAME"));
    if !is_own {
        return Vec::new();
    }
    let named: Vec<&str> = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    vec!["--no-default-features".into(), "--features".into(), named.join(",")]
}

/// The target's name, of a program that cargo named with a hash behind it.
fn target_name(program: &str) -> Option<&str> {
    let (name, hash) = Path::new(program).file_stem()?.to_str()?.rsplit_once('-')?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(name)
}

/// What has cargo build this target alone; nothing if it might be another.
fn target(folder: &Path, package: &str, name: &str) -> Vec<String> {
    let is_there = |path: &str| folder.join(path).exists();
    let is_test =
        is_there(&format!("tests/{name}.rs")) || is_there(&format!("tests/{name}/main.rs"));
    let is_own = name == package.replace('-', "_");
    match (is_test, is_own && is_there("src/lib.rs")) {
        (true, false) => vec!["--test".into(), name.into()],
        (false, true) if !is_there("src/main.rs") => vec!["--lib".into()],
        _ => Vec::new(),
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// A run in this package, with cargo called like this.
    fn run(arguments: &str, test: Option<&str>, cargo: &str) -> String {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let run = Run {
            arguments: strings(arguments),
            test: test.map(str::to_owned),
            package: Some(("ropewalk".into(), folder)),
            cargo: Some(strings(cargo)),
        };
        run.command()
    }

    const SIMULATION: &str = "/t/debug/deps/simulation-0123456789abcdef";
    const LIBRARY: &str = "/t/debug/deps/ropewalk-0123456789abcdef";

    #[test]
    fn the_command_has_the_package_the_target_and_the_test() {
        let told = run(SIMULATION, Some("a::b"), "test");
        assert_eq!(told, "cargo test -p ropewalk --test simulation -- --exact a::b");
    }

    #[test]
    fn the_command_has_the_features_and_the_profile_that_cargo_was_given() {
        let told = run(SIMULATION, Some("a"), "test --all-features --release --test simulation a");
        let wanted =
            "cargo test -p ropewalk --all-features --release --test simulation -- --exact a";
        assert_eq!(told, wanted);
        let told = run(SIMULATION, Some("a"), "test --no-default-features --features tls,idna -q");
        let wanted = "cargo test -p ropewalk --no-default-features --features tls,idna \
                      --test simulation -- --exact a";
        assert_eq!(told, wanted);
        let told = run(SIMULATION, Some("a"), "t --features=tls -F idna -- --release");
        let wanted = "cargo test -p ropewalk --features=tls -F idna --test simulation -- --exact a";
        assert_eq!(told, wanted);
    }

    #[test]
    fn an_ignored_test_is_run_again_with_those_that_are_ignored() {
        for option in ["--ignored", "--include-ignored"] {
            let told = run(&format!("{SIMULATION} {option} a"), Some("a"), "test");
            let wanted = "cargo test -p ropewalk --test simulation -- --exact a --include-ignored";
            assert_eq!(told, wanted);
        }
    }

    #[test]
    fn a_unit_test_is_one_of_the_library() {
        let told = run(LIBRARY, Some("a::tests::b"), "test");
        assert_eq!(told, "cargo test -p ropewalk --lib -- --exact a::tests::b");
    }

    #[test]
    fn a_target_that_is_not_known_is_left_out() {
        let told = run("/t/debug/deps/other-0123456789abcdef", Some("a"), "test");
        assert_eq!(told, "cargo test -p ropewalk -- --exact a");
    }

    #[test]
    fn a_test_in_the_main_thread_is_run_again_as_it_was() {
        let told = run(&format!("{SIMULATION} --test-threads=1 a"), None, "test");
        assert_eq!(told, "cargo test -p ropewalk --test simulation -- --test-threads=1 a");
    }

    #[test]
    fn a_program_that_cargo_did_not_start_is_run_again_itself() {
        let run = |arguments: &[&str], test: Option<&str>| {
            let arguments = arguments.iter().map(|&it| it.to_owned()).collect();
            Run { arguments, test: test.map(str::to_owned), package: None, cargo: None }.command()
        };
        assert_eq!(run(&[SIMULATION, "a"], Some("b")), format!("{SIMULATION} --exact b"));
        assert_eq!(run(&["/x/demo", "--name", "it's"], None), r"/x/demo --name 'it'\''s'");
    }
}
