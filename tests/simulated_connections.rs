//! The connection under thousands of seeds, and with every call of the driver failing in turn.
//!
//! Each scenario checks itself: whoever waits is told, nothing is told twice or after the end, no
//! socket is left, and where no fault may do harm the outcome is right to the byte.
//! `ROPEWALK_SEEDS=10000` runs a hundred times as many seeds as usual.

#![cfg(feature = "simulation")]
mod ledger;

use crate::ledger::{Asker, Echo, Ledger, Watched, bytes, hosts, make_bad, may_fail, seeds, walk};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::ported::{ClientFactory, Connector};
use ropewalk::simulation::{Simulation, SweepReport, for_each_seed};
use ropewalk::{
    Address, ClientEndpoint, Deferred, Failure, Protocol, Reactor, Result, Transport, Trigger,
};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

// ---- the scenarios ----

/// A right outcome is always right; a wrong one needs a fault as its excuse.
fn judge(simulation: &Simulation, outcome: Result<Vec<u8>>, wanted: &[u8]) -> Result {
    match outcome {
        Ok(got) if got == wanted => Ok(()),
        Ok(got) => Err(Failure::msg(format!("got {} bytes of {}", got.len(), wanted.len()))),
        Err(_) if may_fail(simulation) => Ok(()),
        Err(failure) => Err(Failure::msg(format!("failed without a fault: {failure}"))),
    }
}

fn may_not_listen(simulation: &Simulation, outcome: Result<ropewalk::Port>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(false),
        Err(_) if may_fail(simulation) => Ok(true),
        Err(failure) => Err(failure),
    }
}

fn echo_with_callbacks(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let watch = ledger.clone();
    let port = server.reactor().listen("0.0.0.0:7", move |_: &Address| watch.watch(Echo));
    if may_not_listen(simulation, port)? {
        return Ok(());
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
        judge(simulation, outcome, &bytes(size))?;
    }
    ledger.close(simulation, &[&server, &client])
}

fn echo_with_async(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let port = server.reactor().serve("0.0.0.0:7", async |mut stream| {
        let mut buffer = [0; 700];
        loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..count]).await?;
        }
    });
    if may_not_listen(simulation, port)? {
        return Ok(());
    }
    for size in [5, 80_000] {
        let reactor = client.reactor();
        let asking = client.reactor().spawn(async move {
            let (mut read, mut write) = reactor.open("server:7").await?.split();
            let writing = reactor.spawn(async move {
                write.write_all(&bytes(size)).await?;
                write.flush().await?;
                write.close().await?;
                Ok(())
            });
            let mut answer = Vec::new();
            read.read_to_end(&mut answer).await?;
            writing.await?;
            Ok(answer)
        });
        let outcome = simulation.run_until(asking);
        // A server that failed says so with an end in order: the answer may be short then.
        let outcome = match outcome {
            Ok(answer) if answer.len() < size && may_fail(simulation) => Err(Failure::msg("short")),
            outcome => outcome,
        };
        judge(simulation, outcome, &bytes(size))?;
    }
    ledger.close(simulation, &[&server, &client])
}

/// Writes ten bytes at a time and ends.
struct Poet {
    poem: Rc<Vec<u8>>,
}

impl Protocol for Poet {
    fn connection_made(&mut self, transport: &Transport) {
        recite(transport.clone(), self.poem.clone(), 0);
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

fn recite(transport: Transport, poem: Rc<Vec<u8>>, place: usize) {
    if place >= poem.len() {
        return transport.lose_connection();
    }
    transport.write(&poem[place..(place + 10).min(poem.len())]);
    let reactor = transport.reactor();
    reactor.call_later(Duration::from_millis(100), move || recite(transport, poem, place + 10));
}

/// Collects a poem until the connection ends.
struct Reader {
    poem: Vec<u8>,
    done: Option<Trigger<Vec<u8>>>,
}

impl Protocol for Reader {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.poem.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let Some(done) = self.done.take() else { return };
        let poem = std::mem::take(&mut self.poem);
        let in_order = reason.is::<ropewalk::transport::ConnectionDone>();
        let _ = if in_order { done.callback(poem) } else { done.errback(reason.clone()) };
    }
}

struct Poetry {
    ledger: Rc<Ledger>,
    done: Option<Trigger<Vec<u8>>>,
}

impl ClientFactory for Poetry {
    type Protocol = Watched<Reader>;

