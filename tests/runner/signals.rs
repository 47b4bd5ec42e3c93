//! Signals: an orderly end, an end at once, reading anew, logs that are renamed.

use crate::kit::{ANY, Folder, Running, exchange, until};
use crate::peers;
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

#[test]
fn what_was_accepted_before_a_stop_is_answered_before_the_end() {
    let mut program = Running::start(&["echo", "--port", ANY]);
    let at = program.ready();
    let mut clients: Vec<_> = (0..64).map(|_| TcpStream::connect(at).unwrap()).collect();
    let greet = |client: &mut TcpStream, text: &[u8; 5]| {
        client.write_all(text).unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, *text);
    };
    // Each is accepted by now.
    clients.iter_mut().for_each(|client| greet(client, b"hello"));
    program.signal(Signal::TERM);
    program.line("draining");
    until("the port is closed", || TcpStream::connect(at).is_err());
    clients.iter_mut().for_each(|client| greet(client, b"again"));
    assert!(program.child.try_wait().unwrap().is_none(), "it waits for them");
    drop(clients);
    program.line("has ended");
    assert_eq!(program.status().code(), Some(0));
}

#[test]
fn a_second_signal_waits_for_nobody_and_is_seen_in_the_status() {
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut program = Running::start(&["--drain", "1000", "echo", "--port", ANY]);
        let at = program.ready();
        let mut idle = TcpStream::connect(at).unwrap();
        idle.write_all(b"x").unwrap();
        idle.read_exact(&mut [0]).unwrap();
        program.signal(Signal::TERM);
        program.line("draining");
        program.signal(signal);
        assert_eq!(program.status().code(), Some(status));
        assert_eq!(program.status().signal(), None);
        drop(idle);
    }
}

#[test]
fn who_is_late_is_named_and_cut_off_at_the_deadline() {
    let mut program = Running::start(&["--drain", "0", "echo", "--port", ANY]);
    let at = program.ready();
    let mut idle = TcpStream::connect(at).unwrap();
    idle.write_all(b"x").unwrap();
    idle.read_exact(&mut [0]).unwrap();
    program.signal(Signal::TERM);
    let late = program.line("not everything ended in time");
    assert!(late.contains("echo: 1 connection"), "{late}");
    assert_eq!(program.status().code(), Some(143));
    let end = idle.read(&mut [0]);
    assert!(end.is_err() || end.is_ok_and(|count| count == 0), "its connection is over");
}

#[test]
fn a_configuration_that_cannot_be_read_again_changes_nothing() {
    let folder = Folder::new();
    fs::write(folder.path("conf"), "log-level=info\n").unwrap();
    let config = folder.text("conf");
    let mut program = Running::start(&["--config", &config, "echo", "--port", ANY]);
    let at = program.ready();
    fs::write(folder.path("conf"), "log-level=loud\n").unwrap();
    program.signal(Signal::HUP);
    program.line("the configuration stays as it was");
    fs::write(folder.path("conf"), "log-level=info\n").unwrap();
    program.signal(Signal::HUP);
    program.line("the configuration was read");
    assert_eq!(exchange(at, "hello").unwrap(), "hello");
    program.stop();
}

#[test]
fn a_log_that_was_renamed_is_begun_anew_at_a_signal() {
    let folder = Folder::new();
    let log = folder.text("log");
    let mut program = Running::start(&["--logfile", &log, "--log-json", "echo", "--port", ANY]);
    until("it is ready", || folder.read("log").contains("is ready"));
    fs::rename(folder.path("log"), folder.path("old")).unwrap();
    program.signal(Signal::USR1);
    until("a new file is there", || folder.read("log").contains("log opened anew"));
    assert!(folder.read("log").starts_with("{\"log_time\":"));
    assert!(folder.read("old").contains("\"log_namespace\":\"echo\""));
    program.signal(Signal::TERM);
    assert_eq!(program.status().code(), Some(0));
}

#[test]
fn logrotate_turns_a_log_over_and_nothing_is_lost() {
    if !peers::noted("logrotate", Command::new("logrotate").arg("--version").output().is_ok()) {
        return;
    }
    let folder = Folder::new();
    let log = folder.text("log");
    let mut program =
        Running::start(&["--logfile", &log, "--log-size", "0", "echo", "--port", ANY]);
    until("it is ready", || folder.read("log").contains("is ready"));
    let rule = format!(
        "{log} {{\n  rotate 3\n  nocompress\n  su {} {}\n  postrotate\n    kill -USR1 {}\n  endscript\n}}\n",
        whoami("-un"),
        whoami("-gn"),
        program.pid()
    );
    fs::write(folder.path("conf"), rule).unwrap();
    let mut rotate = Command::new("logrotate");
    rotate.args(["-f", "-s", &folder.text("state"), &folder.text("conf")]);
    let output = rotate.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    until("a new file is there", || folder.read("log").contains("log opened anew"));
    program.signal(Signal::TERM);
    assert_eq!(program.status().code(), Some(0));
    let all = folder.read("log.1") + &folder.read("log");
    for text in ["listening at", "is ready", "log opened anew", "draining", "has ended"] {
        assert_eq!(all.matches(text).count(), 1, "{text}: {all}");
    }
}

fn whoami(option: &str) -> String {
    let output = Command::new("id").arg(option).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
