//! The program `ropewalk`, started and watched.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What does not happen within this time will not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where to listen: the system chooses the port.
pub(crate) const ANY: &str = "tcp:0:interface=127.0.0.1";

/// A fresh folder that others may look into, gone with this value.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ropewalk-runner-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// As an argument.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ropewalk"))
}

pub(crate) fn ropewalk(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs it to its end, which comes by itself.
pub(crate) fn run(arguments: &[&str]) -> Output {
    ropewalk(arguments).output().unwrap()
}

/// Its status and what it said on standard error.
pub(crate) fn said(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

/// One that runs, with its log on standard error.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
    seen: String,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Running {
        Running::of(ropewalk(arguments))
    }

    pub(crate) fn of(mut command: Command) -> Running {
        command.stdout(Stdio::null());
        Running::begin(command)
    }

    /// As `of`, with a pipe for what it prints.
    pub(crate) fn with_output(mut command: Command) -> Running {
        command.stdout(Stdio::piped());
        Running::begin(command)
    }

    fn begin(mut command: Command) -> Running {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Running { child, lines, seen: String::new() }
    }

    /// The next line that has this in it.
    #[track_caller]
    pub(crate) fn line(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no line has {text:?}:\n{}", self.seen),
            }
        }
    }

    /// Where it listens, once it is ready.
    #[track_caller]
    pub(crate) fn ready(&mut self) -> SocketAddr {
        let line = self.line("listening at ");
        let at = line.rsplit_once("listening at ").unwrap().1.parse().unwrap();
        self.line("is ready");
        at
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        send(self.pid(), signal);
    }

    #[track_caller]
    pub(crate) fn status(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.seen);
            std::thread::yield_now();
        }
    }

    /// Stops it in order.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.status().code(), Some(0), "{}", self.seen);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Until something has happened that no pipe tells of.
#[track_caller]
pub(crate) fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// Says something and gives what comes back until the end.
pub(crate) fn exchange(at: SocketAddr, text: &str) -> std::io::Result<String> {
    let mut client = TcpStream::connect(at)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.write_all(text.as_bytes())?;
    client.shutdown(std::net::Shutdown::Write)?;
    let mut heard = String::new();
    client.read_to_string(&mut heard)?;
    Ok(heard)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a process runs. One that has ended and that nobody has asked for yet does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A line of a process' status, as `Uid:`.
pub(crate) fn status_of(pid: u32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}