    fn build_protocol(&mut self, _: &Address) -> Option<Watched<Reader>> {
        Some(self.ledger.watch(Reader { poem: Vec::new(), done: self.done.take() }))
    }

    fn client_connection_failed(&mut self, _: &Connector, reason: &Failure) {
        if let Some(done) = self.done.take() {
            let _ = done.errback(reason.clone());
        }
    }
}

fn poetry(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let poem = Rc::new(bytes(95));
    let (watch, words) = (ledger.clone(), poem.clone());
    let build = move |_: &Address| watch.watch(Poet { poem: words.clone() });
    if may_not_listen(simulation, server.reactor().listen("0.0.0.0:7", build))? {
        return Ok(());
    }
    let poems: Vec<_> = (0..2)
        .map(|_| {
            let (done, poem) = Deferred::new();
            let factory = Poetry { ledger: ledger.clone(), done: Some(done) };
            client.reactor().connect_tcp("server:7", factory);
            poem
        })
        .collect();
    for reading in poems {
        let outcome = match simulation.run_until(reading) {
            Ok(got) if got.len() < poem.len() && may_fail(simulation) => {
                Err(Failure::msg("the poet was cut short"))
            }
            outcome => outcome,
        };
        judge(simulation, outcome, &poem)?;
    }
    ledger.close(simulation, &[&server, &client])
}

type Room = Rc<RefCell<Vec<Transport>>>;

struct Chatter {
    room: Room,
}

impl Protocol for Chatter {
    fn connection_made(&mut self, transport: &Transport) {
        self.room.borrow_mut().push(transport.clone());
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        let room = self.room.borrow().clone();
        room.iter().for_each(|other| other.write(data));
        Ok(())
    }

    fn connection_lost(&mut self, _: &Failure) {
        self.room.borrow_mut().retain(Transport::is_connected);
    }
}

/// Says one byte each 50 ms, five times, and leaves when it has heard fifteen or ten seconds passed.
struct Guest {
    heard: usize,
    done: Option<Trigger<usize>>,
}

impl Protocol for Guest {
    fn connection_made(&mut self, transport: &Transport) {
        for say in 1..=5 {
            let mouth = transport.clone();
            let when = Duration::from_millis(100 + 50 * say);
            transport.reactor().call_later(when, move || mouth.write(b"!"));
        }
        let leaving = transport.clone();
        transport.reactor().call_later(Duration::from_secs(10), move || leaving.lose_connection());
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.heard += data.len();
        if self.heard >= 15 {
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &Failure) {
        if let Some(done) = self.done.take() {
            let _ = done.callback(self.heard);
        }
    }
}

fn chat(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let room = Room::default();
    let (watch, seats) = (ledger.clone(), room.clone());
    let build = move |_: &Address| watch.watch(Chatter { room: seats.clone() });
    if may_not_listen(simulation, server.reactor().listen("0.0.0.0:7", build))? {
        return Ok(());
    }
    let guests: Vec<_> = (0..3)
        .map(|_| {
            let (done, heard) = Deferred::new();
            let mut guest = Some(Guest { heard: 0, done: Some(done) });
            let watch = ledger.clone();
            let build = move |_: &Address| watch.watch(guest.take().expect("one connection"));
            let connecting = client.reactor().connect("server:7", build);
            async move {
                connecting.await?;
                heard.await
            }
        })
        .collect();
    for guest in guests {
        match simulation.run_until(guest) {
            Ok(15) => {}
            // Who came late has missed something.
            Ok(_) if simulation.trace().contains(BAD) => {}
            _ if may_fail(simulation) => {}
            outcome => return Err(Failure::msg(format!("a guest heard {outcome:?}"))),
        }
    }
    ledger.close(simulation, &[&server, &client])?;
    if room.borrow().is_empty() {
        Ok(())
    } else {
        Err(Failure::msg("somebody is left in the room"))
    }
}

/// Connects again and again until it was answered.
struct Stubborn {
    ledger: Rc<Ledger>,
    done: Trigger<Vec<u8>>,
    answer: Rc<RefCell<Vec<u8>>>,
}

struct Attempt {
    answer: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for Attempt {
    fn connection_made(&mut self, transport: &Transport) {
        self.answer.borrow_mut().clear();
        transport.write(b"anybody there?");
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.answer.borrow_mut().extend_from_slice(data);
        if self.answer.borrow().len() == 14 {
            transport.lose_connection();
        }
        Ok(())
    }
}

impl Stubborn {
    fn again(&self, connector: &Connector) {
        let connector = connector.clone();
        // Outside of a turn it is the end of the reactor that is told.
        let Some(reactor) = Reactor::current() else { return };
        reactor.call_later(Duration::from_secs(1), move || connector.connect());
    }
}

impl ClientFactory for Stubborn {
    type Protocol = Watched<Attempt>;

