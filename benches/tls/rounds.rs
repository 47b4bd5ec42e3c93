//! Rounds of bulk in both directions and of idle connections, and the table made of them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use ropewalk::tls::Identity;
use ropewalk::{Failure, Result};
use rustls::ClientConfig;

use crate::client;
use crate::table::{Table, median};
use crate::{machine, servers};

/// How long the bench takes.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    rounds: usize,
    messages: u64,
    megabytes: u64,
    connections: usize,
}

// Many short rounds: a ratio is as good as the machine is steady for the length of one.
pub(crate) const FULL: Length =
    Length { rounds: 15, messages: 4000, megabytes: 128, connections: 500 };
pub(crate) const QUICK: Length = Length { rounds: 1, messages: 500, megabytes: 8, connections: 50 };

const MEGABYTE: u64 = 1024 * 1024;

/// What one server did in one round, in the order of `ROWS`.
type Sample = [f64; 5];

const ROWS: [&str; 5] = [
    "echo of 64 bytes, us of CPU",
    "inbound, us of CPU per MiB",
    "outbound, us of CPU per MiB",
    "handshake, us of CPU",
    "idle connection, bytes resident",
];

pub(crate) fn run(length: Length) -> Result<Table> {
    machine::allow_descriptors()?;
    let cpus = machine::two_cpus()?;
    machine::stay_on(cpus.1)?;
    let identity = Identity::self_signed(&["localhost"])?;
    let config = client::config(&identity.certificate_pem())?;
    let mut rounds = Vec::new();
    for round in 0..length.rounds {
        let mut samples = [Sample::default(); servers::ALL.len()];
        // Nobody is always the first of a round.
        for turn in 0..servers::ALL.len() {
            let server = (round + turn) % servers::ALL.len();
            let name = servers::ALL[server];
            samples[server] = measure(name, length, cpus.0, &identity, &config)
                .map_err(|failure| Failure::msg(format!("{name}: {failure}")))?;
        }
        rounds.push(samples);
    }
    let Length { rounds: count, messages, megabytes, connections } = length;
    let title = format!(
        "TLS 1.3, AES-256-GCM, {messages} echoes, {megabytes} MiB each way, {connections} idle connections (server on \
         CPU {}, client on CPU {}; median of {count} rounds, ratios to tokio-rustls)",
        cpus.0, cpus.1
    );
    let header = std::iter::once("server").chain(servers::ALL).map(str::to_owned).collect();
    let rows = ROWS.iter().enumerate().map(|(row, name)| {
        let cells = (0..servers::ALL.len()).map(|server| cell(&rounds, server, row));
        std::iter::once((*name).to_owned()).chain(cells).collect()
    });
    Ok(Table { title, header, rows: rows.collect() })
}

fn measure(
    name: &str,
    length: Length,
    cpu: usize,
    identity: &Identity,
    config: &Arc<ClientConfig>,
) -> Result<Sample> {
    let server = Server::start(name, cpu, identity)?;
    let mut line = client::connect(server.address, config)?;
    client::send(&mut line, MEGABYTE)?;
    client::receive(&mut line, MEGABYTE)?;
    let echoing = server.cpu_of(|| Ok(client::echo(&mut line, length.messages)?))?;
    let bytes = length.megabytes * MEGABYTE;
    let inbound = server.cpu_of(|| Ok(client::send(&mut line, bytes)?))?;
    let outbound = server.cpu_of(|| Ok(client::receive(&mut line, bytes)?))?;
    // What serving the first one took is there to be used again.
    let before = server.resident()?;
    let mut idle = Vec::new();
    let shaking = server.cpu_of(|| {
        for _ in 0..length.connections {
            idle.push(client::connect(server.address, config)?);
        }
        // Served last: when its answer is there, the others' handshakes are over too.
        Ok(client::send(&mut line, 64 * 1024)?)
    })?;
    let resident = server.resident()?.saturating_sub(before);
    let (megabytes, connections) = (length.megabytes as f64, length.connections as f64);
    Ok([
        echoing / length.messages as f64,
        inbound / megabytes,
        outbound / megabytes,
        shaking / connections,
        resident as f64 / connections,
    ])
}

fn cell(rounds: &[[Sample; servers::ALL.len()]], server: usize, row: usize) -> String {
    let value = median(rounds.iter().map(|round| round[server][row]).collect());
    let ratio = median(rounds.iter().map(|round| round[server][row] / round[0][row]).collect());
    let value = if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    format!("{value} (x{ratio:.2})")
}

/// A server in a process of its own; ends with this value.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(name: &str, cpu: usize, identity: &Identity) -> Result<Server> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([servers::ROLE, name, &cpu.to_string()])
            .env(servers::CERTIFICATE, identity.certificate_pem())
            .env(servers::KEY, identity.key_pem())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse()?;
        Ok(Server { process, address })
    }

    /// Microseconds of the server's CPU that something takes.
    fn cpu_of(&self, work: impl FnOnce() -> Result) -> Result<f64> {
        let before = machine::cpu_time(self.process.id())?;
        work()?;
        let taken = machine::cpu_time(self.process.id())? - before;
        Ok(taken.as_secs_f64() * 1e6)
    }

    /// Bytes of memory that the server has.
    fn resident(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: u64 = line.unwrap_or_default().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, and then there is nobody left to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
