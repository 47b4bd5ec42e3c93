//! One site and twenty clients over a bad network, with a drain at a random moment: each request has one
//! outcome on both sides, no byte of one answer is in another's, and nothing is left open.
#![cfg(all(feature = "http", feature = "simulation"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, and its helpers do too")]

use futures_util::{AsyncReadExt, AsyncWriteExt};
use ropewalk::http::h1::{Event, Length, Machine, RequestHead};
use ropewalk::http::{Error, IntoReply, Limits, Method, Outcome, Reply, Request, Site, Status};
use ropewalk::simulation::{Faults, Host, Latency, Link, Simulation, for_each_seed};
use ropewalk::{Failure, Result, Stream};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const CLIENTS: usize = 20;
const KINDS: [&str; 7] = ["now", "later", "pieces", "large", "echo", "refuse", "forward"];

/// What a request is answered with: its own number, so many times.
fn answer(number: &str, times: usize) -> String {
    format!("<{number}>").repeat(times)
}

async fn respond(request: Request) -> Result<Reply> {
    let number = request.segment(1).unwrap().into_owned();
    match &*request.segment(0).unwrap() {
        "later" => ropewalk::sleep(Duration::from_millis(700)).await,
        "large" => return Ok(answer(&number, 30_000).into_reply()),
        "refuse" => return Err(Error::new(Status::CONTENT_TOO_LARGE, answer(&number, 3)).into()),
        "echo" => {
            let body = request.body().read_all(1 << 20).await?;
            let own = answer(&number, 1).into_bytes();
            assert!(body.chunks(own.len()).all(|chunk| own.starts_with(chunk)), "another's bytes");
        }
        "forward" => {
            let mut body = request.body();
            while let Some(chunk) = body.chunk().await? {
                request.write(chunk).await?;
            }
            request.finish();
            return Ok(Reply::Later);
        }
        "pieces" => {
            for _ in 0..30 {
                request.write(answer(&number, 100)).await?;
                ropewalk::yield_now().await;
            }
            request.finish();
            return Ok(Reply::Later);
        }
        _ => {}
    }
    Ok(answer(&number, 3).into_reply())
}

fn site(seen: &Rc<RefCell<BTreeMap<String, Vec<Outcome>>>>) -> Site {
    let seen = seen.clone();
    Site::of(respond).on_exchange(move |record| {
        let target = record.target().unwrap_or("none").to_owned();
        seen.borrow_mut().entry(target).or_default().push(record.outcome());
    })
}

/// A client's requests, and what became of each.
struct Client {
    machine: RefCell<Machine>,
    targets: Vec<String>,
    /// Bodies that came whole, in order.
    answers: RefCell<Vec<(Status, Vec<u8>)>>,
}

impl Client {
    async fn run(&self, mut stream: Stream, simulation: &Simulation) -> Result {
        let pipelined = simulation.random(|random| random.chance(0.5));
        let mut out = Vec::new();
        for (at, target) in self.targets.iter().enumerate() {
            self.ask(target, simulation, &mut out)?;
            if !pipelined || at + 1 == self.targets.len() {
                stream.write_all(&out).await?;
                out.clear();
                self.hear(&mut stream, at + 1).await?;
            }
        }
        Ok(())
    }

    fn ask(&self, target: &str, simulation: &Simulation, out: &mut Vec<u8>) -> Result {
        let mut parts = target.split('/').skip(1);
        let (kind, number) = (parts.next().unwrap(), parts.next().unwrap());
        let has_body = ["echo", "refuse", "forward"].contains(&kind);
        let method = if has_body { Method::Post } else { Method::Get };
        let mut head = RequestHead::new(method, target)?;
        head.set_header("Host", "server")?;
        let (body, in_chunks) =
            simulation.random(|random| (random.below(3000), random.chance(0.5)));
        let body = if has_body { answer(number, body as usize) } else { String::new() };
        let length = match in_chunks && has_body {
            true => Length::Unknown,
            false => Length::Known(body.len() as u64),
        };
        let mut machine = self.machine.borrow_mut();
        machine.send_request(&head, length, out)?;
        for chunk in body.as_bytes().chunks(1000) {
            machine.send_body(chunk, out)?;
        }
        Ok(machine.finish(out)?)
    }

    /// Reads until so many answers are whole.
    async fn hear(&self, stream: &mut Stream, count: usize) -> Result {
        let mut buffer = vec![0; 16 << 10];
        while self.answers.borrow().len() < count || self.machine.borrow().awaited() > 0 {
            if self.machine.borrow().must_close() {
                return Err(Failure::msg("the server ends it"));
            }
            let read = stream.read(&mut buffer).await?;
            let mut input = &buffer[..read];
            loop {
                let event = match read {
                    0 => self.machine.borrow_mut().end(),
                    _ => self.machine.borrow_mut().feed(&mut input),
                };
                match event {
                    None => break,
                    Some(event) => self.heard(event)?,
                }
            }
            if read == 0 {
                return Err(Failure::msg("the server ended it"));
            }
        }
        Ok(())
    }

