// The commands that every console has.

use super::{Answer, Answering, Command};
use crate::application::log::{LimitedHistory, LogFormat, LogLevel, level, set_level};
use crate::driver::Key;
use crate::reactor::Snapshot;
use crate::service::{Running, ServiceState};
use crate::{Failure, Result};
use std::collections::BTreeMap;
use std::panic::Location;
use std::time::Duration;

pub(super) fn all() -> BTreeMap<String, Command> {
    let now = [
        ("services", "all services, their states and restarts", services as Now),
        ("connections", "[by bytes]: connections, the oldest 1000", connections),
        ("tasks", "tasks, the oldest 1000", tasks),
        ("timers", "delayed calls, the next 1000", timers),
        ("metrics", "counters, as Prometheus reads them", metrics),
        ("dump", "all of the above", dump),
        ("close", "KEY: cuts off a connection", close),
        ("drain", "finishes what is under way, and stops all", drain),
    ];
    let asked = [
        ("restart", "NAME: stops a service and starts it again", Ask::Restart),
        ("stop", "NAME: stops a service", Ask::Stop),
        ("reload", "[NAME]: has all read their configuration anew, or one", Ask::Reload),
    ];
    let now = now.into_iter().map(|(name, help, call)| {
        let call = move |up: &Running, words: Vec<String>| {
            Box::pin(std::future::ready(call(&root(up), &words))) as Answering
        };
        (name.to_owned(), Command { help: help.to_owned(), call: Box::new(call) })
    });
    let asked = asked.into_iter().map(|(name, help, ask)| {
        let call = move |up: &Running, words: Vec<String>| {
            let root = root(up);
            Box::pin(async move { ask.of(&root, &words).await }) as Answering
        };
        (name.to_owned(), Command { help: help.to_owned(), call: Box::new(call) })
    });
    now.chain(asked).collect()
}

/// Answers at once.
type Now = fn(&Running, &[String]) -> Result<Answer>;

/// What a service is asked for.
#[derive(Clone, Copy)]
enum Ask {
    Restart,
    Stop,
    Reload,
}

impl Ask {
    async fn of(self, root: &Running, words: &[String]) -> Result<Answer> {
        let service = match (self, words) {
            (Ask::Reload, []) => root.clone(),
            (_, [name]) => find(root, name)?,
            _ => return Err(Failure::msg("it takes the name of one service")),
        };
        match self {
            Ask::Restart => service.restart_service().await?,
            Ask::Stop => service.stop_service().await?,
            Ask::Reload => service.reload().await?,
        }
        Ok(Answer::text(format!("{}: {}", service.name(), state(&service))))
    }
}

fn root(up: &Running) -> Running {
    let mut root = up.clone();
    while let Some(parent) = root.service_parent() {
        root = parent;
    }
    root
}

/// All services, parents first.
fn tree(root: &Running) -> Vec<Running> {
    let (mut all, mut left) = (Vec::new(), vec![root.clone()]);
    while let Some(service) = left.pop() {
        left.extend(service.services().into_iter().rev());
        all.push(service);
    }
    all
}

fn find(root: &Running, name: &str) -> Result<Running> {
    let mut named = tree(root).into_iter().filter(|service| service.name() == name);
    match (named.next(), named.next()) {
        (Some(service), None) => Ok(service),
        (None, _) => Err(Failure::msg(format!("no service is called {name}"))),
        _ => Err(Failure::msg(format!("several services are called {name}"))),
    }
}

fn state(service: &Running) -> &'static str {
    match service.state() {
        ServiceState::Stopped => "stopped",
        ServiceState::Privileged => "privileged",
        ServiceState::Starting => "starting",
        ServiceState::Ready => "ready",
        ServiceState::Draining => "draining",
        ServiceState::Stopping => "stopping",
        ServiceState::Ended => "ended",
    }
}

fn services(root: &Running, _: &[String]) -> Result<Answer> {
    let row = |service: Running| {
        let parent =
            service.service_parent().map_or_else(|| "-".to_owned(), |it| it.name().to_owned());
        let (name, restarts) = (service.name().to_owned(), service.restarts().to_string());
        vec![name, parent, state(&service).to_owned(), restarts]
    };
    let rows = tree(root).into_iter().map(row).collect();
    Ok(Answer::rows(&["service", "parent", "state", "restarts"], rows))
}

