//! Clients that come back, in virtual time.

#![cfg(feature = "simulation")]
use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::ported::{ReconnectingClientFactory, Retrying};
use ropewalk::simulation::Simulation;
use ropewalk::{Address, Failure, Protocol, Reactor, Result, Transport};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

struct Quiet;

impl Protocol for Quiet {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Notes when it connects, and how that ends.
struct Diary {
    reactor: Reactor,
    notes: Rc<RefCell<Vec<String>>>,
    begun: std::time::Instant,
    retrying: Retrying,
}

impl Diary {
    fn note(&self, what: &str) {
        let seconds = (self.reactor.now() - self.begun).as_secs_f64();
        self.notes.borrow_mut().push(format!("{what} {seconds:.1}"));
    }
}

impl ClientFactory for Diary {
    type Protocol = Quiet;

    fn started_connecting(&mut self, _: &Connector) {
        self.note("try");
    }
    fn build_protocol(&mut self, _: &Address) -> Option<Quiet> {
        self.retrying.reset_delay();
        self.note("made");
        Some(Quiet)
    }
    fn client_connection_lost(&mut self, _: &Connector, _: &Failure) {
        self.note("lost");
    }
}

struct Client {
    notes: Rc<RefCell<Vec<String>>>,
    retrying: Retrying,
}

/// A client of `server:80` on a host of its own.
fn client(
    simulation: &Simulation,
    plan: impl FnOnce(ReconnectingClientFactory<Diary>) -> ReconnectingClientFactory<Diary>,
) -> Client {
    let reactor = simulation.host("client").reactor();
    simulation.host("server");
    let notes: Rc<RefCell<Vec<String>>> = Rc::default();
    let factory = ReconnectingClientFactory::with(|retrying| Diary {
        reactor: reactor.clone(),
        notes: notes.clone(),
        begun: reactor.now(),
        retrying,
    });
    let factory = plan(factory);
    let retrying = factory.retrying();
    reactor.connect_tcp("server:80", factory);
    Client { notes, retrying }
}

fn notes(client: &Client) -> String {
    client.notes.borrow().join(", ")
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn without_chance_each_wait_is_e_times_longer_up_to_an_hour() {
    let simulation = Simulation::new(1);
    let client = client(&simulation, |factory| factory.jitter(0.0));
    simulation.run_for(HOUR * 5).unwrap();
    let notes = client.notes.borrow();
    let times: Vec<f64> = notes.iter().map(|note| note[4..].parse().unwrap()).collect();
    let waits: Vec<_> = times.windows(2).map(|pair| format!("{:.0}", pair[1] - pair[0])).collect();
    assert_eq!(
        waits,
        ["1", "3", "7", "20", "55", "148", "403", "1097", "2981", "3600", "3600", "3600"]
    );
}

#[test]
fn chance_follows_the_seed_and_never_passes_the_longest_wait() {
    let run = |seed| {
        let simulation = Simulation::new(2);
        let client = client(&simulation, |factory| factory.seed(seed));
        simulation.run_for(HOUR * 24).unwrap();
        assert!(client.retrying.delay() <= HOUR);
        notes(&client)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn the_driver_seeds_what_was_not_seeded() {
    let run = |seed| {
        let simulation = Simulation::new(seed);
        let client = client(&simulation, |factory| factory);
        simulation.run_for(HOUR).unwrap();
        notes(&client)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_lost_connection_is_made_again_and_success_resets_the_wait() {
    let simulation = Simulation::new(5);
    let server = simulation.host("server").reactor();
    let client = client(&simulation, |factory| factory.jitter(0.0));
    simulation.run_for(Duration::from_secs(3)).unwrap();
    server.serve("0.0.0.0:80", async |_| Ok(())).unwrap();
    simulation.run_for(Duration::from_secs(3)).unwrap();
    assert_eq!(
        notes(&client),
        "try 0.0, try 1.0, try 3.7, made 3.7, lost 3.7, try 4.7, made 4.7, lost 4.7, try 5.7, made 5.7, lost 5.7"
    );
}

#[test]
fn it_gives_up_after_the_retries_allowed() {
    let simulation = Simulation::new(6);
    let client = client(&simulation, |factory| factory.jitter(0.0).max_retries(2));
    simulation.run_until_idle().unwrap();
    assert_eq!(notes(&client), "try 0.0, try 1.0, try 3.7");
}

#[test]
fn told_to_stop_it_takes_back_the_wait_or_the_attempt() {
    let simulation = Simulation::new(8);
    let waiting = client(&simulation, |factory| factory.jitter(0.0));
    simulation.run_for(Duration::from_millis(1500)).unwrap();
    waiting.retrying.stop_trying();
    simulation.run_until_idle().unwrap();
    assert_eq!(notes(&waiting), "try 0.0, try 1.0");

    let simulation = Simulation::new(9);
    simulation.cut(&simulation.host("client"), &simulation.host("server"));
    let trying = client(&simulation, |factory| factory.jitter(0.0));
    simulation.run_for(Duration::from_millis(1500)).unwrap();
    trying.retrying.stop_trying();
    simulation.run_until_idle().unwrap();
    assert_eq!(notes(&trying), "try 0.0");
}
