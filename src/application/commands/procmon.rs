//! A program that is started anew whenever it ends.
//!
//! The waits are Twisted's ProcessMonitor's: one that ran for a while is started after the least wait, one that
//! ended sooner after twice the last.

use super::log;
use crate::application::log::Logger;
use crate::application::runner::ServiceMaker;
use crate::process::{Process, ProcessOptions, ProcessStreams};
use crate::reactor::Signal;
use crate::service::{Running, service};
use crate::{ReadHalf, Result};
use bpaf::{Parser, construct, long, positional};
use futures_util::future::{Either, join_all, select};
use futures_util::{AsyncBufReadExt, AsyncReadExt};
use std::ffi::OsString;
use std::time::Duration;

/// `procmon -- COMMAND`: keeps a program running; what it prints are lines of the log.
///
/// ```
/// assert_eq!(ropewalk::application::commands::procmon().name(), "procmon");
/// ```
pub fn procmon() -> ServiceMaker {
    let command = positional::<OsString>("COMMAND").help("The program and its arguments, after --");
    let command = command.strict().some("say what to run, as in procmon -- sleep 10");
    let threshold =
        seconds("threshold", 't', "It has to run for so long not to be waited for longer: 1", 1.0);
    let kill_time = seconds("killtime", 'k', "It has so long to end before it is killed: 5", 5.0);
    let least =
        seconds("minrestartdelay", 'm', "The least wait before it is started again: 1", 1.0);
    let most = seconds(
        "maxrestartdelay",
        'M',
        "The longest wait before it is started again: 3600",
        3600.0,
    );
    let options = construct!(Options { threshold, kill_time, least, most, command });
    ServiceMaker::new("procmon", "Keep a program running", options, |options| {
        Ok(service("procmon", async move |up: Running| monitor(&up, &options).await))
    })
}

struct Options {
    command: Vec<OsString>,
    threshold: Duration,
    kill_time: Duration,
    least: Duration,
    most: Duration,
}

fn seconds(
    name: &'static str,
    letter: char,
    help: &'static str,
    usual: f64,
) -> impl Parser<Duration> {
    let read = |seconds: f64| {
        Duration::try_from_secs_f64(seconds).map_err(|_| "a number of seconds is expected")
    };
    let argument = long(name).short(letter).help(help).argument::<f64>("SECONDS");
    argument.parse(read).fallback(Duration::from_secs_f64(usual))
}

async fn monitor(up: &Running, options: &Options) -> Result {
    let log = log(up);
    let mut wait = options.least;
    // The first start decides whether the service is there at all.
    let mut child = Some(start(up, options).await?);
    up.ready();
    while !up.is_stopping() {
        if let Some(child) = child.take() {
            let begun = up.reactor().now();
            attend(up, options, child, &log).await?;
            let ran = up.reactor().now() - begun;
            wait = if ran >= options.threshold { options.least } else { wait };
        }
        if up.is_stopping() {
            break;
        }
        log.info(format_args!("starting it again in {wait:?}"));
        if let Either::Left(_) = select(up.stopping(), up.reactor().sleep(wait)).await {
            break;
        }
        wait = wait.saturating_mul(2).clamp(options.least, options.most);
        match start(up, options).await {
            Ok(started) => child = Some(started),
            Err(failure) => log.failure("it cannot be started", &failure),
        }
    }
    Ok(())
}

async fn start(up: &Running, options: &Options) -> Result<ProcessStreams> {
    let (program, arguments) = options.command.split_first().expect("the options ask for one");
    let started = up.reactor().open_process(ProcessOptions::new(program).args(arguments)).await?;
    log(up).info(format_args!("process {} started", started.process.pid()));
    Ok(started)
}

/// Until it has ended, by itself or because the service stops.
async fn attend(up: &Running, options: &Options, child: ProcessStreams, log: &Logger) -> Result {
    let ProcessStreams { stdin, stdout, stderr, process, .. } = child;
    drop(stdin);
    let named = |what: &str| Logger::named(format!("{} {what}", up.name()));
    let outputs =
        [up.spawn(pass_on(stdout, named("stdout"))), up.spawn(pass_on(stderr, named("stderr")))];
    let status = match select(process.wait(), up.stopping()).await {
        Either::Left((status, _)) => status?,
        Either::Right(_) => end(up, options, &process).await?,
    };
    log.info(format_args!("process {}: {status}", process.pid()));
    // What it printed last is there already; what a child of its own prints is not waited for.
    let _ = up.reactor().timeout(LAST_WORDS, join_all(outputs)).await;
    Ok(())
}

async fn end(
    up: &Running,
    options: &Options,
    process: &Process,
) -> Result<std::process::ExitStatus> {
    // It may have ended by itself.
    let _ = process.signal(Signal::Term);
    match up.reactor().timeout(options.kill_time, process.wait()).await {
        Ok(status) => status,
        Err(_) => {
            let _ = process.signal(Signal::Kill);
            process.wait().await
        }
    }
}

/// So long the output of a program that has ended is read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A line of the child's is no longer than this in the log.
const LONGEST: u64 = 16 * 1024;

async fn pass_on(mut output: ReadHalf, log: Logger) -> Result {
    loop {
        let mut line = Vec::new();
        let count = (&mut output).take(LONGEST).read_until(b'\n', &mut line).await?;
        if count == 0 {
            return Ok(());
        }
        log.info(String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)));
    }
}