fn connections(root: &Running, words: &[String]) -> Result<Answer> {
    let mut connections = root.reactor().snapshot().connections;
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        ["by", "bytes"] => connections.sort_by_key(|it| std::cmp::Reverse(it.buffered)),
        _ => return Err(Failure::msg("it takes no words, or `by bytes`")),
    }
    let row = |it: crate::reactor::ConnectionSnapshot| {
        vec![
            it.key.to_token().to_string(),
            it.peer,
            it.owner.unwrap_or_default(),
            it.state.to_owned(),
            it.face.to_owned(),
            it.buffered.to_string(),
            seconds(it.age),
            seconds(it.idle),
        ]
    };
    let rows = connections.into_iter().map(row).collect();
    let names = &["key", "peer", "service", "state", "face", "buffered", "age", "idle"];
    Ok(Answer::rows(names, rows))
}

fn tasks(root: &Running, _: &[String]) -> Result<Answer> {
    let Snapshot { tasks, .. } = root.reactor().snapshot();
    let row = |it: crate::reactor::TaskSnapshot| {
        let owner = it.owner.unwrap_or_default();
        vec![line_of(it.place), owner, seconds(it.age), it.polls.to_string()]
    };
    let rows = tasks.into_iter().map(row).collect();
    Ok(Answer::rows(&["spawned", "service", "age", "polls"], rows))
}

fn timers(root: &Running, _: &[String]) -> Result<Answer> {
    let Snapshot { timers, .. } = root.reactor().snapshot();
    let row = |it: crate::reactor::TimerSnapshot| {
        vec![seconds(Some(it.due)), line_of(it.place), it.owner.unwrap_or_default()]
    };
    let rows = timers.into_iter().map(row).collect();
    Ok(Answer::rows(&["due", "made", "service"], rows))
}

fn metrics(root: &Running, _: &[String]) -> Result<Answer> {
    let is_ready = u8::from(root.is_ready());
    let ready =
        "# HELP ropewalk_ready Whether all services are ready.\n# TYPE ropewalk_ready gauge";
    Ok(Answer::text(format!("{}{ready}\nropewalk_ready {is_ready}", root.reactor().counters())))
}

fn dump(root: &Running, _: &[String]) -> Result<Answer> {
    let parts: [Now; 5] = [services, connections, tasks, timers, metrics];
    let texts: Result<Vec<_>> =
        parts.into_iter().map(|part| Ok(part(root, &[])?.to_text())).collect();
    Ok(Answer::text(texts?.join("---\n")))
}

fn close(root: &Running, words: &[String]) -> Result<Answer> {
    let [key] = words else { return Err(Failure::msg("it takes the key of one connection")) };
    let token = key.parse().map_err(|_| Failure::msg(format!("{key} is no key")))?;
    match root.reactor().close_connection(Key::from_token(token)) {
        true => Ok(Answer::text("closed")),
        false => Err(Failure::msg(format!("no connection has the key {key}"))),
    }
}

fn drain(root: &Running, _: &[String]) -> Result<Answer> {
    root.reactor().stop()?;
    Ok(Answer::text("draining"))
}

/// `log`, `log N`, `log level`, `log level L`.
pub(super) fn log(history: &LimitedHistory, words: &[String]) -> Result<Answer> {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => last(history, 20),
        ["level"] => Ok(Answer::text(level().to_string())),
        ["level", name] => {
            let to = name.parse::<LogLevel>()?;
            set_level(to);
            Ok(Answer::text(to.to_string()))
        }
        [count] => {
            let count = count.parse();
            last(history, count.map_err(|_| Failure::msg("it takes a number, -f or level"))?)
        }
        _ => Err(Failure::msg("it takes a number, -f or level")),
    }
}

fn last(history: &LimitedHistory, count: usize) -> Result<Answer> {
    let events = history.events();
    let from = events.len().saturating_sub(count);
    Ok(Answer::text(events[from..].iter().map(|it| LogFormat::Text.line(it)).collect::<String>()))
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.3}s", time.as_secs_f64()))
}

fn line_of(place: Option<&Location<'_>>) -> String {
    place.map_or_else(|| "-".to_owned(), |place| format!("{}:{}", place.file(), place.line()))
}
