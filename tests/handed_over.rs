//! Sockets that one process hands to the next by name, so that no connection is lost in between.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]
#![cfg(all(feature = "process", target_os = "linux"))]

#[path = "kit/paths.rs"]
mod paths;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::driver::{inherited_names, take_inherited};
use ropewalk::process::{ChildDescriptor, ProcessOptions};
use ropewalk::{ClientEndpoint, Deferred, Port, Reactor};
use std::io::{Read, Write, pipe};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

/// Says to this program what it shall be when it is started again.
const PART: &str = "ROPEWALK_TEST_PART";

/// This test once more, which then finds `part`.
fn again(test: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(PART, part);
    command
}

fn serve(reactor: &Reactor, at: &str, who: &'static str) -> Port {
    let serve = reactor.serve(at, async move |mut stream| {
        stream.write_all(who.as_bytes()).await?;
        Ok(())
    });
    serve.unwrap()
}

/// Serves at a place until its standard input ends, once it has said that it does.
fn succeed_at(at: &str) {
    let reactor = Reactor::new().unwrap();
    let port = serve(&reactor, at, "successor");
    let mut ready = std::fs::File::from(take_inherited("ready").unwrap().unwrap());
    assert_eq!(inherited_names(), [""; 0]);
    writeln!(ready, "{}", port.host()).unwrap();
    drop(ready);
    let stdin = reactor.open(ClientEndpoint::stdio());
    let to_its_end = async move { Ok(stdin.await?.read_to_end(&mut Vec::new()).await?) };
    reactor.run_until(to_its_end).unwrap();
    reactor.run_until(port.stop_listening()).unwrap();
}

struct Successor {
    /// Ends it when it is dropped.
    stdin: OwnedFd,
    ended: Deferred<i32>,
    host: String,
}

/// Starts the successor, hands all ports over to it, and waits until it is ready.
fn start(reactor: &Reactor, test: &str, at: &str) -> Successor {
    let (mut ready, theirs) = pipe().unwrap();
    let (input, stdin) = pipe().unwrap();
    let mut options = ProcessOptions::from(again(test, at))
        .descriptor(0, ChildDescriptor::Share(input.into()))
        .hand_over("ready", theirs.into());
    for (name, port) in reactor.open_ports() {
        options = options.hand_over(&name, port.try_clone_descriptor().unwrap());
        port.leave_name();
    }
    let ended = reactor.process_value(options);
    let mut host = String::new();
    ready.read_to_string(&mut host).unwrap();
    Successor { stdin: stdin.into(), ended, host: host.trim().to_owned() }
}

fn answer(mut client: impl Read) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_successor_listens_at_the_socket_that_it_was_given_and_nobody_is_refused_in_between() {
    const NAME: &str =
        "a_successor_listens_at_the_socket_that_it_was_given_and_nobody_is_refused_in_between";
    if let Ok(at) = std::env::var(PART) {
        return succeed_at(&at);
    }
    let reactor = Reactor::new().unwrap();
    let port = serve(&reactor, "127.0.0.1:0", "predecessor");
    let at = port.host().socket_addr().unwrap();
    // Comes before there is a successor, and waits.
    let early = TcpStream::connect(at).unwrap();
    let successor = start(&reactor, NAME, "127.0.0.1:0");
    assert_eq!(successor.host, at.to_string());
    assert_eq!(answer(early), "successor", "the predecessor makes no turns");
    reactor.run_until(port.stop_listening()).unwrap();
    assert_eq!(answer(TcpStream::connect(at).unwrap()), "successor");
    assert!(reactor.open_ports().is_empty());
    drop(successor.stdin);
    assert_eq!(reactor.run_until(successor.ended).unwrap(), 0);
    assert!(TcpStream::connect(at).is_err(), "the last descriptor is closed");
}

#[test]
fn the_path_of_a_unix_socket_stays_with_the_successor_and_goes_with_it() {
    const NAME: &str = "the_path_of_a_unix_socket_stays_with_the_successor_and_goes_with_it";
    if let Ok(at) = std::env::var(PART) {
        return succeed_at(&at);
    }
    let folder = paths::path("handed");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let at = format!("unix:{}", path.display());
    let reactor = Reactor::new().unwrap();
    let port = serve(&reactor, &at, "predecessor");
    let successor = start(&reactor, NAME, &at);
    reactor.run_until(port.stop_listening()).unwrap();
    drop(port);
    assert_eq!(answer(UnixStream::connect(&path).unwrap()), "successor");
    drop(successor.stdin);
    assert_eq!(reactor.run_until(successor.ended).unwrap(), 0);
    assert!(!Path::new(&path).exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_the_environment_says_of_this_process_is_not_told_to_its_children() {
    const NAME: &str = "what_the_environment_says_of_this_process_is_not_told_to_its_children";
    if std::env::var(PART).is_err() {
        let mut command = again(NAME, "child");
        for name in ["LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_USEC", "ROPEWALK_FDS"] {
            command.env(name, "1");
        }
        return assert!(command.status().unwrap().success());
    }
    let reactor = Reactor::new().unwrap();
    let said = |options: ProcessOptions| {
        let told = reactor.run_until(reactor.process_output(options.arg("-c").arg("env"))).unwrap();
        let told = String::from_utf8(told).unwrap();
        let own = |line: &&str| {
            ["LISTEN_", "NOTIFY_", "WATCHDOG_", "ROPEWALK_FDS"]
                .iter()
                .any(|it| line.starts_with(it))
        };
        told.lines().filter(own).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(said(ProcessOptions::new("sh")), [""; 0]);
    let asked = ProcessOptions::new("sh").env("NOTIFY_SOCKET", "2");
    assert_eq!(said(asked), ["NOTIFY_SOCKET=2"]);
    let mut command = Command::new("sh");
    command.env("LISTEN_FDS", "3");
    assert_eq!(said(command.into()), ["LISTEN_FDS=3"], "one that says so itself");
}
