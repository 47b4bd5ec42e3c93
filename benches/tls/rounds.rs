//! Rounds of bulk in both directions and of idle connections, and the table made of them.

use std::fs;
use std::sync::Arc;

use ropewalk::Result;
use ropewalk::tls::Identity;
use rustls::ClientConfig;

use crate::client;
use crate::machine::server::{Server, take_turns};
use crate::table::{Table, beside_the_first};
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
    let rounds = take_turns(length.rounds, servers::ALL, |name| {
        measure(name, length, cpus.0, &identity, &config)
    })?;
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
    let certificate = (servers::CERTIFICATE, identity.certificate_pem());
    let server = Server::start(name, cpu, &[certificate, (servers::KEY, identity.key_pem())])?;
    let mut line = client::connect(server.address, config)?;
    client::send(&mut line, MEGABYTE)?;
    client::receive(&mut line, MEGABYTE)?;
    let echoing = server.cpu_of(|| Ok(client::echo(&mut line, length.messages)?))?;
    let bytes = length.megabytes * MEGABYTE;
    let inbound = server.cpu_of(|| Ok(client::send(&mut line, bytes)?))?;
    let outbound = server.cpu_of(|| Ok(client::receive(&mut line, bytes)?))?;
    // What serving the first one took is there to be used again.
    let before = resident(&server)?;
    let mut idle = Vec::new();
    let shaking = server.cpu_of(|| {
        for _ in 0..length.connections {
            idle.push(client::connect(server.address, config)?);
        }
        // Served last: when its answer is there, the others' handshakes are over too.
        Ok(client::send(&mut line, 64 * 1024)?)
    })?;
    let resident = resident(&server)?.saturating_sub(before);
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
    beside_the_first(rounds.iter().map(|round| (round[server][row], round[0][row])))
}

/// Bytes of memory that the server has.
fn resident(server: &Server) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 = line.unwrap_or_default().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