    fn build_protocol(&mut self, _: &Address) -> Option<Watched<Attempt>> {
        Some(self.ledger.watch(Attempt { answer: self.answer.clone() }))
    }

    fn client_connection_failed(&mut self, connector: &Connector, _: &Failure) {
        self.again(connector);
    }

    fn client_connection_lost(&mut self, connector: &Connector, _: &Failure) {
        let answer = self.answer.take();
        if answer.len() == 14 {
            let _ = self.done.callback(answer);
            return;
        }
        self.again(connector);
    }
}

/// Whatever happens, it is answered in the end.
fn reconnecting(simulation: &Simulation) -> Result {
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let watch = ledger.clone();
    let build = move |_: &Address| watch.watch(Echo);
    if may_not_listen(simulation, server.reactor().listen("0.0.0.0:7", build))? {
        return Ok(());
    }
    let (done, answered) = Deferred::new();
    let factory = Stubborn { ledger: ledger.clone(), done, answer: Rc::default() };
    let to = ClientEndpoint::from("server:7").timeout(Duration::from_secs(5));
    client.reactor().connect_tcp(to, factory);
    let answer = simulation.run_until(answered)?;
    if answer != b"anybody there?" {
        return Err(Failure::msg("a wrong answer"));
    }
    ledger.close(simulation, &[&server, &client])
}

/// Writes as told by the marks, until all is written, then ends its half.
struct Pusher {
    left: usize,
    is_paused: bool,
}

impl Pusher {
    fn push(&mut self, transport: &Transport) {
        while self.left > 0 && !self.is_paused && transport.is_connected() {
            let count = self.left.min(5_000);
            transport.write(bytes(count));
            self.left -= count;
            if self.left.is_multiple_of(40_000) {
                break;
            }
        }
        if self.left == 0 {
            transport.lose_write_connection();
        }
    }
}

impl Protocol for Pusher {
    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        self.push(transport);
        Ok(())
    }

    fn pause_writing(&mut self, _: &Transport) {
        self.is_paused = true;
    }

    fn resume_writing(&mut self, transport: &Transport) {
        self.is_paused = false;
        self.push(transport);
    }
}

/// Asks for more with each piece, sleeps in between, and ends after the peer did.
struct Sipper {
    count: usize,
    done: Option<Trigger<Vec<u8>>>,
}

impl Protocol for Sipper {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(b"more");
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.count += data.len();
        transport.write(b"more");
        transport.pause_reading();
        let waking = transport.clone();
        let nap = Duration::from_millis(30);
        transport.reactor().call_later(nap, move || waking.resume_reading());
        Ok(())
    }

