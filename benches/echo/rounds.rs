//! Rounds of every load against every server, and the tables made of them.

use std::time::{Duration, Instant};

use ropewalk::{Failure, Result};

use crate::load::{Crowd, Load};
use crate::machine::server::Server;
use crate::table::{Table, beside_the_first};
use crate::{machine, servers};

/// How long the bench takes.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    rounds: usize,
    warm_up: Duration,
    measured: Duration,
}

// Many short rounds: a ratio is as good as the machine is steady for the length of one.
pub(crate) const FULL: Length =
    Length { rounds: 9, warm_up: Duration::from_millis(80), measured: Duration::from_millis(250) };

pub(crate) const QUICK: Length =
    Length { rounds: 1, warm_up: Duration::from_millis(20), measured: Duration::from_millis(80) };

const LOADS: [Load; 6] = [
    load("1 connection", 1, 64, 1),
    load("64 connections", 64, 64, 1),
    load("1000 connections", 1000, 64, 1),
    load("64 connections, 16 pipelined", 64, 64, 16),
    Load { lines: true, ..load("64 connections, 16 lines", 64, 64, 16) },
    load("8 connections, 4 of 64 KiB", 8, 65536, 4),
];

const fn load(name: &'static str, connections: usize, message: usize, batch: usize) -> Load {
    Load { name, connections, message, batch, lines: false }
}

/// What one server did under one load in one round.
#[derive(Clone, Copy)]
struct Sample {
    messages_per_second: f64,
    /// Microseconds of the server's CPU for a message.
    cpu: f64,
}

/// The samples of one load: a row for each round, a column for each server.
type Rounds = Vec<[Sample; servers::ALL.len()]>;

pub(crate) fn run(length: Length) -> Result<Vec<Table>> {
    machine::allow_descriptors()?;
    let cpus = machine::two_cpus()?;
    machine::stay_on(cpus.1)?;
    let mut results = Vec::new();
    for load in LOADS {
        eprintln!("{}, {} bytes ...", load.name, load.message);
        let mut rounds = Rounds::new();
        for _ in 0..length.rounds {
            rounds.push(round(load, length, cpus.0)?);
        }
        results.push((load, rounds));
    }
    let Length { rounds, measured, .. } = length;
    let where_and_how = format!(
        "server on CPU {}, load on CPU {}; median of {rounds} rounds of {measured:?}, ratios to mio",
        cpus.0, cpus.1
    );
    Ok(vec![
        table(
            &format!("CPU time of the server per message, us ({where_and_how})"),
            &results,
            |it| it.cpu,
        ),
        table(&format!("Messages per second ({where_and_how})"), &results, |it| {
            it.messages_per_second
        }),
    ])
}

fn round(load: Load, length: Length, cpu: usize) -> Result<[Sample; servers::ALL.len()]> {
    let mut samples = [Sample { messages_per_second: 0.0, cpu: 0.0 }; servers::ALL.len()];
    for (name, sample) in servers::ALL.iter().zip(&mut samples) {
        let name = if load.lines { format!("{name}-lines") } else { (*name).to_owned() };
        *sample = measure(&name, load, length, cpu)
            .map_err(|failure| Failure::msg(format!("{name}, {}: {failure}", load.name)))?;
    }
    Ok(samples)
}

fn measure(name: &str, load: Load, length: Length, cpu: usize) -> Result<Sample> {
    let server = Server::start(name, cpu, &[])?;
    let mut crowd = Crowd::connect(server.address, load)?;
    crowd.run(length.warm_up)?;
    let (cpu_before, start) = (server.cpu_time()?, Instant::now());
    let messages = crowd.run(length.measured)?.max(1) as f64;
    let (elapsed, cpu) = (start.elapsed(), server.cpu_time()? - cpu_before);
    Ok(Sample {
        messages_per_second: messages / elapsed.as_secs_f64(),
        cpu: cpu.as_secs_f64() * 1e6 / messages,
    })
}

fn table(title: &str, results: &[(Load, Rounds)], figure: fn(&Sample) -> f64) -> Table {
    let header = std::iter::once("messages of 64 bytes").chain(servers::ALL);
    let row = |(load, rounds): &(Load, Rounds)| {
        let cells = (0..servers::ALL.len()).map(|server| cell(rounds, server, figure));
        std::iter::once(load.name.to_owned()).chain(cells).collect()
    };
    Table {
        title: title.to_owned(),
        header: header.map(str::to_owned).collect(),
        rows: results.iter().map(row).collect(),
    }
}

fn cell(rounds: &Rounds, server: usize, figure: fn(&Sample) -> f64) -> String {
    beside_the_first(rounds.iter().map(|round| (figure(&round[server]), figure(&round[0]))))
}
