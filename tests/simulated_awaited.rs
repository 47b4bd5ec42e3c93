//! Awaited protocols under many seeds: the connection is lost at any moment, by either end, also while
//! a handler waits; and with every call of the driver failing in turn.
//!
//! `ROPEWALK_SEEDS=10000` runs a hundred times as many seeds as usual.

#![cfg(feature = "simulation")]

#[allow(dead_code, reason = "this suite has an echo of its own")]
mod ledger;

use crate::ledger::{Asker, Ledger, bytes, hosts, may_fail, seeds};
use ropewalk::awaited::{AsyncProtocol, Awaited};
use ropewalk::simulation::{Latency, Link, Simulation, for_each_seed, sweep_faults};
use ropewalk::{Address, Failure, Result, Transport};
use std::rc::Rc;
use std::time::Duration;

const HANDLERS: &str = "handlers were neither done nor dropped";
const LOSSES: &str = "losses were not told";

/// Pays when it is dropped.
struct Debt(Rc<Ledger>);

impl Debt {
    fn new(ledger: &Rc<Ledger>) -> Debt {
        ledger.owe(HANDLERS);
        Debt(ledger.clone())
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.0.pay(HANDLERS);
    }
}

/// Waits in every handler, answers with what it got, and watches the order.
struct Echo {
    ledger: Rc<Ledger>,
    is_handling: bool,
    is_lost: bool,
}

impl Echo {
    fn new(ledger: &Rc<Ledger>) -> Echo {
        ledger.owe(LOSSES);
        Echo { ledger: ledger.clone(), is_handling: false, is_lost: false }
    }

    async fn wait(&mut self, transport: &Transport) {
        if std::mem::replace(&mut self.is_handling, true) {
            self.ledger.wrong("a handler began inside another");
        }
        if self.is_lost {
            self.ledger.wrong("a handler began after the loss");
        }
        let _debt = Debt::new(&self.ledger);
        let reactor = transport.reactor();
        let pause = reactor.random() % 30;
        reactor.sleep(Duration::from_millis(pause)).await;
        self.is_handling = false;
    }
}

impl AsyncProtocol for Echo {
    async fn connection_made(&mut self, transport: &Transport) -> Result {
        self.wait(transport).await;
        Ok(())
    }

    async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.wait(transport).await;
        transport.write(data);
        Ok(())
    }

    async fn read_closed(&mut self, transport: &Transport) -> Result {
        self.wait(transport).await;
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, _: &Failure) {
        if std::mem::replace(&mut self.is_lost, true) {
            self.ledger.wrong("the loss was told twice");
        }
        self.ledger.pay(LOSSES);
    }
}

fn echo(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let watch = ledger.clone();
    let build = move |_: &Address| Awaited::new(Echo::new(&watch));
    match server.reactor().listen("0.0.0.0:7", build) {
        Ok(_) => {}
        Err(_) if may_fail(simulation) => return Ok(()),
        Err(failure) => return Err(failure),
    }
    for size in [5, 3_000, 100_000] {
        let (asker, answer) = Asker::new(bytes(size));
        let mut asker = Some(asker);
        let watch = ledger.clone();
        let build = move |_: &Address| watch.watch(asker.take().expect("one connection"));
        let connecting = client.reactor().connect("server:7", build);
        let outcome = simulation.run_until(async move {
            connecting.await?;
            answer.await
        });
        match outcome {
            Ok(got) if got == bytes(size) => {}
            Err(_) if may_fail(simulation) => {}
            other => return Err(Failure::msg(format!("{:?} of {size}", other.map(|it| it.len())))),
        }
    }
    ledger.close(simulation, &[&server, &client])
}

/// One end or the other aborts or ends in order at a moment that the seed says.
fn lose(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let link = Link::new().latency(Latency::Uniform(Duration::ZERO, Duration::from_millis(20)));
    simulation.set_link(&server, &client, link);
    let (watch, log) = (ledger.clone(), Rc::new(std::cell::RefCell::new(Vec::<Transport>::new())));
    let all = log.clone();
    struct Noted(Echo, Rc<std::cell::RefCell<Vec<Transport>>>);
    impl AsyncProtocol for Noted {
        async fn connection_made(&mut self, transport: &Transport) -> Result {
            self.1.borrow_mut().push(transport.clone());
            self.0.connection_made(transport).await
        }
        async fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            self.0.data_received(transport, data).await
        }
        async fn read_closed(&mut self, transport: &Transport) -> Result {
            self.0.read_closed(transport).await
        }
        fn connection_lost(&mut self, reason: &Failure) {
            self.0.connection_lost(reason);
        }
    }
    let build = move |_: &Address| Awaited::new(Noted(Echo::new(&watch), all.clone()));
    server.reactor().listen("0.0.0.0:7", build)?;
    let (watch, all) = (ledger.clone(), log.clone());
    let build = move |_: &Address| Awaited::new(Noted(Echo::new(&watch), all.clone()));
    let connecting = client.reactor().connect("server:7", build);
    let (when, end, how) =
        simulation.random(|random| (random.below(200), random.below(2), random.below(3)));
    let told = client.reactor();
    let connected = simulation.run_until(connecting)?;
    connected.transport().write(bytes(1_000));
    let sleeping = told.sleep(Duration::from_millis(when));
    simulation.run_until(async move {
        sleeping.await;
        Ok(())
    })?;
    let victims = log.borrow().clone();
    if let Some(victim) = victims.get(end as usize % victims.len().max(1)) {
        match how {
            0 => victim.abort_connection(),
            1 => victim.lose_connection(),
            _ => victim.lose_write_connection(),
        }
    }
    connected.transport().lose_connection();
    drop((connected, victims));
    log.borrow_mut().clear();
    ledger.close(simulation, &[&server, &client])
}

#[test]
fn an_awaited_echo_is_right_under_every_seed() {
    let report = for_each_seed(0..seeds(200), echo);
    println!("{}", report.unwrap_or_else(|failure| panic!("{failure}")));
}

#[test]
fn a_connection_that_is_lost_at_any_moment_tells_its_awaited_protocols_once() {
    let report = for_each_seed(0..seeds(1000), lose);
    println!("{}", report.unwrap_or_else(|failure| panic!("{failure}")));
}

#[test]
fn an_awaited_echo_survives_every_call_that_fails() {
    let report = sweep_faults(1, echo);
    println!("{}", report.unwrap_or_else(|failure| panic!("{failure}")));
}
