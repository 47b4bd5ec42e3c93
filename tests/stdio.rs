//! Standard input and output as a connection: through pipes, from and to files, with a terminal.

#![cfg(feature = "conformance")]
#![allow(clippy::unwrap_used)] // A test that finds no value shall fail.

#[path = "kit/examples.rs"]
mod examples;

#[path = "kit/paths.rs"]
mod paths;
#[path = "kit/peers.rs"]
mod peers;

use futures_util::{AsyncReadExt, AsyncWriteExt, StreamExt};
use paths::path;
use ropewalk::transport::{ConnectionDone, ConnectionLost};
use ropewalk::{
    Address, ClientEndpoint, Failure, Protocol, Reactor, Result, ServerEndpoint, Stream, Transport,
};
use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{Read, Write, pipe};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
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
fn a_device_stays_as_it_was_for_its_other_holders() {
    let device = || File::options().read(true).write(true).open("/dev/zero").unwrap();
    let (input, output) = (device(), device());
    let kept = input.try_clone().unwrap();
    let flags = || fs::read_to_string(format!("/proc/self/fdinfo/{}", kept.as_raw_fd()));
    let flags = || flags().map(|text| text.lines().nth(1).map(str::to_owned));
    let Ok(before) = flags() else {
        return println!("not tested: this system does not show a descriptor's flags");
    };
    let reactor = Reactor::new().unwrap();
    let stream = reactor.open_pipes(input, output).unwrap();
    assert_eq!(flags().unwrap(), before);
    drop(stream);
    reactor.run_until(async { Ok(()) }).unwrap();
    assert_eq!(flags().unwrap(), before);
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
fn a_program_with_endless_input_ends_when_the_reader_of_its_output_does() {
    for arguments in [&[][..], &["--async"]] {
        let mut child = example(arguments)
            .stdin(File::open("/dev/zero").unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut some = [0; 1000];
        let mut from = child.stdout.take().unwrap();
        from.read_exact(&mut some).unwrap();
        drop(from);
        assert!(!child.wait().unwrap().success(), "{arguments:?}");
    }
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
    peers::noted("socat", socat.is_ok());
    let Ok(mut socat) = socat else { return };
    let (mut to, mut from) = (socat.stdin.take().unwrap(), socat.stdout.take().unwrap());
    to.write_all(b"one\ntwo\nthree\n").unwrap();
    let mut answer = [0; 14];
    from.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ONE\nTWO\nTHREE\n");
    drop((to, from));
    socat.kill().unwrap();
    socat.wait().unwrap();
}

fn program() -> PathBuf {
    examples::example("stdio")
}

fn example(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments);
    command
}

/// What says to a process that it is the one that a test made of itself, and for what.
const ALONE: &str = "ROPEWALK_STDIO_TEST";

/// This test's own program, to run one test of it in a process of its own.
fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(ALONE, test);
    command
}

fn is_again(test: &str) -> bool {
    std::env::var_os(ALONE).is_some_and(|wanted| wanted == test)
}

#[test]
fn the_end_of_the_writing_half_is_the_end_of_standard_output() {
    const NAME: &str = "the_end_of_the_writing_half_is_the_end_of_standard_output";
    if is_again(NAME) {
        return echo_the_end();
    }
    for face in ["protocol", "stream"] {
        for is_socket in [false, true] {
            let mut command = again(NAME);
            let (mut to, mut from) = between(&mut command, is_socket);
            let mut child = command.env("FACE", face).spawn().unwrap();
            drop(command);
            let mut all = String::new();
            // Until the end, which comes though the child lives and listens.
            from.read_to_string(&mut all).unwrap();
            assert!(all.ends_with("all I have"), "{face}: {all}");
            to.write_all(b"and you?").unwrap();
            drop((to, from));
            assert!(child.wait().unwrap().success(), "{face}");
        }
    }
}

