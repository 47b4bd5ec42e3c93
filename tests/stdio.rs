//! Standard input and output as a connection: through pipes, from and to files, with a terminal.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test that finds no value shall fail.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::{ConnectionDone, ConnectionLost, Failure, Protocol, Reactor, Result, Transport};
use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{Read, Write, pipe};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;

#[derive(Clone, Default)]
struct Heard {
    bytes: Rc<RefCell<Vec<u8>>>,
    reason: Rc<RefCell<Option<Failure>>>,
    read_closed: Rc<Cell<bool>>,
}

/// Echoes, and says goodbye when its peer has ended.
struct Echo {
    heard: Heard,
    goodbye: &'static [u8],
}

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.heard.bytes.borrow_mut().extend_from_slice(data);
        transport.write(data);
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        self.heard.read_closed.set(true);
        transport.write(self.goodbye);
        transport.lose_connection();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.heard.reason.replace(Some(reason.clone()));
    }
}

fn echo(goodbye: &'static [u8]) -> (Echo, Heard) {
    let heard = Heard::default();
    (Echo { heard: heard.clone(), goodbye }, heard)
}

fn run_until_lost(reactor: &Reactor, heard: &Heard) -> Failure {
    while heard.reason.borrow().is_none() {
        reactor.turn(None).unwrap();
    }
    heard.reason.borrow().clone().unwrap()
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ropewalk-stdio-{name}-{}", std::process::id()))
}

#[test]
fn the_end_of_input_is_told_and_what_is_written_then_still_goes_out() {
    let ((input, mut to), (mut from, output)) = (pipe().unwrap(), pipe().unwrap());
    let reactor = Reactor::new().unwrap();
    let (protocol, heard) = echo(b", goodbye");
    reactor.connect_pipes(input, output, protocol).unwrap();
    to.write_all(b"hello").unwrap();
    while heard.bytes.borrow().len() < 5 {
        reactor.turn(None).unwrap();
    }
    assert!(!heard.read_closed.get());
    drop(to);
    assert!(run_until_lost(&reactor, &heard).is::<ConnectionDone>());
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello, goodbye");
}

#[test]
fn a_file_is_read_to_its_end_and_written_whole_though_the_system_cannot_watch_it() {
    let (from, to) = (path("from"), path("to"));
    let text: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(&from, &text).unwrap();
    let reactor = Reactor::new().unwrap();
    let (protocol, heard) = echo(b"!");
    let (input, output) = (File::open(&from).unwrap(), File::create(&to).unwrap());
    reactor.connect_pipes(input, output, protocol).unwrap();
    assert!(run_until_lost(&reactor, &heard).is::<ConnectionDone>());
    let written = fs::read(&to).unwrap();
    fs::remove_file(from).unwrap();
    fs::remove_file(to).unwrap();
    assert_eq!(written.len(), text.len() + 1);
    assert!(written.starts_with(&text) && *heard.bytes.borrow() == text);
}

#[test]
fn a_task_reads_a_file_and_an_empty_one_and_the_null_device() {
    let (some, none) = (path("some"), path("none"));
    fs::write(&some, [7; 100_000]).unwrap();
    fs::write(&none, []).unwrap();
    let reactor = Reactor::new().unwrap();
    for (name, length) in [(&some, 100_000), (&none, 0), (&PathBuf::from("/dev/null"), 0)] {
        let output = File::create("/dev/null").unwrap();
        let mut stream = reactor.open_pipes(File::open(name).unwrap(), output).unwrap();
        let all = reactor.run_until(async move {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            Ok(all.len())
        });
        assert_eq!(all.unwrap(), length, "of {}", name.display());
    }
    fs::remove_file(some).unwrap();
    fs::remove_file(none).unwrap();
}

