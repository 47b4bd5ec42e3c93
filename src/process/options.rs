//! What to start, and with which descriptors.

use super::SpawnError;
use crate::address::Address;
use crate::driver::{HANDED_OVER, OWN_VARIABLES, Pipes, escape_name};
use crate::reactor::Reactor;
use command_fds::{CommandFdExt, FdMapping};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program to start, its arguments, and what it is given.
///
/// Its standard input, output and error are pipes unless told otherwise.
///
/// ```
/// use ropewalk::process::ProcessOptions;
///
/// let options = ProcessOptions::new("sh").args(["-c", "echo $GREETING"]).env("GREETING", "hello");
/// let reactor = ropewalk::Reactor::new()?;
/// assert_eq!(reactor.run_until(reactor.process_output(options))?, b"hello\n");
/// # Ok::<(), ropewalk::Failure>(())
/// ```
///
/// Everything that a child inherits can be said:
///
/// ```
/// use ropewalk::{Reactor, process::ProcessOptions};
///
/// let options = ProcessOptions::new("/bin/sh")
///     .arg("-c")
///     .arg("pwd; tr a-z A-Z <<end\n$WORD$SECRET\nend")
///     .current_dir("/")
///     .env_clear()
///     .env("PATH", "/bin:/usr/bin")
///     .env("WORD", "rope")
///     .env("SECRET", "hidden")
///     .env_remove("SECRET")
///     .most_output(1024);
/// let reactor = Reactor::new()?;
/// assert_eq!(reactor.run_until(reactor.process_output(options))?, b"/\nROPE\n");
///
/// // As another user, which root may, and on a terminal of 24 rows.
/// let as_nobody = ProcessOptions::new("top").uid(65534).gid(65534).terminal(24, 80);
/// # drop(as_nobody);
/// # Ok::<(), ropewalk::Failure>(())
/// ```
#[doc(alias = "Command")]
#[derive(Debug)]
pub struct ProcessOptions {
    command: Command,
    descriptors: BTreeMap<i32, ChildDescriptor>,
    /// Names, escaped, and numbers.
    handed_over: Vec<String>,
    /// Rows and columns.
    terminal: Option<(u16, u16)>,
    pub(super) most_output: usize,
}

/// What a descriptor of a child is.
#[derive(Debug)]
pub enum ChildDescriptor {
    /// A pipe that is written to here.
    Write,
    /// A pipe that is read from here.
    Read,
    /// A descriptor of this process.
    Share(OwnedFd),
    /// The null device.
    Null,
}

/// A child that was started, and this end of its pipes.
pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) program: Box<str>,
    pub(super) pipes: BTreeMap<i32, End>,
    pub(super) is_terminal: bool,
}

/// This end of a child's descriptor: what is read here, what is written here.
#[derive(Default)]
pub(super) struct End {
    pub(super) input: Option<OwnedFd>,
    pub(super) output: Option<OwnedFd>,
    /// Both are the master of the child's terminal.
    pub(super) is_terminal: bool,
}

impl End {
    /// Nobody else has this end open.
    pub(super) fn into_pipes(self, name: Address) -> Pipes {
        let End { input, output, .. } = self;
        Pipes { input, output, name, is_shared: false, is_standard: false }
    }
}

/// 64 MiB.
const MOST_OUTPUT: usize = 64 * 1024 * 1024;

