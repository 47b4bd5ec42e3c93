//! The examples, built as this test was, and from today's source.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program of an example. `cargo test` builds all of them; a test that runs alone has them built
/// now, or says what to run.
pub(crate) fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let folder = BUILT.get_or_init(build).as_ref().unwrap_or_else(|why| panic!("{why}"));
    let program = folder.join(name);
    assert!(program.exists(), "run `cargo build --examples` first: no {}", program.display());
    program
}

/// Gives the folder that the examples are in, beside that of the tests.
fn build() -> Result<PathBuf, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = test.parent().ok_or("a test is in a folder")?.with_file_name("examples");
    let cargo = env!("CARGO");
    if !Path::new(cargo).exists() {
        // Compiled elsewhere: what was brought along is used.
        return Ok(folder);
    }
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--examples", "--features", &features()]);
    if !cfg!(feature = "signals") {
        command.arg("--no-default-features");
    }
    // What cargo tells this test of itself would have build scripts run again.
    let told = std::env::vars_os().map(|(name, _)| name);
    for name in told.filter(|name| is_of_the_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    let target = folder.ancestors().nth(2).ok_or("a target has a folder")?;
    command.arg("--target-dir").arg(target);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().map_err(|error| format!("{cargo}: {error}"))?;
    if output.status.success() {
        return Ok(folder);
    }
    Err(format!("run `cargo build --examples`: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The same as this test's, so that nothing is built twice.
fn features() -> String {
    let all = [
        ("process", cfg!(feature = "process")),
        ("tls", cfg!(feature = "tls")),
        ("simulation", cfg!(feature = "simulation")),
        ("runner", cfg!(feature = "runner")),
    ];
    all.into_iter().filter(|it| it.1).map(|it| it.0).collect::<Vec<_>>().join(",")
}

fn is_of_the_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}
