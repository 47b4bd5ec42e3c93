//! Running a program of services: options, logs, signals, the background, another user, systemd, and a
//! restart that loses no connection (feature `runner`, on Linux).
//!
//! ```no_run
//! use bpaf::{Parser, long};
//! use ropewalk::application::runner::{Runner, ServiceMaker};
//! use ropewalk::prelude::*;
//! use ropewalk::service::{Running, service};
//! use std::process::ExitCode;
//!
//! fn greet() -> ServiceMaker {
//!     let port = long("port").short('p').help("Listen here").argument::<ServerEndpoint>("ENDPOINT");
//!     ServiceMaker::new("greet", "Greets whoever connects", port, |port| {
//!         Ok(service("greet", async move |up: Running| {
//!             up.serve(&port, async |mut stream| Ok(stream.write_all(b"hello\r\n").await?))?;
//!             up.ready();
//!             Ok(up.stopping().await)
//!         }))
//!     })
//! }
//! fn main() -> ExitCode {
//!     Runner::new("mytool").command(greet()).main() // mytool --logfile mytool.log greet -p tcp:8000
//! }
//! ```
//!
//! A program that is one application says [`Application::run`]. Plugins are values: a crate gives a
//! [`ServiceMaker`], and who wants it adds it. The program `ropewalk` is a runner with the commands of
//! [`application::commands`](crate::application::commands).
//!
//! # Order
//! options → umask → working directory → pid file → log → what needs privileges (ports below 1024) → another
//! root → another user, for good → services, one after the other → ready. A step that fails is one line on
//! standard error and a [`Status`]; what was begun before it is taken back.
//!
//! # Signals
//! | signal | does |
//! |---|---|
//! | SIGTERM, SIGINT | services drain and stop; a second one cuts short what is left |
//! | SIGHUP | services read their configuration again, `--config` its log level; what cannot be read changes nothing |
//! | SIGUSR1 | log files are opened anew |
//! | SIGUSR2 | the program is started again with all that it listens at, and this one drains when that one is ready |
//!
//! # Status
//! | status | says |
//! |---:|---|
//! | 0 | it ended in order |
//! | 1 | something failed: a port in use, a service that ended |
//! | 64 | it was called in a way that it does not know |
//! | 77 | it may not do what it is to do |
//! | 78 | what it was configured by cannot be used |
//! | 128 + n | signal n ended it before everything was done |
//!
//! # Restart in place
//! The file of the program is started, by the name that this process was started by, with the same arguments.
//! It is handed the listening sockets under the names of their endpoints
//! ([`Reactor::open_ports`](crate::Reactor::open_ports)), and takes them instead of new ones. Both accept until
//! the new one is ready; then the old one drains. If the new one is not ready within 60 s, or ends, the old
//! one goes on as before. Datagram sockets are not handed over: a program that has one at a fixed port cannot
//! be replaced so.
//!
//! # systemd
//! `--unit` prints a unit. It is told `READY=1`, `RELOADING=1`, `STOPPING=1`, `MAINPID=` at a restart in
//! place and, where it asks, `WATCHDOG=1` at half the time, from the loop itself; it is given the listening
//! sockets to keep (`FDSTORE=1`), and finds them at the next start. Sockets of socket units are listened at by
//! their names: `systemd:INET:name=web`.
//!
//! # What differs from twistd
//! | twistd | here |
//! |---|---|
//! | goes into the background unless `-n` | stays in the foreground unless `--daemonize` |
//! | ends by the signal that stopped it, status 143 | 0 after an orderly end; 128 + n if it was cut short |
//! | waits for services without limit, and a second SIGTERM changes nothing | waits for `--drain` seconds; the second waits for nobody |
//! | `twistd.pid` unless told otherwise, stale if no such process runs | none unless told; stale if nobody has it locked |
//! | one whose start failed is told to the first 100 bytes | the whole line, and the status |
//! | SIGUSR1 turns the log over | SIGUSR1 opens it anew |
//! | the root changes before ports are opened, and names are looked up in it | after, and before |
//! | `.tac` files, plugins found at run time, `--reactor`, `--profile`, `--debug`, `--spew`, `--euid` | none: plugins are values |

// # Theory
// A runner reads options and makes an application of them (`maker.rs`, `options.rs`); the order of its life is
// `run.rs`, where each step is a call into the file that is called after it.
//
// # Not here
// The console and shards: they begin where `run.rs` says that the services are ready.

