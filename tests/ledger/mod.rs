//! What the simulated suites share: a ledger of what every protocol is told, and two that answer and ask.

use ropewalk::simulation::{
    EventKind, Fault, Faults, Host, Latency, Link, Simulation, sweep_faults,
};
use ropewalk::{Deferred, Failure, Panicked, Protocol, Result, Transport, Trigger};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const PROTOCOLS: &str = "protocols were not dropped";

/// What the protocols of a run were told, and what should not have been.
#[derive(Default)]
pub(crate) struct Ledger {
    /// What is to come to its end yet.
    owed: RefCell<BTreeMap<&'static str, i32>>,
    reports: RefCell<Vec<String>>,
    wrongs: RefCell<Vec<String>>,
}

impl Ledger {
    pub(crate) fn new() -> Rc<Ledger> {
        let ledger = Rc::new(Ledger::default());
        let hook = Rc::downgrade(&ledger);
        ropewalk::on_report(move |report| {
            let Some(ledger) = hook.upgrade() else { return };
            if report.failure().is::<Panicked>() {
                ledger.wrong(report.to_string());
            }
            ledger.reports.borrow_mut().push(report.to_string());
        });
        ledger
    }

    pub(crate) fn wrong(&self, what: impl Into<String>) {
        self.wrongs.borrow_mut().push(what.into());
    }

    /// From now on, one more of these is to come to its end.
    pub(crate) fn owe(&self, what: &'static str) {
        *self.owed.borrow_mut().entry(what).or_default() += 1;
    }

    pub(crate) fn pay(&self, what: &'static str) {
        *self.owed.borrow_mut().entry(what).or_default() -= 1;
    }

    pub(crate) fn watch<P: Protocol>(self: &Rc<Self>, protocol: P) -> Watched<P> {
        self.owe(PROTOCOLS);
        Watched { protocol, ledger: self.clone(), stage: Stage::New }
    }

    /// Everything was told, everything is gone.
    pub(crate) fn close(&self, simulation: &Simulation, hosts: &[&Host]) -> Result {
        simulation.set_limit(Duration::from_secs(3600));
        simulation.run_until_idle()?;
        if simulation.sockets() > 0 {
            self.wrong(format!("{} sockets are left", simulation.sockets()));
        }
        for host in hosts {
            // A port, and no more.
            if host.descriptors() > 1 {
                self.wrong(format!("{} holds {}", host.name(), host.descriptors()));
            }
        }
        for (what, count) in self.owed.take() {
            if count != 0 {
                self.wrong(format!("{count} {what}"));
            }
        }
        let reports = self.reports.take();
        if !may_fail(simulation) && !reports.is_empty() {
            self.wrong(format!("without a fault: {reports:?}"));
        }
        self.verdict()
    }

