//! What happens to a program that is ready: signals, and the end of its services. See `run.rs`, 3 to 5.
//!
//! Nothing is waited for but the next event: what takes time runs beside, and its outcome is an event.

use super::restart::Successor;
use super::run::{Kept, LOG};
use super::status::Status;
use crate::application::log::set_level;
use crate::deferred::DeferredQueue;
use crate::failure::{Failure, Result};
use crate::reactor::{Reactor, Signal};
use crate::service::{Drain, Running};
use std::rc::Rc;

pub(super) enum Event {
    Signal(Signal),
    /// The services ended by themselves.
    Over(Result),
    Reloaded(Result),
    /// A successor is ready, or is not to be.
    Succeeded(Result),
    Stopped(Result),
}

pub(super) type Events = DeferredQueue<Event>;

pub(super) fn put(events: &Events, event: Event) {
    // It has no limit and is never closed.
    let _ = events.put(event);
}

pub(super) struct Serving {
    up: Running,
    kept: Rc<Kept>,
    reactor: Reactor,
    events: Events,
    drain: Drain,
    /// Once it stops: what the system is told at an orderly end, and if it is cut short.
    end: Option<End>,
    /// While it is starting, and once it has taken over.
    successor: Option<Rc<Successor>>,
}

#[derive(Clone, Copy)]
struct End {
    in_order: Option<Status>,
    cut_short: Status,
}

impl Serving {
    pub(super) fn new(
        up: Running,
        kept: Rc<Kept>,
        reactor: Reactor,
        events: Events,
        drain: Drain,
    ) -> Serving {
        let over = events.clone();
        drop(up.when_over().add_both(move |outcome| put(&over, Event::Over(outcome))));
        Serving { up, kept, reactor, events, drain, end: None, successor: None }
    }

    /// Until the end, whose status it gives; `None` is 0.
    pub(super) async fn serve(mut self) -> Option<Status> {
        loop {
            // It is never closed.
            let Ok(event) = self.events.get().await else { return Some(Status::Failed) };
            match event {
                Event::Signal(signal @ (Signal::Term | Signal::Int)) => self.stop_by(signal),
                Event::Signal(Signal::Hup) => self.reload(),
                Event::Signal(Signal::Usr1) => self.reopen(),
                Event::Signal(Signal::Usr2) => self.restart(),
                Event::Signal(_) => {}
                Event::Reloaded(outcome) => self.reloaded(outcome),
                Event::Succeeded(outcome) => self.succeeded(outcome),
                Event::Over(outcome) => self.over(outcome),
                Event::Stopped(outcome) => return self.stopped(outcome),
            }
        }
    }

    /// 3, and 5 if it stops already.
    fn stop_by(&mut self, signal: Signal) {
        let cut_short = Status::of_signal(signal);
        if let Some(end) = &mut self.end {
            *end = End { in_order: Some(cut_short), cut_short };
            LOG.warn(format_args!("{signal} again: waiting for nobody"));
            // Asked a second time it waits for nobody; the first Deferred tells the outcome.
            return drop(self.up.stop_service());
        }
        LOG.info(format_args!("{signal}: draining"));
        if let Some(successor) = self.successor.take() {
            successor.kill();
        }
        self.stop(End { in_order: None, cut_short });
    }

    fn stop(&mut self, end: End) {
        self.end = Some(end);
        if self.successor.is_none() {
            self.kept.notify.stopping(self.drain.total + self.drain.service);
        }
        let events = self.events.clone();
        let stopped = self.up.stop_service();
        drop(stopped.add_both(move |outcome| put(&events, Event::Stopped(outcome))));
    }

    fn stopped(self, outcome: Result) -> Option<Status> {
        let end = self.end.unwrap_or(End { in_order: None, cut_short: Status::Failed });
        if let Err(late) = &outcome {
            LOG.failure("not everything ended in time", late);
        }
        let status = if outcome.is_ok() { end.in_order } else { Some(end.cut_short) };
        match status {
            None => LOG.info(format_args!("{} has ended", self.kept.name)),
            Some(status) => {
                LOG.warn(format_args!("{} ends with status {}", self.kept.name, status.code()));
                // Who is cut short is not to wait for what connections still have to send.
                self.reactor.set_flush_timeout(std::time::Duration::ZERO);
            }
        }
        status
    }

    fn over(&mut self, outcome: Result) {
        if self.end.is_some() {
            return;
        }
        let status = outcome.is_err().then_some(Status::Failed);
        match &outcome {
            Ok(()) => LOG.info("the services are over"),
            Err(failure) => LOG.failure("the services ended", failure),
        }
        self.stop(End { in_order: status, cut_short: Status::Failed });
    }

    fn reload(&mut self) {
        if self.end.is_some() {
            return;
        }
        LOG.info("reading the configuration again");
        self.kept.notify.reloading();
        let settings = (self.kept.again)();
        let reloaded = match &settings {
            Ok(settings) => {
                set_level(settings.log.level);
                self.up.reload()
            }
            Err(error) => crate::fail(Failure::from(error.clone())),
        };
        let events = self.events.clone();
        drop(reloaded.add_both(move |outcome| put(&events, Event::Reloaded(outcome))));
    }

    fn reloaded(&mut self, outcome: Result) {
        // In any case, or the manager would wait for ever.
        let status = match &outcome {
            Ok(()) => "the configuration was read".to_owned(),
            Err(failure) => {
                LOG.failure("the configuration stays as it was", failure);
                let why = failure.to_string();
                format!("the configuration stays as it was: {}", why.lines().next().unwrap_or(""))
            }
        };
        if outcome.is_ok() {
            LOG.info(&status);
        }
        self.kept.notify.send(&format!("READY=1\nSTATUS={status}"));
    }

    fn reopen(&self) {
        self.kept.logs.reopen();
        LOG.info("log opened anew");
    }

    fn restart(&mut self) {
        if self.end.is_some() || self.successor.is_some() {
            return;
        }
        let started =
            Successor::start(&self.reactor, &self.kept.arguments, self.kept.pid_file.as_ref());
        let successor = match started {
            Ok(successor) => successor,
            Err(failure) => return LOG.failure("cannot restart, and goes on", &failure),
        };
        LOG.info(format_args!("restarting in place: process {} starts", successor.pid()));
        self.successor = Some(successor.clone());
        let (reactor, events) = (self.reactor.clone(), self.events.clone());
        let ready = self.reactor.spawn(async move { successor.ready(&reactor).await });
        drop(ready.add_both(move |outcome| put(&events, Event::Succeeded(outcome))));
    }

    /// 4.
    fn succeeded(&mut self, outcome: Result) {
        // It was ended meanwhile, together with this one.
        let Some(successor) = self.successor.as_ref().filter(|_| self.end.is_none()) else {
            return;
        };
        if let Err(failure) = outcome {
            self.successor = None;
            return LOG.failure("the restart failed, and this one goes on", &failure);
        }
        let number = successor.pid();
        LOG.info(format_args!("process {number} has taken over: draining"));
        self.kept.notify.send(&format!("MAINPID={number}"));
        if let Some(pid_file) = &self.kept.pid_file
            && let Err(error) = pid_file.give_away(number)
        {
            LOG.failure("the pid file keeps a wrong number", &error.into());
        }
        self.reactor.open_ports().iter().for_each(|(_, port)| port.leave_name());
        self.stop(End { in_order: None, cut_short: Status::Failed });
    }
}
