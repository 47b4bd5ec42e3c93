//! What the commands do.

use crate::kit::{ANY, Folder, Running, exchange, until};
use rustix::process::Signal;
use std::fs;
use std::io::Read;
use std::net::TcpStream;

#[test]
fn connections_are_passed_on_both_ways_with_their_ends() {
    let mut echo = Running::start(&["echo", "--port", ANY]);
    let to = format!("tcp:{}", echo.ready());
    let mut forward = Running::start(&["portforward", "--port", ANY, "--host", &to]);
    let text = "some text ".repeat(100_000);
    assert_eq!(exchange(forward.ready(), &text).unwrap(), text);
    forward.stop();
    echo.stop();
}

#[test]
fn a_connection_that_cannot_be_passed_on_is_cut_off_and_told() {
    let mut forward =
        Running::start(&["portforward", "--port", ANY, "--host", "unix:/no/such/socket"]);
    let at = forward.ready();
    assert!(exchange(at, "hello").is_err());
    forward.line("/no/such/socket");
    forward.stop();
}

#[test]
fn inetd_starts_a_program_for_each_connection_and_serves_some_itself() {
    let folder = Folder::new();
    let user = whoami();
    let line = |program: &str| format!("{ANY} stream tcp nowait {user} {program}\n");
    fs::write(
        folder.path("conf"),
        line("/bin/cat cat") + &format!("{ANY} stream tcp nowait {user} /usr/bin/id id -u\n"),
    )
    .unwrap();
    let mut inetd = Running::start(&["inetd", &folder.text("conf")]);
    let first = inetd.line("listening at ");
    let second = inetd.ready();
    let cat = first.rsplit_once("listening at ").unwrap().1.parse().unwrap();
    assert_eq!(exchange(cat, "hello").unwrap(), "hello");
    assert_eq!(exchange(cat, "again").unwrap(), "again");
    let mut number = String::new();
    TcpStream::connect(second).unwrap().read_to_string(&mut number).unwrap();
    assert_eq!(number.trim(), rustix::process::geteuid().as_raw().to_string());
    inetd.stop();
}

fn whoami() -> String {
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn procmon_starts_a_program_again_whenever_it_ends_and_logs_what_it_prints() {
    let folder = Folder::new();
    let script =
        format!("echo one more >>{}; echo out; echo err >&2; exit 3", folder.text("count"));
    let quick = ["--minrestartdelay", "0", "--maxrestartdelay", "0"];
    let command = [&["procmon"][..], &quick[..], &["--", "sh", "-c", &script]].concat();
    let mut program = Running::start(&command);
    program.line("[procmon stdout#info] out");
    program.line("exit status: 3");
    until("it was started again", || folder.read("count").lines().count() >= 3);
    program.stop();
}

#[test]
fn procmon_ends_its_program_and_kills_one_that_does_not_listen() {
    let script = "trap '' TERM; echo deaf; while :; do sleep 1000; done";
    let mut program = Running::start(&["procmon", "--killtime", "0.1", "--", "sh", "-c", script]);
    program.line("deaf");
    program.signal(Signal::TERM);
    program.line("signal: 9 (SIGKILL)");
    assert_eq!(program.status().code(), Some(0));
}

#[cfg(feature = "http")]
#[test]
fn web_serves_a_folder_logs_each_request_and_says_how_it_is() {
    let folder = Folder::new();
    fs::write(folder.path("hello.txt"), "hello from a file").unwrap();
    let root = folder.path("");
    let mut web = Running::start(&[
        "web",
        "--path",
        root.to_str().unwrap(),
        "--port",
        ANY,
        "--listing",
        "--status",
    ]);
    let at = web.ready();
    let ask = |path: &str| {
        exchange(at, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    };
    assert!(ask("/hello.txt").unwrap().ends_with("\r\n\r\nhello from a file"));
    web.line("\"GET /hello.txt HTTP/1.1\" 200 ");
    assert!(ask("/").unwrap().contains("./hello.txt"));
    assert!(ask("/../secret").unwrap().starts_with("HTTP/1.1 404 "));
    assert!(ask("/ready").unwrap().ends_with("\r\n\r\nready\n"));
    assert!(ask("/live").unwrap().ends_with("\r\n\r\nlive\n"));
    web.stop();
}

#[cfg(feature = "http")]
#[test]
fn a_folder_that_is_not_there_is_told_in_one_line_with_its_status() {
    let output = crate::kit::run(&["web", "--path", "/no/such/folder", "--port", ANY]);
    let (status, line) = crate::kit::said(&output);
    assert_eq!(status, 78, "{line}");
    assert!(line.contains("the folder /no/such/folder: No such file"), "{line}");
}
