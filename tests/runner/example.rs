//! The example of an application, run as its users would.

use crate::examples::example;
use crate::kit::{Running, exchange};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn the_application_of_thirty_lines_echoes_and_ends_in_order() {
    let mut command = Command::new(example("echo_service"));
    command.env("ECHO_PORT", "127.0.0.1:0").stdin(Stdio::null());
    let mut running = Running::with_output(command);
    running.line("echo_service is ready");
    let mut said = String::new();
    BufReader::new(running.child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let at = said.trim().rsplit_once(' ').unwrap().1.parse().unwrap();
    assert_eq!(exchange(at, "hello").unwrap(), "hello");
    running.stop();
}