    pub(crate) fn verdict(&self) -> Result {
        let wrongs = self.wrongs.take();
        if wrongs.is_empty() { Ok(()) } else { Err(Failure::msg(wrongs.join("; "))) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    New,
    Made,
    Ended,
    Lost,
}

/// A protocol whose calls must come in order.
pub(crate) struct Watched<P> {
    protocol: P,
    ledger: Rc<Ledger>,
    stage: Stage,
}

impl<P> Watched<P> {
    fn expect(&self, call: &str, stages: &[Stage]) {
        if !stages.contains(&self.stage) {
            self.ledger.wrong(format!("{call} while {:?}", self.stage));
        }
    }
}

impl<P: Protocol> Protocol for Watched<P> {
    fn connection_made(&mut self, transport: &Transport) {
        self.expect("connection_made", &[Stage::New]);
        self.stage = Stage::Made;
        self.protocol.connection_made(transport);
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.expect("data_received", &[Stage::Made]);
        if data.is_empty() {
            self.ledger.wrong("data_received of nothing");
        }
        self.protocol.data_received(transport, data)
    }

    fn connection_lost(&mut self, reason: &Failure) {
        self.expect("connection_lost", &[Stage::Made, Stage::Ended]);
        self.stage = Stage::Lost;
        self.protocol.connection_lost(reason);
    }

    fn read_closed(&mut self, transport: &Transport) {
        self.expect("read_closed", &[Stage::Made]);
        self.stage = Stage::Ended;
        self.protocol.read_closed(transport);
    }

    fn write_closed(&mut self, transport: &Transport) {
        self.expect("write_closed", &[Stage::Made, Stage::Ended]);
        self.protocol.write_closed(transport);
    }

    fn pause_writing(&mut self, transport: &Transport) {
        self.expect("pause_writing", &[Stage::Made, Stage::Ended]);
        self.protocol.pause_writing(transport);
    }

    fn resume_writing(&mut self, transport: &Transport) {
        self.expect("resume_writing", &[Stage::Made, Stage::Ended]);
        self.protocol.resume_writing(transport);
    }
}

impl<P> Drop for Watched<P> {
    fn drop(&mut self) {
        self.expect("drop", &[Stage::Lost]);
        self.ledger.pay(PROTOCOLS);
    }
}

pub(crate) fn hosts(simulation: &Simulation) -> (Host, Host) {
    (simulation.host("server"), simulation.host("client"))
}

/// Gives the two hosts a network and a system whose kind follows from the seed.
#[allow(dead_code, reason = "each suite uses its part")]
pub(crate) fn make_bad(simulation: &Simulation) {
    let (server, client) = hosts(simulation);
    let (kind, loss) =
        simulation.random(|random| (random.below(4), random.below(10) as f64 / 100.0));
    let faults = [Faults::none(), Faults::pedantic(), Faults::rough(), Faults::rough()];
    server.set_faults(faults[kind as usize]);
    client.set_faults(faults[kind as usize]);
    let radio = Latency::LongTailed(Duration::from_micros(100), Duration::from_millis(5));
    let window = [64, 1, 300, 4][kind as usize] * 1024;
    simulation.set_link(&server, &client, Link::new().latency(radio).loss(loss).window(window));
}

/// Has each call of the driver fail in turn.
#[allow(dead_code, reason = "each suite uses its part")]
pub(crate) fn walk(name: &str, scenario: impl Fn(&Simulation) -> Result) {
    match sweep_faults(1, scenario) {
        Ok(report) => println!("fault walk, {name}: {report}"),
        Err(failure) => panic!("{name}: {failure}"),
    }
}

/// `ROPEWALK_SEEDS` says how many other than usual, in percent.
#[allow(dead_code, reason = "each suite uses its part")]
pub(crate) fn seeds(usual: u64) -> u64 {
    let percent = std::env::var("ROPEWALK_SEEDS").ok().and_then(|percent| percent.parse().ok());
    (usual * percent.unwrap_or(100)).div_ceil(100)
}

pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// Whether something happened that a program may fail of. Whatever cuts calls up or delays them is
/// no excuse.
pub(crate) fn may_fail(simulation: &Simulation) -> bool {
    simulation.trace_events().iter().any(|event| match event.what {
        EventKind::Failing(_, fault) => matches!(fault, Fault::Error(_)),
        _ => false,
    })
}

pub(crate) struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Sends a question at once and gives what came back, when that is all of it.
pub(crate) struct Asker {
    question: Vec<u8>,
    answer: Vec<u8>,
    done: Option<Trigger<Vec<u8>>>,
}

impl Asker {
    pub(crate) fn new(question: Vec<u8>) -> (Asker, Deferred<Vec<u8>>) {
        let (done, answer) = Deferred::new();
        (Asker { question, answer: Vec::new(), done: Some(done) }, answer)
    }
}

impl Protocol for Asker {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(&self.question);
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.answer.extend_from_slice(data);
        if self.answer.len() >= self.question.len() {
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let answer = std::mem::take(&mut self.answer);
        let whole = answer.len() == self.question.len();
        if let Some(done) = self.done.take() {
            let _ = if whole { done.callback(answer) } else { done.errback(reason.clone()) };
        }
    }
}
