//! The life of a program: from its options to its status.
//!
//! ```text
//!            1 begun            2 ready           3 SIGTERM, or its services are over
//!   options ────────► starting ────────► running ─────────────────────────────► stopping ──► status
//!      │ a step fails     │ a service fails  │ ▲                                  ▲ │ 5 a second signal
//!      └──────────────────┴───────► status   └─┘ SIGHUP, SIGUSR1                  │ └──────────► status
//!                                            │ 4 SIGUSR2, and a successor is ready │
//!                                            └─────────────────────────────────────┘
//! ```
//! What happens comes in one queue: a signal that arrives while something else is under way waits for
//! nobody else's answer.

use super::daemon::{self, Start};
use super::logs::Logs;
use super::maker::Make;
use super::notify::Notify;
use super::options::{ProcessSettings, Settings};
use super::pid_file::PidFile;
use super::privileges::{Identity, change_root};
use super::serving::{Event, Events, Serving, put};
use super::status::{StartError, Status};
use crate::application::Application;
use crate::application::log::Logger;
use crate::driver::{inherited_names, take_inherited};
use crate::failure::{Failure, Result};
use crate::reactor::{Reactor, Signal};
use crate::service::{Drain, Running};
use futures_util::future::{Either, select};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

pub(super) const LOG: Logger = Logger::new("runner");

pub(super) struct Program {
    /// With its command.
    pub(super) name: String,
    pub(super) file_name: &'static str,
    pub(super) arguments: Vec<OsString>,
    pub(super) settings: Settings,
    pub(super) make: Make,
    /// Reads the settings again.
    pub(super) again: Rc<dyn Fn() -> Result<Settings, StartError>>,
}

/// What a program has while it runs, in the order in which it is let go of.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) arguments: Vec<OsString>,
    pub(super) settings: Settings,
    pub(super) again: Rc<dyn Fn() -> Result<Settings, StartError>>,
    pub(super) notify: Notify,
    identity: Option<Identity>,
    pub(super) pid_file: Option<PidFile>,
    pub(super) logs: Logs,
}

/// The status of a program that ends.
pub(super) fn run(program: Program) -> ExitCode {
    let (name, arguments) = (program.file_name, program.arguments.clone());
    let start = match Start::find() {
        Ok(start) => start,
        Err(error) => return super::fail(name, Status::Failed, error),
    };
    if program.settings.process.daemonize && matches!(start, Start::Ordinary) {
        return match daemon::detach(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err((status, why)) => {
                super::fail(name, Status::Failed, why);
                ExitCode::from(status)
            }
        };
    }
    match begin(program, start) {
        Ok(status) => ExitCode::from(status.map_or(0, Status::code)),
        Err(error) => super::fail(name, error.status(), error),
    }
}

/// 1. Whoever waits for this process hears of a step that fails, when all is taken back that was begun.
fn begin(program: Program, start: Start) -> Result<Option<Status>, StartError> {
    let mut start = Some(start);
    let outcome = match prepare(program, start.as_ref()) {
        Ok((application, kept, reactor)) => {
            let lived = live(application, Rc::new(kept), reactor.clone(), &mut start);
            let lived = reactor.run_until(lived);
            lived.unwrap_or_else(|failure| Err(StartError::of_failure(&failure, Status::Failed)))
        }
        Err(error) => Err(error),
    };
    if let (Err(error), Some(start)) = (&outcome, start) {
        start.tell(&Err(error.clone()));
    }
    outcome
}

fn prepare(
    program: Program,
    start: Option<&Start>,
) -> Result<(Application, Kept, Reactor), StartError> {
    let Program { name, file_name, arguments, settings, make, again } = program;
    let notify = Notify::from_environment();
    let process = &settings.process;
    // Whoever takes another's place is where that one was, and is who that one became.
    let identity = match start.is_some_and(Start::is_successor) {
        true => None,
        false => {
            settle(process, start.is_some_and(Start::is_daemon))?;
            Identity::find(process)?
        }
    };
    let pid_file = process.pid_file.as_deref();
    let pid_file = pid_file.map(|path| PidFile::take(path, file_name)).transpose()?;
    let logs = Logs::open(&settings.log, process.daemonize, file_name, identity.as_ref())?;
    let application = make().inspect_err(|error| say(&logs, error))?;
    let reactor =
        Reactor::new().map_err(|failure| StartError::of_failure(&failure, Status::Failed))?;
    let kept = Kept { name, arguments, settings, again, notify, identity, pid_file, logs };
    Ok((application, kept, reactor))
}