#[test]
fn a_stream_closes_its_output_and_reads_on() {
    let ((input, mut to), (mut from, output)) = (pipe().unwrap(), pipe().unwrap());
    let reactor = Reactor::new().unwrap();
    let mut stream = reactor.open_pipes(input, output).unwrap();
    let rest = reactor.run_until(async move {
        stream.write_all(b"all I have").await?;
        stream.close().await?;
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        assert_eq!(text, "all I have");
        to.write_all(b"more for you")?;
        drop(to);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await?;
        Ok(rest)
    });
    assert_eq!(rest.unwrap(), "more for you");
}

#[test]
fn a_reader_that_went_away_is_a_lost_connection() {
    let ((input, to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
    let reactor = Reactor::new().unwrap();
    let (protocol, heard) = echo(b"");
    let transport = reactor.connect_pipes(input, output, protocol).unwrap();
    drop(from);
    transport.write(b"to nobody");
    drop(to);
    let reason = run_until_lost(&reactor, &heard);
    assert!(reason.is::<ConnectionLost>(), "{reason}");
    assert!(reason.to_string().contains("with pipes was lost"), "{reason}");
}

#[test]
fn more_than_a_pipe_holds_waits_for_its_reader() {
    let ((input, _to), (mut from, output)) = (pipe().unwrap(), pipe().unwrap());
    let reactor = Reactor::new().unwrap();
    let mut stream = reactor.open_pipes(input, output).unwrap();
    let reading = reactor.defer_to_thread(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all)?;
        Ok(all.len())
    });
    let length = reactor.run_until(async move {
        stream.write_all(&vec![1; 3_000_000]).await?;
        stream.close().await?;
        reading.await
    });
    assert_eq!(length.unwrap(), 3_000_000);
}

#[test]
fn a_descriptor_blocks_again_after_its_connection() {
    let ((input, to), (_from, output)) = (pipe().unwrap(), pipe().unwrap());
    let kept = input.try_clone().unwrap();
    let flags = || fs::read_to_string(format!("/proc/self/fdinfo/{}", fd(&kept)));
    let Ok(before) = flags() else {
        return println!("not tested: this system does not show a descriptor's flags");
    };
    let reactor = Reactor::new().unwrap();
    let stream = reactor.open_pipes(input, output).unwrap();
    assert_ne!(flags().unwrap(), before);
    drop((stream, to));
    reactor.run_until(async { Ok(()) }).unwrap();
    assert_eq!(flags().unwrap(), before);
}

fn fd(pipe: &std::io::PipeReader) -> i32 {
    use std::os::fd::AsRawFd;
    pipe.as_raw_fd()
}

#[test]
fn a_program_on_its_standard_input_and_output_serves_pipes_and_files() {
    let file = path("program");
    fs::write(&file, "from a file\n".repeat(1000)).unwrap();
    for arguments in [&[][..], &["--async"]] {
        let output = example(arguments).stdin(File::open(&file).unwrap()).output().unwrap();
        assert_eq!(output.stdout, "FROM A FILE\n".repeat(1000).as_bytes(), "{output:?}");
        let mut child =
            example(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut answer = [0; 4];
        to.write_all(b"pipe").unwrap();
        from.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"PIPE");
        drop(to);
        assert!(child.wait().unwrap().success());
    }
    fs::remove_file(file).unwrap();
}

#[test]
fn a_terminal_gives_its_lines_one_by_one_and_none_is_left() {
    let socat = Command::new("socat")
        .args([
            "-",
            &format!("EXEC:{} --async,pty,setsid,ctty,echo=0,opost=0", program().display()),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut socat) = socat else { return println!("not tested: socat is not installed") };
    let (mut to, mut from) = (socat.stdin.take().unwrap(), socat.stdout.take().unwrap());
    to.write_all(b"one\ntwo\nthree\n").unwrap();
    let mut answer = [0; 14];
    from.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ONE\nTWO\nTHREE\n");
    drop((to, from));
    socat.kill().unwrap();
    socat.wait().unwrap();
}

/// `cargo test` builds the examples into a folder beside that of the tests.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join("stdio");
    assert!(program.exists(), "run `cargo build --examples` first: no {}", program.display());
    program
}

fn example(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments);
    command
}
