//! Services: what the page of `service` promises, in both faces, simulated and on real sockets.
#![cfg(feature = "simulation")]
#![allow(clippy::unit_arg, reason = "`Ok(notes.add(..))` says what a handler does, in one line")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

#[path = "../kit/mod.rs"]
mod kit;
#[path = "../kit/peers.rs"]
mod peers;

mod clients;
mod owning;
mod ready_made;
mod restarting;
mod seeds;
mod starting;
mod stopping;

use kit::Notes;
use ropewalk::application::Application;
use ropewalk::prelude::*;
use ropewalk::service::{Running, Service, service};
use ropewalk::simulation::{Host, Simulation};
use ropewalk::{IntoDeferred, fail, succeed};
use std::future::Future;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A reactor of either kind, with the network around it.
enum Place {
    Simulated(Simulation, Host, Host),
    Real(Reactor),
}

impl Place {
    fn simulated(seed: u64) -> Place {
        let simulation = Simulation::new(seed);
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        Place::Simulated(simulation, server, client)
    }

    fn reactor(&self) -> Reactor {
        match self {
            Place::Simulated(_, server, _) => server.reactor(),
            Place::Real(reactor) => reactor.clone(),
        }
    }

    /// Where clients are.
    fn elsewhere(&self) -> Reactor {
        match self {
            Place::Simulated(_, _, client) => client.reactor(),
            Place::Real(reactor) => reactor.clone(),
        }
    }

    /// Where a service listens.
    fn at(&self) -> &'static str {
        match self {
            Place::Simulated(..) => "0.0.0.0:7",
            Place::Real(_) => "127.0.0.1:0",
        }
    }

    /// Where clients find it.
    fn to(&self, port: &Address) -> String {
        match self {
            Place::Simulated(..) => "server:7".to_owned(),
            Place::Real(_) => port.to_string(),
        }
    }

    /// Where others serve.
    fn at_elsewhere(&self) -> &'static str {
        self.at()
    }

    /// Where a service finds those.
    fn to_elsewhere(&self, port: &Address) -> String {
        match self {
            Place::Simulated(..) => "client:7".to_owned(),
            Place::Real(_) => port.to_string(),
        }
    }

    fn run<F>(&self, future: F) -> Result<<F::Output as IntoDeferred>::Output>
    where
        F: Future + 'static,
        F::Output: IntoDeferred + 'static,
    {
        match self {
            Place::Simulated(simulation, ..) => simulation.run_until(future),
            Place::Real(reactor) => reactor.run_until(future),
        }
    }

    fn start(&self, application: Application) -> Result<Running> {
        self.run(application.run_on(&self.reactor()))
    }
}

/// The same test in both places.
fn in_both(test: impl Fn(&Place)) {
    test(&Place::simulated(1));
    test(&Place::Real(Reactor::new().unwrap()));
}

/// Failures that are reported are part of the test.
fn allow_reports(place: &Place) {
    if let Place::Simulated(simulation, ..) = place {
        simulation.allow_reports(|_| true);
    }
}

/// A service in callbacks that notes what is asked of it.
struct Part {
    name: &'static str,
    notes: Notes,
    fails: bool,
    /// So long it takes to start, and to stop.
    takes: Duration,
}

fn part(name: &'static str, notes: &Notes) -> Part {
    Part { name, notes: notes.clone(), fails: false, takes: Duration::ZERO }
}

impl Part {
    fn fails(self) -> Part {
        Part { fails: true, ..self }
    }

    fn takes(self, takes: Duration) -> Part {
        Part { takes, ..self }
    }

    fn note_after(&self, up: &Running, what: &'static str) -> Deferred<()> {
        let (name, notes, nap) = (self.name, self.notes.clone(), up.reactor().sleep(self.takes));
        let is_short = self.takes.is_zero();
        notes.add(format_args!("{name} {what}"));
        if is_short {
            return succeed(());
        }
        up.spawn(async move {
            nap.await;
            notes.add(format_args!("{name} has {what}"));
            Ok(())
        })
    }
}

impl Service for Part {
    fn name(&self) -> Option<&str> {
        Some(self.name)
    }

    fn privileged_start_service(&mut self, _: &Running) -> Deferred<()> {
        self.notes.add(format_args!("{} privileged", self.name));
        succeed(())
    }

    fn start_service(&mut self, up: &Running) -> Deferred<()> {
        let started = self.note_after(up, "started");
        if self.fails { fail(Failure::msg("on purpose")) } else { started }
    }

    fn stop_service(&mut self, up: &Running) -> Deferred<()> {
        self.note_after(up, "stopped")
    }

    fn reload(&mut self, _: &Running) -> Deferred<()> {
        self.notes.add(format_args!("{} reloaded", self.name));
        if self.fails { fail(Failure::msg("bad settings")) } else { succeed(()) }
    }
}

/// The same as an async function.
fn async_part(name: &'static str, notes: &Notes) -> impl Service + use<> {
    let notes = notes.clone();
    service(name, async move |up: Running| {
        notes.add(format_args!("{name} started"));
        up.ready();
        up.stopping().await;
        notes.add(format_args!("{name} stopped"));
        Ok(())
    })
}