mod daemon;
mod logs;
mod maker;
mod notify;
mod options;
mod pid_file;
mod privileges;
mod restart;
mod run;
mod serving;
mod status;
mod suggestion;
mod unit;

pub use maker::ServiceMaker;
pub use status::{StartError, Status};

use super::Application;
use bpaf::{Args, OptionParser, ParseFailure, Parser, construct, long, pure};
use maker::{Chosen, Make};
use options::{Settings, read_config, settings};
use run::Program;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

/// A program of commands, each of which runs a service; see [the module](self).
pub struct Runner {
    name: &'static str,
    version: &'static str,
    commands: Vec<ServiceMaker>,
}

impl Runner {
    /// A program of this name, without commands yet.
    pub fn new(name: &'static str) -> Runner {
        Runner { name, version: env!("CARGO_PKG_VERSION"), commands: Vec::new() }
    }

    /// What `--version` says; the version of this crate unless set.
    #[must_use]
    pub fn version(mut self, version: &'static str) -> Runner {
        self.version = version;
        self
    }

    /// Adds a command.
    #[must_use]
    pub fn command(mut self, command: ServiceMaker) -> Runner {
        self.commands.push(command);
        self
    }

    /// Runs the command that the arguments of this process name, and gives the process' status.
    pub fn main(self) -> ExitCode {
        let mut commands = self.commands.into_iter().map(ServiceMaker::into_command);
        let Some(first) = commands.next() else {
            return fail(self.name, Status::Usage, "this program has no command");
        };
        let chosen = commands.fold(first, |all, next| construct!([all, next]).boxed());
        run_parsed(self.name, self.version, chosen)
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commands: Vec<_> = self.commands.iter().map(ServiceMaker::name).collect();
        f.debug_struct("Runner").field("name", &self.name).field("commands", &commands).finish()
    }
}

impl Application {
    /// Runs a program that is this application, with the options, signals and statuses of
    /// [a runner](self), and gives the process' status.
    ///
    /// ```no_run
    /// use ropewalk::application::Application;
    /// use std::process::ExitCode;
    ///
    /// fn main() -> ExitCode {
    ///     Application::new("idle").run()
    /// }
    /// ```
    pub fn run(self) -> ExitCode {
        // Once in a process.
        let name: &'static str = Box::leak(self.name().to_owned().into_boxed_str());
        let application = Rc::new(std::cell::Cell::new(Some(self)));
        let make = move || {
            let application = application.clone();
            let none = || StartError::new(Status::Failed, "it runs already");
            let make: Make = Box::new(move || application.take().ok_or_else(none));
            Chosen { name, make }
        };
        let chosen = pure(()).map(move |()| make());
        run_parsed(name, env!("CARGO_PKG_VERSION"), Box::new(chosen))
    }
}

/// Reads the arguments of this process and does what they say.
fn run_parsed(
    name: &'static str,
    version: &'static str,
    chosen: Box<dyn Parser<Chosen>>,
) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let parser = Rc::new(parser(name, version, chosen));
    let parsed = match parse(&parser, name, &arguments) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let (settings, Chosen { name: command, make }) = parsed;
    if settings.prints_unit {
        return print_unit(name, &arguments, &settings);
    }
    let again: Rc<dyn Fn() -> Result<Settings, StartError>> = {
        let (parser, arguments) = (parser.clone(), arguments.clone());
        Rc::new(move || reread(&parser, name, &arguments))
    };
    let shown = if command == name { name.to_owned() } else { format!("{name} {command}") };
    run::run(Program { name: shown, file_name: name, arguments, settings, make, again })
}

type Parsed = (Settings, Chosen);

fn parser(
    name: &'static str,
    version: &'static str,
    chosen: Box<dyn Parser<Chosen>>,
) -> OptionParser<Parsed> {
    let settings = settings();
    // Read beforehand; here it is for the list of options.
    let completion = long("completion")
        .help("Print a script for a shell: bash, zsh, fish or elvish")
        .argument::<String>("SHELL")
        .optional();
    let config = long("config")
        .help("Read options from a file, one a line, without their dashes")
        .argument::<std::path::PathBuf>("FILE")
        .optional();
    let read_already = construct!(completion, config);
    let all = construct!(read_already, settings, chosen);
    let all = all.map(|(_, settings, chosen)| (settings, chosen));
    all.to_options().version(version).descr(name)
}

