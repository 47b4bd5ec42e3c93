//! The example that needs a crate which the others do without, run as its users run it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../kit/examples.rs"]
mod examples;

use std::process::{Command, Stdio};

#[test]
fn deferred_trace_says_when_it_is_given_no_script() {
    let mut program = Command::new(examples::example("deferred_trace"));
    let output = program.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("no script on standard input: EOF"), "{errors}");
}