/// In code, and as a description.
const WAYS: [&str; 2] = ["code", "text"];

#[test]
fn each_verb_has_standard_input_and_output_for_its_connection() {
    const NAME: &str = "each_verb_has_standard_input_and_output_for_its_connection";
    if is_again(NAME) {
        return echo_by_a_verb();
    }
    let header = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n";
    for way in WAYS {
        for verb in ["listen", "serve", "accept", "connect", "open"] {
            let is_server = !["connect", "open"].contains(&verb);
            for is_behind in [false, true].into_iter().take(1 + usize::from(is_server)) {
                let mut command = again(NAME);
                let (mut to, mut from) = between(&mut command, false);
                command.env("VERB", verb).env("WAY", way);
                command.env("BEHIND", if is_behind { "yes" } else { "no" });
                let mut child = command.spawn().unwrap();
                drop(command);
                let (before, peer) =
                    if is_behind { (header, "192.0.2.7:1234") } else { ("", "stdio") };
                write!(to, "{before}rope").unwrap();
                drop(to);
                let mut all = String::new();
                from.read_to_string(&mut all).unwrap();
                let case = format!("{verb}, {way}, {is_behind}: {all}");
                assert!(all.contains(&format!("{peer} said rope, and that was all")), "{case}");
                assert!(child.wait().unwrap().success(), "{case}");
            }
        }
    }
}

/// Says what it heard when that is all.
struct Quoting(Vec<u8>);

impl Protocol for Quoting {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        transport.write(quoted(&transport.peer(), &self.0));
        transport.lose_connection();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        assert!(reason.is::<ConnectionDone>(), "{reason}");
        let reactor = Reactor::current().expect("a callback is part of a turn");
        let _ = reactor.stop();
    }
}

fn quoted(peer: &Address, said: &[u8]) -> String {
    format!("{peer} said {}, and that was all", said.escape_ascii())
}

async fn quote(mut stream: Stream) -> Result {
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await?;
    stream.write_all(quoted(&stream.peer(), &said).as_bytes()).await?;
    stream.close().await?;
    stream.reactor().stop()
}

/// In the child: speaks through standard input and output by the verb that it is told.
fn echo_by_a_verb() {
    let told = |name| std::env::var(name).unwrap();
    let (in_code, is_behind) = (told("WAY") == "code", told("BEHIND") == "yes");
    let at = match (in_code, is_behind) {
        (true, true) => ServerEndpoint::stdio().behind_proxy(),
        (true, false) => ServerEndpoint::stdio(),
        (false, true) => "haproxy:stdio:".into(),
        (false, false) => "stdio:".into(),
    };
    let to = if in_code { ClientEndpoint::stdio() } else { "stdio:".into() };
    let reactor = Reactor::new().unwrap();
    let build = |_: &Address| Quoting(Vec::new());
    match told("VERB").as_str() {
        "listen" => drop(reactor.listen(at, build).unwrap()),
        "serve" => drop(reactor.serve(at, quote).unwrap()),
        "accept" => {
            let mut listener = reactor.accept(at).unwrap();
            drop(reactor.spawn(async move { quote(listener.next().await.unwrap()).await }));
        }
        "connect" => drop(reactor.connect(to, build)),
        _ => {
            let opening = reactor.open(to);
            drop(reactor.spawn(async move { quote(opening.await?).await }));
        }
    }
    reactor.run().unwrap();
}

/// Gives a command standard input and output, and returns their other ends.
fn between(command: &mut Command, is_socket: bool) -> (Box<dyn Write>, Box<dyn Read>) {
    if is_socket {
        let (here, there) = UnixStream::pair().unwrap();
        let there = OwnedFd::from(there);
        command.stdin(there.try_clone().unwrap()).stdout(there);
        return (Box::new(here.try_clone().unwrap()), Box::new(here));
    }
    let ((input, to), (from, output)) = (pipe().unwrap(), pipe().unwrap());
    command.stdin(input).stdout(output);
    (Box::new(to), Box::new(from))
}

