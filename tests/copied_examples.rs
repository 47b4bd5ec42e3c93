//! The servers among the examples, which users copy, under peers that mean no good.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "kit/examples.rs"]
mod examples;
#[path = "kit/paths.rs"]
mod paths;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes, even on a busy machine; shorter than a connection in order waits.
const PATIENCE: Duration = Duration::from_secs(30);

struct Program {
    process: Child,
    /// The first line that it printed.
    line: String,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Program {
        Program::run(Command::new(examples::example(name)).args(arguments))
    }

    fn run(command: &mut Command) -> Program {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Program { process, line: line.trim().to_owned() }
    }

    fn last_word(&self) -> &str {
        self.line.rsplit(' ').next().unwrap()
    }

    /// Its memory at the most, but for the program itself, in KiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let kibibytes = |name: &str| -> u64 {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().trim_end_matches(" kB").parse().unwrap()
        };
        kibibytes("VmHWM:") - kibibytes("RssFile:")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Writes on and on without reading, until so much was taken or nothing more is. Gives how much was.
fn flood(mut socket: &TcpStream, most: usize) -> usize {
    let piece = vec![b'x'; 64 * 1024];
    let mut taken = 0;
    socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    while taken < most {
        match socket.write(&piece) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

/// So much is sent, and so little may be kept of it.
const MUCH: usize = 128 * 1024 * 1024;
const LITTLE: u64 = 8 * 1024;

#[test]
fn echo_keeps_little_for_a_peer_that_does_not_read_in_both_faces() {
    for face in ["protocol", "stream"] {
        let echo = Program::start("echo", &["--listen", "127.0.0.1:0", "--face", face]);
        let socket = connect(echo.last_word());
        let mut reading = socket.try_clone().unwrap();
        let taken = flood(&socket, MUCH);
        assert!(taken < MUCH, "{face}: it took all {taken} bytes");
        assert!(echo.peak() < LITTLE, "{face}: {} KiB at most", echo.peak());
        // And it goes on once the peer reads.
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let read = std::io::copy(&mut reading, &mut std::io::sink()).unwrap();
        assert_eq!(read as usize, taken, "{face}");
    }
}

#[test]
fn echo_keeps_little_of_lines_for_a_peer_that_does_not_read_in_both_faces() {
    for face in ["protocol", "stream"] {
        let echo = Program::start("echo", &["--listen", "127.0.0.1:0", "--face", face, "--lines"]);
        let socket = connect(echo.last_word());
        socket.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let lines = b"strand\n".repeat(10_000);
        let taken = (0..MUCH / lines.len()).take_while(|_| (&socket).write_all(&lines).is_ok());
        assert!(taken.count() < MUCH / lines.len(), "{face}: it took all");
        assert!(echo.peak() < LITTLE, "{face}: {} KiB at most", echo.peak());
    }
}

#[test]
fn echo_cuts_off_who_sends_an_endless_line_in_both_faces() {
    for face in ["protocol", "stream"] {
        let echo = Program::start("echo", &["--listen", "127.0.0.1:0", "--face", face, "--lines"]);
        let mut socket = connect(echo.last_word());
        let mut reading = socket.try_clone().unwrap();
        let piece = vec![b'x'; 64 * 1024];
        let cut_off = (0..1000).any(|_| socket.write_all(&piece).is_err());
        assert!(cut_off, "{face}: it took 64 MiB of a line");
        assert!(reading.read(&mut [0; 10]).is_err() || reading.read(&mut [0]).unwrap() == 0);
        assert!(echo.peak() < LITTLE, "{face}: {} KiB at most", echo.peak());
        // A line as long as may be comes back.
        let mut other = connect(echo.last_word());
        let line = [vec![b'y'; 64 * 1024 - 1], b"\n".to_vec()].concat();
        other.write_all(&line).unwrap();
        let mut answer = vec![0; line.len()];
        other.read_exact(&mut answer).unwrap();
        assert!(answer == line, "{face}");
    }
}

#[test]
fn stdio_keeps_little_while_nobody_reads_its_output_in_both_faces() {
    for face in [&[][..], &["--async"]] {
        let mut command = Command::new(examples::example("stdio"));
        let command = command.args(face).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let stdout = process.stdout.take().unwrap();
        let status = format!("/proc/{}/status", process.id());
        // A thread, as a pipe's write has no time limit.
        let writing = thread::spawn(move || {
            let piece = vec![b'x'; 64 * 1024];
            (0..MUCH / piece.len()).take_while(|_| stdin.write_all(&piece).is_ok()).count()
        });
        let resident = || -> u64 {
            let status = std::fs::read_to_string(&status).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        // It has stopped taking when its processor's time stands still.
        let mut process = Program { process, line: String::new() };
        let ticks = || {
            let stat = std::fs::read_to_string(status.replace("status", "stat")).unwrap();
            stat.rsplit(')')
                .next()
                .unwrap()
                .split(' ')
                .skip(12)
                .take(2)
                .map(str::to_owned)
                .collect()
        };
        let mut before: Vec<String> = Vec::new();
        for _ in 0..200 {
            thread::park_timeout(Duration::from_millis(100));
            let now: Vec<String> = ticks();
            if std::mem::replace(&mut before, now.clone()) == now {
                break;
            }
        }
        assert!(resident() < LITTLE, "{face:?}: {} KiB", resident());
        drop(stdout);
        process.process.kill().unwrap();
        assert!(writing.join().unwrap() < MUCH / (64 * 1024), "{face:?}: it took all");
    }
}

#[test]
fn a_guest_of_unix_chat_who_does_not_read_is_shown_out() {
    let path = paths::path("deaf-guest");
    let chat = Program::start("unix_chat", &[path.to_str().unwrap()]);
    let deaf = UnixStream::connect(&path).unwrap();
    let mut loud = UnixStream::connect(&path).unwrap();
    loud.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = BufReader::new(loud.try_clone().unwrap());
    let piece = [vec![b'x'; 999], b"\n".to_vec()].concat();
    let goes = thread::spawn(move || {
        let mut line = String::new();
        while !line.ends_with("* 1 goes\n") {
            line.clear();
            if said.read_line(&mut line).unwrap() == 0 {
                return false;
            }
        }
        true
    });
    (0..20_000).for_each(|_| loud.write_all(&piece).unwrap());
    assert!(goes.join().unwrap());
    assert!(chat.peak() < LITTLE, "{} KiB at most", chat.peak());
    drop(deaf);
    drop(chat);
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_file(path.with_extension("lock"));
}

fn proxy(limit: Option<u32>) -> (TcpListener, Program) {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp:127.0.0.1:{}", far.local_addr().unwrap().port());
    let limit = limit.map_or(String::new(), |limit| format!("ulimit -n {limit}; "));
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limit}exec \"$@\"")).arg("sh");
    command.arg(examples::example("port_forward"));
    command.args(["--from", "tcp:0:interface=127.0.0.1", "--to", &to]);
    (far, Program::run(&mut command))
}

