//! What it says to what it cannot do: one line, a status, and nothing half started.

use crate::kit::{ANY, Folder, Running, exchange, run, said};
use std::fs;
use std::net::TcpListener;

/// Runs it, and holds that it says one line with this in it.
#[track_caller]
fn refused(arguments: &[&str], status: i32, text: &str) {
    let (code, told) = said(&run(arguments));
    assert_eq!(code, status, "{arguments:?}: {told}");
    assert!(told.contains(text), "{arguments:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
    assert!(told.starts_with("ropewalk: "), "{told}");
}

#[test]
fn what_is_called_in_a_way_that_it_does_not_know_says_what_was_meant() {
    refused(&[], 64, "COMMAND");
    refused(&["ecko"], 64, "did you mean `echo`?");
    refused(&["--hlep"], 64, "did you mean `--help`?");
    refused(&["--logflie", "x", "echo"], 64, "did you mean `--logfile`?");
    refused(&["echo", "--prot", ANY], 64, "did you mean `--port`?");
    refused(&["echo"], 64, "say where to listen");
    refused(&["echo", "--port", "tcp:http"], 64, "the port is a number");
    refused(&["--umask", "9", "echo", "--port", ANY], 64, "octal");
    refused(&["--log-size", "many", "echo", "--port", ANY], 64, "a size is a number");
    refused(&["--log-level", "loud", "echo", "--port", ANY], 64, "debug, info, warn");
    refused(&["--completion", "csh"], 64, "bash");
}

#[test]
fn help_version_and_completion_are_no_errors() {
    for (arguments, text) in [
        (&["--help"][..], "Available commands:"),
        (&["echo", "--help"], "--port=ENDPOINT"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["--completion", "bash"], "complete"),
        (&["--unit", "echo", "--port", "tcp:80"], "Type=notify-reload"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(text), "{arguments:?}");
    }
}

#[test]
fn what_it_is_configured_by_and_cannot_be_used_is_status_78() {
    let folder = Folder::new();
    let serve = ["echo", "--port", ANY];
    let with = |option: &'static str, value: &str| {
        [&[option, value][..], &serve[..]].concat().iter().map(|it| (*it).to_owned()).collect()
    };
    let refused = |arguments: Vec<String>, text: &str| {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        refused(&arguments, 78, text);
    };
    refused(with("--config", &folder.text("none")), "cannot read");
    refused(with("--uid", "no-such-user"), "there is no user \"no-such-user\"");
    refused(with("--gid", "no-such-group"), "there is no group");
    refused(with("--rundir", &folder.text("none")), "cannot go to");
    refused(with("--logfile", &folder.text("none/log")), "cannot log to");
    fs::write(folder.path("text"), "no number\n").unwrap();
    refused(with("--pidfile", &folder.text("text")), "is no pid file");
    assert_eq!(folder.read("text"), "no number\n");
    fs::write(folder.path("bad"), "log-level=debug\n\n# a comment\n-x\n").unwrap();
    refused(with("--config", &folder.text("bad")), "line 4: \"-x\" is no option");
    fs::write(folder.path("unknown"), "log-levle debug\n").unwrap();
    refused(with("--config", &folder.text("unknown")), "log-levle");
    refused(vec!["inetd".into(), folder.text("none")], "cannot read");
    fs::write(folder.path("inetd"), "# nothing\n").unwrap();
    refused(vec!["inetd".into(), folder.text("inetd")], "names nothing to listen at");
}

#[test]
fn a_port_in_use_is_status_1_and_what_was_begun_before_it_is_taken_back() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("tcp:{}:interface=127.0.0.1", taken.local_addr().unwrap().port());
    let (socket, pid_file) = (folder.text("socket"), folder.text("pid"));
    let unix = format!("unix:{socket}");
    let arguments =
        ["--log-level", "error", "--pidfile", &pid_file, "echo", "--port", &unix, "--port", &at];
    refused(&arguments, 1, "Address already in use");
    assert!(!folder.path("socket").exists() && !folder.path("socket.lock").exists());
    assert!(!folder.path("pid").exists());
}

#[test]
fn a_second_start_says_who_runs_and_leaves_that_one_alone() {
    let folder = Folder::new();
    let pid_file = folder.text("pid");
    let arguments = ["--pidfile", &pid_file, "echo", "--port", ANY];
    let mut first = Running::start(&arguments);
    let at = first.ready();
    refused(&arguments, 1, &format!("runs already as process {}", first.pid()));
    assert_eq!(folder.read("pid"), format!("{}\n", first.pid()));
    assert_eq!(exchange(at, "still here").unwrap(), "still here");
    first.stop();
    assert!(!folder.path("pid").exists());
}

#[test]
fn a_pid_file_that_was_left_behind_is_in_nobodys_way() {
    let folder = Folder::new();
    fs::write(folder.path("pid"), "1\n").unwrap();
    let mut program = Running::start(&["--pidfile", &folder.text("pid"), "echo", "--port", ANY]);
    program.ready();
    assert_eq!(folder.read("pid"), format!("{}\n", program.pid()));
    program.stop();
}

#[test]
fn a_full_disk_for_the_log_keeps_nobody_from_being_served() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/dev/full", folder.path("log")).unwrap();
    let taken = folder.text("socket");
    let (unix, log) = (format!("unix:{taken}"), folder.text("log"));
    let mut program = Running::start(&["--logfile", &log, "echo", "--port", &unix]);
    let mut client = None;
    crate::kit::until("it listens", || {
        client = std::os::unix::net::UnixStream::connect(folder.path("socket")).ok();
        client.is_some()
    });
    let mut client = client.unwrap();
    std::io::Write::write_all(&mut client, b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = String::new();
    std::io::Read::read_to_string(&mut client, &mut heard).unwrap();
    assert_eq!(heard, "hello");
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(program.status().code(), Some(0));
}

#[test]
fn options_in_a_file_are_as_good_as_arguments_which_come_after_them() {
    let folder = Folder::new();
    fs::write(folder.path("conf"), format!("log-level warn\nlogfile={}\n", folder.text("log")))
        .unwrap();
    let config = folder.text("conf");
    let arguments = ["--config", &config, "--log-level", "info", "echo", "--port", ANY];
    let mut program = Running::start(&arguments);
    crate::kit::until("it logs", || folder.read("log").contains("is ready"));
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(program.status().code(), Some(0));
}