/// Where the process is, and what its files are like.
fn settle(process: &ProcessSettings, is_daemon: bool) -> Result<(), StartError> {
    if let Some(mask) = process.umask.or(is_daemon.then_some(0o077)) {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
    }
    let Some(directory) = &process.directory else { return Ok(()) };
    std::env::set_current_dir(directory).map_err(|error| {
        StartError::of_configuration(format_args!("cannot go to {}", directory.display()), &error)
    })
}

/// In the log, if that is not where the caller says it anyway.
fn say(logs: &Logs, error: &StartError) {
    if !logs.is_on_screen() {
        LOG.critical(error);
    }
}

/// 2, and what follows until the end.
async fn live(
    application: Application,
    kept: Rc<Kept>,
    reactor: Reactor,
    start: &mut Option<Start>,
) -> Result<Result<Option<Status>, StartError>> {
    let events = Events::new();
    watch_signals(&reactor, &events)?;
    let drain = kept.settings.drain.map_or(application.drain, drain_within);
    let launch = application.drain(drain).on(&reactor);
    let up = launch.running().clone();
    let is_successor = start.as_ref().is_some_and(Start::is_successor);
    if let Err(error) = start_services(&up, &kept, &events, is_successor).await {
        say(&kept.logs, &error);
        return Ok(Err(error));
    }
    close_unused();
    kept.notify.send(&format!("READY=1\nSTATUS={} is ready", kept.name));
    store_ports(&kept.notify, &reactor);
    let watchdog = kept.notify.watchdog_period().map(|period| feed(&reactor, &kept, period));
    LOG.info(format_args!("{} is ready", kept.name));
    if let Some(start) = start.take() {
        start.tell(&Ok(()));
    }
    // The console is opened here, and shards begin: the services are ready, and nothing is root's any more.
    let status = Serving::new(up, kept, reactor, events, drain).serve().await;
    drop(watchdog);
    Ok(Ok(status))
}

fn watch_signals(reactor: &Reactor, events: &Events) -> Result {
    for signal in [Signal::Term, Signal::Int, Signal::Hup, Signal::Usr1, Signal::Usr2] {
        let events = events.clone();
        reactor.on_signal(signal, move || put(&events, Event::Signal(signal)))?;
    }
    Ok(())
}

async fn start_services(
    up: &Running,
    kept: &Kept,
    events: &Events,
    is_successor: bool,
) -> Result<(), StartError> {
    let starting = std::pin::pin!(start_in_order(up, kept, is_successor));
    let outcome = match select(starting, std::pin::pin!(stop_signal(events))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right((signal, _)) => {
            let status = Status::of_signal(signal);
            Err(StartError::new(status, format_args!("{signal} came before it was ready")))
        }
    };
    if outcome.is_err() {
        // What is open and has no part in the failure: who is late is not waited for, and named.
        if let Err(late) = up.stop_service().await {
            LOG.failure("not everything ended", &late);
        }
    }
    outcome
}

async fn start_in_order(up: &Running, kept: &Kept, is_successor: bool) -> Result<(), StartError> {
    let failed = |failure: Failure| StartError::of_failure(&failure, Status::Failed);
    up.privileged_start_service().await.map_err(failed)?;
    if !is_successor {
        if let Some(root) = &kept.settings.process.root {
            change_root(root)?;
        }
        if let Some(identity) = &kept.identity {
            identity.assume()?;
        }
    }
    up.start_service().await.map_err(failed)
}

async fn stop_signal(events: &Events) -> Signal {
    loop {
        match events.get().await {
            Ok(Event::Signal(signal @ (Signal::Term | Signal::Int))) => return signal,
            Ok(_) => {}
            // The queue is ours, and is never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Sockets that this process was given and that nobody listens at would keep who connects there waiting.
fn close_unused() {
    for name in inherited_names() {
        LOG.warn(format_args!("nobody listens at {name}, which was handed over: closing it"));
        // What cannot be taken is nothing that could be closed.
        drop(take_inherited(&name));
    }
}

fn store_ports(notify: &Notify, reactor: &Reactor) {
    for (name, port) in reactor.open_ports() {
        if let Ok(descriptor) = port.try_clone_descriptor() {
            notify.store(&name, descriptor.as_fd());
        }
    }
}

/// Tells the manager, for as long as the loop turns, that it does.
fn feed(reactor: &Reactor, kept: &Rc<Kept>, period: Duration) -> crate::Deferred<()> {
    let (mut ticks, kept) = (reactor.interval(period), kept.clone());
    reactor.spawn(async move {
        loop {
            ticks.tick().await;
            kept.notify.send("WATCHDOG=1");
        }
    })
}

/// The parts of a stop that may take so long in all.
fn drain_within(total: Duration) -> Drain {
    let usual = Drain::default();
    let (connections, service) = (usual.connections.min(total), usual.service.min(total));
    Drain { connections, service, total, ..usual }
}