#[test]
fn port_forward_aborts_the_far_end_when_the_near_one_is_reset() {
    let (far, program) = proxy(None);
    let near = connect(program.line.split(' ').nth(1).unwrap());
    let (mut far, _) = far.accept().unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let taken = flood(&near, MUCH);
    assert!(taken < MUCH, "nothing waits");

    socket2::SockRef::from(&near).set_linger(Some(Duration::ZERO)).unwrap();
    drop(near);
    far.write_all(b"is anybody there?").unwrap();

    let end = std::io::copy(&mut far, &mut std::io::sink()).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn port_forward_aborts_the_near_end_when_the_far_one_is_reset() {
    let (far, program) = proxy(None);
    let mut near = connect(program.line.split(' ').nth(1).unwrap());
    let (far, _) = far.accept().unwrap();
    near.write_all(b"hello").unwrap();
    socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    let end = near.read(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

/// How many of so many clients that come at once get an answer through a proxy with so many descriptors.
fn served(limit: u32, clients: usize) -> usize {
    let (far, program) = proxy(Some(limit));
    thread::spawn(move || {
        let echo = |mut socket: TcpStream| -> std::io::Result<()> {
            let mut byte = [0];
            socket.read_exact(&mut byte)?;
            socket.write_all(&byte)?;
            socket.read_exact(&mut byte)
        };
        for socket in far.incoming().map_while(Result::ok) {
            thread::spawn(move || echo(socket));
        }
    });
    let address = program.line.split(' ').nth(1).unwrap();
    // Stopped, so that all of them wait when it looks.
    let signal = |name: &str| {
        let id = program.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    signal("-STOP");
    let mut sockets: Vec<_> = (0..clients).map(|_| connect(address)).collect();
    signal("-CONT");
    let ask = |socket: &mut TcpStream| {
        socket.write_all(b"?").is_ok() && socket.read_exact(&mut [0]).is_ok()
    };
    sockets.iter_mut().map(ask).filter(|&answered| answered).count()
}

#[test]
fn port_forward_serves_what_its_descriptors_are_enough_for() {
    // Some are its own: the loop's, the port's, the signals'.
    for (limit, least) in [(32, 4), (64, 20), (200, 80)] {
        let served = served(limit, 100);
        assert!(served >= least, "{served} of 100 with {limit} descriptors");
    }
}