    fn read_closed(&mut self, transport: &Transport) {
        transport.write(b"thanks");
        transport.lose_write_connection();
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let Some(done) = self.done.take() else { return };
        let got = vec![0; self.count];
        let in_order = reason.is::<ropewalk::transport::ConnectionDone>();
        let _ = if in_order { done.callback(got) } else { done.errback(reason.clone()) };
    }
}

fn slow_reader(simulation: &Simulation) -> Result {
    const ALL: usize = 240_000;
    simulation.keep_trace();
    let ledger = Ledger::new();
    let (server, client) = hosts(simulation);
    let watch = ledger.clone();
    let build = move |_: &Address| watch.watch(Pusher { left: ALL, is_paused: false });
    if may_not_listen(simulation, server.reactor().listen("0.0.0.0:7", build))? {
        return Ok(());
    }
    let (done, got) = Deferred::new();
    let mut sipper = Some(Sipper { count: 0, done: Some(done) });
    let watch = ledger.clone();
    let build = move |_: &Address| watch.watch(sipper.take().expect("one connection"));
    let connecting = client.reactor().connect("server:7", build);
    let outcome = simulation.run_until(async move {
        connecting.await?;
        got.await
    });
    let outcome = match outcome {
        Ok(got) if got.len() < ALL && may_fail(simulation) => Err(Failure::msg("short")),
        outcome => outcome,
    };
    judge(simulation, outcome, &vec![0; ALL])?;
    ledger.close(simulation, &[&server, &client])
}

// ---- walked and seeded ----

type Scenario = fn(&Simulation) -> Result;

const SCENARIOS: [(&str, Scenario); 6] = [
    ("echo with callbacks", echo_with_callbacks),
    ("echo with async", echo_with_async),
    ("poetry", poetry),
    ("chat", chat),
    ("reconnecting client", reconnecting),
    ("slow reader", slow_reader),
];

fn walk_through(name: &str) {
    let found = SCENARIOS.iter().find(|(known, _)| *known == name);
    walk(name, found.expect("it is in the list").1);
}

#[test]
fn every_single_fault_in_an_echo_with_callbacks_is_survived() {
    walk_through("echo with callbacks");
}

#[test]
fn every_single_fault_in_an_echo_with_async_is_survived() {
    walk_through("echo with async");
}

#[test]
fn every_single_fault_in_poetry_is_survived() {
    walk_through("poetry");
}

#[test]
fn every_single_fault_in_a_chat_is_survived() {
    walk_through("chat");
}

#[test]
fn every_single_fault_is_overcome_by_a_reconnecting_client() {
    walk_through("reconnecting client");
}

#[test]
fn every_single_fault_before_a_slow_reader_is_survived() {
    walk_through("slow reader");
}

const BAD: &str = "the network is bad";

/// A network and a system whose kind follows from the seed; that is an excuse, and noted.
fn make_noted_bad(simulation: &Simulation) {
    simulation.keep_trace();
    simulation.note(BAD);
    make_bad(simulation);
}

const SEEDS: u64 = 500;

fn try_seeds((name, scenario): (&str, Scenario)) -> SweepReport {
    let outcome = for_each_seed(0..seeds(SEEDS), |simulation| {
        make_noted_bad(simulation);
        scenario(simulation)
    });
    let report = outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    println!("{name}, seeds 0 to {}: {report}", seeds(SEEDS) - 1);
    report
}

#[test]
fn connections_keep_their_promises_under_every_seed() {
    // A thread each, by the test's name: that is what a failure tells to run again.
    let test = std::thread::current().name().map(str::to_owned).unwrap_or_default();
    let total = std::thread::scope(|scope| {
        let start = |scenario| {
            let thread = std::thread::Builder::new().name(test.clone());
            thread.spawn_scoped(scope, move || try_seeds(scenario)).expect("a thread can be made")
        };
        let reports = SCENARIOS.map(start);
        reports.map(|report| report.join().expect("every scenario holds"))
    });
    println!("in all: {}", total.into_iter().sum::<SweepReport>());
}