    fn heard(&self, event: Event<'_>) -> Result {
        let mut answers = self.answers.borrow_mut();
        match event {
            Event::Response(head) => answers.push((head.status(), Vec::new())),
            Event::Body(data) => answers.last_mut().unwrap().1.extend_from_slice(data),
            Event::End(_) => {
                let (status, body) = answers.last().unwrap();
                let number = self.targets[answers.len() - 1].rsplit('/').next().unwrap();
                let own = answer(number, 1);
                if *status == Status::REQUEST_TIMEOUT {
                    return Ok(()); // its head came too late, and nobody saw its number
                }
                let is_own = String::from_utf8_lossy(body).replace(&own, "").trim().is_empty();
                assert!(is_own, "another's bytes in the answer to {number}: {status}");
            }
            Event::Refused(refusal) => return Err(refusal.into()),
            Event::Closed => {}
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

fn scenario(simulation: &Simulation) -> Result {
    let seen = Rc::new(RefCell::new(BTreeMap::new()));
    let server = simulation.host("server");
    let link = Link::new()
        .latency(Latency::LongTailed(Duration::from_millis(1), Duration::from_millis(20)))
        .loss(0.02);
    simulation.set_default_link(link);
    let site = site(&seen);
    let port = server.reactor().listen("0.0.0.0:80", site.clone())?;
    let is_rough = simulation.random(|random| random.chance(0.5));
    let faults = if is_rough { Faults::rough() } else { Faults::pedantic() };
    server.set_faults(faults);
    let clients: Vec<_> = (0..CLIENTS).map(|at| client(simulation, at)).collect();
    for (client, host) in &clients {
        host.set_faults(faults);
        cut_sometimes(simulation, &server, host);
        let (client, reactor, inside) = (client.clone(), host.reactor(), simulation.clone());
        let opening = reactor.open("server:80");
        reactor
            .spawn(async move {
                let stream = opening.await?;
                client.run(stream, &inside).await
            })
            .add_errback(|_| Ok(()));
    }
    let moment = simulation.random(|random| random.below(3_000));
    let drained = Rc::new(RefCell::new(None));
    let (note, reactor, draining) = (drained.clone(), server.reactor(), site.clone());
    simulation.at(Duration::from_millis(moment), move |_| {
        port.stop_listening();
        let drain = draining.drain(&reactor, Duration::from_secs(40));
        note.replace(Some(drain.map(|()| ())));
    });
    simulation.run_for(Duration::from_secs(300))?;
    check(&clients, &seen.take(), &site)
}

fn client(simulation: &Simulation, at: usize) -> (Rc<Client>, Host) {
    let count = simulation.random(|random| random.below(6)) + 1;
    let kind = || KINDS[simulation.random(|random| random.below(KINDS.len() as u64)) as usize];
    let targets = (0..count).map(|it| format!("/{}/{at}-{it}", kind())).collect();
    let client = Client {
        machine: RefCell::new(Machine::client(Limits::default())),
        targets,
        answers: RefCell::default(),
    };
    (Rc::new(client), simulation.host(&format!("client{at}")))
}

fn cut_sometimes(simulation: &Simulation, server: &Host, client: &Host) {
    if simulation.random(|random| random.chance(0.8)) {
        return;
    }
    let begin = simulation.random(|random| random.below(2_000));
    let length = simulation.random(|random| random.below(60_000));
    let (one, other) = (server.clone(), client.clone());
    simulation.at(Duration::from_millis(begin), move |it| it.cut(&one, &other));
    let (one, other) = (server.clone(), client.clone());
    simulation.at(Duration::from_millis(begin + length), move |it| it.heal(&one, &other));
}

fn check(
    clients: &[(Rc<Client>, Host)],
    seen: &BTreeMap<String, Vec<Outcome>>,
    site: &Site,
) -> Result {
    for (target, outcomes) in seen {
        let is_one = outcomes.len() == 1 || target == "none";
        assert!(is_one, "{target} has the outcomes {outcomes:?}");
    }
    for (client, host) in clients {
        let answers = client.answers.borrow();
        assert!(answers.len() <= client.targets.len());
        let whole = client.targets.len() - client.machine.borrow().awaited();
        for target in &client.targets[..whole.min(answers.len())] {
            if answers.last().is_some_and(|it| it.0 == Status::REQUEST_TIMEOUT) {
                continue;
            }
            assert_eq!(seen.get(target), Some(&vec![Outcome::Answered]), "{target} was answered");
        }
        assert_eq!(host.descriptors(), 0, "{} left something open", host.name());
    }
    assert_eq!(site.connections(), 0);
    Ok(())
}

#[test]
fn each_request_has_one_outcome_on_both_sides_whatever_the_network_does() {
    let count = std::env::var("ROPEWALK_SEEDS").ok().and_then(|it| it.parse().ok());
    let survey = for_each_seed(0..count.unwrap_or(25), scenario);
    println!("{}", survey.unwrap());
}
