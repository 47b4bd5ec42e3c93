//! Restart in place: nobody is refused, nobody is reset, and one that fails changes nothing.

use crate::kit::{ANY, Folder, Running, exchange, is_alive, is_root, program, send, until};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// One connection: a message, its answer, and the end.
fn call(at: SocketAddr) -> std::io::Result<()> {
    let mut client = TcpStream::connect(at)?;
    // Ports of this end would run out: they are free at once after a reset, which is this end's own.
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO))?;
    client.set_read_timeout(Some(crate::kit::PATIENCE))?;
    client.write_all(b"ping")?;
    let mut heard = [0; 4];
    client.read_exact(&mut heard)?;
    Ok(())
}

fn pid(folder: &Folder) -> Option<u32> {
    folder.read("pid").trim().parse().ok()
}

#[test]
fn no_connection_is_refused_or_reset_while_a_program_is_replaced_again_and_again() {
    // ROPEWALK_RESTARTS=20 is the whole of it.
    let restarts = std::env::var("ROPEWALK_RESTARTS").ok().and_then(|text| text.parse().ok());
    let restarts = restarts.unwrap_or(3);
    let folder = Folder::new();
    let (pid_file, log) = (folder.text("pid"), folder.text("log"));
    let arguments = ["--pidfile", &pid_file, "--logfile", &log, "echo", "--port", ANY];
    let mut first = Running::start(&arguments);
    until("it is ready", || folder.read("log").contains("is ready"));
    let text = folder.read("log");
    let at = text.lines().next().unwrap().rsplit_once("listening at ").unwrap().1.parse().unwrap();
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let begun = Instant::now();
    let faults: Vec<String> = std::thread::scope(|scope| {
        let caller = || {
            let mut faults = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                match call(at) {
                    Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => faults.push(error.to_string()),
                }
            }
            faults
        };
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(caller)).collect();
        for number in 0..restarts {
            // Some are served by each.
            let enough = served.load(Ordering::Relaxed) + 100;
            until("some are served", || served.load(Ordering::Relaxed) >= enough);
            let former = pid(&folder).unwrap();
            send(former, Signal::USR2);
            until("another one has taken over", || pid(&folder).is_some_and(|now| now != former));
            if number == 0 {
                assert_eq!(first.status().code(), Some(0), "{}", folder.read("log"));
            } else {
                until("the former one ends", || !is_alive(former));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let (served, took) = (served.into_inner(), begun.elapsed().as_secs_f64());
    println!("{restarts} restarts: {served} served, {:.0} a second", served as f64 / took);
    assert!(faults.is_empty(), "{} of {served}: {:?}", faults.len(), faults.first());
    let last = pid(&folder).unwrap();
    send(last, Signal::TERM);
    until("the last one ends", || !is_alive(last));
    assert!(!folder.path("pid").exists());
}

#[test]
fn a_connection_that_is_open_at_a_restart_is_served_to_its_end_by_who_has_it() {
    let mut program = Running::start(&["echo", "--port", ANY]);
    let at = program.ready();
    let mut client = TcpStream::connect(at).unwrap();
    let mut greet = |text: &[u8; 5]| {
        client.write_all(text).unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(heard, *text);
    };
    greet(b"hello");
    program.signal(Signal::USR2);
    let line = program.line("has taken over");
    let successor = line.rsplit_once("process ").unwrap().1.split(' ').next().unwrap();
    let successor: u32 = successor.parse().unwrap();
    greet(b"still");
    assert_eq!(exchange(at, "new").unwrap(), "new");
    drop(client);
    assert_eq!(program.status().code(), Some(0));
    send(successor, Signal::TERM);
    until("the successor ends", || !is_alive(successor));
}

/// A file that can be run. Another process writes it: one that this process has open for writing may be so in
/// a child that another test starts just then, and cannot be run before that goes on.
fn make(path: &Path, content: impl Into<Stdio>) {
    let script = "cat >\"$0\" && chmod 755 \"$0\"";
    let status = Command::new("sh").args(["-c", script]).arg(path).stdin(content).status();
    assert!(status.unwrap().success());
}

/// A copy of the program, which can be replaced.
fn copy(folder: &Folder) -> String {
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    make(&folder.path("program"), fs::File::open(program()).unwrap());
    folder.text("program")
}

#[test]
fn a_new_program_that_does_not_start_leaves_the_old_one_serving() {
    let folder = Folder::new();
    let file = copy(&folder);
    let (pid_file, socket) = (folder.text("pid"), format!("unix:{}", folder.text("socket")));
    let mut command = Command::new(&file);
    command.args(["--pidfile", &pid_file, "echo", "--port", ANY, "--port", &socket]);
    let mut running = Running::of({
        command.stdin(Stdio::null());
        command
    });
    let line = running.line("listening at 127");
    let at = line.rsplit_once("listening at ").unwrap().1.parse().unwrap();
    running.line("is ready");
    fs::remove_file(&file).unwrap();
    running.signal(Signal::USR2);
    running.line("cannot restart, and goes on");
    for (script, why) in [
        ("#!/bin/sh\nexit 3\n", "it ended before it was ready"),
        ("#!/bin/sh\necho '1 no such thing' >&3\n", "no such thing"),
    ] {
        // Another file and not another content: that of the one that runs cannot be changed.
        let next = folder.path("next");
        fs::write(folder.path("script"), script).unwrap();
        make(&next, fs::File::open(folder.path("script")).unwrap());
        fs::rename(&next, &file).unwrap();
        running.signal(Signal::USR2);
        let line = running.line("the restart failed, and this one goes on");
        assert!(line.contains(why), "{line}");
        assert_eq!(exchange(at, "hello").unwrap(), "hello");
        assert_eq!(folder.read("pid"), format!("{}\n", running.pid()));
        assert!(folder.path("socket").exists());
    }
    running.stop();
    assert!(!folder.path("socket").exists());
}

#[test]
fn a_program_that_gave_up_root_is_replaced_by_one_that_has_none_of_it() {
    if !is_root() {
        return println!("no privileges were given up: not root");
    }
    let folder = Folder::new();
    let mut command = Command::new(copy(&folder));
    command.args(["--uid", "nobody", "echo", "--port", ANY]).stdin(Stdio::null());
    let mut running = Running::of(command);
    let at = running.ready();
    running.signal(Signal::USR2);
    let line = running.line("has taken over");
    let successor = line.rsplit_once("process ").unwrap().1.split(' ').next().unwrap();
    let successor: u32 = successor.parse().unwrap();
    assert_eq!(crate::kit::status_of(successor, "Uid:"), ["65534"; 4].join(" "));
    assert_eq!(exchange(at, "hello").unwrap(), "hello");
    send(successor, Signal::TERM);
    until("the successor ends", || !is_alive(successor));
}