/// In the child: ends its output first, and listens until its input ends.
fn echo_the_end() {
    let reactor = Reactor::new().unwrap();
    if std::env::var("FACE").unwrap() == "protocol" {
        let (protocol, heard) = echo(b"");
        let transport = reactor.connect_stdio(protocol).unwrap();
        transport.write(b"all I have");
        transport.lose_write_connection();
        assert!(run_until_lost(&reactor, &heard).is::<ConnectionDone>());
        return assert_eq!(*heard.bytes.borrow(), b"and you?");
    }
    let mut stream = reactor.open_stdio().unwrap();
    let heard = reactor.run_until(async move {
        stream.write_all(b"all I have").await?;
        stream.close().await?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        Ok(heard)
    });
    assert_eq!(heard.unwrap(), "and you?");
}

/// Standard input and output as the server's end, pipes as the client's.
#[cfg(target_os = "linux")]
mod promises {
    use super::*;
    use ropewalk::conformance::{self, Harness};
    use ropewalk::{Deferred, fail, succeed};
    use rustix::stdio::{dup2_stdin, dup2_stdout};

    struct Standard {
        is_socket: bool,
    }

    impl Standard {
        /// Has `open` take standard input and output while they are something else; gives what it
        /// returns and the other ends.
        fn between<T>(&self, open: impl FnOnce() -> Result<T>) -> Result<(T, OwnedFd, OwnedFd)> {
            let ((there, to), (from, back)) = match self.is_socket {
                false => {
                    let ((there, to), (from, back)) = (pipe()?, pipe()?);
                    ((OwnedFd::from(there), OwnedFd::from(to)), (from.into(), back.into()))
                }
                true => {
                    let (here, there) = UnixStream::pair()?;
                    let (here, there) = (OwnedFd::from(here), OwnedFd::from(there));
                    ((there.try_clone()?, here.try_clone()?), (here, there))
                }
            };
            dup2_stdin(there)?;
            dup2_stdout(back)?;
            let opened = open();
            // As the end of the process would: else nobody hears an end but that of a half.
            let nothing = File::options().read(true).write(true).open("/dev/null")?;
            dup2_stdin(&nothing)?;
            dup2_stdout(&nothing)?;
            Ok((opened?, from, to))
        }
    }

    impl Harness for Standard {
        fn protocols(
            &self,
            reactor: &Reactor,
            server: Box<dyn Protocol>,
            client: Box<dyn Protocol>,
        ) -> Deferred<()> {
            let connected = self.between(|| reactor.connect_stdio(server));
            let connected = connected.and_then(|(_, from, to)| {
                reactor.connect_pipes(from, to, client)?;
                Ok(())
            });
            connected.map_or_else(|failure: Failure| fail(failure), succeed)
        }

        fn streams(&self, reactor: &Reactor) -> Deferred<(Stream, Stream)> {
            let opened = self.between(|| reactor.open_stdio());
            let opened =
                opened.and_then(|(server, from, to)| Ok((server, reactor.open_pipes(from, to)?)));
            opened.map_or_else(|failure: Failure| fail(failure), succeed)
        }

        fn resets(&self) -> bool {
            false
        }
    }

    #[test]
    fn standard_input_and_output_keep_every_promise() {
        const NAME: &str = "promises::standard_input_and_output_keep_every_promise";
        if !is_again(NAME) {
            let output = again(NAME).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            return assert!(output.status.success() && text.contains("all kept"), "{text}");
        }
        // One check fails on purpose, and that is all that may be reported.
        ropewalk::on_report(|report| assert_eq!(report.failure().to_string(), "on purpose"));
        for is_socket in [false, true] {
            if let Err(failure) = conformance::run(&Standard { is_socket }) {
                panic!("of sockets ({is_socket}): {failure}");
            }
        }
        eprintln!("all kept");
    }
}