fn parse(
    parser: &OptionParser<Parsed>,
    name: &str,
    arguments: &[OsString],
) -> Result<Parsed, ExitCode> {
    if let [option, shell] = arguments
        && option == "--completion"
    {
        return Err(complete(parser, name, &shell.to_string_lossy()));
    }
    let config = match config_of(arguments) {
        Ok(config) => config,
        Err(error) => return Err(fail(name, error.status(), error)),
    };
    let is_configured = !config.is_empty();
    let all: Vec<OsString> = config.into_iter().chain(arguments.iter().cloned()).collect();
    match parser.run_inner(Args::from(&all[..]).set_name(name)) {
        Ok(parsed) => Ok(parsed),
        Err(ParseFailure::Stderr(message)) => {
            let text = message.monochrome(false);
            // What is wrong with the arguments alone is no fault of the file's.
            let alone = is_configured && parser.run_inner(Args::from(arguments)).is_ok();
            let status = if alone { Status::Configuration } else { Status::Usage };
            let text = one_line(&text);
            let hint = hint(parser, name, &all, &text);
            Err(fail(name, status, StartError::new(status, text + &hint)))
        }
        Err(ParseFailure::Stdout(message, is_full)) => Err(print(&message.monochrome(is_full))),
        Err(ParseFailure::Completion(text)) => Err(print(&text)),
    }
}

/// What was meant perhaps, where the message does not say it.
fn hint(parser: &OptionParser<Parsed>, name: &str, arguments: &[OsString], text: &str) -> String {
    let help = [OsString::from("--help")];
    let has_hint = text.contains("did you mean");
    match parser.run_inner(Args::from(&help[..]).set_name(name)) {
        Err(ParseFailure::Stdout(help, _)) if !has_hint => {
            let arguments: Vec<_> =
                arguments.iter().map(|it| it.to_string_lossy().into_owned()).collect();
            let help = help.monochrome(true);
            let meant = suggestion::meant(&arguments, &help);
            meant.map_or(String::new(), |option| format!(" (did you mean `{option}`?)"))
        }
        _ => String::new(),
    }
}

/// What the file of `--config` says, if there is one.
fn config_of(arguments: &[OsString]) -> Result<Vec<OsString>, StartError> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        let path = match text.strip_prefix("--config=") {
            Some(path) => Some(OsString::from(path)),
            None if text == "--config" => rest.next().cloned(),
            None => None,
        };
        if let Some(path) = path {
            return Ok(read_config(path.as_ref())?.into_iter().map(OsString::from).collect());
        }
    }
    Ok(Vec::new())
}

/// The settings as they would be read now.
fn reread(
    parser: &OptionParser<Parsed>,
    name: &str,
    arguments: &[OsString],
) -> Result<Settings, StartError> {
    let config = config_of(arguments)?;
    let all: Vec<OsString> = config.into_iter().chain(arguments.iter().cloned()).collect();
    let parsed = parser.run_inner(Args::from(&all[..]).set_name(name));
    let bad = |failure: ParseFailure| match failure {
        ParseFailure::Stderr(message) => one_line(&message.monochrome(false)),
        _ => "the options ask for a text".to_owned(),
    };
    parsed
        .map(|(settings, _)| settings)
        .map_err(|it| StartError::new(Status::Configuration, bad(it)))
}

fn complete(parser: &OptionParser<Parsed>, name: &str, shell: &str) -> ExitCode {
    if !["bash", "zsh", "fish", "elvish"].contains(&shell) {
        let why =
            format!("there is no completion for {shell:?}, but for bash, zsh, fish and elvish");
        return fail(name, Status::Usage, why);
    }
    let style = [format!("--bpaf-complete-style-{shell}")];
    // It prints the script and ends the process.
    match parser.run_inner(Args::from(&style[..]).set_name(name)) {
        Err(ParseFailure::Completion(text)) => print(&text),
        _ => ExitCode::SUCCESS,
    }
}

/// The lines of a message as one, without the blanks that made it wide.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn print(text: &str) -> ExitCode {
    // Whoever reads it may have gone away.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn print_unit(name: &str, arguments: &[OsString], settings: &Settings) -> ExitCode {
    match daemon::program() {
        Ok(program) => print(&unit::unit(&program, arguments, name, settings)),
        Err(error) => fail(name, Status::Failed, format_args!("cannot find this program: {error}")),
    }
}

/// One line on standard error.
fn fail(name: &str, status: Status, why: impl fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{name}: {why}");
    ExitCode::from(status.code())
}
