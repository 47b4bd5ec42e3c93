//! The programs that tests speak with or run under, which may not be installed.
//!
//! A test says of each whether it is there, and passes without it. Where `ROPEWALK_PEERS` names a file
//! each answer is a line of it, so that a run of all tests can say at its end what was tried with whom.
#![allow(dead_code, reason = "each suite uses its part")]

use ropewalk::Reactor;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Notes whether a peer is there, and says so if it is not; gives the same back.
pub(crate) fn noted(peer: &str, is_there: bool) -> bool {
    if !is_there {
        println!("not tested: {peer} is not installed");
    }
    if let Some(path) = std::env::var_os("ROPEWALK_PEERS") {
        let line = format!("{} {peer}\n", if is_there { "there" } else { "absent" });
        let file = OpenOptions::new().create(true).append(true).open(path);
        // In one write: other tests add their lines meanwhile.
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a file for the peers");
    }
    is_there
}

/// Whether python3 has these modules.
pub(crate) fn python_has(modules: &str) -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", &format!("import {modules}")]).stdin(Stdio::null()).stderr(Stdio::null());
    noted(&format!("python3 with {modules}"), python.status().is_ok_and(|status| status.success()))
}

/// Runs a test's body in a process of its own in which system calls fail, as `strace -e inject` has it.
#[track_caller]
pub(crate) fn with_faults(name: &str, faults: &str, body: impl FnOnce()) {
    const MARK: &str = "ROPEWALK_TEST_FAULTS";
    if std::env::var_os(MARK).is_some_and(|wanted| wanted == name) {
        return body();
    }
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={faults}")]);
    // Also where it is there, it may be forbidden to trace.
    let tried = strace.arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !noted("strace", tried.is_ok_and(|status| status.success())) {
        return;
    }
    let child = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={faults}")])
        .arg(std::env::current_exe().expect("this process has a file"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .output()
        .expect("it was there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&child.stdout), text(&child.stderr));
    assert!(out.contains("running 1 test"), "no test is called {name}: {out}{err}");
    assert!(child.status.success(), "{out}{err}");
}

/// Turns the reactor until there is something to find. For what other programs do, which may take long.
#[track_caller]
pub(crate) fn until_found<T>(reactor: &Reactor, mut look: impl FnMut() -> Option<T>) -> T {
    const PATIENCE: Duration = Duration::from_secs(60);
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "nothing came for {PATIENCE:?}");
        reactor.turn(Some(PATIENCE)).expect("a turn");
    }
}
