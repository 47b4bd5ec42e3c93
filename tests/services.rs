//! Services: what the page of `service` promises, in both faces, simulated and real.
#![cfg(feature = "simulation")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use futures_util::future::{Either, select};
use ropewalk::application::Application;
use ropewalk::prelude::*;
use ropewalk::service::{Running, Service, service};
use ropewalk::simulation::Simulation;
use ropewalk::{fail, succeed};
use std::cell::RefCell;
use std::rc::Rc;

type Notes = Rc<RefCell<Vec<String>>>;

/// Notes what is asked of it.
struct Noting {
    name: &'static str,
    notes: Notes,
    fails: bool,
}

impl Noting {
    fn note(&self, what: &str) {
        self.notes.borrow_mut().push(format!("{} {what}", self.name));
    }
}

impl Service for Noting {
    fn name(&self) -> Option<&str> {
        Some(self.name)
    }

    fn start_service(&mut self, _: &Running) -> Deferred<()> {
        self.note("start");
        if self.fails { fail(Failure::msg("on purpose")) } else { succeed(()) }
    }

    fn stop_service(&mut self, _: &Running) -> Deferred<()> {
        self.note("stop");
        succeed(())
    }
}

fn noting(name: &'static str, notes: &Notes) -> Noting {
    Noting { name, notes: notes.clone(), fails: false }
}

#[test]
fn services_start_in_order_and_stop_in_reverse() {
    let (simulation, notes) = (Simulation::new(1), Notes::default());
    let host = simulation.host("host");
    let application =
        Application::new("all").add_service(noting("a", &notes)).add_service(noting("b", &notes));
    let running = simulation.run_until(application.run_on(&host.reactor())).unwrap();
    assert!(running.is_ready());
    simulation.run_until(running.stop_service()).unwrap();
    assert_eq!(*notes.borrow(), ["a start", "b start", "b stop", "a stop"]);
    assert!(!running.is_ready());
}

#[test]
fn a_start_that_fails_stops_those_before_it_and_is_the_error() {
    let (simulation, notes) = (Simulation::new(1), Notes::default());
    let host = simulation.host("host");
    let application = Application::new("all")
        .add_service(noting("a", &notes))
        .add_service(noting("b", &notes))
        .add_service(Noting { fails: true, ..noting("c", &notes) })
        .add_service(noting("d", &notes));
    let failure = simulation.run_until(application.run_on(&host.reactor())).unwrap_err();
    assert_eq!(failure.to_string(), "on purpose");
    assert_eq!(*notes.borrow(), ["a start", "b start", "c start", "b stop", "a stop"]);
}

#[test]
fn an_async_service_is_ready_when_it_says_so_and_drains_what_it_serves() {
    let simulation = Simulation::new(1);
    let (host, client) = (simulation.host("host"), simulation.host("client"));
    let echo = service("echo", async |up: Running| {
        up.serve("0.0.0.0:7", async |mut stream| {
            loop {
                let (draining, mut line) = (stream.draining(), String::new());
                let read = match select(stream.read_line(&mut line), draining).await {
                    Either::Left((read, _)) => read?,
                    Either::Right(_) => 0,
                };
                let answer = if read == 0 { "bye\n" } else { &line };
                stream.write_all(answer.as_bytes()).await?;
                if read == 0 {
                    return Ok(());
                }
            }
        })?;
        up.ready();
        up.stopping().await;
        up.connections_closed().await
    });
    let starting = Application::new("all").add_service(echo).run_on(&host.reactor());
    let running = simulation.run_until(starting).unwrap();
    let opening = client.reactor().open("host:7");
    let stream = simulation.run_until(async move {
        let (mut stream, mut line) = (opening.await?, [0; 3]);
        stream.write_all(b"hi\n").await?;
        stream.read_exact(&mut line).await?;
        Ok(stream)
    });
    let mut stream = stream.unwrap();
    let stopping = running.stop_service();
    let heard = simulation.run_until(async move {
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        Ok(heard)
    });
    assert_eq!(heard.unwrap(), "bye\n");
    simulation.run_until(stopping).unwrap();
    assert!(simulation.run_until(client.reactor().open("host:7")).is_err());
}