impl ProcessOptions {
    /// Names the program: a path, or a name to look for in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> ProcessOptions {
        Command::new(program).into()
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> ProcessOptions {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(
        mut self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> ProcessOptions {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the child's environment, which is otherwise this process' own but for what was
    /// meant for this process alone: `ROPEWALK_FDS` and systemd's `LISTEN_FDS`, `LISTEN_FDNAMES`,
    /// `LISTEN_PID`, `NOTIFY_SOCKET`, `WATCHDOG_PID` and `WATCHDOG_USEC`.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> ProcessOptions {
        self.command.env(name, value);
        self
    }

    /// Leaves a variable out.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> ProcessOptions {
        self.command.env_remove(name);
        self
    }

    /// Begins with an empty environment.
    #[must_use]
    pub fn env_clear(mut self) -> ProcessOptions {
        self.command.env_clear();
        self
    }

    /// Sets the directory that the child starts in.
    #[must_use]
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> ProcessOptions {
        self.command.current_dir(directory);
        self
    }

    /// Sets the user that the child runs as.
    #[must_use]
    pub fn uid(mut self, user: u32) -> ProcessOptions {
        self.command.uid(user);
        self
    }

    /// Sets the group that the child runs as.
    #[must_use]
    pub fn gid(mut self, group: u32) -> ProcessOptions {
        self.command.gid(group);
        self
    }

    /// Says what one of the child's descriptors is.
    ///
    /// ```
    /// use ropewalk::process::{ChildDescriptor, ProcessOptions};
    ///
    /// let options = ProcessOptions::new("sh")
    ///     .args(["-c", "echo over there >&3"])
    ///     .descriptor(3, ChildDescriptor::Read);
    /// # drop(options);
    /// ```
    #[doc(alias = "childFDs")]
    #[must_use]
    pub fn descriptor(mut self, number: i32, is: ChildDescriptor) -> ProcessOptions {
        self.descriptors.insert(number, is);
        self
    }

    /// Gives the child a descriptor that it finds by a name: a listening socket, say, of
    /// [`Reactor::open_ports`], whose endpoint the child listens at by taking this socket.
    ///
    /// It has the number after the highest that was mentioned, and its name and number stand in the child's
    /// environment, in `ROPEWALK_FDS`; [`take_inherited`](crate::driver::take_inherited) reads that.
    ///
    /// ```
    /// use ropewalk::process::ProcessOptions;
    ///
    /// let file = std::fs::File::open("/dev/null")?;
    /// let options = ProcessOptions::new("sh")
    ///     .args(["-c", "echo $ROPEWALK_FDS"])
    ///     .hand_over("web", file.into());
    /// let reactor = ropewalk::Reactor::new()?;
    /// assert_eq!(reactor.run_until(reactor.process_output(options))?, b"web:3\n");
    /// # Ok::<(), ropewalk::Failure>(())
    /// ```
    #[must_use]
    pub fn hand_over(mut self, name: &str, descriptor: OwnedFd) -> ProcessOptions {
        let highest = self.descriptors.keys().next_back().copied().unwrap_or(0);
        let number = highest.max(2) + 1;
        self.handed_over.push(format!("{}:{number}", escape_name(name)));
        let all = self.handed_over.join(",");
        self.env(HANDED_OVER, all).descriptor(number, ChildDescriptor::Share(descriptor))
    }

    /// Gives the child a terminal of its own, of so many rows and columns, in place of its first
    /// three descriptors.
    #[doc(alias = "usePTY")]
    #[must_use]
    pub fn terminal(mut self, rows: u16, columns: u16) -> ProcessOptions {
        self.terminal = Some((rows, columns));
        self
    }

    /// How many bytes are collected for those who ask for the whole output, 64 MiB by default; a child
    /// that writes more is killed.
    #[must_use]
    pub fn most_output(mut self, bytes: usize) -> ProcessOptions {
        self.most_output = bytes;
        self
    }

    /// As [`descriptor`](ProcessOptions::descriptor), if nothing was said of it.
    pub(super) fn unless_said(mut self, number: i32, is: ChildDescriptor) -> ProcessOptions {
        self.descriptors.entry(number).or_insert(is);
        self
    }

    pub(super) fn spawn(self, reactor: &Reactor) -> Result<Spawned, SpawnError> {
        let program = self.program();
        let possible = reactor.inner().driver.check_processes();
        let started = possible.and_then(|()| self.start(program.clone()));
        started.map_err(|cause| SpawnError { program, cause })
    }

    /// The program as messages name it.
    pub(super) fn program(&self) -> Box<str> {
        let program = self.command.get_program().to_string_lossy();
        match self.command.get_current_dir() {
            Some(directory) => format!("{program} in {}", directory.display()).into(),
            None => program.into(),
        }
    }

    fn start(mut self, program: Box<str>) -> io::Result<Spawned> {
        if self.terminal.is_none() {
            for (number, is) in [
                (0, ChildDescriptor::Write),
                (1, ChildDescriptor::Read),
                (2, ChildDescriptor::Read),
            ] {
                self = self.unless_said(number, is);
            }
        }
        let (mut pipes, mut theirs) = (BTreeMap::new(), Vec::new());
        for (number, is) in std::mem::take(&mut self.descriptors) {
            let (end, descriptor) = open(is)?;
            theirs.push((number, descriptor));
            if end.input.is_some() || end.output.is_some() {
                pipes.insert(number, end);
            }
        }
        let is_terminal = self.terminal.is_some();
        let child = match self.terminal {
            Some(size) => start_on_terminal(self.command, theirs, size, &mut pipes)?,
            None => start_on_pipes(self.command, theirs)?,
        };
        Ok(Spawned { child, program, pipes, is_terminal })
    }
}

impl From<Command> for ProcessOptions {
    fn from(mut command: Command) -> ProcessOptions {
        let descriptors = BTreeMap::new();
        for name in OWN_VARIABLES {
            if !command.get_envs().any(|(said, _)| said == name) {
                command.env_remove(name);
            }
        }
        let (handed_over, terminal) = (Vec::new(), None);
        ProcessOptions { command, descriptors, handed_over, terminal, most_output: MOST_OUTPUT }
    }
}

impl From<&str> for ProcessOptions {
    fn from(program: &str) -> ProcessOptions {
        ProcessOptions::new(program)
    }
}

/// This end, and the child's.
fn open(is: ChildDescriptor) -> io::Result<(End, OwnedFd)> {
    Ok(match is {
        ChildDescriptor::Write => {
            let (theirs, ours) = pipe()?;
            (End { output: Some(ours.into()), ..End::default() }, theirs.into())
        }
        ChildDescriptor::Read => {
            let (ours, theirs) = pipe()?;
            (End { input: Some(ours.into()), ..End::default() }, theirs.into())
        }
        ChildDescriptor::Share(descriptor) => (End::default(), descriptor),
        ChildDescriptor::Null => {
            let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
            (End::default(), null.into())
        }
    })
}

fn start_on_pipes(mut command: Command, theirs: Vec<(i32, OwnedFd)>) -> io::Result<Child> {
    let mut others = Vec::new();
    for (number, descriptor) in theirs {
        match number {
            0 => drop(command.stdin(Stdio::from(descriptor))),
            1 => drop(command.stdout(Stdio::from(descriptor))),
            2 => drop(command.stderr(Stdio::from(descriptor))),
            _ => others.push(FdMapping { parent_fd: descriptor, child_fd: number }),
        }
    }
    map_others(&mut command, others)?;
    command.spawn()
}

fn start_on_terminal(
    mut command: Command,
    theirs: Vec<(i32, OwnedFd)>,
    (rows, columns): (u16, u16),
    pipes: &mut BTreeMap<i32, End>,
) -> io::Result<Child> {
    if !theirs.is_empty() {
        let why = "a terminal takes the place of other descriptors: ask for one or the other";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let (ours, slave) = pty_process::blocking::open().map_err(io::Error::other)?;
    ours.resize(pty_process::Size::new(rows, columns)).map_err(io::Error::other)?;
    command.env_remove("LINES").env_remove("COLUMNS");
    let command = pty_process::blocking::Command::from(command);
    let child = command.spawn(slave).map_err(|error| match error {
        pty_process::Error::Io(error) => error,
        other => io::Error::other(other),
    })?;
    let ours = OwnedFd::from(ours);
    let output = Some(ours.as_fd().try_clone_to_owned()?);
    pipes.insert(1, End { input: Some(ours), output, is_terminal: true });
    Ok(child)
}

fn map_others(command: &mut Command, others: Vec<FdMapping>) -> io::Result<()> {
    if let Some(mapping) = others.iter().find(|mapping| mapping.child_fd < 0) {
        let why = format!("{} is no descriptor", mapping.child_fd);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    if !others.is_empty() {
        // Each number is there once: they were the keys of a map.
        command.fd_mappings(others).map_err(io::Error::other)?;
    }
    Ok(())
}
